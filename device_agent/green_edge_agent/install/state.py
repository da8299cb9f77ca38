"""What the device remembers of its updates, as one value and pure changes of it.

The value is one small file on disk, replaced as a whole (see `slots`). Hence slots, active choice,
counters and quarantine can never contradict each other, whenever the power goes.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from green_edge_wire.command import Envelope
from green_edge_wire.device import SlotInfo, SlotState

SlotName = Literal["a", "b"]
SLOT_NAMES: tuple[SlotName, SlotName] = ("a", "b")

# Oldest entries leave beyond this; a digest that old comes back only by an order signed anew.
_QUARANTINE_KEPT = 64
# Likewise; loads that were not survived are few, for the second one ends in quarantine.
_TRIALS_KEPT = 16


@dataclass(frozen=True, slots=True)
class Artefact:
    """A bundle by its names: the file's digest, and the model in it."""

    sha256: str
    model: str
    model_version: int


NO_ARTEFACT = Artefact("", "", 0)


@dataclass(frozen=True, slots=True)
class Slot:
    """One of the two places. `bad` says why its content must not run; empty when it may."""

    artefact: Artefact
    bad: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """Highest counter of one key on one channel, with the digest of the envelope that had it."""

    counter: int
    digest: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A digest that must not run here until an operator releases it."""

    sha256: str
    reason: str


@dataclass(frozen=True, slots=True)
class InstallState:
    """Content of `install.json`.

    Attributes:
        active: slot that runs; absent before the first install.
        seen: by `<channel>:<key id>`.
        desired: the newest accepted order; it is carried out again after a restart.
        trials: by digest, how often its load was begun and not survived. Each digest has its own
            count, so that a load that works says nothing about another that ended the agent. The
            single `trial` of earlier files is not read; it costs such a model one more start.
    """

    active: SlotName | None = None
    a: Slot | None = None
    b: Slot | None = None
    seen: dict[str, Seen] = field(default_factory=dict)
    quarantine: tuple[Quarantined, ...] = ()
    desired: Envelope | None = None
    trials: dict[str, int] = field(default_factory=dict)
    schema: int = 1

    def slot(self, name: SlotName) -> Slot | None:
        """Content of a slot; None when it is empty."""
        return self.a if name == "a" else self.b

    @property
    def inactive(self) -> SlotName:
        """Slot that the next install goes to: not the active one, nor the only one that may run."""
        if self.active is not None:
            return "b" if self.active == "a" else "a"
        return "b" if self.a is not None and not self.a.bad else "a"

    @property
    def active_artefact(self) -> Artefact | None:
        """What runs; None when nothing does."""
        slot = None if self.active is None else self.slot(self.active)
        return None if slot is None else slot.artefact

    @property
    def fallback(self) -> SlotName | None:
        """A slot beside the active one whose content may run."""
        for name in SLOT_NAMES:
            slot = self.slot(name)
            if name != self.active and slot is not None and not slot.bad:
                return name
        return None

    def quarantine_reason(self, sha256: str) -> str | None:
        """Why a digest must not run; None when it may."""
        return next((entry.reason for entry in self.quarantine if entry.sha256 == sha256), None)


def with_slot(state: InstallState, name: SlotName, slot: Slot | None) -> InstallState:
    """State with another content of one slot."""
    return replace(state, a=slot) if name == "a" else replace(state, b=slot)


def with_active(state: InstallState, name: SlotName, artefact: Artefact) -> InstallState:
    """State in which a slot holds an artefact and runs."""
    return replace(with_slot(state, name, Slot(artefact)), active=name)


def with_bad(state: InstallState, name: SlotName, reason: str) -> InstallState:
    """State in which a slot's content is known not to run here; if it was active, nothing is."""
    slot = state.slot(name)
    if slot is None:
        return state
    state = with_slot(state, name, replace(slot, bad=reason))
    return replace(state, active=None) if state.active == name else state


def with_quarantined(state: InstallState, sha256: str, reason: str) -> InstallState:
    """State in which a digest is refused."""
    others = tuple(entry for entry in state.quarantine if entry.sha256 != sha256)
    kept = (*others, Quarantined(sha256, reason))[-_QUARANTINE_KEPT:]
    return replace(state, quarantine=kept)


def without_quarantined(state: InstallState, sha256: str) -> InstallState:
    """State in which a digest may be tried again; a slot that holds it too."""
    kept = tuple(entry for entry in state.quarantine if entry.sha256 != sha256)
    state = replace(state, quarantine=kept)
    for name in SLOT_NAMES:
        slot = state.slot(name)
        if slot is not None and slot.artefact.sha256 == sha256:
            state = with_slot(state, name, replace(slot, bad=""))
    return state


def with_seen(state: InstallState, place: str, seen: Seen) -> InstallState:
    """State that remembers an envelope's counter."""
    return replace(state, seen={**state.seen, place: seen})


def with_trial(state: InstallState, sha256: str) -> InstallState:
    """State in which one more load of a digest is begun."""
    begun = without_trial(state, sha256).trials | {sha256: state.trials.get(sha256, 0) + 1}
    return replace(state, trials=dict(list(begun.items())[-_TRIALS_KEPT:]))


def without_trial(state: InstallState, sha256: str) -> InstallState:
    """State in which the loads of a digest are survived; those of others are not touched."""
    kept = {digest: starts for digest, starts in state.trials.items() if digest != sha256}
    return replace(state, trials=kept)


def slot_infos(state: InstallState) -> tuple[SlotInfo, ...]:
    """The slots as the wire tells them."""
    return tuple(_info(state, name) for name in SLOT_NAMES)


def _info(state: InstallState, name: SlotName) -> SlotInfo:
    slot = state.slot(name)
    if slot is None:
        return SlotInfo(name, "empty")
    kind: SlotState = "previous"
    if slot.bad or state.quarantine_reason(slot.artefact.sha256) is not None:
        kind = "bad"
    elif name == state.active:
        kind = "active"
    held = slot.artefact
    return SlotInfo(name, kind, held.sha256, held.model, held.model_version)
