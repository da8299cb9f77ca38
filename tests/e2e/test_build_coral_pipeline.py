"""Whole builds for Coral targets: with a compiler, without one, and with one that fails."""

import os
from pathlib import Path

import pytest

from green_edge.build.pipeline import build
from green_edge.bundle.keys import trusting
from green_edge.core.report import BuildReport
from green_edge.targets.edgetpu.compiled import read_compiled
from green_edge_wire.archive import Bundle, open_bundle
from support import edgetpu_compiler
from support.bundles import test_signer
from support.small_builds import Workshop, workshop

CORAL = "coral-usb+pi5"
COMPILED = "dense.coral-usb-pi5_edgetpu.tflite"


@pytest.fixture
def place(tmp_path: Path) -> Workshop:
    return workshop(tmp_path / "work")


def made(place: Workshop, *targets: str) -> BuildReport:
    return build(place.options(targets=targets), test_signer())


def bundle_of(place: Workshop, report: BuildReport, target: str) -> Bundle:
    (written,) = (artefact for artefact in report.targets if artefact.name == target)
    data = (place.folder / "out" / written.bundle).read_bytes()
    return open_bundle(data, trusting([test_signer().public]))


def test_a_compiled_model_travels_beside_the_one_for_the_cpu_and_for_its_target_alone(
    place: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = edgetpu_compiler.install(tmp_path / "bin", "works")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    report = made(place, "pi4", CORAL)
    out = place.folder / "out"
    bundle = bundle_of(place, report, CORAL)
    assert bundle.edgetpu_model() == (out / COMPILED).read_bytes()
    assert read_compiled(bundle.edgetpu_model() or b"") is not None
    assert bundle.model() == (out / "dense.coral-usb-pi5.tflite").read_bytes()
    assert read_compiled(bundle.model()) is None
    assert bundle_of(place, report, "pi4").edgetpu_model() is None
    pi4, coral = report.targets
    assert pi4.accelerator is None
    assert coral.accelerator is not None
    assert (coral.accelerator.status, coral.accelerator.file) == ("compiled", COMPILED)


def test_without_the_compiler_the_command_is_told_and_no_compiled_file_stays_behind(
    place: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    out = place.folder / "out"
    out.mkdir()
    (out / COMPILED).write_bytes(b"of an earlier build")
    report = made(place, CORAL)
    (coral,) = report.targets
    assert coral.accelerator is not None
    assert coral.accelerator.status == "not-compiled"
    assert coral.accelerator.command == "edgetpu_compiler -s dense.coral-usb-pi5.tflite"
    assert list(out.rglob("*_edgetpu.tflite")) == []
    assert bundle_of(place, report, CORAL).edgetpu_model() is None
    assert any("not compiled for the Edge TPU" in note for note in report.notes)


def test_a_model_that_was_compiled_since_is_a_new_version(
    place: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert made(place, CORAL).model.version == 1
    assert made(place, CORAL).model.version == 1
    program = edgetpu_compiler.install(tmp_path / "bin", "works")
    monkeypatch.setenv("PATH", str(program.parent))
    assert made(place, CORAL).model.version == 2


def test_a_compiler_that_crashes_leaves_a_build_for_the_cpu(
    place: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = edgetpu_compiler.install(tmp_path / "bin", "crash")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    report = made(place, CORAL)
    (coral,) = report.targets
    assert coral.accelerator is not None
    assert coral.accelerator.status == "failed"
    assert "Compilation failed!" in (coral.accelerator.reason or "")
    assert not (place.folder / "out" / COMPILED).exists()
    assert bundle_of(place, report, CORAL).edgetpu_model() is None
