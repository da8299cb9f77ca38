import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from green_edge.cli.inspect import command
from green_edge.targets.edgetpu.compiled import read_compiled
from green_edge_wire.errors import ModelError
from support.edgetpu_files import (
    CACHED,
    PARAMETER_CACHING,
    Executable,
    compiled_tflite,
    package,
)
from support.tiny_models import tiny_int8_dense


def test_what_is_cached_and_what_is_streamed_is_read_without_the_compiler() -> None:
    found = read_compiled(compiled_tflite(cpu_ops=2))
    assert found is not None
    assert (found.subgraphs, found.cpu_ops) == (1, 2)
    assert (found.cached_bytes, found.streamed_bytes) == (4096, 64)
    assert (found.min_runtime_version, found.compiler_version) == (14, "cl/")
    assert (found.instruction_bytes, found.scratch_bytes) == (32, 32)
    assert found.narrow_bytes_per_tile == 2048
    assert found.estimated_cycles is None


def test_an_executable_that_stands_alone_streams_what_it_has() -> None:
    alone = Executable(parameters=b"p" * 100, cycles=4580)
    found = read_compiled(compiled_tflite(package((alone,), min_runtime_version=10)))
    assert found is not None
    assert (found.cached_bytes, found.streamed_bytes) == (0, 100)
    assert (found.min_runtime_version, found.estimated_cycles) == (10, 4580)


def test_several_subgraphs_are_added_up() -> None:
    found = read_compiled(compiled_tflite(nodes=3))
    assert found is not None
    assert (found.subgraphs, found.cached_bytes) == (3, 3 * 4096)


def test_two_equal_executables_count_twice() -> None:
    twice = Executable(kind=PARAMETER_CACHING, parameters=b"p" * 8)
    found = read_compiled(compiled_tflite(package((twice, twice))))
    assert found is not None
    assert found.cached_bytes == 16


def test_a_model_that_is_not_compiled_holds_nothing_compiled() -> None:
    assert read_compiled(tiny_int8_dense()) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an offset outside|it holds no package"),
        (b"\x10\x00\x00\x00DWN0" + b"\x00" * 64, "it holds no package"),
        (package(())[:60], "an offset outside of its buffer"),
        (package(()), "it holds no executable"),
    ],
    ids=["empty", "other-identifier", "cut-short", "nothing-inside"],
)
def test_broken_content_is_a_model_error(content: bytes, reason: str) -> None:
    with pytest.raises(ModelError, match=rf"broken edgetpu-custom-op: ({reason})"):
        read_compiled(compiled_tflite(content))


def test_inspect_shows_a_compiled_file(tmp_path: Path) -> None:
    path = tmp_path / "m_edgetpu.tflite"
    path.write_bytes(compiled_tflite(package(CACHED), cpu_ops=1))
    shown = CliRunner().invoke(command, [str(path)])
    assert shown.exit_code == 0, shown.output
    assert "compiled for the Edge TPU, subgraphs: 1" in shown.stdout
    assert "operations on the CPU: 1" in shown.stdout
    assert "parameters cached on the chip: 4,096 bytes" in shown.stdout
    assert "lowest runtime version: 14, that of libedgetpu 16.0" in shown.stdout
    assert "edgetpu-custom-op v1" in shown.stdout
    document = json.loads(CliRunner().invoke(command, [str(path), "--json"]).stdout)
    assert document["edgetpu"]["streamed_bytes"] == 64
    assert "estimated_cycles" not in document["edgetpu"]


def test_inspect_of_an_ordinary_model_says_nothing_of_a_chip(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(tiny_int8_dense())
    document = json.loads(CliRunner().invoke(command, [str(path), "--json"]).stdout)
    assert "edgetpu" not in document
