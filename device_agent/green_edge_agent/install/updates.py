"""The update state machine: orders come in, models come out, every step is reported.

States as the wire names them: idle -> fetching -> verifying -> testing -> active, or refused (must
not run here) or failed (could not be installed now; tried again while the order stands, unless its
self-test failed).

Fetching, verifying and testing run in a worker thread, for what a slot holds already as for what
is fetched. The worker touches the staging folder only, so the running model and the fallback stay
whole until a tested successor is there. Decision and swap happen in the service's thread.
"""

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from green_edge_agent.inference import LoadedModel
from green_edge_agent.install import decide as rules
from green_edge_agent.install.fetch import Stopped
from green_edge_agent.install.orders import Order, Rejection
from green_edge_agent.install.slots import Slots
from green_edge_agent.install.state import (
    SlotName,
    slot_infos,
    with_active,
    with_bad,
    with_quarantined,
)
from green_edge_wire.clock import Clock
from green_edge_wire.command import Desired
from green_edge_wire.device import Reported, UpdateState
from green_edge_wire.errors import ActivationError, ArtifactError, DeviceError, GreenEdgeError
from green_edge_wire.telemetry import EventKind
from green_edge_wire.units import NS_PER_S

logger = logging.getLogger(__name__)

_RETRY_MIN_NS = 5 * NS_PER_S
_RETRY_MAX_NS = 300 * NS_PER_S

Facts = dict[str, str | int]


class Workbench(Protocol):
    """What the worker needs: see `bench.Bench`. Whatever it raises is a GreenEdgeError."""

    def bring(
        self,
        desired: Desired,
        step: Callable[[UpdateState], None],
        stopped: Callable[[], bool],
    ) -> LoadedModel:
        """Fetch a bundle into staging, verify it and test it."""
        ...

    def load_slot(self, name: SlotName) -> LoadedModel:
        """Verify, load and test what a slot holds."""
        ...


class Device(Protocol):
    """What the state machine needs of the agent around it."""

    @property
    def running_sha256(self) -> str:
        """Digest of the model that answers now; empty when there is none."""
        ...

    def activate(self, model: LoadedModel, install: Callable[[], None]) -> None:
        """Swap to a model between two inferences; `install` makes it durable and may refuse.

        Raises:
            DeviceError: `install` refused; the old model runs on.
        """
        ...

    def publish_reported(self, reported: Reported) -> None:
        """Tell the host."""
        ...

    def emit(self, kind: EventKind, message: str, facts: Facts) -> None:
        """Write an event into the spool."""
        ...


@dataclass(frozen=True, slots=True)
class _Job:
    """What the worker is at: an order's artefact, from a slot that holds it or fetched."""

    order: Order
    slot: SlotName | None = None


@dataclass(frozen=True, slots=True)
class _Step:
    """The worker has come so far."""

    state: UpdateState


@dataclass(frozen=True, slots=True)
class _Done:
    """The worker has ended: with a tested model, or why there is none."""

    outcome: LoadedModel | GreenEdgeError


class Updates:
    """Carries out orders. All public methods are for the service's thread.

    Args:
        slots: the disk.
        bench: brings and tests bundles.
        device: the agent around.
        initial: the first report, with the names of device and boot.
        clock: times retries and stamps reports.
        wake: called from the worker when there is something to `poll`.
    """

    def __init__(
        self,
        slots: Slots,
        bench: Workbench,
        device: Device,
        *,
        initial: Reported,
        clock: Clock,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._slots = slots
        self._bench = bench
        self._device = device
        self._clock = clock
        self._wake = wake
        self._results: queue.SimpleQueue[_Step | _Done] = queue.SimpleQueue()
        self._worker: tuple[threading.Thread, _Job] | None = None
        self._stopping = threading.Event()
        self._order: Order | None = None
        self._retry_at_ns: int | None = None
        self._retry_ns = _RETRY_MIN_NS
        self.reported = replace(initial, slots=slot_infos(slots.state))

    @property
    def busy(self) -> bool:
        """Whether a worker runs."""
        return self._worker is not None

    def carry_out(self, order: Order) -> None:
        """Do what an order asks, now or when the one before it has ended."""
        self._order = order
        self._retry_at_ns = None
        if order.new:
            self._retry_ns = _RETRY_MIN_NS
        if self._worker is not None:
            return
        desired = order.desired
        plan = rules.decide(
            desired,
            self._slots.state,
            free_bytes=self._slots.free_bytes(),
            staged_bytes=self._slots.staged_bytes(desired.artifact_sha256),
        )
        match plan:
            case rules.Already():
                self._confirm(order)
            case rules.Refuse(reason):
                self._refuse(reason)
            case rules.NoRoom(reason):
                self._fail(reason)
            case rules.SwapBack(slot):
                self._start(_Job(order, slot))
            case rules.Fetch():
                self._start(_Job(order))

    def reject(self, rejection: Rejection) -> None:
        """Tell the sender of an order without force why nothing happens."""
        desired = rejection.desired
        self._publish(
            replace(
                self._current("refused", rejection.reason),
                desired_sha256="" if desired is None else desired.artifact_sha256,
                rollout_id="" if desired is None else desired.rollout_id,
                counter=rejection.counter,
            )
        )
        self._device.emit("refused", rejection.reason, {"counter": rejection.counter})

    def retry(self) -> None:
        """Look at the standing order again at once, as after a release from quarantine."""
        if self._order is not None and self._worker is None:
            self.carry_out(replace(self._order, new=True))

    def poll(self) -> None:
        """Take what the worker has to say, and start a retry that is due."""
        while not self._results.empty():
            match self._results.get():
                case _Step(state):
                    self._report(state)
                case _Done(outcome):
                    self._finish(outcome)
        if self._worker is not None and not self._worker[0].is_alive() and self._results.empty():
            # Its traceback is in the log.
            self._finish(GreenEdgeError("the install ended unexpectedly"))
        due_ns = self._retry_at_ns
        if due_ns is not None and self._clock.monotonic_ns() >= due_ns and self._order is not None:
            self.carry_out(replace(self._order, new=False))

    def stop(self) -> None:
        """Let a worker end; what it has fetched stays for the next start."""
        self._stopping.set()
        if self._worker is not None:
            self._worker[0].join(timeout=2.0)

    # --- the worker ------------------------------------------------------------------------------

    def _start(self, job: _Job) -> None:
        self._report("fetching" if job.slot is None else "testing")
        thread = threading.Thread(target=self._work, args=(job,), name="install", daemon=True)
        self._worker = (thread, job)
        thread.start()

    def _work(self, job: _Job) -> None:
        outcome: LoadedModel | GreenEdgeError
        try:
            if job.slot is None:
                outcome = self._bench.bring(job.order.desired, self._step, self._stopping.is_set)
            else:
                outcome = self._bench.load_slot(job.slot)
        except Stopped:
            return
        except GreenEdgeError as error:
            outcome = error
        self._results.put(_Done(outcome))
        self._wake()

    def _step(self, state: UpdateState) -> None:
        self._results.put(_Step(state))
        self._wake()

    def _finish(self, outcome: LoadedModel | GreenEdgeError) -> None:
        try:
            self._ended(outcome)
        except DeviceError as error:
            # The disk did not take what the outcome changes: the order stands and is tried again.
            self._fail(str(error))

    def _ended(self, outcome: LoadedModel | GreenEdgeError) -> None:
        if self._worker is None or self._order is None:
            return
        thread, job = self._worker
        thread.join()
        self._worker = None
        desired = job.order.desired
        if self._order.desired.artifact_sha256 != desired.artifact_sha256:
            # A newer order came meanwhile; what was fetched stays in staging.
            if isinstance(outcome, LoadedModel):
                outcome.interpreter.close()
            self.carry_out(self._order)
        elif isinstance(outcome, LoadedModel):
            self._activate(job, outcome)
        elif isinstance(outcome, ActivationError):
            # Fetched anew, the same bytes would fail again: a slot that holds them is bad, too.
            self._quarantine(desired, str(outcome))
            self._give_up(job.slot, str(outcome))
            self._report("failed", str(outcome))
            self._device.emit("install", str(outcome), _facts(desired))
        elif job.slot is not None and isinstance(outcome, ArtifactError | DeviceError):
            logger.warning("slot=%s does not load, fetching anew: %s", job.slot, outcome)
            self._give_up(job.slot, str(outcome))
            self.carry_out(self._order)
        elif isinstance(outcome, ArtifactError):
            self._quarantine(desired, str(outcome))
            self._refuse(str(outcome))
        else:
            self._fail(str(outcome))

    # --- outcomes --------------------------------------------------------------------------------

    def _confirm(self, order: Order) -> None:
        """Report what is installed already as active, but only once it runs."""
        if self._device.running_sha256 == order.desired.artifact_sha256:
            self._report("active")
        else:
            # As after a start without a runtime: each retry of the order looks for one.
            self._start(_Job(order, self._slots.state.active))

    def _activate(self, job: _Job, model: LoadedModel) -> None:
        slot, held = job.slot, model.artefact

        def install() -> None:
            if slot is None:
                self._slots.install(self._slots.part(held.sha256), held)
            else:
                self._slots.change(lambda state: with_active(state, slot, held))

        try:
            self._device.activate(model, install)
        except DeviceError as error:
            model.interpreter.close()
            self._fail(str(error))
            return
        self._retry_ns = _RETRY_MIN_NS
        self._report("active")
        message = f"{held.model} version {held.model_version} runs"
        self._device.emit("install", message, _facts(job.order.desired))

    def _give_up(self, slot: SlotName | None, reason: str) -> None:
        if slot is not None:
            self._slots.change(lambda state: with_bad(state, slot, reason))

    def _quarantine(self, desired: Desired, reason: str) -> None:
        digest = desired.artifact_sha256
        self._slots.part(digest).unlink(missing_ok=True)
        self._slots.change(lambda state: with_quarantined(state, digest, reason))

    def _refuse(self, reason: str) -> None:
        before = self.reported
        self._report("refused", reason)
        # A retained order comes again at every reconnection; its refusal is news only once.
        news = (before.state, before.reason, before.rollout_id)
        if self._order is not None and news != ("refused", reason, self.reported.rollout_id):
            self._device.emit("refused", reason, _facts(self._order.desired))

    def _fail(self, reason: str) -> None:
        logger.warning("update failed: %s", reason)
        self._publish(replace(self._current("failed", reason), retrying=True))
        self._retry_at_ns = self._clock.monotonic_ns() + self._retry_ns
        self._retry_ns = min(2 * self._retry_ns, _RETRY_MAX_NS)

    def _report(self, state: UpdateState, reason: str = "") -> None:
        self._publish(self._current(state, reason))

    def _current(self, state: UpdateState, reason: str) -> Reported:
        """Report of a state, about the order at hand where there is one."""
        installed, order = self._slots.state, self._order
        active = installed.active_artefact
        return replace(
            self.reported,
            at_unix_ms=self._clock.unix_ms(),
            state=state,
            active_sha256="" if active is None else active.sha256,
            desired_sha256="" if order is None else order.desired.artifact_sha256,
            rollout_id="" if order is None else order.desired.rollout_id,
            reason=reason,
            counter=0 if order is None else order.counter,
            slots=slot_infos(installed),
            retrying=False,
        )

    def _publish(self, reported: Reported) -> None:
        self.reported = reported
        self._device.publish_reported(reported)


def _facts(desired: Desired) -> Facts:
    return {
        "rollout_id": desired.rollout_id,
        "artifact_sha256": desired.artifact_sha256,
        "model": desired.model,
        "model_version": desired.model_version,
    }
