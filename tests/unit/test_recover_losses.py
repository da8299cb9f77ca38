"""What recovery minimises, in worked numbers."""

import math

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from green_edge.compress.recover.features import Point  # noqa: E402 - needs TensorFlow
from green_edge.compress.recover.losses import Output, Wanted, loss, output_of  # noqa: E402
from green_edge.core.steps import Recover  # noqa: E402

pytestmark = pytest.mark.tf

SHARES = Output("shares", indices=True)
LABELS = Recover(labels=1.0, teacher=0.0)
TEACHER = Recover(labels=0.0, teacher=1.0, temperature=2.0)


def told(
    step: Recover, output: Output, given: object, *, labels: object = None, want: object = ()
) -> float:
    present = () if labels is None else (tf.constant(labels),)
    outputs = () if want == () else (tf.constant(want),)
    wanted = Wanted(present, None, outputs, ())
    return float(loss(step, (output,), (), ((tf.constant(given),), ()), wanted))


def test_a_label_given_a_quarter_costs_the_logarithm_of_four() -> None:
    assert told(LABELS, SHARES, [[0.25, 0.75]], labels=[0]) == pytest.approx(math.log(4))


def test_labels_of_the_shape_samples_by_one_are_indices_too() -> None:
    output = output_of(np.array([[0.25, 0.75]]), np.array([[0]]), sigmoid=False)
    assert output.indices
    assert told(LABELS, output, [[0.25, 0.75]], labels=[[0]]) == pytest.approx(math.log(4))


def test_labels_that_are_shares_weigh_each_class() -> None:
    output = Output("shares")
    found = told(LABELS, output, [[0.25, 0.75]], labels=[[0.5, 0.5]])
    assert found == pytest.approx(-0.5 * math.log(0.25) - 0.5 * math.log(0.75))


def test_logits_cost_what_their_softmax_does() -> None:
    logits = [[1.0, -2.0, 0.5]]
    shares = tf.nn.softmax(logits).numpy()
    output = output_of(np.array(logits), np.array([2]), sigmoid=False)
    assert output.kind == "logits"
    assert told(LABELS, output, logits, labels=[2]) == pytest.approx(-math.log(shares[0, 2]))


def test_a_sigmoid_is_told_as_two_classes() -> None:
    output = output_of(np.array([[0.8]]), np.array([1]), sigmoid=True)
    assert told(LABELS, output, [[0.8]], labels=[1]) == pytest.approx(-math.log(0.8))
    assert told(LABELS, output, [[0.8]], labels=[0]) == pytest.approx(-math.log(0.2), rel=1e-5)


def test_targets_are_told_by_squares_over_the_variance() -> None:
    output = output_of(np.array([[0.0], [4.0]]), np.array([1.0, 2.0]), sigmoid=False)
    assert output == Output("values", variance=4.0)
    assert told(LABELS, output, [[3.0], [2.0]], labels=[1.0, 2.0]) == pytest.approx((4 + 0) / 2 / 4)


@pytest.mark.parametrize("output", [Output("shares"), Output("binary"), Output("values")])
def test_what_gives_the_teachers_outputs_costs_nothing(output: Output) -> None:
    same = [[0.2, 0.8], [0.6, 0.4]]
    assert told(TEACHER, output, same, want=same) == pytest.approx(0.0, abs=1e-6)
    assert told(TEACHER, output, [[0.8, 0.2], [0.6, 0.4]], want=same) > 0.01


def test_the_teachers_part_is_the_divergence_at_the_temperature_times_its_square() -> None:
    # At temperature 2 the shares 0.2 and 0.8 become 1 : 2, and a half stays a half.
    soft = 1 / 3 * math.log(2 / 3) + 2 / 3 * math.log(4 / 3)
    assert told(TEACHER, SHARES, [[0.5, 0.5]], want=[[0.2, 0.8]]) == pytest.approx(4 * soft)


def test_a_share_near_nothing_still_has_a_gradient() -> None:
    logits = tf.Variable([[0.0, 40.0]])
    with tf.GradientTape() as tape:
        given = ((tf.nn.softmax(logits),), ())
        value = loss(LABELS, (SHARES,), (), given, Wanted((tf.constant([0]),), None, (), ()))
    assert tape.gradient(value, logits).numpy() == pytest.approx(np.array([[-1.0, 1.0]]), abs=1e-3)


def test_a_mixed_sample_has_both_labels_by_their_share() -> None:
    wanted = Wanted((tf.constant([0]), tf.constant([1])), tf.constant([0.75]), (), ())
    found = float(loss(LABELS, (SHARES,), (), ((tf.constant([[0.2, 0.8]]),), ()), wanted))
    assert found == pytest.approx(-0.75 * math.log(0.2) - 0.25 * math.log(0.8), rel=1e-5)


def test_inner_tensors_are_held_against_the_channels_that_are_left() -> None:
    step = Recover(labels=0.0, teacher=0.0, features=2.0)
    original, point = tf.constant([[3.0, 9.0, 4.0]]), Point("x", (0, 2))
    near = Wanted((), None, (), (original,))
    same = loss(step, (SHARES,), (point,), ((), (tf.constant([[3.0, 4.0]]),)), near)
    away = loss(step, (SHARES,), (point,), ((), (tf.constant([[3.0, 9.0]]),)), near)
    assert float(same) == pytest.approx(0.0)
    assert float(away) == pytest.approx(2.0 * 12.5 / 12.5)
