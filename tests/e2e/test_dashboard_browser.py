"""The pages in a headless Chromium, fed by devices that exist only as records."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from green_edge.dashboard.app import create_app
from green_edge_wire.clock import SystemClock
from support.browser import Browser, running_browser
from support.memory_store import MemoryStore
from support.simulated_fleet import INA226, RAPL_REFUSED, SimulatedDevice
from support.web_server import running_server

pytestmark = pytest.mark.chromium

CLOCK = SystemClock()
PERIOD_S = 0.2
DASH = "\u2013"
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running_browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser, url: str) -> Iterator[Browser]:
    """The browser, which must have complained of nothing and asked nobody but the server."""
    chromium.look(width=1280, height=900)
    assert url
    yield chromium
    assert chromium.complaints() == []
    hosts = {urlsplit(url).hostname for url in chromium.requests()}
    assert hosts == {"127.0.0.1"}
    chromium.open("about:blank")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def url(store: MemoryStore) -> Iterator[str]:
    with running_server(create_app(store, clock=CLOCK, period_s=PERIOD_S)) as url:
        yield url


def reporting(store: MemoryStore, device: SimulatedDevice, minutes: float = 2.0) -> SimulatedDevice:
    """The device with some minutes of telemetry that end now."""
    now = CLOCK.unix_ms()
    device.come_up(store, now - round(minutes * 60_000))
    for age_ms in range(round(minutes * 60_000), 0, -5_000):
        device.report(store, now - age_ms)
    return device


def cell(browser: Browser, device_id: str, label: str) -> str:
    return browser.text(f'tr[id="device-{device_id}"] [data-label^="{label}"]')


def test_values_move_when_samples_arrive(browser: Browser, store: MemoryStore, url: str) -> None:
    device = reporting(store, SimulatedDevice("pi-kitchen"))
    browser.open(url)
    browser.wait_for(lambda: cell(browser, "pi-kitchen", "Power") != "", "the row is there")
    before = cell(browser, "pi-kitchen", "Power")
    assert re.match(r"~\d\.\d\sW\nmodelled ±30\s%", before)
    device.idle_uw = 6_000_000
    device.report(store, CLOCK.unix_ms())
    browser.wait_for(lambda: cell(browser, "pi-kitchen", "Power") > "~5", "the power has moved")


def test_a_device_that_goes_off_line_shows_as_off_line_and_comes_back(
    browser: Browser, store: MemoryStore, url: str
) -> None:
    device = reporting(store, SimulatedDevice("pi-kitchen"))
    browser.open(url)
    browser.wait_for(lambda: "on line since" in cell(browser, "pi-kitchen", "Device"), "on line")
    device.go_down(store, CLOCK.unix_ms())
    browser.wait_for(lambda: "off line since" in cell(browser, "pi-kitchen", "Device"), "off line")
    assert cell(browser, "pi-kitchen", "Rate").startswith(DASH)
    assert browser.text("#totals div:first-child dd") == "0 of 1"
    device.come_up(store, CLOCK.unix_ms())
    browser.wait_for(lambda: "on line since" in cell(browser, "pi-kitchen", "Device"), "back again")


def test_a_new_device_appears_by_itself(browser: Browser, store: MemoryStore, url: str) -> None:
    browser.open(url)
    browser.wait_for(lambda: "No device has reported yet" in browser.text("main"), "the empty page")
    reporting(store, SimulatedDevice("pi-new"))
    browser.wait_for(lambda: browser.count("#fleet tbody tr") == 1, "the row of the new device")
    assert browser.count("#empty[hidden]") == 1


def test_what_is_not_known_is_a_dash_with_its_reason_and_never_a_zero(
    browser: Browser, store: MemoryStore, url: str
) -> None:
    reporting(store, SimulatedDevice("zero-garden", meter=None))
    browser.open(url)
    browser.wait_for(lambda: cell(browser, "zero-garden", "Power").startswith(DASH), "a dash")
    title = browser.run(
        "return document.querySelector('[data-label=\"Power\"] .unknown').getAttribute('title')"
    )
    assert title == f"no meter is in use ({RAPL_REFUSED.name}: {RAPL_REFUSED.refusal})"
    assert cell(browser, "zero-garden", "Energy").splitlines()[0] == DASH


def test_a_measured_figure_has_no_tilde_and_names_its_boundary(
    browser: Browser, store: MemoryStore, url: str
) -> None:
    reporting(store, SimulatedDevice("pi-bench", meter=INA226))
    browser.open(url)
    browser.wait_for(lambda: "W" in cell(browser, "pi-bench", "Power"), "the power")
    assert "board-dc-in · mean ±2.0" in cell(browser, "pi-bench", "Power")
    assert "~" not in cell(browser, "pi-bench", "Power")


def test_text_of_a_device_is_shown_as_text(browser: Browser, store: MemoryStore, url: str) -> None:
    device = SimulatedDevice(HOSTILE, board=HOSTILE, model=HOSTILE)
    reporting(store, device)
    device.tell(store, CLOCK.unix_ms(), "error", HOSTILE, {HOSTILE: HOSTILE})
    browser.open(url)
    browser.wait_for(lambda: browser.count("#fleet tbody tr") == 1, "the row")
    assert browser.run("return document.querySelector('#fleet .name').textContent") == HOSTILE
    browser.run("document.querySelector('#fleet .name').click()")
    browser.wait_for(lambda: HOSTILE in browser.text("#events"), "its event")
    assert browser.text("h1") == HOSTILE
    assert browser.count("main img") == 0


def test_the_curves_of_a_device_draw_and_follow_the_range(
    browser: Browser, store: MemoryStore, url: str
) -> None:
    reporting(store, SimulatedDevice("pi-kitchen"), minutes=12)
    browser.open(f"{url}/device/pi-kitchen")
    browser.wait_for(lambda: _inked(browser) == 3, "three curves with ink on them")
    short = browser.run("return document.querySelector('#plot-power .key').innerText")
    assert re.match(r"modelled ~\d\.\d\sW", str(short))
    assert browser.text("#ranges [aria-pressed=true]") == "5 min"
    browser.run("document.querySelector('#ranges button:nth-child(2)').click()")
    browser.run("document.getElementById('numbers').open = true")
    rows = "#numbers tbody tr"
    browser.wait_for(lambda: browser.count(rows) == 60, "an hour's steps as numbers")
    assert browser.text("#ranges [aria-pressed=true]") == "1 h"


def test_the_page_of_a_device_tells_slots_meters_with_refusals_and_events(
    browser: Browser, store: MemoryStore, url: str
) -> None:
    reporting(store, SimulatedDevice("pi-kitchen"))
    browser.open(f"{url}/device/pi-kitchen")
    browser.wait_for(lambda: "active" in browser.text("#slots"), "the slots")
    assert "digits v3" in browser.text("#slots")
    assert f"not used: {RAPL_REFUSED.refusal}" in browser.text("#meters")
    assert "the agent started" in browser.text("#events")
    assert browser.run("return document.title") == "pi-kitchen · green-edge"


def test_a_page_that_lost_its_host_says_so_and_reconnects(
    chromium: Browser, store: MemoryStore
) -> None:
    device = reporting(store, SimulatedDevice("pi-kitchen"))
    app = create_app(store, clock=CLOCK, period_s=PERIOD_S)
    with running_server(app) as url:
        chromium.open(url)
        chromium.wait_for(lambda: chromium.count('#link[data-state="live"]') == 1, "live")
        port = urlsplit(url).port
    chromium.wait_for(lambda: "connection lost" in chromium.text("#link span"), "the loss is told")
    assert "W" in cell(chromium, "pi-kitchen", "Power")
    device.idle_uw = 8_000_000
    device.report(store, CLOCK.unix_ms())
    with running_server(create_app(store, clock=CLOCK, period_s=PERIOD_S), port or 0):
        chromium.wait_for(
            lambda: cell(chromium, "pi-kitchen", "Power") > "~7", "figures again", within_s=30
        )
        chromium.open("about:blank")
    assert all("ERR_" in line for line in chromium.complaints())


@pytest.mark.parametrize("width", [400, 800, 1280])
def test_nothing_needs_sideways_scrolling(
    browser: Browser, store: MemoryStore, url: str, width: int
) -> None:
    reporting(store, SimulatedDevice("a-rather-long-device-name-of-the-greenhouse-no-12"))
    reporting(store, SimulatedDevice("pi", meter=INA226, model="keywords-of-a-long-model-name"))
    browser.look(width=width, height=900)
    for path, there in (("/", "#fleet tbody tr"), ("/device/pi", "#plots canvas")):
        browser.open(url + path)
        browser.wait_for(lambda css=there: browser.count(css) > 1, path)  # type: ignore[misc]
        wide = browser.run("return document.documentElement.scrollWidth")
        assert wide <= width


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_its_ground(browser: Browser, url: str, *, dark: bool) -> None:
    browser.look(width=1280, height=900, dark=dark)
    browser.open(url)
    colours = browser.run(
        "const style = getComputedStyle(document.documentElement);"
        "return ['--paper', '--ink', '--quiet', '--green', '--bad', '--bad-wash']"
        ".map((name) => style.getPropertyValue(name).trim())"
    )
    paper, *inks, wash = [_luminance(colour) for colour in colours]
    # 4.5 to 1: WCAG 2.2, success criterion 1.4.3.
    assert min(_contrast(paper, ink) for ink in inks) >= 4.5
    assert _contrast(wash, inks[3]) >= 4.5
    assert (paper < 0.1) is dark


def test_the_keyboard_reaches_content_and_reasons(
    browser: Browser, store: MemoryStore, url: str
) -> None:
    reporting(store, SimulatedDevice("zero-garden", meter=None))
    browser.open(url)
    browser.wait_for(lambda: browser.count("#fleet .unknown") > 0, "the row")
    reached = []
    for _ in range(5):
        browser.press_tab()
        reached.append(browser.run("return document.activeElement.className"))
    assert reached == ["skip", "brand", "name", "unknown", "unknown"]


def test_numbers_keep_three_digits_and_their_unit(browser: Browser, url: str) -> None:
    browser.open(url)
    cases: list[tuple[str, float, int, str, str]] = [
        ("power", 3_421_000, 3, "3.42", "W"),
        ("power", 842_000, 3, "842", "mW"),
        ("power", 999_960, 3, "1.00", "W"),
        ("power", 0, 3, "0", "µW"),
        ("energy", 38_400, 2, "38", "mJ"),
        ("energy", 12.34, 3, "12.3", "µJ"),
        ("energy", 12_345_678_900, 3, "12\u202f300", "J"),
        ("duration", 479.4, 3, "479", "µs"),
        ("duration", 12_200, 3, "12.2", "ms"),
        ("duration", 2_000_000, 3, "2.00", "s"),
        ("rate", 0.25, 3, "0.250", "/s"),
        ("rate", 1_234, 3, "1\u202f230", "/s"),
    ]
    for quantity, value, significant, number, unit in cases:
        shown = browser.run(
            "return import('/static/format.js').then((m) => m.parts(...arguments))",
            quantity,
            value,
            significant,
        )
        assert shown == {"number": number, "unit": unit}, (quantity, value)


def test_a_pause_breaks_the_line_instead_of_bridging_it(browser: Browser, url: str) -> None:
    browser.open(url)
    columns = browser.run(
        "return import('/static/plots.js').then((m) => m.columns("
        "[{t_unix_ms: 1000, a: 1}, {t_unix_ms: 6000, a: 2}, {t_unix_ms: 60000}], 15000,"
        " (p) => p.a))"
    )
    assert columns == [[1, 6, 6.001, 60], [1, 2, None, None]]


def _inked(browser: Browser) -> int:
    """Curves whose canvas shows the accent or second colour somewhere."""
    return int(
        browser.run(
            "return [...document.querySelectorAll('#plots canvas')].filter((canvas) => {"
            " const { data } = canvas.getContext('2d')"
            "  .getImageData(0, 0, canvas.width, canvas.height);"
            " for (let i = 0; i < data.length; i += 4)"
            "  if (data[i + 3] > 200 && data[i + 1] - data[i] > 60) return true;"
            " return false; }).length"
        )
    )


def _luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: float, other: float) -> float:
    low, high = sorted((one, other))
    return (high + 0.05) / (low + 0.05)
