"""What an estimate found, as values; their fields are the keys of `estimate --json`."""

from dataclasses import dataclass
from typing import Literal

from green_edge.targets.break_even import BreakEven
from green_edge.targets.edgetpu.accelerators import LinkName
from green_edge.targets.physics import Bounds, Range

How = Literal["emulated", "analytic"]


@dataclass(frozen=True, slots=True)
class RuntimeEstimate:
    """What a model costs with one runtime.

    Attributes:
        dtype: of most of the arithmetic.
        core: as compilers name it.
        arch: of the operating system.
        instructions: of one inference, one thread, after warm-up; with an accelerator those that
            are left to the processor.
        how: counted on an emulated core, or predicted by the cost model.
        error_ratio: by how much the instructions may be off: what two counts differ by, or what
            95 % of the models outside of the cost model's fit stayed within.
        latency_us: of one inference.
        energy_uj: of the whole board meanwhile (gross).
        net_energy_uj: above the same board idle.
        runs_there: whether the target runs models with it.
        accelerator: kind of accelerator that it drives; absent for the processor alone.
    """

    runtime: str
    version: str
    dtype: str
    core: str
    arch: str
    instructions: int
    how: How
    error_ratio: float
    latency_us: Range
    energy_uj: Range
    net_energy_uj: Range
    runs_there: bool = False
    accelerator: str | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """An operation's share of the instructions, or with an accelerator of the time; 0..1.

    Those of the time add up to less than 1: launch and what crosses the link are no operation's.
    """

    index: int
    op: str
    share: float
    name: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """Something that would make a model cheaper.

    Attributes:
        what: to change, and what it gives.
        where: layers.
        saves_ratio: share of the model's predicted instructions; for another type and with an
            accelerator of the time, at the middle of its range. Negative where they grow.
        saves_bytes_ratio: share of the bytes of its weights, where these shrink too.
    """

    what: str
    where: str
    saves_ratio: float
    saves_bytes_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class AtRate:
    """A board that serves requests one after the other.

    Attributes:
        rate_rps: requests a second.
        busy_ratio: share of the time in which it computes; above 1 it does not keep up.
        power_mw: of the whole board on average; absent where it may not keep up.
    """

    rate_rps: float
    busy_ratio: Bounds
    power_mw: Bounds | None = None


@dataclass(frozen=True, slots=True)
class Coral:
    """Where the time of one inference on an Edge TPU goes, and whether it pays.

    Attributes:
        link: how the chip is attached.
        tpu_ops: operations on the chip.
        cpu_ops: operations left to the processor.
        cycles: of the chip.
        streamed_bytes: parameters that the chip does not keep.
        compute_us: on the chip.
        transfer_us: inputs, outputs and code.
        streaming_us: those parameters.
        launch_us: driver and runtime.
        host_us: operations left to the processor.
        latency_us: all together.
        energy_uj: of board and accelerator meanwhile (gross).
        net_energy_uj: above the same two idle.
        break_even: against the processor alone; absent where no cost of it is known.
        rate_rps: requests a second that the verdict is for; absent where none was asked for.
    """

    link: LinkName
    tpu_ops: int
    cpu_ops: int
    cycles: int
    streamed_bytes: Range
    compute_us: Range
    transfer_us: Range
    streaming_us: Range
    launch_us: Range
    host_us: Range
    latency_us: Range
    energy_uj: Range
    net_energy_uj: Range
    break_even: BreakEven | None = None
    rate_rps: float | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a model costs on a target.

    Attributes:
        target: as the user named it.
        model_sha256: of the .tflite.
        runtimes: what the target runs comes first.
        latency_us: of that entry.
        energy_uj: of that entry.
        layers: in the model's order.
        notes: what the figures need to be read.
        file: as the user named it.
        title: of the target, for people.
        not_emulated: why instructions were not counted, where they were not.
        advice: what would make the model cheaper, the most first.
        at_rate: at the rate of requests that was asked for.
        coral: where the time goes on an Edge TPU, and whether it pays.
    """

    target: str
    model_sha256: str
    runtimes: tuple[RuntimeEstimate, ...]
    latency_us: Range
    energy_uj: Range
    layers: tuple[Layer, ...]
    notes: tuple[str, ...]
    file: str
    title: str
    advice: tuple[Advice, ...] = ()
    at_rate: AtRate | None = None
    coral: Coral | None = None
    not_emulated: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A target of several for which nothing can be said, and why."""

    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class Estimates:
    """What a model costs on several targets; what `--json` prints for more than one.

    Attributes:
        estimates: in the order of the targets.
        refused: targets that do not take the model, or of which nothing is known.
    """

    estimates: tuple[Estimate, ...]
    refused: tuple[Refused, ...] = ()
