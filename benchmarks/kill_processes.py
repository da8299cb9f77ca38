"""The real processes that the kill tests end: `green-edge up` with its broker, and an agent."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.kill_audit import AgentKill
from benchmarks.kill_truth import (
    Place,
    PostMortem,
    Record,
    SpoolTail,
    Truth,
    as_record,
    end_mono_ns,
    examine,
)
from green_edge.fleet.access import Credential
from green_edge.fleet.agentconfig import agent_toml
from green_edge_wire.telemetry import Sample

DEVICE = "kill-test"
_GREEN_EDGE = (sys.executable, "-c", "from green_edge.cli import entry; entry()")
_START_AGAIN_AFTER_S = 0.5
_LOOK_EVERY_S = 0.02
_PATIENCE_S = 60.0


def wait_until(true: Callable[[], bool], what: str, tend: Callable[[], None]) -> None:
    """Poll until `true()`, looking after the processes meanwhile.

    Raises:
        TimeoutError: it did not come true.
    """
    give_up_s = time.monotonic() + _PATIENCE_S
    while not true():
        if time.monotonic() > give_up_s:
            raise TimeoutError(f"{what}: not within {_PATIENCE_S:.0f} s")
        tend()
        time.sleep(_LOOK_EVERY_S)


@dataclass(frozen=True, slots=True)
class Load:
    """What the agent does.

    Attributes:
        bundle: that is pushed to it.
        keys: folder with the key that signed the bundle.
        inputs: `.npz` of its inputs.
        rate_hz: inferences a second.
        window_s: reporting window.
        period_s: spool period.
    """

    bundle: Path
    keys: Path
    inputs: Path
    rate_hz: float
    window_s: float
    period_s: float


class HostProcess:
    """`green-edge up` with one state folder, started again after every end."""

    def __init__(self, folder: Path, keys: Path, embedded: str) -> None:
        self._state = folder / "host"
        self._talk = folder / "up.log"
        self._words = folder / "up.json"
        self._embedded = embedded
        rest = {k: v for k, v in os.environ.items() if not k.startswith("GREEN_EDGE_")}
        ours = {"GREEN_EDGE_STATE": str(self._state), "GREEN_EDGE_KEYS": str(keys)}
        self._environ = {**rest, **ours, "HOME": str(folder)}
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at_s = 0.0
        self.starts = 0
        self.failed_starts = 0

    def tend(self) -> None:
        """Start it when it is due, also when it has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None
            self.failed_starts += 1
            self._start_at_s = time.monotonic() + _START_AGAIN_AFTER_S
        if self._process is None and time.monotonic() >= self._start_at_s:
            self._start()

    @property
    def ready(self) -> bool:
        """Whether it has said that all is up."""
        with suppress(OSError, ValueError):
            said = json.loads((self._state / "up.json").read_text())
            json.loads(self._words.read_text())
            return self._process is not None and bool(said["pid"] == self._process.pid)
        return False

    @property
    def broker_pid(self) -> int | None:
        """Process id of its broker while it has one."""
        if self._process is None:
            return None
        children: list[str] = []
        with suppress(OSError):
            for task in Path(f"/proc/{self._process.pid}/task").iterdir():
                children += (task / "children").read_text().split()
        return int(children[0]) if children else None

    def settings(self) -> dict[str, Any]:
        """The device's agent.toml as `up` has printed it."""
        document = json.loads(self._words.read_text())
        return tomllib.loads(document["devices"][0]["agent_toml"])

    def kill(self, down_s: float) -> None:
        """End it with SIGKILL; it is started again after a while."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._start_at_s = time.monotonic() + down_s

    def kill_broker(self) -> bool:
        """End the broker with SIGKILL; False when there was none."""
        pid = self.broker_pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        return pid is not None

    def stop(self) -> int:
        """End it with SIGTERM; its exit code."""
        if self._process is None:
            return 0
        self._process.terminate()
        code = self._process.wait(_PATIENCE_S)
        self._process = None
        return code

    def command(self, *arguments: str) -> str:
        """Output of a command that works with this host.

        Raises:
            RuntimeError: it failed.
        """
        done = subprocess.run(
            [*_GREEN_EDGE, *arguments],
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=2 * _PATIENCE_S,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"green-edge {arguments[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def stored(self) -> dict[Place, Record]:
        """Every record in the store, read from its file."""
        path = f"file:{self._state / 'green-edge.db'}?mode=ro"
        with closing(sqlite3.connect(path, uri=True, timeout=10.0)) as db:
            rows = db.execute(
                "SELECT b.boot_id, r.seq, r.record,"
                " CASE WHEN s.seq IS NULL THEN 'event' ELSE 'telemetry' END"
                " FROM raw r JOIN boot b ON b.id = r.boot"
                " LEFT JOIN sample s ON s.boot = r.boot AND s.seq = r.seq"
            ).fetchall()
        return {(boot_id, seq): as_record(kind, text) for boot_id, seq, text, kind in rows}

    def _start(self) -> None:
        # The port of the first start is kept, because it is in the agent's settings.
        port = () if self.starts else ("--broker-port", "0")
        arguments = ("up", "--json", "--port", "0", *port, "--embedded", self._embedded)
        self._words.parent.mkdir(parents=True, exist_ok=True)
        with self._words.open("wb") as words, self._talk.open("ab") as talk:
            self._process = subprocess.Popen(
                [*_GREEN_EDGE, *arguments, "--device", DEVICE],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=talk,
                start_new_session=True,
            )
        self.starts += 1


class DeviceProcess:
    """`green-edge-agent run` with one state folder, and the truth about its spool."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state = folder / "device"
        self._config = folder / "agent.toml"
        self._process: subprocess.Popen[bytes] | None = None
        self._tail: SpoolTail | None = None
        self._start_at_s = 0.0
        self._examined = 0
        self.truth = Truth()
        self.starts = 0

    def configure(self, settings: dict[str, Any], load: Load) -> None:
        """Write its agent.toml from the one that `up` printed."""
        broker = settings["broker"]
        text = agent_toml(
            site=settings["site"],
            device_id=settings["device_id"],
            broker=broker["url"],
            credential=Credential(broker["username"], broker["password"]),
            keys=settings["trust"]["keys"],
            state_dir=str(self._state),
            input_kind="npz",
            input_path=str(load.inputs),
        )
        text += f"rate_hz = {load.rate_hz}\n\n[telemetry]\nwindow_s = {load.window_s}\n"
        self._config.touch(mode=0o600)
        self._config.write_text(f"{text}spool_period_s = {load.period_s}\n")

    def tend(self) -> None:
        """Start it when it is due.

        Raises:
            RuntimeError: it has ended by itself.
        """
        if self._process is not None and self._process.poll() is not None:
            last = (self._folder / "agent.log").read_text().strip().rpartition("\n")[2]
            raise RuntimeError(f"the agent ended with code {self._process.returncode}: {last}")
        if self._process is None and time.monotonic() >= self._start_at_s:
            self._start()

    @property
    def begun(self) -> bool:
        """Whether the running start is in the spool."""
        return self._tail is not None and self._tail.boots == self.starts

    def kill(self, down_s: float) -> AgentKill:
        """End it with SIGKILL and look at what it left; it is started again after a while."""
        at_mono_ns, found = self._end(signal.SIGKILL)
        boot_id = max(found.boots, key=lambda boot: found.boots[boot].number)
        windows = [*self.truth.records.values(), *found.open_windows.values()]
        ends = [
            end_mono_ns(window)
            for window in windows
            if isinstance(window, Sample) and window.boot_id == boot_id
        ]
        self._start_at_s = time.monotonic() + down_s
        return AgentKill(boot_id, at_mono_ns, max(ends, default=None))

    def stop(self) -> PostMortem:
        """End it with SIGTERM; what it left.

        Raises:
            RuntimeError: it did not end cleanly.
        """
        _, found = self._end(signal.SIGTERM)
        if not all(row.clean for row in found.boots.values()):
            raise RuntimeError("the agent did not note its clean end")
        return found

    def abandon(self) -> None:
        """End it in any way; harmless when it does not run."""
        if self._process is not None:
            self._end(signal.SIGKILL)

    def _start(self) -> None:
        command = [sys.executable, "-m", "green_edge_agent", "run", "--config", str(self._config)]
        with (self._folder / "agent.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._tail = SpoolTail(self._state / "spool.db", self._process.pid, self.truth.records)
        self.starts += 1

    def _end(self, number: signal.Signals) -> tuple[int, PostMortem]:
        if self._process is None or self._tail is None:
            raise RuntimeError("the agent does not run")
        at_mono_ns = time.monotonic_ns()
        self._process.send_signal(number)
        self._process.wait(_PATIENCE_S)
        self._tail.stop()
        self._process = self._tail = None
        found = examine(self._state / "spool.db", self._folder / f"post-mortem-{self._examined}")
        self._examined += 1
        self.truth.learn(found)
        return at_mono_ns, found
