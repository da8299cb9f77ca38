"""Latency of one file: measured on this machine, or what a device measured."""

import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from green_edge.build.model_file import model_bytes
from green_edge.build.profile import Profile, profile_of
from green_edge.tflite.read import read
from green_edge_agent.runtime import interpreter, litert_profiler, trial
from green_edge_wire.bench import BenchResult, LatencyStats, Measured, ProfileRows, Trial
from green_edge_wire.errors import ConfigError, ModelError

_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class OnDevice:
    """What a device says of itself beside the figures.

    Attributes:
        processor: what the model ran on.
        temperature_c: of the processor at the end; absent where the board does not say.
        flags: what makes the figures doubtful, such as `throttled`.
    """

    device_id: str
    processor: str
    temperature_c: float | None
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Latency of a model, and where and how it was measured.

    Attributes:
        sha256: of the .tflite.
        measured_on: where; the figures say nothing of another machine.
        machine: this machine's processor as the kernel names it, or the device's board.
        device: absent for this machine.
        profile: absent where it was not asked for.
    """

    file: str
    sha256: str
    measured_on: Literal["this-machine", "device"]
    machine: str
    runtime: str
    threads: int
    warm_up: int
    seed: int
    latency: LatencyStats
    device: OnDevice | None = None
    profile: Profile | None = None


def benchmark(path: Path, wanted: Trial) -> Benchmark:
    """Measure a .tflite, or the one in a bundle, on this machine.

    Raises:
        ConfigError: times per operation are asked of a runtime that does not give them.
        ModelError: it is neither, or cannot run.
        DeviceError: it took longer than the time limit.
    """
    model = model_bytes(path)
    reason = litert_profiler.why_not(interpreter.runtime_name()) if wanted.profile else None
    if reason is not None:
        raise ConfigError(
            reason,
            place="--profile",
            hint="install it, or measure on a device that has it: --device ID",
        )
    try:
        measured = trial.run(model, wanted)
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", hint=error.hint) from error
    return _benchmark(path, model, wanted, measured, machine(_CPU_INFO), None)


def of_device(path: Path, wanted: Trial, device_id: str, result: BenchResult) -> Benchmark:
    """What a device has measured of a file of this machine.

    Raises:
        ModelError: the device measured another model.
    """
    model = model_bytes(path)
    if hashlib.sha256(model).hexdigest() != result.model_sha256:
        raise ModelError(f"device {device_id!r} measured another model than {path}")
    device = OnDevice(device_id, result.processor, result.temperature_c, result.flags)
    return _benchmark(path, model, wanted, result.measured, result.board, device)


def _benchmark(
    path: Path,
    model: bytes,
    wanted: Trial,
    measured: Measured,
    where: str,
    device: OnDevice | None,
) -> Benchmark:
    return Benchmark(
        file=str(path),
        sha256=hashlib.sha256(model).hexdigest(),
        measured_on="this-machine" if device is None else "device",
        machine=where,
        runtime=measured.runtime,
        threads=wanted.threads,
        warm_up=wanted.warm_up,
        seed=wanted.seed,
        latency=measured.latency,
        device=device,
        profile=_profile(measured.profile, model),
    )


def _profile(rows: ProfileRows | None, model: bytes) -> Profile | None:
    return None if rows is None else profile_of(rows, read(model, static=False).ops)


def machine(cpu_info: Path) -> str:
    """Processor as the kernel names it; its architecture where there is no name."""
    lines = cpu_info.read_text(encoding="utf-8").splitlines() if cpu_info.is_file() else []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model"} and value.strip():
            return value.strip()
    return platform.machine()
