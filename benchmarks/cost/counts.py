"""Emulated counts of generated models, and what of them is for the fit and what for the verdict."""

import sys
from collections.abc import Iterable, Sequence

from benchmarks.cost.fitting import Sample
from benchmarks.cost.graph import Kind
from benchmarks.cost.nets import networks
from benchmarks.cost.ops import Case, cases
from benchmarks.cost.strange import strange_cases
from green_edge.emulate import Count, Setting, cache_folder, count
from green_edge.targets.cost.shape import OpShape, shapes_of
from green_edge.tflite.read import read

KINDS: tuple[Kind, ...] = ("int8", "float32", "hybrid")
CORES = ("cortex-a53", "cortex-a72", "cortex-a76")
SETTINGS = (
    *(Setting("ai-edge-litert", "2.3.0", core, "aarch64") for core in CORES),
    *(Setting("tflite-runtime", "2.14.0", core, "aarch64") for core in CORES),
    # Of 100 models 95 count the same in 32 bits on all cores, within 0.5 %.
    Setting("tflite-runtime", "2.14.0", "cortex-a72", "armv7l"),
)
# What is judged was drawn from another seed than what was fitted.
_OPS_SEED, _FIT_SEED, _JUDGE_SEED = 1, 2, 3
_FIT_NETWORKS, _JUDGE_NETWORKS, _UNKNOWN_BATCH_NETWORKS = 8, 14, 8
_UNKNOWN_BATCH_SHARE = 0.5


def for_fit() -> list[Case]:
    """Models of one operation, and networks, of all kinds of numbers; float ones in both modes.

    A float model of an unknown batch runs by other kernels in some runtimes.
    """
    found = [case for kind in KINDS for case in cases(kind, _OPS_SEED)]
    found += [c for kind in KINDS for c in networks(kind, _FIT_SEED, _FIT_NETWORKS)]
    found += cases("float32", _OPS_SEED, _UNKNOWN_BATCH_SHARE, unknown_batch=True)
    return [*found, *networks("float32", _FIT_SEED, _UNKNOWN_BATCH_NETWORKS, unknown_batch=True)]


def for_verdict() -> list[Case]:
    """Networks that no fit has seen."""
    return [c for kind in KINDS for c in networks(kind, _JUDGE_SEED, _JUDGE_NETWORKS)]


def of_unknown_batch() -> list[Case]:
    """Float networks that compute shapes, for which some runtimes leave their fast kernels."""
    return list(networks("float32", _JUDGE_SEED, _UNKNOWN_BATCH_NETWORKS, unknown_batch=True))


def of_unknown_operations() -> list[Case]:
    """Models of one operation that the fit has no rule for."""
    return [case for kind in KINDS[:2] for case in strange_cases(kind, _JUDGE_SEED)]


def shapes(data: bytes) -> tuple[OpShape, ...]:
    """Shapes of a file's operations."""
    return shapes_of(read(data, static=False, zipped=False))


def instructions(models: Sequence[bytes], setting: Setting) -> list[int | None]:
    """Counts, in order; None for a model that the runtime refuses."""
    found = count(models, setting, cache=cache_folder(), progress=_say)
    return [each.instructions if isinstance(each, Count) else None for each in found]


def samples(found: Iterable[tuple[Case, int | None]]) -> list[Sample]:
    """Counted models for the fit."""
    return [Sample(shapes(case.data), n) for case, n in found if n is not None]


def _say(doing: str, share: float | None = None) -> None:
    if share is None or share == 0:
        print(doing, file=sys.stderr)
