"""Which model runs after a start: the active slot's, else the other one's, else none."""

import logging
from dataclasses import dataclass

from green_edge_agent.inference import LoadedModel
from green_edge_agent.install.bench import Bench
from green_edge_agent.install.slots import Slots
from green_edge_agent.install.state import (
    Artefact,
    InstallState,
    SlotName,
    with_active,
    with_bad,
    with_quarantined,
)
from green_edge_wire.errors import ActivationError, GreenEdgeError, ModelError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """What a start found.

    Attributes:
        model: ready to run; None when no slot holds one.
        failures: the slots that did not run, with the reason, in the order they were tried.
        returned: the agent went back to the slot that was not active.
    """

    model: LoadedModel | None
    failures: tuple[tuple[SlotName, str], ...] = ()
    returned: bool = False


def load_installed(slots: Slots, bench: Bench) -> Start:
    """Load the active slot; where it does not run, return to the other one for good.

    An accelerator is not waited for: the start has a host to talk to.

    A slot whose self-test fails is quarantined. One whose file is damaged is not: the artefact
    itself may be sound and can be fetched anew.

    Raises:
        DeviceError: the disk refused to keep the change.
        ModelError: this device has no runtime; without one every slot would look bad, so they are
            left as they are.
    """
    failures: list[tuple[SlotName, str]] = []
    first = slots.state.active
    name = first or slots.state.fallback
    while name is not None:
        try:
            model = bench.load_slot(name, wait=False)
        except ModelError:
            raise
        except GreenEdgeError as error:
            logger.warning("slot=%s does not run: %s", name, error)
            failures.append((name, str(error)))
            _give_up(slots, name, error)
            name = slots.state.fallback
            continue
        _make_active(slots, name, model.artefact)
        return Start(model, tuple(failures), returned=name != first)
    return Start(None, tuple(failures))


def _give_up(slots: Slots, name: SlotName, error: GreenEdgeError) -> None:
    reason, unfit = str(error), isinstance(error, ActivationError)

    def change(state: InstallState) -> InstallState:
        slot = state.slot(name)
        if unfit and slot is not None:
            state = with_quarantined(state, slot.artefact.sha256, reason)
        return with_bad(state, name, reason)

    slots.change(change)


def _make_active(slots: Slots, name: SlotName, artefact: Artefact) -> None:
    slots.change(lambda state: with_active(state, name, artefact))
