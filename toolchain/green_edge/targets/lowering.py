"""What to do about operations of a version that is too new."""

from collections.abc import Sequence

from green_edge.tflite.model import Op, TfliteModel
from green_edge.tflite.versions import lowest_after_rewrite

_REPLACE = "replace the layer, or end the model before it"
_GROUPED = "split it into convolutions of one group, or use a depthwise one"


def lower(model: TfliteModel, ops: Sequence[Op], highest: int) -> str:
    """Remedy for operations of one type; to lower them only where the rewrite really can.

    Args:
        model: the model.
        ops: of its main graph; the rewrite does not reach inner ones.
        highest: version that is taken.
    """
    lowest = [lowest_after_rewrite(op, model.tensors) for op in ops]
    if ops and all(version is not None and version <= highest for version in lowest):
        return f"rewrite it as version {highest} or lower; green-edge build for a Coral target does"
    return _GROUPED if any(is_grouped(op, model) for op in ops) else _REPLACE


def is_grouped(op: Op, model: TfliteModel) -> bool:
    """Whether it is a convolution in groups: its filters take a part of the channels each."""
    if op.op != "CONV_2D" or len(op.inputs) < 2 or min(op.inputs[:2]) < 0:
        return False
    data, weights = (model.tensors[i].shape for i in op.inputs[:2])
    return bool(data and weights) and data[-1] != weights[-1]
