"""The service: parts joined together, and the one loop that drives them.

Threads: the transport's network thread and the install worker only put work into the inbox; the
inference thread and the meter's thread touch nothing but the windows and their own; everything else
happens in the loop of `run`.
"""

import logging
import queue
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from green_edge_agent.clockwatch import ClockWatch
from green_edge_agent.energy.recorder import EnergyRecorder
from green_edge_agent.identity import Equipment, Identity, describe
from green_edge_agent.inference import InferenceLoop, LoadedModel
from green_edge_agent.inputs.requests import MqttRequests
from green_edge_agent.install.bench import Bench
from green_edge_agent.install.orders import Order, Orders
from green_edge_agent.install.slots import Slots
from green_edge_agent.install.start import load_installed
from green_edge_agent.install.state import slot_infos, without_quarantined
from green_edge_agent.install.updates import Facts, Updates
from green_edge_agent.journal import Journal
from green_edge_agent.measuring import Measuring
from green_edge_agent.runtime import interpreter
from green_edge_agent.runtime.edgetpu.accelerate import EdgeTpu
from green_edge_agent.runtime.edgetpu.guarded import News
from green_edge_agent.spool import Spool
from green_edge_agent.transport.contract import Message, Transport
from green_edge_agent.uplink import Uplink
from green_edge_agent.windows import Windows
from green_edge_wire import __version__, codec
from green_edge_wire.clock import Clock
from green_edge_wire.command import Command
from green_edge_wire.device import Reported
from green_edge_wire.errors import DecodeError, GreenEdgeError, ModelError
from green_edge_wire.telemetry import Ack, EventKind, Sample
from green_edge_wire.topics import Address, Channel, Down, Up
from green_edge_wire.units import s_from_ns

logger = logging.getLogger(__name__)

Action = Callable[[], None]

# The loop looks around at least so often, for retries and repetitions.
_LONGEST_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What an agent is made of; see `compose`."""

    address: Address
    identity: Identity
    clock: Clock
    spool: Spool
    slots: Slots
    bench: Bench
    orders: Orders
    transport: Transport
    windows: Windows
    journal: Journal
    loop: InferenceLoop
    uplink: Uplink
    equipment: Equipment
    edgetpu: EdgeTpu
    measuring: Measuring
    news: "queue.SimpleQueue[News]"
    recorder: EnergyRecorder | None = None
    requests: MqttRequests | None = None


class Agent:
    """One start of the device service.

    Args:
        parts: started and stopped by the agent.
        inbox: actions for the loop, from any thread and from signal handlers.
    """

    def __init__(self, parts: Parts, inbox: "queue.SimpleQueue[Action]") -> None:
        self._parts = parts
        self._inbox = inbox
        self._running = True
        self._watch = ClockWatch(parts.clock)
        self._meter_problem: str | None = None
        self._told_runs_on = ""
        who = parts.identity
        self._updates = Updates(
            parts.slots,
            parts.bench,
            self,
            initial=Reported(who.device_id, who.boot_id, parts.clock.unix_ms(), "idle"),
            clock=parts.clock,
            wake=partial(inbox.put, _nothing),
        )

    # --- life ------------------------------------------------------------------------------------

    def run(self) -> None:
        """Start, work until `request_stop`, stop cleanly."""
        clean = False
        try:
            self.start()
            while self._running:
                self.tick()
                self._wait()
            clean = True
        finally:
            self.stop(clean=clean)

    def request_stop(self) -> None:
        """End `run` soon; safe in any thread and in a signal handler."""
        self._inbox.put(self._end)

    def start(self) -> None:
        """Announce the start, load the model, connect."""
        parts = self._parts
        self.emit("boot", f"agent {__version__} started")
        # A start that is killed before its first period is over has left a window, too, for the
        # host to miss; once the model is loaded, the window bears its name.
        parts.journal.checkpoint()
        for end in parts.spool.unclean_ends:
            parts.journal.emit(
                "unclean-end",
                f"the agent ended uncleanly; up to {end.bound_ms} ms of its records are lost",
                {"boot_id": end.boot_id, "bound_ms": end.bound_ms, "last_seq": end.last_seq},
                tells_end_of=end.boot_id,
            )
        self._say_meters()
        self._load_model()
        parts.journal.checkpoint()
        self._listen()
        parts.transport.start(
            will=self._message(Up.STATUS, self._status(online=False), retain=True),
            on_connect=partial(self._inbox.put, self._connected),
        )
        parts.loop.start(ended=self.request_stop)

    def stop(self, *, clean: bool) -> None:
        """Close the open window, say what is left to say, give everything back."""
        parts = self._parts
        parts.measuring.stop()
        parts.loop.stop()
        parts.edgetpu.close()
        self._updates.stop()
        if clean:
            parts.journal.keep(parts.windows.take())
            self._drain()
            self._hear_accelerator()
            parts.uplink.pump()
        if parts.recorder is not None:
            parts.recorder.stop()
        farewell = self._message(Up.STATUS, self._status(online=False), retain=True)
        parts.transport.stop(farewell=farewell)
        # A full disk must not turn a clean stop into a failure; the next start then says unclean.
        self._guarded(partial(parts.spool.close, clean=clean and parts.journal.settled))

    def tick(self) -> None:
        """Do all that is due now."""
        self._drain()
        step_ms = self._watch.step_ms()
        if step_ms:
            way = "forward" if step_ms > 0 else "back"
            self.emit(
                "clock", f"the clock was set {way} by {abs(step_ms)} ms", {"step_ms": step_ms}
            )
        self._watch_meter()
        updating = self._updates.busy
        self._guarded(self._updates.poll)
        updating = updating or self._updates.busy
        self._guarded(partial(self._parts.measuring.poll, updating=updating))
        self._hear_accelerator()
        self._parts.journal.tick()
        self._guarded(self._parts.uplink.pump)

    # --- what updates need of a device -----------------------------------------------------------

    @property
    def running_sha256(self) -> str:
        """Digest of what the inference loop runs; empty when it has no model."""
        model = self._parts.loop.model
        return "" if model is None else model.artefact.sha256

    def activate(self, model: LoadedModel, install: Callable[[], None]) -> None:
        """Swap to a model between two inferences; see `updates.Device`."""
        parts = self._parts
        before = parts.loop.model

        def swap() -> Sample:
            install()
            sample = parts.windows.take()
            parts.loop.swap(model)
            parts.windows.use(model.artefact)
            return sample

        parts.journal.keep(parts.loop.between(swap))
        if before is not None:
            before.interpreter.close()
        self._publish_info()

    def publish_reported(self, reported: Reported) -> None:
        """Tell the host; offline it hears the newest state at the next connection."""
        self._told_runs_on = self._runs_on()
        reported = replace(reported, runs_on=self._told_runs_on)
        message = self._message(Up.REPORTED, codec.pack_one(reported), retain=True)
        self._parts.transport.publish(message)

    def emit(self, kind: EventKind, message: str, facts: Facts | None = None) -> None:
        """Write an event into the spool."""
        self._parts.journal.emit(kind, message, facts)

    # --- the start -------------------------------------------------------------------------------

    def _say_meters(self) -> None:
        recorder = self._parts.recorder
        if recorder is None:
            self.emit("meter", "no power source works; there will be no energy figures")
        else:
            info = recorder.info
            self.emit("meter", f"{info.name} ({info.kind}): {info.covers}", {"meter": info.name})

    def _load_model(self) -> None:
        parts = self._parts
        try:
            # Asked here, too, for a device without a model is to say what it lacks.
            interpreter.runtime_name()
            self._take_over(parts)
        except ModelError as error:
            self.emit("error", str(error))
        order = parts.orders.standing()
        if isinstance(order, Order):
            self._updates.carry_out(order)
        elif order is not None:
            self._updates.reject(order)

    def _take_over(self, parts: Parts) -> None:
        found = load_installed(parts.slots, parts.bench)
        for slot, reason in found.failures:
            self.emit("error", f"slot {slot} does not run: {reason}", {"slot": slot})
        if found.model is None:
            return
        parts.loop.swap(found.model)
        parts.windows.use(found.model.artefact)
        held = found.model.artefact
        if found.returned:
            facts: Facts = {"artifact_sha256": held.sha256, "model_version": held.model_version}
            self.emit("rollback", f"returned to {held.model} version {held.model_version}", facts)

    def _listen(self) -> None:
        handlers: dict[Down, Callable[[bytes], None]] = {
            Down.DESIRED: self._ordered,
            Down.CMD: self._commanded,
            Down.ACK: self._acknowledged,
        }
        address, transport = self._parts.address, self._parts.transport
        for channel, handler in handlers.items():
            transport.subscribe(address.topic(channel), partial(self._enqueue, handler))
        requests = self._parts.requests
        if requests is not None:
            topic = address.topic(Down.INFER)
            transport.subscribe(topic, lambda message: requests.received(message.payload))

    # --- messages --------------------------------------------------------------------------------

    def _enqueue(self, handler: Callable[[bytes], None], message: Message) -> None:
        self._inbox.put(partial(handler, message.payload))

    def _connected(self) -> None:
        transport = self._parts.transport
        transport.publish(self._message(Up.STATUS, self._status(online=True), retain=True))
        self._publish_info()
        self.publish_reported(self._updates.reported)
        self._parts.uplink.reconnected()

    def _ordered(self, payload: bytes) -> None:
        if not payload:
            # The broker's operator has cleared the retained order; what runs goes on running.
            return
        order = self._parts.orders.desired(payload)
        if isinstance(order, Order):
            self._updates.carry_out(order)
        else:
            self._updates.reject(order)

    def _commanded(self, payload: bytes) -> None:
        command = self._parts.orders.command(payload, self._parts.clock.unix_ms())
        if isinstance(command, Command):
            self._obey(command)
        elif command is not None:
            self.emit("refused", f"command: {command.reason}", {"counter": command.counter})

    def _obey(self, command: Command) -> None:
        if command.verb == "bench":
            # Answers itself, when it has figures.
            self._parts.measuring.begin(command, updating=self._updates.busy)
            return
        if command.verb == "release":
            digest = command.argument
            self._parts.slots.change(lambda state: without_quarantined(state, digest))
            self._updates.retry()
        self.emit("command", f"{command.verb} {command.argument}".strip(), {"id": command.id})
        self._publish_info()
        self.publish_reported(self._updates.reported)

    def _acknowledged(self, payload: bytes) -> None:
        try:
            acks = codec.unpack(Ack, payload)
        except DecodeError as error:
            logger.warning("not an acknowledgement: %s", error)
            return
        for ack in acks:
            if not self._parts.uplink.acknowledged(ack):
                self.emit(
                    "error",
                    "another agent uses this device id",
                    {"boot_id": ack.boot_id},
                )
        self._parts.journal.freed()

    # --- small things ----------------------------------------------------------------------------

    def _publish_info(self) -> None:
        parts = self._parts
        model = parts.loop.model
        accelerator = parts.edgetpu.info(None if model is None else model.interpreter)
        info = describe(parts.identity, parts.equipment, slot_infos(parts.slots.state), accelerator)
        parts.transport.publish(self._message(Up.INFO, codec.pack_one(info), retain=True))

    def _message(self, channel: Channel, payload: bytes, *, retain: bool) -> Message:
        return Message(self._parts.address.topic(channel), payload, retain=retain)

    def _status(self, *, online: bool) -> bytes:
        at_unix_ms = self._parts.clock.unix_ms()
        return self._parts.identity.status(online=online, at_unix_ms=at_unix_ms)

    def _watch_meter(self) -> None:
        recorder = self._parts.recorder
        if recorder is None or recorder.problem == self._meter_problem:
            return
        if (recorder.problem is None) != (self._meter_problem is None):
            self.emit("meter", recorder.problem or "works again", {"meter": recorder.info.name})
        self._meter_problem = recorder.problem

    def _hear_accelerator(self) -> None:
        news = self._parts.news
        if news.empty() and self._runs_on() == self._told_runs_on:
            return
        while not news.empty():
            said = news.get()
            self.emit("accelerator", said.message, {"processor": said.processor})
        self._publish_info()
        self.publish_reported(self._updates.reported)

    def _runs_on(self) -> str:
        model = self._parts.loop.model
        return "" if model is None else model.interpreter.processor

    def _drain(self) -> None:
        while not self._inbox.empty():
            self._guarded(self._inbox.get())

    def _wait(self) -> None:
        left_s = s_from_ns(max(self._parts.journal.due_in_ns(), 0))
        try:
            action = self._inbox.get(timeout=min(left_s, _LONGEST_WAIT_S))
        except queue.Empty:
            return
        self._guarded(action)

    def _guarded(self, action: Action) -> None:
        """Run an action; what it complains about is logged and the service goes on."""
        try:
            action()
        except GreenEdgeError as error:
            logger.warning("%s", error)

    def _end(self) -> None:
        self._running = False


def _nothing() -> None:
    """Wake the loop."""
