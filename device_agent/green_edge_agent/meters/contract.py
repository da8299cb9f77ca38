"""What every power source looks like to the rest of the agent.

Three sorts of reading are three types, because each is integrated by a rule of its own:

- `Count`: an endless energy counter (RAPL, INA228, an energy meter in a plug). Energy is a
  difference; the moments between two reads are interpolated.
- `Mean`: mean power of an interval that is over (INA226 with averaging, a USB power meter, a
  stream that its driver has condensed). Energy is the sum of power times overlap.
- `Point`: power at one moment (INA219, the PMIC of a Raspberry Pi 5). Energy is the trapezoid rule.

A meter stamps its readings itself, so sources that are polled and sources that push (serial, USB
HID, MQTT) fit the same interface: `read` hands over all that is new. Reading never sleeps longer
than the source's own update.
"""

import math
from dataclasses import dataclass
from typing import Protocol

from green_edge_wire.device import MeterInfo

# At this ratio and beyond a figure says nothing more; the wire has no infinity.
MAX_U_RATIO = 10.0


@dataclass(frozen=True, slots=True)
class Count:
    """A reading of an energy counter whose wraps are already undone.

    Attributes:
        at_ns: moment of the value on the monotonic clock.
        half_span_ns: half the time that the read took; the value is from within it.
        total_uj: energy since some origin; never less than in the reading before.
        flags: FLAG_ constants that hold for the time since the reading before.
    """

    at_ns: int
    half_span_ns: int
    total_uj: int
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean power from `start_ns` to `end_ns` on the monotonic clock.

    Intervals of successive readings follow each other; a hole between them is a loss.
    """

    start_ns: int
    end_ns: int
    power_uw: int
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """Power at the moment `at_ns` on the monotonic clock, known to `half_span_ns`."""

    at_ns: int
    half_span_ns: int
    power_uw: int
    flags: tuple[str, ...] = ()


Reading = Count | Mean | Point


@dataclass(frozen=True, slots=True)
class ErrorBudget:
    """Expanded uncertainty (k=2) of a meter's power: a share of the reading and a fixed part.

    Attributes:
        gain_ratio: error in proportion to the reading; cancels in a ratio of two figures of the
            same meter.
        offset_uw: error that does not depend on the reading; does not cancel.
    """

    gain_ratio: float
    offset_uw: int = 0

    def ratio_at(self, power_uw: float) -> float:
        """Relative expanded uncertainty at a power, at most MAX_U_RATIO."""
        if self.offset_uw == 0:
            return min(self.gain_ratio, MAX_U_RATIO)
        if power_uw <= 0:
            return MAX_U_RATIO
        return min(math.hypot(self.gain_ratio, self.offset_uw / power_uw), MAX_U_RATIO)


class Meter(Protocol):
    """A source of power or energy figures. One thread at a time reads it."""

    @property
    def info(self) -> MeterInfo:
        """What the source is and covers; `refusal` is None."""
        ...

    @property
    def budget(self) -> ErrorBudget:
        """How sure its figures are."""
        ...

    @property
    def period_ns(self) -> int:
        """Time between two reads that loses nothing of what the source can tell."""
        ...

    @property
    def idle_uw(self) -> int | None:
        """Power of the machine without work as far as the source itself knows; only models do."""
        ...

    def read(self) -> tuple[Reading, ...]:
        """Hand over the readings since the last call, oldest first, all of the sort of `info.kind`.

        The last one reaches to the moment of the call, so that a window can be closed by a read.
        A `modelled` source gives `Mean` readings.

        Raises:
            MeterReadError: the source is gone or speaks nonsense; the next call may succeed.
        """
        ...

    def close(self) -> None:
        """Give back what the source holds open; twice is once."""
        ...
