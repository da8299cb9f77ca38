"""The report: figures with their totals, as the data behind every format."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from green_edge.telemetry.store import Figure
from green_edge_wire.telemetry import Boundary, MeterKind

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class EnergyTotal:
    """Energy of all rows of one boundary and kind; totals of unlike ones do not add.

    Attributes:
        devices: on how many devices.
    """

    boundary: Boundary
    kind: MeterKind
    energy_uj: int
    devices: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the rows, each artefact of a device counted once."""

    devices: int
    inferences: int
    errors: int
    windows_missing: int
    energy: tuple[EnergyTotal, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Figures of a time, and their totals.

    Attributes:
        created_unix_ms: when the report was made.
        since_unix_ms: begin of the time asked for; absent for all there is, as the end.
    """

    created_unix_ms: int
    rows: tuple[Figure, ...]
    totals: Totals
    since_unix_ms: int | None = None
    until_unix_ms: int | None = None
    schema: int = SCHEMA


def ordered(rows: Iterable[Figure]) -> list[Figure]:
    """Rows as people read them: windows without a model stand last."""
    return sorted(rows, key=lambda row: not row.model)


def totals(rows: Iterable[Figure]) -> Totals:
    """Add up what can be added."""
    rows = tuple(rows)
    subjects = {
        (row.device_id, row.model, row.model_version, row.artifact_sha256): row for row in rows
    }.values()
    sources = sorted({(row.boundary, row.kind) for row in rows if row.boundary and row.kind})
    return Totals(
        devices=len({row.device_id for row in rows}),
        inferences=sum(row.inferences for row in subjects),
        errors=sum(row.errors for row in subjects),
        windows_missing=sum(row.windows_missing for row in subjects),
        energy=tuple(_energy(rows, boundary, kind) for boundary, kind in sources),
    )


def _energy(rows: Sequence[Figure], boundary: Boundary, kind: MeterKind) -> EnergyTotal:
    found = [row for row in rows if (row.boundary, row.kind) == (boundary, kind)]
    return EnergyTotal(
        boundary=boundary,
        kind=kind,
        energy_uj=sum(row.energy_uj or 0 for row in found),
        devices=len({row.device_id for row in found}),
    )
