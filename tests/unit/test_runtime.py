import dataclasses
import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from green_edge.bundle.keys import trusting
from green_edge.bundle.pack import BundleContents, pack
from green_edge_agent.runtime import interpreter
from green_edge_agent.runtime.golden import self_test, steps_apart
from green_edge_agent.runtime.interpreter import Candidate
from green_edge_wire.archive import Bundle, open_bundle
from green_edge_wire.errors import ActivationError, ModelError
from green_edge_wire.manifest import TensorSpec
from support.bundles import resealed, test_signer, tiny_bundle, tiny_contents
from support.clock import ManualClock
from support.tiny_models import (
    IN_SCALE,
    OUT_SCALE,
    dense_weights,
    tiny_float_conv,
    tiny_float_dense,
    tiny_int8_dense,
)

TRUST = trusting([test_signer().public])


def opened(contents: BundleContents) -> Bundle:
    return open_bundle(pack(contents, test_signer()), TRUST)


def random(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def test_the_installed_runtime_says_its_name_and_version() -> None:
    name, version = interpreter.runtime_name().split(" ")
    assert name in ("ai-edge-litert", "tflite-runtime")
    assert version[0].isdigit()


def test_a_float_model_computes_what_its_weights_say() -> None:
    net = interpreter.load(tiny_float_dense(seed=3))
    x = random((1, 4))
    (y,) = net.invoke([x])
    assert net.inputs == (TensorSpec("x", (1, 4), "float32"),)
    np.testing.assert_allclose(y, x @ dense_weights(seed=3).T, rtol=1e-5)


def test_an_int8_model_computes_the_same_within_its_steps() -> None:
    net = interpreter.load(tiny_int8_dense(seed=3), threads=2)
    assert net.inputs == (TensorSpec("x", (1, 4), "int8", IN_SCALE, 0),)
    assert net.outputs == (TensorSpec("y", (1, 3), "int8", OUT_SCALE, 0),)
    x = np.round(random((1, 4)) / IN_SCALE)
    (y,) = net.invoke([x.astype(np.int8)])
    exact = (x * IN_SCALE) @ dense_weights(seed=3).T
    assert np.abs(y * OUT_SCALE - exact).max() <= OUT_SCALE


def test_outputs_stay_as_they_were_when_the_model_runs_again() -> None:
    net = interpreter.load(tiny_float_conv())
    (first,) = net.invoke([random((1, 8, 8, 1), 1)])
    kept = first.copy()
    net.invoke([random((1, 8, 8, 1), 2)])
    np.testing.assert_array_equal(first, kept)


def test_inputs_that_do_not_fit_are_refused_before_the_runtime_sees_them() -> None:
    net = interpreter.load(tiny_int8_dense())
    with pytest.raises(ModelError, match="takes 1 inputs, got 0"):
        net.invoke([])
    with pytest.raises(ModelError, match=r"'x' must be int8 \(1, 4\), got float32 \(1, 4\)"):
        net.invoke([random((1, 4))])
    with pytest.raises(ModelError, match=r"got int8 \(4,\)"):
        net.invoke([np.zeros(4, np.int8)])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", bytes(100)])
def test_bytes_that_are_no_model_are_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"not a \.tflite file"):
        interpreter.load(content)


def test_a_model_that_is_cut_short_is_refused() -> None:
    with pytest.raises(ModelError, match="cannot load the model"):
        interpreter.load(tiny_float_dense()[:200])


def test_an_op_that_the_runtime_lacks_is_refused_with_what_it_said() -> None:
    # Version 99 of FULLY_CONNECTED: what a device with too old a runtime sees.
    model = tiny_int8_dense(version=99)
    with pytest.raises(ModelError, match="version '99'"):
        interpreter.load(model)


def test_a_dynamic_shape_is_refused_with_the_remedy() -> None:
    with pytest.raises(ModelError, match=r"dynamic shape.*fixed shapes"):
        interpreter.load(tiny_float_dense(signature_shape=(1, -1)))
    # A batch that is left open is one sample.
    assert interpreter.load(tiny_float_dense(signature_shape=(-1, 4))).inputs[0].shape == (1, 4)


def test_the_old_runtime_with_a_new_numpy_is_named() -> None:
    assert interpreter.unusable_numpy("tflite-runtime", "1.26.4") is None
    assert interpreter.unusable_numpy("ai-edge-litert", "2.4.6") is None
    clash = interpreter.unusable_numpy("tflite-runtime", "2.4.6")
    assert clash == "tflite-runtime does not work with NumPy 2.4.6"


def test_the_first_runtime_that_imports_is_taken() -> None:
    absent = Candidate("green-edge-no-such-thing", "json")
    broken = Candidate("numpy", "green_edge_no_such_module")
    (good,) = [c for c in interpreter._CANDIDATES if c.distribution == "ai-edge-litert"]
    name, make = interpreter.first_working((absent, broken, good))
    assert name == interpreter.runtime_name()
    assert make.__name__ == "Interpreter"


def test_no_runtime_at_all_and_one_that_fails_to_import_are_told_apart() -> None:
    absent = Candidate("green-edge-no-such-thing", "json")
    broken = Candidate("numpy", "green_edge_no_such_module")
    with pytest.raises(ModelError, match=r"no inference runtime is installed; install one: pip"):
        interpreter.first_working((absent,))
    with pytest.raises(ModelError, match=r"no runtime works here: numpy .*no_such_module"):
        interpreter.first_working((absent, broken))


class FailingNative:
    """A runtime's interpreter that fails when it is invoked."""

    def __init__(self, shape: tuple[int, ...] = (1, 4)) -> None:
        self._tensor = {
            "name": "x",
            "index": 0,
            "shape": np.array(shape),
            "shape_signature": np.array(shape),
            "dtype": np.int8,
            "quantization": (IN_SCALE, 0),
        }

    def get_input_details(self) -> list[dict[str, Any]]:
        return [self._tensor]

    def get_output_details(self) -> list[dict[str, Any]]:
        return [{**self._tensor, "quantization": (OUT_SCALE, 0), "shape": np.array((1, 3))}]

    def set_tensor(self, index: int, value: NDArray[Any]) -> None:
        del index, value

    def reset_all_variables(self) -> None:
        pass

    def invoke(self) -> None:
        raise RuntimeError("node 0\nfailed  to invoke")


def test_a_failure_inside_the_runtime_is_one_line() -> None:
    net = interpreter.Interpreter(FailingNative())
    with pytest.raises(ModelError, match=r"^the runtime failed: node 0 failed to invoke$"):
        net.invoke([np.zeros((1, 4), np.int8)])


def test_a_tensor_without_elements_is_refused() -> None:
    with pytest.raises(ModelError, match="not a static shape"):
        interpreter.Interpreter(FailingNative((1, 0)))


def test_a_model_that_fails_while_it_runs_fails_the_self_test() -> None:
    bundle = open_bundle(tiny_bundle(), TRUST)
    with pytest.raises(ActivationError, match="failed to invoke"):
        self_test(interpreter.Interpreter(FailingNative()), bundle)


def test_importing_the_runtime_package_loads_no_runtime() -> None:
    script = (
        "import sys\n"
        "import green_edge_agent.runtime.golden, green_edge_agent.runtime.processing\n"
        "print([m for m in sys.modules if 'litert' in m or 'tflite' in m or m == 'green_edge'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{script}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


# --- self-test ---------------------------------------------------------------------------------


def test_a_good_bundle_passes_its_self_test_and_tells_the_latencies() -> None:
    bundle = open_bundle(tiny_bundle(), TRUST)
    result = self_test(interpreter.load(bundle.model()), bundle, ManualClock())
    assert result.worst_steps == 0
    assert result.tolerance_steps == 1
    assert result.latency_ns == (0, 0, 0, 0)


def test_one_step_of_difference_is_allowed_and_two_are_not() -> None:
    contents = tiny_contents()
    for steps, passes in ((1, True), (2, False)):
        off = (contents.golden_outputs[0] + np.int8(steps)).astype(np.int8)
        bundle = opened(dataclasses.replace(contents, golden_outputs=(off,)))
        net = interpreter.load(bundle.model())
        if passes:
            assert self_test(net, bundle).worst_steps == 1
        else:
            with pytest.raises(ActivationError, match="output 'y' is 2 steps off, 1 allowed"):
                self_test(net, bundle)


def float_contents() -> BundleContents:
    net = interpreter.load(tiny_float_dense(seed=1))
    x = random((4, 4))
    y = np.concatenate([net.invoke([row[np.newaxis]])[0] for row in x])
    return dataclasses.replace(
        tiny_contents(),
        model=tiny_float_dense(seed=1),
        inputs=net.inputs,
        outputs=net.outputs,
        golden_inputs=(x,),
        golden_outputs=(y,),
    )


def test_a_float_output_may_be_off_by_one_part_in_256_of_its_range() -> None:
    contents = float_contents()
    y = contents.golden_outputs[0]
    for parts, passes in ((0.9, True), (1.2, False)):
        off = y.copy()
        off[1, 1] += parts * np.ptp(y) / 256
        bundle = opened(dataclasses.replace(contents, golden_outputs=(off,)))
        net = interpreter.load(bundle.model())
        if passes:
            assert 0 < self_test(net, bundle).worst_steps <= 1
        else:
            with pytest.raises(ActivationError, match="steps off"):
                self_test(net, bundle)


def test_a_recorded_nan_is_not_met_by_a_number() -> None:
    contents = float_contents()
    off = contents.golden_outputs[0].copy()
    off[0, 0] = np.nan
    bundle = opened(dataclasses.replace(contents, golden_outputs=(off,)))
    with pytest.raises(ActivationError, match="inf steps off"):
        self_test(interpreter.load(bundle.model()), bundle)


def test_a_model_that_is_not_the_manifests_fails_the_self_test() -> None:
    bundle = open_bundle(tiny_bundle(), TRUST)
    with pytest.raises(ActivationError, match="inputs are not those of the manifest"):
        self_test(interpreter.load(tiny_float_dense()), bundle)
    with pytest.raises(ActivationError, match="outputs are not those of the manifest"):
        self_test(interpreter.load(tiny_int8_dense(outputs=5)), bundle)


def test_golden_arrays_of_different_lengths_fail_the_self_test() -> None:
    contents = tiny_contents()
    short = contents.golden_outputs[0][:2]
    bundle = opened(dataclasses.replace(contents, golden_outputs=(short,)))
    with pytest.raises(ActivationError, match="different numbers of samples"):
        self_test(interpreter.load(bundle.model()), bundle)


def test_steps_between_outputs() -> None:
    a = np.array([-128, 127], np.int8)
    assert steps_apart(a, a[::-1]) == 255  # no wrap of the 8-bit difference
    constant = np.full(3, 2.0, np.float32)
    assert steps_apart(constant + np.float32(2 / 256), constant) == pytest.approx(1)
    zeros = np.zeros(3, np.float32)
    assert steps_apart(zeros, zeros) == 0
    nan = np.full(3, np.nan, np.float32)
    assert steps_apart(nan, nan) == 0
    assert steps_apart(nan, zeros) == float("inf")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([{"a": 1}], dtype=object), "not readable"),
        (np.zeros((4, 4), np.float32), "does not fit"),
        (np.zeros((0, 4), np.int8), "is empty"),
    ],
)
def test_a_golden_array_that_is_none_fails_the_self_test(array: NDArray[Any], message: str) -> None:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    data = resealed(tiny_bundle(), {"golden/input-0.npy": file.getvalue()})
    bundle = open_bundle(data, TRUST)
    with pytest.raises(ActivationError, match=message):
        self_test(interpreter.load(bundle.model()), bundle)
