"""The cost model against emulation on models that people run, none of them used for the fit.

The MLPerf Tiny files of GREEN_EDGE_TEST_DATA, the Keras applications that fit small boards
(weights at random, converted here to float32 and int8) and the networks of `benchmarks/fashion`.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.cost.counts import KINDS, SETTINGS, instructions, shapes
from benchmarks.cost.judging import Judged, error_of
from benchmarks.cost.ops import Case
from benchmarks.tables import table
from green_edge.targets.cost.model import cost_model
from green_edge_wire.errors import ConfigError

NEEDS = ("GREEN_EDGE_TEST_DATA",)
_UNKNOWN_BATCH = ("MobileNet 0.5 64", "MobileNetV3Small 96", "EfficientNetB0 64", "fashion CNN")


def measure() -> dict[str, Any]:
    """Count and predict each model in each setting."""
    cases = [*_mlperf_tiny(Path(os.environ[NEEDS[0]]) / "mlperf_tiny"), *_keras()]
    found = {}
    for setting in SETTINGS:
        model = cost_model(setting.runtime, setting.version, setting.core, setting.arch)
        if model is None:
            raise ConfigError(f"{setting}: no cost model", hint="python -m benchmarks run cost_fit")
        counts = instructions([case.data for case in cases], setting)
        judged = [
            Judged(case.group, case.kind, count, model.predict(shapes(case.data)).instructions)
            for case, count in zip(cases, counts, strict=True)
            if count is not None
        ]
        found[str(setting)] = {
            "models": {f"{j.group} {j.kind}": _figures(j) for j in judged},
            "errors": {kind: asdict(error_of(of_kind)) for kind in KINDS
                       if (of_kind := [j for j in judged if j.kind == kind])},
            "refused": [f"{case.group} {case.kind}"
                        for case, count in zip(cases, counts, strict=True) if count is None],
        }  # fmt: skip
    return {"settings": found}


def markdown(figures: Mapping[str, Any]) -> str:
    """Errors by setting and by model."""
    settings = figures["settings"]
    head = ["setting", "numbers", "models", "median error", "95th percentile", "pairs right"]
    rows = [
        [name, kind, str(error["n"]), f"{100 * error['median_ratio']:.1f} %",
         f"{100 * error['p95_ratio']:.1f} %",
         f"{100 * error['pairs_right_ratio']:.1f} % of {error['pairs']}"]
        for name, each in settings.items()
        for kind, error in each["errors"].items()
    ]  # fmt: skip
    models = list(dict.fromkeys(name for each in settings.values() for name in each["models"]))
    errors = [
        [name, *(_error_in(each["models"].get(name)) for each in settings.values())]
        for name in models
    ]
    text = "Predicted against counted; `hybrid` has float32 activations and int8 weights."
    by_model = table(["predicted / counted - 1", *settings], errors)
    return f"{text}\n\n{table(head, rows)}\n\n{by_model}"


def _figures(judged: Judged) -> dict[str, float]:
    return {"counted": judged.counted, "predicted": round(judged.predicted)}


def _error_in(figures: Mapping[str, float] | None) -> str:
    return f"{100 * (figures['predicted'] / figures['counted'] - 1):+.1f} %" if figures else "-"


def _mlperf_tiny(folder: Path) -> Iterator[Case]:
    for path in sorted(folder.glob("*.tflite")):
        data = path.read_bytes()
        hybrid = any(s.dtype == "float32" and s.weights_dtype == "int8" for s in shapes(data))
        name, _, kind = path.stem.rpartition("_")
        yield Case(name, "hybrid" if hybrid else "int8" if kind == "int8" else "float32", data)


def _keras() -> Iterator[Case]:
    import keras  # noqa: PLC0415 - TensorFlow only where a benchmark measures

    from benchmarks.fashion import networks  # noqa: PLC0415

    apps, small = keras.applications, {"weights": None, "classes": 10}
    models = {
        "MobileNet 0.25 96": apps.MobileNet((96, 96, 3), alpha=0.25, **small),
        "MobileNet 0.5 64": apps.MobileNet((64, 64, 3), alpha=0.5, **small),
        "MobileNetV2 0.35 96": apps.MobileNetV2((96, 96, 3), alpha=0.35, **small),
        "MobileNetV2 1.0 64": apps.MobileNetV2((64, 64, 3), alpha=1.0, **small),
        "MobileNetV3Small 96": apps.MobileNetV3Small((96, 96, 3), minimalistic=False, **small),
        "EfficientNetB0 64": apps.EfficientNetB0(input_shape=(64, 64, 3), **small),
        "fashion ResNet": networks.small_resnet(keras),
        "fashion CNN": networks.dense_cnn(keras),
    }
    for name, model in models.items():
        yield Case(name, "float32", _converted(model, int8=False))
        yield Case(name, "int8", _converted(model, int8=True))
        if name in _UNKNOWN_BATCH:
            data = _converted(model, int8=False, batch=None)
            yield Case(f"{name}, unknown batch", "float32", data)


def _converted(model: Any, *, int8: bool, batch: int | None = 1) -> bytes:
    import numpy as np  # noqa: PLC0415
    import tensorflow as tf  # noqa: PLC0415

    rng = np.random.default_rng(0)
    shape = (1, *model.input_shape[1:])
    with tempfile.TemporaryDirectory() as folder:
        # A fixed batch, as green-edge build makes it, unless the model is to compute shapes.
        signature = [tf.TensorSpec((batch, *shape[1:]), tf.float32)]
        model.export(folder, format="tf_saved_model", verbose=False, input_signature=signature)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if int8:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: (
                [rng.standard_normal(shape).astype("float32")] for _ in range(4)
            )
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        return bytes(converter.convert())
