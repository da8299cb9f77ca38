"""`green-edge up` with one real agent beside it."""

import json
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.agents import AgentProcess, cleaned_up
from support.brokers import wait_until
from support.commands import Up, running_up


@contextmanager
def up_with_device(folder: Path) -> Iterator[Up]:
    """Servers, and the device `pi` on line with the credentials that `up` made for it."""
    with running_up(folder / "host", "--device", "pi") as up:
        settings = tomllib.loads(up.agent_toml("pi"))
        broker = settings["broker"]
        host = broker["url"].removeprefix("mqtt://")
        url = f"mqtt://{broker['username']}:{broker['password']}@{host}"
        keys = tuple(settings["trust"]["keys"])
        with cleaned_up(AgentProcess(folder / "pi", url, device_id="pi", keys=keys)) as agent:
            agent.start()
            wait_until(lambda: device(up)["online"], within_s=30)
            yield up


def device(up: Up) -> dict[str, Any]:
    """What `green-edge devices` says of it."""
    listed = json.loads(up.home.run("devices", "--json").stdout)["devices"]
    return next((row for row in listed if row["device_id"] == "pi"), {"online": False})
