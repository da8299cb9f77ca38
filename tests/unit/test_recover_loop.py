"""The training loop on a small Keras model."""

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from green_edge.compress import ties  # noqa: E402 - needs Keras
from green_edge.compress.graph.values import Graph, Tie  # noqa: E402
from green_edge.compress.recover import loop  # noqa: E402
from green_edge.compress.recover.augment import Changes  # noqa: E402
from green_edge.compress.recover.losses import Output  # noqa: E402
from green_edge.compress.scene import Samples  # noqa: E402
from green_edge.core.steps import Recover  # noqa: E402
from green_edge_wire.errors import ModelError  # noqa: E402
from support.recovery import TickingClock, Told  # noqa: E402

pytestmark = pytest.mark.tf


def dense(inputs: int, outputs: int) -> Any:
    given = keras.Input((inputs,))
    return keras.Model([given], [keras.layers.Dense(outputs, name="line")(given)])


def line(weight: float) -> Any:
    model = dense(1, 1)
    model.set_weights([np.full((1, 1), weight, np.float32), np.zeros(1, np.float32)])
    return model


def lesson(x: np.ndarray, step: Recover, *, steps: int, variance: float = 1.0) -> loop.Lesson:
    samples = Samples((x.astype(np.float32),))
    return loop.Lesson(
        step=step,
        batch=step.batch,
        steps=steps,
        per_epoch=len(x) // step.batch,
        outputs=(Output("values", variance),),
        points=(),
        changes=Changes(((),), (0.0,), mix=False),
        train=samples,
        held=samples.take(slice(0, 0)),
        seed=3,
    )


class Rises(loop.Lesson):
    """Its rate is nothing but in the step before the fiftieth."""

    def rate(self, step: int) -> float:
        return self.step.rate if step == 49 else 0.0


def taught(model: Any, teacher: Any, given: loop.Lesson, folder: Path) -> Told:
    graph = Graph(model, (), (), (), (), ())
    held, told = ties.prepare(graph, model.trainable_variables), Told()
    loop.train((model, teacher), given, held, folder, told, TickingClock())
    return told


def test_the_rate_rises_in_the_first_twentieth_and_falls_along_a_cosine() -> None:
    given = lesson(np.zeros((8, 1)), Recover(rate=2.0, batch=8), steps=100)
    rates = [given.rate(step) for step in range(100)]
    assert rates[:5] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0])
    assert rates[52] == pytest.approx(1 + math.cos(math.pi * 47 / 95))
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] < 0.001


def test_every_epoch_sees_each_sample_once_in_another_order() -> None:
    given = lesson(np.zeros((12, 1)), Recover(batch=4), steps=6)
    first = np.concatenate([given.rows(step) for step in range(3)])
    second = np.concatenate([given.rows(step) for step in range(3, 6)])
    assert sorted(first) == sorted(second) == list(range(12))
    assert list(first) != list(second)


def test_progress_tells_the_step_the_loss_and_the_time_left(tmp_path: Path) -> None:
    x = np.linspace(-1, 1, 8)[:, None]
    told = taught(line(0.5), line(1.0), lesson(x, Recover(batch=8), steps=4), tmp_path)
    shares = [share for _, share in told.lines]
    assert shares == [0.25, 0.5, 0.75, 1.0]
    assert told.lines[0][0].startswith("recover: step 1 of 4, loss 0.1071, ")
    assert told.lines[0][0].endswith(" min left")
    assert told.lines[-1][0].endswith(", 0 s left")


def test_a_loss_that_overflows_is_gone_back_from_at_half_the_rate(tmp_path: Path) -> None:
    # A step of Adam moves the weight by the rate: 3e4 times 1e15 squared is above what a float32
    # holds, half of that is below it.
    x = np.full((8, 1), 1e15)
    step = Recover(rate=3e4, batch=8)
    student = line(0.5)
    taught(student, line(1.0), lesson(x, step, steps=2, variance=1e30), tmp_path)
    assert np.isfinite(student.get_weights()[0]).all()
    assert abs(float(student.get_weights()[0][0, 0]) - 0.5) < 3e4


def test_samples_that_are_no_numbers_end_the_training_with_the_remedy(tmp_path: Path) -> None:
    x = np.ones((8, 1))
    x[3] = np.nan
    with pytest.raises(ModelError, match=r"not a number.*look for NaN in the training samples"):
        taught(line(0.5), line(1.0), lesson(x, Recover(batch=8), steps=4), tmp_path)


def test_held_samples_that_are_no_numbers_are_told_before_the_training(tmp_path: Path) -> None:
    given = lesson(np.ones((8, 1)), Recover(batch=8), steps=4)
    held = Samples((np.full((2, 1), np.nan, np.float32),))
    with pytest.raises(ModelError, match="the original model gives NaN or infinity"):
        taught(line(0.5), line(1.0), replace(given, held=held), tmp_path)


def test_a_state_whose_loss_is_no_number_is_not_gone_back_to(tmp_path: Path) -> None:
    # The weight overflows in the step before the one at which a state is remembered.
    x = np.full((400, 1), 1e15)
    given = lesson(x, Recover(rate=3e4, batch=8), steps=51, variance=1e30)
    rises = Rises(**{field.name: getattr(given, field.name) for field in fields(given)})
    student = line(0.5)
    taught(student, line(1.0), rises, tmp_path)
    assert np.isfinite(student.get_weights()[0]).all()


def test_zeros_that_are_tied_stay_zero_and_the_rest_learns(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    teacher, student = dense(6, 5), dense(6, 5)
    kernel = np.where(np.arange(30).reshape(6, 5) % 3 == 0, 0.0, 0.1).astype(np.float32)
    student.set_weights([kernel, np.zeros(5, np.float32)])
    graph = Graph(student, (), (), (), (), (), ties=(Tie("line", "kernel", "zeros"),))
    x = np.random.default_rng(2).normal(size=(64, 6))
    held = ties.prepare(graph, student.trainable_variables)
    given = lesson(x, Recover(rate=0.05, batch=16), steps=30)
    loop.train((student, teacher), given, held, tmp_path, Told(), TickingClock())
    learned = student.get_weights()[0]
    assert ((learned == 0) == (kernel == 0)).all()
    assert np.abs(learned - kernel)[kernel != 0].min() > 0.001
