"""A model for the Edge TPU with the same model on the CPU behind it.

Who waits for the Edge TPU is never the inference loop: the process is started and tested in a
thread of its own, and until it is there the CPU answers, or an error where the Edge TPU is insisted
on. A process that is lost costs the inference it was in, which counts as an error, and is started
again. Lost again within the hour, or not to be started, it is given up for the CPU; where the Edge
TPU is insisted on it is tried for ever, ever more seldom.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from green_edge_agent.runtime.contract import Array, Processor, Runner, Timed
from green_edge_agent.runtime.edgetpu.process import AcceleratorLostError
from green_edge_wire.clock import Clock
from green_edge_wire.errors import DeviceError
from green_edge_wire.manifest import TensorSpec
from green_edge_wire.units import NS_PER_S

# A fault that comes back sooner is not a cable that somebody touched.
_SOON_NS = 3600 * NS_PER_S
_RETRY_MIN_S = 5.0
_RETRY_MAX_S = 300.0


@dataclass(frozen=True, slots=True)
class News:
    """Something that happened to the accelerator, for an event.

    Attributes:
        message: one line for a person.
        processor: what the model runs on now.
    """

    message: str
    processor: Processor


Prepare = Callable[[], str]
"""Loads and tests a model on the Edge TPU; returns who runs it with what, or raises DeviceError."""

Spawn = Callable[[], tuple[Runner, Prepare]]
"""Gives at once a runner on the Edge TPU and what prepares it, or raises DeviceError.

The runner's `close` ends it in the middle of that, too."""


class Guarded:
    """A `Runner` that goes on when the Edge TPU does not.

    Args:
        name: of the model, for a person.
        cpu: the same model; closed with this.
        spawn: begins to have the model on the Edge TPU.
        insists: never run on the CPU: an inference without the Edge TPU is an error.
        tell: hears what happens, in whatever thread it happens.
        closed: told once when this is closed.
    """

    def __init__(
        self,
        name: str,
        cpu: Runner,
        spawn: Spawn,
        *,
        insists: bool,
        tell: Callable[[News], None],
        closed: Callable[["Guarded"], None],
    ) -> None:
        self._name = name
        self._cpu = cpu
        self._spawn = spawn
        self._insists = insists
        self._tell = tell
        self._told_closed = closed
        # Held during an inference there; `_lock` for a moment only, to change what follows it.
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._runner: Runner | None = None
        self._ready = self._given_up = self._closed = False
        self._stop = threading.Event()
        self._helper: threading.Thread | None = None
        self._refusal = "it is being started"
        self._said = ""
        self._lost_at_ns: int | None = None
        self._wait_s = 0.0

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """As the file declares them, in the model's order."""
        return self._cpu.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Likewise."""
        return self._cpu.outputs

    @property
    def processor(self) -> Processor:
        """What the next inference runs on; `none` where it would be an error."""
        if self._ready:
            return "edgetpu"
        return "none" if self._insists else "cpu"

    @property
    def refusal(self) -> str | None:
        """Why this model does not run on the Edge TPU; None while it does."""
        return None if self._ready else self._refusal

    def timed(self, inputs: Sequence[Array], clock: Clock) -> Timed:
        """Run the model once; see `contract.Runner`."""
        with self._turn:
            runner = self._runner
            if runner is not None and self._ready:
                try:
                    return runner.timed(inputs, clock)
                except AcceleratorLostError as error:
                    self._lost(runner, error, clock.monotonic_ns())
                    raise
        if self._insists:
            raise DeviceError(f"the Edge TPU does not run {self._name}: {self._refusal}")
        return self._cpu.timed(inputs, clock)

    def acquire(self) -> None:
        """Have the model on the Edge TPU, or fail; other threads may run inferences meanwhile.

        Raises:
            DeviceError: it does not work there, or was taken away before it did.
        """
        with ExitStack() as undo:
            runner, prepare = self._spawn()
            undo.callback(runner.close)
            with self._lock:
                if not self._stop.is_set():
                    self._runner = runner
            if self._runner is not runner:
                raise AcceleratorLostError("the Edge TPU is needed elsewhere")
            said = prepare()
            with self._lock:
                self._ready = self._runner is runner
            if not self._ready:
                raise AcceleratorLostError("the Edge TPU was taken away while the model was tested")
            undo.pop_all()
        self._say(said, "edgetpu")

    def begin(self) -> None:
        """`acquire` in a thread of its own; what it comes to is told."""
        self._recover(None)

    def give_up(self, reason: str) -> None:
        """Leave the model to the CPU for good."""
        self._given_up = True
        self._refuse(f"the CPU runs {self._name}, not the Edge TPU: {reason}")

    def lend(self) -> None:
        """Give the device away after the inference at hand, until `take_back`."""
        with self._turn:
            runner = self._release("another model is tested on it")
        if runner is not None:
            runner.close()
        if self._helper is not None:
            self._helper.join()

    def take_back(self) -> None:
        """Have the device again, as soon as the process is started."""
        with self._lock:
            if self._closed or self._given_up:
                return
            self._stop = threading.Event()
        self._recover(None)

    def close(self) -> None:
        """End the process, in the middle of its start or of an inference, too."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        runner = self._release("the model is closed")
        if runner is not None:
            runner.close()
        self._cpu.close()
        self._told_closed(self)

    def _release(self, refusal: str) -> Runner | None:
        """Have the device no more; returns what is to be closed."""
        with self._lock:
            self._stop.set()
            runner, self._runner, self._ready = self._runner, None, False
            if not self._given_up:
                self._refusal = refusal
        return runner

    def _lost(self, runner: Runner, error: AcceleratorLostError, now_ns: int) -> None:
        with self._lock:
            if self._runner is not runner:
                return  # by `close` or `lend`
            self._runner, self._ready = None, False
        before_ns, self._lost_at_ns = self._lost_at_ns, now_ns
        again = before_ns is not None and now_ns - before_ns < _SOON_NS
        if again and not self._insists:
            self._stop.set()
            self.give_up(f"it failed again: {error}")
        else:
            self._wait_s = self._longer() if again else 0.0
            self._refuse(f"the Edge TPU failed, it is started again: {error}")
        self._recover(runner)

    def _recover(self, lost: Runner | None) -> None:
        self._helper = threading.Thread(
            target=self._try, args=(lost, self._stop), name="edge-tpu", daemon=True
        )
        self._helper.start()

    def _try(self, lost: Runner | None, stop: threading.Event) -> None:
        if lost is not None:
            # It may sit in the kernel's driver for a while.
            lost.close()
        while not stop.wait(self._wait_s):
            try:
                return self.acquire()
            except DeviceError as error:
                if stop.is_set():
                    return None
                if not self._insists:
                    return self.give_up(str(error))
                self._refuse(f"the Edge TPU does not run {self._name}: {error}")
                self._wait_s = self._longer()
        return None

    def _longer(self) -> float:
        return min(max(2 * self._wait_s, _RETRY_MIN_S), _RETRY_MAX_S)

    def _refuse(self, reason: str) -> None:
        self._refusal = reason
        self._say(reason, self.processor)

    def _say(self, message: str, processor: Processor) -> None:
        if message != self._said:
            self._said = message
            self._tell(News(message, processor))
