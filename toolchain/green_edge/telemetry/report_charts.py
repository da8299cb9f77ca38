"""Geometry of the report's bar charts: numbers to places, no drawing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from green_edge.telemetry import words
from green_edge.telemetry.store import Figure
from green_edge_wire.telemetry import Boundary, MeterKind
from green_edge_wire.units import NS_PER_MS, NS_PER_US, mj_from_uj

WIDTH = 1000
_LABEL_WIDTH = 240
_RIGHT_MARGIN = 20
_TOP = 10
_ROW_HEIGHT = 40
_LABEL_CHARS = 32
_MOST_TICKS = 5


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a chart; all x in pixels.

    Attributes:
        x: end of the bar.
        low_x: left end of its whisker, and `high_x` the right one; equal to `x` for none.
        inner_x: end of the darker bar inside, such as net in gross; absent for none.
        value: what stands behind the bar.
    """

    label: str
    detail: str
    y: float
    x: float
    low_x: float
    high_x: float
    inner_x: float | None
    value: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars over one axis that begins at zero."""

    title: str
    detail: str
    unit: str
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    height: float
    modelled: bool = False
    width: int = WIDTH
    left: int = _LABEL_WIDTH

    @property
    def bottom(self) -> float:
        """Where the bars end and the axis is."""
        return _TOP + _ROW_HEIGHT * len(self.bars)


def energy_charts(rows: Sequence[Figure]) -> tuple[Chart, ...]:
    """One chart for each boundary and kind, because unlike figures share no axis."""
    kinds = {(r.kind, r.boundary) for r in rows if r.kind and r.boundary and _gross(r)}
    order = list(words.KINDS)
    return tuple(
        _energy_chart([r for r in rows if (r.kind, r.boundary) == pair and _gross(r)], *pair)
        for pair in sorted(kinds, key=lambda pair: (order.index(pair[0]), pair[1]))
    )


def latency_chart(rows: Sequence[Figure]) -> Chart | None:
    """Median latency with a whisker to p99; None when nothing ran."""
    subjects = {(r.device_id, r.model, r.model_version, r.artifact_sha256): r for r in rows}
    timed = [
        (row, _ms(row.p50_us), _ms(row.p95_us), _ms(row.p99_us))
        for row in subjects.values()
        if row.p50_us is not None and row.p95_us is not None and row.p99_us is not None
    ]
    if not timed:
        return None
    scale = _Scale(max(p99 for *_, p99 in timed))
    bars = tuple(
        _bar(
            row,
            place,
            x=scale.x(p50),
            whisker=(scale.x(p50), scale.x(p99)),
            value=f"{words.digits(p50)} / {words.digits(p95)} / {words.digits(p99)} ms",
        )
        for place, (row, p50, p95, p99) in enumerate(timed)
    )
    return _chart("Latency", "bar: p50; line: to p99; figures: p50 / p95 / p99", "ms", bars, scale)


def _energy_chart(rows: Sequence[Figure], kind: MeterKind, boundary: Boundary) -> Chart:
    grosses_mj = [mj_from_uj(_gross(row)) for row in rows]
    spreads_mj = [g * (row.u_ratio or 0.0) for g, row in zip(grosses_mj, rows, strict=True)]
    scale = _Scale(max(g + s for g, s in zip(grosses_mj, spreads_mj, strict=True)))
    bars = tuple(
        _bar(
            row,
            place,
            x=scale.x(gross),
            whisker=(scale.x(max(gross - spread, 0.0)), scale.x(gross + spread)),
            value=f"{words.gross_mj(row)} mJ",
            inner_x=_net_x(row, scale),
        )
        for place, (row, gross, spread) in enumerate(zip(rows, grosses_mj, spreads_mj, strict=True))
    )
    detail = f"{words.KINDS[kind]}; covers {words.BOUNDARIES[boundary]}"
    title = f"Energy per inference: {words.pedigree(kind, boundary)}"
    return _chart(title, detail, "mJ", bars, scale, modelled=kind == "modelled")


def _chart(
    title: str,
    detail: str,
    unit: str,
    bars: tuple[Bar, ...],
    scale: "_Scale",
    *,
    modelled: bool = False,
) -> Chart:
    height = _TOP + _ROW_HEIGHT * len(bars) + 24
    return Chart(title, detail, unit, bars, scale.ticks(), height, modelled)


def _bar(
    row: Figure,
    place: int,
    *,
    x: float,
    whisker: tuple[float, float],
    value: str,
    inner_x: float | None = None,
) -> Bar:
    return Bar(
        label=words.shorten(row.device_id, _LABEL_CHARS),
        detail=words.shorten(words.model(row), _LABEL_CHARS),
        y=_TOP + _ROW_HEIGHT * place,
        x=x,
        low_x=whisker[0],
        high_x=whisker[1],
        inner_x=inner_x,
        value=value,
    )


class _Scale:
    """From values to pixels, with a round step between ticks."""

    def __init__(self, highest: float) -> None:
        self._step = _round_step(highest / _MOST_TICKS) if highest > 0 else 1.0
        self._top = self._step * max(1, math.ceil(highest / self._step - 1e-9))

    def x(self, value: float) -> float:
        room = WIDTH - _LABEL_WIDTH - _RIGHT_MARGIN
        return round(_LABEL_WIDTH + room * value / self._top, 1)

    def ticks(self) -> tuple[Tick, ...]:
        count = round(self._top / self._step)
        values = (self._step * n for n in range(count + 1))
        return tuple(Tick(self.x(value), f"{value:,.6g}") for value in values)


def _round_step(at_least: float) -> float:
    power = 10.0 ** math.floor(math.log10(at_least))
    return next(power * n for n in (1, 2, 5, 10) if power * n >= at_least * (1 - 1e-9))


def _gross(row: Figure) -> float:
    return row.energy_uj_per_inference or 0.0


def _net_x(row: Figure, scale: _Scale) -> float | None:
    net_uj = row.net_uj_per_inference
    return None if net_uj is None or net_uj < 0 else scale.x(mj_from_uj(net_uj))


def _ms(duration_us: float) -> float:
    return duration_us * NS_PER_US / NS_PER_MS
