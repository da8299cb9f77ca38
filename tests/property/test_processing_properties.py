import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from green_edge_agent.runtime.processing import apply_pre, dequantize, prepare, quantize, softmax
from green_edge_wire.manifest import Dtype, Pipeline, Resize, TensorSpec

quantized: st.SearchStrategy[Dtype] = st.sampled_from(["int8", "uint8", "int16"])
scales = st.floats(1e-6, 1e3)


@st.composite
def specs(draw: st.DrawFn) -> TensorSpec:
    dtype = draw(quantized)
    limits = np.iinfo(dtype)
    zero_point = draw(st.integers(int(limits.min), int(limits.max)))
    return TensorSpec("x", (1, 1), dtype, draw(scales), zero_point)


@given(specs(), st.floats(0, 1))
def test_quantizing_is_off_by_half_a_step_at_most_inside_the_range(
    spec: TensorSpec, share: float
) -> None:
    assert spec.scale is not None
    limits = np.iinfo(spec.dtype)
    ends = dequantize(np.array([limits.min, limits.max], spec.dtype), spec).astype(np.float64)
    x = np.float32(ends[0] + share * (ends[1] - ends[0]))
    back = dequantize(quantize([x], spec), spec)
    # float32 itself resolves 2**-24 of the value.
    slack = 2.0**-22 * max(abs(ends))
    assert abs(float(back[0]) - float(x)) <= spec.scale / 2 + slack


@given(specs())
def test_zero_maps_to_zero_exactly(spec: TensorSpec) -> None:
    assert dequantize(quantize([0.0], spec), spec).tolist() == [0.0]


@given(specs(), st.data())
def test_every_quantized_value_comes_back_from_its_real_one(
    spec: TensorSpec, data: st.DataObject
) -> None:
    limits = np.iinfo(spec.dtype)
    q = np.array([data.draw(st.integers(int(limits.min), int(limits.max)))], spec.dtype)
    assert quantize(dequantize(q, spec), spec).tolist() == q.tolist()


@given(specs(), st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_any_finite_value_is_clipped_into_the_type(spec: TensorSpec, x: float) -> None:
    assert quantize([x], spec).dtype == np.dtype(spec.dtype)


images = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=3, max_side=6),
    elements=st.floats(-1e3, 1e3, width=32),
)


@given(images, st.integers(1, 9), st.integers(1, 9), st.sampled_from(["bilinear", "nearest"]))
def test_a_resized_image_stays_within_the_range_of_its_pixels(
    image: NDArray[np.float32], height: int, width: int, method: str
) -> None:
    step = Resize(height, width, "nearest" if method == "nearest" else "bilinear")
    got = apply_pre((step,), image)
    assert got.shape == (height, width, *image.shape[2:])
    slack = 1e-3
    assert image.min() - slack <= got.min()
    assert got.max() <= image.max() + slack


@given(images)
def test_resizing_to_its_own_size_changes_nothing(image: NDArray[np.float32]) -> None:
    height, width = image.shape[:2]
    np.testing.assert_array_equal(apply_pre((Resize(height, width),), image), image)


@given(images)
def test_flat_and_shaped_samples_prepare_to_the_same_tensor(image: NDArray[np.float32]) -> None:
    spec = TensorSpec("x", (1, *image.shape), "int8", 0.5, 0)
    shaped = prepare(Pipeline(), image, spec)
    assert shaped.shape == spec.shape
    np.testing.assert_array_equal(prepare(Pipeline(), image.ravel(), spec), shaped)


@given(hnp.arrays(np.float32, st.integers(1, 9), elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_softmax_is_a_distribution_in_the_order_of_its_scores(x: NDArray[np.float32]) -> None:
    p = softmax(x)
    assert abs(float(p.sum()) - 1) < 1e-5
    assert (p >= 0).all()
    assert p[int(np.argmax(x))] == p.max()
