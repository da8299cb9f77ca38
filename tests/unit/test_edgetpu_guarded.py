"""Near-equality, the guard's patience, and messages that are none."""

import dataclasses
import socket
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from green_edge_agent.runtime.contract import Processor, Timed
from green_edge_agent.runtime.edgetpu import messages
from green_edge_agent.runtime.edgetpu.guarded import Guarded, News, Prepare
from green_edge_agent.runtime.edgetpu.messages import Gone, Kind, Silence
from green_edge_agent.runtime.edgetpu.process import AcceleratorLostError
from green_edge_agent.runtime.golden import other_arithmetic, same_arithmetic
from green_edge_wire.clock import Clock, SystemClock
from green_edge_wire.errors import DecodeError, DeviceError
from green_edge_wire.manifest import Dtype, TensorSpec
from green_edge_wire.units import NS_PER_S
from support.brokers import wait_until
from support.clock import ManualClock

HOUR_NS = 3600 * NS_PER_S
SPECS = (TensorSpec("a", (2, 3), "int16"), TensorSpec("b", (), "bool"))
QUANTIZED = TensorSpec("y", (1, 3), "int8", 0.1, 0)
FLOAT = TensorSpec("y", (1, 3), "float32")


# --- near-equality -------------------------------------------------------------------------------


def int8(*values: int) -> NDArray[np.int8]:
    return np.array(values, np.int8)


def test_rounding_of_another_chip_is_near_and_a_mistake_is_not() -> None:
    recorded = np.arange(-100, 100, 2).astype(np.int8)
    near = recorded.copy()
    near[::3] += 3
    assert same_arithmetic(near, recorded, 1.0, QUANTIZED).fault is not None
    result = other_arithmetic(near, recorded, 1.0, QUANTIZED)
    assert (result.fault, result.worst_steps, result.allowed_steps) == (None, 3, 16)

    outlier = recorded.copy()
    outlier[5] += 17
    assert (
        other_arithmetic(outlier, recorded, 1.0, QUANTIZED).fault == "is 17 steps off, 16 allowed"
    )
    everywhere = (recorded + np.int8(3)).astype(np.int8)
    fault = other_arithmetic(everywhere, recorded, 1.0, QUANTIZED).fault
    assert fault == "is 3 steps off on average (RMS), 2 allowed"


def test_an_output_that_hardly_moves_must_be_met_more_closely() -> None:
    recorded = int8(*([0] * 40), 8)
    stuck = int8(*([0] * 41))
    assert other_arithmetic(stuck, recorded, 1.0, QUANTIZED).fault == "is 8 steps off, 2 allowed"
    assert other_arithmetic(recorded, recorded, 1.0, QUANTIZED).worst_steps == 0


def test_a_float_output_is_judged_in_parts_of_its_range() -> None:
    recorded = np.linspace(0, 1, 200, dtype=np.float32)
    near = recorded.copy()
    near[::4] += np.float32(2 / 256)
    assert other_arithmetic(near, recorded, 1.0, FLOAT).fault is None
    assert other_arithmetic(1 - recorded, recorded, 1.0, FLOAT).fault is not None
    nan = recorded.copy()
    nan[0] = np.nan
    assert other_arithmetic(nan, recorded, 1.0, FLOAT).fault == "is inf steps off, 16 allowed"
    assert other_arithmetic(nan, nan, 1.0, FLOAT).fault is None


@pytest.mark.parametrize("dtype", ["int32", "int64", "bool", "uint8"])
def test_an_output_that_names_something_is_right_or_wrong(dtype: Dtype) -> None:
    spec = TensorSpec("class", (1,), dtype)
    recorded = np.arange(32).astype(dtype)
    one_off, three_off = recorded.copy(), recorded.copy()
    one_off[5] = not one_off[5]
    three_off[5:8] = ~(three_off[5:8] > 0)
    assert same_arithmetic(recorded, recorded, 1.0, spec).fault is None
    fault = same_arithmetic(one_off, recorded, 1.0, spec).fault
    assert fault == "differs in 3.1% of its elements"
    assert other_arithmetic(one_off, recorded, 1.0, spec).fault is None
    assert other_arithmetic(three_off, recorded, 1.0, spec).fault is not None


# --- the guard -----------------------------------------------------------------------------------


@dataclasses.dataclass
class Scripted:
    """A runner that fails when it is told to."""

    processor: Processor = "edgetpu"
    failing: bool = False
    closed: bool = False
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()

    def timed(self, inputs: Sequence[NDArray[Any]], clock: Clock) -> Timed:
        del inputs, clock
        if self.failing:
            raise AcceleratorLostError("it is gone")
        return Timed((), 1, self.processor)

    def close(self) -> None:
        self.closed = True


@dataclasses.dataclass
class Scene:
    """A guard whose processes are scripted."""

    clock: ManualClock = dataclasses.field(default_factory=ManualClock)
    started: list[Scripted] = dataclasses.field(default_factory=list)
    news: list[News] = dataclasses.field(default_factory=list)
    closed: list[Guarded] = dataclasses.field(default_factory=list)
    refuses: bool = False
    may_start: threading.Event = dataclasses.field(default_factory=threading.Event)

    def spawn(self) -> tuple[Scripted, Prepare]:
        self.started.append(Scripted())
        return self.started[-1], self.prepare

    def prepare(self) -> str:
        assert self.may_start.wait(10)
        if self.refuses:
            raise DeviceError("no device")
        return "it runs there"

    def guarded(self, *, insists: bool = False) -> Guarded:
        self.may_start.set()
        guard = Guarded(
            "tiny",
            Scripted("cpu"),
            self.spawn,
            insists=insists,
            tell=self.news.append,
            closed=self.closed.append,
        )
        guard.acquire()
        return guard

    def lose(self, guard: Guarded) -> None:
        self.started[-1].failing = True
        with pytest.raises(DeviceError, match="it is gone"):
            guard.timed((), self.clock)

    def ran_on(self, guard: Guarded) -> Processor:
        return guard.timed((), self.clock).processor


def test_a_process_lost_once_an_hour_is_started_again_each_time() -> None:
    scene = Scene()
    guard = scene.guarded()
    for _ in range(3):
        scene.clock.advance_ns(HOUR_NS)
        scene.lose(guard)
        wait_until(lambda: guard.processor == "edgetpu")
        assert scene.ran_on(guard) == "edgetpu"
    assert [process.closed for process in scene.started] == [True, True, True, False]
    wait_until(lambda: len(scene.news) == 7)
    assert [said.processor for said in scene.news] == ["edgetpu", *3 * ["cpu", "edgetpu"]]
    scene.clock.advance_ns(HOUR_NS - 1)
    scene.lose(guard)
    assert (guard.processor, scene.ran_on(guard)) == ("cpu", "cpu")
    wait_until(lambda: scene.started[-1].closed)
    assert len(scene.started) == 4
    assert scene.news[-1].message.endswith("not the Edge TPU: it failed again: it is gone")
    guard.take_back()
    assert len(scene.started) == 4


def test_no_inference_waits_for_a_start() -> None:
    scene = Scene()
    guard = scene.guarded()
    scene.may_start.clear()
    scene.lose(guard)
    wait_until(lambda: len(scene.started) == 2)
    assert scene.ran_on(guard) == "cpu"
    assert guard.refusal == "the Edge TPU failed, it is started again: it is gone"
    scene.may_start.set()
    wait_until(lambda: guard.processor == "edgetpu")
    assert guard.refusal is None


def test_a_device_that_is_lent_comes_back_or_is_given_up() -> None:
    scene = Scene()
    guard = scene.guarded()
    guard.lend()
    assert scene.started[0].closed
    assert (guard.processor, scene.ran_on(guard)) == ("cpu", "cpu")
    assert guard.refusal == "another model is tested on it"
    guard.take_back()
    wait_until(lambda: guard.processor == "edgetpu")
    guard.lend()
    # That it runs there again as it did before is no news.
    assert len(scene.news) == 1
    scene.refuses = True
    guard.take_back()
    wait_until(lambda: len(scene.news) == 2)
    assert scene.news[1] == News("the CPU runs tiny, not the Edge TPU: no device", "cpu")
    assert all(process.closed for process in scene.started)


def test_a_device_that_is_lent_while_it_is_started_is_free_when_it_is_needed() -> None:
    scene = Scene()
    guard = scene.guarded()
    scene.may_start.clear()
    scene.lose(guard)
    wait_until(lambda: len(scene.started) == 2)
    lending = threading.Thread(target=guard.lend)
    lending.start()
    wait_until(lambda: scene.started[1].closed)
    scene.may_start.set()
    lending.join(10)
    assert (guard.processor, len(scene.started)) == ("cpu", 2)


def test_what_insists_never_runs_on_the_cpu_and_tries_again() -> None:
    scene = Scene()
    guard = scene.guarded(insists=True)
    scene.lose(guard)
    wait_until(lambda: guard.processor == "edgetpu")
    scene.may_start.clear()
    scene.lose(guard)
    assert guard.processor == "none"
    with pytest.raises(DeviceError, match="does not run tiny: the Edge TPU failed"):
        guard.timed((), scene.clock)
    # It is not given up: what closes it ends the wait for the next try.
    guard.close()


def test_what_is_closed_starts_nothing_and_says_so_once() -> None:
    scene = Scene()
    guard = scene.guarded()
    guard.close()
    guard.close()
    assert scene.started[0].closed
    assert scene.closed == [guard]
    guard.take_back()
    assert scene.ran_on(guard) == "cpu"
    assert len(scene.started) == 1


# --- messages ------------------------------------------------------------------------------------


def test_arrays_travel_as_they_are() -> None:
    arrays = (np.arange(6, dtype=np.int16).reshape(2, 3), np.array(True))  # noqa: FBT003
    content = memoryview(b"".join(messages.bytes_of([arrays[0].T.copy().T, arrays[1]])))
    for got, sent in zip(messages.arrays_from(SPECS, content), arrays, strict=True):
        np.testing.assert_array_equal(got, sent)
        assert got.flags.writeable


@given(st.binary(max_size=40))
def test_arrays_of_another_length_are_refused(content: bytes) -> None:
    if len(content) == 13:
        assert len(messages.arrays_from(SPECS, memoryview(content))) == 2
    else:
        with pytest.raises(DecodeError, match="another length"):
            messages.arrays_from(SPECS, memoryview(content))


def test_a_silent_a_gone_and_a_mad_other_side_are_told_apart() -> None:
    clock = SystemClock()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(Silence):
            messages.receive(ours, clock=clock, deadline_ns=clock.monotonic_ns() + NS_PER_S // 20)
        messages.send(theirs, Kind.READY)
        assert messages.receive(ours)[0] == Kind.READY
        theirs.sendall(b"\x63\x00\x00\x00\x00")
        with pytest.raises(DecodeError, match="kind 99"):
            messages.receive(ours)
        theirs.sendall(b"\x05\xff\xff\xff\xff")
        with pytest.raises(DecodeError, match="4294967295 bytes, 100 allowed"):
            messages.receive(ours, max_bytes=100)
        theirs.close()
        with pytest.raises(Gone):
            messages.receive(ours)
        with pytest.raises(Gone):
            messages.send(ours, Kind.RUN, b"x")
