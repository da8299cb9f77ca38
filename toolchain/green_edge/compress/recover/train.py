"""The step `recover`: how the training will go, and the training on a copy of the graph."""

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from green_edge.compress import ties
from green_edge.compress.graph.read import read
from green_edge.compress.graph.rebuild import copy
from green_edge.compress.graph.values import Graph
from green_edge.compress.recover import loop
from green_edge.compress.recover.augment import Changes, changes_of
from green_edge.compress.recover.features import Point, points_of, with_inner
from green_edge.compress.recover.losses import Output, output_of
from green_edge.compress.scene import Samples, Scene
from green_edge.core.report import Skip
from green_edge.core.steps import Recover
from green_edge_wire.clock import Clock, SystemClock
from green_edge_wire.errors import ConfigError

# So many samples tell what an output is.
_LOOKED_AT = 256
# Time constants of the normalisations' statistics in a whole training: of those that it starts from
# exp(-5), less than a hundredth, is left. A small ResNet on Fashion-MNIST without two thirds of its
# MACs is at 90.4 % after 117 steps, at 87.4 % with the momentum of 0.99 that it was made with.
_FORGETTING = 5.0


@dataclass(frozen=True, slots=True)
class RecoverPlan:
    """How a training will go.

    Attributes:
        step: what was asked for; a part of the loss that has nothing to go by weighs nothing.
        samples: to learn from, and to choose the state that is kept by.
        batch: samples a step.
        per_epoch: steps in which all samples are seen once.
        steps: in all.
        outputs: kinds of the model's outputs.
        points: where inner tensors are compared.
        changes: of the inputs.
        skipped: what was asked for and cannot be, by input or part of the loss.
    """

    step: Recover
    samples: tuple[int, int]
    batch: int
    per_epoch: int
    steps: int
    outputs: tuple[Output, ...]
    points: tuple[Point, ...]
    changes: Changes
    skipped: tuple[Skip, ...]

    def lines(self) -> tuple[str, ...]:
        """What will be done, for people."""
        step, (train, held) = self.step, self.samples
        parts = [
            f"{weight:g} x {part}"
            for weight, part in (
                (step.labels, "labels"),
                (step.teacher, f"the original's outputs at temperature {step.temperature:g}"),
                (step.features, f"its inner tensors at {len(self.points)} places"),
            )
            if weight
        ]
        done = {change for each in self.changes.inputs for change in each}
        made = [c for c in step.augment if c in done or (c == "mix" and self.changes.mix)]
        return (
            f"train on {train} samples: {self.steps} steps of {self.batch}, rate {step.rate:g}",
            *(f"loss: {part}" for part in parts),
            f"changes of the inputs: {', '.join(made) or 'none'}",
            f"the best on {held} held samples is kept" if held else "the last state is kept",
        )


def plan(graph: Graph, step: Recover, scene: Scene) -> RecoverPlan:
    """Decide how the training goes.

    Raises:
        ConfigError: no part of the loss is left.
    """
    skipped: list[Skip] = []
    outputs = _outputs(graph, scene)
    if step.labels and scene.train.y is None:
        skipped.append(Skip("labels", "the training samples have none"))
    points = points_of(graph) if step.features else ()
    if step.features and not points:
        skipped.append(Skip("features", "no inner tensor can be told among the original's"))
    step = _left(step, scene.train, points)
    inputs = [(tensor.name, tensor.dtype) for tensor in graph.model.inputs]
    changes, refused = changes_of(scene.train, step.augment, inputs)
    batch = min(step.batch, scene.train.n)
    return RecoverPlan(
        step=step,
        samples=(scene.train.n, scene.held.n),
        batch=batch,
        per_epoch=scene.train.n // batch,
        steps=max(step.least_steps, round(step.epochs * scene.train.n / batch)),
        outputs=outputs,
        points=points,
        changes=changes,
        skipped=(*skipped, *refused),
    )


def apply(graph: Graph, plan: RecoverPlan, scene: Scene, clock: Clock | None = None) -> Graph:
    """Train a copy of the graph; repeats itself bit by bit, also when taken up again.

    Args:
        graph: what is left of the model.
        plan: of the training.
        scene: samples, teacher, seed; checkpoints go to its folder.
        clock: of progress and checkpoints; the system's by default.

    Raises:
        ModelError: the loss came out as no number again and again.
    """
    tf.config.experimental.enable_op_determinism()
    learner = copy(graph)
    # Layers frozen when the model was trained have to make up for what is gone as the others do.
    learner.model.trainable = True
    teacher = read(scene.teacher).model if plan.points else scene.teacher
    student = with_inner(learner.model, plan.points)
    lesson = loop.Lesson(
        step=plan.step,
        batch=plan.batch,
        steps=plan.steps,
        per_epoch=plan.per_epoch,
        outputs=plan.outputs,
        points=plan.points,
        changes=plan.changes,
        train=scene.train,
        held=scene.held,
        seed=scene.seed,
    )
    usual = _hurry(learner.model, plan.steps)
    dropped = _without_dropout(learner.model)
    loop.train(
        (student, with_inner(teacher, plan.points)),
        lesson,
        ties.prepare(learner, student.trainable_variables),
        scene.folder,
        scene.tell,
        clock or SystemClock(),
    )
    for layer, momentum in usual:
        layer.momentum = momentum
    for layer, rate in dropped:
        layer.rate = rate
    return learner


def _hurry(model: Any, steps: int) -> list[tuple[Any, float]]:
    """Let normalisations follow a training of so many steps; returns their usual momentum.

    Statistics that still hold half of what the model was before would spoil a short training.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    usual = [(layer, layer.momentum) for layer in norms]
    for layer, momentum in usual:
        layer.momentum = min(momentum, max(0.0, 1.0 - _FORGETTING / steps))
    return usual


def _without_dropout(model: Any) -> list[tuple[Any, float]]:
    """Turn dropout off; returns its usual rates.

    It kept a larger model from learning its samples by heart. What is left has nothing to spare,
    and is told by the original how sure to be. A CNN on Fashion-MNIST at 36 % of its instructions
    came back to 93.28 % of the validation images in five epochs without it, to 92.52 % with it.
    """
    kinds = (
        keras.layers.Dropout,
        keras.layers.GaussianDropout,
        keras.layers.AlphaDropout,
    )
    usual = [(layer, layer.rate) for layer in model.layers if isinstance(layer, kinds)]
    for layer, _ in usual:
        layer.rate = 0.0
    return usual


def _left(step: Recover, train: Samples, points: tuple[Point, ...]) -> Recover:
    """The step without the parts of the loss that have nothing to go by."""
    labels = 0.0 if train.y is None else step.labels
    features = step.features if points else 0.0
    if not labels and not step.teacher and not features:
        raise ConfigError(
            "nothing to learn from: there are no labels, or they weigh nothing",
            place="steps.recover",
            hint="give `teacher` a weight above 0, or a training set with labels",
        )
    return replace(step, labels=labels, features=features)


def _outputs(graph: Graph, scene: Scene) -> tuple[Output, ...]:
    some = scene.train.take(slice(0, _LOOKED_AT))
    given = [np.asarray(values) for values in loop.run(with_inner(scene.teacher, ()), some.x)]
    outputs = []
    for i, (values, place) in enumerate(zip(given, graph.outputs, strict=True)):
        config = graph.nodes[place].config if place >= 0 else {}
        labels = some.y if i == 0 else None
        outputs.append(output_of(values, labels, sigmoid=config.get("activation") == "sigmoid"))
    return tuple(outputs)
