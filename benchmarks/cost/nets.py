"""Whole networks of the families that run on small boards, drawn from a seed."""

from collections.abc import Callable, Iterator, Mapping
from random import Random

from benchmarks.cost.graph import Graph, Kind
from benchmarks.cost.ops import Case

Maker = Callable[[Graph, Random], None]
_WIDTHS = (4, 6, 8, 10, 12, 14, 16, 18, 20, 24, 28, 30, 32, 36, 40, 48, 56, 64)


def networks(kind: Kind, seed: int, count: int, *, unknown_batch: bool = False) -> Iterator[Case]:
    """`count` networks of each family, all but those that reshape nothing in an unknown batch."""
    for family, make in _FAMILIES.items():
        if kind == "hybrid" and family not in _HYBRID:
            continue
        rng = Random(f"{seed} {kind} {family}")  # noqa: S311 - not for secrets
        for _ in range(count):
            graph = Graph(kind, unknown_batch)
            make(graph, rng)
            if unknown_batch and not graph.reshapes:
                continue
            yield Case(family, kind, graph.model())


def _residual(graph: Graph, one: int, other: int) -> int:
    return graph.op("ADD", [one, other], graph.shapes[one], ("AddOptions", {}))


def _flat(graph: Graph, data: int) -> int:
    size = 1
    for axis in graph.shapes[data]:
        size *= axis
    return graph.reshape(data, 1, size)


def _softmax(graph: Graph, data: int) -> None:
    graph.op("SOFTMAX", [data], graph.shapes[data], ("SoftmaxOptions", {"beta": 1.0}))


def _head(graph: Graph, rng: Random, data: int) -> None:
    if rng.random() < 0.5:
        pooled = graph.pool("AVERAGE_POOL_2D", data, 0, 1)
        pooled = graph.reshape(pooled, 1, graph.shapes[pooled][-1])
    else:
        shape = (1, graph.shapes[data][-1])
        pooled = graph.op("MEAN", [data, graph.whole((1, 2))], shape, ("ReducerOptions", {}))
    out = graph.dense(pooled, rng.choice((2, 10, 12, 35, 100)))
    if rng.random() < 0.7:
        _softmax(graph, out)


def _start(graph: Graph, rng: Random) -> int:
    side = rng.choice((16, 20, 28, 32, 40, 48))
    return graph.feed(1, side, side, rng.choice((1, 3)))


def _plain(graph: Graph, rng: Random) -> None:
    data = _start(graph, rng)
    for _ in range(rng.choice((2, 3))):
        data = graph.conv(data, rng.choice(_WIDTHS), rng.choice(((3, 3), (3, 3), (5, 5))))
        if rng.random() < 0.8:
            data = graph.pool("MAX_POOL_2D", data, 2, 2)
    data = graph.dense(_flat(graph, data), rng.choice((16, 32, 50, 64)), act=1)
    _softmax(graph, graph.dense(data, 10))


def _resnet(graph: Graph, rng: Random) -> None:
    width = rng.choice(_WIDTHS[2:12])
    data = graph.conv(_start(graph, rng), width, (3, 3))
    for stage in range(rng.choice((2, 3))):
        stride = 1 if stage == 0 else 2
        width = width if stage == 0 else rng.choice(_WIDTHS[3:])
        inner = graph.conv(data, rng.choice(_WIDTHS[2:]), (3, 3), stride)
        inner = graph.conv(inner, width, (3, 3), act=0)
        if stage:
            data = graph.conv(data, width, (1, 1), stride, act=0)
        data = _residual(graph, data, inner)
        if rng.random() < 0.3:
            data = graph.simple("RELU", data)
    _head(graph, rng, data)


def _separable(graph: Graph, rng: Random) -> None:
    data = graph.conv(_start(graph, rng), rng.choice(_WIDTHS[2:10]), (3, 3), 2)
    for _ in range(rng.choice((3, 4, 6))):
        stride = 2 if graph.shapes[data][1] > 4 and rng.random() < 0.4 else 1
        data = graph.depthwise(data, rng.choice(((3, 3), (3, 3), (5, 5))), stride)
        data = graph.conv(data, rng.choice((*_WIDTHS[2:], 96, 128)))
    _head(graph, rng, data)


def _inverted(graph: Graph, rng: Random) -> None:
    data = graph.conv(_start(graph, rng), rng.choice((8, 16, 24)), (3, 3), 2, act=3)
    for _ in range(rng.choice((3, 4, 6))):
        _, side, _, depth = graph.shapes[data]
        stride = 2 if side > 4 and rng.random() < 0.4 else 1
        out = depth if stride == 1 and rng.random() < 0.7 else rng.choice(_WIDTHS[2:12])
        inner = graph.conv(data, depth * rng.choice((2, 3, 4, 6)), act=3)
        inner = graph.conv(graph.depthwise(inner, (3, 3), stride), out, act=0)
        data = _residual(graph, data, inner) if graph.shapes[inner] == graph.shapes[data] else inner
    _head(graph, rng, data)


def _gated(graph: Graph, rng: Random) -> None:
    """Squeeze and excitation, with activations of their own."""
    data = graph.conv(_start(graph, rng), rng.choice(_WIDTHS[2:8]), (3, 3), 2, act=0)
    data = graph.op("HARD_SWISH", [data], graph.shapes[data], ("HardSwishOptions", {}), version=1)
    for _ in range(rng.choice((2, 3))):
        depth = graph.shapes[data][-1]
        data = graph.depthwise(data, (3, 3), rng.choice((1, 2)))
        gate = graph.op("MEAN", [data, graph.whole((1, 2))], (1, 1, 1, depth),
                        ("ReducerOptions", {"keepDims": True}))  # fmt: skip
        gate = graph.conv(graph.conv(gate, max(4, depth // 4)), depth, act=0)
        gate = graph.simple("LOGISTIC", gate)
        data = graph.op("MUL", [data, gate], graph.shapes[data], ("MulOptions", {}))
        data = graph.conv(data, rng.choice(_WIDTHS[2:14]))
    _head(graph, rng, data)


def _dense(graph: Graph, rng: Random) -> None:
    data = graph.feed(1, rng.choice((10, 24, 64, 100, 320, 640)))
    for _ in range(rng.choice((2, 3, 5, 8))):
        data = graph.dense(data, rng.choice((8, 16, 24, 32, 50, 64, 100, 128, 256)), act=1)
    out = graph.dense(data, rng.choice((1, 2, 10)))
    if rng.random() < 0.5:
        _softmax(graph, out)


def _decoder(graph: Graph, rng: Random) -> None:
    """Down and up again with a skip."""
    skip = graph.conv(graph.feed(1, 24, 24, 3), rng.choice((4, 8, 12)), (3, 3))
    data = graph.conv(skip, rng.choice((8, 16, 20)), (3, 3), 2)
    data = graph.conv(data, rng.choice((16, 24)), (3, 3), 2)
    data = graph.transpose_conv(data, rng.choice((8, 16)), rng.choice((2, 3)), 2)
    _, height, width, depth = graph.shapes[data]
    size, options = (2 * height, 2 * width), {"halfPixelCenters": True}
    data = graph.op("RESIZE_NEAREST_NEIGHBOR", [data, graph.whole(size)], (1, *size, depth),
                    ("ResizeNearestNeighborOptions", options), version=3)  # fmt: skip
    shape = (*graph.shapes[skip][:3], depth + graph.shapes[skip][3])
    data = graph.op("CONCATENATION", [data, skip], shape, ("ConcatenationOptions", {"axis": 3}))
    graph.conv(graph.conv(data, rng.choice((8, 16)), (3, 3)), rng.choice((1, 3)), act=0)


def _padded(graph: Graph, rng: Random) -> None:
    """Explicit padding before strided layers, as PyTorch exports have it."""
    data = _start(graph, rng)
    for _ in range(3):
        _, height, width, depth = graph.shapes[data]
        paddings = graph.whole(((0, 0), (1, 1), (1, 1), (0, 0)))
        data = graph.op("PAD", [data, paddings], (1, height + 2, width + 2, depth))
        data = graph.conv(data, rng.choice(_WIDTHS[2:14]), (3, 3), rng.choice((1, 2)), same=False)
    _head(graph, rng, data)


_FAMILIES: Mapping[str, Maker] = {
    "plain": _plain,
    "residual": _resnet,
    "separable": _separable,
    "inverted": _inverted,
    "gated": _gated,
    "dense": _dense,
    "decoder": _decoder,
    "padded": _padded,
}
_HYBRID = {"plain", "residual", "separable", "inverted", "dense"}
