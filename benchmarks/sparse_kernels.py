"""What zeros save in float and in int8: instructions of one inference, by core and storage.

A network as XNNPACK's sparse kernels want it (3 x 3 of stride 2 over 3 channels, padded by one on
each side, depthwise and 1 x 1 convolutions, mean over the image), and MobileNet v2 as Keras has it,
whose padding on two sides alone keeps them from it. Weights are random, the smallest of the 1 x 1
kernels are zero; what they are does not change the count.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import table
from green_edge.emulate import Count, Result, Setting, cache_folder, count
from green_edge.tflite.sparse import with_sparse_weights
from green_edge_wire.errors import GreenEdgeError

NEEDS: tuple[str, ...] = ()

SETTINGS = (
    *(
        Setting("ai-edge-litert", "2.3.0", core, "aarch64")
        for core in ("cortex-a53", "cortex-a72", "cortex-a76")
    ),
    Setting("tflite-runtime", "2.14.0", "cortex-a72", "aarch64"),
)
SHARES = (0.7, 0.8, 0.9)
SHOWN_DENSELY = 0.8
SIDE = 96
# Channels and stride of each pair of a depthwise and a 1 x 1 convolution.
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1))


def measure() -> dict[str, Any]:
    """Count every file on every core."""
    files, reasons = _files()
    counts = {}
    for setting in SETTINGS:
        found = count(list(files.values()), setting, cache=cache_folder(), progress=_say)
        name = f"{setting.runtime} {setting.version}, {setting.core}"
        counts[name] = dict(zip(files, map(_instructions, found), strict=True))
    return {
        "bytes": {key: len(content) for key, content in files.items()},
        "instructions": counts,
        "not_stored_sparsely": reasons,
    }


def markdown(figures: Mapping[str, Any]) -> str:
    """One row a file: its bytes, and thousands of instructions in each setting."""
    counts: Mapping[str, Mapping[str, int]] = figures["instructions"]
    rows = [
        (name, f"{size:,}", *(f"{by_file[name] / 1000:,.0f}" for by_file in counts.values()))
        for name, size in figures["bytes"].items()
    ]
    reasons = "; ".join(
        f"{name}: {', '.join(each)}" for name, each in figures["not_stored_sparsely"].items()
    )
    return (
        "Thousands of instructions.\n\n"
        f"{table(('file', 'bytes', *counts), rows)}\n\nNot stored sparsely: {reasons}."
    )


def _instructions(found: Result) -> int:
    if isinstance(found, Count):
        return found.instructions
    raise GreenEdgeError(found.message)


def _files() -> tuple[dict[str, bytes], dict[str, list[str]]]:
    """The files by name, and why a network's kernels are not stored sparsely."""
    import keras  # noqa: PLC0415 - TensorFlow only where a benchmark measures

    keras.utils.set_random_seed(0)
    made: dict[str, bytes] = {}
    reasons: dict[str, list[str]] = {}
    for name, model in (("sparse-ready", _network()), ("Keras MobileNet v2 0.35", _mobilenet())):
        made[f"{name}, float"] = _converted(model)
        made[f"{name}, int8"] = _int8(model)
        for share in SHARES:
            _set_zeros(model, share)
            dense = _converted(model)
            sparse = with_sparse_weights(dense)
            if share == SHOWN_DENSELY:
                made[f"{name}, {share:.0%} zeros, float, stored densely"] = dense
                made[f"{name}, {share:.0%} zeros, int8"] = _int8(model)
            if sparse.kernels:
                made[f"{name}, {share:.0%} zeros, float, stored sparsely"] = sparse.content
            else:
                reasons[name] = list(sparse.reasons)
    return made, reasons


def _network() -> Any:
    from keras import Input, Model, layers  # noqa: PLC0415

    inputs = Input((SIDE, SIDE, 3), batch_size=1)
    x = layers.Conv2D(32, 3, 2, activation="relu6")(layers.ZeroPadding2D(1)(inputs))
    for channels, stride in BLOCKS:
        x = layers.ZeroPadding2D(1)(x)
        x = layers.DepthwiseConv2D(3, stride, activation="relu6")(x)
        x = layers.Conv2D(channels, 1, activation="relu6")(x)
    return Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def _mobilenet() -> Any:
    from keras import Input, applications  # noqa: PLC0415

    image = Input((SIDE, SIDE, 3), batch_size=1)
    return applications.MobileNetV2(input_tensor=image, alpha=0.35, weights=None, classes=10)


def _set_zeros(model: Any, share: float) -> None:
    """Set the smallest weights of each 1 x 1 kernel to zero."""
    from keras import layers  # noqa: PLC0415

    for layer in model.layers:
        if type(layer) is layers.Conv2D and layer.kernel_size == (1, 1):
            kernel = layer.kernel.numpy()
            small = np.abs(kernel) < np.quantile(np.abs(kernel), share)
            layer.kernel.assign(np.where(small, 0, kernel))


def _converted(model: Any, **settings: Any) -> bytes:
    import tensorflow as tf  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        model.export(path, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(path))
        for key, value in settings.items():
            setattr(converter, key, value)
        return bytes(converter.convert())


def _int8(model: Any) -> bytes:
    import tensorflow as tf  # noqa: PLC0415

    draw = np.random.default_rng(0)
    samples = [[draw.random((1, SIDE, SIDE, 3), np.float32)] for _ in range(8)]
    return _converted(
        model,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: iter(samples),
        inference_input_type=tf.int8,
        inference_output_type=tf.int8,
    )


def _say(doing: str, share: float | None = None) -> None:
    if share is None or share == 0:
        print(doing, file=sys.stderr)
