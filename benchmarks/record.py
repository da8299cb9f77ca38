"""A recorded result: the figures of a benchmark, what they were measured with, when and on what."""

import datetime as dt
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"

# What figures may depend on; those that are installed are recorded.
_PACKAGES = (
    "tensorflow",
    "keras",
    "ai-edge-litert",
    "ai-edge-quantizer",
    "numpy",
    "scipy",
    "scikit-learn",
    "paho-mqtt",
    "amqtt",
)
_KIB_PER_GIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Machine:
    """What ran the benchmark; None where an old result does not say it.

    Attributes:
        load_average: over a quarter of an hour, at the end; above the number of cores the times
            measured are those of a machine that had other things to do.
    """

    architecture: str
    processor: str | None = None
    cores: int | None = None
    memory_gib: float | None = None
    system: str | None = None
    load_average: float | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One file of `results/`.

    Attributes:
        date: of the measurement, ISO 8601, UTC.
        commit: that was checked out, with "-dirty" where files differed from it; None where an old
            result does not say it.
        versions: of Python and of packages, by name.
        wall_s: seconds that the whole benchmark took, where recorded.
        figures: what `measure` gave.
    """

    benchmark: str
    command: str
    date: str
    commit: str | None
    machine: Machine
    versions: dict[str, str]
    wall_s: float | None
    figures: dict[str, Any]


def path_of(name: str) -> Path:
    """Where a benchmark's result lies."""
    return RESULTS / f"{name}.json"


def read(name: str) -> Record:
    """The recorded result of a benchmark."""
    document = json.loads(path_of(name).read_bytes())
    return Record(**(document | {"machine": Machine(**document["machine"])}))


def write(record: Record) -> Path:
    """Record a result in place of the one before."""
    path = path_of(record.benchmark)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
    part.replace(path)
    return path


def now(name: str, figures: Mapping[str, Any], wall_s: float) -> Record:
    """A result measured here and now."""
    return Record(
        benchmark=name,
        command=f"python -m benchmarks run {name}",
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        commit=commit(),
        machine=machine(),
        versions=versions(),
        wall_s=round(wall_s, 1),
        figures=dict(figures),
    )


def commit() -> str | None:
    """The commit checked out, with "-dirty" where files differ; None outside a git checkout."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or None


def machine() -> Machine:
    """This machine; Linux alone tells its processor and memory."""
    processors = _proc("cpuinfo", "model name")
    memory = _proc("meminfo", "MemTotal")
    try:
        system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        system = platform.system()
    return Machine(
        architecture=platform.machine(),
        processor=processors[0] if processors else None,
        cores=os.cpu_count(),
        memory_gib=round(int(memory[0].split()[0]) / _KIB_PER_GIB, 1) if memory else None,
        system=f"{system}, {platform.system()} {platform.release()}",
        load_average=round(os.getloadavg()[2], 1),
    )


def versions() -> dict[str, str]:
    """Of Python and of those packages that are installed."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _proc(file: str, key: str) -> list[str]:
    path = Path("/proc", file)
    if not path.is_file():
        return []
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return [value.strip() for name, _, value in lines if name.strip() == key]
