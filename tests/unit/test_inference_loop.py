"""The inference loop: one input after the other, swaps in between, failures counted."""

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from green_edge_agent.inference import InferenceLoop, LoadedModel
from green_edge_agent.inputs.contract import Request
from green_edge_agent.install.state import Artefact
from green_edge_agent.runtime.interpreter import load
from green_edge_agent.windows import Windows
from green_edge_wire.clock import SystemClock
from green_edge_wire.device import InferResult
from green_edge_wire.errors import DeviceError
from green_edge_wire.manifest import Pipeline, TensorSpec
from support.brokers import wait_until
from support.tiny_models import tiny_float_dense


@dataclass
class Queued:
    """A source in the test's hand."""

    waiting: "queue.Queue[Request]" = field(default_factory=queue.Queue)
    over: bool = False
    closed: bool = False

    @property
    def answers(self) -> bool:
        return True

    @property
    def ended(self) -> bool:
        return self.over and self.waiting.empty()

    def take(self, timeout_s: float) -> Request | None:
        try:
            return self.waiting.get(timeout=min(timeout_s, 0.01))
        except queue.Empty:
            return None

    def close(self) -> None:
        self.closed = True


def model(version: int = 1) -> LoadedModel:
    net = load(tiny_float_dense())
    return LoadedModel(Artefact("d" * 64, "m", version), net, Pipeline(), ())


def request(answers: list[InferResult], values: object = None) -> Request:
    def raws(specs: Sequence[TensorSpec]) -> Sequence[NDArray[Any]]:
        if values == "broken":
            raise RuntimeError("a driver's surprise")
        if values is None:
            return [np.zeros(spec.shape, dtype=np.float32) for spec in specs]
        return [np.asarray(values)]

    return Request("q", raws, reply=answers.append)


@pytest.fixture
def windows() -> Windows:
    return Windows("pi", "b1", SystemClock(), energy=None)


def test_inputs_are_served_and_failures_are_counted_and_answered(windows: Windows) -> None:
    source, answers = Queued(), list[InferResult]()
    loop = InferenceLoop(source, windows, SystemClock())
    loop.swap(model())
    over = threading.Event()
    loop.start(ended=over.set)
    for values in (None, [1.0], "broken", None):
        source.waiting.put(request(answers, values))
    source.over = True
    wait_until(over.is_set)
    assert [answer.error is None for answer in answers] == [True, False, False, True]
    assert answers[0].latency_us > 0
    assert "unexpected" in (answers[2].error or "")
    sample = windows.peek()
    assert (sample.latency.count, sample.errors) == (2, 2)
    loop.stop()
    assert source.closed


def test_a_swap_happens_between_two_inferences_and_hands_its_errors_back(
    windows: Windows,
) -> None:
    source, answers = Queued(), list[InferResult]()
    loop = InferenceLoop(source, windows, SystemClock())
    loop.swap(model(1))
    loop.start(ended=lambda: None)
    names: list[str] = []

    def swap() -> int:
        names.append(threading.current_thread().name)
        loop.swap(model(2))
        return 7

    assert loop.between(swap) == 7
    assert names == ["inference"]

    def refuse() -> None:
        raise DeviceError("no")

    with pytest.raises(DeviceError, match="no"):
        loop.between(refuse)
    source.waiting.put(request(answers))
    wait_until(lambda: bool(answers))
    assert answers[0].model_version == 2
    loop.stop()
    assert loop.between(lambda: threading.current_thread().name) == "MainThread"


def test_a_device_without_inputs_idles(windows: Windows) -> None:
    loop = InferenceLoop(None, windows, SystemClock())
    loop.start(ended=lambda: None)
    loop.swap(model())
    assert loop.model is not None
    loop.stop()
    assert windows.peek().latency.count == 0


def test_answers_that_nobody_reads_end_the_stream_but_not_the_thread(
    windows: Windows, caplog: pytest.LogCaptureFixture
) -> None:
    source, told, tried = Queued(), list[bool](), list[str]()

    def broken(result: InferResult) -> None:
        tried.append(result.id)
        raise BrokenPipeError(32, "Broken pipe")

    loop = InferenceLoop(source, windows, SystemClock())
    over = threading.Event()

    def ended() -> None:
        told.append(True)
        over.set()

    for _ in range(2):
        source.waiting.put(replace(request([]), reply=broken))
    loop.start(ended=ended)
    wait_until(over.is_set)
    # Still there for a swap, deaf to the second request.
    assert loop.between(lambda: threading.current_thread().name) == "inference"
    assert (tried, told, source.waiting.qsize()) == (["q"], [True], 1)
    assert "answers cannot be written" in caplog.text
    loop.stop()
