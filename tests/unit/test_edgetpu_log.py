import json
import os
from pathlib import Path

import pytest

from green_edge.targets.edgetpu.log import OperationRow, read_log, read_talk

LOG = """Edge TPU Compiler version 16.0.384591198
Input: a.tflite
Output: a_edgetpu.tflite

Operator                       Count      Status

CUSTOM                         1          Operation is working on an unsupported data type
CONV_2D                        12         Mapped to Edge TPU
CONV_2D                        2          More than one subgraph is not supported
"""
SEARCH = """Edge TPU Compiler version 16.0.384591198
Searching for valid delegate with step 3
Try to compile segment with 9 ops
Started a compilation timeout timer of 180 seconds.
ERROR: Restored original execution plan after delegate application failure.
Compilation failed: Compilation failed due to large activation tensors in model.
Compilation child process completed within timeout period.
Compilation failed!
Try to compile segment with 6 ops
Intermediate tensors: a,b
Started a compilation timeout timer of 180 seconds.
"""
SUCCESS = """
Model compiled successfully in 9 ms.

Number of Edge TPU subgraphs: 1
Compilation child process completed within timeout period.
Compilation succeeded!
"""


def test_a_log_has_one_row_for_each_operation_and_status() -> None:
    log = read_log(LOG)
    assert log.version == "16.0.384591198"
    assert log.rows[1] == OperationRow("CONV_2D", 12, "Mapped to Edge TPU")
    assert (log.tpu_ops, log.cpu_ops) == (12, 3)


def test_what_is_no_log_has_no_rows() -> None:
    assert read_log("").rows == ()
    assert read_log("Number 12 of things\n").rows == ()


def test_the_last_verdict_counts() -> None:
    assert read_talk(SEARCH + SUCCESS).succeeded
    talk = read_talk(SUCCESS + SEARCH + "Compilation failed! \n")
    assert (talk.succeeded, talk.failure, talk.words) == (False, "crashed", "Compilation failed!")


def test_an_older_release_succeeds_with_one_line() -> None:
    talk = read_talk(
        "Edge TPU Compiler version 2.1.302470888\n\nModel compiled successfully in 9 ms."
    )
    assert (talk.version, talk.succeeded) == ("2.1.302470888", True)


UNKNOWN_OP = """ERROR: Didn't find op for builtin opcode 'EXP' version '2'. An older version of this builtin might be supported.

ERROR: Registration failed.

Invalid model: a.tflite
Model could not be parsed
"""  # noqa: E501 - the compiler's own line
CUSTOM_OP = "ERROR: Encountered unresolved custom op: FlexErf.\nModel could not be parsed"
STATIC = (
    "Attempting to use a delegate that only supports static-sized tensors with a graph that has "
    "dynamic-sized tensors."
)
DYNAMIC = f"""ERROR: {STATIC}
Compilation failed: Model failed in Tflite interpreter. Please ensure model can be loaded.
Compilation child process completed within timeout period.
Compilation failed!
"""
LARGE = "Compilation failed due to large activation tensors in model."


@pytest.mark.parametrize(
    ("text", "failure", "words"),
    [
        ("Invalid model: a.tflite\nModel not quantized\n", "refused", "Model not quantized"),
        (UNKNOWN_OP, "refused", "Didn't find op for builtin opcode 'EXP' version '2'"),
        (CUSTOM_OP, "refused", "Encountered unresolved custom op: FlexErf."),
        (DYNAMIC, "refused", STATIC),
        (f"Compilation failed: {LARGE}\nCompilation failed! ", "crashed", LARGE),
        ("\nInternal compiler error. Aborting! ", "crashed", "Internal compiler error. Aborting!"),
        ("Segmentation fault", "crashed", ""),
        ("", "crashed", ""),
    ],
)
def test_a_failure_is_told_in_the_compilers_own_words(text: str, failure: str, words: str) -> None:
    talk = read_talk(text)
    assert (talk.succeeded, talk.failure, talk.words) == (False, failure, words)


def test_the_timer_is_not_taken_for_a_failure() -> None:
    timer = "Started a compilation timeout timer of 180 seconds.\n"
    assert read_talk(timer + SUCCESS).succeeded
    assert read_talk(timer + "Compilation failed! ").failure == "crashed"


def test_every_public_log_has_the_counts_of_its_compiled_file() -> None:
    folder = os.environ.get("GREEN_EDGE_TEST_DATA")
    if folder is None:
        pytest.skip("set GREEN_EDGE_TEST_DATA to the folder of the public compiler logs")
    pairs = json.loads((Path(folder) / "edgetpu" / "pairs.json").read_text())["pairs"]
    logged = [pair for pair in pairs if pair["log"] and not pair["flags"]]
    assert logged
    for pair in logged:
        log = read_log(pair["log"])
        assert log.version == pair["compiler_version_from_log"]
        assert (log.tpu_ops, log.cpu_ops) == (pair["mapped_ops"], pair["cpu_ops"]), pair["id"]
