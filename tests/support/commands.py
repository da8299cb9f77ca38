"""`green-edge` as a user runs it: a process of its own with folders of its own."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ENTRY = (sys.executable, "-c", "from green_edge.cli import entry; entry()")


@dataclass(frozen=True, slots=True)
class Home:
    """A user's folders: keys, state, and where the commands run."""

    folder: Path

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def environ(self) -> dict[str, str]:
        """Environment of a command: this home, and no setting of the machine's user."""
        rest = {k: v for k, v in os.environ.items() if not k.startswith("GREEN_EDGE_")}
        ours = {"GREEN_EDGE_KEYS": str(self.keys), "GREEN_EDGE_STATE": str(self.state)}
        return {**rest, **ours, "HOME": str(self.folder)}

    def run(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `extra` goes into its environment."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return subprocess.run(
            [*_ENTRY, *arguments],
            env={**self.environ(), **extra},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def start(
        self, *arguments: str, talk: Path | None = None, temporary: Path | None = None
    ) -> subprocess.Popen[str]:
        """Start a command in a process group of its own.

        Args:
            arguments: of the command line.
            talk: file for what it says on standard error.
            temporary: folder for its temporary files.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (talk or self.folder / "talk").open("w") as said:
            return subprocess.Popen(
                [*_ENTRY, *arguments],
                env=self.environ() | ({} if temporary is None else {"TMPDIR": str(temporary)}),
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                start_new_session=True,
            )


def children(pid: int) -> list[int]:
    """Process ids of the child processes of a process."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


@dataclass(frozen=True, slots=True)
class Up:
    """A running `green-edge up`."""

    home: Home
    process: subprocess.Popen[str]
    document: dict[str, Any]
    talk: Path

    def agent_toml(self, device_id: str) -> str:
        """Settings that it printed for a device."""
        (found,) = (d for d in self.document["devices"] if d["device_id"] == device_id)
        return str(found["agent_toml"])

    def said(self) -> str:
        """Everything that it has told the person at the terminal."""
        return self.talk.read_text()

    def children(self) -> list[int]:
        """Process ids of its child processes."""
        return children(self.process.pid)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


@contextmanager
def running_up(folder: Path, *arguments: str) -> Iterator[Up]:
    """`green-edge up` on free ports with a home below `folder`; ended with the block."""
    home = Home(folder)
    home.folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix="talk-", dir=home.folder)
    os.close(handle)
    ports = ("--port", "0", "--broker-port", "0")
    process = home.start("up", "--json", *ports, *arguments, talk=Path(name))
    with process:
        assert process.stdout is not None
        text = ""
        for line in process.stdout:
            text += line
            if line == "}\n":
                break
        assert text, f"up did not start: {Path(name).read_text()}"
        try:
            yield Up(home, process, json.loads(text), Path(name))
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=30)
