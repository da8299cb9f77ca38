"""Hypothesis strategies for the records of the wire."""

from typing import Any

from hypothesis import strategies as st

from green_edge_wire import command, device, manifest, telemetry
from green_edge_wire.latency import LatencyHistogram

COUNTS = st.integers(0, (1 << 63) - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
# JSON carries any text but half surrogates.
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)

histograms = st.lists(st.integers(-5, 1 << 44), max_size=20).map(LatencyHistogram.of)

positions = st.tuples(COUNTS, COUNTS).map(lambda pair: (max(1, *pair), max(1, min(pair))))


def _positioned(record: type[Any], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def make(position: tuple[int, int], values: dict[str, Any]) -> Any:
        return record(seq=position[0], first_kept_seq=position[1], **values)

    plain = {"device_id": TEXTS, "boot_id": TEXTS}
    return st.builds(make, positions, st.fixed_dictionaries({**plain, **fields}))


readings = st.builds(
    telemetry.EnergyReading,
    window_ns=COUNTS,
    energy_uj=COUNTS,
    u_ratio=FLOATS,
    samples=COUNTS,
    lost=COUNTS,
    idle_uj=st.none() | COUNTS,
    cumulative_uj=COUNTS,
    flags=st.lists(TEXTS, max_size=3).map(tuple),
)
samples = _positioned(
    telemetry.Sample,
    window_start_mono_ns=COUNTS,
    window_ns=COUNTS,
    ended_at_unix_ms=COUNTS,
    artifact_sha256=TEXTS,
    model=TEXTS,
    model_version=COUNTS,
    latency=histograms,
    errors=COUNTS,
    energy=st.lists(readings, max_size=3).map(tuple),
    cumulative_inferences=COUNTS,
    cut=st.booleans(),
)
events = _positioned(
    telemetry.Event,
    at_unix_ms=COUNTS,
    kind=st.sampled_from(["boot", "unclean-end", "install", "error"]),
    message=TEXTS,
    facts=st.dictionaries(TEXTS, TEXTS | COUNTS, max_size=3),
)
slots = st.builds(device.SlotInfo, sha256=TEXTS, model=TEXTS, model_version=COUNTS)
meters = st.builds(
    device.MeterInfo, name=TEXTS, covers=TEXTS, u_ratio=FLOATS, refusal=st.none() | TEXTS
)
infos = st.builds(
    device.DeviceInfo,
    device_id=TEXTS,
    ram_bytes=COUNTS,
    threads=COUNTS,
    meters=st.lists(meters, max_size=2).map(tuple),
    slots=st.lists(slots, max_size=2).map(tuple),
    keys=st.lists(TEXTS, max_size=2).map(tuple),
    schema=COUNTS,
)
reports = st.builds(
    device.Reported,
    at_unix_ms=COUNTS,
    counter=COUNTS,
    reason=TEXTS,
    slots=st.lists(slots, max_size=2).map(tuple),
    schema=COUNTS,
)
tensors = st.builds(
    manifest.TensorSpec,
    name=TEXTS,
    shape=st.lists(st.integers(1, 40), max_size=4).map(tuple),
    scale=st.none() | st.floats(1e-9, 1e9),
    zero_point=st.none() | st.integers(-128, 255),
)
pipelines = st.builds(
    manifest.Pipeline,
    pre=st.lists(
        st.one_of(
            st.builds(manifest.Resize, height=st.integers(1, 999), width=st.integers(1, 999)),
            st.builds(manifest.Scale, factor=FLOATS),
            st.builds(
                manifest.Normalise,
                mean=st.lists(FLOATS, max_size=3).map(tuple),
                std=st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=3).map(tuple),
            ),
        ),
        max_size=4,
    ).map(tuple),
    post=st.lists(
        st.one_of(st.builds(manifest.Softmax), st.builds(manifest.TopK, k=st.integers(1, 9))),
        max_size=3,
    ).map(tuple),
    schema=COUNTS,
)
manifests = st.builds(
    manifest.Manifest,
    name=TEXTS,
    version=st.integers(1, 1 << 62),
    inputs=st.lists(tensors, max_size=2).map(tuple),
    outputs=st.lists(tensors, max_size=2).map(tuple),
    members=st.just((manifest.Member("model.tflite", "model", 3, "00"),)),
    golden_tolerance=FLOATS,
    schema=st.just(manifest.SCHEMA),
)
desireds = st.builds(
    command.Desired,
    rollout_id=TEXTS,
    length_bytes=COUNTS,
    urls=st.lists(TEXTS, max_size=3).map(tuple),
    model_version=COUNTS,
    allow_downgrade=st.booleans(),
    schema=COUNTS,
)
envelopes = st.builds(
    command.Envelope,
    device_id=TEXTS.filter(lambda text: "\n" not in text),
    key_id=TEXTS.filter(lambda text: "\n" not in text),
    counter=st.integers(1, (1 << 63) - 1),
    body=TEXTS,
    signature=TEXTS,
)
answers = st.builds(
    device.InferResult,
    id=TEXTS,
    outputs=st.lists(st.lists(FLOATS, max_size=4).map(tuple), max_size=2).map(tuple),
    scores=st.lists(FLOATS, max_size=3).map(tuple),
    latency_us=FLOATS,
    model_version=COUNTS,
    error=st.none() | TEXTS,
)
