"""Models of one operation, for the fit: shapes drawn from a seed, odd channel counts among them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from random import Random

from benchmarks.cost.graph import Graph, Kind

Maker = Callable[[Graph, Random], object]
# Small products keep emulation short; a runtime's tiles show at any size.
_MAX_MACS = 4_000_000
_CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 20, 24, 28, 30, 32, 33, 40, 48, 56, 64, 72,
             80, 96, 100, 112, 128)  # fmt: skip
# Late layers have many channels on few positions.
_MANY_CHANNELS = (*_CHANNELS[12:], 144, 192, 240, 320, 480, 576, 672, 960, 1152)
# Runtimes register no second version of these.
_FIRST_VERSION = {"HARD_SWISH", "ELU"}
_WINDOWS = ((3, 3), (3, 3), (3, 3), (5, 5), (2, 2), (1, 3), (7, 7), (4, 10))


@dataclass(frozen=True, slots=True)
class Case:
    """A model of the fit or of the judgement.

    Attributes:
        group: operation or family, by which errors are told apart.
    """

    group: str
    kind: Kind
    data: bytes


def cases(
    kind: Kind, seed: int, share: float = 1.0, *, unknown_batch: bool = False
) -> Iterator[Case]:
    """Models of one operation each, flattened to a computed shape if the batch is unknown.

    `share` scales how many there are of each group.
    """
    for group, (count, make) in _GROUPS.items():
        if kind == "hybrid" and group not in _HYBRID:
            continue
        rng = Random(f"{seed} {kind} {group}")  # noqa: S311 - not for secrets
        for _ in range(max(1, round(count * share))):
            graph = Graph(kind)
            make(graph, rng)
            if unknown_batch:
                graph.unknown_batch = True
                last = len(graph.shapes) - 1
                graph.reshape(last, 1, prod(graph.shapes[last]))
            yield Case(group, kind, graph.model())


def _image(graph: Graph, rng: Random, most: int = 40_000) -> int:
    """An input image whose length stays within bounds."""
    channels = rng.choice(_CHANNELS)
    sides = [s for s in (1, 2, 3, 5, 6, 8, 10, 14, 16, 24, 32) if s * s * channels <= most]
    height = rng.choice(sides)
    return graph.feed(1, height, rng.choice((height, height, max(1, height // 2))), channels)


def _out(rng: Random, per_output: int, positions: int) -> int:
    """Output channels such that the product stays small."""
    per_channel = max(1, positions * per_output)
    fit = [c for c in _CHANNELS if c * per_channel <= _MAX_MACS]
    return rng.choice(fit or [1])


def _conv_1x1(graph: Graph, rng: Random) -> None:
    data = _image(graph, rng)
    _, height, width, depth = graph.shapes[data]
    graph.conv(data, _out(rng, depth, height * width))


def _conv(graph: Graph, rng: Random) -> None:
    data = _image(graph, rng, 20_000)
    _, height, width, depth = graph.shapes[data]
    stride = rng.choice((1, 1, 2))
    window = (1, 1) if stride == 2 and rng.random() < 0.2 else rng.choice(_WINDOWS)
    positions = -(-height // stride) * -(-width // stride)
    out = _out(rng, depth * window[0] * window[1], positions)
    same = rng.random() < 0.7 or min(height - window[0], width - window[1]) < 0
    graph.conv(data, out, window, stride, same=same)


def _conv_of_one(graph: Graph, rng: Random) -> None:
    side = rng.choice((1, 1, 1, 3))
    depth = rng.choice(_CHANNELS)
    graph.conv(graph.feed(1, side, side, depth), rng.choice(_CHANNELS), (side, side), same=False)


def _conv_wide(graph: Graph, rng: Random) -> None:
    side, depth = rng.choice((1, 1, 1, 2, 2, 3, 4)), rng.choice(_MANY_CHANNELS)
    fit = [c for c in _MANY_CHANNELS if c * depth * side * side <= _MAX_MACS]
    graph.conv(graph.feed(1, side, side, depth), rng.choice(fit), act=0)


def _conv_dilated(graph: Graph, rng: Random) -> None:
    data = graph.feed(1, 10, 10, rng.choice((4, 8, 15, 16, 24)))
    graph.conv(data, rng.choice((4, 8, 12, 16)), (3, 3), dilation=2)


def _conv_grouped(graph: Graph, rng: Random) -> None:
    groups = rng.choice((2, 4))
    data = graph.feed(1, 8, 8, groups * rng.choice((4, 8, 12)))
    graph.conv(data, groups * rng.choice((4, 8, 10, 16)), (3, 3), groups=groups)


def _depthwise(graph: Graph, rng: Random) -> None:
    data = _image(graph, rng)
    window = rng.choice(((3, 3), (3, 3), (3, 3), (5, 5), (5, 5), (7, 7), (1, 3), (2, 2), (4, 4)))
    multiplier = rng.choice((1,) * 9 + (2,))
    graph.depthwise(data, window, rng.choice((1, 1, 2)), multiplier=multiplier)


def _dense(graph: Graph, rng: Random) -> None:
    depth = rng.choice((*_CHANNELS, 256, 400, 640))
    fit = [c for c in (*_CHANNELS, 256, 500) if c * depth <= _MAX_MACS]
    graph.dense(graph.feed(1, depth), rng.choice(fit), act=rng.choice((0, 1)))


def _dense_rows(graph: Graph, rng: Random) -> None:
    rows = rng.choice((2, 3, 4, 5, 8, 13, 16, 49))
    graph.dense(graph.feed(rows, rng.choice(_CHANNELS)), rng.choice(_CHANNELS[:20]))


def _transpose_conv(graph: Graph, rng: Random) -> None:
    data = graph.feed(1, rng.choice((3, 4, 6, 8)), rng.choice((4, 8)), rng.choice(_CHANNELS[:20]))
    graph.transpose_conv(
        data, rng.choice(_CHANNELS[:18]), rng.choice((2, 3, 4)), rng.choice((1, 2, 2))
    )


def _pool(name: str, window: int | None) -> Maker:
    def make(graph: Graph, rng: Random) -> None:
        data = _image(graph, rng)
        side = rng.choice((2, 2, 3)) if window is None else window
        smallest = min(graph.shapes[data][1:3])
        stride = 1 if window == 0 else rng.choice((1, 2, 2))
        graph.pool(name, data, side, stride, same=window is None and smallest < side)

    return make


def _reduction(name: str) -> Maker:
    def make(graph: Graph, rng: Random) -> None:
        data = _image(graph, rng)
        depth = graph.shapes[data][3]
        keep = rng.random() < 0.5
        shape = (1, 1, 1, depth) if keep else (1, depth)
        graph.op(name, [data, graph.whole((1, 2))], shape, ("ReducerOptions", {"keepDims": keep}))

    return make


def _binary(name: str, table: str, other: str) -> Maker:
    def make(graph: Graph, rng: Random) -> None:
        data = _image(graph, rng)
        shape = graph.shapes[data]
        second = {
            "same": lambda: graph.feed(*shape),
            "channel": lambda: graph.constant(shape[-1]),
            "scalar": lambda: graph.constant(1),
            "spatial": lambda: graph.feed(1, 1, 1, shape[-1]),
        }[other]()
        graph.op(name, [data, second], shape, (table, {}) if table else None)

    return make


def _unary(name: str, table: str = "") -> Maker:
    def make(graph: Graph, rng: Random) -> None:
        data = _image(graph, rng)
        options: tuple[str, dict[str, object]] | None = (table, {}) if table else None
        version = 1 if name in _FIRST_VERSION else None
        graph.op(name, [data], graph.shapes[data], options, version=version)

    return make


def _chain(graph: Graph, rng: Random) -> None:
    """Functions of one tensor, element by element, which a runtime may make a table of."""
    data = _image(graph, rng)
    shape = graph.shapes[data]

    def of_both(name: str, table: str) -> int:
        first = graph.simple(rng.choice(("LOGISTIC", "TANH")), data)
        return graph.op(name, [data, first], shape, (table, {}))

    def scaled(name: str, table: str, on: int) -> int:
        return graph.op(name, [on, graph.constant(1)], shape, (table, {}))

    rng.choice((
        lambda: of_both("MUL", "MulOptions"),
        lambda: of_both("MUL", "MulOptions"),
        lambda: of_both("ADD", "AddOptions"),
        lambda: scaled("ADD", "AddOptions", scaled("MUL", "MulOptions", data)),
        lambda: graph.simple("LOGISTIC", scaled("ADD", "AddOptions", data)),
        lambda: scaled("MUL", "MulOptions", graph.simple("TANH", data)),
    ))()  # fmt: skip


def _clamp(graph: Graph, rng: Random) -> None:
    """RELU behind an operation that may take it in."""
    data = _image(graph, rng, 10_000)
    shape = graph.shapes[data]
    made = rng.choice((
        lambda: graph.conv(data, rng.choice(_CHANNELS[:16]), act=0),
        lambda: graph.depthwise(data),
        lambda: graph.op("ADD", [data, graph.feed(*shape)], shape, ("AddOptions", {})),
        lambda: graph.op("ADD", [data, graph.feed(*shape)], shape, ("AddOptions", {})),
        lambda: graph.op("MUL", [data, graph.feed(*shape)], shape, ("MulOptions", {})),
    ))()  # fmt: skip
    graph.simple(rng.choice(("RELU", "RELU6")), made)


def _flattened(graph: Graph, rng: Random) -> None:
    """A model of an unknown batch flattens its data by a shape that it computes."""
    graph.unknown_batch = True
    _reshape(graph, rng)


def _softmax(graph: Graph, rng: Random) -> None:
    shape = rng.choice(
        ((1, 2), (1, 5), (1, 10), (1, 12), (1, 35), (1, 100), (1, 1000), (16, 16), (49, 49))
    )
    graph.op("SOFTMAX", [graph.feed(*shape)], shape, ("SoftmaxOptions", {"beta": 1.0}))


def _pad(graph: Graph, rng: Random) -> None:
    data = _image(graph, rng)
    _, height, width, depth = graph.shapes[data]
    before, after = rng.choice(((0, 1), (1, 1), (2, 2)))
    paddings = ((0, 0), (before, after), (before, after), (0, 0))
    shape = (1, height + before + after, width + before + after, depth)
    graph.op("PAD", [data, graph.whole(paddings)], shape)


def _concatenation(graph: Graph, rng: Random) -> None:
    data = _image(graph, rng)
    _, height, width, _ = graph.shapes[data]
    parts = [data]
    parts += [
        graph.feed(1, height, width, rng.choice(_CHANNELS[:16]))
        for _ in range(rng.choice((1, 1, 2, 3)))
    ]
    shape = (1, height, width, sum(graph.shapes[p][3] for p in parts))
    graph.op("CONCATENATION", parts, shape, ("ConcatenationOptions", {"axis": 3}))


def _resize(name: str, table: str) -> Maker:
    def make(graph: Graph, rng: Random) -> None:
        data = _image(graph, rng, 10_000)
        _, height, width, depth = graph.shapes[data]
        size = (2 * height, 2 * width)
        graph.op(name, [data, graph.whole(size)], (1, *size, depth),
                 (table, {"halfPixelCenters": True}), version=3)  # fmt: skip

    return make


def _cast(name: str, before: str, after: str, table: str = "") -> Maker:
    def make(graph: Graph, rng: Random) -> None:
        shape = (1, rng.choice((1, 10, 100, 1000)), rng.choice(_CHANNELS[:16]))
        graph.op(name, [graph.feed(*shape, dtype=before)], shape, (table, {}) if table else None,
                 dtype=after, version=2 if name == "DEQUANTIZE" else 1)  # fmt: skip

    return make


def _transpose(graph: Graph, rng: Random) -> None:
    data = _image(graph, rng)
    order = rng.choice(((0, 3, 1, 2), (0, 2, 1, 3), (0, 2, 3, 1)))
    shape = tuple(graph.shapes[data][axis] for axis in order)
    graph.op("TRANSPOSE", [data, graph.whole(order)], shape, ("TransposeOptions", {}))


def _strided_slice(graph: Graph, rng: Random) -> None:
    data = _image(graph, rng)
    _, height, width, depth = graph.shapes[data]
    end = (1, max(1, height - 1), max(1, width - 1), depth)
    inputs = [data, graph.whole((0, 0, 0, 0)), graph.whole(end), graph.whole((1, 1, 1, 1))]
    graph.op("STRIDED_SLICE", inputs, end, ("StridedSliceOptions", {}))


def _split(graph: Graph, rng: Random) -> None:
    channels, parts = rng.choice(((8, 2), (32, 2), (24, 3), (64, 4)))
    side = rng.choice((2, 4, 8))
    data = graph.feed(1, side, side, channels)
    graph.op("SPLIT", [graph.whole((3,)), data], (1, side, side, channels // parts),
             ("SplitOptions", {"numSplits": parts}), outputs=parts)  # fmt: skip


def _reshape(graph: Graph, rng: Random) -> None:
    data = _image(graph, rng)
    _, height, width, depth = graph.shapes[data]
    graph.reshape(data, 1, height * width * depth)


def _batch_matmul(graph: Graph, rng: Random) -> None:
    batch, rows, depth, out = (
        rng.choice(c) for c in ((1, 2, 4), (4, 9, 16), (8, 16, 32), (8, 16, 20))
    )
    inputs = [graph.feed(1, batch, rows, depth), graph.feed(1, batch, depth, out)]
    graph.op("BATCH_MATMUL", inputs, (1, batch, rows, out), ("BatchMatMulOptions", {}))


def _prelu(graph: Graph, rng: Random) -> None:
    data = _image(graph, rng)
    graph.op(
        "PRELU", [data, graph.constant(1, 1, graph.shapes[data][-1])], graph.shapes[data], version=1
    )


def _leaky(graph: Graph, rng: Random) -> None:
    data = _image(graph, rng)
    graph.op("LEAKY_RELU", [data], graph.shapes[data], ("LeakyReluOptions", {"alpha": 0.1}))


_GROUPS: Mapping[str, tuple[int, Maker]] = {
    "conv 1x1": (52, _conv_1x1),
    "conv": (72, _conv),
    "conv of one position": (24, _conv_of_one),
    "conv wide": (40, _conv_wide),
    "conv dilated": (6, _conv_dilated),
    "conv grouped": (8, _conv_grouped),
    "depthwise": (130, _depthwise),
    "dense": (48, _dense),
    "dense rows": (24, _dense_rows),
    "transpose conv": (40, _transpose_conv),
    "average pool": (18, _pool("AVERAGE_POOL_2D", None)),
    "average pool whole": (14, _pool("AVERAGE_POOL_2D", 0)),
    "max pool": (20, _pool("MAX_POOL_2D", None)),
    "mean": (14, _reduction("MEAN")),
    "sum": (10, _reduction("SUM")),
    "add": (14, _binary("ADD", "AddOptions", "same")),
    "add channel": (14, _binary("ADD", "AddOptions", "channel")),
    "add scalar": (6, _binary("ADD", "AddOptions", "scalar")),
    "sub": (8, _binary("SUB", "SubOptions", "same")),
    "sub scalar": (6, _binary("SUB", "SubOptions", "scalar")),
    "chain": (36, _chain),
    "clamp": (24, _clamp),
    "mul": (10, _binary("MUL", "MulOptions", "same")),
    "mul channel": (14, _binary("MUL", "MulOptions", "channel")),
    "mul scalar": (6, _binary("MUL", "MulOptions", "scalar")),
    "mul spatial": (14, _binary("MUL", "MulOptions", "spatial")),
    "maximum": (6, _binary("MAXIMUM", "MaximumMinimumOptions", "same")),
    "softmax": (18, _softmax),
    "relu": (8, _unary("RELU")),
    "relu6": (8, _unary("RELU6")),
    "logistic": (10, _unary("LOGISTIC")),
    "tanh": (10, _unary("TANH")),
    "hard swish": (8, _unary("HARD_SWISH", "HardSwishOptions")),
    "leaky relu": (8, _leaky),
    "elu": (6, _unary("ELU")),
    "gelu": (6, _unary("GELU", "GeluOptions")),
    "prelu": (8, _prelu),
    "pad": (12, _pad),
    "reshape": (8, _reshape),
    "reshape of an unknown batch": (8, _flattened),
    "concatenation": (12, _concatenation),
    "resize bilinear": (10, _resize("RESIZE_BILINEAR", "ResizeBilinearOptions")),
    "resize nearest": (10, _resize("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions")),
    "quantize": (8, _cast("QUANTIZE", "float32", "int8", "QuantizeOptions")),
    "dequantize": (8, _cast("DEQUANTIZE", "int8", "float32", "DequantizeOptions")),
    "transpose": (12, _transpose),
    "strided slice": (8, _strided_slice),
    "split": (8, _split),
    "batch matmul": (12, _batch_matmul),
}
_HYBRID = {"conv 1x1", "conv", "conv of one position", "conv wide", "dense", "depthwise"}
