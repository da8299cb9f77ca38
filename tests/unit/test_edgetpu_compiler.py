from pathlib import Path

import pytest

from green_edge.targets.edgetpu import compiler
from green_edge.targets.edgetpu.compiler import SEARCH, SEVERAL, Outcome, compile_model
from support import edgetpu_compiler
from support.edgetpu_compiler import V15, V16, Mode
from support.newer_ops import add_of_pad_and_resize, chain
from support.tiny_models import tiny_float_conv, tiny_int8_dense

MODEL = tiny_int8_dense()
BARE = "Compilation failed!"
INTERNAL = "Internal compiler error. Aborting!"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "bin"


def compiled(
    folder: Path, mode: Mode = "works", model: bytes = MODEL, *, version: str = V16
) -> Outcome:
    program = edgetpu_compiler.install(folder, mode, version=version)
    return compile_model(program, model, timeout_s=20)


def options(outcome: Outcome) -> list[tuple[str, ...]]:
    return [attempt.options for attempt in outcome.attempts]


def words(outcome: Outcome) -> list[str]:
    return [attempt.words for attempt in outcome.attempts]


def test_it_is_looked_up_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert compiler.find() is None
    assert compiler.find() != edgetpu_compiler.install(folder)
    assert compiler.find() == folder / "edgetpu_compiler"


def test_a_model_that_maps_is_compiled_at_once(folder: Path) -> None:
    outcome = compiled(folder)
    assert outcome.version == V16
    assert options(outcome) == [()]
    assert outcome.result is not None
    assert outcome.result.facts.subgraphs == 1
    assert outcome.result.facts.cpu_ops == outcome.result.log.cpu_ops == 0
    assert outcome.result.log.tpu_ops == 1
    assert edgetpu_compiler.calls(folder) == ["-s -o out -t 20 model.tflite"]


def test_releases_before_16_get_no_options_that_they_do_not_know(folder: Path) -> None:
    outcome = compiled(folder, version=V15)
    assert (outcome.version, options(outcome)) == (V15, [()])
    assert outcome.result is not None
    assert edgetpu_compiler.calls(folder) == ["-s -o out model.tflite"]


def test_a_bare_crash_is_tried_with_a_search_and_with_several_parts(folder: Path) -> None:
    outcome = compiled(folder, "crash")
    assert outcome.result is None
    assert options(outcome) == [(), SEARCH, SEVERAL]
    assert words(outcome) == [BARE] * 3


def test_a_bare_crash_of_an_older_release_has_no_search(folder: Path) -> None:
    outcome = compiled(folder, "internal", version=V15)
    assert options(outcome) == [(), (), SEVERAL]
    assert words(outcome) == [INTERNAL] * 3


def test_a_crash_that_comes_and_goes_is_tried_again_as_it_was(folder: Path) -> None:
    outcome = compiled(folder, "internal-once", version=V15)
    assert (options(outcome), words(outcome)) == ([(), ()], [INTERNAL, ""])
    assert outcome.result is not None


def test_a_search_finds_the_part_that_compiles(folder: Path) -> None:
    outcome = compiled(folder, "crash-until-search", chain())
    assert options(outcome) == [(), SEARCH]
    assert outcome.result is not None
    assert outcome.result.options == SEARCH
    assert (outcome.result.log.tpu_ops, outcome.result.log.cpu_ops) == (4, 3)
    assert outcome.result.facts.cpu_ops == 3


def test_the_known_pattern_crashes_without_a_word_and_compiles_in_part(folder: Path) -> None:
    outcome = compiled(folder, model=add_of_pad_and_resize())
    assert words(outcome) == [BARE, ""]
    assert outcome.result is not None
    assert outcome.result.log.tpu_ops == 2


def test_several_parts_are_the_last_resort(folder: Path) -> None:
    outcome = compiled(folder, "crash-until-several")
    assert options(outcome) == [(), SEARCH, SEVERAL]
    assert outcome.result is not None
    assert outcome.result.options == SEVERAL


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("stub", BARE),
        ("no-output", "it reported success but wrote no file"),
        ("exit-1", "it ended with exit code 1 although it reported success"),
        ("last-fails", BARE),
        ("large", "Compilation failed due to large activation tensors in model."),
        ("timer", "Compilation child process timed out."),
    ],
)
def test_success_is_believed_for_a_whole_result_alone(folder: Path, mode: Mode, said: str) -> None:
    outcome = compiled(folder, mode)
    assert outcome.result is None
    assert set(words(outcome)) == {said}
    assert options(outcome) == [(), SEARCH, SEVERAL]


def test_a_stub_is_no_compiled_model_whatever_the_compiler_says(folder: Path) -> None:
    outcome = compiled(folder, "stub-success")
    assert outcome.result is None
    assert "left a stub of 832 bytes" in words(outcome)[0]
    outcome = compiled(folder, "stub-success", tiny_int8_dense(inputs=600))
    assert outcome.result is None
    assert "wrote a file that is none" in words(outcome)[0]


def test_success_with_nothing_mapped_is_a_failure_that_is_not_repeated(folder: Path) -> None:
    outcome = compiled(folder, "nothing")
    assert outcome.result is None
    (said,) = words(outcome)
    assert said.startswith("it mapped no operation to the Edge TPU: Operation is working on")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (tiny_float_conv(), "Model not quantized"),
        (b"TFL3TFL3", "Model could not be parsed"),
        (
            tiny_int8_dense(version=99),
            "Didn't find op for builtin opcode 'FULLY_CONNECTED' version '99'",
        ),
    ],
)
def test_a_model_that_is_refused_by_name_is_not_tried_again(
    folder: Path, model: bytes, said: str
) -> None:
    outcome = compiled(folder, model=model)
    assert outcome.result is None
    assert words(outcome) == [said]


def test_a_run_that_does_not_end_is_ended_with_its_child(folder: Path) -> None:
    program = edgetpu_compiler.install(folder, "hang")
    outcome = compile_model(program, MODEL, timeout_s=0.2, grace_s=1.5)
    assert outcome.result is None
    assert words(outcome) == ["it was stopped after 1.7 s"]


def test_a_program_of_another_architecture_is_told_apart(folder: Path) -> None:
    program = edgetpu_compiler.install(folder)
    program.write_bytes(b"\x7fELF" + bytes(60))
    outcome = compile_model(program, MODEL)
    assert words(outcome) == ["it cannot be started here: Exec format error"]


def test_the_command_is_one_to_paste() -> None:
    assert compiler.command_line("a b.tflite", SEARCH) == "edgetpu_compiler -s -d -k 3 'a b.tflite'"
