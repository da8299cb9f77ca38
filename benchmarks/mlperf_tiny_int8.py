"""Int8 of the MLPerf Tiny models by `green-edge build`, beside its two quantizers as they come.

Reads the reference models (github.com/mlcommons/tiny, Apache-2.0) from the folder `mlperf_tiny` of
GREEN_EDGE_TEST_DATA: kws_saved_model, kws_int8.tflite, kws_inputs_public.npz,
resnet8_cifar10.h5, vww_96.h5, ad01.h5 and the published *_int8.tflite.

Keyword spotting is judged by accuracy: 100 of the 500 labelled inputs calibrate, the other 400
judge. The inputs are int8 and made real by the input scale of the published int8 model. The real
inputs of the other three are not there: a seeded generator makes both sets, and what is printed is
closeness to the float model on such inputs, no accuracy and no pass mark.

Every quantizer gets the same calibration samples.
`python -m benchmarks.mlperf_tiny_int8 tf|aeq MODEL CALIBRATION OUT` is one quantizer in a process
of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import ROOT
from benchmarks.tables import table
from green_edge.convert.signature import names
from green_edge.data.dataset import Dataset
from green_edge.evaluate.predict import predict
from green_edge.evaluate.quality import quality, score

NEEDS = ("GREEN_EDGE_TEST_DATA",)

_SEED = 7
_CALIBRATION = 100
_JUDGES = 400
_OURS = "green-edge build"
_GREEN_EDGE = str(Path(sys.executable).with_name("green-edge"))

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Subject:
    """A model and its samples; `y` is None where closeness to the float model is all there is."""

    name: str
    model: str
    published: str
    samples: str
    x: Floats
    y: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One quantizer's result on one model."""

    model: str
    how: str
    metric: str
    value: float
    low: float
    high: float
    rmse_ratio: float
    size_bytes: int
    recipe: str = ""


def measure() -> dict[str, Any]:
    """Build all, judge all."""
    folder = Path(os.environ["GREEN_EDGE_TEST_DATA"]).absolute() / "mlperf_tiny"
    rows = [row for subject in _subjects(folder) for row in _judge(subject, folder)]
    return {
        "seed": _SEED,
        "calibration_samples": _CALIBRATION,
        "judging_samples": _JUDGES,
        "rows": [asdict(row) for row in rows],
    }


def markdown(figures: Mapping[str, Any]) -> str:
    """One row a model and quantizer."""
    rows = [
        (
            row["model"],
            row["how"] + (f", `{row['recipe']}`" if row["recipe"] else ""),
            f"{row['value']:.2%} ({row['low']:.2%} to {row['high']:.2%}) {row['metric']}",
            f"{row['rmse_ratio']:.1%}",
            f"{row['size_bytes']:,}",
        )
        for row in figures["rows"]
    ]
    return (
        f"{figures['calibration_samples']} samples calibrate, {figures['judging_samples']} others"
        " judge; in brackets the 95 % interval. Fidelity is closeness to the float model on drawn"
        " inputs, no accuracy. rmse: of the outputs against the float model's.\n\n"
        f"{table(('model', 'int8 by', 'figure', 'rmse', 'bytes'), rows)}"
    )


def _subjects(folder: Path) -> list[Subject]:
    with np.load(folder / "kws_inputs_public.npz") as file:
        x_int8, y = file["x_int8"], file["y"]
    scale, zero_point = _input_scale(folder / "kws_int8.tflite")
    n = _CALIBRATION + _JUDGES
    order = np.random.default_rng(_SEED).permutation(n)
    kws = ((x_int8[order].astype(np.float32) - zero_point) * scale).astype(np.float32)
    return [
        Subject("kws", "kws_saved_model", "kws_int8.tflite", "labelled, 400", kws, y[order]),
        Subject(
            "resnet8", "resnet8_cifar10.h5", "resnet8_cifar10_int8.tflite",
            "generated images, 0..255", np.round(255 * _images(n, 32)).astype(np.float32),
        ),
        Subject("vww", "vww_96.h5", "vww_96_int8.tflite", "generated images, 0..1", _images(n, 96)),
        Subject("ad01", "ad01.h5", "ad01_int8.tflite", "generated log-mel frames", _frames(n)),
    ]  # fmt: skip


def _input_scale(model: Path) -> tuple[float, int]:
    from green_edge.tflite.read import read  # noqa: PLC0415 - beside its only use

    (spec,) = read(model.read_bytes()).inputs
    return spec.scale or 1.0, spec.zero_point or 0


def _images(n: int, side: int) -> Floats:
    """Colour images in 0..1 whose power falls with the square of the frequency, as photographs' do.

    After Field 1987, "Relations between the statistics of natural images and the response
    properties of cortical cells".
    """
    draw = np.random.default_rng(_SEED)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = 1.0 / side
    noise = draw.normal(size=(n, side, side, 3))
    spectrum = np.fft.rfft2(noise, axes=(1, 2)) / frequency[None, :, :, None]
    images = np.fft.irfft2(spectrum, s=(side, side), axes=(1, 2))
    # What the three colours share is most of a photograph.
    images = 0.7 * images.mean(axis=3, keepdims=True) * np.sqrt(3) + 0.3 * images
    images /= images.std(axis=(1, 2, 3), keepdims=True)
    level = draw.uniform(0.3, 0.7, size=(n, 1, 1, 1))
    contrast = draw.uniform(0.08, 0.25, size=(n, 1, 1, 1))
    pixels: Floats = np.clip(level + contrast * images, 0, 1).astype(np.float32)
    return pixels


def _frames(n: int) -> Floats:
    """Five frames of 128 log-mel bands in dB: a falling spectrum, some tones, and noise."""
    draw = np.random.default_rng(_SEED)
    bands = np.linspace(0, 1, 128)
    spectrum = draw.uniform(-5, 5, (n, 1)) - draw.uniform(10, 35, (n, 1)) * bands
    for _ in range(4):
        centre, height = draw.uniform(0, 1, (n, 1)), draw.uniform(0, 15, (n, 1))
        spectrum = spectrum + height * np.exp(-(((bands - centre) / 0.02) ** 2))
    frames = spectrum[:, None, :] + draw.normal(scale=2.0, size=(n, 5, 128))
    return frames.reshape(n, 640).astype(np.float32)


def _judge(subject: Subject, folder: Path) -> list[Row]:
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        _write_sets(subject, work)
        report = _build(subject, folder, work)
        in_float = (work / "out" / report["float"]["file"]).read_bytes()
        float_file = work / "float.tflite"
        float_file.write_bytes(in_float)
        models = {
            "float": in_float,
            "published int8": (folder / subject.published).read_bytes(),
            "TFLiteConverter": _plain_of("tf", folder / subject.model, work),
            "ai-edge-quantizer": _plain_of("aeq", float_file, work),
            _OURS: (work / "out" / report["targets"][0]["file"]).read_bytes(),
        }
    reference = _outputs(in_float, subject)
    rows = [_row(subject, how, model, reference) for how, model in models.items()]
    return [*rows[:-1], replace(rows[-1], recipe=report["chosen"]["recipe"])]


def _write_sets(subject: Subject, work: Path) -> None:
    first, rest = slice(None, _CALIBRATION), slice(_CALIBRATION, None)
    np.savez(work / "calibration.npz", x=subject.x[first])
    if subject.y is None:
        np.savez(work / "eval.npz", x=subject.x[rest])
    else:
        np.savez(work / "eval.npz", x=subject.x[rest], y=subject.y[rest])


def _build(subject: Subject, folder: Path, work: Path) -> dict[str, Any]:
    command = [
        *(_GREEN_EDGE, "build", str(folder / subject.model), "--json", "--out", str(work / "out")),
        *("--calibration", str(work / "calibration.npz"), "--eval", str(work / "eval.npz")),
        *("--calibration-samples", str(_CALIBRATION), "--target", "pi4"),
    ]
    environment = os.environ | {"GREEN_EDGE_KEYS": str(work / "keys")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    # 4 and 8: the files are written, the guard failed or could not tell.
    if done.returncode not in {0, 4, 8}:
        raise RuntimeError(f"{subject.name}: {done.stderr}")
    report: dict[str, Any] = json.loads(done.stdout)
    print(f"{subject.name}: guard {report['guard']['verdict']}, {report['wall_s']:.0f} s")
    return report


def _plain_of(which: str, model: Path, work: Path) -> bytes:
    """A quantizer as its own documentation calls it, in a process of its own."""
    out = work / f"{which}.tflite"
    command = [sys.executable, "-m", "benchmarks.mlperf_tiny_int8", which, str(model)]
    done = subprocess.run(
        [*command, str(work / "calibration.npz"), str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if not out.exists():
        raise RuntimeError(f"{which}: {done.stderr[-2000:]}")
    return out.read_bytes()


def _plain(which: str, model: str, calibration: str, out: str) -> None:
    with np.load(calibration) as file:
        x = file["x"]
    make = _plain_tf if which == "tf" else _plain_aeq
    Path(out).write_bytes(make(Path(model), x))


def _plain_tf(path: Path, x: Floats) -> bytes:
    import tensorflow as tf  # noqa: PLC0415 - seconds of import, in the child alone

    if path.is_dir():
        from green_edge.convert import saved_model  # noqa: PLC0415 - as below

        # As it is, TensorFlow refuses it without Keras 2: the optimizer's state is in it.
        with tempfile.TemporaryDirectory() as folder:
            saved_model.rewrite_batch_1(path, Path(folder))
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
            return _converted(converter, x)
    from green_edge.convert import keras_models  # noqa: PLC0415 - reads Keras 2's h5 files

    return _converted(tf.lite.TFLiteConverter.from_keras_model(keras_models.load_batch_1(path)), x)


def _converted(converter: Any, x: Floats) -> bytes:
    import tensorflow as tf  # noqa: PLC0415 - as above

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x[i : i + 1]] for i in range(len(x)))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def _plain_aeq(path: Path, x: Floats) -> bytes:
    from ai_edge_quantizer import quantizer, recipe  # noqa: PLC0415 - in the child alone

    (name,) = names(path.read_bytes()).inputs
    work = quantizer.Quantizer(str(path), recipe.static_wi8_ai8())
    samples: Any = {"serving_default": [{name: x[i : i + 1]} for i in range(len(x))]}
    return bytes(work.quantize(work.calibrate(samples)).quantized_model)


def _row(subject: Subject, how: str, model: bytes, reference: Floats) -> Row:
    outputs = _outputs(model, subject)
    y = None if subject.y is None else subject.y[_CALIBRATION:]
    found = quality(score([outputs], y=y, reference=[reference]))
    rmse = float(np.sqrt(np.mean((outputs - reference) ** 2)) / np.sqrt(np.mean(reference**2)))
    return Row(
        subject.name, how, found.metric, found.value, found.low, found.high, rmse, len(model)
    )


def _outputs(model: bytes, subject: Subject) -> Floats:
    (name,) = names(model).inputs
    (outputs,) = predict(model, Dataset({name: subject.x[_CALIBRATION:]}))
    return outputs


if __name__ == "__main__":
    _plain(*sys.argv[1:])
