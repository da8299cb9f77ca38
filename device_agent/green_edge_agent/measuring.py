"""Measures a model because a signed command asks for it; nothing is installed.

The file is fetched into a folder of its own, checked, measured in a child process while the
agent's own inference stands still, and removed. A bundle must bear a trusted signature, as for an
installation. A bare .tflite may be measured too: the command, whose signature is checked before it
comes here, covers its digest.

Fetching and measuring are in a worker thread; what the agent does about them is in the service's.
"""

import hashlib
import logging
import queue
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from green_edge_agent.inference import InferenceLoop
from green_edge_agent.install.decide import MARGIN_BYTES
from green_edge_agent.install.fetch import Stopped, Wanted, fetch
from green_edge_agent.journal import Journal
from green_edge_agent.meters.board import read_board
from green_edge_agent.meters.condition import read_condition
from green_edge_agent.runtime import interpreter, trial
from green_edge_agent.windows import Windows
from green_edge_wire import codec
from green_edge_wire.archive import Verify, open_bundle
from green_edge_wire.bench import (
    FLAG_UPDATE,
    MAX_RESULT_CHARS,
    RESULT_FACT,
    BenchOrder,
    BenchResult,
    Trial,
)
from green_edge_wire.command import Command
from green_edge_wire.errors import DecodeError, DeviceError, GreenEdgeError
from green_edge_wire.telemetry import FLAG_BENCH, Sample

logger = logging.getLogger(__name__)

_BUNDLE_HEAD = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class Quiet:
    """The device's own work, which stands still while another model is measured."""

    loop: InferenceLoop
    windows: Windows
    journal: Journal

    def begin(self) -> None:
        """Stop between two inferences; the windows until `end` are flagged."""

        def hold() -> Sample:
            self.loop.hold()
            sample = self.windows.take()
            self.windows.mark(FLAG_BENCH)
            return sample

        self.journal.keep(self.loop.between(hold))

    def end(self) -> None:
        """Go on."""
        sample = self.windows.take()
        self.windows.mark()
        self.loop.go_on()
        self.journal.keep(sample)


@dataclass(frozen=True, slots=True)
class _Ready:
    """The model is here and checked."""

    model: bytes
    trial: Trial


_News = _Ready | BenchResult | GreenEdgeError


class Measuring:
    """Carries out one `bench` command at a time; its methods are for the service's thread.

    Args:
        state_dir: the agent's; the file is kept in a folder there.
        verify: the trusted keys.
        root: see `meters.sysroot`.
        quiet: stops the agent's own work.
    """

    def __init__(self, state_dir: Path, verify: Verify, root: Path, quiet: Quiet) -> None:
        self._folder = state_dir / "bench"
        self._verify = verify
        self._root = root
        self._quiet = quiet
        self._news: queue.SimpleQueue[_News] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._command: Command | None = None
        self._worker: threading.Thread | None = None
        self._held = self._disturbed = False
        # What a start that was killed left behind.
        shutil.rmtree(self._folder, ignore_errors=True)

    def begin(self, command: Command, *, updating: bool) -> None:
        """Start what a command asks, or say why not.

        Args:
            command: genuine, with a `BenchOrder` as its argument.
            updating: whether the device is at an update, which would disturb the figures.
        """
        if self._command is not None or updating:
            doing = "an update is under way" if updating else "it measures already"
            self._refused(command, f"{doing}; try again later")
            return
        try:
            order = codec.loads(BenchOrder, command.argument, strict=False)
        except DecodeError as error:
            self._refused(command, error.message)
            return
        self._command, self._disturbed = command, False
        self._start(partial(self._bring, order))

    def poll(self, *, updating: bool) -> None:
        """Take what the worker has to say; an update meanwhile is told with the figures."""
        self._disturbed |= self._held and updating
        while not self._news.empty():
            news = self._news.get()
            if isinstance(news, _Ready):
                self._quiet.begin()
                self._held = True
                self._start(partial(self._measure, news))
            else:
                self._end(news)

    def stop(self) -> None:
        """End a measurement, and tell whoever waits for it."""
        self._stopping.set()
        if self._worker is not None:
            self._worker.join(timeout=5.0)
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._command is not None:
            self._refused(self._command, "the agent stops; try again later")
            self._command = None

    def _end(self, outcome: BenchResult | GreenEdgeError) -> None:
        command = self._command
        if self._held:
            self._held = False
            self._quiet.end()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._command = self._worker = None
        if command is None:
            return
        if isinstance(outcome, GreenEdgeError):
            self._refused(command, str(outcome))
            return
        if self._disturbed:
            outcome = replace(outcome, flags=(*outcome.flags, FLAG_UPDATE))
        text = codec.dumps(outcome)
        if len(text) > MAX_RESULT_CHARS:
            self._refused(command, "too many operations for one answer; measure without --profile")
            return
        latency = outcome.measured.latency
        self._quiet.journal.emit(
            "command",
            f"bench: median {latency.p50_us:.1f} us of {latency.runs} runs",
            {"id": command.id, RESULT_FACT: text},
        )

    def _refused(self, command: Command, reason: str) -> None:
        self._quiet.journal.emit("command", f"bench: {reason}", {"id": command.id})

    # --- the worker ------------------------------------------------------------------------------

    def _start(self, work: Callable[[], _News]) -> None:
        self._worker = threading.Thread(target=self._work, args=(work,), name="bench", daemon=True)
        self._worker.start()

    def _work(self, work: Callable[[], _News]) -> None:
        news: _News = GreenEdgeError("the measurement ended unexpectedly")
        try:
            news = work()
        except GreenEdgeError as error:
            news = error
        except Stopped:
            return
        finally:
            # Whatever else happens is in the log, and the agent's own work must go on.
            self._news.put(news)

    def _bring(self, order: BenchOrder) -> _Ready:
        """Fetch and check the file.

        Raises:
            GreenEdgeError: there is no room for it, it does not come, or it must not run here.
        """
        interpreter.runtime_name()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            free_bytes = shutil.disk_usage(self._folder).free
        except OSError as error:
            raise DeviceError(f"cannot write {self._folder}: {error.strerror}") from error
        needed_bytes = order.length_bytes + MARGIN_BYTES
        if needed_bytes > free_bytes:
            raise DeviceError(f"disk full: {needed_bytes} bytes needed, {free_bytes} free")
        part = self._folder / order.artifact_sha256
        wanted = Wanted(order.urls, order.artifact_sha256, order.length_bytes)
        # On return, length and digest are those of the order.
        fetch(wanted, part, stopped=self._stopping.is_set)
        try:
            content = part.read_bytes()
        except OSError as error:
            raise DeviceError(f"cannot read {part}: {error.strerror}") from error
        if content.startswith(_BUNDLE_HEAD):
            content = open_bundle(content, self._verify).model()
        return _Ready(content, order.trial)

    def _measure(self, ready: _Ready) -> BenchResult:
        before = read_condition(self._root)
        measured = trial.run(ready.model, ready.trial, stopped=self._stopping.is_set)
        after = read_condition(self._root)
        return BenchResult(
            model_sha256=hashlib.sha256(ready.model).hexdigest(),
            board=read_board(self._root).model,
            processor="cpu",
            measured=measured,
            temperature_c=after.temperature_c,
            flags=tuple(dict.fromkeys((*before.flags, *after.flags))),
        )
