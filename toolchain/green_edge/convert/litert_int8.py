"""A float .tflite to full int8 by ai-edge-quantizer, without TensorFlow; for the child only."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_quantizer import calibrator, quantizer, recipe_manager
from ai_edge_quantizer.utils import qsv_utils

from green_edge.convert import samples
from green_edge.convert.int8 import run, wide
from green_edge.convert.int8.graph import Graph
from green_edge.convert.int8.observe import histograms
from green_edge.convert.int8.ranges import Range, choose
from green_edge.convert.int8.ready import packed
from green_edge.convert.protocol import QuantizeFloat
from green_edge.convert.samples import Sample
from green_edge.core.recipe import Calibration
from green_edge_wire.errors import ModelError

_SIGNATURE = "serving_default"

# By tensor name, what the quantizer keeps of a calibration: arrays `min` and `max`.
_Statistics = dict[str, Any]


def quantize(request: QuantizeFloat) -> bytes:
    """Quantize weights per channel and activations to int8, with int8 input and output.

    Raises:
        ModelError: the model is quantized already, or a layer to be left wide is not there or does
            not run so.
    """
    content, signature = _with_signature(request.model.read_bytes())
    _refuse_quantized(content)
    data = list(samples.read(request.calibration, request.inputs))
    recipe = wide.recipe(content, request.wide, request.wide_dtype)
    statistics = _least_and_greatest(content, signature, data)
    if request.ranges != "minmax":
        _clip(content, data, request.ranges, statistics)
    work = quantizer.Quantizer(content, recipe)
    result = work.quantize(statistics, enable_progress_bar=False, enable_progress_report=False)
    quantized = bytes(result.quantized_model)
    if request.wide:
        # Kernels are chosen when a model is loaded: some have no int16 form.
        for _ in run.tensors(quantized, run.in_file_order(quantized, data[:1])):
            pass
    return quantized


def _refuse_quantized(content: bytes) -> None:
    """Dynamic-range files have float inputs and int8 weights; the quantizer makes broken ones."""
    graph = Graph(content)
    for layer in graph.layers():
        if graph.dtype(layer.weights) != np.float32:
            hint = "give the float model that it was made from"
            raise ModelError(f"the model is quantized already: {layer.name!r}", hint=hint)


def _least_and_greatest(content: bytes, signature: str, data: list[Sample]) -> _Statistics:
    """The range of each activation over all samples.

    The quantizer's own default averages the ranges of single samples, which cuts off what only
    some of them reach: on small vectors that cost several points of accuracy.
    """
    rules = recipe_manager.RecipeManager()
    rules.load_quantization_recipe(wide.recipe(content, (), "float32"))
    # One thread: sums split over threads round differently from run to run.
    ranges = calibrator.Calibrator(content, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
    ranges.calibrate({signature: data}, rules)
    statistics: _Statistics = ranges.get_model_qsvs()
    return statistics


def _clip(content: bytes, data: list[Sample], method: Calibration, statistics: _Statistics) -> None:
    """Replace the ranges of activations by those that `method` chooses.

    Operations that keep a scale (pooling, reshape, concatenation) take it over from their input or
    output when the quantizer applies the ranges, and softmax, logistic and tanh have fixed ones;
    so each tensor may be judged by itself here.
    """
    wholes = {name: _whole(own) for name, own in statistics.items() if _is_one_range(own)}
    for name, counts in histograms(content, data, wholes).items():
        chosen = choose(method, counts, wholes[name])
        own = statistics[name]
        for key, value in (("min", chosen.low), ("max", chosen.high)):
            own[key] = own[key] * 0 + value


def _is_one_range(own: Mapping[str, Any]) -> bool:
    return bool(own) and "min" in own and own["min"].size == 1


def _whole(own: Mapping[str, Any]) -> Range:
    return Range(min(float(own["min"].item()), 0.0), max(float(own["max"].item()), 0.0))


def _with_signature(content: bytes) -> tuple[bytes, str]:
    """Give a model without a signature one that names its tensors; calibration goes by it."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    if model.signatureDefs:
        return content, model.signatureDefs[0].signatureKey.decode()
    graph = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey = _SIGNATURE
    signature.subgraphIndex = 0
    signature.inputs = [_entry(graph, index) for index in graph.inputs]
    signature.outputs = [_entry(graph, index) for index in graph.outputs]
    model.signatureDefs = [signature]
    return packed(model), _SIGNATURE


def _entry(graph: schema.SubGraphT, index: int) -> schema.TensorMapT:
    entry = schema.TensorMapT()
    entry.tensorIndex = int(index)
    entry.name = graph.tensors[index].name
    return entry
