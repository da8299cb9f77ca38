"""A headless Chromium for tests, driven through chromedriver's W3C protocol with urllib alone.

with running_browser(tmp_path) as browser:
    browser.open("http://127.0.0.1:8000/")
    assert browser.run("return document.title") == "Fleet"
"""

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_START_S = 30.0
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--mute-audio",
    "--force-color-profile=srgb",
)


class Browser:
    """One session of Chromium with one window."""

    def __init__(self, driver_url: str, profile: Path) -> None:
        self._driver = driver_url
        options = {
            "binary": shutil.which("chromium"),
            "args": [*_FLAGS, f"--user-data-dir={profile}"],
        }
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        reply = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{reply['sessionId']}"

    def open(self, url: str) -> None:
        """Go to a page and wait until it has loaded."""
        self._call("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: object) -> Any:
        """Run the body of a function in the page; gives what it returns, waited for."""
        return self._call(
            "POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)}
        )

    def text(self, selector: str) -> str:
        """Visible text of the first element that matches; empty when there is none."""
        return str(
            self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)
        )

    def count(self, selector: str) -> int:
        """How many elements match."""
        return int(self.run("return document.querySelectorAll(arguments[0]).length", selector))

    def wait_for(self, true: Callable[[], bool], what: str, *, within_s: float = 15.0) -> None:
        """Poll the page until `true()`; fail with `what` and the page's text."""
        give_up_s = time.monotonic() + within_s
        while not true():
            if time.monotonic() > give_up_s:
                pytest.fail(f"not within {within_s} s: {what}; page: {self.text('body')[:2000]}")
            time.sleep(0.1)

    def look(self, *, width: int, height: int, dark: bool = False) -> None:
        """Set the viewport's size and the colour scheme that the reader prefers."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.devtools("Emulation.setEmulatedMedia", {"features": scheme})
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def press_tab(self) -> None:
        """Press the tabulator key."""
        keys = [{"type": "keyDown", "value": "\ue004"}, {"type": "keyUp", "value": "\ue004"}]
        actions = [{"type": "key", "id": "keyboard", "actions": keys}]
        self._call("POST", f"{self._session}/actions", {"actions": actions})

    def screenshot(self, path: Path) -> None:
        """Write a PNG of the viewport."""
        data = self._call("GET", f"{self._session}/screenshot")
        path.write_bytes(base64.b64decode(data))

    def devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        """Send one command of the DevTools protocol."""
        body = {"cmd": command, "params": parameters}
        return self._call("POST", f"{self._session}/goog/cdp/execute", body)

    def complaints(self) -> list[str]:
        """Warnings and errors of the console since this was last asked."""
        entries = self._call("POST", f"{self._session}/se/log", {"type": "browser"})
        return [e["message"] for e in entries if e["level"] in ("WARNING", "SEVERE")]

    def requests(self) -> list[str]:
        """URLs that pages asked for since this was last asked."""
        entries = self._call("POST", f"{self._session}/se/log", {"type": "performance"})
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        urls = [
            str(message["params"]["request"]["url"])
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
        # The browser's own pages and inline images ask nobody.
        return [url for url in urls if url.partition(":")[0] not in ("chrome", "data", "about")]

    def close(self) -> None:
        """End the browser."""
        self._call("DELETE", self._session)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._driver + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            with error:
                told = json.load(error)["value"]
            raise AssertionError(f"{method} {path}: {told['error']}: {told['message']}") from None


@contextmanager
def running_browser(folder: Path) -> Iterator[Browser]:
    """A browser with a fresh profile in `folder`; ended with the block."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install chromium chromium-driver")
    with running_driver(folder) as url:
        browser = Browser(url, folder / "chromium-profile")
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def running_driver(folder: Path) -> Iterator[str]:
    """Chromedriver on a free port; gives its URL."""
    log = folder / "chromedriver.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=output, stderr=subprocess.STDOUT
        ) as driver,
    ):
        try:
            yield f"http://127.0.0.1:{_port_of(driver, log)}"
        finally:
            driver.terminate()


def _port_of(driver: subprocess.Popen[bytes], log: Path) -> int:
    """Port that chromedriver chose, from the line in which it says so."""
    give_up_s = time.monotonic() + _START_S
    while time.monotonic() < give_up_s and driver.poll() is None:
        _, _, rest = log.read_text(errors="replace").partition("started successfully on port ")
        if rest.rstrip(".\n").isdigit():
            return int(rest.rstrip(".\n"))
        time.sleep(0.05)
    pytest.fail(f"chromedriver did not start: {log.read_text(errors='replace')[-500:]}")
