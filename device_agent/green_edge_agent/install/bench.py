"""Where a bundle proves itself: fetched, verified, loaded and tested before it may run.

A model that takes the whole process down while it is loaded or tested is noted before and found at
the next start; the second time it is refused, so it cannot keep a device in a loop of restarts.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from green_edge_agent.inference import LoadedModel
from green_edge_agent.install.fetch import Wanted, fetch
from green_edge_agent.install.slots import Slots
from green_edge_agent.install.state import (
    Artefact,
    InstallState,
    SlotName,
    with_trial,
    without_trial,
)
from green_edge_agent.runtime import golden, interpreter
from green_edge_agent.runtime.contract import Runner
from green_edge_wire.archive import Bundle, Verify, open_bundle
from green_edge_wire.command import Desired
from green_edge_wire.device import UpdateState
from green_edge_wire.errors import ActivationError, DeviceError, IntegrityError, ModelError

logger = logging.getLogger(__name__)

_MAX_TRIALS = 2


class Accelerator(Protocol):
    """What may run a model in place of the CPU: see `accelerate.EdgeTpu`."""

    def over(self, cpu: Runner, bundle: Bundle, *, wait: bool) -> Runner:
        """What is to run in place of a tested model.

        Raises:
            ModelError: this device lacks what it needs, which says nothing about the bundle.
        """
        ...


class Bench:
    """Turns bundles into models that are ready to run.

    Args:
        slots: the disk.
        verify: the trusted keys.
        threads: of the interpreter.
        runtime: names the installed runtime, or raises ModelError.
        accelerator: for models that were tested on the CPU; None for no other processor.
    """

    def __init__(
        self,
        slots: Slots,
        verify: Verify,
        *,
        threads: int = 1,
        runtime: Callable[[], str] = interpreter.runtime_name,
        accelerator: Accelerator | None = None,
    ) -> None:
        self._slots = slots
        self._verify = verify
        self._threads = threads
        self._runtime = runtime
        self._accelerator = accelerator

    def bring(
        self,
        desired: Desired,
        step: Callable[[UpdateState], None],
        stopped: Callable[[], bool],
    ) -> LoadedModel:
        """Fetch a bundle into staging, verify it and test it; the slots are not touched.

        Args:
            desired: the order.
            step: told of each state that begins after `fetching`.
            stopped: asked while fetching.

        Raises:
            ArtifactError: the bundle must not run here.
            ActivationError: it does not run here.
            TransportError: it could not be brought now.
            DeviceError: the disk refused.
            ModelError: this device has no runtime.
            Stopped: as asked.
        """
        self._runtime()
        part = self._slots.part(desired.artifact_sha256)
        self._slots.clear_staging(keep=desired.artifact_sha256)
        fetch(
            Wanted(desired.urls, desired.artifact_sha256, desired.length_bytes),
            part,
            stopped=stopped,
        )
        step("verifying")
        try:
            content = part.read_bytes()
        except OSError as error:
            raise DeviceError(f"cannot read {part}: {error.strerror}") from error
        bundle = open_bundle(content, self._verify)
        found = (bundle.manifest.name, bundle.manifest.version)
        if found != (desired.model, desired.model_version):
            raise IntegrityError(
                f"holds {found[0]} version {found[1]}, "
                f"ordered was {desired.model} version {desired.model_version}",
                member="manifest.json",
            )
        step("testing")
        return self._load(bundle, wait=True)

    def load_slot(self, name: SlotName, *, wait: bool = True) -> LoadedModel:
        """Verify, load and test what a slot holds.

        Args:
            name: of the slot.
            wait: for the accelerator; else the model moves there by itself when that has worked.

        Raises:
            IntegrityError: the file is not what was installed.
            ActivationError: it does not run here.
            DeviceError: it cannot be read.
            ModelError: this device has no runtime, which says nothing about the slot.
        """
        self._runtime()
        return self._load(self._slots.open(name, self._verify), wait=wait)

    def _load(self, bundle: Bundle, *, wait: bool) -> LoadedModel:
        starts = self._slots.state.trials.get(bundle.sha256, 0)
        if starts >= _MAX_TRIALS:
            self._note(lambda state: without_trial(state, bundle.sha256))
            raise ActivationError(f"the agent ended {starts} times while it was tested")
        self._note(lambda state: with_trial(state, bundle.sha256))
        try:
            model = self._load_and_test(bundle)
        finally:
            self._note(lambda state: without_trial(state, bundle.sha256))
        if self._accelerator is None:
            return model
        # No part of the trial, for what fails there cannot end the agent. Last: what it starts is
        # closed with the model and by nobody else.
        runner = self._accelerator.over(model.interpreter, bundle, wait=wait)
        return replace(model, interpreter=runner)

    def _note(self, change: Callable[[InstallState], InstallState]) -> None:
        """Keep a trial's state; a full disk must not keep an installed model from running."""
        try:
            self._slots.change(change)
        except DeviceError as error:
            logger.warning("trial not noted: %s", error)

    def _load_and_test(self, bundle: Bundle) -> LoadedModel:
        try:
            net = interpreter.load(bundle.model(), threads=self._threads)
        except ModelError as error:
            # The runtime itself is there: it was asked for its name before.
            raise ActivationError(str(error)) from error
        golden.self_test(net, bundle)
        manifest = bundle.manifest
        return LoadedModel(
            artefact=Artefact(bundle.sha256, manifest.name, manifest.version),
            interpreter=net,
            pipeline=bundle.pipeline(),
            labels=bundle.labels(),
        )
