"""What a telemetry record costs on the wire: bytes alone and in batches, time to decode."""

import functools
import random
import timeit
from collections.abc import Mapping
from typing import Any

from benchmarks.tables import table
from green_edge_wire import codec
from green_edge_wire.latency import LatencyHistogram
from green_edge_wire.telemetry import EnergyReading, Sample

NEEDS: tuple[str, ...] = ()

_WINDOW_NS = 5_000_000_000
_INFERENCES = 50


def samples(count: int) -> list[Sample]:
    """Successive windows of one device, 50 inferences each, seeded."""
    rng = random.Random(7)  # noqa: S311 - made-up records, not secrets
    made = []
    for seq in range(1, count + 1):
        energy_uj = 15_000_000 + rng.randrange(500_000)
        reading = EnergyReading(
            meter="hwmon:ina226@1-0040",
            boundary="board-dc-in",
            kind="mean",
            window_ns=_WINDOW_NS,
            energy_uj=energy_uj,
            u_ratio=0.006,
            samples=142,
            idle_uj=13_500_000,
            cumulative_uj=seq * energy_uj,
        )
        latency = LatencyHistogram.of(rng.gauss(9e6, 4e5).__round__() for _ in range(_INFERENCES))
        made.append(
            Sample(
                device_id="pi-kitchen",
                boot_id="4f2a9c1d7be03856",
                seq=seq,
                window_start_mono_ns=seq * _WINDOW_NS,
                window_ns=_WINDOW_NS,
                ended_at_unix_ms=1_790_000_000_000 + 5_000 * seq,
                artifact_sha256="ab" * 32,
                model="digits",
                model_version=3,
                latency=latency,
                energy=(reading,),
                cumulative_inferences=_INFERENCES * seq,
            )
        )
    return made


def measure() -> dict[str, Any]:
    """Bytes and microseconds a record for some batch sizes."""
    rows = []
    for count in (1, 10, 20):
        payload = codec.pack(samples(count))
        rounds = 2000 // count
        decode = functools.partial(codec.unpack, Sample, payload)
        seconds = min(timeit.repeat(decode, number=rounds, repeat=5))
        rows.append(
            {
                "records": count,
                "message_bytes": len(payload),
                "bytes_a_record": round(len(payload) / count),
                "decode_us_a_record": round(seconds / rounds / count * 1e6, 1),
            }
        )
    return {"inferences_a_record": _INFERENCES, "rows": rows}


def markdown(figures: Mapping[str, Any]) -> str:
    """One row a batch size."""
    rows = [
        (
            str(row["records"]),
            f"{row['message_bytes']:,}",
            f"{row['bytes_a_record']:,}",
            str(row["decode_us_a_record"]),
        )
        for row in figures["rows"]
    ]
    head = ("records a message", "bytes a message", "bytes a record", "µs to decode a record")
    return table(head, rows)
