"""Latency of one file on this machine."""

import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from green_edge.build.model_file import model_bytes
from green_edge.build.quiet import greet_unheard
from green_edge.evaluate.latency import LatencyStats, measure
from green_edge_agent.runtime import interpreter
from green_edge_wire.errors import ConfigError, ModelError

_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Latency of a model, and where and how it was measured.

    Attributes:
        sha256: of the .tflite.
        measured_on: always this machine; says nothing of another device.
        machine: its processor, as the kernel names it.
    """

    file: str
    sha256: str
    measured_on: Literal["this-machine"]
    machine: str
    runtime: str
    threads: int
    warm_up: int
    seed: int
    latency: LatencyStats


def benchmark(path: Path, *, runs: int, warm_up: int, threads: int, seed: int) -> Benchmark:
    """Measure a .tflite, or the one in a bundle.

    Raises:
        ConfigError: the seed is negative.
        ModelError: it is neither, or cannot run.
    """
    if seed < 0:
        raise ConfigError("must not be negative", place="--seed")
    model = model_bytes(path)
    try:
        greet_unheard(model)
        figures = measure({"model": model}, runs=runs, warm_up=warm_up, seed=seed, threads=threads)
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", hint=error.hint) from error
    return Benchmark(
        file=str(path),
        sha256=hashlib.sha256(model).hexdigest(),
        measured_on="this-machine",
        machine=machine(_CPU_INFO),
        runtime=interpreter.runtime_name(),
        threads=threads,
        warm_up=warm_up,
        seed=seed,
        latency=figures["model"],
    )


def machine(cpu_info: Path) -> str:
    """Processor as the kernel names it; its architecture where there is no name."""
    lines = cpu_info.read_text(encoding="utf-8").splitlines() if cpu_info.is_file() else []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model"} and value.strip():
            return value.strip()
    return platform.machine()
