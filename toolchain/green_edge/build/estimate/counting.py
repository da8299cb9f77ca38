"""Instructions counted on emulated cores, or the reasons why that could not be done."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from green_edge.build.options import Progress
from green_edge.emulate import (
    Count,
    EmulationError,
    Refusal,
    Result,
    Setting,
    Uncounted,
    cache_folder,
    count,
    require_known,
)
from green_edge.targets.registry import Target

Counter = Callable[[bytes, Setting], Result]


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted.

    Attributes:
        found: counts and refusals.
        missing: why other settings were not counted.
        reason: why none was tried.
    """

    found: Mapping[Setting, Count | Refusal] = field(default_factory=dict)
    missing: Mapping[Setting, str] = field(default_factory=dict)
    reason: str | None = None

    def why_not(self, setting: Setting) -> str | None:
        """Why a setting was not counted; None where it was tried."""
        return None if setting in self.found else self.missing.get(setting, self.reason)


def emulator(progress: Progress) -> Counter:
    """Counts by emulation, remembered in the user's cache."""

    def counter(model: bytes, setting: Setting) -> Result:
        (found,) = count([model], setting, cache=cache_folder(), progress=progress)
        return found

    return counter


def setting_of(target: Target) -> Setting:
    """Runtime and core of a target's processor."""
    return Setting(target.runtime or "", target.runtime_version or "", target.cpu, target.arch)


def is_emulated(setting: Setting) -> bool:
    """Whether there are an emulated core and a runtime for a setting."""
    try:
        require_known(setting)
    except EmulationError:
        return False
    return True


def count_all(model: bytes, settings: Iterable[Setting], counter: Counter | None) -> Counts:
    """Count a model in each setting; one that cannot be had does not stop the others.

    Args:
        model: bytes of a .tflite.
        settings: each is counted once.
        counter: None where only the cost model is asked for.
    """
    if counter is None:
        return Counts(reason="as asked")
    found: dict[Setting, Count | Refusal] = {}
    missing: dict[Setting, str] = {}
    for setting in dict.fromkeys(settings):
        try:
            told = counter(model, setting)
        except EmulationError as error:
            missing[setting] = str(error)
            continue
        if isinstance(told, Uncounted):
            # A runtime may take several lines to say it; a reason is one.
            missing[setting] = " ".join(told.message.split())
        else:
            found[setting] = told
    return Counts(found, missing)
