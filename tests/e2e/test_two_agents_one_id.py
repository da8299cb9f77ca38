"""Two devices that were given the same id by mistake: the host says so, and no record is lost."""

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from green_edge.bundle.keys import load_signer
from support.agents import AgentProcess, cleaned_up
from support.brokers import wait_until
from support.bundles import tiny_bundle
from support.commands import Up, running_up

pytestmark = pytest.mark.broker

INFERENCES = 400  # of each device, at 50 a second
PROBLEM = "two agents use this id"


class Twin(AgentProcess):
    """A device with the settings that `up` printed for another one."""

    settings: str

    def write_config(self) -> Path:
        config = super().write_config()
        ours = config.read_text(encoding="utf-8")
        (broker,) = re.findall(r"\[broker\][^\[]*", self.settings)
        config.write_text(re.sub(r"\[broker\][^\[]*", lambda _: broker, ours), encoding="utf-8")
        return config

    @property
    def installed(self) -> bool:
        return "event=install tiny version 1 runs" in self.log


@contextmanager
def twins(up: Up, folder: Path) -> Iterator[list[Twin]]:
    with ExitStack() as stack:
        made = []
        for name in ("kitchen", "porch"):
            key = load_signer(None, up.home.keys).public.text
            twin = Twin(folder / name, "mqtt://127.0.0.1:1", "pi", keys=(key,))
            twin.settings = up.agent_toml("pi")
            stack.enter_context(cleaned_up(twin))
            made.append(twin)
        yield made


def rows(up: Up) -> list[dict[str, Any]]:
    found = json.loads(up.home.run("report", "--json").stdout)["rows"]
    return [row for row in found if row["model"] == "tiny"]


def counted(up: Up) -> int:
    return sum(row["inferences"] for row in rows(up))


def problems(up: Up) -> str:
    (row,) = json.loads(up.home.run("devices", "--json").stdout)["devices"]
    return " ".join(row["problems"])


def test_two_agents_of_one_id_are_told_and_every_inference_counts_once(tmp_path: Path) -> None:
    with running_up(tmp_path, "--device", "pi") as up, twins(up, tmp_path) as devices:
        for device in devices:
            device.start()
        wait_until(lambda: "pi" in up.home.run("devices").stdout)
        bundle = tmp_path / "tiny.gedge"
        bundle.write_bytes(tiny_bundle(signer=load_signer(None, up.home.keys)))
        assert up.home.run("push", str(bundle), "--device", "pi").returncode == 0
        wait_until(lambda: all(device.installed for device in devices))
        assert [device.end() for device in devices] == [0, 0]

        data = tmp_path / "x.npz"
        draw = np.random.default_rng(0).uniform(-1, 1, (INFERENCES, 4))
        np.savez(data, x=draw.astype(np.float32))
        for device in devices:
            device.input = f'kind = "npz"\npath = "{data}"\nrate_hz = 50.0\nrepeat = false'
            device.start()
        wait_until(lambda: counted(up) > 0)
        # The broker dies: both come back with a birth of their own.
        (broker,) = up.children()
        os.kill(broker, signal.SIGKILL)
        wait_until(lambda: PROBLEM in problems(up), within_s=30)
        assert f"pi: {PROBLEM}" in up.home.run("devices").stderr
        assert "another agent uses this device id" in "".join(device.log for device in devices)

        wait_until(lambda: counted(up) >= 2 * INFERENCES, within_s=60)
        assert [device.end() for device in devices] == [0, 0]
        assert counted(up) == 2 * INFERENCES
        assert sum(row["errors"] + row["windows_missing"] for row in rows(up)) == 0
