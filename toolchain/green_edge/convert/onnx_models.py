"""ONNX files as float .tflite of batch 1, through onnx2tf; imported by the converter child only.

onnx2tf turns channels-first networks into channels-last ones by rules of thumb, so what it makes is
run beside the original before it is believed.
"""

import contextlib
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import onnxsim

from green_edge.convert.same_answers import CHANNELS_LAST, Array, is_same, largest_error, sample
from green_edge_wire.errors import ModelError

_RANK_OF_IMAGES = 4
_MOST_UNTURNED = 2
_FORBIDDEN = re.compile(r"[^A-Za-z0-9_.-]")
# onnx2tf looks for its sample images in the working folder before it downloads them.
_SAMPLE_IMAGES = "calibration_image_sample_data_20x128x128x3_float32.npy"


def load_batch_1(path: Path, convert: Callable[[Any, Sequence[str]], bytes]) -> Any:
    """Load an ONNX file as a Keras 2 model that takes images channels last, batch 1.

    Token ids and other int64 inputs become int32, which the runtimes' kernels take.

    Args:
        path: the file; weights beside it are read too.
        convert: turns a Keras 2 model and the names of its outputs into a float .tflite.

    Raises:
        ModelError: it is broken, leaves more open than the batch, holds an operation that onnx2tf
            does not know, or answers differently once converted.
    """
    model = _read(path)
    original = _answers(model)
    failures: list[str] = []
    for keep in ("keep_ncw_or_nchw_or_ncdhw_input_names", "keep_shape_absolutely_input_names"):
        keras_model = _to_keras(model, {keep: _kept(model)})
        tflite = convert(keras_model, output_names(keras_model))
        error = largest_error(tflite, _fed(model), original)
        if is_same(error):
            return keras_model
        failures.append(f"{error:.2g}")
        if not _kept(model):
            break
    raise ModelError(
        "onnx2tf converts it to a model with other answers: they differ by "
        f"{' or '.join(failures)} of the output's size",
        hint="export a SavedModel or a float .tflite from the framework that trained it",
    )


def output_names(model: Any) -> tuple[str, ...]:
    """Names of the outputs in the ONNX file's order, as the .tflite's signature has them."""
    return tuple(str(name) for name in model.output_names)


def _read(path: Path) -> Any:
    """Load, check, fix the batch to 1 and fold what only depends on shapes."""
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except (OSError, ValueError, TypeError, onnx.checker.ValidationError) as error:
        raise ModelError(f"onnx {onnx.__version__} cannot load it: {_line(error)}") from error
    _rename(model)
    shapes = {value.name: _batch_1(value) for value in _inputs(model)}
    _narrow_ids(model)
    try:
        simple, _ = onnxsim.simplify(model, overwrite_input_shapes=shapes)
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"onnxsim cannot fix its batch to 1: {_line(error)}") from error
    return simple


def _inputs(model: Any) -> list[Any]:
    """Inputs proper: old files list the weights among them."""
    weights = {weight.name for weight in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def _batch_1(value: Any) -> list[int]:
    sizes = [
        d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim
    ]
    if not sizes:
        raise ModelError(f"input {value.name!r} has no known shape", hint="export it with one")
    if sizes[0] not in (None, 0, 1):
        raise ModelError(
            f"input {value.name!r} has a fixed batch of {sizes[0]}",
            hint="export it with a dynamic first axis or a batch of 1",
        )
    if not all(sizes[1:]):
        shown = ", ".join(str(size or "any") for size in sizes[1:])
        raise ModelError(
            f"input {value.name!r} has the dynamic shape (batch, {shown})",
            hint="export it with dynamic_axes for the batch alone, or none",
        )
    return [1, *(int(size or 0) for size in sizes[1:])]


def _narrow_ids(model: Any) -> None:
    """Have int64 inputs come in as int32, and widen them where they are used."""
    for value in _inputs(model):
        tensor = value.type.tensor_type
        if tensor.elem_type != onnx.TensorProto.INT64:
            continue
        tensor.elem_type = onnx.TensorProto.INT32
        wide = f"{value.name}_int64"
        for node in model.graph.node:
            node.input[:] = [wide if name == value.name else name for name in node.input]
        cast = onnx.helper.make_node("Cast", [value.name], [wide], to=onnx.TensorProto.INT64)
        model.graph.node.insert(0, cast)


def _kept(model: Any) -> list[str]:
    """Inputs whose axes onnx2tf shall leave in their order; it turns none of fewer than three."""
    return [
        value.name
        for value in _inputs(model)
        if len(value.type.tensor_type.shape.dim) > _MOST_UNTURNED
        and not _is_channels_first(model, value)
    ]


def _is_channels_first(model: Any, value: Any) -> bool:
    """Whether an input is a channels-first image; one that is turned to it first is not."""
    if len(value.type.tensor_type.shape.dim) != _RANK_OF_IMAGES:
        return False
    users = [node for node in model.graph.node if value.name in node.input]
    return not all(
        node.op_type == "Transpose" and list(node.attribute[0].ints) == [0, 3, 1, 2]
        for node in users
    )


def _samples(model: Any) -> dict[str, Array]:
    found = {}
    for value in _inputs(model):
        tensor = value.type.tensor_type
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        found[value.name] = sample([d.dim_value for d in tensor.shape.dim], dtype)
    return found


def _fed(model: Any) -> dict[str, Array]:
    """The samples as the converted model takes them."""
    turned = {value.name for value in _inputs(model) if _is_channels_first(model, value)}
    return {
        name: np.transpose(array, CHANNELS_LAST) if name in turned else array
        for name, array in _samples(model).items()
    }


def _answers(model: Any) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(answer) for answer in session.run(None, _samples(model))]


def _to_keras(model: Any, layout: dict[str, list[str]]) -> Any:
    import onnx2tf  # noqa: PLC0415 - seconds of import, after the file has proved good

    with tempfile.TemporaryDirectory(prefix="green-edge-") as name, contextlib.chdir(name):
        folder = Path(name)
        images = np.random.default_rng(0).random((20, 128, 128, 3), dtype=np.float32)
        np.save(folder / _SAMPLE_IMAGES, images)
        onnx.save(model, folder / "model.onnx")
        try:
            return onnx2tf.convert(
                input_onnx_file_path=str(folder / "model.onnx"),
                output_folder_path=str(folder / "out"),
                not_use_onnxsim=True,
                disable_model_save=True,
                non_verbose=True,
                **{option: names for option, names in layout.items() if names},
            )
        except SystemExit as error:
            # It prints what it does not know, which the parent reads from the log, and exits.
            raise ModelError(
                "onnx2tf gave up on it",
                hint="export a SavedModel or a float .tflite from the framework that trained it",
            ) from error


def _rename(model: Any) -> None:
    """Give inputs and outputs names that TensorFlow allows, before onnx2tf finds its own."""
    ends = [value.name for value in (*_inputs(model), *model.graph.output)]
    new = {
        name: _FORBIDDEN.sub("_", name).lstrip("_.-") or f"tensor_{ends.index(name)}"
        for name in ends
    }
    for value in (*model.graph.input, *model.graph.output):
        value.name = new.get(value.name, value.name)
    for node in model.graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
