"""The report for a terminal of 80 columns, and as CSV."""

import csv
import dataclasses
import io
from collections.abc import Sequence

from green_edge.telemetry import columns, words
from green_edge.telemetry.report import Report, Totals, ordered
from green_edge.telemetry.store import Figure
from green_edge_wire import codec

HEADERS = ("device", "model", "inferences", "p50/p95 ms", "gross mJ", "net mJ", "kind")
ALIGN = "llrrrrl"


def cells(rows: Sequence[Figure], width: int = columns.WIDTH) -> list[tuple[str, ...]]:
    """Cells of the table, names cut so that its lines fit into `width`."""
    return columns.fit(HEADERS, [_cells(row) for row in ordered(rows)], width=width, names=(0, 1))


def notes(report: Report) -> list[str]:
    """Lines below the table: totals, where figures come from, what is missing or odd."""
    lines = [_total_line(report.totals)]
    lines += [
        f"energy in all: {words.energy(total.energy_uj, total.kind)}"
        f" ({words.pedigree(total.kind, total.boundary)}) on {_devices(total.devices)}"
        for total in report.totals.energy
    ]
    named = {
        (words.clean(row.meter), row.kind, row.boundary)
        for row in report.rows
        if row.meter and row.kind and row.boundary
    }
    lines += [
        f"{meter}: {words.KINDS[kind]}; covers {words.BOUNDARIES[boundary]}"
        for meter, kind, boundary in sorted(named)
    ]
    flags = sorted({flag for row in report.rows for flag in row.flags})
    lines += [f"{words.clean(flag)}: {words.FLAGS.get(flag, 'see the device')}" for flag in flags]
    if report.totals.energy:
        lines.append("gross: all energy of the windows over their inferences; net: without idle")
    return columns.wrapped(lines)


def csv_text(report: Report) -> str:
    """One line a row, the keys of `--json` as header, an empty cell where a key is absent."""
    names = [field.name for field in dataclasses.fields(Figure)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in ordered(report.rows):
        values = {name: getattr(row, name) for name in names}
        if not row.model:
            values |= {"model": words.NO_MODEL, "model_version": None}
        cells = values.values()
        writer.writerow([" ".join(cell) if isinstance(cell, tuple) else cell for cell in cells])
    return text.getvalue()


def json_text(report: Report) -> str:
    """The document that `--json` prints."""
    return codec.dumps(report, indent=2)


def _cells(row: Figure) -> tuple[str, ...]:
    latency = f"{words.milliseconds(row.p50_us)}/{words.milliseconds(row.p95_us)}"
    return (
        row.device_id,
        words.model(row),
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
