"""A stand-in for `edgetpu_compiler`: an executable that talks, logs and fails as the real one.

`install` puts it into a folder for PATH. What it refuses and maps is decided by `edgetpu_judge`,
which knows nothing of the predictor; the compiled file is a real flatbuffer with a package that no
chip would run. What the real compiler says was taken from its public logs and transcripts, but for
the words of its timer, which nobody has published.
"""

import os
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from green_edge.tflite.model import TfliteModel
    from support.edgetpu_judge import Judged

V16 = "16.0.384591198"
V15 = "15.0.340273435"
V2 = "2.1.302470888"

Mode = Literal[
    "works",  # as the model deserves: it compiles, is refused, or crashes on ADD(PAD, RESIZE)
    "crash",  # bare "Compilation failed!" whatever the options
    "crash-until-search",  # ... but for -d
    "crash-until-several",  # ... but for -a
    "internal",  # bare "Internal compiler error. Aborting!"
    "internal-once",  # ... the first time only
    "large",  # large activation tensors
    "timer",  # its own timer ends
    "hang",  # does not end, nor does its child
    "stub",  # fails and leaves a file behind
    "stub-success",  # leaves that file and says that all went well
    "no-output",  # says that all went well and writes nothing
    "nothing",  # ends well with no subgraph
    "exit-1",  # does everything right but its exit code
    "last-fails",  # succeeds, searches on, and fails
]

_ROOT = Path(__file__).parents[2]
_STUB_BYTES = 1024


def install(folder: Path, mode: Mode = "works", *, version: str = V16) -> Path:
    """Write the executable `edgetpu_compiler` into a folder; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "edgetpu_compiler"
    paths = [str(_ROOT / name) for name in ("toolchain", "device_agent", "tests")]
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"sys.path[:0] = {paths!r}\n"
        "from support.edgetpu_compiler import main\n"
        f"sys.exit(main(sys.argv[1:], {mode!r}, {version!r}, {str(folder)!r}))\n"
    )
    program.chmod(0o755)
    return program


def calls(folder: Path) -> list[str]:
    """Command lines that an installed compiler was called with, without the program's name."""
    log = folder / "calls.txt"
    return log.read_text().splitlines() if log.exists() else []


def main(arguments: Sequence[str], mode: Mode, version: str, folder: str) -> int:
    """Run; returns the exit code."""
    if set(arguments) & {"-v", "--version"}:
        say(f"Edge TPU Compiler version {version}")
        return 0
    with (Path(folder) / "calls.txt").open("a") as log:
        log.write(" ".join(arguments) + "\n")
    order = _options(recent=_is_recent(version)).parse_args(arguments)
    if not order.file.exists():
        say(f"Invalid model: {order.file}")
        return 1
    return _Run(order, mode, version, Path(folder)).all()


def _options(*, recent: bool) -> ArgumentParser:
    options = ArgumentParser("edgetpu_compiler")
    options.add_argument("-s", "--show_operations", dest="show", action="store_true")
    options.add_argument("-a", "--enable_multiple_subgraphs", dest="several", action="store_true")
    options.add_argument("-o", "--out_dir", dest="out", type=Path, default=Path())
    options.add_argument("-m", "--min_runtime_version", dest="runtime", type=int, default=14)
    if recent:
        options.add_argument("-d", "--search_delegate", dest="search", action="store_true")
        options.add_argument("-k", "--delegate_search_step", dest="step", type=int, default=1)
        options.add_argument("-t", "--timeout_sec", dest="timeout_s", type=int, default=180)
    else:
        options.set_defaults(search=False, step=1, timeout_s=0)
    options.add_argument("file", type=Path)
    return options


def _is_recent(version: str) -> bool:
    return int(version.partition(".")[0]) >= 16


def say(line: str) -> None:
    """Print as the compiler does."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class _Run:
    """One call of the compiler for one model."""

    def __init__(self, order: Namespace, mode: Mode, version: str, folder: Path) -> None:
        self._order, self._mode, self._version, self._folder = order, mode, version, folder
        self._recent = _is_recent(version)
        self._file: Path = order.file
        self._data = self._file.read_bytes()
        self._output: Path = order.out / f"{self._file.stem}_edgetpu.tflite"

    def all(self) -> int:
        """Compile; returns the exit code."""
        say(f"Edge TPU Compiler version {self._version}")
        forced = self._forced()
        if forced is not None:
            return forced
        refusal = self._refusal()
        if refusal is not None:
            return self._end(refusal)
        if not self._order.search:
            self._timer()
            return self._one(len(self._model().ops))
        say(f"Searching for valid delegate with step {self._order.step}")
        code = 1
        for count in range(len(self._model().ops), 0, -self._order.step):
            say(f"Try to compile segment with {count} ops")
            if count < len(self._model().ops):
                say(f"Intermediate tensors: {self._model().ops[count - 1].name}")
            self._timer()
            code = self._one(count)
            if code == 0:
                return 0
        return code

    def _model(self) -> "TfliteModel":
        from green_edge.tflite.read import read  # noqa: PLC0415 - `-v` is to answer at once

        return read(self._data, static=False)

    def _forced(self) -> int | None:
        """What the mode does in place of compiling; None where it compiles."""
        if self._mode == "internal-once":
            return None if len(calls(self._folder)) > 1 else self._end(_INTERNAL)
        if self._mode == "hang":
            subprocess.Popen(["sleep", "60"])
            time.sleep(60)
        if self._mode == "stub":
            self._output.write_bytes(self._data[:_STUB_BYTES])
        words = _FORCED.get(self._mode)
        if words is None:
            return None
        self._timer()
        return self._end(words)

    def _timer(self) -> None:
        if self._recent:
            say(f"Started a compilation timeout timer of {self._order.timeout_s} seconds.")

    def _end(self, lines: Sequence[str]) -> int:
        for line in lines:
            say(line)
        if self._recent and lines != _FORCED["timer"]:
            say("Compilation child process completed within timeout period.")
            say("Compilation failed! ")
        return 1

    def _refusal(self) -> list[str] | None:
        """What the compiler's own interpreter says of a model that it does not load."""
        from green_edge_wire.errors import ModelError  # noqa: PLC0415 - as above
        from support.edgetpu_judge import NOT_QUANTIZED, refusal  # noqa: PLC0415

        try:
            what = refusal(self._model())
        except ModelError:
            return [f"Invalid model: {self._file}", "Model could not be parsed"]
        if what is None:
            return None
        if what == NOT_QUANTIZED:
            return [f"Invalid model: {self._file}", what]
        if "Didn't find op" in what or "unresolved" in what:
            older = " An older version of this builtin might be supported."
            return [
                *(f"ERROR: {what}.{older}", "", "ERROR: Registration failed.", ""),
                *(f"Invalid model: {self._file}", "Model could not be parsed"),
            ]
        return [f"ERROR: {what}", _IN_INTERPRETER]

    def _one(self, count: int) -> int:
        """Compile the first `count` operations."""
        if self._crashes(count):
            return self._end([] if self._recent else _INTERNAL)
        places = self._places(count)
        self._write(places)
        self._tell(places)
        if self._mode == "last-fails":
            say("Searching for valid delegate with step 1")
            say("Try to compile segment with 1 ops")
            say("Compilation failed! ")
        return 1 if self._mode == "exit-1" else 0

    def _crashes(self, count: int) -> bool:
        if self._mode == "crash-until-search":
            return not self._order.search or count == len(self._model().ops)
        if self._mode == "crash-until-several":
            return not self._order.several
        from support.edgetpu_judge import crashes  # noqa: PLC0415 - as above

        return any(index < count for index in crashes(self._model()))

    def _places(self, count: int) -> "list[Judged]":
        """Each operation with what becomes of it."""
        from support import edgetpu_judge  # noqa: PLC0415 - as above

        found = []
        for place in edgetpu_judge.judge(self._model(), several=self._order.several):
            if self._mode == "nothing" or self._order.runtime < 12:
                found.append(replace(place, mapped=False, status=edgetpu_judge.DATA_TYPE))
            elif place.mapped and place.index >= count:
                found.append(replace(place, mapped=False, status=edgetpu_judge.SECOND))
            else:
                found.append(place)
        return found

    def _write(self, places: "list[Judged]") -> None:
        from support.edgetpu_partition import partition  # noqa: PLC0415 - as above

        mapped = {place.index for place in places if place.mapped}
        if self._mode == "stub-success":
            self._output.write_bytes(self._data[:_STUB_BYTES])
        elif self._mode != "no-output":
            several = self._order.several
            compiled = partition(self._data, mapped, several=several) if mapped else self._data
            self._output.write_bytes(compiled)
        log = self._output.with_suffix(".log")
        head = f"Edge TPU Compiler version {self._version}\nInput: {self._file}\n"
        log.write_text(f"{head}Output: {self._output}\n\n{_table(places)}")

    def _tell(self, places: "list[Judged]") -> None:
        tpu = sum(place.mapped for place in places)
        size = self._output.stat().st_size if self._output.exists() else 0
        say("\nModel compiled successfully in 12 ms.\n")
        say(f"Input model: {self._file}")
        say(f"Input size: {_size(len(self._data))}")
        say(f"Output model: {self._output}")
        say(f"Output size: {_size(size)}")
        say(f"On-chip memory used for caching model parameters: {_size(size if tpu else 0)}")
        say("On-chip memory remaining for caching model parameters: 7.50MiB")
        say("Off-chip memory used for streaming uncached model parameters: 0.00B")
        say(f"Number of Edge TPU subgraphs: {1 if tpu else 0}")
        say(f"Total number of operations: {len(places)}")
        say(f"Operation log: {self._output.with_suffix('.log')}")
        if tpu < len(places):
            say(_PARTIAL)
            say(f"Number of operations that will run on Edge TPU: {tpu}")
            say(f"Number of operations that will run on CPU: {len(places) - tpu}")
        say(
            f"\n{_table(places)}"
            if self._order.show
            else "See the operation log file for individual operation details."
        )
        if self._recent:
            say("Compilation child process completed within timeout period.")
            say("Compilation succeeded! ")


def _table(places: "list[Judged]") -> str:
    """The table of operations, in an order of its own on every run, as hash tables have it."""
    counts = Counter((place.op, place.status) for place in places)
    rows = sorted(counts.items(), key=lambda row: (row[1] * 7919 + os.getpid()) % 13)
    lines = [f"{op:<30} {n:<10} {status}" for (op, status), n in rows]
    return "\n".join([f"{'Operator':<30} {'Count':<10} Status", "", *lines]) + "\n"


def _size(count: int) -> str:
    for unit in ("B", "KiB"):
        if count < 1024:
            return f"{count:.2f}{unit}"
        count //= 1024
    return f"{count:.2f}MiB"


_INTERNAL = ["", "Internal compiler error. Aborting! "]
_IN_INTERPRETER = (
    "Compilation failed: Model failed in Tflite interpreter. Please ensure model can be loaded/run "
    "in Tflite interpreter."
)
_PARTIAL = (
    "\nModel successfully compiled but not all operations are supported by the Edge TPU. A "
    "percentage of the model will instead run on the CPU, which is slower. If possible, consider "
    "updating your model to use only operations supported by the Edge TPU. For details, visit "
    "g.co/coral/model-reqs."
)
_FORCED: dict[str, list[str]] = {
    "crash": [],
    "internal": _INTERNAL,
    "stub": [],
    "large": [
        "ERROR: Restored original execution plan after delegate application failure.",
        "Compilation failed: Compilation failed due to large activation tensors in model.",
    ],
    "timer": ["Compilation child process timed out.", "Compilation failed! "],
}
