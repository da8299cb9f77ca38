"""A sample as the columns that figures are computed from.

What a device sends is believed within the bounds of this module only: figures beyond them are kept
in the record but never counted, so that no device can spoil the sums of the others.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from green_edge_wire.latency import LatencyHistogram
from green_edge_wire.telemetry import Boundary, EnergyReading, Event, MeterKind, Sample

FLAG_IMPLAUSIBLE: Final = "implausible"  # outside of what a device of this kind can spend or do

# A megajoule in one window is an hour at 278 W; a terajoule-scale boot does not exist either. The
# bounds also keep the sums of millions of windows inside of 64 bits.
_MAX_WINDOW_UJ = 10**12
_MAX_BOOT_UJ = 10**16
_MAX_WINDOW_NS = 10**15
_MAX_INFERENCES = 10**9
_MAX_ERRORS = 10**9
# A record each second for thirty years.
_MAX_LOST = 10**9
_MAX_U_RATIO = 10.0

# Before it (September 2020) no clock was ever set: boards without a clock chip start in 1970 or
# at the date of their image.
_CLOCK_SET_UNIX_MS = 1_600_000_000_000


@dataclass(frozen=True, slots=True, order=True)
class MeterId:
    """A source of energy figures; figures of unlike ones never add."""

    meter: str
    boundary: Boundary
    kind: MeterKind


@dataclass(frozen=True, slots=True)
class EnergyWindow:
    """One meter's energy of one window, ready to be summed.

    Attributes:
        u_uj: half-width of the expanded uncertainty (k=2), whole microjoules so that sums do not
            depend on their order.
        inferences: that ended in the window.
        valid: whether anything but `cumulative_uj` may be counted.
    """

    source: MeterId
    window_ns: int
    energy_uj: int
    cumulative_uj: int
    idle_uj: int | None
    u_uj: int
    inferences: int
    valid: bool
    flags: tuple[str, ...]

    @property
    def implausible(self) -> bool:
        """Whether not even `cumulative_uj` is believed; then all figures are 0."""
        return FLAG_IMPLAUSIBLE in self.flags


@dataclass(frozen=True, slots=True)
class Done:
    """What a sample's artefact did in the window, as far as it is believed."""

    latency: LatencyHistogram
    errors: int


def done(sample: Sample) -> Done:
    """Columns of a sample's work; nothing where its counts cannot be."""
    if not _countable(sample):
        return Done(LatencyHistogram(), 0)
    return Done(sample.latency, sample.errors)


def believed_first_kept_seq(said_seq: int) -> int:
    """Lowest record that a spool still holds; 1, which gives nothing up, where that cannot be.

    One made-up figure would else tell of more lost records than a fleet ever makes.
    """
    return said_seq if said_seq <= _MAX_LOST else 1


def implausible(record: Sample | Event) -> bool:
    """Whether a record claims what cannot be, and counts for less than it says."""
    if believed_first_kept_seq(record.first_kept_seq) != record.first_kept_seq:
        return True
    if not isinstance(record, Sample):
        return False
    return not _countable(record) or any(row.implausible for row in energy_windows(record))


def energy_windows(sample: Sample) -> tuple[EnergyWindow, ...]:
    """Columns of a sample's readings; of several by one meter the first counts."""
    inferences, countable = sample.latency.count, _countable(sample)
    rows: dict[MeterId, EnergyWindow] = {}
    for reading in sample.energy:
        source = MeterId(reading.meter, reading.boundary, reading.kind)
        if countable and _plausible(reading):
            row = _believed(source, reading, inferences)
        else:
            flags = _words((*reading.flags, FLAG_IMPLAUSIBLE))
            # Its cumulative figure is none either: what comes after grows from the one before it.
            row = EnergyWindow(source, 0, 0, 0, None, 0, 0, valid=False, flags=flags)
        rows.setdefault(source, row)
    return tuple(rows.values())


def moment_unix_ms(said_unix_ms: int, received_unix_ms: int) -> int:
    """When a window ended: the device's word where its clock can be right, else the arrival.

    Replayed records carry an old time rightly; a time in the future or before any clock was set is
    a wrong clock.
    """
    believable = _CLOCK_SET_UNIX_MS <= said_unix_ms <= received_unix_ms
    return said_unix_ms if believable else received_unix_ms


def _believed(source: MeterId, reading: EnergyReading, inferences: int) -> EnergyWindow:
    return EnergyWindow(
        source=source,
        window_ns=reading.window_ns,
        energy_uj=reading.energy_uj,
        cumulative_uj=reading.cumulative_uj,
        idle_uj=reading.idle_uj,
        u_uj=round(reading.u_ratio * reading.energy_uj),
        inferences=inferences,
        valid=reading.valid,
        flags=_words(reading.flags),
    )


def _words(flags: Iterable[str]) -> tuple[str, ...]:
    """Distinct flags, without the characters that separate them in a store."""
    return tuple(sorted({word for flag in flags for word in flag.replace(",", " ").split()}))


def _countable(sample: Sample) -> bool:
    return sample.latency.count <= _MAX_INFERENCES and sample.errors <= _MAX_ERRORS


def _plausible(reading: EnergyReading) -> bool:
    return (
        FLAG_IMPLAUSIBLE not in _words(reading.flags)
        and 0 <= reading.energy_uj <= _MAX_WINDOW_UJ
        and 0 <= reading.cumulative_uj <= _MAX_BOOT_UJ
        and 0 <= (reading.idle_uj or 0) <= _MAX_WINDOW_UJ
        and 0 <= reading.window_ns <= _MAX_WINDOW_NS
        and 0 <= reading.u_ratio <= _MAX_U_RATIO
    )
