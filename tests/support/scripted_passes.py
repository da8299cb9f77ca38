"""Passes that make 'shrunk models' by a script, in no time."""

import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from green_edge.build.options import Progress
from green_edge.compress.graph.values import Kept
from green_edge.compress.protocol import MODEL_FILE, REPLY_FILE, StepReply, TakeStep
from green_edge.core.report import CostShare, Skip
from green_edge_wire import codec
from green_edge_wire.errors import ModelError
from support.small_builds import Workshop, clear_workshop

SHRUNK = "shrunk"


@dataclass(frozen=True, slots=True)
class Script:
    """What a scripted Keras file stands for.

    Attributes:
        steps: how many it has behind it.
        seed: of the `tiny_float_dense` that it is; another than 0 classifies otherwise.
    """

    steps: int = 0
    seed: int = 0


def write_keras(path: Path, script: Script = Script()) -> Path:
    """A file that is recognized as a Keras model; nothing but `script_of` reads it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("metadata.json", "{}")
        archive.writestr(SHRUNK, codec.dumps(script))
    return path


def keras_workshop(folder: Path) -> Workshop:
    """A workshop with `dense.keras`, of the same classes, and `train.npz` besides."""
    made = clear_workshop(folder)
    write_keras(folder / "dense.keras")
    x = np.random.default_rng(1).uniform(-1, 1, (60, 4)).astype(np.float32)
    np.savez(folder / "train.npz", x=x, y=np.arange(60) % 3)
    return made


def script_of(path: Path) -> Script:
    """What a file of `write_keras` stands for; an untouched model where it is another's."""
    with zipfile.ZipFile(path) as archive:
        if SHRUNK not in archive.namelist():
            return Script()
        return codec.loads(Script, archive.read(SHRUNK), strict=True)


@dataclass
class ScriptedPasses:
    """Counts the steps of a model, and notes what it was asked for.

    Attributes:
        refuses: names of steps that fail.
        spoils: names of steps after which the model classifies otherwise.
        interrupts: names of steps at which the user presses Ctrl-C.
        ties: what weights must keep after any step.
        asked: in the order of asking.
        learned: number of samples, of held ones and of labels by request.
    """

    refuses: tuple[str, ...] = ()
    spoils: tuple[str, ...] = ()
    interrupts: tuple[str, ...] = ()
    ties: tuple[Kept, ...] = ()
    asked: list[TakeStep] = field(default_factory=list)
    learned: list[tuple[int, int, bool]] = field(default_factory=list)

    def __call__(self, folder: Path, timeout_s: float) -> Self:
        """Open."""
        assert folder.is_dir()
        assert timeout_s > 0
        return self

    def __enter__(self) -> Self:
        """Hold nothing."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let nothing go."""

    @property
    def steps(self) -> list[str]:
        """Names of the steps that it was asked for."""
        return [request.op for request in self.asked]

    def take(self, request: TakeStep, tell: Progress) -> StepReply:
        """One step more than the model has behind it."""
        self.asked.append(request)
        tell("half of it", 0.5)
        if request.op in self.refuses:
            raise ModelError(f"{request.op} was not to be", hint="do without")
        if request.op in self.interrupts:
            request.checkpoints.mkdir(parents=True)
            raise KeyboardInterrupt
        train, held = request.samples / "train", request.samples / "held"
        counts = [len(np.load(part / "x0.npy")) for part in (train, held)]
        self.learned.append((counts[0], counts[1], (train / "y.npy").exists()))
        state = Script() if request.state is None else script_of(request.state / MODEL_FILE)
        made = Script(state.steps + 1, 5 if request.op in self.spoils else state.seed)
        left = 0.5**made.steps
        reply = StepReply(
            lines=(f"{request.op}: as the script says",),
            skipped=(Skip("dense", "its channels reach the output"),),
            share=CostShare(left, left, left),
            ties=self.ties,
        )
        request.out.mkdir(parents=True)
        write_keras(request.out / MODEL_FILE, made)
        (request.out / REPLY_FILE).write_text(codec.dumps(reply), encoding="utf-8")
        return reply
