"""What a device says of its work: samples with latency and energy, and events.

Samples and events of one start of the agent share one sequence: `(device_id, boot_id, seq)` names a
record for ever, so merging is idempotent and gaps are countable.
"""

from dataclasses import dataclass, field
from typing import Literal

from green_edge_wire.errors import DecodeError
from green_edge_wire.latency import LatencyHistogram

SCHEMA = 1

MeterKind = Literal["counter", "mean", "point", "modelled"]
Boundary = Literal[
    "board-dc-in",
    "soc-rails",
    "usb-inline",
    "ac-wall",
    "cpu-package",
    "battery",
    "modelled",
    "unknown",
]

# Flags of an energy reading. A reading with one of INVALID_FLAGS is kept but never counted.
FLAG_GAP = "gap"  # the meter was silent for too long, or saw too little of the window
FLAG_STALE = "stale"  # the meter repeated itself where it should not have
FLAG_SATURATED = "saturated"  # at the end of the meter's range
FLAG_RESET = "reset"  # a counter went back further than a wrap explains
FLAG_NOT_BRACKETED = "not-bracketed"  # no reading on both sides of the window
FLAG_ASSUMED_BOARD = "assumed-board"  # modelled with coefficients of no known board
FLAG_NO_READING = "no-reading"  # the meter gave nothing in this window
FLAG_BENCH = "bench"  # another model was measured, and inference stood still
INVALID_FLAGS = frozenset(
    {
        FLAG_GAP,
        FLAG_STALE,
        FLAG_SATURATED,
        FLAG_RESET,
        FLAG_NOT_BRACKETED,
        FLAG_NO_READING,
        FLAG_BENCH,
    }
)


@dataclass(frozen=True, slots=True)
class EnergyReading:
    """Energy of one window of one meter, with how it was obtained.

    Attributes:
        meter: id of the source, such as `hwmon:ina226` or `model:pi4`.
        boundary: what the figure covers.
        kind: how the source works; `modelled` means that nothing was measured.
        window_ns: length of the window.
        energy_uj: gross energy in the window.
        u_ratio: expanded uncertainty (k=2) of `energy_uj`, relative.
        samples: readings that the figure rests on.
        lost: readings that should have been there and were not.
        idle_uj: what the same window would have cost without inference; absent while unknown.
        cumulative_uj: gross energy since the artefact became active in this boot, this window
            included: a lost record loses no joule.
        flags: see the FLAG_ constants; empty when all is well.
    """

    meter: str
    boundary: Boundary
    kind: MeterKind
    window_ns: int
    energy_uj: int
    u_ratio: float
    samples: int
    lost: int = 0
    idle_uj: int | None = None
    cumulative_uj: int = 0
    flags: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the figure may be counted."""
        return not INVALID_FLAGS.intersection(self.flags)


@dataclass(frozen=True, slots=True)
class Sample:
    """One reporting window of one artefact on one device.

    Attributes:
        boot_id: random id of this start of the agent.
        seq: position in the boot's records, from 1.
        window_start_mono_ns: on the device's monotonic clock.
        window_ns: length of the window.
        ended_at_unix_ms: end of the window on the device's wall clock, which may be wrong.
        artifact_sha256: digest of the bundle that ran; empty when none was active.
        model: name of the model that ran.
        model_version: its version.
        latency: of the inferences that ended in the window.
        errors: inferences that failed.
        cumulative_inferences: since the artefact became active in this boot, this window included.
        cut: the agent ended uncleanly in this window; what followed its last commit is lost.
        first_kept_seq: lowest seq of this boot that the spool still holds, set when sending.
        processor: what ran all inferences of the window, such as `edgetpu`; absent for the CPU.
    """

    device_id: str
    boot_id: str
    seq: int
    window_start_mono_ns: int
    window_ns: int
    ended_at_unix_ms: int
    artifact_sha256: str
    model: str
    model_version: int
    latency: LatencyHistogram
    errors: int = 0
    energy: tuple[EnergyReading, ...] = ()
    cumulative_inferences: int = 0
    cut: bool = False
    first_kept_seq: int = 1
    processor: str | None = None
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        """Refuse counts that cannot be."""
        check_position(self.seq, self.first_kept_seq)
        if min(self.window_ns, self.errors, self.cumulative_inferences) < 0:
            raise DecodeError("sample: negative count or duration")


EventKind = Literal[
    "boot", "unclean-end", "install", "refused", "rollback", "meter", "clock", "spool", "command",
    "accelerator", "error",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened on a device, in the same sequence as its samples.

    Attributes:
        kind: an `EventKind`, or a word that a newer agent knows.
        message: one line for a person.
        at_unix_ms: on the device's wall clock.
        facts: figures and names for programs, such as `bound_ms` of an `unclean-end`.
    """

    device_id: str
    boot_id: str
    seq: int
    at_unix_ms: int
    kind: str
    message: str
    facts: dict[str, str | int] = field(default_factory=dict)
    first_kept_seq: int = 1
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        """Refuse positions that cannot be."""
        check_position(self.seq, self.first_kept_seq)


@dataclass(frozen=True, slots=True)
class Ack:
    """The host's word that everything of a boot up to and with `seq` is committed or given up."""

    boot_id: str
    seq: int


def check_position(seq: int, first_kept_seq: int) -> None:
    """Refuse a position in a boot's records that cannot be.

    Raises:
        DecodeError: `seq` is below 1 or below `first_kept_seq`, or too big for a store's integer.
    """
    if not 1 <= first_kept_seq <= seq < 1 << 63:
        raise DecodeError(f"record: seq {seq} with first_kept_seq {first_kept_seq}")
