"""The Edge TPU's process with a real external delegate in C that can do each thing wrong."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from green_edge_agent.runtime import interpreter
from green_edge_agent.runtime.edgetpu import messages
from green_edge_agent.runtime.edgetpu.messages import Kind, Order
from green_edge_agent.runtime.edgetpu.process import AcceleratorLostError, EdgeTpuProcess, Load
from green_edge_wire import codec
from green_edge_wire.errors import DeviceError, ModelError
from support.brokers import wait_until
from support.edgetpu_device import (
    TestDelegate,
    tiny_edgetpu_dense,
)
from support.edgetpu_evil_child import make_evil
from support.edgetpu_rig import CLOCK, LONG_S, SHORT_S, X, children, on_cpu, wanted


def test_the_delegate_computes_what_the_cpu_does_and_the_child_says_how_long_it_took(
    delegate: TestDelegate,
) -> None:
    with closing(EdgeTpuProcess(wanted(delegate)).start(CLOCK)) as process:
        assert process.loaded.runtime == interpreter.runtime_name()
        assert process.loaded.library.endswith("RuntimeVersion(14)")
        start_ns = CLOCK.monotonic_ns()
        timed = process.timed([X], CLOCK)
        around_ns = CLOCK.monotonic_ns() - start_ns
        np.testing.assert_array_equal(timed.outputs[0], on_cpu())
        assert 0 < timed.latency_ns < around_ns
        timed.outputs[0][:] = 0  # the caller's own
        np.testing.assert_array_equal(process.timed([X], CLOCK).outputs[0], on_cpu())
        with pytest.raises(ModelError, match=r"'x' must be int8 \(1, 4\)"):
            process.timed([X[0]], CLOCK)


def test_the_library_never_enters_this_process(delegate: TestDelegate) -> None:
    with closing(EdgeTpuProcess(wanted(delegate)).start(CLOCK)) as process:
        process.timed([X], CLOCK)
        mapped = Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8")
        assert delegate.library.name in mapped
        assert delegate.library.name not in Path("/proc/self/maps").read_text(encoding="utf-8")


def test_what_a_library_prints_does_not_reach_standard_output(
    delegate: TestDelegate, capfd: pytest.CaptureFixture[str]
) -> None:
    delegate.behave("chatter")
    with closing(EdgeTpuProcess(wanted(delegate)).start(CLOCK)) as process:
        np.testing.assert_array_equal(process.timed([X], CLOCK).outputs[0], on_cpu())
    said = capfd.readouterr()
    assert said.out == ""
    assert "a library that prints" in said.err


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("refuse", "does not load: .*no Edge TPU answers"),
        ("crash-create", "ended by SIGABRT while the delegate and the model were loaded"),
        ("refuse-prepare", "cannot load the model: the package is for another chip"),
        ("crash-prepare", "ended by SIGSEGV while the delegate and the model were loaded"),
    ],
)
def test_a_delegate_that_fails_at_the_start_is_an_error_that_says_how(
    delegate: TestDelegate, word: str, message: str
) -> None:
    delegate.behave(word)
    with pytest.raises(DeviceError, match=message):
        EdgeTpuProcess(wanted(delegate)).start(CLOCK)


def test_a_delegate_that_hangs_while_it_is_made_is_ended(delegate: TestDelegate) -> None:
    delegate.behave("hang-create")
    with pytest.raises(DeviceError, match=r"hung while the delegate .* no answer in 0.5 s"):
        EdgeTpuProcess(wanted(delegate, load_s=SHORT_S)).start(CLOCK)


def test_a_library_that_is_not_there_is_named(delegate: TestDelegate) -> None:
    del delegate
    with pytest.raises(DeviceError, match=r"the delegate does not load: no-such-libedgetpu.so"):
        EdgeTpuProcess(Load(b"", "no-such-libedgetpu.so")).start(CLOCK)


def test_a_model_for_a_newer_runtime_is_refused_before_the_library_sees_it(
    delegate: TestDelegate,
) -> None:
    delegate.behave("crash-prepare", runtime=13)
    with pytest.raises(DeviceError, match=r"runtime 14, which needs libedgetpu 16.0 or newer"):
        EdgeTpuProcess(wanted(delegate)).start(CLOCK)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("crash-invoke", "was ended by SIGSEGV while an inference ran"),
        ("hang-invoke", "hung while an inference ran: no answer in 0.5 s"),
        ("fail-invoke", "the runtime failed: USB transfer error 1"),
    ],
)
def test_an_inference_that_fails_is_an_error_that_says_how(
    delegate: TestDelegate, word: str, message: str
) -> None:
    with closing(EdgeTpuProcess(wanted(delegate, invoke_s=SHORT_S)).start(CLOCK)) as process:
        delegate.behave(word)
        with pytest.raises(AcceleratorLostError, match=message):
            process.timed([X], CLOCK)


def test_a_process_whose_agent_was_killed_ends_by_itself(delegate: TestDelegate) -> None:
    process = EdgeTpuProcess(wanted(delegate, invoke_s=SHORT_S)).start(CLOCK)
    # What a kill does to the agent's end of the conversation.
    process._channel.close()
    process._process.wait(30)
    process.close()


def test_a_hung_process_whose_agent_was_killed_is_ended_by_the_kernel(
    delegate: TestDelegate,
) -> None:
    process = EdgeTpuProcess(wanted(delegate, invoke_s=SHORT_S)).start(CLOCK)
    delegate.behave("hang-invoke")
    with pytest.raises(AcceleratorLostError, match="hung"):
        process.timed([X], CLOCK)
    process._channel.close()
    assert process._process.wait(30) == -signal.SIGIO
    process.close()


def test_closing_ends_an_inference_that_hangs(delegate: TestDelegate) -> None:
    process = EdgeTpuProcess(wanted(delegate)).start(CLOCK)
    delegate.behave("hang-invoke")
    ended = list[str]()

    def run() -> None:
        with pytest.raises(AcceleratorLostError) as caught:
            process.timed([X], CLOCK)
        ended.append(str(caught.value))

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: delegate.hangs)
    process.close()
    thread.join(30)
    assert len(ended) == 1


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A word for `edgetpu_evil_child.py`, which runs in place of the child."""
    return make_evil(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("short", "an answer without a latency"),
        ("empty", "an answer without a latency"),
        ("long", "arrays of another length"),
        ("kind", "message of kind 99"),
        ("loaded", "said LOADED"),
        ("huge", "message of 4294967295 bytes, 1048576 allowed"),
        ("slow-clock", "a latency of 18446744073709551615 ns"),
        ("drip", "no answer in 0.5 s"),
    ],
)
def test_an_answer_that_is_none_ends_the_process(
    delegate: TestDelegate, evil: Path, word: str, message: str
) -> None:
    evil.write_text(word, encoding="utf-8")
    with (
        closing(EdgeTpuProcess(wanted(delegate, invoke_s=SHORT_S)).start(CLOCK)) as process,
        pytest.raises(AcceleratorLostError, match=message),
    ):
        process.timed([X], CLOCK)


@pytest.mark.parametrize("word", ["load-garbage", "load-huge"])
def test_a_description_that_is_none_ends_the_process(
    delegate: TestDelegate, evil: Path, word: str
) -> None:
    evil.write_text(word, encoding="utf-8")
    with pytest.raises(AcceleratorLostError):
        EdgeTpuProcess(wanted(delegate)).start(CLOCK)
    wait_until(lambda: children() == [])


@pytest.mark.parametrize("word", ["hang-create", "hang-invoke"])
def test_a_busy_process_ends_with_its_agent_at_once(delegate: TestDelegate, word: str) -> None:
    delegate.behave(word)
    with talking(delegate, limit_s=LONG_S, invoke=word == "hang-invoke") as (channel, process):
        channel.close()
        assert process.wait(10) == -signal.SIGIO


@pytest.mark.parametrize("word", ["hang-create", "hang-invoke"])
def test_a_busy_process_whose_agent_forgets_it_is_ended_by_the_kernel(
    delegate: TestDelegate, word: str
) -> None:
    delegate.behave(word)
    with talking(delegate, limit_s=0.2, invoke=word == "hang-invoke") as (_, process):
        assert process.wait(10) == -signal.SIGALRM


def test_a_signal_to_the_whole_group_does_not_end_the_process(delegate: TestDelegate) -> None:
    with closing(EdgeTpuProcess(wanted(delegate)).start(CLOCK)) as process:
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(process.pid, number)
        np.testing.assert_array_equal(process.timed([X], CLOCK).outputs[0], on_cpu())


@contextmanager
def talking(
    delegate: TestDelegate, *, limit_s: float, invoke: bool
) -> Iterator[tuple[socket.socket, "subprocess.Popen[bytes]"]]:
    """A child that hangs, and an agent's end of the conversation that has no deadlines."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "green_edge_agent.runtime.edgetpu.child", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        try:
            messages.receive(ours)
            order = Order(str(delegate.library), "usb", 1, limit_s, limit_s)
            head = codec.dumps(order).encode() + b"\0"
            messages.send(ours, Kind.LOAD, head + tiny_edgetpu_dense(seed=1))
            if invoke:
                messages.receive(ours)
                messages.send(ours, Kind.RUN, X.tobytes())
            wait_until(lambda: delegate.hangs)
            yield ours, process
        finally:
            process.kill()
            process.wait(10)
