"""The tables `[[steps]]` of a recipe file: each is read by the step that its key `step` names."""

import difflib
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from green_edge.core.steps import (
    BatchNorm,
    Cluster,
    External,
    LowRank,
    Prune,
    Reconstruct,
    Recover,
    Sparsify,
    Step,
)
from green_edge_wire import codec
from green_edge_wire.errors import DecodeError

# Packages announce passes of their own under this group of entry points.
ENTRY_POINTS = "green_edge.passes"

_KINDS: Mapping[str, type[Step]] = {
    "prune": Prune,
    "low-rank": LowRank,
    "sparsify": Sparsify,
    "cluster": Cluster,
    "reconstruct": Reconstruct,
    "batch-norm": BatchNorm,
    "recover": Recover,
}

# What the numbers of all steps may be, by name: the least, whether it is allowed, the most.
_RANGES: Mapping[str, tuple[float, bool, float | None]] = {
    "keep": (0, False, 1),
    "energy": (0, False, 1),
    "least": (0, True, 1),
    "guard": (0, False, 1),
    "sparsity": (0, False, 1),
    "temperature": (0, False, None),
    "rate": (0, False, None),
    "epochs": (0, False, None),
    "ridge": (0, True, None),
    "labels": (0, True, None),
    "teacher": (0, True, None),
    "features": (0, True, None),
    "batch": (1, True, None),
    "rounds": (1, True, None),
    "least_steps": (1, True, None),
    "multiple": (1, True, None),
    "samples": (1, True, None),
    "clusters": (2, True, None),
}


def external() -> Mapping[str, metadata.EntryPoint]:
    """Passes of other packages that are installed, by name."""
    return {entry.name: entry for entry in metadata.entry_points(group=ENTRY_POINTS)}


def decode(tables: object) -> tuple[Step, ...]:
    """Steps of a document, in their order.

    Raises:
        DecodeError: naming the place, such as `steps[1].keep: must be above 0 and at most 1`.
    """
    if not isinstance(tables, list):
        raise DecodeError("steps: expected tables [[steps]]")
    return tuple(_step(table, f"steps[{i}]") for i, table in enumerate(tables))


def _step(table: object, place: str) -> Step:
    if not isinstance(table, dict):
        raise DecodeError(f"{place}: expected a table")
    name = table.get("step")
    if not isinstance(name, str):
        raise DecodeError(f"{place}.step: missing", hint=f"one of {', '.join(_KINDS)}")
    if name not in _KINDS:
        return _external(table, name, place)
    step: Step = codec.decode(_KINDS[name], table, strict=True, place=place)
    _check(step, place)
    return step


def _external(table: dict[str, Any], name: str, place: str) -> External:
    known = (*_KINDS, *external())
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        raise DecodeError(f"{place}.step: unknown step {name!r}", hint=hint)
    return codec.decode(External, table, strict=True, place=place)


def _check(step: Step, place: str) -> None:
    for name, allowed in _RANGES.items():
        value = getattr(step, name, None)
        if value is not None and not _within(value, allowed):
            raise DecodeError(f"{place}.{name}: {_words(allowed)}, got {value:g}")
    forms: Sequence[Any] | None = getattr(step, "forms", None)
    if forms is not None and not forms:
        raise DecodeError(f"{place}.forms: names none")
    inner = getattr(step, "recover", None)
    if inner is not None:
        _check(inner, f"{place}.recover")
    if isinstance(step, Recover) and not (step.labels or step.teacher or step.features):
        message = f"{place}: labels, teacher and features are all 0: nothing to learn from"
        raise DecodeError(message)


def _within(value: float, allowed: tuple[float, bool, float | None]) -> bool:
    least, included, most = allowed
    if value < least or (value == least and not included):
        return False
    return most is None or value <= most


def _words(allowed: tuple[float, bool, float | None]) -> str:
    least, included, most = allowed
    low = f"must be {least:g} at least" if included else f"must be above {least:g}"
    return low if most is None else f"{low} and at most {most:g}"
