"""Builds an agent from its configuration."""

import queue
import secrets
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from green_edge_agent.agent import Action, Agent, Parts
from green_edge_agent.config import AgentConfig, InputConfig
from green_edge_agent.energy.recorder import EnergyRecorder
from green_edge_agent.identity import Equipment, Identity
from green_edge_agent.inference import InferenceLoop
from green_edge_agent.inputs.contract import Source
from green_edge_agent.inputs.replay import Replay, image_items, npz_items
from green_edge_agent.inputs.requests import LineRequests, MqttRequests
from green_edge_agent.install.bench import Bench
from green_edge_agent.install.orders import Orders
from green_edge_agent.install.slots import Slots
from green_edge_agent.journal import LONGEST_WINDOW_S, Journal
from green_edge_agent.measuring import Measuring, Quiet
from green_edge_agent.meters.choose import Choice, choose
from green_edge_agent.meters.sysroot import sysroot
from green_edge_agent.runtime.edgetpu.accelerate import EdgeTpu
from green_edge_agent.runtime.edgetpu.guarded import News
from green_edge_agent.spool import Spool
from green_edge_agent.statedir import claimed
from green_edge_agent.transport.contract import Message, Transport
from green_edge_agent.transport.mqtt import MqttTransport
from green_edge_agent.uplink import Uplink
from green_edge_agent.windows import Windows
from green_edge_wire import codec
from green_edge_wire.clock import Clock, SystemClock
from green_edge_wire.device import InferResult
from green_edge_wire.topics import Up
from green_edge_wire.units import MS_PER_S, NS_PER_MS, ns_from_s

# The meter's readings are kept for two windows of the greatest length, and for the period by which
# the last one may be late.
_KEPT_WINDOWS = 2


@dataclass(frozen=True, slots=True)
class World:
    """What an agent meets outside of its configuration.

    Attributes:
        transport: instead of MQTT to the configured broker; None for that.
        root: see `meters.sysroot`.
        lines: requests on standard input.
        say: takes the answers to them.
    """

    say: Callable[[InferResult], None]
    transport: Transport | None = None
    clock: Clock = field(default_factory=SystemClock)
    root: Path = field(default_factory=sysroot)


@contextmanager
def composed(config: AgentConfig, world: World) -> Iterator[Agent]:
    """An agent that is ready to `run`, holding its state folder.

    Raises:
        ConfigError: the state folder, the input or a meter's name does not work.
    """
    with ExitStack() as stack:
        stack.enter_context(claimed(config.state_dir))
        identity = Identity(config.device_id, secrets.token_hex(8))
        transport = world.transport or MqttTransport(
            config.broker_url(), f"ge-{config.device_id}-{identity.boot_id[:8]}"
        )
        choice = _choose(config, world)
        if choice.meter is not None:
            stack.callback(choice.meter.close)
        source = _source(config, world, transport)
        slots = Slots(config.state_dir)
        # Last of what can fail: from here on a start has begun.
        spool = Spool(
            config.state_dir / "spool.db",
            identity.boot_id,
            max_bytes=config.telemetry.spool_max_bytes,
            period_ms=round(config.telemetry.spool_period_s * MS_PER_S),
        )
        stack.callback(spool.close, clean=False)
        recorder = _recorder(config, choice, world.clock)
        if recorder is not None:
            # Before the first window opens, so that readings stand on both sides of it.
            recorder.start()
            stack.callback(recorder.stop)
        inbox: queue.SimpleQueue[Action] = queue.SimpleQueue()
        base = _Base(config, identity, world.clock, spool, slots, transport, source)
        yield Agent(_parts(base, recorder, choice, world.root), inbox)


@dataclass(frozen=True, slots=True)
class _Base:
    config: AgentConfig
    identity: Identity
    clock: Clock
    spool: Spool
    slots: Slots
    transport: Transport
    source: Source | None


def _parts(base: _Base, recorder: EnergyRecorder | None, choice: Choice, root: Path) -> Parts:
    config, clock, slots = base.config, base.clock, base.slots
    telemetry = config.telemetry
    keys = config.trusted_keys()
    windows = Windows(
        config.device_id,
        base.identity.boot_id,
        clock,
        energy=recorder,
        idle_uw=None if recorder is None else recorder.idle_uw,
    )
    journal = Journal(
        base.spool,
        windows,
        base.identity,
        clock,
        window_s=telemetry.window_s,
        period_s=telemetry.spool_period_s,
    )
    if base.spool.damaged is not None:
        journal.emit(
            "error",
            f"the spool was damaged: records that the host had not confirmed are lost;"
            f" the file is kept as {base.spool.damaged.name}",
            {"file": base.spool.damaged.name},
        )
    used = () if recorder is None else (recorder.info,)
    news: queue.SimpleQueue[News] = queue.SimpleQueue()
    edgetpu = EdgeTpu(config.runtime, root, clock, news.put)
    loop = InferenceLoop(base.source, windows, clock)
    quiet = Quiet(loop, windows, journal)
    return Parts(
        address=config.address,
        identity=base.identity,
        clock=clock,
        spool=base.spool,
        slots=slots,
        bench=Bench(slots, keys.verify, threads=config.runtime.threads, accelerator=edgetpu),
        edgetpu=edgetpu,
        measuring=Measuring(config.state_dir, keys.verify, root, quiet),
        news=news,
        orders=Orders(slots, keys.verify, config.device_id),
        transport=base.transport,
        windows=windows,
        journal=journal,
        loop=loop,
        uplink=Uplink(base.spool, base.transport, config.address, clock, batch=telemetry.batch),
        equipment=Equipment(root, config.runtime.threads, (*used, *choice.refusals), keys.ids),
        recorder=recorder,
        requests=base.source if isinstance(base.source, MqttRequests) else None,
    )


def _choose(config: AgentConfig, world: World) -> Choice:
    energy = config.energy
    period_ns = None if energy.period_ms is None else energy.period_ms * NS_PER_MS
    return choose(
        energy.prefer, world.root, clock=world.clock, board=energy.board, period_ns=period_ns
    )


def _recorder(config: AgentConfig, choice: Choice, clock: Clock) -> EnergyRecorder | None:
    if choice.meter is None:
        return None
    telemetry = config.telemetry
    longest_s = _KEPT_WINDOWS * max(LONGEST_WINDOW_S, telemetry.window_s)
    keep_ns = ns_from_s(longest_s + telemetry.spool_period_s)
    return EnergyRecorder(choice.meter, clock, keep_ns=keep_ns)


def _source(config: AgentConfig, world: World, transport: Transport) -> Source | None:
    wanted = config.input
    match wanted.kind:
        case "none":
            return None
        case "mqtt":
            return MqttRequests(_publisher(config, transport))
        case "stdin":
            return LineRequests(sys.stdin, world.say)
        case "npz" | "images":
            return _replay(wanted, world.clock)


def _replay(wanted: InputConfig, clock: Clock) -> Replay:
    path = wanted.path or Path()
    is_npz = wanted.kind == "npz"
    return Replay(
        npz_items(path) if is_npz else image_items(path),
        # A .npz holds what the float model takes; an image is raw.
        prepared=is_npz,
        rate_hz=wanted.rate_hz,
        repeat=wanted.repeat,
        clock=clock,
        wait=threading.Event().wait,
    )


def _publisher(config: AgentConfig, transport: Transport) -> Callable[[InferResult], None]:
    topic = config.address.topic(Up.RESULT)

    def publish(result: InferResult) -> None:
        transport.publish(Message(topic, codec.pack_one(result)))

    return publish
