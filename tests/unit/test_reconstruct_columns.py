"""Layers as matrices: columns times kernel is what the layer gives."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf

# Layer, its arguments and the shape of a batch of inputs.
_LAYERS = [
    ("Dense", {"units": 4}, (3, 5)),
    ("Dense", {"units": 4}, (3, 6, 5)),
    ("Conv1D", {"filters": 4, "kernel_size": 3, "padding": "causal"}, (3, 9, 2)),
    ("Conv1D", {"filters": 4, "kernel_size": 3, "padding": "same", "dilation_rate": 2}, (3, 9, 2)),
    (
        "Conv2D",
        {"filters": 4, "kernel_size": (3, 2), "padding": "same", "strides": 2},
        (3, 7, 6, 2),
    ),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "dilation_rate": 2}, (3, 8, 7, 2)),
    ("Conv2D", {"filters": 6, "kernel_size": 3, "groups": 2}, (3, 5, 5, 4)),
    ("DepthwiseConv1D", {"kernel_size": 3, "depth_multiplier": 2}, (3, 9, 4)),
    ("DepthwiseConv2D", {"kernel_size": 3, "padding": "same", "strides": 2}, (3, 7, 6, 4)),
    ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2}, (3, 7, 6, 4)),
    ("SeparableConv1D", {"filters": 5, "kernel_size": 3, "padding": "same"}, (3, 9, 4)),
    ("SeparableConv2D", {"filters": 5, "kernel_size": 3, "padding": "same"}, (3, 7, 6, 4)),
]


@pytest.mark.parametrize(("kind", "arguments", "shape"), _LAYERS)
def test_columns_times_the_matrix_is_what_the_layer_gives(
    kind: str, arguments: dict[str, object], shape: tuple[int, ...]
) -> None:
    import keras  # noqa: PLC0415 - seconds of import

    from green_edge.compress.reconstruct import columns  # noqa: PLC0415 - imports TensorFlow

    keras.utils.set_random_seed(1)
    layer = getattr(keras.layers, kind)(bias_initializer="normal", **arguments)
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    wanted = np.asarray(layer(x))
    matrices = columns.as_matrices(layer)
    seen = columns.columns(layer, x)
    given = seen @ matrices[:, None]
    groups, samples, positions, outputs = given.shape
    flat = given.transpose(1, 2, 0, 3).reshape(samples, positions, groups * outputs)
    np.testing.assert_allclose(
        flat.reshape(wanted.shape) + np.asarray(layer.bias), wanted, atol=1e-5
    )
    np.testing.assert_array_equal(
        columns.from_matrices(layer, matrices), np.asarray(columns.kernel_of(layer))
    )
