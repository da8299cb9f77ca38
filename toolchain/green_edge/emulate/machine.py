"""Runs the guest program on an emulated core and reads what it and the counter say."""

import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from green_edge.emulate import board
from green_edge.emulate.board import Core
from green_edge.emulate.setting import EmulationError
from green_edge_wire import codec

_LOADER = "lib64/ld-linux-x86-64.so.2"
_LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
_QEMU = {"aarch64": "usr/bin/qemu-aarch64", "armv7l": "usr/bin/qemu-arm"}
_PYTHON = "usr/bin/python3.11"
_DEBIAN_SITE = "usr/lib/python3/dist-packages"
_MARKS = 3  # of a model, see `guest`
_WORDS = 300


@dataclass(frozen=True, slots=True)
class Machine:
    """An emulated board that is ready to run.

    Attributes:
        qemu: folder of the emulator and its libraries.
        userland: folder of the board's Debian packages.
        site: folder of the runtime's wheels.
        counter: library that qemu loads.
        guest: program that runs the models.
        core: which to emulate.
    """

    qemu: Path
    userland: Path
    site: Path
    counter: Path
    guest: Path
    core: Core


@dataclass(frozen=True, slots=True)
class Ran:
    """A model that ran; the instructions are of one inference."""

    instructions: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A model that did not, and the runtime's words."""

    message: str


@dataclass(frozen=True, slots=True)
class _Answer:
    """A line of the guest, see there."""

    begun: int | None = None
    counted: int | None = None
    repeats: int = 0
    refused: int | None = None
    message: str = ""


def run(
    machine: Machine, runtime: str, models: Sequence[Path], *, timeout_s: float
) -> Iterator[Ran | Failed]:
    """Run models in one process, and in one more after each that ends it.

    Args:
        machine: to run on.
        runtime: as in a `Setting`.
        models: .tflite files.
        timeout_s: for one model.

    Yields:
        What came of each, in order.

    Raises:
        EmulationError: the machine itself does not run.
    """
    done = 0
    while done < len(models):
        with tempfile.TemporaryDirectory(prefix="green-edge-") as folder:
            process = _Process(machine, Path(folder), timeout_s)
            for result in process.results(runtime, models[done:]):
                done += 1
                yield result


class _Process:
    """One run of the guest, in a folder of its own."""

    def __init__(self, machine: Machine, folder: Path, timeout_s: float) -> None:
        self._machine = machine
        self._timeout_s = timeout_s
        self._root = folder / "root"
        self._marks = folder / "marks"
        self._talk = folder / "talk"
        self._models = folder / "models"
        self._late = False
        self._counts: dict[int, int] = {}
        self._read = 0
        board.lay_out(self._root, machine.userland, machine.core)

    def results(self, runtime: str, models: Sequence[Path]) -> Iterator[Ran | Failed]:
        """What came of the models that were begun."""
        self._models.write_text("\n".join(map(str, models)))
        begun = ended = 0
        for answer in self._answers([runtime, str(self._models)]):
            if answer.refused is not None:
                yield Failed(answer.message)
            elif answer.counted is not None:
                yield Ran(self._instructions(answer.counted, answer.repeats))
            else:
                begun += 1
                continue
            ended += 1
        if begun == 0:
            name, folder = self._machine.core.name, self._machine.qemu.parent
            hint = f"remove {folder} to have it made anew"
            raise EmulationError(f"the emulated {name} did not start: {self._end()}", hint=hint)
        if begun > ended:
            yield Failed(self._end())

    def _answers(self, arguments: Sequence[str]) -> Iterator[_Answer]:
        with (
            self._talk.open("wb") as talk,
            subprocess.Popen(
                [*self._command(), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=talk,
                cwd=self._root.parent,
                env=self._environment(),
            ) as process,
        ):
            assert process.stdout is not None  # noqa: S101 - asked for above
            watch = self._watch(process)
            try:
                for line in process.stdout:
                    watch.cancel()
                    yield codec.loads(_Answer, line, strict=True)
                    watch = self._watch(process)
            finally:
                watch.cancel()
                process.kill()

    def _command(self) -> list[str]:
        """The guest's command line, in Debian's own loader: the host's libraries play no part."""
        machine = self._machine
        libraries = ":".join(str(machine.qemu / folder) for folder in _LIBRARIES)
        return [
            *(str(machine.qemu / _LOADER), "--inhibit-cache", "--library-path", libraries),
            str(machine.qemu / _QEMU[machine.core.arch]),
            *("-cpu", machine.core.qemu, "-L", str(self._root)),
            *("-plugin", str(machine.counter), "-d", "plugin", "-D", str(self._marks)),
            *(str(self._root / _PYTHON), "-S", "-s", str(machine.guest)),
        ]

    def _environment(self) -> dict[str, str]:
        """All that the guest sees of variables: none of the user's."""
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": "/",
            "LC_ALL": "C.UTF-8",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": f"{self._machine.site}:{self._root / _DEBIAN_SITE}",
        }

    def _watch(self, process: subprocess.Popen[bytes]) -> threading.Timer:
        def end() -> None:
            self._late = True
            process.kill()

        timer = threading.Timer(self._timeout_s, end)
        timer.daemon = True
        timer.start()
        return timer

    def _instructions(self, model: int, repeats: int) -> int:
        """Difference of the two regions of a model, for one inference.

        Both hold what the marks themselves take, and one region as many inferences more as the
        other one has.
        """
        with self._marks.open() as marks:
            marks.seek(self._read)
            while line := marks.readline():
                _, mark, count = line.split()
                self._counts[int(mark)] = int(count)
            self._read = marks.tell()
        first = _MARKS * model
        try:
            start, middle, end = (self._counts[first + k] for k in range(_MARKS))
        except KeyError:
            raise EmulationError("the counter has not said what it counted") from None
        return round(((end - middle) - (middle - start)) / repeats)

    def _end(self) -> str:
        if self._late:
            return f"not done in {self._timeout_s:.0f} s"
        return f"the process ended: {self._said()}"

    def _said(self) -> str:
        """The last line that the guest or the emulator wrote."""
        lines = self._talk.read_text(errors="replace").strip().splitlines()
        return lines[-1][-_WORDS:] if lines else "without a word"
