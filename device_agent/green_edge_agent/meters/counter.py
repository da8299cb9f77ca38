"""An energy counter of few bits read as an endless one: wraps are undone, resets are told."""

from dataclasses import dataclass

from green_edge_wire.units import NS_PER_S, uj_from_uw_ns

# A counter is updated in steps, so a read right after another may see more than its share.
_SLACK_NS = NS_PER_S


@dataclass(frozen=True, slots=True)
class Step:
    """Energy between two reads of a counter; `reset` when it is not to be trusted."""

    delta_uj: int
    reset: bool = False


def step_between(
    before_uj: int, after_uj: int, *, wraps_at_uj: int | None, elapsed_ns: int, max_power_uw: int
) -> Step:
    """Tell a wrap from a reset by what the machine can possibly have used.

    Args:
        before_uj: earlier value.
        after_uj: later value.
        wraps_at_uj: the counter runs from 0 to below this; None when it never wraps.
        elapsed_ns: time between the reads.
        max_power_uw: no machine of this sort uses more.

    Returns:
        The difference with at most one wrap. `reset` with 0 when no wrap explains the values, and
        `reset` with the least possible energy when there was time for more than one wrap.
    """
    limit_uj = uj_from_uw_ns(max_power_uw, elapsed_ns + _SLACK_NS)
    delta_uj = after_uj - before_uj
    if delta_uj < 0 and wraps_at_uj is not None:
        delta_uj += wraps_at_uj
    if delta_uj < 0 or delta_uj > limit_uj:
        return Step(0, reset=True)
    return Step(delta_uj, reset=wraps_at_uj is not None and limit_uj >= wraps_at_uj)


class EndlessCounter:
    """Running total of one counter from its first value on."""

    def __init__(self, *, wraps_at_uj: int | None, max_power_uw: int) -> None:
        self._wraps_at_uj = wraps_at_uj
        self._max_power_uw = max_power_uw
        self._last: tuple[int, int] | None = None
        self._total_uj = 0

    @property
    def total_uj(self) -> int:
        """Energy since the first value."""
        return self._total_uj

    def advance(self, raw_uj: int, at_ns: int) -> Step:
        """Take the next value of the counter, read at `at_ns` on the monotonic clock."""
        last, self._last = self._last, (raw_uj, at_ns)
        if last is None:
            return Step(0)
        step = step_between(
            last[0],
            raw_uj,
            wraps_at_uj=self._wraps_at_uj,
            elapsed_ns=at_ns - last[1],
            max_power_uw=self._max_power_uw,
        )
        self._total_uj += step.delta_uj
        return step
