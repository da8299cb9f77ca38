"""Conversions by the real TensorFlow in its child: every kind of model that build reads."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from green_edge.build.options import BuildOptions
from green_edge.build.pipeline import build
from green_edge.build.subject import to_float
from green_edge.convert.converters import Converters
from green_edge.convert.formats import open_source
from green_edge.convert.signature import names
from green_edge.core.report import BuildReport
from green_edge.data.dataset import Dataset
from green_edge.evaluate.predict import predict
from green_edge.tflite.read import read
from green_edge_wire.errors import ModelError
from support.brokers import wait_until
from support.bundles import test_signer
from support.commands import Home, children
from support.tiny_keras import make_models

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_models(tmp_path_factory.mktemp("keras"))
    rng = np.random.default_rng(2)
    np.savez(folder / "images.npz", x=rng.random((120, 8, 8, 1)).astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def converters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Converters]:
    with Converters(tmp_path_factory.mktemp("work"), timeout_s=120) as shared:
        yield shared


def images(n: int = 20) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(5).random((n, 8, 8, 1)).astype(np.float32)


def test_a_keras_file_a_legacy_h5_and_a_saved_model_become_the_same_function(
    models: Path, converters: Converters
) -> None:
    answers = []
    for name in ("tiny.keras", "legacy.h5", "exported", "trained"):
        model = to_float(converters, open_source(models / name))
        assert [spec.shape for spec in model.facts.inputs] == [(1, 8, 8, 1)]
        # A fixed batch needs no arithmetic on shapes.
        assert not {"SHAPE", "STRIDED_SLICE", "PACK"} & {op.op for op in model.facts.ops}
        assert model.names.inputs == ("image",)
        answers.append(predict(model.content, Dataset({"image": images()}))[0])
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-5)
    np.testing.assert_allclose(answers[2], answers[0], atol=1e-5)
    np.testing.assert_allclose(answers[3], answers[0], atol=1e-5)


def test_int8_models_take_and_give_int8_under_the_names_of_the_model(
    models: Path, converters: Converters
) -> None:
    source = open_source(models / "two.keras")
    model = to_float(converters, source)
    assert sorted(model.names.inputs) == ["a", "b"]
    rng = np.random.default_rng(0)
    widths = {"a": 4, "b": 3}
    samples = [rng.random((30, widths[n])).astype(np.float32) for n in model.names.inputs]
    for content in (
        converters.to_int8(source, model.names.inputs, samples),
        converters.quantize(model.content, model.names.inputs, samples),
    ):
        facts = read(content)
        assert {spec.dtype for spec in (*facts.inputs, *facts.outputs)} == {"int8"}


def test_inputs_and_outputs_keep_the_order_of_the_keras_model_in_every_form(
    models: Path, converters: Converters
) -> None:
    source = open_source(models / "heads.keras")
    model = to_float(converters, source)
    rng = np.random.default_rng(0)
    samples = [rng.random((30, width)).astype(np.float32) for width in (4, 3)]
    forms = {
        "float": model.content,
        "SavedModel": to_float(converters, open_source(models / "heads")).content,
        "tf": converters.to_int8(source, model.names.inputs, samples),
        "aeq": converters.quantize(model.content, model.names.inputs, samples),
    }
    for form, content in forms.items():
        facts = read(content)
        assert [spec.shape for spec in facts.outputs] == [(1, 3), (1, 5)], form
        assert names(content).outputs == ("output_0", "output_1"), form
        if form != "SavedModel":
            assert [spec.shape for spec in facts.inputs] == [(1, 4), (1, 3)], form
            assert names(content).inputs == ("z", "a"), form


def test_open_height_and_width_are_refused_with_the_way_out(
    models: Path, converters: Converters
) -> None:
    with pytest.raises(ModelError, match=r"open\.keras: input .* dynamic shape") as caught:
        to_float(converters, open_source(models / "open.keras"))
    assert "keras.Input" in str(caught.value.hint)


def test_a_damaged_keras_file_is_refused_with_the_words_of_keras(
    models: Path, converters: Converters, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes((models / "legacy.h5").read_bytes()[:3000])
    with pytest.raises(ModelError, match=r"damaged\.h5: Keras 3.* cannot load it"):
        to_float(converters, open_source(damaged))


def build_tiny(models: Path, out: Path, name: str = "tiny.keras") -> BuildReport:
    options = BuildOptions(
        model=models / name,
        name="tiny",
        targets=("pi4",),
        out=out,
        train=str(models / "images.npz"),
        timeout_s=120,
    )
    return build(options, test_signer())


def test_a_keras_build_tries_both_quantizers_and_repeats_itself_byte_for_byte(
    models: Path, tmp_path: Path
) -> None:
    first, second = (build_tiny(models, tmp_path / name) for name in ("a", "b"))
    recipes = [candidate.recipe for candidate in first.candidates]
    assert recipes == ["int8-tf-minmax", "int8-aeq-minmax"]
    assert first.int8_baseline.recipe == "int8-tf-minmax"
    assert first.chosen.quality == max(
        (c.quality for c in first.candidates), key=lambda quality: quality.value
    )
    assert first.record_sha256 == second.record_sha256
    for path in sorted((tmp_path / "a").rglob("*.*")):
        if path.suffix in {".tflite", ".gedge"}:
            twin = tmp_path / "b" / path.relative_to(tmp_path / "a")
            assert path.read_bytes() == twin.read_bytes(), path.name


def test_a_loop_in_a_saved_model_is_one_clear_error_and_nothing_is_written(
    models: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "steps.npz", x=np.zeros((20, 8, 4), np.float32))
    options = BuildOptions(
        model=models / "while",
        name="while",
        targets=("host",),
        out=tmp_path / "out",
        calibration=str(tmp_path / "steps.npz"),
        timeout_s=120,
    )
    with pytest.raises(
        ModelError, match=r"while: the converter failed .* in step 'float'"
    ) as caught:
        build(options, test_signer())
    assert "give the .keras file" in (caught.value.hint or "")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_midst_of_a_conversion_leaves_nothing(
    models: Path, tmp_path: Path, number: signal.Signals
) -> None:
    home = Home(tmp_path)
    (tmp_path / "temporary").mkdir()
    sets = ("--calibration", str(models / "images.npz"), "--out", "out")
    build = home.start("build", str(models / "tiny.keras"), *sets, temporary=tmp_path / "temporary")
    with build:
        wait_until(lambda: bool(children(build.pid)))
        (child,) = children(build.pid)
        os.killpg(build.pid, number)
        assert build.wait(timeout=20) == 130
    assert (tmp_path / "talk").read_text().splitlines()[-1] == "error: interrupted"
    # One that was only just started is not known yet and ends when its input does.
    wait_until(lambda: not Path("/proc", str(child)).exists())
    assert list((tmp_path / "out").iterdir()) == []
    assert list((tmp_path / "temporary").iterdir()) == []
