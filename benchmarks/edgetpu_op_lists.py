"""A model from a list of its operations: type, version, types and shapes of operands.

Such a list does not say which tensor is which. Each input is wired to the latest fitting output
that nothing has taken yet, else to the latest fitting one, else it is fed from outside. Small
constants (axes, orders, paddings) follow from the shapes before and after.
"""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

from green_edge.tflite.model import Op, Options, Tensor, TfliteModel

_Entry = Sequence[Any]
# Operations whose first operand is a constant.
_CONSTANT_FIRST = {"SPLIT", "TRANSPOSE_CONV"}


class _Wiring:
    """Tensors of the model as they come to be, and who has taken them."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.made: list[int] = []
        self.taken: set[int] = set()

    def add(self, entry: _Entry, *, values: tuple[int, ...] | None = None, constant: bool) -> int:
        dtype, shape, scales = entry
        self.tensors.append(
            Tensor(
                index=len(self.tensors),
                name=f"t{len(self.tensors)}",
                shape=tuple(shape),
                dtype=dtype.lower(),
                scale=1.0 if scales else None,
                zero_point=0 if scales else None,
                channels=scales,
                constant_bytes=1 if constant else 0,
                values=values,
            )
        )
        return len(self.tensors) - 1

    def source(self, entry: _Entry, besides: Sequence[int]) -> int:
        """Tensor that an input is, `besides` those that the same operation takes already."""
        dtype, shape, _ = entry
        fitting = [
            i for i in reversed(self.made)
            if (self.tensors[i].dtype, self.tensors[i].shape) == (dtype.lower(), tuple(shape))
        ]  # fmt: skip
        free = [i for i in fitting if i not in besides]
        first = next((i for i in free if i not in self.taken), None)
        found = first if first is not None else next(iter(free or fitting), None)
        if found is None:
            found = self.add(entry, constant=False)
        self.taken.add(found)
        return found


def model_of(ops: Sequence[Mapping[str, Any]]) -> TfliteModel:
    """The model that a list describes."""
    wiring = _Wiring()
    made = tuple(_op(entry, index, wiring) for index, entry in enumerate(ops))
    return TfliteModel(
        inputs=(), outputs=(), ops=made, tensors=tuple(wiring.tensors),
        params=0, macs=0, size_bytes=0, zip_bytes=0,
    )  # fmt: skip


def _op(entry: Mapping[str, Any], index: int, wiring: _Wiring) -> Op:
    name, _, custom = entry["op"].partition(":")
    data: list[int] = []
    for each in entry["in"]:
        data.append(wiring.source(each, data))
    before = tuple(entry["in"][0][1]) if entry["in"] else ()
    after = tuple(entry["out"][0][1]) if entry["out"] else ()
    values = _small(name, before, after)
    constants = [
        wiring.add(each, values=values if not each[2] else None, constant=True)
        for each in entry["const"]
    ]
    outputs = tuple(wiring.add(each, constant=False) for each in entry["out"])
    wiring.made += outputs
    inputs = (*constants, *data) if name in _CONSTANT_FIRST else (*data, *constants)
    return Op(
        index=index, op=name, version=entry["v"], inputs=tuple(inputs), outputs=outputs,
        macs=0, params=0, weight_bytes=0, custom_code=custom or None,
        options=_options(name, before, after),
    )  # fmt: skip


def _small(name: str, before: tuple[int, ...], after: tuple[int, ...]) -> tuple[int, ...]:
    """Values of a small constant that turns one shape into another."""
    match name:
        case "TRANSPOSE":
            orders = permutations(range(len(before)))
            # Of several orders that fit, one that moves something.
            return [o for o in orders if tuple(before[i] for i in o) == after][-1]
        case "PAD":
            return tuple(n for old, new in zip(before, after, strict=True) for n in (0, new - old))
        case "MEAN" | "SUM" | "REDUCE_MAX" | "REDUCE_MIN":
            return _reduced(before, after)
        case "SPLIT":
            return (_changed(before, after),)
        case "STRIDED_SLICE":
            return (1,) * len(before)
        case _:
            return ()


def _reduced(before: tuple[int, ...], after: tuple[int, ...]) -> tuple[int, ...]:
    if len(before) == len(after):
        return tuple(i for i, n in enumerate(before) if n != after[i])
    return (1, 2) if len(before) == 4 else (len(before) - 1,)


def _options(name: str, before: tuple[int, ...], after: tuple[int, ...]) -> Options | None:
    if name in {"CONCATENATION", "PACK"}:
        return Options(axis=_changed(before, after), fused_activation="NONE")
    return None


def _changed(before: tuple[int, ...], after: tuple[int, ...]) -> int:
    pairs = enumerate(zip(before, after, strict=False))
    return next((i for i, (old, new) in pairs if old != new), len(before) - 1)
