"""Repairs of an int8 file, layer by layer in its order: bias correction and adaptive rounding.

Each layer is judged on what the repaired file gives it up to there, so that errors of the layers
before it are made good as well and none is counted twice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from green_edge.convert import samples
from green_edge.convert.int8 import leastsquares, run
from green_edge.convert.int8.columns import (
    Shape,
    as_rows,
    as_stored,
    columns,
    mean_column,
    shape_of,
)
from green_edge.convert.int8.covariance import Covariance
from green_edge.convert.int8.graph import Graph, Layer
from green_edge.convert.int8.match import Matches, Pair, match, real_weights
from green_edge.convert.int8.ready import with_biases
from green_edge.core.report import Skip
from green_edge.tflite.cut import cut
from green_edge.tflite.read import read
from green_edge_wire.errors import ModelError

# Work for running the files again for each layer, in multiply-accumulates: some minutes at most.
_BUDGET_MACS = 10**12
_FEWEST_SAMPLES = 16
# Positions of a map that one sample gives to the moments; neighbours say almost the same.
_POSITIONS = 256
# A dense layer with more inputs would need gigabytes for its moments.
_MOST_COLUMNS = 4096


@dataclass(frozen=True, slots=True)
class Repaired:
    """An int8 file after a repair.

    Attributes:
        done: names of the layers that were changed.
        skipped: the others.
    """

    content: bytes
    done: tuple[str, ...]
    skipped: tuple[Skip, ...]


def correct_bias(model: Path, int8: Path, calibration: Path, inputs: Sequence[str]) -> Repaired:
    """Take each layer's mean error per output channel out of its bias (Nagel et al. 2019, 4.2).

    The means are of the products before the activation, over samples and positions, of the float
    file on its own inputs and of the int8 file on its own.

    Raises:
        ModelError: the files are not one model, or cannot be run.
    """
    return _repair(model.read_bytes(), int8.read_bytes(), calibration, inputs, rounding=False)


def round_adaptively(model: Path, int8: Path, calibration: Path, inputs: Sequence[str]) -> Repaired:
    """Round each layer's weights so that its products change least (`leastsquares`).

    The bias takes the mean of what is left, as in `correct_bias`; so the rounding need only care
    for what varies about the mean.

    Raises:
        ModelError: the files are not one model, or cannot be run.
    """
    return _repair(model.read_bytes(), int8.read_bytes(), calibration, inputs, rounding=True)


def _repair(
    model: bytes, int8: bytes, calibration: Path, inputs: Sequence[str], *, rounding: bool
) -> Repaired:
    content = with_biases(int8)
    float_graph, int8_graph = Graph(model), Graph(content)
    found = match(float_graph, int8_graph)
    if not found.pairs:
        none = "there are none with constant weights"
        reason = "; ".join(f"{s.layer}: {s.reason}" for s in found.skipped[:1]) or none
        hint = "give the float file that the int8 file was made from"
        raise ModelError(f"no layer of the int8 file can be repaired: {reason}", hint=hint)
    chosen = _chosen(int8, found, list(samples.read(calibration, inputs)))
    means = _float_means(model, float_graph, found, chosen)
    done, skipped = [], list(found.skipped)
    for pair, mean in zip(found.pairs, means, strict=True):
        work = _Work(float_graph, int8_graph, pair)
        unrounded = work.mend(int8_graph.content(), chosen, mean, rounding=rounding)
        done.append(pair.float_layer.name)
        if unrounded is not None:
            skipped.append(Skip(pair.float_layer.name, unrounded))
    return Repaired(int8_graph.content(), tuple(done), tuple(skipped))


def _chosen(int8: bytes, found: Matches, every: list[samples.Sample]) -> list[samples.Sample]:
    """So many samples, spread over all, that the work stays bounded whatever the model."""
    macs = max(read(int8, static=False).macs, 1)
    most = max(_BUDGET_MACS // (macs * len(found.pairs)), _FEWEST_SAMPLES)
    places = np.linspace(0, len(every) - 1, min(len(every), most)).astype(int)
    return [every[i] for i in places]


def _float_means(
    model: bytes, graph: Graph, found: Matches, chosen: list[samples.Sample]
) -> list[NDArray[np.float64]]:
    """For each pair, the mean column of the float layer's input; one run of the float file."""
    layers = [pair.float_layer for pair in found.pairs]
    shapes = [_shape(graph, layer) for layer in layers]
    totals = [np.zeros((shape.groups, shape.columns)) for shape in shapes]
    fed = run.in_file_order(model, chosen)
    for values in run.tensors(model, fed, [layer.x for layer in layers]):
        for i, (layer, shape) in enumerate(zip(layers, shapes, strict=True)):
            kernel = graph.shape(layer.weights)
            totals[i] += mean_column(layer, values[i].astype(np.float32), kernel, shape)
    return [total / len(chosen) for total in totals]


def _shape(graph: Graph, layer: Layer) -> Shape:
    return shape_of(layer, graph.shape(layer.weights), graph.shape(layer.x)[-1])


class _Work:
    """One layer in both files, and what is needed to mend it in the int8 one."""

    def __init__(self, float_graph: Graph, int8_graph: Graph, pair: Pair) -> None:
        self._graph = int8_graph
        self._layer = pair.int8_layer
        self._shape = _shape(int8_graph, self._layer)
        self._kernel = int8_graph.shape(self._layer.weights)
        wanted = real_weights(float_graph, pair.float_layer)
        self._wanted = as_rows(pair.float_layer, wanted, self._shape)
        self._bias = _float_bias(float_graph, pair.float_layer, self._shape)

    def mend(
        self,
        content: bytes,
        chosen: list[samples.Sample],
        float_mean: NDArray[np.float64],
        *,
        rounding: bool,
    ) -> str | None:
        """Change weights, when asked, and bias in the graph; returns why weights stayed."""
        reason = None
        if rounding and self._shape.columns > _MOST_COLUMNS:
            reason = f"more than {_MOST_COLUMNS} inputs an output: only its bias was corrected"
            rounding = False
        mean, moments = self._statistics(content, chosen, moments=rounding)
        if rounding:
            self._round(moments)
        self._set_bias(float_mean, mean)
        return reason

    def _statistics(
        self, content: bytes, chosen: list[samples.Sample], *, moments: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean column of the int8 file's inputs to the layer, and their covariance, by group."""
        mean = np.zeros((self._shape.groups, self._shape.columns))
        spread = Covariance(self._shape.groups, self._shape.columns if moments else 0)
        for x in self._inputs(content, chosen):
            mean += mean_column(self._layer, x, self._kernel, self._shape)
            if moments:
                spread.add(columns(self._layer, x, self._kernel, self._shape, _POSITIONS))
        return mean / len(chosen), spread.result()

    def _inputs(
        self, content: bytes, chosen: list[samples.Sample]
    ) -> Iterator[NDArray[np.float32]]:
        """The layer's real inputs in the int8 file, from the file cut off before the layer."""
        head = cut(content, self._graph.inputs, [self._layer.x])
        for [stored] in run.tensors(head, run.in_file_order(content, chosen)):
            yield self._graph.real(self._layer.x, stored)

    def _round(self, moments: NDArray[np.float64]) -> None:
        scales = self._scales()
        integers = np.stack([
            leastsquares.rounded(self._wanted[i], scales[i], moments[i])
            for i in range(self._shape.groups)
        ])  # fmt: skip
        stored = _constant(self._graph, self._layer.weights)
        stored[...] = as_stored(self._layer, integers, stored.shape)

    def _set_bias(self, float_mean: NDArray[np.float64], mean: NDArray[np.float64]) -> None:
        stored = _constant(self._graph, self._layer.weights)
        real = as_rows(self._layer, stored, self._shape) * self._scales()[:, :, None]
        wanted = self._bias + np.einsum("grc,gc->gr", self._wanted, float_mean)
        given = np.einsum("grc,gc->gr", real, mean)
        scale = self._scales() * self._graph.scales(self._layer.x)[0]
        bias = _constant(self._graph, self._layer.bias)
        limits = np.iinfo(bias.dtype)
        steps = np.clip(np.round((wanted - given) / scale), limits.min, limits.max)
        bias[...] = steps.reshape(bias.shape)

    def _scales(self) -> NDArray[np.float64]:
        scales = self._graph.scales(self._layer.weights)
        every = np.broadcast_to(scales, self._shape.groups * self._shape.rows)
        return every.reshape(self._shape.groups, self._shape.rows)


def _float_bias(graph: Graph, layer: Layer, shape: Shape) -> NDArray[np.float64]:
    if layer.bias is None:
        return np.zeros((shape.groups, shape.rows))
    return _constant(graph, layer.bias).astype(np.float64).reshape(shape.groups, shape.rows)


def _constant(graph: Graph, tensor: int | None) -> NDArray[Any]:
    content = None if tensor is None else graph.constant(tensor)
    if content is None:
        raise ModelError("a layer's weights or bias stand outside the file")
    return content
