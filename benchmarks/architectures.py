"""Networks of published latencies, rebuilt with random weights: a count needs their shapes alone.

Classifiers are those of Keras or written from their papers; detectors are a backbone of Keras with
the layers and heads of the SSD paper, without the last step that sorts boxes.
"""

import tempfile
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from keras.applications import MobileNet, MobileNetV2, MobileNetV3Large, MobileNetV3Small, ResNet50

from benchmarks import cache

SEED = 1
_COCO_CLASSES = 91
_BOX_VALUES = 4
Dtype = Literal["int8", "float32"]
_Head = Literal["separable", "pointwise", "full"]


def names() -> tuple[str, ...]:
    """Names of the networks that can be built."""
    return tuple(_BUILDERS)


def tflite(name: str, dtype: Dtype) -> bytes:
    """A network as a .tflite for one image; kept in the cache as long as this file is the same."""
    digest = sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    file = cache.folder("architectures") / f"{name}-{dtype}-{digest}.tflite"
    if not file.is_file():
        file.write_bytes(_converted(name, dtype))
    return file.read_bytes()


def _converted(name: str, dtype: Dtype) -> bytes:
    keras.utils.set_random_seed(SEED)
    model = _BUILDERS[name]()
    # XNNPACK of older runtimes leaves a whole graph alone that does not say how many images come.
    shape = (1, *model.inputs[0].shape[1:])
    image = keras.InputSpec(shape=shape, dtype="float32")
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False, input_signature=[image])
        return _from_saved_model(folder, shape, dtype)


def _from_saved_model(folder: str, shape: tuple[int, ...], dtype: Dtype) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    if dtype == "int8":
        image = np.random.default_rng(SEED).uniform(-1, 1, shape).astype(np.float32)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: iter([[image]])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def _conv(
    x: Any,
    filters: int,
    kernel: int,
    stride: int = 1,
    *,
    top: float | None = None,
    linear: bool = False,
) -> Any:
    """Convolution, batch normalization and, unless it is linear, a rectifier up to `top`."""
    x = layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return x if linear else layers.ReLU(top)(x)


def _depthwise(x: Any, stride: int = 1, dilation: int = 1) -> Any:
    x = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False, dilation_rate=dilation)(x)
    return layers.ReLU(6)(layers.BatchNormalization()(x))


def _join(*parts: Any) -> Any:
    return layers.Concatenate()(list(parts))


def _classifier(image: Any, x: Any, classes: int) -> Any:
    return keras.Model(image, layers.Dense(classes)(layers.GlobalAveragePooling2D()(x)))


def _resnet18() -> Any:
    image = layers.Input((224, 224, 3))
    x = layers.MaxPool2D(3, 2, "same")(_conv(image, 64, 7, 2))
    for filters in (64, 64, 128, 128, 256, 256, 512, 512):
        same = filters == x.shape[-1]
        stride = 1 if same else 2
        y = _conv(_conv(x, filters, 3, stride), filters, 3, linear=True)
        shortcut = x if same else _conv(x, filters, 1, stride, linear=True)
        x = layers.ReLU()(layers.Add()([y, shortcut]))
    return _classifier(image, x, 1000)


def _squeezenet() -> Any:
    def conv(x: Any, filters: int, kernel: int, stride: int = 1, padding: str = "same") -> Any:
        return layers.Conv2D(filters, kernel, stride, padding=padding, activation="relu")(x)

    image = layers.Input((224, 224, 3))
    x = layers.MaxPool2D(3, 2)(conv(image, 96, 7, 2, "valid"))
    for index, (squeeze, expand) in enumerate(
        ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
    ):
        squeezed = conv(x, squeeze, 1)
        x = _join(conv(squeezed, expand, 1), conv(squeezed, expand, 3))
        # Pooled after the third and the seventh of them.
        x = layers.MaxPool2D(3, 2)(x) if index in (2, 6) else x
    return keras.Model(image, layers.GlobalAveragePooling2D()(conv(x, 1000, 1)))


def _inception_v1() -> Any:
    def mixed(x: Any, a: int, b: Sequence[int], c: Sequence[int], d: int) -> Any:
        pooled = layers.MaxPool2D(3, 1, "same")(x)
        branches = (_conv(_conv(x, reduce, 1), out, 3) for reduce, out in (b, c))
        return _join(_conv(x, a, 1), *branches, _conv(pooled, d, 1))

    image = layers.Input((224, 224, 3))
    x = layers.MaxPool2D(3, 2, "same")(_conv(image, 64, 7, 2))
    x = layers.MaxPool2D(3, 2, "same")(_conv(_conv(x, 64, 1), 192, 3))
    x = mixed(mixed(x, 64, (96, 128), (16, 32), 32), 128, (128, 192), (32, 96), 64)
    x = layers.MaxPool2D(3, 2, "same")(x)
    for a, b, c, d in (
        (192, (96, 208), (16, 48), 64),
        (160, (112, 224), (24, 64), 64),
        (128, (128, 256), (24, 64), 64),
        (112, (144, 288), (32, 64), 64),
        (256, (160, 320), (32, 128), 128),
    ):
        x = mixed(x, a, b, c, d)
    x = layers.MaxPool2D(2, 2, "same")(x)
    x = mixed(mixed(x, 256, (160, 320), (32, 128), 128), 384, (192, 384), (48, 128), 128)
    return _classifier(image, x, 1001)


def _posenet() -> Any:
    """MobileNet v1 of output stride 16 with the four heads of PoseNet."""
    image = layers.Input((257, 257, 3))
    x, dilation = _conv(image, 32, 3, 2, top=6), 1
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    filters = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
    for index, (stride, out) in enumerate(zip(strides, filters, strict=True)):
        # The last step down is left out; what follows it looks twice as far apart instead.
        kept = 1 if index == 11 else stride
        x = _conv(_depthwise(x, kept, dilation), out, 1, top=6)
        dilation = 2 if index >= 11 else 1
    return keras.Model(image, [layers.Conv2D(depth, 1)(x) for depth in (17, 34, 32, 32)])


def _ssd(backbone: Any, middle: Any, head: _Head) -> Any:
    """A detector: heads on a layer of stride 16, on the backbone's end and on four layers more."""
    x = backbone.output
    features = [middle, x]
    for reduce, out in ((256, 512), (128, 256), (128, 256), (64, 128)):
        x = _conv(x, reduce, 1, top=6)
        if head == "separable":
            x = _conv(_depthwise(x, 2), out, 1, top=6)
        else:
            x = _conv(x, out, 3, 2, top=6)
        features.append(x)
    boxes, classes = (_predictions(features, depth, head) for depth in (_BOX_VALUES, _COCO_CLASSES))
    return keras.Model(backbone.input, [boxes, layers.Activation("sigmoid")(classes)])


def _predictions(features: Sequence[Any], depth: int, head: _Head) -> Any:
    found = []
    for index, feature in enumerate(features):
        anchors = 3 if index == 0 else 6
        x = _depthwise(feature) if head == "separable" else feature
        kernel = 3 if head == "full" else 1
        x = layers.Conv2D(anchors * depth, kernel, padding="same")(x)
        found.append(layers.Reshape((-1, depth))(x))
    return layers.Concatenate(axis=1)(found)


def _ssd_v1(alpha: float) -> Any:
    net = MobileNet(input_shape=(300, 300, 3), alpha=alpha, weights=None, include_top=False)
    return _ssd(net, net.get_layer("conv_pw_11_relu").output, "pointwise")


def _ssd_v2(head: _Head) -> Any:
    net = MobileNetV2(input_shape=(300, 300, 3), weights=None, include_top=False)
    return _ssd(net, net.get_layer("block_13_expand_relu").output, head)


def _ssd_v3(backbone: Callable[..., Any], middle_depth: int) -> Any:
    net = backbone(
        input_shape=(320, 320, 3), weights=None, include_top=False, include_preprocessing=False
    )
    middle = [x.output for x in net.layers if x.output.shape[1:] == (20, 20, middle_depth)]
    return _ssd(net, middle[-1], "separable")


def _mobilenet_v3(backbone: Callable[..., Any]) -> Any:
    return backbone(weights=None, input_shape=(224, 224, 3), include_preprocessing=False)


_BUILDERS: dict[str, Callable[[], Any]] = {
    "mobilenet_v1_224": lambda: MobileNet(weights=None, classes=1001),
    "mobilenet_v2_224": lambda: MobileNetV2(weights=None, classes=1001),
    "mobilenet_v3_large_224": lambda: _mobilenet_v3(MobileNetV3Large),
    "mobilenet_v3_small_224": lambda: _mobilenet_v3(MobileNetV3Small),
    "squeezenet_10_224": _squeezenet,
    "resnet18_224": _resnet18,
    "inception_v1_224": _inception_v1,
    "resnet50_224": lambda: ResNet50(weights=None),
    "posenet_mobilenet_v1_257": _posenet,
    "ssd_mobilenet_v1_300": lambda: _ssd_v1(1.0),
    "ssd_mobilenet_v1_075_300": lambda: _ssd_v1(0.75),
    "ssd_mobilenet_v2_300": lambda: _ssd_v2("full"),
    # Coral does not say which heads its own has; it is faster than its SSD MobileNet v1, which
    # the full ones do not allow.
    "ssd_mobilenet_v2_pointwise_300": lambda: _ssd_v2("pointwise"),
    "ssdlite_mobilenet_v2_300": lambda: _ssd_v2("separable"),
    "ssdlite_mobilenet_v3_large_320": lambda: _ssd_v3(MobileNetV3Large, 672),
    "ssdlite_mobilenet_v3_small_320": lambda: _ssd_v3(MobileNetV3Small, 288),
}
