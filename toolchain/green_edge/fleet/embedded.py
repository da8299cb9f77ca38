"""The embedded broker: a child process, watched, restarted when it dies, and ended with us."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from green_edge.fleet import guard
from green_edge.fleet.access import Credential
from green_edge.fleet.credentials import CredentialFiles
from green_edge.fleet.engines import Engine, Kind, KindWish, find_engine
from green_edge.fleet.ports import advertised, check_free, url_host
from green_edge_agent.transport.mqtt import check_broker
from green_edge_agent.transport.url import parse_broker_url
from green_edge_wire.errors import TransportError

_LOG = logging.getLogger(__name__)

_READY_WITHIN_S = 20.0
_FREE_PORT_TRIES = 5
# What both brokers print on EADDRINUSE.
_TAKEN = "address already in use"
_ANSWER_WITHIN_S = 2.0
_STOP_WITHIN_S = 5.0
_POLL_S = 0.05
_FIRST_RESTART_AFTER_S = 0.5
_LAST_RESTART_AFTER_S = 10.0


class EmbeddedBroker:
    """A broker of our own with a password for the operator and one for each device.

    Args:
        folder: for its users, configuration and log; kept over restarts.
        host: address to bind.
        port: port to bind; 0 takes a free one at the first start and keeps it.
        kind: which program; `auto` prefers mosquitto.
        say: told in one line of whatever a person should know, from the watching thread.
    """

    def __init__(
        self,
        folder: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        kind: KindWish = "auto",
        *,
        say: Callable[[str], None] = _LOG.warning,
    ) -> None:
        self._files = CredentialFiles(folder)
        self._folder = folder
        self._host = host
        self._port = port
        self._engine: Engine = find_engine(kind)
        self._say = say
        self._log = folder / f"{self._engine.kind}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._stopping = threading.Event()
        self._end_expected = threading.Event()
        self._settled = threading.Event()
        self._failure = ""

    @property
    def kind(self) -> Kind:
        """Which program runs."""
        return self._engine.kind

    @property
    def port(self) -> int:
        """Port in use; 0 before the first start."""
        return self._port

    @property
    def pid(self) -> int | None:
        """Process id of the broker while it runs."""
        return None if self._process is None else self._process.pid

    @property
    def url(self) -> str:
        """URL with the operator's credential, for processes of this machine."""
        return self._url(self._files.operator)

    @property
    def address(self) -> str:
        """URL without credentials, as other machines reach it."""
        return f"mqtt://{url_host(advertised(self._host))}:{self._port}"

    def device_url(self, device_id: str) -> str:
        """URL with the credential of a device, which is made when it is new."""
        return self._url(self.credential(device_id))

    def add_device(self, device_id: str) -> str:
        """Let a device in; returns its password (see `credential`)."""
        return self.credential(device_id).password

    def credential(self, device_id: str) -> Credential:
        """Let a device in; the same device gets the same password again.

        Raises:
            ConfigError: `device_id` cannot be a name.
        """
        credential = self._files.device(device_id)
        process = self._process
        if process is not None and self._engine.reload is not None:
            process.send_signal(self._engine.reload)
        return credential

    def start(self) -> None:
        """Start the broker and wait until it answers.

        Raises:
            TransportError: the port is taken, or the broker ended, with what it said.
        """
        # Between the check and the broker's own bind, any program may take a port that the kernel
        # chose; then the next one is tried. A port that was asked for is never changed.
        asked = self._port
        for _ in range(_FREE_PORT_TRIES if asked == 0 else 1):
            self._port = check_free(
                self._host, asked, what="the MQTT broker", option="--broker-port"
            )
            self._start_once()
            if not self._failure:
                return
            self.stop()
            if _TAKEN not in self._failure.lower():
                break
        self._port = asked
        raise TransportError(f"the embedded broker did not start: {self._failure}")

    def _start_once(self) -> None:
        self._stopping.clear()
        self._end_expected.clear()
        self._settled.clear()
        self._failure = ""
        self._watcher = threading.Thread(target=self._watch, name="broker-watch")
        self._watcher.start()
        self._settled.wait()

    def expect_end(self) -> None:
        """Start it no more when it ends.

        Ctrl-C reaches every process of the terminal, the broker too. It must not come back while
        we still end our other parts.
        """
        self._end_expected.set()

    def stop(self) -> None:
        """End the broker; harmless when it does not run."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # All of the child's life happens in this one thread: the kernel sends the death signal that
    # `guard` asks for when the thread that started the child ends, not only the process.
    def _watch(self) -> None:
        pause_s = _FIRST_RESTART_AFTER_S
        while not self._stopping.is_set():
            self._process = self._spawn()
            ready = self._wait_ready(self._process)
            if not self._settled.is_set():
                self._failure = "" if ready else self._last_words()
                self._settled.set()
                if not ready:
                    break
            pause_s = _FIRST_RESTART_AFTER_S if ready else min(2 * pause_s, _LAST_RESTART_AFTER_S)
            code = self._wait_end(self._process)
            if code is None or self._stopping.wait(pause_s):
                break
            if self._end_expected.is_set():
                self._stopping.wait()
            else:
                self._say(f"the broker ended with code {code}; starting it again")
        if self._process is not None:
            _end(self._process)
        self._process = None

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = self._engine.command(self._folder, self._files, self._host, self._port)
        guarded = [sys.executable, "-E", "-S", guard.__file__, str(os.getpid()), *command]
        with self._log.open("wb") as log:
            return subprocess.Popen(
                guarded, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> bool:
        give_up_s = time.monotonic() + _READY_WITHIN_S
        while time.monotonic() < give_up_s and process.poll() is None:
            # With the password: something else on the port would not know it.
            if _answers(self.url):
                return True
            if self._stopping.wait(_POLL_S):
                return False
        if process.poll() is None:
            _end(process)
        return False

    def _wait_end(self, process: subprocess.Popen[bytes]) -> int | None:
        while not self._stopping.is_set():
            try:
                return process.wait(timeout=_POLL_S)
            except subprocess.TimeoutExpired:
                continue
        return None

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else f"no answer within {_READY_WITHIN_S:.0f} s"

    def _url(self, credential: Credential) -> str:
        host = "127.0.0.1" if self._host in {"0.0.0.0", "::"} else self._host  # noqa: S104
        return f"mqtt://{credential.user}:{credential.password}@{url_host(host)}:{self._port}"


def _answers(url: str) -> bool:
    try:
        check_broker(parse_broker_url(url), timeout_s=_ANSWER_WITHIN_S, client_id="ge-ready")
    except TransportError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=_STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
