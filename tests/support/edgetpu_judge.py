"""What the stand-in for the Edge TPU compiler refuses and maps, by a few rules of its own.

They take nothing from `green_edge.targets`: where those are wrong, the two differ. They cover the
models of the tests, no more.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from green_edge.tflite.model import Op, TfliteModel

MAPPED = "Mapped to Edge TPU"
SECOND = "More than one subgraph is not supported"
DATA_TYPE = "Operation is working on an unsupported data type"
VERSION = "Operation version not supported"
NOT_SUPPORTED = "Operation not supported"

NOT_QUANTIZED = "Model not quantized"
DYNAMIC = (
    "Attempting to use a delegate that only supports static-sized tensors with a graph that has "
    "dynamic-sized tensors."
)
_EIGHT_BITS = {"int8", "uint8"}
# Highest version that its interpreter loads; any of a type that is not here.
_LOADED = {"CONV_2D": 6, "EXP": 1, "FULLY_CONNECTED": 9, "QUANTIZE": 2, "TRANSPOSE_CONV": 3}
_CUSTOMS = {"PosenetDecoderOp", "TFLite_Detection_PostProcess"}
# Highest version that it maps.
_MAPPED = {
    "ADD": 2,
    "AVERAGE_POOL_2D": 2,
    "CONCATENATION": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "LOGISTIC": 2,
    "MAX_POOL_2D": 2,
    "MEAN": 2,
    "MUL": 2,
    "PAD": 2,
    "QUANTIZE": 2,
    "RELU": 2,
    "RESHAPE": 1,
    "RESIZE_NEAREST_NEIGHBOR": 3,
    "SOFTMAX": 2,
    "TANH": 2,
}


@dataclass(frozen=True, slots=True)
class Judged:
    """An operation and what became of it."""

    index: int
    op: str
    mapped: bool
    status: str


def refusal(model: TfliteModel) -> str | None:
    """What its interpreter says of a model that it does not load; None where it does."""
    for code in model.codes:
        if code.op == "CUSTOM":
            if code.custom_code not in _CUSTOMS:
                return f"Encountered unresolved custom op: {code.custom_code}."
        elif code.op.startswith("STABLEHLO_") or code.version > _LOADED.get(code.op, code.version):
            return f"Didn't find op for builtin opcode '{code.op}' version '{code.version}'"
    if not any(model.tensors[i].dtype in _EIGHT_BITS for op in model.ops for i in op.outputs):
        return NOT_QUANTIZED
    return DYNAMIC if model.dynamic else None


def judge(model: TfliteModel, *, several: bool) -> list[Judged]:
    """Place each operation; `several` allows more than one subgraph."""
    on_chip: set[int] = set()
    left: set[int] = set()
    judged = []
    for op in model.ops:
        status = _alone(model, op)
        if status == MAPPED and not several and left & {*op.inputs}:
            status = SECOND
        if status == MAPPED:
            on_chip |= {*op.outputs}
        elif (on_chip | left) & {*op.inputs}:
            left |= {*op.outputs}
        judged.append(Judged(op.index, op.op, status == MAPPED, status))
    return judged


def crashes(model: TfliteModel) -> Iterator[int]:
    """Numbers of the operations at which it ends without a word: ADD of a PAD and a resize."""
    maker = {index: op.op for op in model.ops for index in op.outputs}
    for op in model.ops:
        feeds = {maker.get(index, "") for index in op.inputs}
        if op.op == "ADD" and "PAD" in feeds and any(name.startswith("RESIZE") for name in feeds):
            yield op.index


def _alone(model: TfliteModel, op: Op) -> str:
    tensors = [model.tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0]
    if any(t.dtype not in _EIGHT_BITS for t in tensors if not t.constant):
        return DATA_TYPE
    if op.op not in _MAPPED:
        return NOT_SUPPORTED
    return MAPPED if op.version <= _MAPPED[op.op] else VERSION
