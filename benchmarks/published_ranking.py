"""Estimates against published latencies.

Networks of published latencies are rebuilt, their instructions predicted by `targets.cost`; the
range of `targets.physics` (`targets.edgetpu.timing` for an Edge TPU) is laid beside what was
published. Rows that set the bounds of instructions per cycle are counted by emulation, too.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from benchmarks.published import (
    CHIP,
    Pair,
    Published,
    Row,
    Span,
    one_thread_ms,
    pairs,
    read,
    speedups,
)
from benchmarks.tables import table
from green_edge.emulate import Count, Setting, cache_folder, count
from green_edge.targets import physics
from green_edge.targets.cost.model import CostModel, cost_model
from green_edge.targets.cost.shape import shapes_of
from green_edge.targets.edgetpu.accelerators import link_of
from green_edge.targets.edgetpu.predict import predict as place
from green_edge.targets.edgetpu.timing import timing
from green_edge.targets.prediction import ranges_of
from green_edge.targets.registry import Target, find
from green_edge.tflite import read as tflite
from green_edge.tflite.model import TfliteModel
from green_edge_wire.errors import ConfigError, ModelError

NEEDS: tuple[str, ...] = ()
Dtype = Literal["int8", "float32"]
Key = tuple[str, Dtype]
# Of the packages whose kernels a published figure is nearest to.
_VERSIONS = {"tflite-runtime": "2.14.0", "ai-edge-litert": "2.3.0"}
_DTYPES = ("int8", "float32")
_US_PER_MS = 1_000
# Estimates that are wrong on purpose: a range that holds as much then proves nothing.
_FACTORS = (0.5, 0.7, 1.0, 1.5, 2.0)
_DETECTORS = (
    "Detectors are rebuilt without the step that sorts boxes, which an Edge TPU leaves to its host."
)
_COVERAGE = (
    "Published latencies that meet the estimated range, and those that lie in it whole; on several "
    "threads a figure says a range of one thread, and a wide one meets much. The columns beside "
    "`x 1` are the test of this test: the same with all estimates wrong by that factor. Bounds of "
    "each core come from one network; no other figure of int8 on one thread of a 64-bit system is "
    "among them, so for that type nothing independent holds the range up."
)


def measure() -> dict[str, Any]:
    """Estimate every published latency whose network can be rebuilt, and compare."""
    from benchmarks import architectures  # noqa: PLC0415 - it imports TensorFlow

    published = read()
    rows = [row for row in published.rows if _usable(row, architectures.names())]
    keys: list[Key] = sorted({(row.model, cast("Dtype", row.dtype)) for row in rows})
    files = {key: architectures.tflite(*key) for key in keys}
    models = {key: tflite.read(data) for key, data in files.items()}
    estimates = {row: _estimate(row, models[_key(row)]) for row in rows}
    compared = _compared(published, estimates)
    return {
        "left_out": _left_out(published, rows),
        "rows": compared,
        "coverage": coverage(compared),
        "pairs": [_told(pair) for pair in pairs(estimates)],
        "bounds": _counted([row for row in rows if row.fit], files, speedups(published.rows)),
        "sources": published.sources,
    }


def _usable(row: Row, known: Sequence[str]) -> bool:
    """Whether a row can be estimated: its network is built, and kernels and precision are known."""
    if row.model not in known or row.dtype not in _DTYPES:
        return False
    return row.kernels == CHIP or _cost_model(row) is not None


def _target(row: Row) -> Target:
    """Board and system that a row was measured on."""
    return find(row.board if row.arch == "aarch64" else f"{row.board}:bookworm-armhf")


def _cost_model(row: Row) -> CostModel | None:
    target = _target(row)
    return cost_model(row.kernels, _VERSIONS[row.kernels], target.cpu, target.arch)


def _setting(row: Row) -> Setting:
    target = _target(row)
    return Setting(row.kernels, _VERSIONS[row.kernels], target.cpu, target.arch)


def _key(row: Row) -> Key:
    return row.model, cast("Dtype", row.dtype)


def _estimate(row: Row, model: TfliteModel) -> Span:
    """Range of the latency on one thread, or on the accelerator, in milliseconds."""
    if row.kernels == CHIP:
        nothing_known = [None] * len(model.ops)
        spent = timing(model, place(model), link_of(find(row.board)), host_us=nothing_known)
        latency = spent.latency_us
    else:
        fitted = _cost_model(row)
        if fitted is None:
            raise ConfigError(f"no cost model is fitted for {row}", hint="run cost_fit first")
        shapes = shapes_of(model)
        latency = ranges_of(
            fitted.predict(shapes).instructions,
            shapes,
            dtype=cast("Dtype", row.dtype),
            board=physics.board_of(_target(row)),
            error_ratio=fitted.error_for(shapes).p95_ratio,
        ).latency_us
    return Span(latency.low / _US_PER_MS, latency.high / _US_PER_MS)


def _compared(published: Published, estimates: Mapping[Row, Span]) -> list[dict[str, Any]]:
    speedup = speedups(published.rows)
    found = []
    for row, estimate in estimates.items():
        chip = row.kernels == CHIP
        single = Span(row.ms, row.ms) if chip else one_thread_ms(row, speedup)
        found.append(
            {
                "model": row.model,
                "board": row.board,
                "chip": chip,
                "arch": row.arch,
                "dtype": row.dtype,
                "threads": row.threads,
                "source": row.source,
                "fit": row.fit,
                "published_ms": row.ms,
                "one_thread_ms": [round(single.low, 2), round(single.high, 2)],
                "estimate_ms": [round(estimate.low, 2), round(estimate.high, 2)],
                "meets": estimate.meets(single),
                "inside": estimate.holds(single),
            }
        )
    return found


def _counted(
    rows: Sequence[Row],
    files: Mapping[Key, bytes],
    speedup: Mapping[tuple[str, int], float],
) -> list[dict[str, Any]]:
    """Instructions per cycle that published latencies and counted instructions make."""
    found = []
    for row in rows:
        setting = _setting(row)
        (result,) = count([files[_key(row)]], setting, cache=cache_folder(), progress=_ignore)
        if not isinstance(result, Count):
            raise ModelError(f"{setting} does not run {row.model}: {result.message}")
        single = one_thread_ms(row, speedup)
        per_ms = result.instructions / ((row.clock_mhz or 1) * _US_PER_MS)
        found.append(
            {
                "model": row.model,
                "board": row.board,
                "arch": row.arch,
                "clock_mhz": row.clock_mhz,
                "dtype": row.dtype,
                "threads": row.threads,
                "published_ms": row.ms,
                "instructions": result.instructions,
                "instructions_per_cycle": [
                    round(per_ms / single.high, 2),
                    round(per_ms / single.low, 2),
                ],
            }
        )
    return found


def _ignore(doing: str, share: float | None = None) -> None:
    """A benchmark waits without a word."""


def _told(pair: Pair) -> dict[str, Any]:
    both = pair.shorter.kernels == pair.longer.kernels == CHIP
    return {
        "kind": f"{pair.kind} on an Edge TPU" if both else pair.kind,
        "shorter": _name(pair.shorter),
        "longer": _name(pair.longer),
        "published_ms": [pair.shorter.ms, pair.longer.ms],
        "right": pair.right,
    }


def _name(row: Row) -> str:
    threads = f", {row.threads} threads" if row.threads > 1 else ""
    return f"{row.model} {row.dtype} on {row.board}{threads} ({row.source})"


def _left_out(published: Published, rows: Sequence[Row]) -> dict[str, int]:
    """Rows that are not estimated, by network and board."""
    found: dict[str, int] = {}
    for row in published.rows:
        if row not in rows:
            name = f"{row.model} on {row.board}, {row.arch}, {row.dtype}"
            found[name] = found.get(name, 0) + 1
    return found


def markdown(figures: Mapping[str, Any]) -> str:
    """Pairs ordered right, misses by name, and how many figures lie inside of their range."""
    rows, found = figures["rows"], figures["pairs"]
    kinds = list(dict.fromkeys(pair["kind"] for pair in found))
    groups = [(kind, [pair for pair in found if pair["kind"] == kind]) for kind in kinds]
    misses = [pair for pair in found if not pair["right"]]
    parts = [
        "Pairs of published latencies that differ in one thing, by 10 % or more:",
        table(
            ["Pair", "Pairs", "Ordered right", "Share"],
            [_ordered(kind, group) for kind, group in [*groups, ("all", found)]],
        ),
        "Ordered wrongly; published is that:" if misses else "",
        "\n".join(f"- {pair['shorter']} is faster than {pair['longer']}" for pair in misses),
        _DETECTORS,
        _COVERAGE,
        table(
            ["Published on", "Figures", *(f"x {factor:g}" for factor in _FACTORS)],
            [_covered(group) for group in figures["coverage"]],
        ),
        _rows_table(rows),
        "What set the bounds of instructions per cycle (IPC), by counted instructions:",
        _bounds_table(figures["bounds"]),
        f"Not estimated (not rebuilt, no cost model, precision unknown): {_listed(figures)}.",
    ]
    return "\n\n".join(part for part in parts if part)


def _ordered(kind: str, group: Sequence[Mapping[str, Any]]) -> list[str]:
    right = sum(pair["right"] for pair in group)
    return [kind, f"{len(group)}", f"{right}", f"{right / len(group):.0%}"]


def coverage(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Figures that meet their range and that lie in it, with all estimates off by factors."""
    chip = [row for row in rows if row["chip"]]
    judged = [row for row in rows if not row["chip"] and not row["fit"]]
    groups = {
        "processor, bounds set with it": [row for row in rows if row["fit"]],
        "one thread, float32": _single(judged, "float32"),
        "one thread, int8": _single(judged, "int8"),
        "several threads": [row for row in judged if row["threads"] > 1],
        "threads not stated": [row for row in judged if row["threads"] == 0],
        "Edge TPU": chip,
    }
    return [
        {"published_on": name, "figures": len(group), "off_by": [_off(group, f) for f in _FACTORS]}
        for name, group in groups.items()
    ]


def _single(rows: Sequence[Mapping[str, Any]], dtype: str) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["threads"] == 1 and row["dtype"] == dtype]


def _off(rows: Sequence[Mapping[str, Any]], factor: float) -> dict[str, float]:
    spans = [(Span(*row["one_thread_ms"]), Span(*row["estimate_ms"]).times(factor)) for row in rows]
    return {
        "factor": factor,
        "meets": sum(estimate.meets(published) for published, estimate in spans),
        "inside": sum(estimate.holds(published) for published, estimate in spans),
    }


def _covered(group: Mapping[str, Any]) -> list[str]:
    each = (f"{off['meets']}, in it {off['inside']}" for off in group["off_by"])
    return [group["published_on"], f"{group['figures']}", *each]


def _rows_table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["Model", "Board", "Type", "Threads", "Published ms", "Estimate ms", "In it"]
    body = [
        [
            row["model"],
            f"{row['board']}{' (Edge TPU)' * row['chip']}{' 32 bits' * (row['arch'] == 'armv7l')}",
            row["dtype"],
            f"{row['threads'] or '-'}",
            f"{row['published_ms']:g}",
            " to ".join(f"{end:.3g}" for end in row["estimate_ms"]),
            "yes" if row["inside"] else "meets it" if row["meets"] else "no",
        ]
        for row in rows
    ]
    return table(head, body)


def _bounds_table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["Model", "Board", "MHz", "Type", "Threads", "Published ms", "Instructions", "IPC"]
    body = [
        [
            row["model"],
            f"{row['board']}{' 32 bits' * (row['arch'] == 'armv7l')}",
            f"{row['clock_mhz']}",
            row["dtype"],
            f"{row['threads'] or '-'}",
            f"{row['published_ms']:g}",
            f"{row['instructions']:,}",
            " to ".join(dict.fromkeys(f"{end:.2f}" for end in row["instructions_per_cycle"])),
        ]
        for row in rows
    ]
    return table(head, body)


def _listed(figures: Mapping[str, Any]) -> str:
    return "; ".join(f"{name} ({n})" for name, n in figures["left_out"].items())
