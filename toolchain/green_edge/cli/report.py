"""`green-edge report`: latency and energy per inference, and how each figure was obtained."""

from contextlib import closing
from pathlib import Path
from typing import Literal

import click

from green_edge.cli import render
from green_edge.cli.fleet_options import fleet_options
from green_edge.fleet.settings import Options, load_settings
from green_edge.telemetry import moments, report_text
from green_edge.telemetry.opening import open_store
from green_edge.telemetry.report import Report, totals
from green_edge_wire.clock import SystemClock
from green_edge_wire.errors import ConfigError

Format = Literal["table", "json", "csv", "html"]


@click.command("report", epilog="Example: green-edge report --since 24h")
@click.option("--since", metavar="WHEN", help="Begin: 2026-11-23, 2026-11-23T14:00, or 2h ago.")
@click.option("--until", metavar="WHEN", help="End, written as --since; not included.")
@click.option("--device", "device_id", metavar="ID", help="Only this device.")
@click.option("--model", metavar="NAME", help="Only models of this name.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv", "html"]),
    default="table",
    show_default=True,
    help="What to print.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: --format json.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file instead."
)
@fleet_options
def command(  # noqa: PLR0913 - one argument an option
    *,
    since: str | None,
    until: str | None,
    device_id: str | None,
    model: str | None,
    form: Format,
    as_json: bool,
    out: Path | None,
    options: Options,
) -> None:
    """Print latency and energy per inference of every model on every device.

    A '~' stands before figures that come from a model of the board: nothing was measured.
    """
    now_unix_ms = SystemClock().unix_ms()
    begin = _moment(since, now_unix_ms, "--since")
    end = _moment(until, now_unix_ms, "--until")
    with closing(open_store(load_settings(options).store.value, create=False)) as store:
        rows = store.figures(
            since_unix_ms=begin, until_unix_ms=end, device_id=device_id, model=model
        )
    report = Report(now_unix_ms, rows, totals(rows), begin, end)
    _print(_text(report, "json" if as_json else form), out)


def _text(report: Report, form: Format) -> str:
    if form == "json":
        return report_text.json_text(report)
    if form == "csv":
        return report_text.csv_text(report).removesuffix("\n")
    if form == "html":
        # The template engine belongs to the extra `host`; the other formats do without it.
        from green_edge.telemetry import report_html  # noqa: PLC0415

        return report_html.render(report)
    if not report.rows:
        return "no telemetry in this time; 'green-edge devices' shows who has reported"
    lines = report_text.cells(report.rows)
    table = render.table(report_text.HEADERS, lines, right=report_text.ALIGN)
    return "\n".join([table, "", *report_text.notes(report)])


def _print(text: str, out: Path | None) -> None:
    if out is None:
        render.text(text)
        return
    try:
        out.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror}", place="--out") from error
    render.say(f"wrote {out}")


def _moment(text: str | None, now_unix_ms: int, place: str) -> int | None:
    if text is None:
        return None
    return moments.parse_moment(text, now_unix_ms=now_unix_ms, place=place)
