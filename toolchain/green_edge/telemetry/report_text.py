"""The report for a terminal of 80 columns, and as CSV."""

import csv
import dataclasses
import io
from collections.abc import Callable, Sequence

from green_edge.telemetry import words
from green_edge.telemetry.report import Report, Totals
from green_edge.telemetry.store import Figure
from green_edge_wire import codec

Layout = Callable[[Sequence[str], Sequence[Sequence[str]]], str]

HEADERS = ("device", "model", "runs", "p50/p95 ms", "gross mJ", "net mJ", "kind")
ALIGN = "llrrrrl"
WIDTH = 80
_GAP = 2
_SHORTEST = 8


def cells(rows: Sequence[Figure], width: int = WIDTH) -> list[tuple[str, ...]]:
    """Cells of the table, names cut so that its lines fit into `width` where that can be."""
    lines = [_cells(row) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(HEADERS, *lines, strict=True)]
    room = width - sum(widths[2:]) - _GAP * (len(HEADERS) - 1)
    model_width = min(widths[1], max(room - min(widths[0], room // 2), _SHORTEST))
    device_width = max(room - model_width, _SHORTEST)
    return [
        (words.shorten(device, device_width), words.shorten(model, model_width), *rest)
        for device, model, *rest in lines
    ]


def notes(report: Report) -> list[str]:
    """Lines below the table: totals, where figures come from, what is missing or odd."""
    lines = [_total_line(report.totals)]
    lines += [
        f"energy in all: {words.energy(total.energy_uj, total.kind)}"
        f" ({total.kind}, {total.boundary}) on {_devices(total.devices)}"
        for total in report.totals.energy
    ]
    named = {
        (words.clean(row.meter), row.kind, row.boundary)
        for row in report.rows
        if row.meter and row.kind and row.boundary
    }
    lines += [
        f"{meter}: {words.KINDS[kind]}; {words.BOUNDARIES[boundary]}"
        for meter, kind, boundary in sorted(named)
    ]
    flags = sorted({flag for row in report.rows for flag in row.flags})
    lines += [f"{words.clean(flag)}: {words.FLAGS.get(flag, 'see the device')}" for flag in flags]
    if report.totals.energy:
        lines.append("gross: all energy of the windows over their inferences; net: without idle")
    return lines


def csv_text(report: Report) -> str:
    """One line a row, the keys of `--json` as header, an empty cell where a key is absent."""
    names = [field.name for field in dataclasses.fields(Figure)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in report.rows:
        values = (getattr(row, name) for name in names)
        writer.writerow([" ".join(v) if isinstance(v, tuple) else v for v in values])
    return text.getvalue()


def json_text(report: Report) -> str:
    """The document that `--json` prints."""
    return codec.dumps(report, indent=2)


def _cells(row: Figure) -> tuple[str, ...]:
    latency = f"{words.milliseconds(row.p50_us)}/{words.milliseconds(row.p95_us)}"
    return (
        row.device_id,
        f"{words.clean(row.model)} {row.model_version}" if row.model else words.NOTHING,
        words.count(row.inferences),
        latency if row.inferences else words.NOTHING,
        words.gross_mj(row),
        words.net_mj(row),
        row.kind or words.NOTHING,
    )


def _total_line(totals: Totals) -> str:
    parts = [f"{words.count(totals.inferences)} inferences on {_devices(totals.devices)}"]
    if totals.errors:
        parts.append(f"{words.count(totals.errors)} failed")
    if totals.windows_missing:
        parts.append(f"{words.count(totals.windows_missing)} windows missing")
    return ", ".join(parts)


def _devices(number: int) -> str:
    return f"{number} device" if number == 1 else f"{number} devices"
