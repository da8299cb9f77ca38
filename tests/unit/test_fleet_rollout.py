from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from green_edge.fleet import rollout as rules
from green_edge.fleet.rollout import Publish, Settle
from green_edge.telemetry.store import Rollout, RolloutDevice, RolloutState
from green_edge_wire.device import Reported, UpdateState

SHA = "a" * 64
DEVICE = RolloutDevice("pi", "home", "{}", started_unix_ms=100)
ROLLOUT = Rollout(
    "r1", SHA, "tiny", 2, created_unix_ms=100, deadline_unix_ms=1_000, devices=(DEVICE,)
)
ALL: tuple[RolloutState, ...] = (
    "pending", "announced", "done", "failed", "refused", "silent", "skipped",
)  # fmt: skip


def in_state(state: RolloutState) -> Rollout:
    return replace(ROLLOUT, devices=(replace(DEVICE, state=state),))


def report(state: UpdateState, *, rollout_id: str = "r1", active: str = SHA) -> Reported:
    return Reported("pi", "b", 0, state, active, SHA, rollout_id, "because")


def test_a_pending_device_is_told() -> None:
    assert rules.next_steps([ROLLOUT], 200) == (Publish("r1", DEVICE),)
    told = rules.announced(DEVICE, 200)
    assert (told.state, told.started_unix_ms) == ("announced", 200)


def test_an_announced_device_is_told_again_only_after_a_reconnection() -> None:
    rollout = in_state("announced")
    assert rules.next_steps([rollout], 200) == ()
    assert rules.next_steps([rollout], 200, again=True) == (Publish("r1", rollout.devices[0]),)
    assert rules.announced(rollout.devices[0], 300) == rollout.devices[0]


@pytest.mark.parametrize(
    ("said", "becomes"), [("active", "done"), ("refused", "refused"), ("failed", "failed")]
)
def test_a_final_report_ends_the_wait(said: UpdateState, becomes: RolloutState) -> None:
    device = rules.after_report(in_state("announced"), report(said), 300)
    assert device is not None
    assert (device.state, device.reason, device.ended_unix_ms) == (becomes, "because", 300)


@pytest.mark.parametrize("said", ["idle", "fetching", "verifying", "testing"])
def test_a_report_on_the_way_changes_nothing(said: UpdateState) -> None:
    assert rules.after_report(in_state("announced"), report(said), 300) is None


def test_a_retained_report_of_an_earlier_rollout_means_nothing() -> None:
    assert rules.after_report(ROLLOUT, report("active", rollout_id="r0"), 300) is None


def test_another_model_running_is_not_done() -> None:
    assert rules.after_report(ROLLOUT, report("active", active="b" * 64), 300) is None


def test_a_device_that_is_not_in_the_rollout_changes_nothing() -> None:
    stranger = replace(report("active"), device_id="other")
    assert rules.after_report(ROLLOUT, stranger, 300) is None


def test_a_device_that_tries_again_is_waited_for_and_its_reason_is_kept() -> None:
    trying = replace(report("failed"), retrying=True)
    device = rules.after_report(in_state("announced"), trying, 300)
    assert device is not None
    assert (device.state, device.reason, device.ended_unix_ms) == ("announced", "because", None)
    (step,) = rules.next_steps([replace(ROLLOUT, devices=(device,))], 1_000)
    assert isinstance(step, Settle)
    assert (step.device.state, step.device.reason) == ("failed", "because")


def test_a_failed_device_may_still_mend() -> None:
    device = rules.after_report(in_state("failed"), report("active"), 300)
    assert device is not None
    assert device.state == "done"


@given(st.sampled_from(["done", "refused", "silent", "skipped"]), st.sampled_from(
    ["active", "failed", "refused", "idle"]))  # fmt: skip
def test_any_other_final_state_stays(state: RolloutState, said: UpdateState) -> None:
    assert rules.after_report(in_state(state), report(said), 300) is None
    assert rules.next_steps([in_state(state)], 10_000, again=True) == ()


@pytest.mark.parametrize(("state", "why"), [("pending", "green-edge up"), ("announced", "report")])
def test_the_deadline_makes_a_device_silent_with_the_likely_reason(
    state: RolloutState, why: str
) -> None:
    (step,) = rules.next_steps([in_state(state)], 1_000)
    assert isinstance(step, Settle)
    assert step.device.state == "silent"
    assert why in step.device.reason
    assert step.device.ended_unix_ms == 1_000


def test_the_newest_rollout_of_a_device_takes_the_place_of_an_older_one() -> None:
    newer = replace(ROLLOUT, rollout_id="r2")
    first, second = rules.next_steps([ROLLOUT, newer], 200)
    assert isinstance(first, Settle)
    assert (first.rollout_id, first.device.state) == ("r1", "skipped")
    assert second == Publish("r2", DEVICE)


def test_a_refusal_without_an_order_does_not_take_the_place_of_an_older_rollout() -> None:
    older = in_state("announced")
    refused = RolloutDevice("pi", "home", "", "refused", "an older version")
    waiting = RolloutDevice("pi2", "home", "{}")
    newer = replace(ROLLOUT, rollout_id="r2", devices=(refused, waiting))
    assert rules.next_steps([older, newer], 200) == (Publish("r2", waiting),)


def test_the_same_device_id_at_two_sites_is_two_devices() -> None:
    elsewhere = replace(ROLLOUT, rollout_id="r2", devices=(replace(DEVICE, site="away"),))
    assert [type(step) for step in rules.next_steps([ROLLOUT, elsewhere], 200)] == [
        Publish,
        Publish,
    ]


@given(st.lists(st.sampled_from(ALL), min_size=1))
def test_exit_codes_tell_done_refused_and_anything_else_apart(states: list[RolloutState]) -> None:
    expected = {frozenset({"done"}): 0, frozenset({"refused"}): 5}.get(frozenset(states), 6)
    assert rules.exit_code(states) == expected
