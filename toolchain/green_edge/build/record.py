"""The build record: what of a build's report holds on any machine. It travels in the bundle."""

from collections.abc import Mapping

from green_edge.core.report import BuildReport
from green_edge_wire import codec
from green_edge_wire.codec import Json

# Times, energy and latencies differ from run to run; artefacts cannot hold their own digest.
_LEFT_OUT = frozenset(
    {"wall_s", "spent_s", "cached", "latency_us", "energy_spent", "targets", "record_sha256"}
)


def record_of(report: BuildReport) -> bytes:
    """JSON of a report without what a machine or a moment adds to it."""
    return codec.dumps(_without(codec.encode(report)), indent=2).encode() + b"\n"


def _without(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {key: _without(item) for key, item in value.items() if key not in _LEFT_OUT}
    if isinstance(value, list):
        return [_without(item) for item in value]
    return value
