"""Figures and plots that every store promises; parametrised by implementation."""

from dataclasses import replace

import pytest

from green_edge.telemetry import merge
from green_edge.telemetry.store import Store, Watermark
from green_edge_wire.errors import ConfigError
from green_edge_wire.latency import LatencyHistogram
from green_edge_wire.telemetry import Event, Sample
from support.records import (
    ARTEFACT_A,
    ARTEFACT_B,
    BOOT_A,
    BOOT_B,
    T0_UNIX_MS,
    Steady,
    event,
    reading,
    sample,
)

NOW_UNIX_MS = T0_UNIX_MS + 3_600_000


def commit(store: Store, *records: Sample | Event) -> tuple[Watermark, ...]:
    return store.commit(records, site="home", received_unix_ms=NOW_UNIX_MS)


# --- figures ------------------------------------------------------------------------------------


def test_figures_of_a_steady_device_are_the_worked_numbers(store: Store) -> None:
    commit(store, *Steady().windows(range(1, 11)))
    (figure,) = store.figures()
    assert figure.inferences == 500
    assert figure.p50_us == pytest.approx(2_000, rel=0.016)
    assert figure.mean_us == 2_000
    assert (figure.meter, figure.boundary, figure.kind) == ("hwmon:ina226", "board-dc-in", "mean")
    assert figure.energy_uj == 100_000_000
    assert figure.energy_uj_per_inference == 200_000
    assert figure.net_uj_per_inference == 40_000
    assert figure.u_ratio == pytest.approx(0.02)
    assert (figure.windows, figure.windows_missing, figure.flags) == (10, 0, ())


def test_a_lost_record_loses_no_joule(store: Store) -> None:
    commit(store, *Steady().windows([1, 2, 5]))
    (figure,) = store.figures()
    assert figure.energy_uj == 50_000_000
    assert figure.energy_uj_per_inference == 200_000
    assert figure.energy_inferences == 150


def test_meters_boundaries_and_kinds_are_rows_of_their_own(store: Store) -> None:
    modelled = reading(7_000_000, meter="model:pi4", boundary="modelled", kind="modelled")
    commit(store, sample(1, energy=(reading(), modelled)))
    rows = {row.kind: row for row in store.figures()}
    assert set(rows) == {"mean", "modelled"}
    assert (rows["mean"].energy_uj, rows["modelled"].energy_uj) == (10_000_000, 7_000_000)


def test_artefacts_are_rows_of_their_own_with_joules_of_their_own(store: Store) -> None:
    commit(
        store,
        sample(1, energy=(reading(10_000_000),)),
        sample(2, energy=(reading(4_000_000),), artefact=ARTEFACT_B, model_version=2),
        sample(3, energy=(reading(10_000_000, cumulative_uj=20_000_000),)),
    )
    rows = {row.artifact_sha256: row.energy_uj for row in store.figures()}
    assert rows == {ARTEFACT_A: 20_000_000, ARTEFACT_B: 4_000_000}


def test_a_device_without_a_meter_has_a_row_without_energy(store: Store) -> None:
    commit(store, sample(1, errors=2))
    (figure,) = store.figures()
    assert (figure.inferences, figure.errors) == (50, 2)
    assert figure.energy_uj is None
    assert figure.kind is None


def test_invalid_windows_are_counted_but_give_no_energy_per_inference(store: Store) -> None:
    commit(
        store,
        sample(1, energy=(reading(10_000_000),)),
        sample(2, energy=(reading(99_000_000, cumulative_uj=20_000_000, flags=("gap",)),)),
    )
    (figure,) = store.figures()
    assert figure.energy_uj_per_inference == 200_000
    assert (figure.windows_invalid, figure.flags) == (1, ("gap",))


def test_idle_windows_cost_energy_but_not_per_inference(store: Store) -> None:
    idle = sample(2, latencies_us=(), energy=(reading(8_000_000, cumulative_uj=18_000_000),))
    commit(store, sample(1, energy=(reading(10_000_000),)), idle)
    (figure,) = store.figures()
    assert figure.energy_uj == 18_000_000
    assert figure.energy_uj_per_inference == 200_000


def test_net_energy_over_a_part_of_the_windows_says_so(store: Store) -> None:
    commit(
        store,
        sample(1, energy=(reading(10_000_000, idle_uj=None),)),
        sample(2, energy=(reading(10_000_000, cumulative_uj=20_000_000),)),
    )
    (figure,) = store.figures()
    assert figure.net_uj_per_inference == 40_000
    assert figure.flags == (merge.FLAG_NET_PARTIAL,)


def test_an_unclean_end_counts_as_one_missing_window(store: Store) -> None:
    ended = event(1, boot_id=BOOT_B, kind="unclean-end", facts={"boot_id": BOOT_A, "last_seq": 2})
    cut = replace(Steady().window(2), cut=True)
    commit(store, Steady().window(1), cut, ended)
    assert store.figures()[0].windows_missing == 1


def test_figures_can_be_asked_for_a_time_a_device_and_a_model(store: Store) -> None:
    commit(store, *Steady().windows(range(1, 11)), *Steady(device_id="pi-porch").windows([1]))
    commit(store, sample(1, device_id="pi-attic", model="keywords"))
    third_ends = T0_UNIX_MS + 15_000
    (row,) = store.figures(device_id="pi-kitchen", since_unix_ms=third_ends)
    assert row.inferences == 400
    (row,) = store.figures(device_id="pi-kitchen", until_unix_ms=third_ends)
    assert row.inferences == 100
    assert [row.device_id for row in store.figures(model="keywords")] == ["pi-attic"]
    assert store.figures(model="nothing") == ()


def test_adjoining_times_share_the_joules_out_even_when_records_are_lost(store: Store) -> None:
    commit(store, *Steady().windows([1, 2, 6, 7]), *Steady(boot_id=BOOT_B).windows([4, 9]))
    whole = store.figures()[0].energy_uj
    cut_unix_ms = T0_UNIX_MS + 30_000
    before = store.figures(until_unix_ms=cut_unix_ms)[0].energy_uj
    after = store.figures(since_unix_ms=cut_unix_ms)[0].energy_uj
    assert before is not None
    assert after is not None
    assert before + after == whole == 160_000_000


def test_a_device_clock_in_the_future_or_never_set_is_replaced_by_the_arrival(
    store: Store,
) -> None:
    commit(store, sample(1, ended_at_unix_ms=NOW_UNIX_MS + 86_400_000))
    commit(store, sample(2, ended_at_unix_ms=12_345))
    (row,) = store.figures(since_unix_ms=NOW_UNIX_MS, until_unix_ms=NOW_UNIX_MS + 1)
    assert row.windows == 2


def test_figures_beyond_reason_are_kept_out_of_the_sums(store: Store) -> None:
    wild = reading(1 << 62, cumulative_uj=(1 << 63) - 1, u_ratio=1e300)
    commit(store, sample(1, energy=(wild,)), sample(2, energy=(wild,)), Steady().window(3))
    (figure,) = store.figures()
    assert figure.energy_uj_per_inference == 200_000
    assert figure.flags == ("implausible",)


def test_a_reading_beyond_reason_between_two_good_ones_counts_no_joule_twice(
    store: Store,
) -> None:
    wild = sample(3, energy=(reading(10_000_000, cumulative_uj=30_000_000, u_ratio=11.0),))
    commit(store, *Steady().windows([1, 2, 4]), wild)
    (figure,) = store.figures()
    assert figure.energy_uj == 40_000_000
    begin_unix_ms = T0_UNIX_MS + 20_000  # the window after it, alone
    assert store.figures(since_unix_ms=begin_unix_ms)[0].energy_uj == 20_000_000


def test_one_device_cannot_spoil_the_counts_of_the_fleet(store: Store) -> None:
    count = 1 << 62
    latency = LatencyHistogram(count, 7 * count, 7, 7, (7,), (count,))
    wild = replace(sample(1, device_id="pi-evil", energy=(reading(),)), latency=latency)
    commit(store, Steady().window(1), wild, sample(2, device_id="pi-evil", errors=1 << 62))
    rows = {row.device_id: row for row in store.figures()}
    evil, good = rows["pi-evil"], rows["pi-kitchen"]
    assert (evil.inferences, evil.errors, evil.windows) == (0, 0, 2)
    assert evil.flags == ("implausible",)
    assert (good.inferences, good.errors) == (50, 0)


def test_a_device_cannot_claim_that_a_billion_records_were_lost(store: Store) -> None:
    seq = 1 << 62
    (mark,) = commit(store, Steady().window(1), Steady().window(seq, first_kept_seq=seq))
    assert mark.seq == 1
    assert store.figures()[0].windows_missing == 0


# --- plots --------------------------------------------------------------------------------------


def test_a_series_gives_steps_with_power_and_latency_and_leaves_empty_ones_out(
    store: Store,
) -> None:
    commit(store, *Steady().windows([1, 2, 3, 4, 9]))
    points = store.series(
        "pi-kitchen", since_unix_ms=T0_UNIX_MS, until_unix_ms=T0_UNIX_MS + 50_000, points=5
    )
    assert [(p.t_unix_ms - T0_UNIX_MS, p.windows) for p in points] == [
        (0, 1), (10_000, 2), (20_000, 1), (40_000, 1),
    ]  # fmt: skip
    assert {p.power_uw for p in points} == {2_000_000}
    assert {p.energy_uj_per_inference for p in points} == {200_000.0}
    assert points[1].inferences == 100
    assert points[0].p95_us == pytest.approx(2_000, rel=0.016)


def test_a_series_shows_the_best_kind_of_meter_of_each_step_and_names_it(store: Store) -> None:
    modelled = reading(7_000_000, meter="model:pi4", boundary="modelled", kind="modelled")
    commit(store, sample(1, energy=(modelled, reading())), sample(3, energy=(modelled,)))
    points = store.series(
        "pi-kitchen", since_unix_ms=T0_UNIX_MS, until_unix_ms=T0_UNIX_MS + 20_000, points=2
    )
    assert [p.kind for p in points] == ["mean", "modelled"]
    assert [p.meter for p in points] == ["hwmon:ina226", "model:pi4"]


def test_a_series_over_no_time_is_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match="a time to cover"):
        store.series("pi-kitchen", since_unix_ms=5, until_unix_ms=5)
