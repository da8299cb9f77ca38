"""Where a quantized model loses accuracy: the error of each layer, alone and at the output.

Two figures a layer, both signal-to-quantization-noise ratios in dB (10 log10 of power over power):

* `sqnr_db`, the layer's own error: what the new file's layer gives in a run of the new file, set
  against what the baseline's layer makes of the same inputs. A layer is not blamed for what came
  before it. Channels weigh equally: the ratio of noise to signal is taken in each and averaged, so
  a channel that eats the range of all others shows, however small their signal is beside its own.
* `output_sqnr_db`, the harm done: the baseline runs with this layer alone replaced by the new
  file's, and its outputs are set against those of the baseline. The layer takes the baseline's
  activations as the new file would hold them. Their rounding is the error of the layer that made
  them, so only what this layer adds to it is carried on.

Layers are ordered by the harm, worst first. Between two files of the same precision the figures
tell how far the layers differ.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import cast

import numpy as np
from numpy.typing import NDArray

from green_edge.data.dataset import Array, Dataset, sample
from green_edge.evaluate.matching import Graph, Layer, Unmatched, match, open_graph
from green_edge.evaluate.predict import in_order, predict
from green_edge.evaluate.rescaled import Units, find_units
from green_edge.tflite.cut import cut
from green_edge_agent.runtime.processing import dequantize, quantize
from green_edge_wire.manifest import Dtype, TensorSpec

# Float32 sums of some thousand terms agree to about 1e-6: a smaller noise is none.
MOST_DB = 120.0

# Activations of both files that are kept at a time.
_ACTIVATION_BYTES = 256 << 20
_FLOAT_BYTES = 4
# A channel under 3 % of the usual amplitude is all but dead; its noise counts as if it were not.
_LEAST_POWER = 1e-3
_ONE = np.ones(1, np.float32)

Floats = NDArray[np.float32]
_Powers = NDArray[np.float64]
_Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class LayerError:
    """Error of one layer.

    Attributes:
        index: place in the order of the new file.
        name: of its output tensor in the baseline.
        op: the baseline's operation; `QUANTIZE` where the new file recodes a tensor, at its input
            or between two scales.
        sqnr_db: its own error; 120 stands for none.
        worst_channel: index on the last axis of its output.
        output_sqnr_db: error of the baseline's outputs when it alone is the new file's.
        worst_channel_sqnr_db: own error in that channel.
        channels: length of that axis.
        ops: operations of the baseline that it covers: more than one where the two files fuse or
            split operations otherwise; none for `QUANTIZE`.
    """

    index: int
    name: str
    op: str
    sqnr_db: float
    worst_channel: int
    output_sqnr_db: float
    worst_channel_sqnr_db: float
    channels: int
    ops: int


@dataclass(frozen=True, slots=True)
class LayerReport:
    """Errors of all layers, worst first, and the operations that are in none.

    Attributes:
        rescaled: names of tensors that the new file holds in other units, channel by channel, as
            cross-layer equalisation leaves them; they are compared in the baseline's.
    """

    layers: tuple[LayerError, ...]
    unmatched: tuple[Unmatched, ...]
    rescaled: tuple[str, ...]
    samples: int


def layer_errors(
    float_tflite: bytes, other_tflite: bytes, dataset: Dataset, *, samples: int = 32
) -> tuple[LayerError, ...]:
    """Errors of the layers of a model against its float form, worst first; see `compare_layers`."""
    return compare_layers(float_tflite, other_tflite, dataset, samples=samples).layers


def compare_layers(
    baseline: bytes,
    new: bytes,
    dataset: Dataset,
    *,
    samples: int = 32,
    seed: int = 0,
    progress: _Progress | None = None,
) -> LayerReport:
    """Compare two models layer by layer.

    Args:
        baseline: the float .tflite that the other was made from; another model is possible.
        new: a .tflite, quantized or not.
        dataset: samples as the float model takes them.
        samples: how many to draw from it.
        seed: of the draw.
        progress: told the share done.

    Raises:
        ModelError: a model cannot run, or its inputs are not the set's.
    """
    a, b = open_graph(baseline), open_graph(new)
    matching = match(a, b)
    drawn = sample(dataset, samples, seed)
    every = max(1, _batch_size(a, b, matching.layers))
    batches = [range(i, min(i + every, drawn.n)) for i in range(0, max(drawn.n, 1), every)]
    tell = _shares(progress, len(batches) * len(matching.layers))
    batch = _Batch(a, b, matching.layers, drawn.take(batches[0]))
    first = _First(batch, tell)
    units = find_units(matching.layers, batch.slopes, lambda *key: first.tally(*key).error())
    tallies = [first.tally(layer, units) for layer in matching.layers]
    for rows in batches[1:]:
        batch = _Batch(a, b, matching.layers, drawn.take(rows))
        for tally in tallies:
            batch.measure(tally, units)
            tell()
    errors = [tally.error(index) for index, tally in enumerate(tallies)]
    return LayerReport(
        layers=tuple(sorted(errors, key=_worst_first)),
        unmatched=matching.unmatched,
        rescaled=tuple(b.tensor(index).name for index in units),
        samples=drawn.n,
    )


def _shares(progress: _Progress | None, whole: int) -> Callable[[], None]:
    """Counter of work done, which tells the share of the whole."""
    done = count(1)

    def tell() -> None:
        if progress is not None:
            progress(min(next(done) / whole, 1.0))

    return tell


def _worst_first(error: LayerError) -> tuple[float, float]:
    return error.output_sqnr_db, error.sqnr_db


def _batch_size(a: Graph, b: Graph, layers: Sequence[Layer]) -> int:
    values = sum(
        int(np.prod(graph.tensor(index).shape))
        for graph, indices in ((a, _used(layers, "a")), (b, _used(layers, "b")))
        for index in indices
    )
    return _ACTIVATION_BYTES // max(values * _FLOAT_BYTES, 1)


def _used(layers: Sequence[Layer], file: str) -> list[int]:
    return sorted({getattr(p, file) for layer in layers for p in (*layer.starts, layer.end)})


class _Tally:
    """Sums of signal and noise over the samples."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self._signal: _Powers = np.zeros(1)
        self._noise: _Powers = np.zeros(1)
        self._output_signal: _Powers = np.zeros(1)
        self._output_noise: _Powers = np.zeros(1)

    def add(self, wanted: Floats, noise: Floats) -> None:
        """Take the layer's output as the baseline's layer gives it, and the difference to it."""
        self._signal = self._signal + _by_channel(wanted)
        self._noise = self._noise + _by_channel(noise)

    def add_outputs(self, wanted: Sequence[Floats], noise: Sequence[Floats]) -> None:
        """Take the baseline's outputs, and the differences that the layer makes to them."""
        self._output_signal = self._output_signal + np.array([_power(x) for x in wanted])
        self._output_noise = self._output_noise + np.array([_power(x) for x in noise])

    def error(self, index: int = 0) -> LayerError:
        """Sum up, for the layer in that place of the model."""
        ratios = _ratios(self._signal, self._noise)
        worst = int(np.argmax(ratios))
        return LayerError(
            index=index,
            name=self.layer.name,
            op=self.layer.op,
            sqnr_db=_decibel(float(np.mean(ratios))),
            worst_channel=worst,
            output_sqnr_db=_decibel(float(np.mean(_ratios(self._output_signal,
                                                          self._output_noise)))),
            worst_channel_sqnr_db=_decibel(float(ratios[worst])),
            channels=len(ratios),
            ops=self.layer.ops,
        )  # fmt: skip


class _Batch:
    """Some samples with the activations that they cause in both files."""

    def __init__(self, a: Graph, b: Graph, layers: Sequence[Layer], dataset: Dataset) -> None:
        self._a, self._b = a, b
        self._fed = [np.asarray(x, np.float32) for x in in_order(dataset, a.facts.inputs)]
        self._of_a = _activations(a, dataset, [*_used(layers, "a"), *a.outputs])
        self._of_b = _activations(b, dataset, _used(layers, "b"))
        self._outputs = [self._of_a[index] for index in a.outputs]

    def slopes(self, layer: Layer, units: Units) -> Floats:
        """How many times what the baseline's layer gives the new file's gives, by channel."""
        own = [self._of_b[pair.b] / units.get(pair.b, _ONE) for pair in layer.starts]
        wanted, given = _rows(self._wanted(layer, own)), _rows(self._of_b[layer.end.b])
        power = np.sum(wanted * wanted, axis=0)
        slopes = np.ones(power.shape)
        np.divide(np.sum(wanted * given, axis=0), power, out=slopes, where=power > 0)
        return np.asarray(slopes, dtype=np.float32)

    def measure(self, tally: _Tally, units: Units) -> None:
        """Add these samples' signal and noise of a layer; all values in the baseline's units."""
        layer = tally.layer
        given = self._of_b[layer.end.b] / units.get(layer.end.b, _ONE)
        if not layer.starts:
            wanted = self._of_a[layer.end.a]
            noise = given - wanted
            tally.add(wanted, noise)
            tally.add_outputs(self._outputs, self._harm(layer.end.a, noise))
            return
        own, held = [], []
        for pair in layer.starts:
            unit = units.get(pair.b, _ONE)
            own.append(self._of_b[pair.b] / unit)
            held.append(_as_held(self._of_a[pair.a] * unit, self._b, pair.b) / unit)
        # One run of the baseline's layer serves both figures.
        both = [np.concatenate(pair) for pair in zip(own, held, strict=True)]
        wanted, wanted_held = np.split(self._wanted(layer, both), 2)
        tally.add(wanted, given - wanted)
        noise = self._given(layer, held, units) - wanted_held
        tally.add_outputs(self._outputs, self._harm(layer.end.a, noise))

    def _wanted(self, layer: Layer, inputs: Sequence[Floats]) -> Floats:
        """What the baseline's layer makes of the inputs; its own value where it takes none."""
        if not layer.starts:
            return self._of_a[layer.end.a]
        starts = {pair.a: array for pair, array in zip(layer.starts, inputs, strict=True)}
        if layer.end.a in starts:
            return starts[layer.end.a]
        part = cut(self._a.content, list(starts), [layer.end.a])
        return _run(part, list(starts.values()))[0]

    def _given(self, layer: Layer, inputs: Sequence[Floats], units: Units) -> Floats:
        """What the new file's layer makes of them."""
        starts = [pair.b for pair in layer.starts]
        part = cut(self._b.content, starts, [layer.end.b])
        fed = [x * units.get(i, _ONE) for i, x in zip(starts, inputs, strict=True)]
        return _run(part, fed)[0] / units.get(layer.end.b, _ONE)

    def _harm(self, index: int, noise: Floats) -> list[Floats]:
        """Changes of the baseline's outputs when noise is added to one of its tensors."""
        if not noise.any():
            return [np.zeros_like(output) for output in self._outputs]
        changed = self._of_a[index] + noise
        fed = dict(zip(self._a.inputs, self._fed, strict=True)) | {index: changed}
        rest = [output for output in self._a.outputs if output != index]
        found = {index: changed}
        if rest:
            part = cut(self._a.content, list(fed), rest)
            found |= dict(zip(rest, _run(part, list(fed.values())), strict=True))
        ends = [found[output] for output in self._a.outputs]
        return [end - old for end, old in zip(ends, self._outputs, strict=True)]


class _First:
    """Tallies of the first batch, in whatever units it is read; each is taken once."""

    def __init__(self, batch: _Batch, tell: Callable[[], None]) -> None:
        self._batch, self._tell = batch, tell
        self._known: dict[tuple[Layer, frozenset[int]], _Tally] = {}

    def tally(self, layer: Layer, units: Units) -> _Tally:
        """Sums of a layer."""
        # Other tensors' units change nothing for it.
        ends = {pair.b for pair in (*layer.starts, layer.end)}
        key = layer, frozenset(ends.intersection(units))
        if key not in self._known:
            self._known[key] = _Tally(layer)
            self._batch.measure(self._known[key], units)
            self._tell()
        return self._known[key]


def _activations(graph: Graph, dataset: Dataset, indices: Sequence[int]) -> Mapping[int, Floats]:
    """Tensors of a file as real numbers, sample first."""
    arrays = in_order(dataset, graph.facts.inputs)
    found = {
        index: dequantize(quantize(array, spec), spec)
        for index, array, spec in zip(graph.inputs, arrays, graph.facts.inputs, strict=True)
    }
    computed = [index for index in dict.fromkeys(indices) if index not in found]
    part = cut(graph.content, graph.inputs, computed)
    return found | dict(zip(computed, _run(part, arrays), strict=True))


def _run(part: bytes, inputs: Sequence[Array]) -> tuple[Floats, ...]:
    # Names that no model has: inputs go by position.
    return predict(part, Dataset({f"#{i}": array for i, array in enumerate(inputs)}))


def _as_held(values: Floats, graph: Graph, index: int) -> Floats:
    """Real values after a tensor of a file has held them."""
    tensor = graph.tensor(index)
    if tensor.scale is None:
        return values
    dtype = cast("Dtype", tensor.dtype)
    spec = TensorSpec(tensor.name, tensor.shape, dtype, tensor.scale, tensor.zero_point)
    return dequantize(quantize(values, spec), spec)


def _by_channel(values: Floats) -> _Powers:
    """Sum of squares over all but the last axis; one channel where samples are single numbers."""
    return np.asarray(np.sum(np.square(_rows(values)), axis=0))


def _rows(values: Floats) -> NDArray[np.float64]:
    return values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1).astype(np.float64)


def _power(values: Floats) -> float:
    return float(np.sum(np.square(values, dtype=np.float64)))


def _ratios(signal: _Powers, noise: _Powers) -> _Powers:
    """Noise over signal, entry by entry; all but dead entries take the signal of the floor."""
    alive = signal[signal > 0]
    floor = float(np.median(alive)) * _LEAST_POWER if len(alive) else 1.0
    return noise / np.maximum(signal, floor)


def _decibel(noise_ratio: float) -> float:
    least = 10.0 ** (-MOST_DB / 10)
    return float(-10.0 * np.log10(max(noise_ratio, least)))
