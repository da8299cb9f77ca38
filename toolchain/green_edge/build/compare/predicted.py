"""What two models are expected to cost on the targets that a gate names; nothing is run."""

import hashlib
from collections.abc import Callable, Sequence

from green_edge.build.compare.values import PredictedCost, PredictedPair
from green_edge.targets.check import refused_by_runtime
from green_edge.targets.physics import board_of
from green_edge.targets.prediction import PRICED_DENSE, model_of, predict
from green_edge.targets.registry import Target
from green_edge.tflite.model import TfliteModel
from green_edge_wire import codec
from green_edge_wire.errors import ModelError

_NOTE = "what is said of a target is an estimate: nothing was run there"


def predict_pairs(
    new: TfliteModel,
    targets: Sequence[Target],
    baseline: Callable[[Target, PredictedCost], PredictedCost | None],
) -> tuple[tuple[PredictedPair, ...], tuple[str, ...]]:
    """Predict the new model's cost on each target, beside the baseline's.

    Args:
        new: the model.
        targets: that the gate names.
        baseline: cost of the baseline on a target, given what the new model costs there.

    Returns:
        A pair a target, and notes: what of it is a guess.

    Raises:
        ConfigError: nothing is known of a target's board or kernels.
        ModelError: the runtime of a target does not load the new model.
    """
    pairs = []
    notes = [_NOTE] if targets else []
    for target in targets:
        for problem in refused_by_runtime(new, target):
            raise ModelError(
                f"{target.ref.text} does not run the new model: {problem.what} ({problem.where})",
                hint=problem.remedy,
            )
        cost, unknown = _cost(new, target)
        pairs.append(PredictedPair(target.ref.text, cost, baseline(target, cost)))
        if unknown:
            kinds = ", ".join(dict.fromkeys(unknown))
            notes.append(f"on {target.ref.text} the cost of {kinds} is a guess: no rule is fitted")
    if targets and new.sparse_kernels:
        notes.append(PRICED_DENSE)
    return tuple(pairs), tuple(notes)


def cost_of(model: TfliteModel, target: Target) -> PredictedCost:
    """What a model is expected to cost on a target."""
    return _cost(model, target)[0]


def _cost(model: TfliteModel, target: Target) -> tuple[PredictedCost, tuple[str, ...]]:
    found = predict(model, target)
    cost = PredictedCost(
        instructions=found.instructions,
        error_ratio=found.error_ratio,
        latency_us=found.ranges.latency_us,
        energy_uj=found.ranges.energy_uj,
        basis=basis_of(target),
        partial=found.partial,
    )
    return cost, found.unknown


def basis_of(target: Target) -> str:
    """SHA-256 of what estimates for a target rest on.

    Raises:
        ConfigError: nothing is known of the board, or no cost model is fitted for it.
    """
    facts = codec.dumps(model_of(target)) + codec.dumps(board_of(target))
    return hashlib.sha256(facts.encode()).hexdigest()
