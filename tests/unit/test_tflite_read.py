import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from green_edge.tflite.macs import macs_of
from green_edge.tflite.read import is_tflite, read
from green_edge_wire.errors import ModelError
from support.tiny_models import tiny_float_conv, tiny_float_dense, tiny_int8_dense


def _edited(data: bytes, *, signature: list[int] | None = None, dtype: int | None = None) -> bytes:
    """The model with another shape signature or type of its first input."""
    import flatbuffers  # noqa: PLC0415 - needed here alone

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    tensor = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    if signature is not None:
        tensor.shapeSignature = np.array(signature, np.int32)
    if dtype is not None:
        tensor.type = dtype
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_a_float_model_reads_with_its_operations_and_figures() -> None:
    data = tiny_float_conv(size=8, classes=3)
    model = read(data)
    assert [(spec.name, spec.shape, spec.dtype) for spec in model.inputs] == [
        ("image", (1, 8, 8, 1), "float32")
    ]
    assert [op.op for op in model.ops] == ["CONV_2D", "MEAN", "FULLY_CONNECTED"]
    # 8 x 8 outputs of 4 filters of 9 taps, then 4 inputs to 3 outputs.
    assert [op.macs for op in model.ops] == [8 * 8 * 4 * 9, 0, 4 * 3]
    # Four zero biases and four more in a second buffer; the axes of MEAN are no parameters.
    assert [op.params for op in model.ops] == [4 * 9 + 4, 0, 12 + 3]
    assert (model.params, model.macs) == (55, 2304 + 12)
    assert model.size_bytes == len(data)
    assert model.zip_bytes == len(zlib.compress(data, 9))
    assert (model.subgraphs, model.dynamic) == (1, ())


def test_an_int8_model_reads_with_scales_and_counts_its_int32_biases() -> None:
    model = read(tiny_int8_dense(inputs=4, outputs=3))
    assert model.inputs[0].scale == pytest.approx(1 / 32)
    assert model.inputs[0].zero_point == 0
    assert model.ops[0].version == 4
    assert (model.ops[0].params, model.ops[0].weight_bytes) == (15, 12 + 3 * 4)
    assert model.tensors[model.ops[0].inputs[1]].channels == 1


def test_an_open_batch_is_taken_as_one_and_any_other_open_axis_is_refused() -> None:
    data = tiny_float_conv()
    assert read(_edited(data, signature=[-1, 8, 8, 1])).dynamic == ()
    dynamic = _edited(data, signature=[-1, -1, 8, 1])
    with pytest.raises(ModelError, match="dynamic shape of input 'image'"):
        read(dynamic)
    assert read(dynamic, static=False).dynamic == ("image",)


def test_settings_and_small_constants_are_read_and_weights_are_not() -> None:
    model = read(tiny_float_conv())
    conv, mean, dense = (op.options for op in model.ops)
    assert conv is not None
    assert (conv.fused_activation, conv.padding) == ("RELU", "SAME")
    assert (conv.stride, conv.dilation) == ((1, 1), (1, 1))
    assert conv.keep_dims is None
    assert mean is not None
    assert mean.keep_dims is False
    assert dense is not None
    assert (dense.weights_format, dense.keep_num_dims) == ("DEFAULT", False)
    assert model.tensors[model.ops[1].inputs[1]].values == (1, 2)
    assert model.tensors[model.ops[0].inputs[1]].values is None
    assert (model.input_indices, model.output_indices) == ((0,), (8,))


def test_an_open_axis_is_kept_beside_the_shape_that_is_stored() -> None:
    model = read(_edited(tiny_float_conv(), signature=[-1, -1, 8, 1]), static=False)
    assert model.tensors[model.input_indices[0]].signature == (-1, -1, 8, 1)
    assert read(tiny_float_conv()).tensors[0].signature is None


def test_a_constant_of_zeros_is_known_as_such() -> None:
    tensors = read(tiny_int8_dense()).tensors
    # Input, weights, a bias of zeros, output.
    assert [tensor.all_zero for tensor in tensors] == [False, False, True, False]
    assert [tensor.constant for tensor in tensors] == [False, True, True, False]


def test_the_zipped_size_is_left_out_when_asked() -> None:
    assert read(tiny_int8_dense(), zipped=False).zip_bytes == 0


def test_inputs_of_a_type_that_no_data_set_holds_are_refused() -> None:
    data = _edited(tiny_float_dense(), dtype=schema.TensorType.COMPLEX64)
    with pytest.raises(ModelError, match=r"^tensor 'x': no data set holds complex64"):
        read(data)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04....", b"\x89HDF\r\n\x1a\n" * 4])
def test_what_is_no_tflite_is_refused(data: bytes) -> None:
    assert not is_tflite(data[:8])
    with pytest.raises(ModelError, match=r"not a \.tflite"):
        read(data)


def test_a_file_cut_short_is_refused() -> None:
    data = tiny_float_dense()
    assert is_tflite(data[:8])
    for length in (8, 12, len(data) // 4):
        with pytest.raises(ModelError, match=r"broken \.tflite"):
            read(data[:length])


@pytest.mark.parametrize(
    ("op", "inputs", "output", "macs"),
    [
        ("CONV_2D", [(1, 8, 8, 4), (6, 3, 3, 4), (6,)], (1, 8, 8, 6), 8 * 8 * 6 * 36),
        # Grouped: each filter sees half of the channels.
        ("CONV_2D", [(1, 8, 8, 4), (6, 3, 3, 2), (6,)], (1, 8, 8, 6), 8 * 8 * 6 * 18),
        ("DEPTHWISE_CONV_2D", [(1, 8, 8, 4), (1, 3, 3, 4), None], (1, 4, 4, 4), 16 * 4 * 9),
        ("FULLY_CONNECTED", [(1, 10), (5, 10), (5,)], (1, 5), 50),
        ("TRANSPOSE_CONV", [(4,), (2, 3, 3, 4), (1, 5, 5, 4)], (1, 10, 10, 2), 25 * 4 * 18),
        ("CONV_3D", [(1, 4, 4, 4, 2), (3, 3, 3, 2, 5)], (1, 4, 4, 4, 5), 64 * 5 * 54),
        ("BATCH_MATMUL", [(2, 3, 4), (2, 4, 5)], (2, 3, 5), 2 * 3 * 5 * 4),
        ("BATCH_MATMUL", [(2, 4, 3), (2, 4, 5)], (2, 3, 5), 2 * 3 * 5 * 4),
        (
            "UNIDIRECTIONAL_SEQUENCE_LSTM",
            [(1, 7, 2), *[(3, 2)] * 4, *[(3, 3)] * 4],
            (1, 7, 3),
            7 * (4 * 6 + 4 * 9),
        ),
        ("ADD", [(1, 4), (1, 4)], (1, 4), 0),
        ("FULLY_CONNECTED", [(1, 10)], (1, 5), 0),
    ],
)
def test_macs_follow_from_the_shapes(
    op: str, inputs: list[tuple[int, ...] | None], output: tuple[int, ...], macs: int
) -> None:
    assert macs_of(op, inputs, [output]) == macs


def test_the_public_reference_models_read_with_their_published_macs() -> None:
    folder = os.environ.get("GREEN_EDGE_TEST_DATA")
    if not folder or not (Path(folder) / "mlperf_tiny").is_dir():
        pytest.skip("GREEN_EDGE_TEST_DATA is not set: name the folder with mlperf_tiny")
    # Multiply-accumulates counted by hand from the layers of the MLPerf Tiny reference models.
    known = {"resnet8_cifar10": 12_501_632, "kws": 2_656_768, "vww_96": 7_489_664}
    for name, macs in known.items():
        for kind in ("fp32", "int8"):
            model = read((Path(folder) / "mlperf_tiny" / f"{name}_{kind}.tflite").read_bytes())
            assert model.macs == macs
