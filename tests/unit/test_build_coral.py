from pathlib import Path

import pytest

from green_edge.build.coral import ForTarget, edgetpu_name, for_target
from green_edge.targets.edgetpu.compiled import read_compiled
from green_edge.targets.registry import find
from green_edge.tflite.read import read
from green_edge_wire import codec
from support import edgetpu_compiler
from support.edgetpu_compiler import Mode
from support.newer_ops import add_of_pad_and_resize, chain, dense_rows
from support.same_outputs import differing
from support.tiny_models import tiny_float_dense, tiny_int8_dense

CORAL = find("coral-usb+pi5")
FILE = "net.coral-usb-pi5.tflite"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH; empty at first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    # The stand-in's own children, such as `sleep`, are in /usr/bin and /bin.
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def made(path: Path, mode: Mode, model: bytes) -> ForTarget:
    edgetpu_compiler.install(path, mode)
    return for_target(model, CORAL, file=FILE)


def test_a_board_without_an_accelerator_gets_the_model_as_it_is(path: Path) -> None:
    edgetpu_compiler.install(path)
    model = dense_rows()
    assert for_target(model, find("pi4")) == ForTarget(model, None, "cpu")
    assert edgetpu_compiler.calls(path) == []


@pytest.mark.usefixtures("path")
def test_without_the_compiler_the_command_and_its_source_are_told() -> None:
    result = for_target(chain(), CORAL, file=FILE)
    assert (result.status, result.edgetpu, result.model) == ("not-compiled", None, chain())
    assert result.command == f"edgetpu_compiler -s {FILE}"
    assert result.accelerator is not None
    assert result.accelerator.file is None
    assert "Debian package edgetpu-compiler" in (result.accelerator.reason or "")
    assert any(f"then run: edgetpu_compiler -s {FILE}" in note for note in result.notes)


def test_a_compiled_model_comes_with_the_one_for_the_cpu(path: Path) -> None:
    result = made(path, "works", chain())
    assert (result.status, result.model) == ("compiled", chain())
    assert result.edgetpu is not None
    assert read_compiled(result.edgetpu) is not None
    assert codec.encode(result.accelerator) == {
        "status": "compiled",
        "command": f"edgetpu_compiler -s {FILE}",
        "file": "net.coral-usb-pi5_edgetpu.tflite",
        "compiler_version": edgetpu_compiler.V16,
        "tpu_ops": 7,
        "cpu_ops": 0,
        "cached_bytes": 7 * (64 + 32),
        "streamed_bytes": 0,
    }
    assert result.notes == ()


def test_a_compiled_model_takes_what_goes_in_and_gives_what_comes_out(path: Path) -> None:
    result = made(path, "works", chain())
    assert result.edgetpu is not None
    before, after = read(result.model), read(result.edgetpu)
    assert (before.inputs, before.outputs) == (after.inputs, after.outputs)


def test_operations_that_are_too_new_are_rewritten_for_cpu_and_tpu_alike(path: Path) -> None:
    model = dense_rows()
    result = made(path, "works", model)
    assert result.status == "compiled"
    assert [op.op for op in read(result.model).ops] == ["RESHAPE", "CONV_2D", "RESHAPE"]
    assert differing(model, result.model) == 0
    assert result.notes[0].startswith("for the Edge TPU compiler: ")


def test_a_search_and_what_it_left_to_the_cpu_are_noted(path: Path) -> None:
    result = made(path, "works", add_of_pad_and_resize())
    assert (result.status, result.command) == ("compiled", f"edgetpu_compiler -s -d -k 3 {FILE}")
    runs, left = result.notes
    assert runs.endswith(
        "needed 2 runs, the last with -d -k 3; the first ended: Compilation failed!"
    )
    assert "1 ADD (More than one subgraph is not supported)" in left


def test_several_parts_are_noted_as_experimental(path: Path) -> None:
    result = made(path, "crash-until-several", chain())
    assert result.status == "compiled"
    assert any("experimental" in note for note in result.notes)


@pytest.mark.parametrize("mode", ["crash", "stub", "stub-success", "nothing", "exit-1"])
def test_a_failure_leaves_the_model_for_the_cpu_and_nothing_compiled(
    path: Path, mode: Mode
) -> None:
    result = made(path, mode, chain())
    assert (result.status, result.edgetpu, result.model) == ("failed", None, chain())
    assert result.accelerator is not None
    assert result.accelerator.reason
    assert result.accelerator.file is None
    assert any("runs on the CPU" in note for note in result.notes)


def test_a_fault_that_the_file_shows_is_named_with_or_without_the_compiler(path: Path) -> None:
    without = for_target(tiny_float_dense(), CORAL)
    assert any("Model not quantized" in note for note in without.notes)
    refused = made(path, "works", tiny_int8_dense(version=99))
    assert refused.status == "compiled"  # lowered to version 4 first
    result = made(path, "works", tiny_float_dense())
    assert result.status == "failed"
    assert result.accelerator is not None
    assert result.accelerator.reason == "Model not quantized"


def test_a_known_crash_is_noted_before_any_compiler_runs(path: Path) -> None:
    assert not list(path.iterdir())
    result = for_target(add_of_pad_and_resize(), CORAL)
    assert any("may fail at #2 ADD" in note for note in result.notes)


def test_the_compiled_file_is_named_as_the_compiler_names_it() -> None:
    assert edgetpu_name("net.coral-usb.tflite") == "net.coral-usb_edgetpu.tflite"
