"""Builds from a float .tflite: the whole pipeline with real tools, in about a second each."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from green_edge.build.options import BuildOptions
from green_edge.build.outputs import write_files
from green_edge.build.pipeline import build
from green_edge.bundle.keys import trusting
from green_edge.core.report import BuildReport
from green_edge_agent.runtime.golden import self_test
from green_edge_agent.runtime.interpreter import load
from green_edge_agent.runtime.processing import finish, quantize
from green_edge_wire import codec
from green_edge_wire.archive import open_bundle
from green_edge_wire.errors import ConfigError, GreenEdgeError, ModelError
from green_edge_wire.manifest import RECORD_MEMBER, Normalise, Pipeline, Scale, TopK
from support.bundles import test_signer
from support.small_builds import LABELS, Workshop, workshop
from support.tiny_models import tiny_float_two_heads, tiny_int8_dense


@pytest.fixture
def place(tmp_path: Path) -> Workshop:
    return workshop(tmp_path)


def made(options: BuildOptions) -> BuildReport:
    return build(options, test_signer())


def test_a_build_writes_model_bundle_and_reports_that_agree(place: Workshop) -> None:
    pipeline = Pipeline(pre=(Scale(0.5),), post=(TopK(2),))
    report = made(place.options(targets=("host", "pi4:bookworm-armhf"), pipeline=pipeline))
    assert report.guard.verdict == "pass"
    assert report.guard.n == report.chosen.quality.n == 1500
    assert report.chosen.quality.metric == "accuracy"
    out = place.folder / "out"
    for target in report.targets:
        data = (out / target.bundle).read_bytes()
        bundle = open_bundle(data, trusting([test_signer().public]))
        assert bundle.sha256 == target.sha256
        assert bundle.manifest.target == target.name
        assert bundle.read("model.tflite") == (out / target.file).read_bytes()
        assert bundle.pipeline() == pipeline
        assert self_test(load(bundle.read("model.tflite")), bundle).worst_steps == 0
    assert (out / "dense.pi4-bookworm-armhf.gedge").is_file()
    written = codec.loads(BuildReport, (out / "build-report.json").read_bytes(), strict=True)
    assert written == report
    assert written.chosen.size_bytes == (out / report.chosen.file).stat().st_size


def test_labels_guard_and_device_take_the_output_that_the_author_put_first(
    place: Workshop,
) -> None:
    # The file has the other head first, as the TF converter may write it.
    place.model.write_bytes(tiny_float_two_heads())
    report = made(place.options(pipeline=Pipeline(post=(TopK(1),))))
    assert report.float_model.quality.value == 1.0
    assert report.guard.verdict == "pass"
    assert any("only the first output was judged by the labels" in note for note in report.notes)
    data = (place.folder / "out" / report.targets[0].bundle).read_bytes()
    bundle = open_bundle(data, trusting([test_signer().public]))
    assert [spec.shape for spec in bundle.manifest.outputs] == [(1, 3), (1, 5)]
    device = load(bundle.read("model.tflite"))
    assert [spec.shape for spec in device.outputs] == [(1, 3), (1, 5)]
    assert self_test(device, bundle).worst_steps == 0
    x = np.load(place.labelled)["x"][:50]
    y = np.load(place.labelled)["y"][:50]
    answers = [
        finish(bundle.pipeline(), device.invoke([quantize(row, device.inputs[0])[np.newaxis]]),
               device.outputs, LABELS).labels[0]
        for row in x
    ]  # fmt: skip
    assert sum(a == LABELS[k] for a, k in zip(answers, y, strict=True)) >= 48


def test_the_record_in_the_bundle_tells_no_time_and_no_folder(place: Workshop) -> None:
    report = made(place.options())
    data = (place.folder / "out" / report.targets[0].bundle).read_bytes()
    record = open_bundle(data, trusting([test_signer().public])).read(RECORD_MEMBER).decode()
    for word in ("wall_s", "latency", 'sha256": "' + report.targets[0].sha256, str(place.folder)):
        assert word not in record
    assert json.loads(record)["guard"]["verdict"] == "pass"


def test_the_same_inputs_give_the_same_bytes_in_another_folder(place: Workshop) -> None:
    other = workshop(place.folder / "elsewhere")
    made(place.options())
    made(other.options("results"))
    for name in ("dense.host.tflite", "dense.host.gedge", "model-versions.json"):
        assert (place.folder / "out" / name).read_bytes() == (
            other.folder / "results" / name
        ).read_bytes()


def test_the_version_grows_when_the_bytes_of_the_model_do_and_not_otherwise(
    place: Workshop,
) -> None:
    assert made(place.options()).model.version == 1
    assert made(place.options()).model.version == 1
    changed = workshop(place.folder / "retrained", seed=5)
    again = changed.options(out="../out")
    assert made(again).model.version == 2
    assert made(replace(again, name="other")).model.version == 1
    assert made(replace(again, model_version=40)).model.version == 40
    assert made(place.options()).model.version == 41


def test_files_are_written_when_the_guard_fails(place: Workshop) -> None:
    # Ranges from samples a thousand times too small saturate every real input.
    small = place.folder / "small.npz"
    np.savez(small, x=np.random.default_rng(0).uniform(-1e-3, 1e-3, (50, 4)).astype(np.float32))
    report = made(place.options(calibration=str(small)))
    assert report.guard.verdict == "fail"
    assert report.guard.low_pp > report.guard.max_drop_pp
    assert (place.folder / "out" / "dense.host.gedge").is_file()


def test_without_an_evaluation_set_quality_is_fidelity_and_is_named_so(place: Workshop) -> None:
    report = made(place.options(calibration=None, train=str(place.labelled), eval=None))
    assert report.chosen.quality.metric == "fidelity"
    assert report.float_model.quality.low == report.float_model.quality.value == 1.0
    assert report.chosen.quality.low < 1.0
    assert report.chosen.quality.n == 1300
    assert "held back" in report.notes[0]


def test_folds_are_pooled_and_the_main_model_ships(place: Workshop) -> None:
    for k in range(2):
        fold = workshop(place.folder / "folds" / str(k), seed=k, samples=300)
        fold.model.rename(fold.folder / "model.tflite")
        fold.labelled.rename(fold.folder / "eval.npz")
    report = made(place.options(eval=str(place.folder / "folds")))
    assert report.folds == 2
    assert report.guard.n == 600
    assert report.float_model.quality.value == 1.0
    plain = made(place.options("plain"))
    assert (place.folder / "out" / "dense.host.tflite").read_bytes() == (
        place.folder / "plain" / "dense.host.tflite"
    ).read_bytes()
    assert plain.folds == 1


def test_a_fold_without_evaluation_samples_is_refused(place: Workshop) -> None:
    fold = workshop(place.folder / "folds" / "0")
    fold.model.rename(fold.folder / "model.tflite")
    with pytest.raises(ConfigError, match=r"no eval\.npz"):
        made(place.options(eval=str(place.folder / "folds")))


def array(folder: Path, **arrays: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    np.savez(folder / "odd.npz", **arrays)  # type: ignore[arg-type]
    return str(folder / "odd.npz")


def test_sets_that_cannot_calibrate_are_refused_before_anything_is_written(
    place: Workshop,
) -> None:
    cases = {
        r"shape 5 a sample, the model takes 4": {"x": np.zeros((9, 5), np.float32)},
        r"no array for input 'x'": {"pixels": np.zeros((9, 4), np.float32)},
        r"it is empty": {"x": np.zeros((0, 4), np.float32)},
        r"NaN or infinity in 9 samples": {"x": np.full((9, 4), np.nan, np.float32)},
    }
    for message, arrays in cases.items():
        with pytest.raises(ConfigError, match=message):
            made(place.options(calibration=array(place.folder, **arrays)))
    assert not list((place.folder / "out").iterdir())


def test_labels_and_pipelines_that_do_not_fit_the_output_are_refused(place: Workshop) -> None:
    with pytest.raises(ConfigError, match="2 labels, the model's output has 3 classes"):
        made(place.options(labels=("ant", "bee")))
    odd = array(place.folder, x=np.zeros((9, 4), np.float32), y=np.full(9, 3))
    with pytest.raises(ConfigError, match="class 3 in y"):
        made(place.options(eval=odd, labels=()))
    steps = Pipeline(pre=(Normalise(mean=(0.0, 1.0), std=(1.0, 1.0)),))
    with pytest.raises(ConfigError, match="--pipeline: normalise"):
        made(place.options(pipeline=steps))


def test_an_int8_model_is_refused_as_a_source(place: Workshop) -> None:
    place.model.write_bytes(tiny_int8_dense())
    with pytest.raises(ModelError, match="quantized already"):
        made(place.options())


def test_a_model_cut_short_is_refused_with_its_name(place: Workshop) -> None:
    place.model.write_bytes(place.model.read_bytes()[:200])
    with pytest.raises(ModelError, match=r"dense\.tflite: broken \.tflite"):
        made(place.options())


@pytest.mark.parametrize("out", ["dense.tflite", "/proc/no-write-access"])
def test_an_output_folder_that_cannot_be_written_is_refused_at_once(
    place: Workshop, out: str
) -> None:
    with pytest.raises(ConfigError, match="cannot write to") as caught:
        made(place.options(out))
    assert caught.value.place == "--out"


@contextmanager
def files_limited_to(length_bytes: int) -> Iterator[None]:
    # What a full disk gives as ENOSPC this gives as EFBIG, without root.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_leaves_the_earlier_files_and_nothing_else(tmp_path: Path) -> None:
    write_files(tmp_path, {"a": b"old", "b/c": b"old"})
    with files_limited_to(1000), pytest.raises(GreenEdgeError, match="earlier files are unchanged"):
        write_files(tmp_path, {"a": b"new", "b/c": b"new" * 1000})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b" / "c").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def green_edge(place: Workshop, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = "from green_edge.cli import entry; entry()"
    return subprocess.run(
        [sys.executable, "-c", program, "build", *arguments],
        cwd=place.folder,
        env=os.environ | {"GREEN_EDGE_KEYS": str(place.folder / "keys")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_prints_one_document_and_exits_by_the_verdict(place: Workshop) -> None:
    sets = ("--calibration", "calibration.npz", "--eval", "labelled.npz")
    passed = green_edge(place, "dense.tflite", *sets, "--json")
    assert passed.returncode == 0, passed.stderr
    report = json.loads(passed.stdout)
    assert report["float"]["recipe"] == "float"
    assert report == json.loads((place.folder / "build" / "build-report.json").read_text())
    few = workshop(place.folder / "few", samples=20)
    undecided = green_edge(
        place, "dense.tflite", "--train", "labelled.npz", "--eval", str(few.labelled)
    )
    assert undecided.returncode == 8
    assert "guard: inconclusive" in undecided.stdout
    assert all(len(line) <= 80 for line in undecided.stdout.splitlines())
    assert "error: guard inconclusive" in undecided.stderr
    assert "INFO" not in undecided.stderr


def test_the_command_takes_everything_from_a_project_file(place: Workshop) -> None:
    (place.folder / "labels.txt").write_text("ant\nbee\ncat\n")
    (place.folder / "green-edge.toml").write_text(
        '[model]\npath = "dense.tflite"\nname = "insects"\nlabels = "labels.txt"\n'
        '[build]\ntargets = ["pi5"]\ntrain = "labelled.npz"\nout = "made"\nseed = 3\n'
    )
    planned = green_edge(place, "--dry-run", "--json")
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)
    assert plan["name"] == "insects"
    assert plan["candidates"] == ["int8-aeq-minmax"]
    assert "insects.pi5.gedge" in plan["files"]
    assert not (place.folder / "made").exists()
    assert not (place.folder / "keys").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("dense.tflite",), 2, "--calibration"),
        (
            ("dense.tflite", "--calibration", "calibration.npz", "--target", "pi6"),
            2,
            "did you mean",
        ),
        (("calibration.npz", "--calibration", "calibration.npz"), 3, "not a model"),
        ((), 2, "no model is named"),
        (("dense.tflite", "--train", "t.npz", "--max-drop", "-1"), 2, "--max-drop: must be 0"),
    ],
)
def test_wrong_use_is_one_line_and_the_exit_code_of_its_kind(
    place: Workshop, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = green_edge(place, *arguments)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
