"""Classifiers of Coral's published table whose files are not among the test data, as operations.

Shapes alone: the architectures are those of their papers (GoogLeNet, 2014; ResNet, 2015, version 1;
Inception-v4, 2016), with 8-bit types and the classes of ImageNet and a background.
"""

from collections.abc import Sequence
from typing import Any

from benchmarks.edgetpu_op_lists import model_of
from green_edge.tflite.model import TfliteModel

_CLASSES = 1_001
# Channels of GoogLeNet's modules: 1x1; 3x3 reduced, 3x3; 5x5 reduced, 5x5; after the pooling.
_INCEPTION_V1 = (
    (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), "pool",
    (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128), "pool",
    (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128),
)  # fmt: skip
# Of ResNet-50: channels inside a block, blocks.
_RESNET_50 = ((64, 3), (128, 4), (256, 6), (512, 3))
_EXPANSION = 4


class _Net:
    """Operations so far; a tensor is its shape."""

    def __init__(self) -> None:
        self.ops: list[dict[str, Any]] = []

    def conv(
        self, data: Sequence[int], channels: int, window: tuple[int, int] = (1, 1),
        stride: int = 1, *, valid: bool = False,
    ) -> list[int]:  # fmt: skip
        out = [1, *_size(data, window, stride, valid=valid), channels]
        weights = [channels, *window, data[-1]]
        self._add("CONV_2D", [data], [weights, [channels]], out)
        return out

    def pool(
        self, data: Sequence[int], window: int, stride: int, *, valid: bool = False
    ) -> list[int]:
        out = [1, *_size(data, (window, window), stride, valid=valid), data[-1]]
        self._add("MAX_POOL_2D", [data], [], out)
        return out

    def join(self, *parts: Sequence[int]) -> list[int]:
        out = [*parts[0][:-1], sum(part[-1] for part in parts)]
        self._add("CONCATENATION", parts, [], out)
        return out

    def add(self, left: Sequence[int], right: Sequence[int]) -> list[int]:
        self._add("ADD", [left, right], [], left)
        return list(left)

    def classify(self, data: Sequence[int]) -> TfliteModel:
        pooled = [1, 1, 1, data[-1]]
        self._add("AVERAGE_POOL_2D", [data], [], pooled)
        self._add("FULLY_CONNECTED", [pooled], [[_CLASSES, data[-1]], [_CLASSES]], [1, _CLASSES])
        self._add("SOFTMAX", [[1, _CLASSES]], [], [1, _CLASSES])
        return model_of(self.ops)

    def _add(
        self, op: str, data: Sequence[Sequence[int]], constants: Sequence[Sequence[int]],
        out: Sequence[int],
    ) -> None:  # fmt: skip
        made = [["INT32" if len(c) == 1 else "UINT8", list(c), 1] for c in constants]
        inputs = [["UINT8", list(each), 1] for each in data]
        self.ops.append(
            {"op": op, "v": 1, "in": inputs, "const": made, "out": [["UINT8", list(out), 1]]}
        )


def _size(
    data: Sequence[int], window: tuple[int, int], stride: int, *, valid: bool
) -> tuple[int, int]:
    lost = (window[0] - 1, window[1] - 1) if valid else (0, 0)
    height, width = data[1] - lost[0], data[2] - lost[1]
    return -(-height // stride), -(-width // stride)


def inception_v1() -> TfliteModel:
    """GoogLeNet at 224 x 224."""
    net = _Net()
    x = net.pool(net.conv([1, 224, 224, 3], 64, (7, 7), 2), 3, 2)
    x = net.pool(net.conv(net.conv(x, 64), 192, (3, 3)), 3, 2)
    for module in _INCEPTION_V1:
        if isinstance(module, str):
            x = net.pool(x, 3, 2)
            continue
        one, three_in, three, five_in, five, pooled = module
        x = net.join(
            net.conv(x, one),
            net.conv(net.conv(x, three_in), three, (3, 3)),
            net.conv(net.conv(x, five_in), five, (3, 3)),
            net.conv(net.pool(x, 3, 1), pooled),
        )
    return net.classify(x)


def resnet_50(side: int = 299) -> TfliteModel:
    """ResNet-50 version 1, square inputs."""
    net = _Net()
    x = net.pool(net.conv([1, side, side, 3], 64, (7, 7), 2), 3, 2)
    for stage, (inner, blocks) in enumerate(_RESNET_50):
        for block in range(blocks):
            stride = 2 if block == 0 and stage > 0 else 1
            short = net.conv(x, inner * _EXPANSION, stride=stride) if block == 0 else x
            y = net.conv(net.conv(x, inner, stride=stride), inner, (3, 3))
            x = net.add(net.conv(y, inner * _EXPANSION), short)
    return net.classify(x)


def inception_v4() -> TfliteModel:
    """Inception-v4 at 299 x 299."""
    net = _Net()
    x = _stem(net)
    for _ in range(4):
        x = _module_a(net, x)
    x = net.join(
        net.pool(x, 3, 2, valid=True),
        net.conv(x, 384, (3, 3), 2, valid=True),
        net.conv(net.conv(net.conv(x, 192), 224, (3, 3)), 256, (3, 3), 2, valid=True),
    )
    for _ in range(7):
        x = _module_b(net, x)
    seven = net.conv(net.conv(net.conv(x, 256), 256, (1, 7)), 320, (7, 1))
    x = net.join(
        net.pool(x, 3, 2, valid=True),
        net.conv(net.conv(x, 192), 192, (3, 3), 2, valid=True),
        net.conv(seven, 320, (3, 3), 2, valid=True),
    )
    for _ in range(3):
        x = _module_c(net, x)
    return net.classify(x)


def _stem(net: _Net) -> list[int]:
    x = net.conv([1, 299, 299, 3], 32, (3, 3), 2, valid=True)
    x = net.conv(net.conv(x, 32, (3, 3), valid=True), 64, (3, 3))
    x = net.join(net.pool(x, 3, 2, valid=True), net.conv(x, 96, (3, 3), 2, valid=True))
    deep = net.conv(net.conv(net.conv(x, 64), 64, (7, 1)), 64, (1, 7))
    x = net.join(
        net.conv(net.conv(x, 64), 96, (3, 3), valid=True),
        net.conv(deep, 96, (3, 3), valid=True),
    )
    return net.join(net.conv(x, 192, (3, 3), 2, valid=True), net.pool(x, 3, 2, valid=True))


def _module_a(net: _Net, x: Sequence[int]) -> list[int]:
    return net.join(
        net.conv(net.pool(x, 3, 1), 96),
        net.conv(x, 96),
        net.conv(net.conv(x, 64), 96, (3, 3)),
        net.conv(net.conv(net.conv(x, 64), 96, (3, 3)), 96, (3, 3)),
    )


def _module_b(net: _Net, x: Sequence[int]) -> list[int]:
    long = net.conv(net.conv(net.conv(x, 192), 192, (1, 7)), 224, (7, 1))
    return net.join(
        net.conv(net.pool(x, 3, 1), 128),
        net.conv(x, 384),
        net.conv(net.conv(net.conv(x, 192), 224, (1, 7)), 256, (7, 1)),
        net.conv(net.conv(long, 224, (1, 7)), 256, (7, 1)),
    )


def _module_c(net: _Net, x: Sequence[int]) -> list[int]:
    short = net.conv(x, 384)
    long = net.conv(net.conv(net.conv(x, 384), 448, (1, 3)), 512, (3, 1))
    return net.join(
        net.conv(net.pool(x, 3, 1), 256),
        net.conv(x, 256),
        net.conv(short, 256, (1, 3)), net.conv(short, 256, (3, 1)),
        net.conv(long, 256, (1, 3)), net.conv(long, 256, (3, 1)),
    )  # fmt: skip
