"""The inference loop: one thread that takes inputs, runs the model and counts.

Latency is measured around the runtime's `invoke` alone, in the process that calls it; reading, pre-
and post-processing are outside of it. Other threads change the model only by `between`, which runs
their action in this thread between two inferences, so neither waits longer than one inference for
the other.
"""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from green_edge_agent.inputs.contract import Request, Source
from green_edge_agent.install.state import Artefact
from green_edge_agent.runtime.contract import Runner
from green_edge_agent.runtime.processing import Answer, finish, prepare_all
from green_edge_agent.windows import Windows
from green_edge_wire.clock import Clock
from green_edge_wire.device import InferResult
from green_edge_wire.errors import GreenEdgeError, ModelError
from green_edge_wire.manifest import Pipeline
from green_edge_wire.units import us_from_ns

logger = logging.getLogger(__name__)

T = TypeVar("T")
# How long the loop waits for an input before it looks around.
_WAIT_S = 0.2


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is ready to run, with what belongs to it."""

    artefact: Artefact
    interpreter: Runner
    pipeline: Pipeline
    labels: tuple[str, ...]


class InferenceLoop:
    """Owner of the inference thread.

    Args:
        source: of inputs; None for a device that has none.
        windows: take the figures.
        clock: for latencies.
    """

    def __init__(self, source: Source | None, windows: Windows, clock: Clock) -> None:
        self._source = source
        self._windows = windows
        self._clock = clock
        self._ended: Callable[[], None] = _nothing
        self._model: LoadedModel | None = None
        self._actions: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._failing = False
        self._unheard = False
        self._held = False
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)

    @property
    def model(self) -> LoadedModel | None:
        """What runs."""
        return self._model

    def start(self, *, ended: Callable[[], None]) -> None:
        """Begin to take inputs.

        Args:
            ended: told once, when all requests of a stream were answered or when the answers can
                no longer be written; no more inputs are taken then.
        """
        self._ended = ended
        self._thread.start()

    def stop(self, *, timeout_s: float = 5.0) -> None:
        """End the thread after the inference it is in."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        if self._source is not None:
            self._source.close()

    def between(self, action: Callable[[], T]) -> T:
        """Run an action between two inferences and return what it returns.

        It runs in the inference thread, or here when that thread does not run.
        """
        if not self._thread.is_alive():
            return action()
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(action())
            except GreenEdgeError as error:
                future.set_exception(error)
            finally:
                # Anything else ends this thread; whoever waits must not wait for ever.
                future.cancel()

        self._actions.put(run)
        return future.result()

    def swap(self, model: LoadedModel | None) -> None:
        """Run another model from the next inference on; only within `between`."""
        self._model = model
        self._failing = False

    def hold(self) -> None:
        """Take no inputs until `go_on`; only within `between`, so that no inference is cut."""
        self._held = True

    def go_on(self) -> None:
        """Take inputs again."""
        self._held = False

    def _run(self) -> None:
        told = False
        while not self._stop.is_set():
            self._run_actions()
            request = self._next_request()
            if request is not None:
                self._serve(request)
            elif self._is_over() and not told:
                told = True
                self._ended()
        self._run_actions()

    def _is_over(self) -> bool:
        """Whether a stream of requests has ended; the end of a file leaves the service running."""
        if self._unheard:
            return True
        return self._source is not None and self._source.ended and self._source.answers

    def _run_actions(self) -> None:
        while not self._actions.empty():
            self._actions.get()()

    def _next_request(self) -> Request | None:
        idle = self._model is None and self._source is not None and not self._source.answers
        if self._source is None or self._unheard or idle or self._held:
            self._stop.wait(_WAIT_S)
            return None
        return self._source.take(_WAIT_S)

    def _serve(self, request: Request) -> None:
        try:
            result = self._infer(request)
        except GreenEdgeError as error:
            self._failed(request, str(error))
        # Whatever one input does, the next one gets its turn: this is the agent's loop.
        except Exception as error:
            logger.exception("input=%s", request.id)
            self._failed(request, f"unexpected {type(error).__name__}: {error}")
        else:
            self._failing = False
            self._reply(request, result)

    def _infer(self, request: Request) -> InferResult:
        model = self._model
        if model is None:
            raise ModelError("no model is active yet", hint="push one to this device")
        specs = model.interpreter.inputs
        pipeline = Pipeline() if request.prepared else model.pipeline
        tensors = prepare_all(pipeline, request.raws(specs), specs)
        timed = model.interpreter.timed(tensors, self._clock)
        self._windows.record(timed.latency_ns, timed.processor)
        answer = finish(model.pipeline, timed.outputs, model.interpreter.outputs, model.labels)
        return _result(request.id, model.artefact, timed.latency_ns, answer)

    def _failed(self, request: Request, reason: str) -> None:
        self._windows.fail()
        if not self._failing:
            logger.warning("input=%s failed: %s", request.id, reason)
        self._failing = True
        self._reply(request, InferResult(id=request.id, error=reason))

    def _reply(self, request: Request, result: InferResult) -> None:
        if request.reply is None:
            return
        try:
            request.reply(result)
        except OSError as error:
            # Whoever asked is gone, or the disk behind the output is full: to work on would burn
            # energy for answers that nobody gets.
            logger.error("answers cannot be written, no more inputs are taken: %s", error)  # noqa: TRY400
            self._unheard = True


def _result(request_id: str, artefact: Artefact, latency_ns: int, answer: Answer) -> InferResult:
    return InferResult(
        id=request_id,
        model=artefact.model,
        model_version=artefact.model_version,
        latency_us=us_from_ns(latency_ns),
        outputs=tuple(tuple(float(v) for v in output.reshape(-1)) for output in answer.outputs),
        labels=answer.labels,
        scores=answer.scores,
    )


def _nothing() -> None:
    """Stand in until `start` gives the real callback."""
