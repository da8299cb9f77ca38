"""`green-edge check`: whether a model runs on a target, and what to change."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from green_edge.build.check import check_file
from green_edge.cli import render
from green_edge.core.checks import Problem
from green_edge.targets.check import CheckReport
from green_edge.targets.edgetpu.predict import Placement

_WIDTH = 80
_OP_CHARS = 24
_WHY_CHARS = 60
# Of the operations of a model that is refused; more are counted by reason.
_LISTED = 8
_EXIT_CODES = {"runs": 0, "partial": 0, "refused": 3, "unknown": 8}
_VERDICTS = {
    "runs": "RUNS",
    "partial": "RUNS IN PART on the accelerator",
    "refused": "REFUSED",
    "unknown": "NOT KNOWN: an operation without data",
}
_MEMORY = {
    "fits": "fit",
    "borderline": "may not fit",
    "streams": "do not fit: the rest is sent at every inference",
}
_WORST_FIRST = ("none", "unknown", "cpu", "tpu")
_PLACES = {"none": "nowhere", "unknown": "?", "cpu": "CPU", "tpu": "TPU"}


@click.command("check", epilog="Example: green-edge check model.tflite --target pi4")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--target", required=True, help="NAME[:OS-ARCH][+HOST], such as coral-usb+pi5.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(file: Path, *, target: str, as_json: bool) -> None:
    """Tell whether FILE, a .tflite or a bundle, runs on a target, and what to change.

    It says for each operation where it runs, why not, and how sure that is; and whether the
    parameters fit. Nothing is run. Exit code 3 when the target refuses the model, 8 when there is
    an operation that nobody has data about.
    """
    report = check_file(file, target)
    if as_json:
        render.document(report)
    else:
        render.text("\n\n".join(_sections(file, report)))
    click.get_current_context().exit(_EXIT_CODES[report.verdict])


def _sections(file: Path, report: CheckReport) -> list[str]:
    sections = [_head(file, report)]
    if report.problems:
        sections.append("\n".join(_problem(i, p) for i, p in enumerate(report.problems, 1)))
    sections += _tables(report)
    notes = (*report.notes, *(report.runtime.notes if report.runtime else ()))
    if notes:
        sections.append("\n".join(_wrapped(f"note: {note}", "      ") for note in notes))
    return sections


def _head(file: Path, report: CheckReport) -> str:
    where = [f"{report.tpu_ops} on the Edge TPU"] if report.libedgetpu else []
    where.append(f"{report.cpu_ops} on the CPU")
    return "\n".join([
        _wrapped(f"{file} on {report.target}: {_VERDICTS[report.verdict]}", "  "),
        f"{len(report.ops)} operations: {', '.join(where)}",
        _wrapped(_runtime(report), "  "),
        f"{report.parameter_bytes:,} bytes of parameters {_MEMORY[report.parameter_memory]}",
    ])  # fmt: skip


def _runtime(report: CheckReport) -> str:
    if report.runtime is None:
        return "no runtime installs there"
    plan = report.runtime
    driver = f", libedgetpu {report.libedgetpu}" if report.libedgetpu else ""
    return f"runs with {plan.package} {plan.version} ({plan.wheel}), {plan.numpy}{driver}"


def _problem(number: int, problem: Problem) -> str:
    return "\n".join([
        _wrapped(f"{number}. {problem.what}", "   "),
        _wrapped(f"   where: {problem.where}", "      "),
        _wrapped(f"   do: {problem.remedy}", "      "),
    ])  # fmt: skip


def _tables(report: CheckReport) -> list[str]:
    """What is not as it should be, each with its reason, and the rest by type."""
    best = "tpu" if report.libedgetpu else "cpu"
    off = [row for row in report.ops if row.placement != best]
    off.sort(key=lambda row: _WORST_FIRST.index(row.placement))
    # Without a runtime a problem says why, and a line for each operation would say it again.
    missing = report.runtime is None and not report.libedgetpu
    # Of a model that is refused as a whole the problems say what is wrong with which operation.
    rows = _by_reason(off) if report.verdict == "refused" and len(off) > _LISTED else _off(off)
    tables = [rows] if off and not missing else []
    counts = Counter((row.op, row.version) for row in report.ops if row.placement == best)
    if counts:
        lines = [[f"{op} v{version}", str(count)] for (op, version), count in counts.items()]
        tables.append(render.table([f"on the {_PLACES[best]}", "count"], lines, right="lr"))
    return tables


def _by_reason(rows: Sequence[Placement]) -> str:
    """How many operations there are for each reason, the most frequent first."""
    counts = Counter((_PLACES[row.placement], row.reason or row.status) for row in rows)
    lines = [
        [str(count), place, _clip(why, _WHY_CHARS)] for (place, why), count in counts.most_common()
    ]
    more = len(lines) - _LISTED
    if more > 0:
        lines = [*lines[:_LISTED], ["", "", f"and {more} more reasons"]]
    return render.table(["count", "on", "why"], lines, right="rll")


def _off(rows: Sequence[Placement]) -> str:
    headers = ["#", "operation", "on", "sure"]
    cells = [_cells(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    room = _WIDTH - sum(widths) - 2 * len(widths)
    lines = []
    for row, known in zip(rows, cells, strict=True):
        why = textwrap.wrap(row.reason or row.status, room, break_on_hyphens=False)
        lines.append([*known, why[0]])
        lines += [["", "", "", "", more] for more in why[1:]]
    return render.table([*headers, "why"], lines, right="rllll")


def _cells(row: Placement) -> list[str]:
    name = row.op if row.custom_code is None else row.custom_code
    version = f" v{row.version}"
    operation = _clip(name, _OP_CHARS - len(version)) + version
    return [str(row.index), operation, _PLACES[row.placement], row.confidence]


def _wrapped(text: str, indent: str) -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def _clip(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 2] + ".."
