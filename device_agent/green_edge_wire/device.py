"""What a device says of itself: presence, equipment, slots, and the state of an update."""

from dataclasses import dataclass
from typing import Literal

from green_edge_wire.telemetry import Boundary, MeterKind

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Status:
    """Birth (`online` true) or last will (`online` false) of one start of the agent; retained."""

    device_id: str
    boot_id: str
    online: bool
    at_unix_ms: int
    schema: int = SCHEMA


@dataclass(frozen=True, slots=True)
class MeterInfo:
    """A power source of the device, or why it is none.

    Attributes:
        name: id such as `hwmon:ina226`.
        covers: one line for a person: what the figure includes and what it misses.
        u_ratio: expanded uncertainty (k=2), relative.
        refusal: why the source is not used; absent when it is in use.
    """

    name: str
    kind: MeterKind
    boundary: Boundary
    covers: str
    u_ratio: float
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class AcceleratorInfo:
    """A processor beside the CPU.

    Attributes:
        name: such as `edgetpu:usb:2-1`.
        refusal: why the installed model does not run on it; absent when it does.
    """

    name: str
    refusal: str | None = None


SlotState = Literal["empty", "staged", "active", "previous", "bad"]


@dataclass(frozen=True, slots=True)
class SlotInfo:
    """One of the two places for a model on the device."""

    slot: Literal["a", "b"]
    state: SlotState
    sha256: str = ""
    model: str = ""
    model_version: int = 0


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """What the device is; retained.

    Attributes:
        board: model line of the board, as the firmware gives it, or the machine's name.
        arch: as uname gives it.
        runtime: name and version of the inference runtime, such as `ai-edge-litert 2.3.0`.
        keys: ids of the signing keys that the device trusts.
        accelerator: what was found; absent when there is none.
    """

    device_id: str
    boot_id: str
    board: str
    arch: str
    os_release: str
    python: str
    agent_version: str
    ram_bytes: int
    runtime: str
    threads: int
    meters: tuple[MeterInfo, ...] = ()
    slots: tuple[SlotInfo, ...] = ()
    keys: tuple[str, ...] = ()
    accelerator: AcceleratorInfo | None = None
    schema: int = SCHEMA


UpdateState = Literal["idle", "fetching", "verifying", "testing", "active", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Reported:
    """State of the newest update on the device; retained.

    `refused` means that the artefact must not run here (signature, version, quarantine);
    `failed` means that it could not be installed now (network, disk, self-test).

    Attributes:
        retrying: the device will try again by itself while the order stands; with `failed` only.
        runs_on: what the active model runs on, `cpu` or `edgetpu`; `none` where it may run
            on the Edge TPU alone and that does not work; empty without an active model.
    """

    device_id: str
    boot_id: str
    at_unix_ms: int
    state: UpdateState
    active_sha256: str = ""
    desired_sha256: str = ""
    rollout_id: str = ""
    reason: str = ""
    counter: int = 0
    slots: tuple[SlotInfo, ...] = ()
    retrying: bool = False
    runs_on: str = ""
    schema: int = SCHEMA


@dataclass(frozen=True, slots=True)
class InferRequest:
    """One inference asked over MQTT: `inputs` holds each input tensor flattened, row-major.

    The values are what pre-processing takes (raw pixels or features), in the manifest's order.
    """

    id: str
    inputs: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class InferResult:
    """Answer to an `InferRequest` or to a line of JSON on standard input.

    Attributes:
        outputs: each output after post-processing, flattened, row-major.
        labels: names of the best classes, best first, where the pipeline ends in top-k.
        scores: their scores, in parallel.
        error: why there is no output; absent when there is one.
    """

    id: str
    model: str = ""
    model_version: int = 0
    latency_us: float = 0.0
    outputs: tuple[tuple[float, ...], ...] = ()
    labels: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    error: str | None = None
