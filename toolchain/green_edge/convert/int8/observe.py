"""What a float model's activations look like over the calibration samples."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from green_edge.convert.int8 import run
from green_edge.convert.int8.graph import Graph
from green_edge.convert.int8.ranges import BINS, Histogram, Range
from green_edge.convert.samples import Sample


def histograms(
    tflite: bytes, samples: Iterable[Sample], wholes: Mapping[str, Range]
) -> dict[str, Histogram]:
    """Count the values of computed float tensors in bins over their whole ranges.

    One run over the samples; memory is that of the bins, whatever the number of samples.

    Args:
        tflite: the float model.
        samples: by input name, batch 1.
        wholes: least and greatest value of each tensor, found in a run before; others are left out.
    """
    graph = Graph(tflite)
    wanted = {
        index: wholes[graph.name(index)]
        for index in graph.computed()
        if graph.name(index) in wholes and graph.dtype(index) == np.float32
    }
    counts = {index: np.zeros(BINS, np.int64) for index in wanted}
    fed = run.in_file_order(tflite, samples)
    for values in run.tensors(tflite, fed, tuple(wanted)):
        for (index, whole), array in zip(wanted.items(), values, strict=True):
            counts[index] += _binned(array, whole)
    return {graph.name(index): count for index, count in counts.items()}


def _binned(values: NDArray[Any], whole: Range) -> Histogram:
    """Kernels of the run before may have rounded differently; what falls outside is at the end."""
    width = (whole.high - whole.low) / BINS
    if width <= 0:
        return np.zeros(BINS, np.int64)
    places = (values.ravel().astype(np.float64) - whole.low) / width
    return np.bincount(np.clip(places, 0, BINS - 1).astype(np.int64), minlength=BINS)
