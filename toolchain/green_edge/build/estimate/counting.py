"""Instructions counted on emulated cores, or the reason why that could not be done."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from green_edge.build.options import Progress
from green_edge.emulate import Count, EmulationError, Refusal, Setting, cache_folder, count
from green_edge.targets.registry import Target

Counter = Callable[[bytes, Setting], Count | Refusal]


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted.

    Attributes:
        found: counts and refusals; settings that could not be tried are missing.
        reason: why these are missing.
    """

    found: Mapping[Setting, Count | Refusal]
    reason: str | None = None


def emulator(progress: Progress) -> Counter:
    """Counts by emulation, remembered in the user's cache."""

    def counter(model: bytes, setting: Setting) -> Count | Refusal:
        (found,) = count([model], setting, cache=cache_folder(), progress=progress)
        return found

    return counter


def setting_of(target: Target) -> Setting:
    """Runtime and core of a target's processor."""
    return Setting(target.runtime or "", target.runtime_version or "", target.cpu, target.arch)


def count_all(model: bytes, settings: Iterable[Setting], counter: Counter | None) -> Counts:
    """Count a model in each setting until one cannot be tried: the next would wait as long.

    Args:
        model: bytes of a .tflite.
        settings: each is counted once.
        counter: None where only the cost model is asked for.
    """
    if counter is None:
        return Counts({}, "as asked")
    found: dict[Setting, Count | Refusal] = {}
    for setting in dict.fromkeys(settings):
        try:
            found[setting] = counter(model, setting)
        except EmulationError as error:
            return Counts(found, str(error))
    return Counts(found)
