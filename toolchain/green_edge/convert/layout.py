"""How the inputs of a converted model differ from the ones that its author wrote."""

from collections.abc import Sequence

from green_edge.core.report import ModelFormat
from green_edge_wire.manifest import TensorSpec

_SOURCES = {"onnx": "the ONNX file", "torch": "the PyTorch program"}


def note(model_format: ModelFormat, inputs: Sequence[TensorSpec]) -> str | None:
    """What data sets have to follow where it is not the author's layout, as a sentence.

    Args:
        model_format: of the source.
        inputs: of the float .tflite, under the names that data sets use.
    """
    source = _SOURCES.get(model_format)
    if source is None:
        return None
    shown = ", ".join(f"{spec.name} {spec.dtype} {spec.sample_shape}" for spec in inputs)
    return (
        f"data sets follow the inputs of the float .tflite: {shown}; what {source} takes as "
        "channels-first images enters channels last, and int64 enters as int32"
    )
