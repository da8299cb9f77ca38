"""The whole chain under the page: a real agent, broker, collector and store, seen in Chromium."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from green_edge.bundle.keys import load_signer
from support.browser import Browser, running_browser
from support.bundles import tiny_bundle
from support.commands import Up, running_up

pytestmark = [pytest.mark.chromium, pytest.mark.broker]

DEVICE = "pi-live"


def write_config(up: Up, folder: Path) -> Path:
    """The settings that `up` prints, with a folder, inputs and a quick telemetry of the test's."""
    data = folder / "x.npz"
    np.savez(data, x=np.random.default_rng(0).uniform(-1, 1, (20, 4)).astype(np.float32))
    text = up.agent_toml(DEVICE)
    text = text.replace('"/var/lib/green-edge"', f'"{folder / "device"}"')
    text = text.replace('kind = "mqtt"', f'kind = "npz"\npath = "{data}"\nrate_hz = 40.0')
    text += '\n[telemetry]\nwindow_s = 0.5\nspool_period_s = 0.2\n[energy]\nprefer = ["modelled"]\n'
    config = folder / "agent.toml"
    config.write_text(text, encoding="utf-8")
    config.chmod(0o600)
    return config


@contextmanager
def running_agent(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "green_edge_agent", "run", "--config", str(config)]
    with (
        (config.parent / "agent.log").open("ab") as log,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def row(browser: Browser, label: str) -> str:
    return browser.text(f'tr[id="device-{DEVICE}"] [data-label^="{label}"]')


def test_the_page_follows_a_running_agent_and_shows_its_sudden_death(tmp_path: Path) -> None:
    with (
        running_up(tmp_path, "--device", DEVICE) as up,
        running_browser(tmp_path) as browser,
    ):
        config = write_config(up, tmp_path)
        browser.look(width=1280, height=900)
        browser.open(up.document["dashboard"])
        browser.wait_for(lambda: "No device has reported yet" in browser.text("main"), "no device")
        with running_agent(config) as agent:
            browser.wait_for(lambda: "on line" in row(browser, "Device"), "on line", within_s=30)
            bundle = tmp_path / "tiny.gedge"
            bundle.write_bytes(tiny_bundle(signer=load_signer(None, up.home.keys)))
            pushed = up.home.run("push", str(bundle), "--device", DEVICE, "--timeout", "30")
            assert pushed.returncode == 0, pushed.stderr + (tmp_path / "agent.log").read_text()
            expect_moving_values(browser)
            agent.send_signal(signal.SIGKILL)
            agent.wait()
            browser.wait_for(lambda: "off line since" in row(browser, "Device"), "off line")
            assert row(browser, "Rate").startswith("\u2013")
        with running_agent(config):
            browser.wait_for(lambda: "on line" in row(browser, "Device"), "back", within_s=30)
            expect_a_page_of_the_device(browser)
        assert browser.complaints() == []
        assert {urlsplit(url).hostname for url in browser.requests()} == {"127.0.0.1"}


def expect_moving_values(browser: Browser) -> None:
    browser.wait_for(lambda: "tiny v1" in row(browser, "Model"), "the pushed model")
    browser.wait_for(lambda: bool(re.match(r"\d", row(browser, "Rate"))), "a rate")
    # The first window with an inference makes the energy of one known.
    energy = re.compile(r"~[\d.]+\s(J|mJ|µJ)\s±\d+\s%")
    browser.wait_for(lambda: energy.match(row(browser, "Energy")) is not None, "an energy")
    assert re.match(r"~[\d.]+\s(W|mW)\nmodelled ±\d+\s% · assumed-board", row(browser, "Power"))
    assert re.search(r"\d", row(browser, "Latency"))
    seen: set[str] = set()

    def moved() -> bool:
        seen.add(row(browser, "Rate") + row(browser, "Latency") + row(browser, "Power"))
        return len(seen) >= 3

    browser.wait_for(moved, "figures that move")


def expect_a_page_of_the_device(browser: Browser) -> None:
    browser.run("document.querySelector('#fleet .name').click()")
    browser.wait_for(lambda: browser.count("#plots canvas") == 3, "three curves")
    browser.wait_for(lambda: "unclean-end" in browser.text("#events"), "word of the unclean end")
    browser.wait_for(lambda: "~" in browser.text("#plot-power figcaption"), "a power to read")
    assert "tiny v1" in browser.text("#slots")
    assert "model:" in browser.text("#meters")
