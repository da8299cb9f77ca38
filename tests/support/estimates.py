"""Models to estimate, and a counter of instructions that answers from a table."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from green_edge.emulate import Count, EmulationError, Refusal, Result, Setting, Uncounted
from support.op_models import Step, T, dense, op_model

LITERT = ("ai-edge-litert", "2.3.0")
TFLITE = ("tflite-runtime", "2.14.0")


@dataclass(frozen=True)
class Late:
    """Stands for a model that was not counted, for a reason in these words."""

    message: str


Answer = int | str | EmulationError | Late


class TableCounter:
    """Counts by runtime: so many instructions, or a refusal in these words, or a failure.

    Attributes:
        asked: settings in the order in which they were counted.
    """

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = answers
        self.asked: list[Setting] = []

    def __call__(self, model: bytes, setting: Setting) -> Result:
        self.asked.append(setting)
        digest, answer = sha256(model).hexdigest(), self._answers[setting.runtime]
        if isinstance(answer, EmulationError):
            raise answer
        if isinstance(answer, Late):
            return Uncounted(digest, setting, answer.message)
        if isinstance(answer, str):
            return Refusal(digest, setting, answer)
        return Count(digest, setting, answer, cached=False, userland="")


def network(
    *widths: int, size: int = 16, dtype: str = "int8", dense: int = 10, weights: str = ""
) -> bytes:
    """Convolutions 3x3 of these widths on an image with 8 channels, pooled, and a dense layer.

    With `weights` all constants are stored in that type, with a DEQUANTIZE behind each.
    """
    bias = "int32" if dtype == "int8" else dtype
    image: tuple[int, ...] = (1, size, size, 8)
    tensors, steps = [T(image, dtype)], []
    for width in widths:
        data, depth = len(tensors) - 1, tensors[-1].shape[-1]
        tensors += [
            T((width, 3, 3, depth), dtype, constant=True),
            T((width,), bias, constant=True),
            T((*image[:-1], width), dtype),
        ]
        steps.append(Step("CONV_2D", (data, data + 1, data + 2), (data + 3,), 3, _conv()))
    last, width = len(tensors) - 1, tensors[-1].shape[-1]
    tensors += [
        T((2,), "int32", constant=(1, 2)),
        T((1, width), dtype),
        T((dense, width), dtype, constant=True),
        T((dense,), bias, constant=True),
        T((1, dense), dtype),
    ]
    steps += [
        Step("MEAN", (last, last + 1), (last + 2,), 2, ("ReducerOptions", {})),
        Step("FULLY_CONNECTED", (last + 2, last + 3, last + 4), (last + 5,), 4,
             ("FullyConnectedOptions", {})),
    ]  # fmt: skip
    if weights:
        return _stored(tensors, steps, weights)
    return op_model(tensors, steps)


def _stored(tensors: list[T], steps: list[Step], dtype: str) -> bytes:
    constants = [i for i, t in enumerate(tensors) if t.constant and t.dtype == "float32"]
    kept = [replace(tensors[i], dtype=dtype) for i in constants]
    made = [replace(t, constant=False) if i in constants else t for i, t in enumerate(tensors)]
    back = [Step("DEQUANTIZE", (len(made) + k,), (i,), 3) for k, i in enumerate(constants)]
    return op_model([*made, *kept], [*back, *steps], outputs=(len(made) - 1,))


def with_inner_graph(model: bytes) -> bytes:
    """The same model with a second graph, as a loop or a branch has one."""
    opened: Any = schema.ModelT.InitFromPackedBuf(model, 0)
    inner: Any = schema.SubGraphT()
    inner.name, inner.tensors, inner.operators = b"body", [], []
    inner.inputs, inner.outputs = [], []
    opened.subgraphs.append(inner)
    builder = flatbuffers.Builder(1024)
    builder.Finish(opened.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def hybrid() -> bytes:
    """A dense layer with float activations and int8 weights, which only newer runtimes load."""
    return dense(12, "float32", "int8")


def _conv() -> tuple[str, dict[str, Any]]:
    return "Conv2DOptions", {
        "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1,
        "padding": schema.Padding.SAME, "fusedActivationFunction": 1,
    }  # fmt: skip
