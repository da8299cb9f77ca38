import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from green_edge.cli import check as check_command
from green_edge_wire.errors import ConfigError, ModelError
from support.bundles import tiny_bundle
from support.edgetpu_faults import FATAL
from support.op_models import Step, T, alone, conv, op_model

KEYS = [
    *("target", "verdict", "ops", "tpu_ops", "cpu_ops", "parameter_bytes", "parameter_memory"),
    "problems",
]
OP_KEYS = {"index", "op", "version", "placement", "status", "reason", "confidence"}


def _run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(check_command.command, [str(path), *arguments], catch_exceptions=True)


def _file(folder: Path, data: bytes) -> Path:
    path = folder / "model.tflite"
    path.write_bytes(data)
    return path


def _mixed() -> bytes:
    shape = (1, 4, 4, 8)
    steps = [
        Step("LOGISTIC", (0,), (1,), 2),
        Step("LEAKY_RELU", (1,), (2,), 2),
        Step("LOGISTIC", (2,), (3,), 2),
        Step("TFLite_Detection_PostProcess", (3,), (4,)),
    ]
    return op_model([T(shape)] * 5, steps)


@pytest.mark.parametrize(
    ("data", "target", "code", "verdict"),
    [
        (conv(), "pi4", 0, "runs"),
        (_mixed(), "coral-usb+pi5", 0, "partial"),
        (FATAL["float"].model, "coral-m2", 3, "refused"),
        (alone("ELU"), "coral-devboard", 8, "unknown"),
        (conv(), "pi4:trixie-armhf", 3, "refused"),
    ],
)
def test_each_verdict_has_its_exit_code(
    data: bytes, target: str, code: int, verdict: str, tmp_path: Path
) -> None:
    path = _file(tmp_path, data)
    ran = _run(path, "--target", target, "--json")
    document = json.loads(ran.stdout)
    assert (ran.exit_code, document["verdict"]) == (code, verdict)
    assert list(document)[: len(KEYS)] == KEYS
    assert all(set(row) >= OP_KEYS for row in document["ops"])
    assert all(set(problem) == {"what", "where", "remedy"} for problem in document["problems"])
    assert "null" not in ran.stdout
    assert _run(path, "--target", target).exit_code == code


@pytest.mark.parametrize("target", ["pi4", "pi4:bookworm-armhf", "pi4:trixie-armhf", "coral-m2"])
@pytest.mark.parametrize("name", sorted(FATAL))
def test_the_text_keeps_to_80_columns(name: str, target: str, tmp_path: Path) -> None:
    ran = _run(_file(tmp_path, FATAL[name].model), "--target", target)
    # The first line names the file, whose folder is as long as it is.
    lines = ran.stdout.splitlines()[3:]
    assert lines
    assert max(map(len, lines)) <= 80


def test_the_text_shows_the_worst_operations_first_and_counts_the_rest(tmp_path: Path) -> None:
    text = _run(_file(tmp_path, _mixed()), "--target", "coral-usb").stdout
    assert "RUNS IN PART" in text
    assert "1 on the Edge TPU, 3 on the CPU" in text
    assert "tflite-runtime 2.14.0" in text
    assert "libedgetpu 16.0tf2.16.1" in text
    assert "LEAKY_RELU v2" in text
    assert re.search(r"on the TPU +count\n-+ +-+\nLOGISTIC v2 +1\n", text)


def test_a_model_that_is_refused_whole_is_told_by_reason_and_not_row_by_row(tmp_path: Path) -> None:
    shape = (1, 4, 4, 8)
    steps = [Step("EXP", (i,), (i + 1,), 2) for i in range(300)]
    text = _run(_file(tmp_path, op_model([T(shape)] * 301, steps)), "--target", "coral-usb").stdout
    assert "REFUSED" in text
    assert len(text.splitlines()) < 40
    assert " ".join(text.split()).count("Didn't find op for builtin opcode 'EXP'") == 1
    assert re.search(r"^ +300 ", text, re.MULTILINE)


def test_a_bundle_is_checked_as_the_model_in_it(tmp_path: Path) -> None:
    path = tmp_path / "digits.gedge"
    path.write_bytes(tiny_bundle())
    assert json.loads(_run(path, "--target", "pi5", "--json").stdout)["verdict"] == "runs"


def test_what_is_no_model_or_no_target_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a model")
    assert isinstance(_run(path, "--target", "pi4").exception, ModelError)
    assert isinstance(_run(_file(tmp_path, conv()), "--target", "pi9").exception, ConfigError)


def test_it_imports_neither_tensorflow_nor_h5py(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from green_edge.build.check import check_file\n"
        "from pathlib import Path\n"
        "check_file(Path(sys.argv[1]), 'coral-usb')\n"
        "print({'tensorflow', 'keras', 'h5py'} & set(sys.modules))\n"
    )
    path = _file(tmp_path, conv())
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
