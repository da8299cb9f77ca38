"""A float .tflite to full int8 by ai-edge-quantizer, without TensorFlow; for the child only."""

from collections.abc import Sequence
from pathlib import Path

import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from ai_edge_quantizer import calibrator, quantizer, recipe, recipe_manager
from ai_edge_quantizer.utils import qsv_utils

from green_edge.convert import samples

_SIGNATURE = "serving_default"


def quantize(model: Path, calibration: Path, inputs: Sequence[str]) -> bytes:
    """Quantize weights per channel and activations to int8, with int8 input and output.

    Ranges are the least and greatest value of all samples. The quantizer's own default averages
    the ranges of single samples, which cuts off what only some of them reach: on small vectors
    that cost several points of accuracy.
    """
    content, signature = _with_signature(model.read_bytes())
    chosen = recipe.static_wi8_ai8()
    rules = recipe_manager.RecipeManager()
    rules.load_quantization_recipe(chosen)
    # One thread: sums split over threads round differently from run to run.
    ranges = calibrator.Calibrator(content, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
    ranges.calibrate({signature: list(samples.read(calibration, inputs))}, rules)
    work = quantizer.Quantizer(content, chosen)
    result = work.quantize(
        ranges.get_model_qsvs(), enable_progress_bar=False, enable_progress_report=False
    )
    return bytes(result.quantized_model)


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
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output()), _SIGNATURE


def _entry(graph: schema.SubGraphT, index: int) -> schema.TensorMapT:
    entry = schema.TensorMapT()
    entry.tensorIndex = int(index)
    entry.name = graph.tensors[index].name
    return entry
