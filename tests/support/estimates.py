"""Models to estimate, and a counter of instructions that answers from a table."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from green_edge.emulate import Count, EmulationError, Refusal, Setting
from support.op_models import Step, T, op_model

LITERT = ("ai-edge-litert", "2.3.0")
TFLITE = ("tflite-runtime", "2.14.0")


class TableCounter:
    """Counts by runtime: so many instructions, or a refusal in these words, or a failure.

    Attributes:
        asked: settings in the order in which they were counted.
    """

    def __init__(self, answers: Mapping[str, int | str | EmulationError]) -> None:
        self._answers = answers
        self.asked: list[Setting] = []

    def __call__(self, model: bytes, setting: Setting) -> Count | Refusal:
        self.asked.append(setting)
        digest, answer = sha256(model).hexdigest(), self._answers[setting.runtime]
        if isinstance(answer, EmulationError):
            raise answer
        if isinstance(answer, str):
            return Refusal(digest, setting, answer)
        return Count(digest, setting, answer, cached=False, userland="")


def network(*widths: int, size: int = 16, dtype: str = "int8", dense: int = 10) -> bytes:
    """Convolutions 3x3 of these widths on an image with 8 channels, pooled, and a dense layer."""
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
    return op_model(tensors, steps)


def _conv() -> tuple[str, dict[str, Any]]:
    return "Conv2DOptions", {
        "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1,
        "padding": schema.Padding.SAME, "fusedActivationFunction": 1,
    }  # fmt: skip
