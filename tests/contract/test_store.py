"""What every store promises; parametrised by implementation."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from green_edge.telemetry import merge
from green_edge.telemetry.store import (
    Rollout,
    RolloutDevice,
    Store,
    StoreError,
    Watermark,
    open_store,
)
from green_edge_wire.errors import ConfigError
from green_edge_wire.telemetry import Event, Sample
from support.memory_store import MemoryStore
from support.records import (
    ARTEFACT_A,
    ARTEFACT_B,
    BOOT_A,
    BOOT_B,
    T0_UNIX_MS,
    Steady,
    event,
    info,
    reading,
    reported,
    sample,
    status,
)

NOW_UNIX_MS = T0_UNIX_MS + 3_600_000
Opener = Callable[[], Store]


@pytest.fixture(params=["sqlite", "memory"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Open the same store, as another process would."""
    if request.param == "memory":
        memory = MemoryStore()
        return lambda: memory
    return lambda: open_store(f"sqlite://{tmp_path}/fleet.db")


@pytest.fixture
def store(opener: Opener) -> Iterator[Store]:
    opened = opener()
    yield opened
    opened.close()


def commit(store: Store, *records: Sample | Event) -> tuple[Watermark, ...]:
    return store.commit(records, site="home", received_unix_ms=NOW_UNIX_MS)


# --- records and watermarks ---------------------------------------------------------------------


def test_the_watermark_follows_what_is_committed_without_a_hole(store: Store) -> None:
    device = Steady()
    assert commit(store, *device.windows([1, 2])) == (Watermark("pi-kitchen", BOOT_A, 2),)
    assert commit(store, device.window(4)) == (Watermark("pi-kitchen", BOOT_A, 2),)
    assert commit(store, device.window(3)) == (Watermark("pi-kitchen", BOOT_A, 4),)


def test_the_watermark_is_zero_while_the_first_record_is_missing(store: Store) -> None:
    assert commit(store, Steady().window(2)) == (Watermark("pi-kitchen", BOOT_A, 0),)


def test_samples_and_events_share_one_sequence(store: Store) -> None:
    marks = commit(store, event(1), Steady().window(2), event(3, kind="clock"))
    assert marks == (Watermark("pi-kitchen", BOOT_A, 3),)


def test_repeats_change_nothing_and_are_answered_with_the_watermark(store: Store) -> None:
    windows = Steady().windows([1, 2, 3])
    commit(store, *windows, event(4))
    before = store.figures(), store.events()
    assert commit(store, *windows, event(4)) == (Watermark("pi-kitchen", BOOT_A, 4),)
    assert (store.figures(), store.events()) == before


def test_a_record_given_up_does_not_stall_the_watermark(store: Store) -> None:
    device = Steady()
    commit(store, device.window(1))
    marks = commit(store, device.window(7, first_kept_seq=5))
    assert marks == (Watermark("pi-kitchen", BOOT_A, 4),)
    assert store.figures()[0].windows_missing == 3
    marks = commit(store, *device.windows([5, 6]))
    assert marks == (Watermark("pi-kitchen", BOOT_A, 7),)


def test_a_record_given_up_that_arrives_after_all_is_not_missing(store: Store) -> None:
    device = Steady()
    commit(store, device.window(6, first_kept_seq=6))
    assert store.figures()[0].windows_missing == 5
    commit(store, device.window(3))
    assert store.figures()[0].windows_missing == 4
    commit(store, *device.windows([1, 2, 4, 5]))
    assert store.figures()[0].windows_missing == 0


def test_boots_and_devices_have_watermarks_of_their_own(store: Store) -> None:
    marks = commit(
        store,
        *Steady().windows([1, 2]),
        *Steady(boot_id=BOOT_B).windows([1]),
        *Steady(device_id="pi-porch").windows([1, 2, 3]),
    )
    assert set(marks) == {
        Watermark("pi-kitchen", BOOT_A, 2),
        Watermark("pi-kitchen", BOOT_B, 1),
        Watermark("pi-porch", BOOT_A, 3),
    }


def test_a_batch_is_kept_whole_or_not_at_all(store: Store) -> None:
    def failing_batch() -> None:
        with store.batch():
            commit(store, *Steady().windows([1, 2]))
            store.put_status("home", status(), NOW_UNIX_MS)
            raise StoreError("on purpose")

    with pytest.raises(StoreError, match="on purpose"):
        failing_batch()
    assert (store.figures(), store.devices()) == ((), ())
    with store.batch():
        commit(store, Steady().window(1))
        store.put_status("home", status(), NOW_UNIX_MS)
    assert len(store.figures()) == len(store.devices()) == 1


def test_what_was_committed_is_there_for_the_next_process(store: Store, opener: Opener) -> None:
    commit(store, *Steady().windows([1, 2, 3]))
    other = opener()
    assert other.figures() == store.figures()
    other.commit(Steady().windows([4]), site="home", received_unix_ms=NOW_UNIX_MS)
    other.close()
    assert store.figures()[0].windows == 4


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


# --- devices and events -------------------------------------------------------------------------


def test_a_device_appears_with_what_it_said_of_itself(store: Store) -> None:
    store.put_status("home", status(), NOW_UNIX_MS)
    store.put_info("home", info(), NOW_UNIX_MS + 1)
    store.put_reported("home", reported("failed", reason="disk full"), NOW_UNIX_MS + 2)
    (row,) = store.devices()
    assert (row.device_id, row.site, row.online) == ("pi-kitchen", "home", True)
    assert row.last_seen_unix_ms == NOW_UNIX_MS + 2
    assert row.board.startswith("Raspberry Pi 4")
    assert row.runtime == "ai-edge-litert 2.3.0"
    assert (row.state, row.reason) == ("failed", "disk full")
    assert row.reported_sha256 == row.desired_sha256 == ARTEFACT_A
    assert [meter.name for meter in row.meters] == ["hwmon:ina226", "rapl"]
    assert row.slots[0].state == "active"
    assert (row.groups, row.problems) == ((), ())


def test_a_device_that_only_sent_records_is_known_but_not_online(store: Store) -> None:
    commit(store, Steady().window(1))
    (row,) = store.devices()
    assert (row.device_id, row.online, row.board, row.state) == ("pi-kitchen", False, "", None)


def test_the_last_will_of_the_newest_boot_takes_a_device_off_line(store: Store) -> None:
    store.put_status("home", status(boot_id=BOOT_A), NOW_UNIX_MS)
    store.put_status("home", status(boot_id=BOOT_B), NOW_UNIX_MS + 1_000)
    store.put_status("home", status(boot_id=BOOT_A, online=False), NOW_UNIX_MS + 2_000)
    assert store.devices()[0].online
    assert store.devices()[0].problems == ()
    store.put_status("home", status(boot_id=BOOT_B, online=False), NOW_UNIX_MS + 3_000)
    assert not store.devices()[0].online


def test_two_boots_that_take_turns_are_reported_as_two_agents(store: Store) -> None:
    for turn, boot_id in enumerate([BOOT_A, BOOT_B, BOOT_A]):
        at = NOW_UNIX_MS + turn * 1_000
        store.put_status("home", status(boot_id=boot_id, at_unix_ms=at), at)
    (problem,) = store.devices()[0].problems
    assert "two agents use this id" in problem


def test_fresh_records_of_a_boot_that_was_replaced_are_reported_as_two_agents(
    store: Store,
) -> None:
    later_unix_ms = NOW_UNIX_MS + 120_000
    store.put_status("home", status(boot_id=BOOT_A), NOW_UNIX_MS)
    store.put_status("home", status(boot_id=BOOT_B), NOW_UNIX_MS + 1_000)
    replayed = Steady(boot_id=BOOT_A).window(1)
    store.commit([replayed], site="home", received_unix_ms=later_unix_ms)
    assert store.devices()[0].problems == ()
    fresh = sample(2, boot_id=BOOT_A, ended_at_unix_ms=later_unix_ms)
    store.commit([fresh], site="home", received_unix_ms=later_unix_ms)
    (problem,) = store.devices()[0].problems
    assert "two agents use this id" in problem


def test_events_come_newest_first_and_by_device(store: Store) -> None:
    for seq in range(1, 4):
        store.commit(
            [event(seq, message=f"event {seq}", facts={"n": seq})],
            site="home",
            received_unix_ms=NOW_UNIX_MS + seq,
        )
    commit(store, event(1, device_id="pi-porch"))
    rows = store.events(device_id="pi-kitchen", limit=2)
    assert [row.message for row in rows] == ["event 3", "event 2"]
    assert (rows[0].facts, rows[0].received_unix_ms) == ({"n": 3}, NOW_UNIX_MS + 3)
    assert len(store.events()) == 4


# --- rollouts -----------------------------------------------------------------------------------


def rollout(rollout_id: str = "r1", *, bundle: str = ARTEFACT_B) -> Rollout:
    return Rollout(
        rollout_id=rollout_id,
        bundle_sha256=bundle,
        model="digits",
        model_version=2,
        created_unix_ms=NOW_UNIX_MS,
        deadline_unix_ms=NOW_UNIX_MS + 60_000,
        devices=(
            RolloutDevice("pi-porch", "home", "{}", started_unix_ms=NOW_UNIX_MS),
            RolloutDevice("pi-kitchen", "home", "{}", started_unix_ms=NOW_UNIX_MS),
        ),
    )


def test_a_counter_only_grows_for_each_device_and_key(store: Store, opener: Opener) -> None:
    assert store.next_counter("pi-kitchen", "k1", 1_000) == 1_000
    assert store.next_counter("pi-kitchen", "k1", 1_000) == 1_001
    assert store.next_counter("pi-kitchen", "k1", 500) == 1_002
    other = opener()
    assert other.next_counter("pi-kitchen", "k1", 5_000) == 5_000
    other.close()
    assert store.next_counter("pi-kitchen", "k2", 7) == 7
    assert store.next_counter("pi-porch", "k1", 8) == 8


def test_a_rollout_is_open_until_every_device_came_to_an_end(store: Store) -> None:
    store.create_rollout(rollout())
    assert store.open_rollouts() == (rollout(),)
    assert store.rollout("r1") == rollout()
    assert [device.device_id for device in store.rollout_devices("r1")] == [
        "pi-porch",
        "pi-kitchen",
    ]
    for device in rollout().devices:
        ended = replace(device, state="done", ended_unix_ms=NOW_UNIX_MS + 5, reason="well")
        store.set_rollout_device("r1", ended)
    assert store.open_rollouts() == ()
    assert {device.state for device in store.rollout_devices("r1")} == {"done"}
    assert {device.reason for device in store.rollout_devices("r1")} == {"well"}


def test_the_newest_rollout_says_what_is_desired_of_a_device(store: Store) -> None:
    store.put_reported("home", reported(), NOW_UNIX_MS)
    store.create_rollout(rollout("r1", bundle=ARTEFACT_B))
    store.create_rollout(rollout("r2", bundle="c" * 64))
    assert store.devices()[0].desired_sha256 == "c" * 64
    assert store.devices()[0].reported_sha256 == ARTEFACT_A


def test_unknown_and_repeated_rollouts_are_refused_or_empty(store: Store) -> None:
    store.create_rollout(rollout())
    with pytest.raises(ConfigError, match="there already"):
        store.create_rollout(rollout())
    with pytest.raises(ConfigError, match="has no device"):
        store.set_rollout_device("r9", rollout().devices[0])
    assert store.rollout("r9") is None
    assert store.rollout_devices("r9") == ()
