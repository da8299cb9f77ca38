"""The repair ladder: which rung comes next, what it stands on, and why it is left out.

The rungs are tried in turn, and each candidate is compared with the best so far; one that does not
improve it is dropped. Nothing here converts or measures.
"""

from dataclasses import dataclass, replace

from green_edge.core.recipe import (
    CALIBRATIONS,
    Calibration,
    Method,
    Recipe,
    Repair,
    WideDtype,
)
from green_edge.core.report import Guard
from green_edge.evaluate.intervals import tango

Rung = Calibration | Repair

_PP = 100.0

# A model that passes is still improved where that costs nothing on the device, down to this drop.
GOAL_PP = 0.5
# Training takes minutes, and wide layers are slower: only for a model that does not pass.
_DEAR: tuple[Rung, ...] = ("fine-tune", "mixed")

# These work on the int8 file of either quantizer; the others start from the float .tflite, which
# the TF converter does not read.
_ON_INT8: tuple[Rung, ...] = ("bias-correction", "adaptive-rounding", "fine-tune")


@dataclass(frozen=True, slots=True)
class Means:
    """What a build lacks: for each kind of rung the reason why it cannot be taken, else None.

    Attributes:
        no_aeq: of the rungs that need ai-edge-quantizer.
        no_training: of fine-tuning.
        no_wide: of mixed precision.
        no_rounding: of adaptive rounding.
        no_scaling: of equalisation.
    """

    no_aeq: str | None = None
    no_training: str | None = None
    no_wide: str | None = None
    no_rounding: str | None = None
    no_scaling: str | None = None


def rungs(recipe: Recipe) -> tuple[Rung, ...]:
    """All rungs of a recipe in their order."""
    return (*recipe.calibrations[1:], *recipe.repair)


def begins(guard: Guard) -> bool:
    """Whether a candidate needs repair: it fails, or its drop is beyond the limit, if not surely.

    A drop that is allowed but not yet sure needs more evaluation samples, and no repair. So does
    one that may be chance, where no candidate could pass on so few of them.
    """
    undecided = guard.verdict == "inconclusive" and guard.drop_pp > guard.max_drop_pp
    return guard.verdict == "fail" or (undecided and (_decidable(guard) or guard.low_pp > 0))


def wanted(rung: Rung, guard: Guard) -> bool:
    """Whether a ladder that has begun goes on with a rung, by the guard's word on the best so far.

    Until the guard passes every rung is, as long as there is a drop to win back. After that only
    those that cost nothing on the device are, until the drop is `GOAL_PP` at most.
    """
    if guard.verdict != "pass":
        return guard.drop_pp > 0
    return rung not in _DEAR and guard.drop_pp > GOAL_PP


def _decidable(guard: Guard) -> bool:
    """Whether a candidate that answers every sample as the float model would pass."""
    return tango(0, 0, guard.n, looks=guard.looks).high * _PP <= guard.max_drop_pp


def missing(rung: Rung, means: Means) -> str | None:
    """Why a rung cannot be taken in a build; None if it can."""
    own = {
        "fine-tune": means.no_training,
        "mixed": means.no_wide,
        "adaptive-rounding": means.no_rounding,
        "equalisation": means.no_scaling,
    }.get(rung)
    return own if own is not None or rung in _ON_INT8 else means.no_aeq


def climbed(rung: Rung, base: Method) -> Method:
    """The method of a rung on top of `base`; `mixed` names its layers.

    `base` is not fine-tuned: such a model has other weights than the float one, by which the other
    rungs go.
    """
    match rung:
        case "fine-tune":
            return Method("tf", repairs=("fine-tune",))
        case "bias-correction" | "adaptive-rounding":
            return replace(base, repairs=(*base.repairs, rung))
        case "equalisation" | "mixed":
            return replace(_by_aeq(base), repairs=(*base.repairs, rung))
        case _:
            return replace(_by_aeq(base), calibration=rung)


def stands_on(rung: Rung, method: Method) -> Method | None:
    """What the candidate of a rung was made from; None where that is the float model itself."""
    if rung in CALIBRATIONS or rung == "fine-tune":
        return None
    return replace(method, repairs=tuple(r for r in method.repairs if r != rung), wide=())


def starts(rung: Rung, base: Method, recipe: Recipe) -> tuple[Method, ...]:
    """The methods that a rung is tried on top of: the best one first.

    Ranges that were best for a model with outlying channels clip them. Once equalisation has evened
    these out, every calibration deserves another look. Once mixed precision has taken them out of
    int8, the first one does, without the repairs of int8 layers that may be left to few.
    """
    if rung == "equalisation":
        others = [replace(_by_aeq(base), calibration=c) for c in recipe.calibrations]
    elif rung == "mixed":
        kept = tuple(repair for repair in base.repairs if repair == "equalisation")
        others = [Method("aeq", recipe.calibrations[0], kept)]
    else:
        others = []
    return base, *(other for other in others if other != _by_aeq(base))


def mixed(base: Method, layers: tuple[str, ...], dtype: WideDtype) -> Method:
    """The method that keeps `layers` of `base` wide."""
    return replace(climbed("mixed", base), wide=layers, wide_dtype=dtype)


def narrow(method: Method) -> Method:
    """The method by ai-edge-quantizer with every layer in int8."""
    repairs = tuple(repair for repair in method.repairs if repair != "mixed")
    return replace(_by_aeq(method), repairs=repairs, wide=())


def wide_counts(layers: int) -> tuple[int, ...]:
    """How many layers mixed precision keeps wide, in turn: 1, 2, 4 ... but never all of them."""
    return tuple(1 << k for k in range(layers.bit_length()) if 1 << k < layers)


def label(rung: Rung, layers: int = 0) -> str:
    """What a rung adds to the name of a method, such as `mse` or `mixed-2`."""
    return f"{rung}-{layers}" if layers else rung


def _by_aeq(base: Method) -> Method:
    return replace(base, quantizer="aeq")
