"""Models of one operation that the cost model has no rule for, by which its guess is judged."""

from collections.abc import Iterator, Mapping
from random import Random

from benchmarks.cost.graph import Graph, Kind
from benchmarks.cost.ops import Case

_MODELS = 4
_SIDES, _CHANNELS = (1, 4, 8, 16, 24), (3, 8, 16, 24, 40, 64)
_UNARY: Mapping[str, str] = {
    "ABS": "AbsOptions",
    "NEG": "NegOptions",
    "SQRT": "",
    "RSQRT": "",
    "SQUARE": "SquareOptions",
    "EXP": "ExpOptions",
    "FLOOR": "",
    "SIN": "",
    "L2_NORMALIZATION": "L2NormOptions",
    "LOG_SOFTMAX": "LogSoftmaxOptions",
}


def strange_cases(kind: Kind, seed: int) -> Iterator[Case]:
    """Elementwise functions, rearrangements and a table, with versions 1 as runtimes know them."""
    for name in (*_UNARY, "SQUARED_DIFFERENCE", "SPACE_TO_DEPTH", "MIRROR_PAD", "ARG_MAX",
                 "REDUCE_MAX", "GATHER"):  # fmt: skip
        rng = Random(f"{seed} {kind} {name}")  # noqa: S311 - not for secrets
        for _ in range(_MODELS):
            graph = Graph(kind)
            side = rng.choice(_SIDES)
            data = graph.feed(1, side, side, rng.choice(_CHANNELS))
            _add(graph, name, data)
            yield Case(name, kind, graph.model())


def _add(graph: Graph, name: str, data: int) -> None:
    shape = graph.shapes[data]
    _, side, _, channels = shape
    if name == "SQUARED_DIFFERENCE":
        graph.op(name, [data, graph.feed(*shape)], shape, ("SquaredDifferenceOptions", {}))
    elif name == "SPACE_TO_DEPTH":
        block = 1 if side == 1 else 2
        made = (1, side // block, side // block, channels * block * block)
        graph.op(name, [data], made, ("SpaceToDepthOptions", {"blockSize": block}))
    elif name == "MIRROR_PAD":
        paddings = graph.whole(((0, 0), (1, 1), (1, 1), (0, 0)))
        made = (1, side + 2, side + 2, channels)
        graph.op(name, [data, paddings], made, ("MirrorPadOptions", {"mode": 1}))
    elif name == "ARG_MAX":
        graph.op(name, [data, graph.whole((3,))], shape[:3], ("ArgMaxOptions", {"outputType": 2}),
                 dtype="int32")  # fmt: skip
    elif name == "REDUCE_MAX":
        graph.op(name, [data, graph.whole((1, 2))], (1, channels), ("ReducerOptions", {}))
    elif name == "GATHER":
        graph.op(name, [data, graph.whole((0, 0, 0))], (3, *shape[1:]), ("GatherOptions", {}))
    else:
        options = _UNARY[name]
        graph.op(name, [data], shape, (options, {}) if options else None)
