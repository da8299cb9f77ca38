"""How many units each group keeps: the least rise of the loss at a price. Decisions alone.

The rises of the groups are added up, while the price is asked for all groups together: what a
channel costs depends on the channels of the layers around it, and kernels pay for whole tiles.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

Counts = tuple[int, ...]
Price = Callable[[Counts], float]

# A step of the price at one more unit counts as one from this multiple of the mean step on.
_STEP = 1.5
# In groups of more multiples than this the multiples alone are close enough to each other.
_FEW = 8
# A rise of less than this share of the greatest is none.
_FREE = 0.01
# More counts than this differ by less than the loss can be told.
_MOST_COUNTS = 24
# Up to so many combinations all are tried.
_EXHAUSTIVE = 2_000
_MOST_QUESTIONS = 40_000


@dataclass(frozen=True, slots=True)
class Curve:
    """What a group may keep and what that does to the loss.

    Attributes:
        counts: units that may be left, rising; the last is all of them.
        rises: of the loss at each count; 0 at the last, and never less at fewer units.
    """

    counts: Counts
    rises: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Widths:
    """A choice.

    Attributes:
        counts: units that each group keeps.
        rise: of the loss, as the curves have it.
        share: the price.
    """

    counts: Counts
    rise: float
    share: float


def candidates(
    size: int, least: int, multiple: int, price: Callable[[int], float] | None
) -> Counts:
    """Counts of units that are worth a thought, rising, all of them among these.

    Args:
        size: units of the group.
        least: that it keeps.
        multiple: of units that kernels like.
        price: by the number of units; in groups of a few multiples counts past which it steps up
            are taken too, and a group no greater than the multiple goes by halves of it. None for
            multiples alone.
    """
    while price is not None and multiple >= size and multiple > 1:
        multiple //= 2
    found = {count for count in range(least, size) if count % multiple == 0}
    if price is not None and multiple > 1 and least < size <= _FEW * multiple:
        prices = [price(count) for count in range(least, size + 1)]
        most = _STEP * (prices[-1] - prices[0]) / (size - least)
        found |= {
            least + i
            for i, (here, more) in enumerate(pairwise(prices))
            if more - here > max(most, 0.0)
        }
    return _thinned([*sorted(found), size])


def balanced(curves: Sequence[Curve], price: Price, share: float) -> Widths:
    """The widths of `search` with no group cut deeper than the price as a whole, if that can be.

    A group may lose more where that raises no loss.

    Rises are measured one group at a time, and stop growing once a group is ruined: their sum would
    have a few groups ruined rather than all cut a little. From that training does not recover.
    """
    whole = price(tuple(curve.counts[-1] for curve in curves))
    found = search([_no_deeper(curve, share / whole) for curve in curves], price, share)
    return found if found.share <= share else search(curves, price, share)


def _no_deeper(curve: Curve, ratio: float) -> Curve:
    most = ratio * curve.counts[-1]
    within = [i for i, count in enumerate(curve.counts) if count <= most]
    free = [i for i, rise in enumerate(curve.rises) if rise <= _FREE * curve.rises[0]]
    first = min(free[0], within[-1] if within else 0)
    return Curve(curve.counts[first:], curve.rises[first:])


def search(curves: Sequence[Curve], price: Price, share: float) -> Widths:
    """The widths with the least rise whose price is at most `share`, as far as it is found.

    A few groups are tried in all ways. Otherwise two searches are made, from all units downwards
    and from the fewest upwards, each by the best ratio of rise to price and then by exchanges;
    the better end counts. Where no widths are cheap enough, the cheapest are given.

    Args:
        curves: of the groups, in the order of the price's counts.
        price: of widths; asked up to some ten thousand times.
        share: that may be left.
    """
    table = _Table(curves, price)
    ways = math.prod(len(curve.counts) for curve in curves)
    if ways <= _EXHAUSTIVE:
        found = product(*(range(len(curve.counts)) for curve in curves))
        best = min(found, key=lambda at: table.rank(at, share))
    else:
        ends = (
            _exchanged(table, start, share) for start in (_down(table, share), _up(table, share))
        )
        best = min(ends, key=lambda at: table.rank(at, share))
    return Widths(table.counts(best), table.rise(best), table.price(best))


_At = tuple[int, ...]


class _Table:
    """Rises and prices by the place of each group on its curve; prices are asked once."""

    def __init__(self, curves: Sequence[Curve], price: Price) -> None:
        self.curves = curves
        self._ask = price
        self._known: dict[_At, float] = {}

    @property
    def exhausted(self) -> bool:
        return len(self._known) >= _MOST_QUESTIONS

    def counts(self, at: _At) -> Counts:
        return tuple(curve.counts[i] for curve, i in zip(self.curves, at, strict=True))

    def rise(self, at: _At) -> float:
        return sum(curve.rises[i] for curve, i in zip(self.curves, at, strict=True))

    def price(self, at: _At) -> float:
        if at not in self._known:
            self._known[at] = self._ask(self.counts(at))
        return self._known[at]

    def rank(self, at: _At, share: float) -> tuple[float, float, float]:
        """Less is better: what is over the price, the rise, the price."""
        price = self.price(at)
        return max(0.0, price - share), self.rise(at), price


def _down(table: _Table, share: float) -> _At:
    """From all units: the move with the least rise for what it saves, until the price is met."""
    at: _At = tuple(len(curve.counts) - 1 for curve in table.curves)
    ratios = dict.fromkeys(range(len(at)), -math.inf)
    moves: dict[int, _At] = {}
    while ratios and table.price(at) > share:
        # What a move saves changes little by another group's: only the best is asked for anew.
        group = min(ratios, key=ratios.__getitem__)
        found = _cheapest(table, at, group)
        if found is None:
            del ratios[group]
            continue
        ratio, moves[group] = found
        stale = ratio > ratios[group]
        ratios[group] = ratio
        if stale and ratio > min(ratios.values()):
            continue
        at = moves[group]
        ratios[group] = -math.inf
    return at


def _cheapest(table: _Table, at: _At, group: int) -> tuple[float, _At] | None:
    """The move of a group to fewer units with the least rise for what it saves."""
    rise, price = table.rise(at), table.price(at)
    found = [
        ((table.rise(to) - rise) / (price - table.price(to)), to)
        for to in _others(at, group, range(at[group]))
        if table.price(to) < price
    ]
    return min(found, default=None)


def _up(table: _Table, share: float) -> _At:
    """From the fewest units: the move that lowers the loss most for its price, while it is met."""
    at: _At = (0,) * len(table.curves)
    while table.price(at) <= share and not table.exhausted:
        rise, price = table.rise(at), table.price(at)
        found = [
            ((table.rise(to) - rise) / max(table.price(to) - price, 1e-9), to)
            for group in range(len(at))
            for to in _others(at, group, range(at[group] + 1, len(table.curves[group].counts)))
            if table.price(to) <= share and table.rise(to) < rise
        ]
        if not found:
            break
        at = min(found)[1]
    return at


def _exchanged(table: _Table, at: _At, share: float) -> _At:
    """Improved by raising a group, and lowering another where the price asks for it."""
    while not table.exhausted:
        best = min(_neighbours(table, at, share), key=lambda to: table.rank(to, share), default=at)
        if table.rank(best, share) >= table.rank(at, share):
            return at
        at = best
    return at


def _neighbours(table: _Table, at: _At, share: float) -> Iterator[_At]:
    """Widths with one group changed, and with one wider and another as narrow as that asks for."""
    for group, curve in enumerate(table.curves):
        yield from _others(at, group, (i for i in range(len(curve.counts)) if i != at[group]))
        if at[group] + 1 == len(curve.counts):
            continue
        (wider,) = _others(at, group, (at[group] + 1,))
        for other in range(len(at)):
            if other == group or table.exhausted:
                continue
            lower = _others(wider, other, range(at[other] - 1, -1, -1))
            met = next((to for to in lower if table.price(to) <= share), None)
            if met is not None:
                yield met


def _others(at: _At, group: int, places: Iterable[int]) -> Iterator[_At]:
    return ((*at[:group], i, *at[group + 1 :]) for i in places)


def _thinned(counts: Sequence[int]) -> Counts:
    """At most so many, evenly, the first and the last among them."""
    if len(counts) <= _MOST_COUNTS:
        return tuple(counts)
    last = len(counts) - 1
    return tuple(counts[round(i * last / (_MOST_COUNTS - 1))] for i in range(_MOST_COUNTS))
