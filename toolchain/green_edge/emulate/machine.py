"""Runs the guest program on an emulated core and reads what it and the counter say."""

import contextlib
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from green_edge.emulate import board
from green_edge.emulate.board import Core
from green_edge.emulate.cache import writing
from green_edge.emulate.setting import EmulationError
from green_edge_wire import codec

_LOADER = "lib64/ld-linux-x86-64.so.2"
_LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
_QEMU = {"aarch64": "usr/bin/qemu-aarch64", "armv7l": "usr/bin/qemu-arm"}
_PYTHON = "usr/bin/python3.11"
_DEBIAN_SITE = "usr/lib/python3/dist-packages"
_MARKS = 3  # of a model, see `guest`
_ROOT, _EMULATOR, _SITE, _COUNTER = "root", "qemu", "site", "counter.so"
_MODELS, _MARKS_FILE, _TALK = "models", "marks", "talk"
# All that the guest sees of variables: none of the user's.
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/",
    "LC_ALL": "C.UTF-8",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": f"{_SITE}:{_ROOT}/{_DEBIAN_SITE}",
}
TEMPORARY = "make room or name another folder by TMPDIR"
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
class Refused:
    """A model that the runtime does not load, and its words."""

    message: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A model that loads, or may, but was not counted, and why."""

    message: str


@dataclass(frozen=True, slots=True)
class _Answer:
    """A line of the guest, see there."""

    begun: int | None = None
    counted: int | None = None
    repeats: int = 0
    refused: int | None = None
    failed: int | None = None
    message: str = ""


def run(
    machine: Machine, runtime: str, models: Sequence[Path], *, timeout_s: float
) -> Iterator[Ran | Refused | Failed]:
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
        with contextlib.ExitStack() as stack:
            with writing(Path("temporary files"), TEMPORARY):
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="green-edge-"))
                process = _Process(machine, Path(folder), models[done:], timeout_s)
            for result in process.results(runtime):
                done += 1
                yield result


class _Process:
    """One run of the guest, in a folder of its own.

    What qemu and Python are given to read stands there by short relative names: they split lists of
    paths at colons and commas, which a user's folders may have.
    """

    def __init__(
        self, machine: Machine, folder: Path, models: Sequence[Path], timeout_s: float
    ) -> None:
        self._machine = machine
        self._folder = folder
        self._timeout_s = timeout_s
        self._late = False
        self._counts: dict[int, int] = {}
        self._read = 0
        board.lay_out(folder / _ROOT, machine.userland, machine.core)
        for name, target in (
            (_EMULATOR, machine.qemu),
            (_SITE, machine.site),
            (_COUNTER, machine.counter),
        ):
            (folder / name).symlink_to(target)
        (folder / _MODELS).write_text("\n".join(map(str, models)))

    def results(self, runtime: str) -> Iterator[Ran | Refused | Failed]:
        """What came of the models that were begun."""
        begun = ended = 0
        for answer in self._answers([runtime, _MODELS]):
            if answer.refused is not None:
                yield Refused(answer.message)
            elif answer.failed is not None:
                yield Failed(answer.message)
            elif answer.counted is not None:
                yield Ran(self._instructions(answer.counted, answer.repeats))
            else:
                begun += 1
                continue
            ended += 1
        if begun == 0:
            raise self._not_started(self._end())
        if begun > ended:
            yield Failed(self._end())

    def _answers(self, arguments: Sequence[str]) -> Iterator[_Answer]:
        with self._started(arguments) as process:
            assert process.stdout is not None  # noqa: S101 - asked for there
            watch = self._watch(process)
            try:
                for line in process.stdout:
                    watch.cancel()
                    yield codec.loads(_Answer, line, strict=True)
                    watch = self._watch(process)
            finally:
                watch.cancel()
                process.kill()

    def _started(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self._folder / _TALK).open("wb") as talk:
            try:
                return subprocess.Popen(
                    [*self._command(), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=talk,
                    cwd=self._folder,
                    env=_ENVIRONMENT,
                )
            except OSError as error:
                raise self._not_started(str(error)) from None

    def _not_started(self, why: str) -> EmulationError:
        name, cache = self._machine.core.name, self._machine.qemu.parent.parent
        hint = f"remove {cache} to have it made anew"
        return EmulationError(f"the emulated {name} did not start: {why}", hint=hint)

    def _command(self) -> list[str]:
        """The guest's command line, in Debian's own loader: the host's libraries play no part."""
        machine = self._machine
        libraries = ":".join(f"{_EMULATOR}/{folder}" for folder in _LIBRARIES)
        return [
            *(f"{_EMULATOR}/{_LOADER}", "--inhibit-cache", "--library-path", libraries),
            f"{_EMULATOR}/{_QEMU[machine.core.arch]}",
            *("-cpu", machine.core.qemu, "-L", _ROOT),
            *("-plugin", f"./{_COUNTER}", "-d", "plugin", "-D", _MARKS_FILE),
            *(f"{_ROOT}/{_PYTHON}", "-S", "-s", "-P", str(machine.guest)),
        ]

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
        with (self._folder / _MARKS_FILE).open() as marks:
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
        lines = (self._folder / _TALK).read_text(errors="replace").strip().splitlines()
        return lines[-1][-_WORDS:] if lines else "without a word"
