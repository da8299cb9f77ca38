"""What every store promises; parametrised by implementation."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from green_edge.telemetry.store import (
    Rollout,
    RolloutDevice,
    Store,
    StoreError,
    UnreadRecord,
    Watermark,
)
from green_edge_wire import codec
from green_edge_wire.errors import ConfigError
from green_edge_wire.telemetry import Event, Sample
from support.records import (
    ARTEFACT_A,
    ARTEFACT_B,
    BOOT_A,
    BOOT_B,
    T0_UNIX_MS,
    Steady,
    event,
    info,
    reported,
    sample,
    status,
    unread,
)

NOW_UNIX_MS = T0_UNIX_MS + 3_600_000


def commit(store: Store, *records: Sample | Event | UnreadRecord) -> tuple[Watermark, ...]:
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


def test_what_was_committed_is_there_for_the_next_process(
    store: Store, opener: Callable[[], Store]
) -> None:
    commit(store, *Steady().windows([1, 2, 3]))
    other = opener()
    assert other.figures() == store.figures()
    other.commit(Steady().windows([4]), site="home", received_unix_ms=NOW_UNIX_MS)
    other.close()
    assert store.figures()[0].windows == 4


# --- records of a newer device ------------------------------------------------------------------


def test_an_unread_record_moves_the_watermark_and_counts_as_a_missing_window(store: Store) -> None:
    marks = commit(store, Steady().window(1), unread(2), Steady().window(3))
    assert marks == (Watermark("pi-kitchen", BOOT_A, 3),)
    (figure,) = store.figures()
    assert (figure.windows, figure.windows_missing, figure.inferences) == (2, 1, 100)
    assert figure.energy_uj == 30_000_000


def test_an_unread_event_is_no_missing_window(store: Store) -> None:
    marks = commit(store, unread(1, channel="event"), Steady().window(2))
    assert marks == (Watermark("pi-kitchen", BOOT_A, 2),)
    assert store.figures()[0].windows_missing == 0
    assert store.events() == ()


def test_an_unread_window_is_missing_when_it_arrived(store: Store) -> None:
    commit(store, unread(1), Steady().window(2))
    (row,) = store.figures(until_unix_ms=NOW_UNIX_MS)
    assert row.windows_missing == 0
    (row,) = store.figures(until_unix_ms=NOW_UNIX_MS + 1)
    assert row.windows_missing == 1


def test_an_unread_record_is_not_given_up_as_well(store: Store) -> None:
    commit(store, unread(2))
    marks = commit(store, Steady().window(5, first_kept_seq=4))
    assert marks == (Watermark("pi-kitchen", BOOT_A, 3),)
    assert store.figures()[0].windows_missing == 3
    commit(store, unread(3))
    assert store.figures()[0].windows_missing == 3
    marks = commit(store, unread(4), unread(6, first_kept_seq=6))
    assert marks == (Watermark("pi-kitchen", BOOT_A, 6),)
    assert store.figures()[0].windows_missing == 5


def test_repeats_of_unread_records_change_nothing(store: Store) -> None:
    commit(store, Steady().window(1), unread(2))
    before = store.figures(), store.devices()
    assert commit(store, unread(2)) == (Watermark("pi-kitchen", BOOT_A, 2),)
    assert (store.figures(), store.devices()) == before


def test_a_record_that_can_be_read_takes_the_place_of_the_unread_one_but_not_the_other_way(
    store: Store,
) -> None:
    device = Steady()
    commit(store, device.window(1), unread(2))
    commit(store, device.window(2))
    commit(store, unread(1), unread(2))
    (figure,) = store.figures()
    assert (figure.windows, figure.windows_missing) == (2, 0)
    assert store.devices()[0].problems == ()


def test_unread_records_are_read_again_by_a_version_that_can(store: Store) -> None:
    windows = [unread(seq, text=codec.dumps(Steady().window(seq))) for seq in range(2, 1_203)]
    commit(store, Steady().window(1), *windows, unread(1_203), unread(1_204, channel="event"))
    told = unread(1_205, channel="event", text=codec.dumps(event(1_205)))
    commit(store, told)
    assert store.figures()[0].windows == 1
    assert store.reread() == 1_202
    (figure,) = store.figures()
    assert (figure.windows, figure.windows_missing, figure.inferences) == (1_202, 1, 60_100)
    assert [row.seq for row in store.events()] == [1_205]
    assert store.reread() == 0
    assert commit(store, event(1_205)) == (Watermark("pi-kitchen", BOOT_A, 1_205),)


def test_a_device_with_unread_records_says_so(store: Store) -> None:
    commit(store, Steady().window(1), Steady(device_id="pi-porch").window(1))
    commit(store, unread(2))
    kitchen, porch = store.devices()
    assert kitchen.problems == (
        "sent records that this version cannot read; they are kept: upgrade green-edge",
    )
    assert porch.problems == ()


# --- devices and events -------------------------------------------------------------------------


def test_a_device_appears_with_what_it_said_of_itself(store: Store) -> None:
    store.put_status("home", status(), NOW_UNIX_MS)
    store.put_info("home", info(), NOW_UNIX_MS + 1)
    failed = replace(reported("failed", reason="disk full"), runs_on="cpu")
    store.put_reported("home", failed, NOW_UNIX_MS + 2)
    (row,) = store.devices()
    assert (row.device_id, row.site, row.online) == ("pi-kitchen", "home", True)
    assert row.last_seen_unix_ms == NOW_UNIX_MS + 2
    assert row.board.startswith("Raspberry Pi 4")
    assert row.runtime == "ai-edge-litert 2.3.0"
    assert (row.state, row.reason, row.runs_on) == ("failed", "disk full", "cpu")
    assert row.reported_sha256 == row.desired_sha256 == ARTEFACT_A
    assert [meter.name for meter in row.meters] == ["hwmon:ina226", "rapl"]
    assert row.slots[0].state == "active"
    assert (row.groups, row.problems) == ((), ())


def test_a_device_that_only_sent_records_is_known_but_not_online(store: Store) -> None:
    commit(store, Steady().window(1))
    (row,) = store.devices()
    assert (row.device_id, row.online, row.board, row.state) == ("pi-kitchen", False, "", None)


def test_a_device_says_since_when_it_is_on_or_off_line(store: Store) -> None:
    commit(store, Steady().window(1))
    assert store.devices()[0].since_unix_ms is None
    for arrived, told in enumerate([status(), status(online=False), status(online=False)], 1):
        store.put_status("home", told, NOW_UNIX_MS + arrived)
        commit(store, Steady().window(1 + arrived))
    (row,) = store.devices()
    assert (row.online, row.since_unix_ms) == (False, NOW_UNIX_MS + 2)
    store.put_status("home", status(boot_id=BOOT_B), NOW_UNIX_MS + 9)
    (row,) = store.devices()
    assert (row.online, row.since_unix_ms) == (True, NOW_UNIX_MS + 9)


def test_a_listing_follows_what_devices_say_and_keeps_them_apart(store: Store) -> None:
    for device_id in ("pi-kitchen", "pi-porch"):
        store.put_info("home", info(device_id=device_id), NOW_UNIX_MS)
        store.put_reported("home", reported(device_id=device_id), NOW_UNIX_MS)
    assert [row.state for row in store.devices()] == ["active", "active"]
    store.put_reported("home", reported("failed", device_id="pi-porch"), NOW_UNIX_MS)
    store.put_info("home", replace(info(), board="a new board"), NOW_UNIX_MS)
    kitchen, porch = store.devices()
    assert (kitchen.state, kitchen.board) == ("active", "a new board")
    assert (porch.state, porch.board) == ("failed", info().board)
    assert store.devices() == (kitchen, porch)


def test_the_last_will_of_the_newest_boot_takes_a_device_off_line(store: Store) -> None:
    store.put_status("home", status(boot_id=BOOT_A), NOW_UNIX_MS)
    store.put_status("home", status(boot_id=BOOT_B), NOW_UNIX_MS + 1_000)
    store.put_status("home", status(boot_id=BOOT_A, online=False), NOW_UNIX_MS + 2_000)
    assert store.devices()[0].online
    assert store.devices()[0].problems == ()
    store.put_status("home", status(boot_id=BOOT_B, online=False), NOW_UNIX_MS + 3_000)
    assert not store.devices()[0].online


def test_a_device_that_fell_silent_without_a_will_is_off_line_since_its_last_sign(
    store: Store,
) -> None:
    store.put_status("home", status(), NOW_UNIX_MS)
    commit(store, *Steady().windows([1, 2]))
    (row,) = store.devices(NOW_UNIX_MS + 60_000)
    assert (row.online, row.since_unix_ms) == (True, NOW_UNIX_MS)
    store.put_info("home", info(), NOW_UNIX_MS + 30_000)
    (row,) = store.devices(NOW_UNIX_MS + 3 * 86_400_000)
    assert (row.online, row.since_unix_ms) == (False, NOW_UNIX_MS + 30_000)
    commit_at = NOW_UNIX_MS + 3 * 86_400_000
    store.commit([Steady().window(3)], site="home", received_unix_ms=commit_at)
    (row,) = store.devices(commit_at + 1)
    assert (row.online, row.since_unix_ms) == (True, NOW_UNIX_MS)


def test_a_device_with_long_windows_may_be_silent_for_longer(store: Store) -> None:
    store.put_status("home", status(), NOW_UNIX_MS)
    commit(store, *(sample(seq, window_s=600.0) for seq in (1, 2)), sample(3, window_s=1.0))
    assert store.devices(NOW_UNIX_MS + 1_799_000)[0].online
    assert not store.devices(NOW_UNIX_MS + 1_801_000)[0].online


def test_a_birth_three_days_old_without_any_window_is_off_line(store: Store) -> None:
    store.put_status("home", status(), NOW_UNIX_MS)
    assert store.devices(NOW_UNIX_MS + 3_600_000)[0].online  # its first window may be an hour long
    (row,) = store.devices(NOW_UNIX_MS + 3 * 86_400_000)
    assert (row.online, row.since_unix_ms) == (False, NOW_UNIX_MS)


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


def test_a_counter_only_grows_for_each_device_and_key(
    store: Store, opener: Callable[[], Store]
) -> None:
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
