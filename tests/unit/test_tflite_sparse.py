"""Sparse storage of float 1 x 1 kernels: fewer bytes, the same outputs."""

from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as schema

from green_edge.tflite.read import read
from green_edge.tflite.sparse import with_sparse_weights
from green_edge_wire.errors import ModelError
from support.same_outputs import differing
from support.sparse_models import WIDE, with_zeros
from support.tiny_models import tiny_int8_dense

_VALUE_BYTES = 4


def _ops(model: bytes) -> list[str]:
    return [op.op for op in read(model, static=False).ops]


@pytest.mark.parametrize(("share", "wide"), [(0.7, WIDE), (0.95, WIDE), (0.8, 260), (1.0, WIDE)])
def test_sparse_kernels_give_the_same_outputs_in_fewer_bytes(share: float, wide: int) -> None:
    model = with_zeros(share, wide=wide)
    stored = with_sparse_weights(model)
    assert (stored.kernels, stored.reasons) == (2, ())
    assert _ops(stored.content).count("DENSIFY") == 2
    assert differing(model, stored.content, samples=3) == 0
    saved = len(model) - len(stored.content)
    assert saved > (share - 0.4) * 2 * wide * wide * _VALUE_BYTES


def test_only_the_kernels_are_stored_sparsely() -> None:
    stored = with_sparse_weights(with_zeros(0.8)).content
    sparse = [tensor for tensor in read(stored, static=False).tensors if tensor.sparse]
    assert [tensor.shape for tensor in sparse] == [(WIDE, 1, 1, WIDE)] * 2


def test_the_list_of_blocks_is_there_for_runtimes_that_crash_without() -> None:
    graph = schema.ModelT.InitFromPackedBuf(with_sparse_weights(with_zeros(0.8)).content).subgraphs[
        0
    ]
    sparse = [tensor.sparsity for tensor in graph.tensors if tensor.sparsity is not None]
    assert [list(each.blockMap) for each in sparse] == [[], []]


def test_a_kernel_of_two_convolutions_is_stored_once() -> None:
    model = with_zeros(0.8, shared=True)
    stored = with_sparse_weights(model)
    assert stored.kernels == 1
    assert _ops(stored.content) == ["PAD", "CONV_2D", "DENSIFY", "CONV_2D", "CONV_2D", "MEAN"]
    assert differing(model, stored.content, samples=3) == 0


def test_too_few_zeros_leave_the_file_as_it_is_and_are_told() -> None:
    model = with_zeros(0.5)
    stored = with_sparse_weights(model)
    assert stored.content == model
    assert stored.reasons == ("50% of the weights of 1 x 1 convolutions are zero, not 67 %",)


def test_what_is_stored_sparsely_is_left_alone() -> None:
    stored = with_sparse_weights(with_zeros(0.8)).content
    assert with_sparse_weights(stored).content == stored


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pad": (0, 1)}, "CONV_2D 'conv1_out' is no 1 x 1 of stride 1, no 3 x 3"),
        ({"stride": 1}, "CONV_2D 'conv1_out' is no 1 x 1 of stride 1, no 3 x 3"),
        ({"between": "SIN"}, "SIN 'between' has no sparse form"),
        ({"between": "constant"}, "ADD 'between' takes a constant"),
        ({"between": "taken"}, "CONV_2D 'conv1_out' is taken by other operations too"),
    ],
)
def test_networks_that_the_sparse_kernels_do_not_take_stay_and_say_why(
    change: dict[str, Any], reason: str
) -> None:
    model = with_zeros(0.8, **change)
    stored = with_sparse_weights(model)
    assert stored.content == model
    assert len(stored.reasons) == 1
    assert reason in stored.reasons[0]


@pytest.mark.parametrize("between", ["ADD", "LOGISTIC"])
def test_additions_and_activations_may_stand_between(between: str) -> None:
    model = with_zeros(0.8, between=between)
    stored = with_sparse_weights(model)
    assert stored.kernels == 2
    assert differing(model, stored.content, samples=3) == 0


def test_int8_models_stay_as_they_are_and_say_why() -> None:
    stored = with_sparse_weights(tiny_int8_dense())
    assert stored.content == tiny_int8_dense()
    assert stored.reasons == ("no mean over the image ends the convolutions",)


def test_what_is_no_model_is_an_error() -> None:
    with pytest.raises(ModelError):
        with_sparse_weights(b"nothing")
