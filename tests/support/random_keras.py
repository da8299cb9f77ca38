"""Random Keras models out of every kind of layer whose channels can be followed."""

from collections.abc import Callable
from random import Random
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

Array = NDArray[Any]
Block = Callable[[Random, Any], Any]


def image_model(seed: int, blocks: int = 6) -> Any:
    """A model of 8 x 8 images of 3 channels with one or two outputs."""
    draw = Random(seed)  # noqa: S311 - a seed, not a secret
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(_width(draw), 3, padding="same")(inputs)
    middle = x
    for k in range(blocks):
        x = draw.choice(_IMAGE)(draw, x)
        middle = x if k == blocks // 2 else middle
    outputs = [layers.Dense(3, activation="softmax")(_image_head(draw, x))]
    if draw.random() < 0.3:
        outputs.append(layers.Dense(2)(layers.GlobalAveragePooling2D()(middle)))
    return randomized(keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0]), seed)


def sequence_model(seed: int, blocks: int = 5) -> Any:
    """A model of sequences: 6 places of 5 numbers, and as many tokens where it takes them."""
    draw = Random(seed)  # noqa: S311 - a seed, not a secret
    inputs = [keras.Input((6, 5))]
    x = layers.Dense(8)(inputs[0])
    if draw.random() < 0.5:
        inputs.append(keras.Input((6,), dtype="int32"))
        x = layers.Add()([x, layers.Embedding(9, 8)(inputs[1])])
    for _ in range(blocks):
        x = draw.choice(_SEQUENCE)(draw, x)
    last = draw.choice([layers.Flatten(), layers.GlobalMaxPooling1D(), layers.LSTM(4)])
    model = keras.Model(inputs if len(inputs) > 1 else inputs[0], layers.Dense(2)(last(x)))
    return randomized(model, seed)


def randomized(model: Any, seed: int) -> Any:
    """The model with random weights; variances are positive."""
    draw = np.random.default_rng(seed)
    for variable in model.weights:
        values = draw.uniform(-0.5, 0.5, variable.shape)
        variable.assign(np.abs(values) + 0.1 if "variance" in variable.path else values)
    for layer in model.layers:
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()
    return model


def samples(model: Any, seed: int, n: int = 3) -> Array | list[Array]:
    """Random inputs of a model: an array, or one for each input."""
    draw = np.random.default_rng(seed)
    made = [
        draw.integers(0, 9, (n, *tensor.shape[1:]))
        if "int" in tensor.dtype
        else draw.normal(size=(n, *tensor.shape[1:]))
        for tensor in model.inputs
    ]
    return made if len(made) > 1 else made[0]


def _width(draw: Random) -> int:
    return draw.choice([4, 6, 8])


def _image_head(draw: Random, x: Any) -> Any:
    kind = draw.randrange(4)
    if kind == 0:
        return layers.GlobalAveragePooling2D()(x)
    if kind == 1:
        return layers.Dense(6, activation="relu")(layers.Flatten()(x))
    if kind == 2:
        return layers.Dense(6)(layers.Flatten()(layers.Permute((3, 1, 2))(x)))
    places = layers.Reshape((-1, x.shape[-1]))(x)
    return layers.GRU(5, reset_after=draw.random() < 0.5)(places)


def _conv(draw: Random, x: Any) -> Any:
    activation = draw.choice(["relu", "sigmoid", "linear", "softmax"])
    use_bias = draw.random() < 0.7
    return layers.Conv2D(
        _width(draw), draw.choice([1, 3]), padding="same", activation=activation, use_bias=use_bias
    )(x)


def _grouped(draw: Random, x: Any) -> Any:
    x = layers.Conv2D(8, 1)(x)
    return layers.Conv2D(8, 3, padding="same", groups=draw.choice([2, 4, 8]))(x)


def _depthwise(draw: Random, x: Any) -> Any:
    return layers.DepthwiseConv2D(3, padding="same", depth_multiplier=draw.choice([1, 2]))(x)


def _separable(draw: Random, x: Any) -> Any:
    multiplier = draw.choice([1, 2])
    return layers.SeparableConv2D(_width(draw), 3, padding="same", depth_multiplier=multiplier)(x)


def _transposed(draw: Random, x: Any) -> Any:
    return layers.Conv2DTranspose(_width(draw), 3, padding="same")(x)


def _norm(draw: Random, x: Any) -> Any:
    kinds = [layers.BatchNormalization(), layers.BatchNormalization(scale=False)]
    kinds += [layers.LayerNormalization(), layers.Normalization()]
    return draw.choice(kinds)(x)


def _activation(draw: Random, x: Any) -> Any:
    kinds = [layers.PReLU(shared_axes=[1, 2]), layers.PReLU(), layers.ReLU(6.0)]
    kinds += [layers.Activation("gelu"), layers.Dropout(0.2), layers.Activation("sigmoid")]
    return draw.choice(kinds)(x)


def _residual(draw: Random, x: Any) -> Any:
    y = layers.BatchNormalization()(layers.Conv2D(_width(draw), 3, padding="same")(x))
    y = layers.Conv2D(x.shape[-1], 1)(layers.ReLU()(y))
    return draw.choice([layers.Add(), layers.Maximum(), layers.Average()])([x, y])


def _branches(draw: Random, x: Any) -> Any:
    parts = [x, layers.Conv2D(_width(draw), 1)(x), x]
    return layers.Concatenate()(parts[: draw.choice([2, 3])])


def _excite(draw: Random, x: Any) -> Any:
    gate = layers.GlobalAveragePooling2D(keepdims=draw.random() < 0.5)(x)
    gate = layers.Dense(4, activation="relu")(gate)
    gate = layers.Dense(x.shape[-1], activation="sigmoid")(gate)
    return layers.Multiply()([x, layers.Reshape((1, 1, x.shape[-1]))(gate)])


def _shuffle(draw: Random, x: Any) -> Any:
    del draw
    height, width, channels = x.shape[1:]
    x = layers.Reshape((height, width, 2, channels // 2))(x) if channels % 2 == 0 else x
    if len(x.shape) == 4:
        return x
    return layers.Reshape((height, width, channels))(layers.Permute((1, 2, 4, 3))(x))


def _resize(draw: Random, x: Any) -> Any:
    x = draw.choice([layers.MaxPooling2D(), layers.AveragePooling2D(2, 1)])(x)
    return draw.choice([layers.UpSampling2D(), layers.ZeroPadding2D(1)])(x)


def _nested(draw: Random, x: Any) -> Any:
    inner = keras.Input(x.shape[1:])
    y = layers.Conv2D(x.shape[-1], 1, activation="relu", name="same_name")(inner)
    nested = keras.Model(inner, layers.Add()([inner, y]))
    return nested(nested(x)) if draw.random() < 0.5 else nested(x)


def _shared(draw: Random, x: Any) -> Any:
    layer = layers.Conv2D(x.shape[-1], draw.choice([1, 3]), padding="same")
    return layer(layer(x))


def _operations(draw: Random, x: Any) -> Any:
    y = layers.Conv2D(x.shape[-1], 1)(x)
    kinds = (
        keras.ops.relu(x + y) * 0.5,
        keras.ops.transpose(keras.ops.transpose(x, (0, 3, 1, 2)), (0, 2, 3, 1)),
        keras.ops.reshape(x, (-1, x.shape[1] * x.shape[2], 1, x.shape[3])),
        x - keras.ops.mean(y, axis=(1, 2), keepdims=True),
        keras.ops.maximum(x, y) / 2.0,
        x / (1.0 + keras.ops.square(y)),
        keras.ops.concatenate([x[:, :1], y], axis=1),
    )
    return draw.choice(kinds)


def _recurrent(draw: Random, x: Any) -> Any:
    kind = draw.choice([layers.LSTM, layers.GRU, layers.SimpleRNN])
    layer = kind(_width(draw), return_sequences=True, use_bias=draw.random() < 0.7)
    if draw.random() < 0.5:
        return layer(x)
    return layers.Bidirectional(layer, merge_mode=draw.choice(["concat", "sum", "ave"]))(x)


def _states(draw: Random, x: Any) -> Any:
    width = _width(draw)
    _, *states = layers.LSTM(width, return_state=True)(x)
    return layers.LSTM(width, return_sequences=True)(x, initial_state=states)


def _attention(draw: Random, x: Any) -> Any:
    layer = layers.MultiHeadAttention(
        draw.choice([2, 3]),
        draw.choice([4, 5]),
        value_dim=draw.choice([None, 3]),
        use_bias=draw.random() < 0.7,
        output_shape=draw.choice([None, x.shape[-1]]),
    )
    y = layer(x, layers.Dense(6)(x)) if draw.random() < 0.5 else layer(query=x, value=x)
    return layers.Add()([x, y]) if draw.random() < 0.7 else y


def _each_place(draw: Random, x: Any) -> Any:
    inner = draw.choice([layers.Dense(_width(draw), activation="relu"), layers.PReLU()])
    return layers.TimeDistributed(inner)(x)


def _einsum(draw: Random, x: Any) -> Any:
    if draw.random() < 0.5:
        return layers.EinsumDense("abc,cd->abd", (None, _width(draw)), bias_axes="d")(x)
    y = layers.EinsumDense("abc,cde->abde", (None, 2, 4), bias_axes="de")(x)
    return layers.EinsumDense("abde,def->abf", (None, _width(draw)))(y)


def _filter(draw: Random, x: Any) -> Any:
    width = _width(draw)
    kinds = [layers.Conv1D(width, 3, padding="same"), layers.DepthwiseConv1D(3, padding="same")]
    kinds += [layers.SeparableConv1D(width, 3, padding="same")]
    kinds += [layers.Conv1DTranspose(width, 3, padding="same")]
    return draw.choice(kinds)(x)


def _residual_dense(draw: Random, x: Any) -> Any:
    y = layers.Dense(_width(draw), activation="gelu")(layers.LayerNormalization()(x))
    return layers.Add()([x, layers.Dense(x.shape[-1])(y)])


def _repeat(draw: Random, x: Any) -> Any:
    del draw
    return layers.RepeatVector(6)(x[:, 0])


_IMAGE: tuple[Block, ...] = (
    _conv,
    _grouped,
    _depthwise,
    _separable,
    _transposed,
    _norm,
    _activation,
    _residual,
    _branches,
    _excite,
    _shuffle,
    _resize,
    _nested,
    _shared,
    _operations,
)
_SEQUENCE: tuple[Block, ...] = (
    _recurrent,
    _states,
    _attention,
    _each_place,
    _einsum,
    _filter,
    _residual_dense,
    _repeat,
)
