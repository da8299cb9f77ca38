"""Models at which the Edge TPU compiler stops or crashes, one for each of its errors.

What it says stands beside each. Two of its failures say nothing and cannot be rebuilt here: a bare
`Compilation failed!` and `Internal compiler error. Aborting!`; the pattern known for the first is
`CRASHES`.
"""

from dataclasses import dataclass

from ai_edge_litert import schema_py_generated as schema

from support.op_models import Step, T, alone, conv, dense, op_model

_STATIC = "Attempting to use a delegate that only supports static-sized tensors"


@dataclass(frozen=True, slots=True)
class Fault:
    """A model that is refused, and the compiler's words for it."""

    model: bytes
    says: str


def _dynamic_input() -> bytes:
    shape, unknown = (1, 16, 16, 8), (1, -1, -1, 8)
    return op_model([T(shape, signature=unknown), T(shape)], [Step("RELU", (0,), (1,))])


def _computed_reshape() -> bytes:
    tensors = [T((1, 4, 4, 2)), T((4,), "int32"), T((2,), "int32"), T((1, 32))]
    steps = [
        Step("SHAPE", (0,), (1,)),
        Step("SLICE", (1,), (2,)),
        Step("RESHAPE", (0, 2), (3,)),
    ]
    return op_model(tensors, steps)


def _with_custom(name: str) -> bytes:
    return op_model([T((1, 8)), T((1, 8)), T((1, 8))],
                    [Step("LOGISTIC", (0,), (1,)), Step(name, (1,), (2,))])  # fmt: skip


def _add_of_pad_and_resize() -> bytes:
    small, large = (1, 6, 6, 8), (1, 12, 12, 8)
    tensors = [
        T(small),
        T((1, 10, 10, 8)),
        T((2,), "int32", constant=(12, 12)),
        T((4, 2), "int32", constant=(0, 0, 1, 1, 1, 1, 0, 0)),
        T(large),
        T(large),
        T(large),
    ]
    steps = [
        Step("RESIZE_NEAREST_NEIGHBOR", (0, 2), (4,), 2, ("ResizeNearestNeighborOptions", {})),
        Step("PAD", (1, 3), (5,), 2, ("PadOptions", {})),
        Step("ADD", (5, 4), (6,), 2, ("AddOptions", {})),
    ]
    return op_model(tensors, steps, inputs=(0, 1))


def _truncated() -> bytes:
    whole = conv()
    return whole[: len(whole) // 2]


_NOT_FOUND = "Didn't find op for builtin opcode"
# The compiler refuses the whole model.
FATAL = {
    "float": Fault(dense(1, "float32", "float32"), "Model not quantized"),
    "dynamic-range": Fault(dense(12, "float32", "int8"), "Model not quantized"),
    "quantize-v3": Fault(alone("QUANTIZE", 3), f"{_NOT_FOUND} 'QUANTIZE' version '3'"),
    "exp-v2": Fault(alone("EXP", 2), f"{_NOT_FOUND} 'EXP' version '2'"),
    "conv-v8": Fault(conv(8), f"{_NOT_FOUND} 'CONV_2D' version '8'"),
    "dense-v12": Fault(dense(12, "int8", "int8"), f"{_NOT_FOUND} 'FULLY_CONNECTED' version '12'"),
    "unknown-op": Fault(alone("STABLEHLO_ADD"), f"{_NOT_FOUND} 'STABLEHLO_ADD' version '1'"),
    "custom": Fault(_with_custom("MyPooling"), "Encountered unresolved custom op: MyPooling"),
    "flex": Fault(_with_custom("FlexErf"), "Encountered unresolved custom op: FlexErf"),
    "dynamic-input": Fault(_dynamic_input(), _STATIC),
    "computed-shape": Fault(_computed_reshape(), _STATIC),
    "overflow": Fault(
        conv(scale=1e-12, activation=schema.ActivationFunctionType.RELU6),
        "no_integer_overflow_from_quantization was not true",
    ),
    "nothing-maps": Fault(alone("LEAKY_RELU", 2), "Number of Edge TPU subgraphs: 0"),
}
# Not a file that it can read at all.
UNREADABLE = Fault(_truncated(), "broken .tflite")
# It has crashed or given up on such, though not always.
CRASHES = {
    "add-of-pad-and-resize": Fault(_add_of_pad_and_resize(), "Compilation failed!"),
    "large-activations": Fault(
        conv(size=640, channels=16, depth=16, out=16), "large activation tensors"
    ),
    "grouped": Fault(
        conv(channels=8, depth=4), "Compilation failed: Model failed in Tflite interpreter."
    ),
}
