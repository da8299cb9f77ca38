"""Runs a data set through a .tflite with the runtime that the device uses."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from green_edge.data.dataset import Array, Dataset
from green_edge_agent.runtime import interpreter
from green_edge_agent.runtime.processing import dequantize, quantize
from green_edge_wire.errors import ModelError
from green_edge_wire.manifest import TensorSpec

_REPORTS = 50


def predict(
    model: bytes,
    dataset: Dataset,
    *,
    threads: int = 1,
    progress: Callable[[float], None] | None = None,
) -> tuple[NDArray[np.float32], ...]:
    """Outputs of a model for every sample of a set.

    Inputs are quantized to the model's types and outputs made real again, so float and int8 models
    compare. They meet the model's inputs by name, where the names agree but for what converters
    add, else by position.

    Args:
        model: content of a .tflite, float or quantized.
        dataset: samples as the float model takes them.
        threads: of the runtime.
        progress: told the share done, some fifty times.

    Returns:
        One array an output, in the model's order, sample first.

    Raises:
        ModelError: the model cannot run, or its inputs are not the set's.
    """
    runner = interpreter.load(model, threads=threads)
    arrays = in_order(dataset, runner.inputs)
    inputs = [quantize(a, spec) for a, spec in zip(arrays, runner.inputs, strict=True)]
    results = []
    every = max(1, dataset.n // _REPORTS)
    for i in range(dataset.n):
        fed = [x[i].reshape(spec.shape) for x, spec in zip(inputs, runner.inputs, strict=True)]
        results.append(runner.invoke(fed))
        if progress is not None and (i + 1) % every == 0:
            progress((i + 1) / dataset.n)
    return tuple(
        dequantize(np.stack(rows), spec).reshape(dataset.n, *spec.sample_shape)
        for rows, spec in zip(zip(*results, strict=True), runner.outputs, strict=True)
    )


def in_order(dataset: Dataset, specs: Sequence[TensorSpec]) -> list[Array]:
    """Arrays of a set in the order of a model's inputs: by name where they agree, else by position.

    Raises:
        ModelError: the model takes other inputs.
    """
    by_name = {_plain(name): array for name, array in dataset.inputs.items()}
    wanted = [_plain(spec.name) for spec in specs]
    arrays = [by_name[n] for n in wanted] if set(wanted) == set(by_name) else [*by_name.values()]
    if len(arrays) != len(specs) or not dataset.n:
        message = f"the model takes {len(specs)} inputs, the set has {len(arrays)}"
        raise ModelError(f"{message} with {dataset.n} samples")
    for array, spec in zip(arrays, specs, strict=True):
        if array[0].size != int(np.prod(spec.shape)):
            message = f"input {spec.name!r} takes {spec.shape}, a sample has {array.shape[1:]}"
            raise ModelError(message)
    return arrays


def _plain(name: str) -> str:
    return name.removeprefix("serving_default_").partition(":")[0]
