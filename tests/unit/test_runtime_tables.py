import importlib.metadata
from importlib import resources

import pytest
from ai_edge_litert.interpreter import Interpreter

from green_edge.targets import runtimes
from support.op_models import T, op_model

NAMES = sorted(
    file.name.removesuffix(".toml")
    for file in resources.files("green_edge.targets").joinpath("data", "runtimes").iterdir()
)


def _loads(op: str, version: int) -> bool:
    """Whether the runtime of this environment registers an operation that a file's table names."""
    try:
        Interpreter(model_content=op_model([T((1, 4))], [], inner=[(op, version)]))
    except ValueError as error:
        assert "Didn't find op for builtin opcode" in str(error)  # noqa: PT017 - the answer
        return False
    return True


def test_the_table_of_the_installed_runtime_is_what_it_answers() -> None:
    installed = importlib.metadata.version("ai-edge-litert")
    name = f"ai-edge-litert-{installed}"
    if name not in NAMES:
        pytest.skip(f"no table for {name}: make one with benchmarks/runtime_op_versions.py")
    runtime = runtimes.load(name)
    assert len(runtime.ops) > 150
    for op, highest in runtime.ops.items():
        lowest = runtime.lowest.get(op, 1)
        found = [v for v in range(1, highest + 2) if _loads(op, v)]
        assert found == list(range(lowest, highest + 1)), op


@pytest.mark.parametrize("name", NAMES)
def test_every_table_says_how_it_was_measured(name: str) -> None:
    runtime = runtimes.load(name)
    assert f"{runtime.package}-{runtime.version}" == name
    assert runtime.measured is not None
    assert "runtime_op_versions.py" in runtime.measured.command
    assert set(runtime.lowest) <= set(runtime.ops)
    assert runtime.wheels


def test_newer_runtimes_register_all_that_older_ones_do() -> None:
    old, new = runtimes.load("tflite-runtime-2.14.0"), runtimes.newest()
    assert all(new.ops[op] >= version for op, version in old.ops.items())
    assert old.ops["FULLY_CONNECTED"] < 12 <= new.ops["FULLY_CONNECTED"]
