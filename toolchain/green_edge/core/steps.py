"""Steps of a recipe that change the trained model before it is quantized.

Each is a table of `[[steps]]` in a recipe file, named by its key `step`. `expanded` turns steps
that go in rounds into plain ones, so that every step that runs is done in one go.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

# What `keep` is a share of, all of the unchanged int8 model: instructions and energy as the
# target's cost model predicts them.
Measure = Literal["instructions", "macs", "energy"]
Criterion = Literal["taylor", "l1", "l2", "bn-scale", "activation"]
# Forms of a factorised layer: dense layers; 1 x 1 convolutions; k x k as k x 1 and 1 x k;
# k x k between two 1 x 1 (Tucker-2 over the channels).
Form = Literal["dense", "pointwise", "spatial", "channel"]
Pattern = Literal["unstructured", "2:4", "1:4"]
# Changes of the inputs that leave the class as it is: moved by up to a tenth of height and width,
# mirrored left to right, noise of a twentieth of the spread, mixed with another sample.
Augment = Literal["shift", "flip", "noise", "mix"]


@dataclass(frozen=True, slots=True)
class Recover:
    """Training of what is left: on labels, on the original model's outputs, or both.

    Attributes:
        epochs: passes over the training set; parts of one count.
        least_steps: of the batches, where so many epochs of few samples are less.
        rate: highest learning rate of Adam; it rises in the first twentieth and falls along a
            cosine to nothing.
        batch: samples a step.
        labels: weight of the labels' loss; labels that are absent weigh nothing.
        teacher: weight of the divergence from the original model's outputs.
        temperature: of that divergence (Hinton et al. 2015).
        features: weight of the distance to the original's inner tensors.
        augment: changes of the inputs, labelled by the original as they come.
    """

    epochs: float = 4.0
    rate: float = 3e-3
    batch: int = 128
    labels: float = 1.0
    teacher: float = 1.0
    temperature: float = 2.0
    features: float = 0.0
    augment: tuple[Augment, ...] = ()
    least_steps: int = 1
    step: Literal["recover"] = "recover"


@dataclass(frozen=True, slots=True)
class Reconstruct:
    """Each layer's weights anew by least squares, so that it gives what the original's gave.

    Attributes:
        samples: at most so many are looked at; labels are not needed.
        ridge: weight of staying near the weights there are, of the mean variance of the inputs.
    """

    samples: int = 512
    ridge: float = 1e-3
    step: Literal["reconstruct"] = "reconstruct"


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Mean and variance of the normalisations anew, from samples without labels."""

    samples: int = 2048
    step: Literal["batch-norm"] = "batch-norm"


@dataclass(frozen=True, slots=True)
class Prune:
    """Channels taken out.

    Attributes:
        keep: share of the unchanged model's cost that may be left.
        measure: what that cost is.
        criterion: how the loss of quality by a channel is told.
        rounds: the share is come to in so many equal ratios, each followed by `recover`.
        recover: after each round; after the last too.
        multiple: channel counts are rounded to it; by default to what the target's kernels like.
        least: share of its channels that every group keeps.
        guard: a group loses no more channels than raise the loss on held samples by this share of
            what losing all of them does; 1 for no such guard.
    """

    keep: float
    measure: Measure = "instructions"
    criterion: Criterion = "taylor"
    rounds: int = 1
    recover: Recover | None = None
    multiple: int | None = None
    least: float = 0.1
    guard: float = 1.0
    step: Literal["prune"] = "prune"


@dataclass(frozen=True, slots=True)
class LowRank:
    """Layers split into thinner ones by singular value decomposition.

    Attributes:
        energy: share of each layer's output variance that is kept; decides the rank.
        keep: share of the unchanged model's cost that may be left; where given, it decides.
        measure: what that cost is.
        forms: that may be tried.
        data_aware: weigh errors by the covariance of the layer's inputs on training samples.
        layers: names of those to be split; empty for all where it lowers the predicted cost.
    """

    energy: float = 0.99
    keep: float | None = None
    measure: Measure = "instructions"
    forms: tuple[Form, ...] = ("dense", "pointwise", "spatial", "channel")
    data_aware: bool = True
    layers: tuple[str, ...] = ()
    step: Literal["low-rank"] = "low-rank"


@dataclass(frozen=True, slots=True)
class Sparsify:
    """The smallest weights set to zero; they stay zero in the steps that follow.

    Attributes:
        sparsity: share of the weights of each layer; not used by the fixed patterns.
        pattern: zeros anywhere, or at least 2 (3) in every 4 along the inputs of an output.
        rounds: sparsity rises along a cubic (Zhu and Gupta 2017), each round followed by `recover`.
        recover: after each round.
    """

    sparsity: float = 0.5
    pattern: Pattern = "unstructured"
    rounds: int = 1
    recover: Recover | None = None
    step: Literal["sparsify"] = "sparsify"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Few distinct weights in a layer; what is equal stays equal in the steps that follow.

    Attributes:
        clusters: distinct values of a layer, or of each of its output channels.
        per: what shares them.
    """

    clusters: int = 16
    per: Literal["layer", "channel"] = "layer"
    step: Literal["cluster"] = "cluster"


@dataclass(frozen=True, slots=True)
class External:
    """A pass of another package, by the entry point group `green_edge.passes`."""

    step: str
    parameters: dict[str, Any] = field(default_factory=dict)


Step = Recover | Reconstruct | BatchNorm | Prune | LowRank | Sparsify | Cluster | External


def expanded(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Steps that go in rounds as one step a round, with the recovery between them."""
    return tuple(plain for step in steps for plain in _rounds(step))


def _rounds(step: Step) -> tuple[Step, ...]:
    match step:
        case Prune(keep=keep, rounds=rounds, recover=recover):
            made: list[Step] = [
                replace(step, keep=keep ** (k / rounds), rounds=1, recover=None)
                for k in range(1, rounds + 1)
            ]
        case Sparsify(sparsity=sparsity, rounds=rounds, recover=recover):
            made = [
                replace(
                    step,
                    sparsity=sparsity * (1 - (1 - k / rounds) ** 3),
                    rounds=1,
                    recover=None,
                )
                for k in range(1, rounds + 1)
            ]
        case _:
            return (step,)
    if recover is None:
        return tuple(made)
    return tuple(each for plain in made for each in (plain, recover))
