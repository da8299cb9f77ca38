"""Which orders count and what they mean: the rules, without disk and network."""

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from green_edge.bundle.envelope import sign_cmd, sign_desired
from green_edge_agent.install import decide as rules
from green_edge_agent.install.orders import Order, Orders, Rejection
from green_edge_agent.install.slots import Slots
from green_edge_agent.install.state import (
    Artefact,
    InstallState,
    Seen,
    Slot,
    slot_infos,
    with_active,
    with_bad,
    with_quarantined,
    with_trial,
    without_quarantined,
    without_trial,
)
from green_edge_agent.install.trust import TrustedKeys
from green_edge_wire import codec
from green_edge_wire.command import Command, Desired, Envelope, signed_bytes
from green_edge_wire.topics import Down
from support.bundles import test_signer as signer

ONE = Artefact("1" * 64, "tiny", 1)
TWO = Artefact("2" * 64, "tiny", 2)
VERIFY = TrustedKeys([signer().public.text]).verify
ROOMY = 1 << 40


def desired(artefact: Artefact, *, downgrade: bool = False, length: int = 1000) -> Desired:
    return Desired(
        "r", artefact.sha256, length, ("http://h/x",), artefact.model, artefact.model_version,
        downgrade,
    )  # fmt: skip


def order(counter: int = 5, device: str = "pi") -> Envelope:
    return sign_desired(signer(), device, counter, desired(ONE))


def judged(
    envelope: Envelope, seen: Seen | None = None
) -> rules.Accepted | rules.Repeated | rules.Rejected:
    return rules.judge(Down.DESIRED, envelope, device_id="pi", verify=VERIFY, seen=seen)


def planned(wanted: Desired, state: InstallState, free_bytes: int = ROOMY) -> rules.Plan:
    return rules.decide(wanted, state, free_bytes=free_bytes, staged_bytes=0)


def test_the_first_envelope_of_a_trusted_key_is_accepted_with_its_counter() -> None:
    verdict = judged(order(7))
    assert isinstance(verdict, rules.Accepted)
    assert verdict.seen.counter == 7


def test_only_a_higher_counter_or_the_very_same_envelope_counts() -> None:
    seen = Seen(5, rules.digest_of(Down.DESIRED, order(5)))
    assert isinstance(judged(order(6), seen), rules.Accepted)
    assert isinstance(judged(order(5), seen), rules.Repeated)
    assert judged(order(4), seen) == rules.Rejected("the order's counter 4 is not above 5")
    other = sign_desired(signer(), "pi", 5, desired(TWO))
    assert isinstance(judged(other, seen), rules.Rejected)


@pytest.mark.parametrize(
    ("envelope", "said"),
    [
        (order(device="other"), "for device 'other'"),
        (replace(order(), body=order().body + " "), "signature does not match"),
        (replace(order(), counter=6), "signature does not match"),
        (replace(order(), signature="@@"), "not base64"),
        (sign_desired(signer(seed=9), "pi", 5, desired(ONE)), "unknown key"),
        (sign_cmd(signer(), "pi", 5, Command("c", "refresh", 9)), "signature does not match"),
    ],
)
def test_an_envelope_that_was_not_made_for_this_has_no_force(envelope: Envelope, said: str) -> None:
    verdict = judged(envelope)
    assert isinstance(verdict, rules.Rejected)
    assert said in verdict.reason


def test_an_order_is_fetched_unless_it_runs_already_or_lies_in_the_other_slot() -> None:
    state = with_active(InstallState(), "a", ONE)
    assert planned(desired(ONE), state) == rules.Already()
    assert planned(desired(TWO), state) == rules.Fetch()
    state = with_active(state, "b", TWO)
    assert planned(desired(ONE, downgrade=True), state) == rules.SwapBack("a")
    bad = with_bad(state, "a", "broken")
    assert planned(desired(ONE, downgrade=True), bad) == rules.Fetch()


def test_only_what_has_to_be_fetched_needs_a_length() -> None:
    state = with_active(with_active(InstallState(), "a", ONE), "b", TWO)
    assert planned(desired(ONE, downgrade=True, length=0), state) == rules.SwapBack("a")
    gone = with_bad(state, "a", "broken")
    refused = planned(desired(ONE, downgrade=True, length=0), gone)
    assert refused == rules.Refuse("a bundle of 0 bytes cannot be fetched")


def test_an_older_version_of_the_same_model_needs_leave() -> None:
    state = with_active(InstallState(), "a", TWO)
    refused = planned(desired(ONE), state)
    assert isinstance(refused, rules.Refuse)
    assert "older than the active 2" in refused.reason
    assert planned(desired(ONE, downgrade=True), state) == rules.Fetch()
    assert planned(desired(replace(ONE, model="other")), state) == rules.Fetch()
    assert planned(desired(replace(TWO, sha256="3" * 64)), state) == rules.Fetch()


def test_quarantine_holds_until_it_is_released() -> None:
    state = with_quarantined(InstallState(a=Slot(ONE, "bad")), ONE.sha256, "self-test failed")
    assert planned(desired(ONE), state) == rules.Refuse("in quarantine: self-test failed")
    free = without_quarantined(state, ONE.sha256)
    assert planned(desired(ONE), free) == rules.SwapBack("a")
    assert len(with_quarantined(state, ONE.sha256, "again").quarantine) == 1
    for number in range(100):
        state = with_quarantined(state, f"{number:064d}", "x")
    assert len(state.quarantine) == 64


def test_what_cannot_be_a_bundle_or_does_not_fit_is_told() -> None:
    nothing = InstallState()
    assert isinstance(planned(desired(ONE, length=0), nothing), rules.Refuse)
    assert isinstance(planned(desired(ONE, length=1 << 40), nothing), rules.Refuse)
    assert isinstance(planned(desired(replace(ONE, sha256="../x")), nothing), rules.Refuse)
    full = planned(desired(ONE), nothing, free_bytes=1000)
    assert isinstance(full, rules.NoRoom)
    assert "disk full" in full.reason


def test_a_command_expires_once_the_clock_is_set() -> None:
    command = Command("c", "refresh", rules.PLAUSIBLE_UNIX_MS + 1000)
    assert not rules.expired(command, 0)
    assert not rules.expired(command, rules.PLAUSIBLE_UNIX_MS + 1000)
    assert rules.expired(command, rules.PLAUSIBLE_UNIX_MS + 1001)
    assert not rules.expired(replace(command, expires_unix_ms=5), 6)


def test_slots_are_told_as_they_are() -> None:
    assert [s.state for s in slot_infos(InstallState())] == ["empty", "empty"]
    state = with_active(with_active(InstallState(), "a", ONE), "b", TWO)
    assert [(s.slot, s.state) for s in slot_infos(state)] == [("a", "previous"), ("b", "active")]
    assert state.inactive == "a"
    broken = with_bad(state, "b", "broken")
    assert broken.active is None
    assert broken.active_artefact is None
    assert (broken.fallback, broken.inactive) == ("a", "b")
    assert [s.state for s in slot_infos(broken)] == ["previous", "bad"]
    assert with_bad(InstallState(), "a", "x") == InstallState()


def test_trials_are_counted_for_each_digest_and_end_for_each_alone() -> None:
    state = with_trial(with_trial(with_trial(InstallState(), "x"), "y"), "x")
    assert state.trials == {"x": 2, "y": 1}
    assert without_trial(state, "y").trials == {"x": 2}
    assert without_trial(state, "z") == state
    for number in range(100):
        state = with_trial(state, f"{number}")
    assert list(state.trials) == [f"{number}" for number in range(84, 100)]


def test_a_state_with_the_single_trial_of_earlier_agents_can_be_read() -> None:
    text = '{"active":"a","trial":{"sha256":"x","starts":1},"schema":1}'
    state = codec.loads(InstallState, text, strict=False)
    assert (state.active, state.trials) == ("a", {})


@pytest.mark.parametrize("digest", ["\0", "../x", "", "A" * 64, "1" * 64 + "\n", "x" * 5000])
def test_a_signed_order_for_what_is_no_digest_is_rejected_and_not_kept(
    tmp_path: Path, digest: str
) -> None:
    slots = Slots(tmp_path)
    envelope = sign_desired(signer(), "pi", 1, desired(replace(ONE, sha256=digest)))
    rejection = Orders(slots, VERIFY, "pi").desired(codec.pack_one(envelope))
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "the order names no SHA-256 digest"
    assert rejection.desired is not None
    assert slots.state == InstallState()
    # As an agent that did not look at it has left it.
    slots.change(lambda state: replace(state, desired=envelope))
    assert Orders(slots, VERIFY, "pi").standing() == rejection


def test_a_standing_order_counts_while_its_key_and_its_device_do(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    assert Orders(slots, VERIFY, "pi").standing() is None
    assert isinstance(Orders(slots, VERIFY, "pi").desired(codec.pack_one(order(7))), Order)
    assert Orders(slots, VERIFY, "pi").standing() == Order(desired(ONE), 7, new=False)
    others = TrustedKeys([signer(seed=9).public.text]).verify
    revoked = Orders(slots, others, "pi").standing()
    assert isinstance(revoked, Rejection)
    assert "unknown key" in revoked.reason
    assert (revoked.counter, revoked.desired) == (7, desired(ONE))
    renamed = Orders(slots, VERIFY, "attic").standing()
    assert isinstance(renamed, Rejection)
    assert "for device 'pi'" in renamed.reason


def test_a_standing_order_that_cannot_be_read_is_rejected(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    message = signed_bytes(
        Down.DESIRED, device_id="pi", key_id=signer().key_id, counter=1, body="{}"
    )
    signature = base64.b64encode(signer().sign(message)).decode()
    envelope = Envelope("pi", signer().key_id, 1, "{}", signature)
    slots.change(lambda state: replace(state, desired=envelope))
    rejection = Orders(slots, VERIFY, "pi").standing()
    assert rejection == Rejection("unreadable order: rollout_id: missing", 1)
