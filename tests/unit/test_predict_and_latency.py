import numpy as np
import pytest

from green_edge.data.dataset import Dataset
from green_edge.evaluate.latency import ratio
from green_edge.evaluate.quality import predict
from green_edge_agent.runtime.timing import random_inputs, stats
from green_edge_wire.errors import ConfigError, ModelError
from green_edge_wire.manifest import TensorSpec
from support.tiny_models import dense_weights, tiny_float_dense, tiny_int8_dense

_X = np.random.default_rng(1).uniform(-1, 1, (6, 4)).astype(np.float32)


def test_a_float_model_gives_its_outputs_sample_first() -> None:
    shares: list[float] = []
    (y,) = predict(tiny_float_dense(), Dataset({"x": _X}), progress=shares.append)
    assert y.shape == (6, 3)
    np.testing.assert_allclose(y, _X @ dense_weights().T, rtol=1e-5, atol=1e-6)
    assert shares[-1] == 1.0


def test_an_int8_model_is_fed_and_read_in_real_values() -> None:
    (y,) = predict(tiny_int8_dense(), Dataset({"serving_default_x:0": _X}))
    assert y.dtype == np.float32
    # Half an input step (1/64) a weight, half an output step (1/16), and the weights' own rounding.
    np.testing.assert_allclose(y, _X @ dense_weights().T, atol=0.2)


def test_a_set_that_is_not_the_models_is_refused() -> None:
    model = tiny_float_dense()
    with pytest.raises(ModelError, match="takes 1 inputs, the set has 2"):
        predict(model, Dataset({"a": _X, "b": _X}))
    with pytest.raises(ModelError, match=r"takes \(1, 4\), a sample has \(5,\)"):
        predict(model, Dataset({"x": np.zeros((2, 5), np.float32)}))
    with pytest.raises(ModelError, match="with 0 samples"):
        predict(model, Dataset({"x": np.zeros((0, 4), np.float32)}))


def test_percentiles_are_exact() -> None:
    latency = stats([1000 * k for k in range(1, 102)])
    assert (latency.min_us, latency.p5_us, latency.p50_us) == (1.0, 6.0, 51.0)
    assert (latency.p95_us, latency.p99_us, latency.max_us) == (96.0, 100.0, 101.0)
    assert latency.mean_us == 51.0


@pytest.mark.parametrize(("runs", "warm_up"), [(0, 1), (1, -1)])
def test_a_measurement_of_nothing_is_refused(runs: int, warm_up: int) -> None:
    model = tiny_float_dense()
    with pytest.raises(ConfigError, match="cannot measure"):
        ratio(model, model, runs=runs, warm_up=warm_up)


def test_random_inputs_follow_the_seed_and_the_types() -> None:
    specs = [
        TensorSpec("f", (1, 50), "float32"),
        TensorSpec("q", (1, 500), "int8", scale=0.1, zero_point=3),
        TensorSpec("ids", (1, 50), "int32"),
        TensorSpec("mask", (1, 50), "bool"),
    ]
    one = random_inputs(specs, np.random.default_rng(4))
    two = random_inputs(specs, np.random.default_rng(4))
    for spec, a, b in zip(specs, one, two, strict=True):
        assert a.dtype == np.dtype(spec.dtype)
        assert a.shape == spec.shape
        np.testing.assert_array_equal(a, b)
    assert one[1].min() < -100
    assert one[1].max() > 100
    assert set(one[2].ravel().tolist()) == {0, 1}
