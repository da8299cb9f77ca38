"""Instructions of one inference, counted on emulated cores.

GREEN_EDGE_TEST_DATA names a folder that holds `mlperf_tiny/*.tflite`. The benchmark fills a cache
of its own from the network, so that the first use is measured too, and counts everything twice.
"""

import os
import tempfile
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.tables import table
from green_edge.emulate import Count, Refusal, Result, Setting, Uncounted, count
from green_edge.emulate.assembly import assemble, sources_of
from green_edge.emulate.board import core_of

NEEDS: tuple[str, ...] = ("GREEN_EDGE_TEST_DATA",)

_CORES = ("cortex-a53", "cortex-a72", "cortex-a76")
_LITERT = ("ai-edge-litert", "2.3.0", "aarch64")
_TFLITE = ("tflite-runtime", "2.14.0", "aarch64")
_TFLITE_32 = ("tflite-runtime", "2.14.0", "armv7l")
# A 32-bit program is given the same kernels on all three cores.
_SETTINGS = (
    *(
        Setting(name, version, core, arch)
        for name, version, arch in (_LITERT, _TFLITE)
        for core in _CORES
    ),
    Setting(_TFLITE_32[0], _TFLITE_32[1], "cortex-a72", _TFLITE_32[2]),
)


def measure() -> dict[str, Any]:
    """Count the models in every setting, in a fresh cache and then again."""
    folder = Path(os.environ["GREEN_EDGE_TEST_DATA"]) / "mlperf_tiny"
    models = {file.stem: file.read_bytes() for file in sorted(folder.glob("*.tflite"))}
    with tempfile.TemporaryDirectory(prefix="green-edge-benchmark-") as cache:
        first_use_s = _timed(models, _SETTINGS[0], Path(cache))[1]
        rows = [_counted_twice(models, setting, Path(cache)) for setting in _SETTINGS]
        size_bytes = sum(file.lstat().st_size for file in Path(cache).rglob("*"))
    return {
        "models": {name: sha256(content).hexdigest() for name, content in models.items()},
        "first_use_s": first_use_s,
        "cache_bytes": size_bytes,
        "settings": rows,
        "largest_repeat_ratio": max(row["largest_repeat_ratio"] for row in rows),
    }


def markdown(figures: Mapping[str, Any]) -> str:
    """The counts as a table, and what the rest of the measurement says."""
    names = list(figures["models"])
    rows = [
        [
            f"{row['runtime']} {row['version']}",
            f"{row['core']} {row['arch']}",
            *(f"{row['instructions'][name] / 1000:,.0f}" for name in names),
        ]
        for row in figures["settings"]
    ]
    a_model_s = max(row["wall_s"] / len(names) for row in figures["settings"])
    said = (
        f"Thousands of instructions. First use, with {len(names)} models counted, took "
        f"{figures['first_use_s']:.0f} s; later ones at most {a_model_s:.1f} s a model. Two runs "
        f"differ by at most {figures['largest_repeat_ratio'] * 100:.3f} %. The cache of all "
        f"settings is {figures['cache_bytes'] / 1e6:,.0f} MB."
    )
    return f"{table(['runtime', 'core', *names], rows)}\n\n{said}"


def _counted_twice(models: Mapping[str, bytes], setting: Setting, cache: Path) -> dict[str, Any]:
    first, _ = _timed(models, setting, cache)
    for known in (cache / "emulation" / "counts").rglob("*.json"):
        known.unlink()
    again, wall_s = _timed(models, setting, cache)
    return {
        "runtime": setting.runtime,
        "version": setting.version,
        "core": setting.core,
        "arch": setting.arch,
        **_packages(setting, cache),
        "instructions": first,
        "largest_repeat_ratio": max(abs(again[name] / first[name] - 1) for name in first),
        "wall_s": wall_s,
    }


def _packages(setting: Setting, cache: Path) -> dict[str, Any]:
    """The digest of all that the counts depend on, and the version of each package and wheel."""
    folder = cache / "emulation"
    used = assemble(core_of(setting), sources_of(setting, folder), folder, _quietly)
    versions = {member.name: member.version for member in used.members}
    return {"userland": used.digest, "packages": versions}


def _timed(
    models: Mapping[str, bytes], setting: Setting, cache: Path
) -> tuple[dict[str, int], float]:
    """Instructions by model, and the seconds that it took."""
    start_s = time.monotonic()
    found = count(list(models.values()), setting, cache=cache, progress=_quietly)
    wall_s = time.monotonic() - start_s
    return {
        name: _instructions(name, each) for name, each in zip(models, found, strict=True)
    }, wall_s


def _instructions(name: str, found: Result) -> int:
    match found:
        case Count(instructions=instructions):
            return instructions
        case Refusal(message=message) | Uncounted(message=message):
            raise ValueError(f"{name}: {message}")


def _quietly(doing: str, share: float | None = None) -> None:
    del doing, share
