from dataclasses import replace

from green_edge.dashboard import frames
from green_edge.dashboard.frames import Card, FleetRow, Reading, Recent
from green_edge.telemetry.store import DeviceRow, Figure, Point
from green_edge_wire import codec
from green_edge_wire.device import MeterInfo, SlotInfo

NOW = 1_700_000_000_000
SLOT = SlotInfo("a", "active", "aa11", "digits", 3)
ROW = DeviceRow(
    "pi-kitchen",
    "home",
    online=True,
    last_seen_unix_ms=NOW - 1_000,
    board="Raspberry Pi 4 Model B",
    reported_sha256="aa11",
    slots=(SlotInfo("b", "previous", "bb22", "digits", 2), SLOT),
    meters=(MeterInfo("model:pi4", "modelled", "modelled", "CPU", 0.3),),
)
FIGURE = Figure(
    "pi-kitchen",
    "digits",
    3,
    "aa11",
    inferences=600,
    errors=2,
    p50_us=1_200.0,
    p95_us=1_500.0,
    p99_us=1_900.0,
    meter="model:pi4",
    boundary="modelled",
    kind="modelled",
    energy_uj_per_inference=300_000.0,
    net_uj_per_inference=40_000.0,
    u_ratio=0.3,
)


def point(age_s: float, inferences: int = 50, power_uw: int | None = 3_000_000) -> Point:
    return Point(
        t_unix_ms=NOW - round(age_s * 1_000),
        inferences=inferences,
        windows=1,
        power_uw=power_uw,
        meter=None if power_uw is None else "model:pi4",
        kind=None if power_uw is None else "modelled",
        boundary=None if power_uw is None else "modelled",
    )


def card(row: DeviceRow = ROW, **recent: object) -> Card:
    defaults: dict[str, object] = {"figures": (FIGURE,), "points": (point(10), point(5), point(0))}
    return frames.card_of(row, Recent(**{**defaults, **recent}), NOW)  # type: ignore[arg-type]


def test_a_device_that_reports_shows_its_figures_with_their_pedigree() -> None:
    shown = card()
    assert (shown.model, shown.model_version) == ("digits", 3)
    assert (shown.p50_us.value, shown.p95_us.value, shown.p99_us.value) == (1_200, 1_500, 1_900)
    assert shown.errors.value == 2
    (cell,) = shown.energy
    assert (cell.kind, cell.boundary, cell.u_ratio) == ("modelled", "modelled", 0.3)
    assert (cell.gross_uj.value, cell.net_uj.value) == (300_000, 40_000)
    assert cell.power_uw.value == 3_000_000


def test_the_rate_is_taken_between_the_ends_of_the_first_and_the_last_window() -> None:
    # 100 inferences ended in the 10 s after the first window's end.
    assert card().rate_hz.value == 10.0


def test_missing_windows_do_not_thin_the_rate_out() -> None:
    late = (point(50), point(45), point(40), point(10), point(5), point(0))
    assert card(points=late).rate_hz.value == 10.0


def test_one_window_is_too_few_for_a_rate() -> None:
    rate = card(points=(point(3),)).rate_hz
    assert rate.value is None
    assert rate.why == "two windows of telemetry are needed for a rate"


def test_idle_windows_give_a_rate_of_zero_because_it_is_known() -> None:
    assert card(points=(point(10, 0), point(5, 0))).rate_hz.value == 0


def test_a_device_that_is_off_line_shows_no_live_figure_but_why() -> None:
    shown = card(replace(ROW, online=False))
    readings = (shown.p50_us, shown.p95_us, shown.p99_us, shown.rate_hz, shown.errors)
    assert {(reading.value, reading.why) for reading in readings} == {
        (None, "the device is off line")
    }
    assert (shown.energy, shown.no_energy) == ((), "the device is off line")


def test_a_card_says_since_when_its_device_is_on_or_off_line_if_that_is_known() -> None:
    assert card(replace(ROW, since_unix_ms=NOW - 60_000)).since_unix_ms == NOW - 60_000
    assert card().since_unix_ms is None


def test_a_silent_device_shows_no_zero() -> None:
    silent = replace(ROW, last_seen_unix_ms=NOW - 90_000)
    shown = card(silent, figures=(), points=())
    assert shown.p50_us == Reading(why="no telemetry in the last minute")
    assert shown.errors.value is None


def test_a_device_that_sends_only_old_windows_is_asked_for_its_clock() -> None:
    why = card(figures=(), points=()).p50_us.why
    assert why is not None
    assert "clock" in why


def test_windows_without_an_inference_tell_no_latency_and_no_energy_an_inference() -> None:
    idle = replace(
        FIGURE,
        inferences=0,
        p50_us=None,
        p95_us=None,
        p99_us=None,
        energy_uj_per_inference=None,
        net_uj_per_inference=None,
        u_ratio=None,
    )
    shown = card(figures=(idle,))
    assert shown.p95_us == Reading(why="no inference in the last minute")
    assert shown.energy[0].gross_uj == Reading(why="no inference in a valid window")
    assert shown.energy[0].power_uw.value == 3_000_000


def test_figures_of_unlike_meters_stay_in_cells_of_their_own_and_errors_count_once() -> None:
    other = replace(FIGURE, meter="hwmon:ina226", boundary="board-dc-in", kind="mean")
    shown = card(figures=(FIGURE, other))
    assert [cell.meter for cell in shown.energy] == ["model:pi4", "hwmon:ina226"]
    assert shown.energy[1].power_uw.why == "no valid power in the last minute"
    assert shown.errors.value == 2


def test_figures_of_the_artefact_before_are_left_out_once_the_active_one_reports() -> None:
    before = replace(FIGURE, artifact_sha256="bb22", model_version=2, p50_us=9_999.0)
    assert card(figures=(before, FIGURE)).p50_us.value == 1_200


def test_a_device_without_a_meter_in_use_names_every_refusal() -> None:
    refused = MeterInfo("rapl", "counter", "cpu-package", "CPU", 0.05, "no powercap here")
    bare = replace(FIGURE, meter=None, boundary=None, kind=None)
    told = card(replace(ROW, meters=(refused,)), figures=(bare,))
    assert told.no_energy == "no meter is in use (rapl: no powercap here)"
    unsaid = card(replace(ROW, meters=()), figures=(bare,))
    assert unsaid.no_energy == "the device has not told of any meter"
    metered = card(figures=(bare,))
    assert metered.no_energy == "the meter gave no valid reading in the last minute"


def test_powers_of_unlike_kind_are_never_added() -> None:
    measured = replace(FIGURE, meter="hwmon:ina226", boundary="board-dc-in", kind="mean")
    far = replace(point(0), meter="hwmon:ina226", kind="mean", boundary="board-dc-in")
    cards = (card(), card(), card(figures=(measured,), points=(far,)), card())
    totals = frames.totals_of(cards)
    assert [(p.kind, p.power_uw, p.devices) for p in totals.power] == [
        ("mean", 3_000_000, 1),
        ("modelled", 9_000_000, 3),
    ]
    assert (totals.devices, totals.online, totals.rate_hz.value) == (4, 4, 30.0)


def test_a_fleet_without_a_rate_says_so() -> None:
    assert frames.totals_of([]).rate_hz.value is None


def test_the_small_curve_follows_the_newest_meter_alone() -> None:
    old = replace(point(20), meter="hwmon:ina226", kind="mean", power_uw=5_000_000)
    trace = frames.trace_of((old, point(10), point(5, power_uw=None), point(0)))
    assert trace is not None
    assert (trace.start_unix_ms, trace.after_ms) == (NOW - 10_000, (0, 10_000))
    assert trace.power_mw == (3_000, 3_000)
    assert frames.trace_of((point(1, power_uw=None),)) is None


def test_what_is_not_known_is_absent_from_the_json_and_its_reason_is_there() -> None:
    text = codec.dumps(FleetRow(card(replace(ROW, online=False))))
    assert '"p50_us":{"why":"the device is off line"}' in text
    assert "null" not in text
