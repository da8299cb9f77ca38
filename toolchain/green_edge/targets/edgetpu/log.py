"""Reads what the Edge TPU compiler says: its talk on standard output, and its log of operations.

Only the last verdict of the talk counts: a search for a segment that compiles prints one for each
attempt.
"""

import re
from dataclasses import dataclass
from typing import Literal

Failure = Literal["refused", "crashed", "timed-out"]
"""`refused`: the model is at fault and every further attempt would end alike."""

MAPPED = "Mapped to Edge TPU"

_VERSION = re.compile(r"^Edge TPU Compiler version (\S+)", re.MULTILINE)
_ROW = re.compile(r"^(\S+)\s+(\d+)\s+(\S.*?)\s*$", re.MULTILINE)
_ATTEMPT = re.compile(r"^Try to compile segment.*$", re.MULTILINE)
_HEADER = re.compile(r"^Operator\s+Count\s+Status\s*$", re.MULTILINE)
_SUCCESS = re.compile(r"Model compiled successfully in \d+ ms|Compilation succeeded!")
_FAILURE = re.compile(r"Compilation failed|Internal compiler error|Invalid model:|timed out")
# What tells more than the verdict does, most telling first.
_CAUSES: tuple[tuple[Failure, str], ...] = (
    ("refused", r"Model not quantized"),
    ("refused", r"Didn't find op for builtin opcode '\w+' version '\d+'"),
    ("refused", r"Encountered unresolved custom op: .*"),
    ("refused", r"Attempting to use a delegate that only supports static-sized tensors.*"),
    ("refused", r".*no_integer_overflow_from_quantization.*"),
    ("refused", r"Model failed in Tflite interpreter\..*"),
    ("refused", r"Model could not be parsed"),
    ("crashed", r"Compilation failed due to .*"),
    ("timed-out", r".*timed out.*"),
    ("crashed", r"Internal compiler error\. Aborting!"),
    ("crashed", r"Compilation failed!"),
)


@dataclass(frozen=True, slots=True)
class OperationRow:
    """One line of the log: so many operations of a type with one status."""

    op: str
    count: int
    status: str


@dataclass(frozen=True, slots=True)
class OperationLog:
    """The file `<model>_edgetpu.log`.

    Attributes:
        version: of the compiler; empty where the log does not tell.
        rows: an operation occurs once for each status; their order means nothing.
    """

    version: str
    rows: tuple[OperationRow, ...]

    @property
    def tpu_ops(self) -> int:
        """Operations inside the compiled part."""
        return sum(row.count for row in self.rows if row.status == MAPPED)

    @property
    def cpu_ops(self) -> int:
        """Operations left to the CPU."""
        return sum(row.count for row in self.rows) - self.tpu_ops


@dataclass(frozen=True, slots=True)
class Talk:
    """What a run of the compiler printed.

    Attributes:
        version: of the compiler; empty where it did not get that far.
        succeeded: what the last verdict says; False without any.
        failure: kind of a failure.
        words: the compiler's own about the failure; empty on success, or where it said none.
    """

    version: str
    succeeded: bool
    failure: Failure | None = None
    words: str = ""


def read_log(text: str) -> OperationLog:
    """Read a log, or the table that `-s` prints, which has its form."""
    version = _VERSION.search(text)
    header = _HEADER.search(text)
    table = text[header.end() :] if header is not None else ""
    rows = tuple(OperationRow(match[1], int(match[2]), match[3]) for match in _ROW.finditer(table))
    return OperationLog(version[1] if version else "", rows)


def read_talk(text: str) -> Talk:
    """Read what a run printed on standard output and error."""
    found = _VERSION.search(text)
    version = found[1] if found else ""
    success = max((match.start() for match in _SUCCESS.finditer(text)), default=-1)
    failure = max((match.start() for match in _FAILURE.finditer(text)), default=-1)
    if success > failure:
        return Talk(version, succeeded=True)
    kind, words = _cause(text)
    return Talk(version, succeeded=False, failure=kind, words=words)


def _cause(text: str) -> tuple[Failure, str]:
    """Kind and words of the failure of a run's last attempt."""
    last = _ATTEMPT.split(text)[-1]
    for kind, cause in _CAUSES:
        match = re.search(cause, last)
        if match is not None:
            return kind, match[0].strip()
    return "crashed", ""
