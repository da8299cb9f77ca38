"""Golden samples: a few inputs and what the model gives for them, for the device's self-test."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import interpreter as litert
from numpy.typing import NDArray

from green_edge.convert.signature import names
from green_edge.data import dataset
from green_edge.data.dataset import Dataset
from green_edge_agent.runtime.golden import steps_apart
from green_edge_agent.runtime.interpreter import Interpreter, load
from green_edge_agent.runtime.processing import quantize
from green_edge_wire.errors import ModelError
from green_edge_wire.manifest import TensorSpec

SAMPLES = 4

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """Samples of a model in its own types.

    Attributes:
        input_specs: of the model, as its file declares them.
        output_specs: likewise.
        inputs: one array an input, sample first, without the batch axis.
        outputs: likewise.
        tolerance: greatest difference between right runtimes, in steps.
    """

    input_specs: tuple[TensorSpec, ...]
    output_specs: tuple[TensorSpec, ...]
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    tolerance: float


def golden(model: bytes, samples: Dataset, float_inputs: tuple[str, ...], seed: int) -> Golden:
    """Draw samples and run them.

    The tolerance is one step, as right runtimes round differently, and more where the kernels of
    this machine already differ among themselves: those with the XNNPACK delegate, as 64-bit boards
    run them, and those without, as 32-bit boards do.

    Args:
        model: the int8 .tflite.
        samples: as the float model takes them.
        float_inputs: names of the float model's inputs in its order.
        seed: of the draw.

    Raises:
        ModelError: the model does not run, or gives NaN.
    """
    drawn = dataset.sample(samples, SAMPLES, seed)
    fast = load(model)
    own = names(model).inputs
    order = own if set(own) == set(float_inputs) else float_inputs
    inputs = tuple(
        quantize(drawn.inputs[name], spec).reshape(drawn.n, *spec.sample_shape)
        for name, spec in zip(order, fast.inputs, strict=True)
    )
    outputs = _run(fast, inputs)
    plain = litert.Interpreter(
        model_content=model,
        num_threads=1,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    plain.allocate_tensors()
    others = _run(Interpreter(plain), inputs)
    if not all(np.isfinite(output).all() for output in outputs):
        raise ModelError("the model gives NaN or infinity for a sample of the set")
    apart = max(steps_apart(a, b) for a, b in zip(others, outputs, strict=True))
    return Golden(fast.inputs, fast.outputs, inputs, outputs, 1.0 + float(np.ceil(apart)))


def _run(interpreter: Interpreter, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
    rows = [
        interpreter.invoke(
            [x.reshape(spec.shape) for x, spec in zip(sample, interpreter.inputs, strict=True)]
        )
        for sample in zip(*inputs, strict=True)
    ]
    return tuple(
        np.stack([row[i].reshape(spec.sample_shape) for row in rows])
        for i, spec in enumerate(interpreter.outputs)
    )
