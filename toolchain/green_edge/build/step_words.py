"""Steps of a recipe in words, for the plan of a build."""

from green_edge.core.steps import (
    BatchNorm,
    Cluster,
    External,
    LowRank,
    Prune,
    Reconstruct,
    Recover,
    Sparsify,
    Step,
)


def sentence(step: Step) -> str:
    """What a step will do, such as `prune to 50 % of the instructions by taylor, in 2 rounds`."""
    inner = getattr(step, "recover", None)
    after = "" if inner is None else f", each followed by: {sentence(inner)}"
    return f"{_alone(step)}{_rounds(step)}{after}"


def _rounds(step: Step) -> str:
    rounds = getattr(step, "rounds", 1)
    return f", in {rounds} rounds" if rounds > 1 else ""


def _alone(step: Step) -> str:  # noqa: C901, PLR0911 - a table
    match step:
        case Prune():
            return (
                f"prune channels to {_percent(step.keep)} of the {step.measure} by {step.criterion}"
            )
        case LowRank(keep=None):
            return f"split layers where it pays, {_percent(step.energy)} of their variance kept"
        case LowRank(keep=keep):
            return f"split layers where it pays, to {_percent(keep)} of the {step.measure}"
        case Sparsify(pattern="unstructured"):
            return f"set the smallest {_percent(step.sparsity)} of the weights of a layer to zero"
        case Sparsify():
            return f"set the smallest weights to zero by the pattern {step.pattern}"
        case Cluster():
            return f"share {step.clusters} values among the weights of each {step.per}"
        case Reconstruct():
            return f"fit weights anew by least squares on {step.samples:,} samples at most"
        case BatchNorm():
            return f"take batch statistics anew from {step.samples:,} samples at most"
        case Recover():
            return f"train for {step.epochs:g} epochs{_taught(step)}"
        case External():
            return f"the pass {step.step} of another package"


def _taught(step: Recover) -> str:
    by = [
        name
        for name, weight in (
            ("labels", step.labels),
            ("the original's outputs", step.teacher),
            ("its inner tensors", step.features),
        )
        if weight
    ]
    return f" on {', '.join(by)}"


def _percent(share: float | None) -> str:
    return f"{(share or 0.0) * 100:g} %"
