"""Which records of a boot are there, given up, or still to come; pure rules over sequence numbers.

Records of a boot arrive in any order. One counts as given up once a message says that the spool's
lowest record is above it (`first_kept_seq`) and it is not here; should it arrive after all, it is
no longer missing.
"""

from collections.abc import Iterable
from typing import NamedTuple


class Gap(NamedTuple):
    """Records that a device gave up: first and last sequence number, both included."""

    first_seq: int
    last_seq: int

    @property
    def length(self) -> int:
        """How many records are missing."""
        return self.last_seq - self.first_seq + 1


def advance(watermark: int, first_kept_seq: int, present: Iterable[int]) -> int:
    """Highest sequence number with everything at or below it committed or given up.

    Args:
        watermark: where it stood.
        first_kept_seq: the highest that the device has sent for this boot.
        present: committed numbers above `max(watermark, first_kept_seq - 1)`, ascending; read only
            as far as they are without a hole.
    """
    reached = max(watermark, first_kept_seq - 1)
    for seq in present:
        if seq != reached + 1:
            break
        reached = seq
    return reached


def gaps_between(low_seq: int, high_seq: int, present: Iterable[int]) -> tuple[Gap, ...]:
    """Holes in [low_seq, high_seq].

    Args:
        low_seq: first number looked at.
        high_seq: last number looked at.
        present: committed numbers in that range, ascending.
    """
    found = []
    expected = low_seq
    for seq in present:
        if seq > expected:
            found.append(Gap(expected, seq - 1))
        expected = seq + 1
    if expected <= high_seq:
        found.append(Gap(expected, high_seq))
    return tuple(found)


def without(gap: Gap, seq: int) -> tuple[Gap, ...]:
    """What is left of a gap when the record `seq` inside of it arrives after all."""
    parts = (Gap(gap.first_seq, seq - 1), Gap(seq + 1, gap.last_seq))
    return tuple(part for part in parts if part.length > 0)
