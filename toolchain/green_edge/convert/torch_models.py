"""PyTorch's exported programs (.pt2) as float .tflite of batch 1; for the converter child only.

litert-torch keeps PyTorch's layout, so images would enter channels first and be turned by a
TRANSPOSE on the device. Here they enter channels last, as cameras and the other converters give
them.
"""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import litert_torch
import numpy as np
import torch
from torch.utils._pytree import tree_leaves, tree_map, tree_unflatten

from green_edge.convert.same_answers import CHANNELS_LAST, Array, is_same, largest_error, sample
from green_edge.convert.signature import as_converted
from green_edge_wire.errors import ModelError

_RANK_OF_IMAGES = 4
_CHANNELS_FIRST = (0, 3, 1, 2)
_EXPORT = "export it with one sample: torch.export.export(model.eval(), (x,)), x of batch 1"


def to_float(path: Path) -> bytes:
    """Convert to float32; int64 inputs, such as token ids, become int32.

    Raises:
        ModelError: it is broken, leaves more open than the batch, or answers differently once
            converted.
    """
    program = _load(path)
    inputs = {node.name: node for node in _inputs(program)}
    turned = frozenset(name for name, node in inputs.items() if _is_channels_first(node))
    samples = {name: _sample(node, turn=name in turned) for name, node in inputs.items()}
    model = _Adapted(program, turned)
    tensors = {name: torch.from_numpy(array) for name, array in samples.items()}
    converted = litert_torch.convert(model, sample_kwargs=tensors)
    tflite = as_converted(bytes(converted.model_content()), tuple(inputs))
    with torch.no_grad():
        answers = [value.numpy() for value in tree_leaves(model(**tensors))]
    error = largest_error(tflite, samples, answers)
    if not is_same(error):
        raise ModelError(
            "litert-torch converts it to a model with other answers: they differ by "
            f"{error:.2g} of the output's size",
            hint="export it to ONNX with torch.onnx.export and build that",
        )
    return tflite


class _Adapted(torch.nn.Module):  # type: ignore[misc]
    """A program that takes and gives images channels last, and takes int32 for int64."""

    def __init__(self, program: Any, turned: frozenset[str]) -> None:
        super().__init__()
        self._program = program.module()
        self._spec = program.call_spec.in_spec
        self._turned = turned
        # An exported program has no modes, yet litert-torch warns of all that seem to train.
        for module in self.modules():
            module.training = False

    def forward(self, **inputs: Any) -> Any:
        taken = [self._taken(name, value) for name, value in inputs.items()]
        args, kwargs = tree_unflatten(taken, self._spec)
        return tree_map(_given, self._program(*args, **kwargs))

    def _taken(self, name: str, value: Any) -> Any:
        if name in self._turned:
            return value.permute(_CHANNELS_FIRST)
        return value.long() if value.dtype == torch.int32 else value


def _load(path: Path) -> Any:
    try:
        return torch.export.load(path)
    except (RuntimeError, ValueError, KeyError, OSError, UnpicklingError) as error:
        words = " ".join(str(error).split())[:300]
        raise ModelError(
            f"torch {torch.__version__} cannot load it: {words}",
            hint="save it again with this version: torch.export.save(program, 'model.pt2')",
        ) from error


def _inputs(program: Any) -> list[Any]:
    """Placeholders of the inputs, in the order of the call.

    Raises:
        ModelError: one is no tensor, has another batch than 1, or an open axis.
    """
    wanted = program.graph_signature.user_inputs
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    for name in wanted:
        value = nodes[name].meta.get("val") if name in nodes else None
        if not isinstance(value, torch.Tensor) or not value.ndim:
            raise ModelError(f"input {name!r} is no tensor with a batch", hint=_EXPORT)
        _check_shape(name, list(value.shape))
    return [nodes[name] for name in wanted]


def _check_shape(name: str, shape: list[Any]) -> None:
    batch, *sizes = shape
    if any(not isinstance(size, int) for size in sizes):
        shown = ", ".join(str(size) if isinstance(size, int) else "any" for size in sizes)
        raise ModelError(
            f"input {name!r} has the dynamic shape (batch, {shown})",
            hint="make no axis but the batch dynamic in torch.export.export",
        )
    if isinstance(batch, int) and batch != 1:
        raise ModelError(f"input {name!r} has a fixed batch of {batch}", hint=_EXPORT)


def _is_channels_first(node: Any) -> bool:
    """Whether an input is an image as PyTorch takes it; one that is turned to it first is not."""
    value = node.meta["val"]
    if value.ndim != _RANK_OF_IMAGES or not value.is_floating_point():
        return False
    return not all(
        user.target is torch.ops.aten.permute.default and tuple(user.args[1]) == _CHANNELS_FIRST
        for user in node.users
    )


def _sample(node: Any, *, turn: bool) -> Array:
    value = node.meta["val"]
    kind = np.dtype(np.int32 if value.dtype == torch.int64 else str(value.dtype).split(".")[-1])
    array = sample((1, *value.shape[1:]), kind)
    return np.ascontiguousarray(np.transpose(array, CHANNELS_LAST)) if turn else array


def _given(value: Any) -> Any:
    image = isinstance(value, torch.Tensor) and value.ndim == _RANK_OF_IMAGES
    return value.permute(CHANNELS_LAST) if image else value
