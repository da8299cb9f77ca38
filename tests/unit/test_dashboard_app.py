import asyncio
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from green_edge.dashboard.app import SECURITY_HEADERS, create_app
from green_edge.dashboard.feed import Feed
from green_edge.telemetry import live
from green_edge.telemetry.store import DeviceRow
from green_edge_wire.clock import SystemClock
from support.clock import ManualClock
from support.memory_store import MemoryStore
from support.simulated_fleet import SimulatedDevice
from support.web_server import events_of, get, running_server

EVIL = '"><img src=x onerror=alert(1)>'


class CountingStore(MemoryStore):
    """Counts how often the list of devices is read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def devices(self, now_unix_ms: int | None = None) -> tuple[DeviceRow, ...]:
        self.reads += 1
        return super().devices(now_unix_ms)


@contextmanager
def running(store: MemoryStore, **options: Any) -> Iterator[str]:
    with running_server(create_app(store, clock=SystemClock(), **options)) as url:
        yield url


def fleet_store(*names: str) -> MemoryStore:
    store, now = MemoryStore(), SystemClock().unix_ms()
    for name in names:
        device = SimulatedDevice(name)
        device.come_up(store, now - 60_000)
        for age_ms in range(30_000, 0, -5_000):
            device.report(store, now - age_ms)
    return store


def test_dashboard_and_watch_agree_that_a_birth_three_days_old_is_off_line() -> None:
    store, now = MemoryStore(), SystemClock().unix_ms()
    born = now - 3 * 86_400_000
    SimulatedDevice("pi-asleep").come_up(store, born)
    with running(store) as url:
        (row,) = json.loads(get(f"{url}/api/fleet").body)["rows"]
    (watched,) = live.look(store, now).devices
    assert (row["card"]["online"], row["card"]["since_unix_ms"]) == (False, born)
    assert not watched.online


def test_every_answer_carries_the_security_headers() -> None:
    with running(fleet_store("pi")) as url:
        for path in ("/", "/device/pi", "/api/fleet", "/static/style.css", "/nothing"):
            headers = get(url + path).headers
            for name, value in SECURITY_HEADERS.items():
                assert headers[name] == value, (path, name)


def test_the_pages_load_nothing_from_elsewhere() -> None:
    with running(fleet_store("pi")) as url:
        for path in ("/", "/device/pi", "/static/style.css", "/static/device.js"):
            body = get(url + path).body.decode()
            assert "http://" not in body
            assert "https://" not in body


def test_a_missing_page_is_a_page_for_a_browser_and_json_for_a_program() -> None:
    with running(fleet_store("pi")) as url:
        page = get(f"{url}/device/nobody", accept="text/html")
        assert (page.status, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
        assert b"There is nothing here" in page.body
        told = get(f"{url}/api/device/nobody")
        assert (told.status, json.loads(told.body)) == (
            404,
            {"error": "there is no device of this name"},
        )
        assert get(f"{url}/stream/nobody").status == 404


def test_the_fleet_as_json_holds_every_device_with_its_figures() -> None:
    with running(fleet_store("pi-b", "pi-a")) as url:
        frame = json.loads(get(f"{url}/api/fleet").body)
    assert frame["extent"] == "whole"
    assert [row["card"]["device_id"] for row in frame["rows"]] == ["pi-a", "pi-b"]
    card = frame["rows"][0]["card"]
    assert card["rate_hz"]["value"] == pytest.approx(10, rel=0.01)
    assert card["energy"][0]["kind"] == "modelled"
    assert frame["totals"]["online"] == 2


def test_a_device_as_json_holds_its_curves_since_the_moment_asked_for() -> None:
    now = SystemClock().unix_ms()
    with running(fleet_store("pi")) as url:
        document = json.loads(get(f"{url}/api/device/pi?since={now - 12_000}").body)
        assert len(document["history"]["points"]) == 2
        assert document["device"]["slots"][0]["state"] == "active"
        assert [event["kind"] for event in document["device"]["events"]] == ["boot"]
        whole = json.loads(get(f"{url}/api/device/pi").body)
        assert len(whole["history"]["points"]) == 6


@pytest.mark.parametrize("since", ["yesterday", "-1", "1e9", "9" * 16, "\u0663"])
def test_a_since_that_is_no_moment_is_refused(since: str) -> None:
    with running(fleet_store("pi")) as url:
        reply = get(f"{url}/api/device/pi?since={_quoted(since)}")
    assert reply.status == 400
    assert "since" in json.loads(reply.body)["error"]


def test_a_since_in_the_future_gives_no_points_and_no_error() -> None:
    with running(fleet_store("pi")) as url:
        reply = get(f"{url}/api/device/pi?since=999999999999999")
    assert (reply.status, json.loads(reply.body)["history"].get("points")) == (200, [])


def test_a_stream_begins_with_the_whole_fleet_and_goes_on_with_what_changed() -> None:
    store = fleet_store("pi-a", "pi-b")
    with running(store, period_s=0.2) as url:
        frames: list[str] = []
        reader = threading.Thread(target=lambda: frames.extend(events_of(f"{url}/stream", 8)))
        reader.start()
        SimulatedDevice("pi-b").go_down(store, SystemClock().unix_ms())
        reader.join()
    told = [json.loads(frame) for frame in frames]
    assert [frame["extent"] for frame in told] == ["whole", *["delta"] * 7]
    last = {row["card"]["device_id"]: row["card"]["online"] for f in told for row in f["rows"]}
    assert last == {"pi-a": True, "pi-b": False}
    # The clock moves on, but a device that is quiet is not sent again with every frame.
    assert sum(len(frame["rows"]) for frame in told[1:]) <= 3


def test_the_stream_of_a_device_tells_its_events() -> None:
    with running(fleet_store("pi"), period_s=0.1) as url:
        first, _second = (json.loads(text) for text in events_of(f"{url}/stream/pi", 2))
    assert first["events"][0]["message"] == "the agent started"
    assert first["card"]["online"] is True


def test_readers_share_one_snapshot_a_period() -> None:
    store = CountingStore()
    with running(store, period_s=0.5) as url:
        readers = [threading.Thread(target=events_of, args=(f"{url}/stream", 4)) for _ in range(10)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    # Four frames each; a reader that came a little late may see one snapshot more.
    assert 4 <= store.reads <= 6


def test_nothing_is_read_while_nobody_looks() -> None:
    store = CountingStore()
    with running(store, period_s=0.05) as url:
        get(f"{url}/static/style.css")
        get(f"{url}/")
    assert store.reads == 0


def test_nothing_is_read_once_the_last_reader_has_left() -> None:
    store = CountingStore()
    with running(store, period_s=0.1) as url:
        events_of(f"{url}/stream", 3)
        seen, quiet_since_s = store.reads, time.monotonic()
        # The server may need a frame or two to find the connection closed.
        while time.monotonic() < quiet_since_s + 1.0:
            if store.reads != seen:
                seen, quiet_since_s = store.reads, time.monotonic()
            assert store.reads < 15
            time.sleep(0.05)


def test_a_stream_ends_properly_when_the_server_goes_down(caplog: pytest.LogCaptureFixture) -> None:
    with running(fleet_store("pi")) as url:
        reply = urllib.request.urlopen(f"{url}/stream", timeout=15)
        assert reply.readline() == b"retry: 2000\n"
    with reply:
        assert reply.read().endswith(b"}\n\n")
    assert "Exception in ASGI application" not in caplog.text


def test_text_of_a_device_stays_text_in_the_json() -> None:
    store = fleet_store(EVIL)
    with running(store) as url:
        frame = json.loads(get(f"{url}/api/fleet").body)
        assert frame["rows"][0]["card"]["device_id"] == EVIL
        page = get(f"{url}/device/{_quoted(EVIL)}")
    assert page.status == 200
    assert b"alert" not in page.body


def test_routes_of_other_parts_share_the_port() -> None:
    async def hello(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.path_params["name"])

    with running(MemoryStore(), extra_routes=[Route("/artefacts/{name}", hello)]) as url:
        reply = get(f"{url}/artefacts/abc")
    assert (reply.status, reply.body) == (200, b"abc")
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


def test_a_device_that_goes_from_the_store_is_told_as_gone() -> None:
    async def watch() -> dict[str, Any]:
        store = fleet_store("pi-a", "pi-b")
        feed = Feed(store, SystemClock(), 0.05)
        async with aclosing(feed.fleet()) as frames:
            await anext(frames)
            del store._devices["pi-a"]
            told: dict[str, Any] = json.loads(await anext(frames))
        return told

    frame = asyncio.run(watch())
    assert (frame["gone"], frame["totals"]["devices"]) == (["pi-a"], 1)


def test_a_reader_who_leaves_in_the_middle_of_a_snapshot_does_not_stop_the_others() -> None:
    async def watch() -> str:
        feed = Feed(fleet_store("pi"), ManualClock(unix_ms=SystemClock().unix_ms()), 0.0)
        leaving = asyncio.create_task(feed.latest())
        await asyncio.sleep(0)
        leaving.cancel()
        return (await feed.latest()).whole

    assert '"device_id":"pi"' in asyncio.run(watch())


def test_a_late_window_finds_its_place_in_the_curve() -> None:
    async def watch() -> tuple[int, int]:
        store, clock = MemoryStore(), ManualClock(unix_ms=1_700_000_000_000)
        device = SimulatedDevice("pi")
        device.come_up(store, clock.unix_ms())
        feed = Feed(store, clock, 1.0)
        for _ in range(30):
            device.report(store, clock.unix_ms())
            clock.advance_s(5)
            await feed.latest()
        # Two windows that the spool held back for 90 s.
        late = [device.sample(clock.unix_ms() - 92_000), device.sample(clock.unix_ms() - 91_000)]
        store.commit(late, site="home", received_unix_ms=clock.unix_ms())
        clock.advance_s(60)
        trace = (await feed.latest()).rows["pi"].trace
        assert trace is not None
        return len(trace.power_mw), len(set(trace.after_ms))

    assert asyncio.run(watch()) == (32, 32)


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())
