from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from green_edge.tflite.cut import cut
from green_edge.tflite.model import TfliteModel
from green_edge.tflite.read import read
from green_edge_agent.runtime import interpreter
from green_edge_wire.errors import ModelError
from support.quantized_pairs import float_file, int8_file, net
from support.tiny_models import tiny_float_conv

Arrays = Sequence[NDArray[Any]]


def _index(facts: TfliteModel, name: str) -> int:
    return next(tensor.index for tensor in facts.tensors if tensor.name == name)


def _run(content: bytes, arrays: Arrays) -> Arrays:
    return interpreter.load(content).invoke(arrays)


def _inputs_of(content: bytes, seed: int = 1) -> Arrays:
    draw = np.random.default_rng(seed)
    specs = interpreter.load(content).inputs
    return [
        draw.integers(-100, 100, s.shape).astype(s.dtype)
        if s.dtype == "int8"
        else draw.normal(size=s.shape).astype(s.dtype)
        for s in specs
    ]


@pytest.mark.parametrize("content", [tiny_float_conv(), float_file(net()), int8_file(net())])
def test_the_layers_one_after_another_compute_what_the_model_computes(content: bytes) -> None:
    facts = read(content)
    values: dict[int, NDArray[Any]] = dict(
        zip(facts.input_indices, _inputs_of(content), strict=True)
    )
    whole = _run(content, list(values.values()))
    for op in facts.ops:
        fed = [i for i in op.inputs if i >= 0 and not facts.tensors[i].constant]
        given = _run(cut(content, fed, op.outputs), [values[i] for i in fed])
        values.update(zip(op.outputs, given, strict=True))
    for index, wanted in zip(facts.output_indices, whole, strict=True):
        np.testing.assert_allclose(values[index], wanted, atol=1e-5)


def test_a_cut_keeps_only_what_it_needs() -> None:
    content = tiny_float_conv()
    facts = read(content)
    head = cut(content, [_index(facts, "means")], [_index(facts, "scores")])
    found = read(head)
    assert [op.op for op in found.ops] == ["FULLY_CONNECTED"]
    assert sorted(t.name for t in found.tensors) == ["b", "means", "scores", "w"]
    assert len(head) < len(content)


def test_names_versions_and_quantization_stay() -> None:
    content = int8_file(net())
    facts = read(content)
    part = read(cut(content, [_index(facts, "net/conv1")], [_index(facts, "net/conv2")]))
    assert [(op.op, op.version) for op in part.ops] == [("DEPTHWISE_CONV_2D", 3), ("CONV_2D", 3)]
    for tensor in part.tensors:
        before = facts.tensors[_index(facts, tensor.name)]
        assert (tensor.scale, tensor.zero_point) == (before.scale, before.zero_point)
        assert (tensor.shape, tensor.channels) == (before.shape, before.channels)


def test_a_middle_tensor_comes_out_and_its_rest_goes_on() -> None:
    content = float_file(net())
    facts = read(content)
    fed = _inputs_of(content)
    middle = _index(facts, "net/add")
    (value,) = _run(cut(content, facts.input_indices, [middle]), fed)
    (scores,) = _run(cut(content, [middle], facts.output_indices), [value])
    np.testing.assert_allclose(scores, _run(content, fed)[0], atol=1e-5)


def test_a_fed_tensor_replaces_what_would_compute_it_and_a_skip_goes_round_it() -> None:
    content = float_file(net())
    facts = read(content)
    depth = _index(facts, "net/depth")
    part = cut(content, [*facts.input_indices, depth], facts.output_indices)
    assert [op.op for op in read(part).ops] == [
        "CONV_2D", "CONV_2D", "ADD", "MEAN", "FULLY_CONNECTED",
    ]  # fmt: skip
    (image,) = _inputs_of(content)
    (value,) = _run(cut(content, facts.input_indices, [depth]), [image])
    np.testing.assert_allclose(_run(part, [image, value])[0], _run(content, [image])[0], atol=1e-5)


def test_a_constant_among_the_inputs_is_fed_instead() -> None:
    content = tiny_float_conv()
    facts = read(content)
    means, weights = _index(facts, "means"), _index(facts, "w")
    part = cut(content, [means, weights], [_index(facts, "scores")])
    x, w = np.arange(4, dtype=np.float32)[None], np.eye(3, 4, dtype=np.float32)
    np.testing.assert_allclose(_run(part, [x, w])[0], [[0, 1, 2]])


def test_a_cut_that_lacks_an_input_names_it() -> None:
    content = float_file(net())
    facts = read(content)
    with pytest.raises(ModelError, match="also depends on 'net/image'"):
        cut(content, [_index(facts, "net/depth")], [_index(facts, "net/add")])


def test_the_same_cut_has_the_same_bytes() -> None:
    content = int8_file(net())
    facts = read(content)
    ends = facts.input_indices, facts.output_indices
    assert cut(content, *ends) == cut(content, *ends)
