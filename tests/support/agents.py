"""Real agent processes, and a collector that does nothing but commit and acknowledge."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from green_edge_agent.transport.contract import Message
from green_edge_agent.transport.mqtt import MqttTransport
from green_edge_agent.transport.url import parse_broker_url
from green_edge_wire import codec, topics
from green_edge_wire.device import DeviceInfo, Reported, Status
from green_edge_wire.telemetry import Ack, Event, Sample
from green_edge_wire.topics import Address, Down, Up

TOML = """\
site = "home"
device_id = "{device_id}"
state_dir = "{state_dir}"
[broker]
url = "{url}"
[trust]
keys = [{keys}]
[runtime]
{runtime}
[input]
{input}
[telemetry]
window_s = {window_s}
spool_period_s = {period_s}
[energy]
prefer = ["modelled"]
"""


@dataclass
class AgentProcess:
    """One device: its folder, its configuration, and its agent while that runs."""

    folder: Path
    url: str
    device_id: str = "pi-test"
    keys: tuple[str, ...] = ()
    input: str = 'kind = "none"'
    runtime: str = ""
    window_s: float = 0.5
    period_s: float = 0.2
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def config(self) -> Path:
        return self.folder / "agent.toml"

    @property
    def children(self) -> list[int]:
        """Processes that the agent started."""
        assert self.process is not None
        return children_of(self.process.pid)

    @property
    def log(self) -> str:
        return (self.folder / "agent.log").read_text(encoding="utf-8")

    def write_config(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        text = TOML.format(
            device_id=self.device_id,
            state_dir=self.state_dir,
            url=self.url,
            keys=", ".join(f'"{key}"' for key in self.keys),
            input=self.input,
            runtime=self.runtime,
            window_s=self.window_s,
            period_s=self.period_s,
        )
        self.config.write_text(text, encoding="utf-8")
        self.config.chmod(0o600)
        return self.config

    def start(self) -> None:
        config = self.write_config()
        command = [sys.executable, "-m", "green_edge_agent", "run", "--config", str(config)]
        with (self.folder / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code, negative for a signal."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(timeout=20)
        self.process = None
        return code


def children_of(pid: int) -> list[int]:
    """Processes that any thread of a process started, and that it has not reaped."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        # A thread may end between the two looks.
        with suppress(FileNotFoundError, ProcessLookupError):
            found.extend(map(int, (task / "children").read_text().split()))
    return found


@contextmanager
def cleaned_up(agent: AgentProcess) -> Iterator[AgentProcess]:
    """The agent's process does not outlive the block."""
    try:
        yield agent
    finally:
        if agent.process is not None:
            agent.end(signal.SIGKILL)


@dataclass
class MiniCollector:
    """Takes records, counts each once, acknowledges what is complete; keeps all in memory.

    Attributes:
        acking: whether acknowledgements are sent.
        received: messages' records including repeats.
    """

    url: str
    address: Address
    acking: bool = True
    records: dict[tuple[str, int], Sample | Event] = field(default_factory=dict)
    given_up: dict[str, int] = field(default_factory=dict)
    received: int = 0
    status: Status | None = None
    info: DeviceInfo | None = None
    reported: list[Reported] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._transport = MqttTransport(parse_broker_url(self.url), "mini-collector")

    @contextmanager
    def running(self) -> Iterator["MiniCollector"]:
        for channel in (Up.TELEMETRY, Up.EVENT, Up.STATUS, Up.INFO, Up.REPORTED):
            self._transport.subscribe(self.address.topic(channel), self._take)
        self._transport.start(will=None, on_connect=lambda: None)
        try:
            yield self
        finally:
            self._transport.stop()

    @property
    def connected(self) -> bool:
        return self._transport.connected

    def publish(self, channel: Down, payload: bytes, *, retain: bool = False) -> bool:
        return self._transport.publish(Message(self.address.topic(channel), payload, retain=retain))

    def samples(self) -> list[Sample]:
        with self._lock:
            return [r for r in self.records.values() if isinstance(r, Sample)]

    def events(self, kind: str) -> list[Event]:
        with self._lock:
            return [r for r in self.records.values() if isinstance(r, Event) and r.kind == kind]

    def states(self) -> list[str]:
        with self._lock:
            return [report.state for report in self.reported]

    def missing(self, boot_id: str) -> list[int]:
        """Sequence numbers of a boot that never came, below its highest."""
        with self._lock:
            have = {seq for boot, seq in self.records if boot == boot_id}
        return [seq for seq in range(1, max(have, default=0) + 1) if seq not in have]

    def watermark(self, boot_id: str) -> int:
        with self._lock:
            seq = self.given_up.get(boot_id, 0)
            while (boot_id, seq + 1) in self.records:
                seq += 1
            return seq

    def _take(self, message: Message) -> None:
        parsed = topics.parse(message.topic)
        assert parsed is not None
        with self._lock:
            match parsed[1]:
                case Up.TELEMETRY:
                    self._commit(codec.unpack(Sample, message.payload))
                case Up.EVENT:
                    self._commit(codec.unpack(Event, message.payload))
                case Up.STATUS:
                    self.status = codec.unpack_one(Status, message.payload)
                case Up.INFO:
                    self.info = codec.unpack_one(DeviceInfo, message.payload)
                case Up.REPORTED:
                    self.reported.append(codec.unpack_one(Reported, message.payload))

    def _commit(self, records: "tuple[Sample | Event, ...]") -> None:
        for record in records:
            self.received += 1
            self.records.setdefault((record.boot_id, record.seq), record)
            lost = record.first_kept_seq - 1
            self.given_up[record.boot_id] = max(self.given_up.get(record.boot_id, 0), lost)
        if self.acking:
            for boot_id in {record.boot_id for record in records}:
                seq = self.watermark(boot_id)
                if seq:
                    self.publish(Down.ACK, codec.pack_one(Ack(boot_id, seq)))
