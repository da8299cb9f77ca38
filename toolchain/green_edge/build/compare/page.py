"""A comparison as one HTML file that needs nothing else: no script, no font, no network."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from green_edge.build import words
from green_edge.build.compare import gate_report
from green_edge.build.compare.values import Comparison
from green_edge.build.compare.words import decibel, error_percent, harm
from green_edge.build.words import short_name
from green_edge.evaluate.layers import MOST_DB, LayerError

_TEMPLATE = "comparison.html.j2"
_WIDTH = 820
_LEFT = 250
_RIGHT = 70
_ROW = 26
_TOP = 8
_PLOT_LEFT = 44
_PLOT_RIGHT = 16
_PLOT_HEIGHT = 220
_TICK_DB = 20


@dataclass(frozen=True, slots=True)
class Bar:
    """Harm of one layer as a bar."""

    label: str
    op: str
    y: float
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class Bars:
    """Harm of the worst layers."""

    bars: tuple[Bar, ...]
    height: int
    width: int = _WIDTH
    left: int = _LEFT


@dataclass(frozen=True, slots=True)
class Point:
    """A layer's two figures in pixels."""

    title: str
    x: float
    own_y: float
    harm_y: float
    worst: bool


@dataclass(frozen=True, slots=True)
class Plot:
    """Figures of all layers in the model's order; lines as the `points` of an SVG polyline."""

    points: tuple[Point, ...]
    own: str
    harm: str
    ticks: tuple[tuple[float, str], ...]
    left: int = _PLOT_LEFT
    right: int = _WIDTH - _PLOT_RIGHT
    bottom: int = _PLOT_HEIGHT
    width: int = _WIDTH
    height: int = _PLOT_HEIGHT + 26


def render(comparison: Comparison, most: int) -> str:
    """Write the comparison for a reader who has not seen the tool before.

    Args:
        comparison: what was found.
        most: layers to list.
    """
    environment = Environment(
        loader=PackageLoader("green_edge.build.compare"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    listed = comparison.layers[:most]
    page: str = environment.get_template(_TEMPLATE).render(
        comparison=comparison,
        listed=listed,
        bars=bars(listed),
        plot=plot(comparison.layers),
        words=words,
        gate=gate_report,
        metric=words.metric(comparison.quality.metric),
        short_name=short_name,
        decibel=decibel,
    )
    return page


def bars(layers: Sequence[LayerError]) -> Bars:
    """Lay the layers out below one another, the harm as length."""
    errors = [error_percent(layer.output_sqnr_db) for layer in layers]
    scale = (_WIDTH - _LEFT - _RIGHT) / max([*errors, 1e-9])
    laid = tuple(
        Bar(
            label=short_name(layer.name),
            op=layer.op,
            y=_TOP + _ROW * i,
            width=round(error * scale, 1),
            text=harm(layer.output_sqnr_db),
        )
        for i, (layer, error) in enumerate(zip(layers, errors, strict=True))
    )
    return Bars(laid, _TOP * 2 + _ROW * len(laid))


def plot(layers: Sequence[LayerError]) -> Plot:
    """Place every layer by its place in the model and its ratios; no error is the top."""
    ordered = sorted(layers, key=lambda layer: layer.index)
    shown = [v for e in layers for v in (e.sqnr_db, e.output_sqnr_db) if v < MOST_DB]
    high = _TICK_DB * math.ceil((max(shown, default=1.0) + 1) / _TICK_DB)
    low = _TICK_DB * math.floor(min([*shown, 0.0]) / _TICK_DB)
    step = (_WIDTH - _PLOT_LEFT - _PLOT_RIGHT) / max(len(ordered), 1)

    def y(value: float) -> float:
        inside = min(value, high)
        return round(_TOP + (high - inside) / (high - low) * (_PLOT_HEIGHT - _TOP), 1)

    worst = {layer.index for layer in layers[:1]}
    points = tuple(
        Point(
            title=f"{short_name(e.name)} ({e.op}): own {decibel(e.sqnr_db)} dB, "
            f"at the output {decibel(e.output_sqnr_db)} dB",
            x=round(_PLOT_LEFT + (i + 0.5) * step, 1),
            own_y=y(e.sqnr_db),
            harm_y=y(e.output_sqnr_db),
            worst=e.index in worst,
        )
        for i, e in enumerate(ordered)
    )
    return Plot(
        points=points,
        own=_line(points, lambda p: p.own_y),
        harm=_line(points, lambda p: p.harm_y),
        ticks=tuple((y(v), f"{v}") for v in range(low, high + 1, _TICK_DB)),
    )


def _line(points: Sequence[Point], height: Callable[[Point], float]) -> str:
    return " ".join(f"{point.x},{height(point)}" for point in points)
