from green_edge.telemetry.presence import Presence, after_record, after_status, problems
from support.records import BOOT_A, BOOT_B, T0_UNIX_MS, event, sample, status

MINUTE_MS = 60_000


def seen(*turns: tuple[str, int]) -> Presence:
    """Births of boots at minutes after T0, by device and workstation clock alike."""
    known = None
    for boot_id, minute in turns:
        at = T0_UNIX_MS + minute * MINUTE_MS
        known = after_status(known, status(boot_id=boot_id, at_unix_ms=at), at)
    assert known is not None
    return known


def test_a_restart_is_no_problem() -> None:
    known = seen((BOOT_A, 0), (BOOT_B, 1))
    assert known.boot_id == BOOT_B
    assert problems(known, T0_UNIX_MS + 2 * MINUTE_MS) == ()


def test_a_reconnection_of_the_same_boot_is_no_problem() -> None:
    known = seen((BOOT_A, 0), (BOOT_A, 1), (BOOT_A, 2))
    assert known.rival_unix_ms is None
    assert known.since_unix_ms == T0_UNIX_MS


def test_an_old_birth_that_the_broker_brings_back_is_ignored() -> None:
    known = seen((BOOT_A, 0), (BOOT_B, 1))
    stale = status(boot_id=BOOT_A, at_unix_ms=T0_UNIX_MS)
    assert after_status(known, stale, T0_UNIX_MS + 5 * MINUTE_MS) == known


def test_a_new_birth_of_a_replaced_boot_means_two_agents_until_it_is_silent_for_long() -> None:
    known = seen((BOOT_A, 0), (BOOT_B, 1), (BOOT_A, 2))
    assert len(problems(known, T0_UNIX_MS + 3 * MINUTE_MS)) == 1
    assert problems(known, T0_UNIX_MS + 30 * MINUTE_MS) == ()


def test_records_replayed_of_a_replaced_boot_are_no_sign_of_life() -> None:
    known = seen((BOOT_A, 0), (BOOT_B, 1))
    old = sample(1, boot_id=BOOT_A, ended_at_unix_ms=T0_UNIX_MS + MINUTE_MS // 2)
    assert after_record(known, old, T0_UNIX_MS + 2 * MINUTE_MS) == known


def test_fresh_records_of_a_replaced_boot_mean_two_agents() -> None:
    known = seen((BOOT_A, 0), (BOOT_B, 1))
    now = T0_UNIX_MS + 3 * MINUTE_MS
    for fresh in (
        sample(1, boot_id=BOOT_A, ended_at_unix_ms=now),
        event(2, boot_id=BOOT_A, at_unix_ms=now),
    ):
        assert len(problems(after_record(known, fresh, now), now)) == 1


def test_records_with_a_clock_in_the_future_are_no_sign_of_life() -> None:
    known = seen((BOOT_A, 0), (BOOT_B, 1))
    ahead = sample(1, boot_id=BOOT_A, ended_at_unix_ms=T0_UNIX_MS + 90 * MINUTE_MS)
    assert after_record(known, ahead, T0_UNIX_MS + 3 * MINUTE_MS) == known


def test_a_device_first_heard_of_by_its_last_will_is_off_line() -> None:
    known = after_status(None, status(online=False), T0_UNIX_MS)
    assert not known.online
    assert known.changed_unix_ms == T0_UNIX_MS


def test_a_device_is_off_line_since_its_first_last_will_and_on_line_since_its_boot() -> None:
    known = seen((BOOT_A, 0))
    assert known.changed_unix_ms == T0_UNIX_MS
    gone = T0_UNIX_MS + 5 * MINUTE_MS
    for again in (gone, gone + MINUTE_MS, gone + 9 * MINUTE_MS):
        known = after_status(known, status(online=False), again)
        assert known.changed_unix_ms == gone
    back = after_status(known, status(at_unix_ms=gone), gone + MINUTE_MS)
    assert (back.online, back.changed_unix_ms) == (True, T0_UNIX_MS)
    restarted = after_status(known, status(boot_id=BOOT_B), gone + MINUTE_MS)
    assert restarted.changed_unix_ms == gone + MINUTE_MS


def test_records_that_cannot_be_read_are_a_problem_with_its_remedy() -> None:
    (problem,) = problems(None, T0_UNIX_MS, unread=True)
    assert "upgrade green-edge" in problem
    assert problems(None, T0_UNIX_MS) == ()
