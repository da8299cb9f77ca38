"""MobileNet v2 at 224 x 224 as values: the architecture of its paper, 8-bit, no weights."""

from green_edge.tflite.model import Options, TfliteModel
from support.op_graphs import OpGraph

# Expansion, channels, blocks, stride of the first one.
_STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
    (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


class _Net(OpGraph):
    def pointwise(self, data: int, channels: int) -> int:
        return self.conv(data, channels, window=1)

    def depthwise(self, data: int, stride: int) -> int:
        _, height, width, channels = self.tensors[data].shape
        weights = self.constant(1, 3, 3, channels, channels=channels)
        bias = self.constant(channels, dtype="int32", channels=channels)
        sides = -(-height // stride), -(-width // stride)
        options = Options(fused_activation="RELU6", dilation=(1, 1))
        inputs = [data, weights, bias]
        return self.op("DEPTHWISE_CONV_2D", inputs, 1, *sides, channels, version=3, options=options)


def mobilenet_v2(*, classes: int = 965) -> TfliteModel:
    """The classifier."""
    net = _Net()
    weights, bias = net.constant(32, 3, 3, 3, channels=32), net.constant(32, dtype="int32")
    first = [net.feed(1, 224, 224, 3), weights, bias]
    options = Options(fused_activation="RELU6", dilation=(1, 1))
    data = net.op("CONV_2D", first, 1, 112, 112, 32, version=3, options=options)
    for expansion, channels, blocks, first_stride in _STAGES:
        for block in range(blocks):
            shape = net.tensors[data].shape
            wide = data if expansion == 1 else net.pointwise(data, shape[-1] * expansion)
            stride = first_stride if block == 0 else 1
            found = net.pointwise(net.depthwise(wide, stride), channels)
            data = found if block == 0 else net.op("ADD", [data, found], *shape[:-1], channels)
    data = net.op("MEAN", [net.pointwise(data, 1280), net.constant(values=(1, 2))], 1, 1280)
    dense = [data, net.constant(classes, 1280), net.constant(classes, dtype="int32")]
    net.op("FULLY_CONNECTED", dense, 1, classes, version=4)
    return net.model()
