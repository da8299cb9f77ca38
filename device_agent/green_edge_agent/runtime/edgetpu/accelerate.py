"""Decides whether a bundle's model runs on the Edge TPU, and knows the models that may.

A device has one Edge TPU as far as we are concerned, and one process can hold it. So while a new
model is tested on it, the one that runs lends it.
"""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from green_edge_agent.config import RuntimeConfig
from green_edge_agent.runtime import golden
from green_edge_agent.runtime.contract import Runner
from green_edge_agent.runtime.edgetpu.find import chosen, find
from green_edge_agent.runtime.edgetpu.guarded import Guarded, News, Prepare
from green_edge_agent.runtime.edgetpu.process import EdgeTpuProcess, Load
from green_edge_wire.archive import Bundle
from green_edge_wire.clock import Clock
from green_edge_wire.device import AcceleratorInfo
from green_edge_wire.errors import DeviceError, ModelError

# Loading brings the firmware and the model's parameters over USB; an inference does not.
_LOAD_PER_INVOKE = 4


class EdgeTpu:
    """The device's Edge TPU.

    Args:
        settings: of its use.
        root: see `meters.sysroot`.
        clock: for deadlines.
        tell: hears what happens, in whatever thread it happens.
    """

    def __init__(
        self, settings: RuntimeConfig, root: Path, clock: Clock, tell: Callable[[News], None]
    ) -> None:
        self._settings = settings
        self._root = root
        self._clock = clock
        self._tell = tell
        self._lock = threading.Lock()
        # The last one may have the device; those before it lend it.
        self._held: list[Guarded] = []
        self._closed = False
        self._complaint = ""

    def info(self, running: Runner | None) -> AcceleratorInfo | None:
        """What to say of the accelerator; None when there is none.

        Args:
            running: what the inference loop runs.
        """
        found = chosen(find(self._root))
        return None if found is None else AcceleratorInfo(found.name, self._refusal(running))

    def over(self, cpu: Runner, bundle: Bundle, *, wait: bool) -> Runner:
        """The bundle's model with the Edge TPU over it where there is one for it, else as it is.

        Args:
            cpu: the bundle's model on the CPU, tested.
            bundle: with the model for the Edge TPU and what was recorded.
            wait: until it is tested there or given up; else the model is tested in a thread of its
                own and moves there once that has passed.

        Raises:
            ModelError: in mode `edgetpu`, the model does not work there; only while waiting.
        """
        if self._settings.accelerator == "none" or bundle.edgetpu_model() is None:
            return cpu
        name = f"{bundle.manifest.name} version {bundle.manifest.version}"
        guard = Guarded(
            name,
            cpu,
            partial(self._spawn, bundle, name),
            insists=self._settings.accelerator == "edgetpu",
            tell=self._tell,
            closed=self._gone,
        )
        with ExitStack() as undo:
            undo.callback(guard.close)
            before = self._hold(guard)
            if wait:
                if before is not None:
                    before.lend()
                self._acquire(guard, name)
            else:
                guard.begin()
            undo.pop_all()
        return guard

    def close(self) -> None:
        """End whatever runs there or is being loaded, for good."""
        with self._lock:
            self._closed = True
            held, self._held = self._held, []
        for guard in held:
            guard.close()

    def _acquire(self, guard: Guarded, name: str) -> None:
        try:
            guard.acquire()
        except DeviceError as error:
            if self._settings.accelerator != "edgetpu":
                guard.give_up(str(error))
                return
            complaint = f"{name} does not run: the Edge TPU does not take it: {error}"
            # The order is tried again and again, and this is news once.
            if complaint != self._complaint:
                self._tell(News(complaint, "none"))
            self._complaint = complaint
            raise ModelError(
                f"the Edge TPU does not run the model: {error.message}",
                hint=error.hint or "see 'green-edge-agent doctor'",
            ) from error
        self._complaint = ""

    def _refusal(self, running: Runner | None) -> str | None:
        if running is None:
            return "no model is installed"
        if isinstance(running, Guarded):
            return running.refusal
        if self._settings.accelerator == "none":
            return "[runtime] accelerator = none"
        return "the bundle has no model for it"

    def _hold(self, guard: Guarded) -> Guarded | None:
        """Note the next one to have the device; returns the one before it."""
        with self._lock:
            if self._closed:
                raise ModelError("the agent stops")
            self._held.append(guard)
            return self._held[-2] if len(self._held) > 1 else None

    def _gone(self, holder: Guarded) -> None:
        """Where the one that has the device is closed, the one before it gets it back."""
        with self._lock:
            if holder not in self._held:
                return
            had_it = self._held[-1] is holder
            self._held.remove(holder)
            before = self._held[-1] if self._held else None
        if had_it and before is not None:
            before.take_back()

    def _spawn(self, bundle: Bundle, name: str) -> tuple[EdgeTpuProcess, Prepare]:
        device = chosen(find(self._root))
        if device is None:
            raise DeviceError(
                "no Edge TPU was found on USB or PCIe",
                hint="see that it is connected, or set accelerator = 'none' in [runtime]",
            )
        settings = self._settings
        load = Load(
            bundle.edgetpu_model() or b"",
            settings.delegate,
            device.bus,
            settings.threads,
            load_s=_LOAD_PER_INVOKE * settings.timeout_s,
            invoke_s=settings.timeout_s,
        )
        process = EdgeTpuProcess(load)

        def prepare() -> str:
            process.start(self._clock)
            golden.self_test(process, bundle, self._clock, judge=golden.other_arithmetic)
            library = process.loaded.library or "a library that does not tell its version"
            return f"{device.name} runs {name}, with {library}"

        return process, prepare
