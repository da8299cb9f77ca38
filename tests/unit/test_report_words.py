"""Words, digits and places of the report."""

import pytest

from green_edge.telemetry import columns, live, moments, report_charts, report_text, words
from green_edge.telemetry.report import Report, totals
from green_edge.telemetry.store import Figure
from green_edge_wire.errors import ConfigError
from support.records import ARTEFACT_A, T0_UNIX_MS


def figure(
    device_id: str = "pi-kitchen",
    *,
    kind: str | None = "mean",
    gross_uj: float | None = 325_480.0,
    net_uj: float | None = 63_480.0,
    u_ratio: float | None = 0.0084,
    model: str = "digits",
    missing: int = 0,
) -> Figure:
    base = Figure(
        device_id, model, 1, ARTEFACT_A, 5_900, 3, 1_982.0, 2_261.0, 2_392.0, 2_004.0,
        windows=118, windows_missing=missing,
    )  # fmt: skip
    if kind is None:
        return base
    return Figure(
        device_id, model, 1, ARTEFACT_A, 5_900, 3, 1_982.0, 2_261.0, 2_392.0, 2_004.0,
        meter=f"meter:{kind}",
        boundary="modelled" if kind == "modelled" else "board-dc-in",
        kind="modelled" if kind == "modelled" else "mean",
        energy_uj=1_950_000_000,
        energy_uj_per_inference=gross_uj,
        net_uj_per_inference=net_uj,
        u_ratio=u_ratio,
        energy_inferences=5_900,
        windows=118,
        windows_missing=missing,
        flags=("gap",) if kind == "gap" else (),
    )  # fmt: skip


def report(*rows: Figure) -> Report:
    return Report(T0_UNIX_MS, rows, totals(rows))


@pytest.mark.parametrize(
    ("value", "u_ratio", "text"),
    [
        (325.48, 0.0084, "325.5 ±2.7"),
        (342.6, 0.31, "343 ±106"),
        (1005.9, 0.05, "1,006 ±50"),
        (0.041234, 0.02, "0.04123 ±0.00082"),
        (2.5, None, "2.50"),
        (2.5, 0.0, "2.50"),
        (0.0, 0.3, "0"),
    ],
)
def test_a_value_shows_two_digits_of_its_uncertainty(
    value: float, u_ratio: float | None, text: str
) -> None:
    assert words.with_uncertainty(value, u_ratio) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1.2345, "1.23"),
        (-12.345, "-12.3"),
        (123_456, "123,000"),
        (0.00012345, "0.000123"),
    ],
)
def test_three_digits_count(value: float, text: str) -> None:
    assert words.digits(value) == text


def test_energies_and_powers_take_the_unit_that_suits_them_and_the_mark_of_their_kind() -> None:
    assert words.energy(12_345_678, "mean") == "12.3 J"
    assert words.energy(12_345, "modelled") == "~12.3 mJ"
    assert words.energy(12.3, "counter") == "12.3 uJ"
    assert words.power(2_750_000, "mean") == "2.75 W"
    assert words.power(275_000, "modelled") == "~275 mW"
    assert words.percent(0.0084) == "0.84 %"


def test_net_is_no_finer_than_gross_is_sure() -> None:
    assert words.net_mj(figure()) == "63.5"
    assert words.net_mj(figure(u_ratio=0.31)) == "63"
    assert words.net_mj(figure(u_ratio=None)) == "63.5"
    assert words.net_mj(figure(net_uj=None)) == words.NOTHING


def test_modelled_figures_carry_the_mark_and_their_kind() -> None:
    (line,) = report_text.cells([figure(kind="modelled", u_ratio=0.31)])
    assert line[4:] == ("~325 ±101", "~63", "modelled")
    assert words.pedigree("modelled", "modelled") == "modelled"
    assert words.pedigree("mean", "board-dc-in") == "mean, board-dc-in"


def test_a_text_from_a_device_cannot_move_the_cursor() -> None:
    assert words.clean("dig\x1b[2Jits") == "dig?[2Jits"


def test_long_names_are_cut_so_that_the_table_fits_80_columns() -> None:
    rows = [figure("d" * 63, model="m" * 40), figure("short")]
    lines = report_text.cells(rows)
    widths = [
        max(len(cell) for cell in column)
        for column in zip(report_text.HEADERS, *lines, strict=True)
    ]
    assert sum(widths) + 2 * (len(widths) - 1) <= columns.WIDTH
    assert lines[0][0].endswith("…")
    assert lines[1][:2] == ("short", "digits 1")


def test_names_are_never_cut_below_what_tells_them_apart() -> None:
    (line,) = columns.fit(("a", "b"), [("x" * 30, "y" * 90)], names=(0,), width=40)
    assert line == ("x" * 7 + "…", "y" * 90)


def test_notes_fit_80_columns_and_name_meters_totals_and_flags() -> None:
    rows = (figure(missing=2), figure("pi-attic", kind="modelled"), figure("x", kind="gap"))
    lines = report_text.notes(report(*rows))
    assert max(len(line) for line in lines) <= columns.WIDTH
    text = "\n".join(lines)
    assert "17,700 inferences on 3 devices, 9 failed, 2 windows missing" in text
    assert "energy in all: 3,900 J (mean, board-dc-in) on 2 devices" in text
    assert "energy in all: ~1,950 J (modelled) on 1 device" in text
    assert "nothing was measured" in text
    assert "gap: the meter was silent" in text


def test_totals_count_an_artefact_once_however_many_meters_saw_it() -> None:
    made = totals([figure(missing=1), figure(kind="modelled", missing=1)])
    assert (made.inferences, made.windows_missing, made.devices) == (5_900, 1, 1)
    assert [total.kind for total in made.energy] == ["mean", "modelled"]


def test_csv_has_the_keys_of_json_and_empty_cells_where_they_are_absent() -> None:
    header, line = report_text.csv_text(report(figure(kind=None))).splitlines()
    cells = dict(zip(header.split(","), line.split(","), strict=True))
    assert cells["device_id"] == "pi-kitchen"
    assert cells["energy_uj"] == cells["kind"] == cells["flags"] == ""


def test_charts_never_share_an_axis_between_kinds() -> None:
    rows = [figure(), figure("pi-attic", kind="modelled"), figure("zero", kind=None)]
    charts = report_charts.energy_charts(rows)
    assert [len(chart.bars) for chart in charts] == [1, 1]
    assert [chart.modelled for chart in charts] == [False, True]
    assert all(tick.x <= chart.width for chart in charts for tick in chart.ticks)
    (bar,) = charts[0].bars
    assert bar.inner_x is not None
    assert charts[0].left < bar.inner_x < bar.low_x < bar.x < bar.high_x <= charts[0].width


def test_a_bar_without_net_or_uncertainty_has_neither() -> None:
    (chart,) = report_charts.energy_charts([figure(net_uj=-1.0, u_ratio=None)])
    (bar,) = chart.bars
    assert bar.inner_x is None
    assert bar.low_x == bar.x == bar.high_x


def test_the_latency_chart_shows_each_artefact_once_or_is_absent() -> None:
    chart = report_charts.latency_chart([figure(), figure(kind="modelled")])
    assert chart is not None
    assert [bar.value for bar in chart.bars] == ["1.98 / 2.26 / 2.39 ms"]
    assert report_charts.latency_chart([Figure("d", "m", 1, "", 0, 0)]) is None


@pytest.mark.parametrize(
    ("text", "ago_ms"), [("90s", 90_000), ("5min", 300_000), ("5m", 300_000), ("2 h", 7_200_000),
                         ("7d", 604_800_000)]
)  # fmt: skip
def test_a_moment_may_be_so_long_ago(text: str, ago_ms: int) -> None:
    found = moments.parse_moment(text, now_unix_ms=T0_UNIX_MS, place="--since")
    assert found == T0_UNIX_MS - ago_ms


def test_a_moment_may_be_a_date_or_a_time() -> None:
    found = moments.parse_moment("2023-11-14T22:13:20+00:00", now_unix_ms=0, place="--since")
    assert found == T0_UNIX_MS
    assert moments.show_moment(found) == "2023-11-14 22:13 UTC"
    later = moments.parse_moment("2023-11-15", now_unix_ms=0, place="--since")
    assert abs(later - T0_UNIX_MS) < 86_400_000


@pytest.mark.parametrize("text", ["yesterday", "", "12", "2023-13-01", "99999999999d"])
def test_other_moments_are_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--since.*2h for two hours ago"):
        moments.parse_moment(text, now_unix_ms=0, place="--since")


@pytest.mark.parametrize("text", ["999999d", "1969-12-30T00:00", "0002-01-01"])
def test_moments_before_1970_are_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--since.*before 1970.*2h for two hours ago"):
        moments.parse_moment(text, now_unix_ms=T0_UNIX_MS, place="--since")


def test_ages_are_told_in_the_largest_unit_that_fits() -> None:
    ages = [5, 65, 7_300, 200_000]
    rows = [live.LiveRow("d", online=False, age_s=age) for age in ages]
    assert [line[1] for line in live.cells(rows)] == ["5 s ago", "1 min ago", "2 h ago", "2 d ago"]
