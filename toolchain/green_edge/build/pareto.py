"""Geometry of the plot of a search: predicted cost against drop of quality, a point a trial."""

from dataclasses import dataclass

from green_edge.build.charts import Tick, ticks
from green_edge.core.report import SearchReport, TrialReport

WIDTH, HEIGHT = 820, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 14, 44
_PADDING = 0.06
_PERCENT = 100.0
# Drops far beyond what is allowed are drawn at the edge, so that the others keep their room.
_MOST_OF_LIMIT = 4.0


@dataclass(frozen=True, slots=True)
class Point:
    """A trial in pixels.

    Attributes:
        kind: `chosen`, `front` where no other trial is both cheaper and better, else `other`.
        beyond: its drop is greater than the plot goes.
    """

    label: str
    kind: str
    x: float
    y: float
    low_y: float
    high_y: float
    beyond: bool


@dataclass(frozen=True, slots=True)
class Plot:
    """Everything that the template draws; y grows downwards as the drop does upwards."""

    points: tuple[Point, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    limit_y: float
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = HEIGHT - _BOTTOM


def plot(search: SearchReport, max_drop_pp: float) -> Plot | None:
    """Lay the trials of a search out; None where none gave a model."""
    made = [trial for trial in search.trials if trial.guard is not None]
    if not made:
        return None
    most = _MOST_OF_LIMIT * max(max_drop_pp, 0.5)
    shares = [(trial.share or 1.0) * _PERCENT for trial in made]
    drops = [min(trial.guard.high_pp, most) for trial in made if trial.guard is not None]
    lows = [min(trial.guard.low_pp, most) for trial in made if trial.guard is not None]
    x_ends = _widened(min(shares), max(shares))
    y_ends = _widened(min(0.0, *lows), max(max_drop_pp, *drops))

    def x(value: float) -> float:
        low, high = x_ends
        return round(_LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        low, high = y_ends
        part = (min(value, most) - low) / (high - low)
        return round(HEIGHT - _BOTTOM - part * (HEIGHT - _TOP - _BOTTOM), 1)

    points = []
    for trial, share in zip(made, shares, strict=True):
        guard = trial.guard
        if guard is not None:
            ends = (y(guard.drop_pp), y(guard.low_pp), y(guard.high_pp))
            kind = _kind(trial, search.chosen)
            points.append(Point(trial.name, kind, x(share), *ends, beyond=guard.drop_pp > most))
    return Plot(
        points=tuple(points),
        x_ticks=tuple(Tick(x(value), text) for value, text in ticks(*x_ends)),
        y_ticks=tuple(Tick(y(value), text) for value, text in ticks(*y_ends)),
        limit_y=y(max_drop_pp),
    )


def _kind(trial: TrialReport, chosen: str | None) -> str:
    if trial.name == chosen:
        return "chosen"
    return "front" if trial.front else "other"


def _widened(low: float, high: float) -> tuple[float, float]:
    margin = (high - low) * _PADDING or 1.0
    return low - margin, high + margin
