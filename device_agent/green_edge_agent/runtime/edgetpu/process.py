"""The agent's side of the process that holds the Edge TPU: start it, ask it, wait within limits."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import green_edge_agent
from green_edge_agent.runtime.contract import Array, Processor, Timed, check_inputs
from green_edge_agent.runtime.edgetpu import messages
from green_edge_agent.runtime.edgetpu.messages import Gone, Kind, Loaded, Order, Silence
from green_edge_wire import codec
from green_edge_wire.clock import Clock
from green_edge_wire.errors import DecodeError, DeviceError
from green_edge_wire.manifest import TensorSpec
from green_edge_wire.units import ns_from_s

_CHILD = "green_edge_agent.runtime.edgetpu.child"
_PACKAGES = Path(green_edge_agent.__file__).parents[1]
# Python, NumPy and the runtime from a slow SD card.
_START_S = 120.0
# A killed process that does not end sits in the kernel's USB or PCIe driver: nothing to wait for.
_LAST_WAIT_S = 2.0
_STDERR = 2


class AcceleratorLostError(DeviceError):
    """The accelerator's process ended, hung or failed; it has to be started anew."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to load, and how long things may take.

    Attributes:
        model: from the Edge TPU compiler; empty to try the delegate alone.
        delegate: file or soname of libedgetpu.
        bus: `usb` or `pci`; empty for whatever there is.
        threads: for the ops that stay on the CPU.
        load_s: for delegate and model, the firmware's way over USB included.
        invoke_s: for an inference.
    """

    model: bytes
    delegate: str
    bus: str = ""
    threads: int = 1
    load_s: float = 30.0
    invoke_s: float = 10.0


class EdgeTpuProcess:
    """A model on the Edge TPU; a `Runner` whose failures all raise AcceleratorLostError.

    Args:
        load: what `start` loads; the process itself begins at once.

    Attributes:
        loaded: what was; nothing before `start`.

    Raises:
        DeviceError: there is no process to be had.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self.loaded = Loaded("", "")
        self._hangs = False
        self._doing = "it started"
        self._channel, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = _started(theirs)
            except OSError as error:
                self._channel.close()
                raise DeviceError(
                    f"cannot start the accelerator's process: {error.strerror}"
                ) from error

    def start(self, clock: Clock) -> Self:
        """Load delegate and model; what fails in that is closed.

        Args:
            clock: for the deadlines.

        Raises:
            AcceleratorLostError: they do not load, with the reason as far as it can be known.
        """
        load = self._load
        with ExitStack() as undo:
            undo.callback(self.close)
            self._expect(Kind.READY, _START_S, clock)
            order = Order(load.delegate, load.bus, load.threads, load.load_s, load.invoke_s)
            head = codec.dumps(order).encode() + b"\0"
            self._doing = "the delegate and the model were loaded"
            parts = [memoryview(head + load.model)]
            content = self._ask(Kind.LOAD, parts, load.load_s, Kind.LOADED, clock)
            try:
                self.loaded = codec.loads(Loaded, bytes(content), strict=True)
            except DecodeError as error:
                raise AcceleratorLostError(error.message) from error
            undo.pop_all()
        return self

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """As the file declares them, in the model's order."""
        return self.loaded.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Likewise."""
        return self.loaded.outputs

    @property
    def processor(self) -> Processor:
        """The Edge TPU."""
        return "edgetpu"

    @property
    def pid(self) -> int:
        """Of the child process."""
        return self._process.pid

    def timed(self, inputs: Sequence[Array], clock: Clock) -> Timed:
        """Run the model once; see `contract.Runner`. The child measures the latency itself.

        Args:
            inputs: see there.
            clock: for the deadline.

        Raises:
            AcceleratorLostError: the child did not answer, or not with outputs.
        """
        check_inputs(self.inputs, inputs)
        self._doing = "an inference ran"
        limit_s = self._load.invoke_s
        content = self._ask(Kind.RUN, messages.bytes_of(inputs), limit_s, Kind.ANSWER, clock)
        try:
            outputs, latency_ns = messages.answer_from(self.outputs, content)
        except DecodeError as error:
            raise AcceleratorLostError(error.message) from error
        if latency_ns > ns_from_s(limit_s):
            raise AcceleratorLostError(f"accelerator process: a latency of {latency_ns} ns")
        return Timed(outputs, latency_ns, "edgetpu")

    def close(self) -> None:
        """End the child; safe in any thread, and more than once.

        An idle one gives the device back and ends by itself, one that is busy is ended by the
        closed channel, and one that outlives that is killed.
        """
        # Wakes a thread that waits for an answer; the descriptor stays until nobody can use it.
        self._shut()
        if self._hangs or not self._ends():
            self._process.kill()
            if not self._ends():
                return
        self._channel.close()

    def _ask(
        self, kind: Kind, parts: Sequence[memoryview], limit_s: float, wanted: Kind, clock: Clock
    ) -> memoryview:
        try:
            self._channel.settimeout(limit_s)
            messages.send(self._channel, kind, *parts)
        except (Gone, OSError):
            raise AcceleratorLostError(self._ended()) from None
        except Silence:
            raise AcceleratorLostError(self._silent(limit_s)) from None
        return self._expect(wanted, limit_s, clock)

    def _expect(self, wanted: Kind, limit_s: float, clock: Clock) -> memoryview:
        # Only what was promised is given memory.
        max_bytes = max(messages.MAX_BYTES, messages.answer_bytes(self.outputs))
        try:
            kind, content = messages.receive(
                self._channel,
                max_bytes=max_bytes,
                clock=clock,
                deadline_ns=clock.monotonic_ns() + ns_from_s(limit_s),
            )
        except Silence:
            raise AcceleratorLostError(self._silent(limit_s)) from None
        except (Gone, OSError):
            raise AcceleratorLostError(self._ended()) from None
        except DecodeError as error:
            raise AcceleratorLostError(error.message) from None
        if kind == Kind.FAILED:
            raise AcceleratorLostError(bytes(content).decode(errors="replace"))
        if kind != wanted:
            raise AcceleratorLostError(f"the accelerator's process said {kind.name}")
        return content

    def _silent(self, limit_s: float) -> str:
        self._hangs = True
        return f"the accelerator's process hung while {self._doing}: no answer in {limit_s:g} s"

    def _ended(self) -> str:
        if not self._ends():
            return f"the accelerator's process fell silent while {self._doing}"
        code = self._process.returncode
        how = f"ended with code {code}" if code >= 0 else f"was ended by {_signal_name(-code)}"
        return f"the accelerator's process {how} while {self._doing}"

    def _ends(self) -> bool:
        try:
            self._process.wait(_LAST_WAIT_S)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _shut(self) -> None:
        try:
            self._channel.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _started(theirs: socket.socket) -> "subprocess.Popen[bytes]":
    path = os.pathsep.join((str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", _CHILD, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        # The agent's standard output holds answers and nothing that a library says.
        stdout=_STDERR,
        env={**os.environ, "PYTHONPATH": path},
        # Ctrl-C at a terminal is for the agent, which ends us itself.
        process_group=0,
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
