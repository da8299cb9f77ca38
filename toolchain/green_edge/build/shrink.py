"""Takes a recipe's steps with a Keras model, each from the cache where it was done before."""

import hashlib
import importlib.util
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import numpy as np

from green_edge.build.compressor import Passes
from green_edge.build.learning import Lessons, lessons
from green_edge.build.options import BuildOptions
from green_edge.build.step_cache import StepCache, key_of
from green_edge.build.subject import Subject
from green_edge.build.subjects import Job
from green_edge.compress import sample_files
from green_edge.compress.protocol import MODEL_FILE, StepReply, TakeStep
from green_edge.convert.formats import Source
from green_edge.core import step_tables
from green_edge.core.steps import External, Step, expanded
from green_edge_wire.clock import Clock
from green_edge_wire.errors import ModelError
from green_edge_wire.units import ns_from_s, s_from_ns

_PACKAGES = ("tensorflow", "keras", "numpy")
# Code and tables that a step's result depends on.
_ROOMS = ("green_edge.compress", "green_edge.convert", "green_edge.targets")
_PAUSE_S = 5.0
_WAITING = "another build is at it: waiting"


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A step that was taken.

    Attributes:
        state: folder with the model that came of it.
        kept: it had been done before.
    """

    step: Step
    reply: StepReply
    state: Path
    kept: bool
    wall_s: float

    def source(self) -> Source:
        """The model that came of it; its digest is that of the weights' history, not of a file."""
        return Source(self.state / MODEL_FILE, "keras", self.state.name)


class Shrinker:
    """Takes steps with the models of one build.

    Args:
        job: of the build.
        passes: do the steps.
        cache: of finished ones.
        folder: existing folder for samples in transit.
        clock: of the durations.
    """

    def __init__(
        self, job: Job, passes: Passes, cache: StepCache, folder: Path, clock: Clock
    ) -> None:
        self._job = job
        self._passes = passes
        self._cache = cache
        self._folder = folder
        self._clock = clock
        self._classes: dict[str, _Class] = {}

    def note(self, subject: Subject) -> str:
        """Which samples a model is shrunk with."""
        return self._class_of(subject).note

    def key(self, subject: Subject) -> str:
        """Digest of a model, its samples and all else that steps with it depend on."""
        return self._class_of(subject).key

    def learned(self, subject: Subject) -> tuple[int, bool]:
        """How many samples a model learns from, and whether they have labels."""
        pupil = self._class_of(subject)
        return pupil.n, pupil.labelled

    def shrink(self, subject: Subject, steps: Sequence[Step]) -> tuple[Taken, ...]:
        """Take steps with a model, in their order; those in rounds one round at a time.

        Raises:
            ModelError: a step cannot be taken.
            ConfigError: there are no samples to do it with.
            GreenEdgeError: what was done cannot be kept.
        """
        pupil = self._class_of(subject)
        plain = expanded(steps)
        taken: list[Taken] = []
        key = pupil.key
        for i, step in enumerate(plain):
            key = key_of({"after": key, "step": step, "by": _made_by(step)})
            title = f"{subject.title}, step {i + 1} of {len(plain)}: {step.step}"
            state = taken[-1].state if taken else None
            request = TakeStep(
                model=subject.source.path,
                state=state,
                taken=step,
                samples=pupil.folder,
                inputs=pupil.inputs,
                targets=self._job.options.targets,
                # Steps of one kind shall not draw alike.
                seed=self._job.options.seed + i,
                checkpoints=self._cache.checkpoints(key),
                out=self._cache.state(key),
                custom=self._job.options.custom,
            )
            taken.append(self._take(request, key, title))
        self._cache.trim(self._clock)
        return tuple(taken)

    def _take(self, request: TakeStep, key: str, title: str) -> Taken:
        start_ns = self._clock.monotonic_ns()
        self._job.tell.further(title)
        reply = self._cache.found(key)
        kept = reply is not None
        if reply is None:
            with self._cache.doing(key, lambda: self._job.tell.further(f"{title}: {_WAITING}")):
                reply = self._cache.found(key)
                kept = reply is not None
                reply = reply or self._passed(request, title)
        wall_s = round(s_from_ns(self._clock.monotonic_ns() - start_ns), 3)
        return Taken(request.taken, reply, request.out, kept, wall_s)

    def _passed(self, request: TakeStep, title: str) -> StepReply:
        next_ns = self._clock.monotonic_ns()

        def tell(doing: str, share: float | None = None) -> None:
            nonlocal next_ns
            now_ns = self._clock.monotonic_ns()
            if now_ns >= next_ns:
                # The title names the step already.
                done = doing.removeprefix(f"{request.op}: ")
                self._job.tell.further(f"{title}: {done}", share)
                next_ns = now_ns + ns_from_s(_PAUSE_S)

        try:
            return self._passes.take(request, tell)
        except ModelError as error:
            raise ModelError(f"{title}: {error.message}", hint=error.hint) from error

    def _class_of(self, subject: Subject) -> "_Class":
        """A model's samples on disk, written once."""
        if subject.title not in self._classes:
            options = self._job.options
            found = lessons(subject.sets, subject.float_model.names.inputs, options.seed)
            folder = self._folder / f"samples-{len(self._classes)}"
            sample_files.write(folder, found.train, found.held)
            key = _first_key(options, subject.source, found)
            self._classes[subject.title] = _Class(
                folder=folder,
                inputs=found.inputs,
                note=found.note,
                key=key,
                n=found.train.n,
                labelled=found.train.y is not None,
            )
        return self._classes[subject.title]


@dataclass(frozen=True, slots=True)
class _Class:
    """Samples of a model on disk, and the key of the model with them before any step."""

    folder: Path
    inputs: tuple[str, ...]
    note: str
    key: str
    n: int
    labelled: bool


def _first_key(options: BuildOptions, source: Source, found: Lessons) -> str:
    return key_of(
        {
            "model": source.sha256,
            "samples": _digest(found),
            "inputs": found.inputs,
            "targets": options.targets,
            "seed": options.seed,
            "custom": [_module_digest(module) for module in options.custom],
            "versions": {package: metadata.version(package) for package in _installed()},
            "code": [_code_digest(Path(str(resources.files(room)))) for room in _ROOMS],
            "processor": platform.machine(),
        }
    )


def _digest(found: Lessons) -> str:
    total = hashlib.sha256()
    for samples in (found.train, found.held):
        arrays: list[Any] = [*samples.x, *([] if samples.y is None else [samples.y])]
        for array in arrays:
            total.update(f"{array.dtype}{array.shape}".encode())
            total.update(np.ascontiguousarray(array).view(np.uint8).data)
    return total.hexdigest()


def _module_digest(module: str) -> str:
    """Of a `.py` file its content, of a module that of the package that it is in."""
    path = Path(module)
    if path.is_file():
        return _code_digest(path)
    name = module.partition(".")[0]
    for place in (Path(f"{name}.py"), Path(name), _installed_at(name)):
        if place is not None and place.exists():
            return _code_digest(place)
    return module


def _installed_at(name: str) -> Path | None:
    """Where an installed package is, or a module that is no package; nothing of it is run."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None or not spec.has_location:
        return None
    origin = Path(spec.origin)
    return origin.parent if spec.submodule_search_locations else origin


def _installed() -> list[str]:
    return [name for name in _PACKAGES if any(metadata.distributions(name=name))]


def _code_digest(place: Path) -> str:
    """Of a file, or of the code and tables in a folder."""
    if place.is_file():
        return hashlib.sha256(place.read_bytes()).hexdigest()
    total = hashlib.sha256()
    for path in sorted(place.rglob("*")):
        if path.suffix in {".py", ".toml"}:
            total.update(path.relative_to(place).as_posix().encode() + path.read_bytes())
    return total.hexdigest()


def _made_by(step: Step) -> str:
    """Of another package's pass: its version and its code, which decide what it does."""
    if not isinstance(step, External):
        return ""
    entry = step_tables.external().get(step.step)
    if entry is None:
        return ""
    dist = entry.dist
    version = "" if dist is None else f"{dist.name} {dist.version}"
    return f"{version} {_module_digest(entry.module)}"
