"""`green-edge compare`: what changed between two models, and which layers did it."""

import textwrap
from pathlib import Path
from typing import Any

import click

from green_edge.build import words
from green_edge.build.compare import gate_report
from green_edge.build.compare.comparison import CompareOptions, compare
from green_edge.build.compare.page import render as page_of
from green_edge.build.compare.values import Comparison
from green_edge.build.compare.words import decibel, harm
from green_edge.build.words import short_name
from green_edge.cli import render
from green_edge.core.gate import GateResult, load_gate
from green_edge_wire.errors import ConfigError

_FILE = click.Path(path_type=Path)
_PERCENT = 100.0
_NAME_CHARS = 26
_OP_CHARS = 17


@click.command(
    "compare", epilog="Example: green-edge compare model.keras model.tflite --eval test.npz"
)
@click.argument("baseline", type=_FILE)
@click.argument("new", type=_FILE)
@click.option("--eval", required=True, help="Samples to judge by, best with labels.")
@click.option("--labels", type=_FILE, help="Class names, one a line.")
@click.option("--pipeline", type=_FILE, help="Pre-processing of image files (JSON).")
@click.option("--samples", type=click.IntRange(1, 100_000), default=32, show_default=True,
              help="That the layers are judged on.")  # fmt: skip
@click.option("--layers", "most", type=click.IntRange(0, 100_000), default=12, show_default=True,
              help="Worst layers to show; --json has all.")  # fmt: skip
@click.option("--runs", type=click.IntRange(0, 1_000_000), default=100, show_default=True,
              help="Of each model for the latency; 0: none.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of every random draw.")
@click.option("--gate", type=_FILE, help="Limits that NEW is held to (TOML).")
@click.option("--junit", type=_FILE, help="Write the gate's checks as JUnit XML.")
@click.option("--markdown", type=_FILE, help="Write them as markdown, for a pull request.")
@click.option("--html", type=_FILE, help="Write a page with plots too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    *, most: int, gate: Path | None, junit: Path | None, markdown: Path | None,
    html: Path | None, as_json: bool, **given: Any,
) -> None:  # fmt: skip
    """Compare NEW with BASELINE: quality, the error of each layer, size, MACs and latency.

    Each is a .tflite, a bundle, a Keras file or a SavedModel folder; BASELINE is best the float
    model that NEW was made from, or what an earlier compare --json printed of its NEW.

    Exit code 4: NEW is over a limit of the gate. 8: it is over none, but the samples are too few
    or an estimate is too rough to tell for one.
    """
    if gate is None and (junit or markdown):
        raise ConfigError("needs --gate", place="--junit" if junit else "--markdown")
    limits = None if gate is None else load_gate(gate)
    for path, option in ((html, "--html"), (junit, "--junit"), (markdown, "--markdown")):
        _check_writable(path, option)
    progress = render.Progress()
    try:
        found = compare(CompareOptions(**given, gate=limits), progress)
    finally:
        progress.done()
    if as_json:
        render.document(found)
    else:
        render.text(_text(found, most))
    try:
        if html is not None:
            _write(html, page_of(found, most), "--html")
        if found.gate is not None and junit is not None:
            _write(junit, gate_report.junit(found, found.gate), "--junit")
        if found.gate is not None and markdown is not None:
            _write(markdown, gate_report.markdown(found, found.gate), "--markdown")
    finally:
        # A disk that fills up takes the report, not the verdict.
        if found.gate is not None:
            gate_report.check_gate(found.gate)


def _check_writable(path: Path | None, option: str) -> None:
    """Refuse a place for a report before minutes of work go into it."""
    if path is None:
        return
    there = path.exists()
    try:
        path.open("ab").close()
        if not there:
            path.unlink()
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", place=option) from None


def _write(path: Path, page: str, option: str) -> None:
    try:
        path.write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", place=option) from None
    render.say(f"wrote {path}")


def _text(found: Comparison, most: int) -> str:
    parts = [f"baseline {found.a}\nnew      {found.b}", _summary(found)]
    if found.layers and most:
        parts.append(_layers(found, most))
    if found.unmatched:
        parts.append(_unmatched(found))
    if found.gate is not None:
        parts.append(_gate(found.gate))
    parts += [words.sentence(note) for note in found.notes]
    return "\n\n".join(parts)


def _summary(found: Comparison) -> str:
    quality = found.quality
    change = (
        f"{words.points(quality.difference * _PERCENT)} pp "
        f"({words.points(quality.low * _PERCENT)} to {words.points(quality.high * _PERCENT)})"
    )
    rows = [
        [quality.metric, words.percent(quality.a), words.percent(quality.b), change],
        ["size", words.size(found.size_bytes.a), words.size(found.size_bytes.b),
         words.change(found.size_bytes.a, found.size_bytes.b)],
        ["zipped", words.size(found.zip_bytes.a), words.size(found.zip_bytes.b),
         words.change(found.zip_bytes.a, found.zip_bytes.b)],
        ["MACs", words.count(found.macs.a), words.count(found.macs.b),
         words.change(found.macs.a, found.macs.b)],
    ]  # fmt: skip
    if found.latency_ratio is not None:
        ratio = found.latency_ratio
        spread = f"{words.speed(1.0, ratio.median)} ({ratio.low:.2f} to {ratio.high:.2f})"
        rows.append(["latency here", "1", f"{ratio.median:.2f}", spread])
    table = render.table(["", "baseline", "new", "change"], rows, right="lrrl")
    paired = "paired " if quality.paired else ""
    return f"{table}\n\n{words.count(quality.n)} samples; {paired}95 % intervals in brackets."


def _layers(found: Comparison, most: int) -> str:
    rows = [
        [
            str(error.index),
            short_name(error.name, _NAME_CHARS),
            error.op[:_OP_CHARS],
            harm(error.output_sqnr_db),
            decibel(error.output_sqnr_db),
            decibel(error.sqnr_db),
            f"{error.worst_channel}/{error.channels}",
        ]
        for error in found.layers[:most]
    ]
    headers = ["#", "layer", "operation", "harm", "dB", "own dB", "worst"]
    count = f"{len(rows)} of {len(found.layers)} layers, worst first"
    return (
        f"{render.table(headers, rows, right='rllrrrr')}\n\n"
        f"{count}, on {words.count(found.layer_samples)} samples.\n"
        "harm: change of the output when this layer alone is the new model's, and as\n"
        "signal over noise; own dB: of the layer on the same inputs, channels weighing\n"
        "equally; worst: channel with the least."
    )


def _unmatched(found: Comparison) -> str:
    lines = [
        f"  {'baseline' if entry.file == 'a' else 'new'}: {short_name(entry.name)} "
        f"({entry.op}): {entry.reason}"
        for entry in found.unmatched
    ]
    return "In no layer:\n" + "\n".join(lines)


def _gate(result: GateResult) -> str:
    rows = [
        [gate_report.title(c), gate_report.limit(c), gate_report.found(c), c.verdict]
        for c in result.checks
    ]
    table = render.table(["check", "limit", "found", "verdict"], rows)
    reasons = [
        textwrap.fill(
            f"{gate_report.title(c)}: {c.reason}", 80, initial_indent="  ", subsequent_indent="    "
        )
        for c in result.checks
        if c.verdict != "pass"
    ]
    return "\n".join([f"Gate: {result.verdict}", table, *reasons])
