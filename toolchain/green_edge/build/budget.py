"""What the chosen model is predicted to cost beside plain int8, and the recipe's budget."""

from collections.abc import Sequence

from green_edge.core.recipe import Budget
from green_edge.core.report import BudgetLine, Candidate, CostShare, Predicted
from green_edge.targets.physics import Range
from green_edge.targets.prediction import Prediction, model_of, predict
from green_edge.targets.registry import Target
from green_edge.tflite.read import read
from green_edge_wire.errors import ConfigError

# Passes price a model before it is converted; more apart than this is told.
_MOST_APART = 0.05


def priced(targets: Sequence[Target]) -> Target | None:
    """The first target whose processor a cost model is fitted for; None where there is none."""
    return next((target for target in targets if _has_model(target)), None)


def check_known(budget: Budget, targets: Sequence[Target]) -> None:
    """Refuse a budget that nothing could tell to be met.

    Raises:
        ConfigError: it limits predicted costs, and no target has a cost model.
    """
    asked = budget.max_instructions_ratio, budget.max_energy_ratio
    if asked != (None, None) and priced(targets) is None:
        names = ", ".join(target.ref.text for target in targets)
        raise ConfigError(
            f"a budget of instructions or energy needs a cost model, and {names} has none",
            place="--target",
            hint="name a target that has one, such as pi4 or pi5, or limit max_macs_ratio",
        )


def predicted(targets: Sequence[Target], plain: bytes, chosen: bytes) -> Predicted | None:
    """Predicted cost of the chosen .tflite as a share of plain int8's, on the first target."""
    target = priced(targets)
    if target is None:
        return None
    before, after = (predict(read(content), target) for content in (plain, chosen))
    share = CostShare(
        instructions_ratio=_ratio(after.instructions, before.instructions),
        macs_ratio=_ratio(read(chosen).macs, read(plain).macs),
        energy_ratio=_ratio(_energy_uj(after), _energy_uj(before)),
    )
    return Predicted(target.ref.text, share)


def lines(
    budget: Budget, plain: Candidate, chosen: Candidate, found: Predicted | None
) -> tuple[BudgetLine, ...]:
    """Each limit of a budget and what was reached; that of quality is the guard's."""
    reached = {
        "max_macs_ratio": _ratio(chosen.macs, plain.macs),
        "max_size_ratio": _ratio(chosen.size_bytes, plain.size_bytes),
        "max_size_bytes": chosen.size_bytes,
    }
    if found is not None:
        reached["max_instructions_ratio"] = found.share.instructions_ratio
        reached["max_energy_ratio"] = found.share.energy_ratio
    limits = {name: getattr(budget, name) for name in reached}
    return tuple(
        BudgetLine(name, allowed, reached[name], met=reached[name] <= allowed)
        for name, allowed in limits.items()
        if allowed is not None
    )


def doubts(found: Predicted | None, foreseen: CostShare | None) -> tuple[str, ...]:
    """A warning where the converted file costs other than the passes went by."""
    if found is None or foreseen is None:
        return ()
    real, drawn = found.share.instructions_ratio, foreseen.instructions_ratio
    if abs(real - drawn) <= _MOST_APART * real:
        return ()
    warning = (
        f"warning: the passes went by {drawn:.1%} of plain int8's instructions on {found.target}, "
        f"the converted file is predicted to take {real:.1%}: the converter made something else "
        "of a layer than was foreseen"
    )
    return (warning,)


def _has_model(target: Target) -> bool:
    # Of an accelerator the processor beside it is known, which is not where the model runs.
    if target.accelerator is not None:
        return False
    try:
        model_of(target)
    except ConfigError:
        return False
    return True


def _energy_uj(prediction: Prediction) -> float:
    energy: Range = prediction.ranges.energy_uj
    return (energy.low + energy.high) / 2


def _ratio(after: float, before: float) -> float:
    return round(after / before, 4) if before else 1.0
