"""Measuring a model on a device: what is ordered, and what was found.

A `BenchOrder` is the argument of the signed command `bench`, so its digest is as trusted as the
command itself; a `BenchResult` is the fact `result` of the event that answers it.
"""

import re
from dataclasses import dataclass

from green_edge_wire.errors import DecodeError

SCHEMA = 1
# Flag of a result: the device was at an update meanwhile.
FLAG_UPDATE = "update"
# Fact of the answering event that holds the result as JSON.
RESULT_FACT = "result"
MAX_RUNS = 1_000_000
# The profiler's steps of every run are kept until the end, which takes memory.
MAX_PROFILED_RUNS = 1_000
MAX_LIMIT_S = 3600.0
MAX_THREADS = 64
# Of a result as JSON: a message holds a batch of events, each with all that belongs to it.
MAX_RESULT_CHARS = 49_152
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Trial:
    """How to measure a model.

    Attributes:
        runs: that are timed.
        warm_up: runs before, which are not.
        threads: of the runtime.
        seed: of the random inputs.
        limit_s: longest time for all of it; what takes longer is ended.
        profile: also run it under the runtime's profiler, as often but at most 1,000 times, for the
            time of each operation.
    """

    runs: int = 200
    warm_up: int = 20
    threads: int = 1
    seed: int = 0
    limit_s: float = 300.0
    profile: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        possible = (
            1 <= self.runs <= MAX_RUNS
            and 0 <= self.warm_up <= MAX_RUNS
            and 1 <= self.threads <= MAX_THREADS
            and self.seed >= 0
            and 0 < self.limit_s <= MAX_LIMIT_S
        )
        if not possible:
            raise DecodeError("bench: runs, threads, seed or time limit out of range")


@dataclass(frozen=True, slots=True)
class BenchOrder:
    """Argument of the command `bench`, as JSON text.

    Attributes:
        artifact_sha256: of the file, a bundle or a bare .tflite.
        urls: places to fetch it from, tried in order.
    """

    artifact_sha256: str
    length_bytes: int
    urls: tuple[str, ...]
    trial: Trial
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        """Refuse what cannot be carried out; the digest becomes the name of a file."""
        if self.schema != SCHEMA:
            raise DecodeError(f"bench: schema {self.schema}, this agent reads {SCHEMA}; update it")
        if _SHA256.fullmatch(self.artifact_sha256) is None or self.length_bytes < 1:
            raise DecodeError("bench: no SHA-256 digest, or no length")


@dataclass(frozen=True, slots=True)
class LatencyStats:
    """Latency of one inference, with exact percentiles."""

    runs: int
    mean_us: float
    min_us: float
    p5_us: float
    p50_us: float
    p95_us: float
    p99_us: float
    max_us: float


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """Time of one step of an inference, as the runtime's profiler names it.

    Attributes:
        kernel: its name there, such as `Convolution (NHWC, QC8) IGEMM`.
        us: mean of the middle half of its runs.
        node: index of the model's operation where the runtime ran that itself; absent for what its
            delegate ran, which counts and names steps of its own.
    """

    kernel: str
    us: float
    node: int | None = None


@dataclass(frozen=True, slots=True)
class ProfileRows:
    """Time of each step, in the order in which they ran.

    Attributes:
        total_us: of the whole inference under the profiler, likewise.
    """

    runs: int
    total_us: float
    rows: tuple[ProfileRow, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a trial found.

    Attributes:
        runtime: name and version.
        profile: absent where it was not asked for.
    """

    runtime: str
    latency: LatencyStats
    profile: ProfileRows | None = None


@dataclass(frozen=True, slots=True)
class BenchResult:
    """What a device found.

    Attributes:
        model_sha256: of the .tflite that ran.
        board: as in `DeviceInfo`.
        processor: what the model ran on.
        temperature_c: of the processor at the end; absent where the board does not say.
        flags: what makes the figures doubtful: `under-voltage`, `frequency-capped`, `throttled`,
            `temperature-limit` where the firmware reported it at either end, `update` where the
            device was at an update meanwhile.
    """

    model_sha256: str
    board: str
    processor: str
    measured: Measured
    temperature_c: float | None = None
    flags: tuple[str, ...] = ()
    schema: int = SCHEMA
