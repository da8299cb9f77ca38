"""Merging: any order, any repeats, any batches, and the store's SQL agrees with the plain merge."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from green_edge.telemetry import merge
from green_edge.telemetry.opening import open_store
from green_edge.telemetry.store import Record, Store, UnreadRecord
from green_edge_wire.latency import LatencyHistogram
from green_edge_wire.telemetry import Boundary, EnergyReading, Event, EventKind, MeterKind, Sample
from support.records import BOOT_A, BOOT_B, T0_UNIX_MS, event, reading, sample, unread

NOW_UNIX_MS = T0_UNIX_MS + 3_600_000

joules = st.integers(0, 50_000_000)
readings = st.builds(
    reading,
    joules,
    cumulative_uj=st.integers(0, 500_000_000),
    idle_uj=st.none() | joules,
    meter=st.sampled_from(["hwmon:a", "hwmon:b"]),
    boundary=st.sampled_from(["board-dc-in", "soc-rails"]),
    kind=st.sampled_from(["mean", "modelled"]),
    u_ratio=st.sampled_from([0.0, 0.02, 0.35]),
    flags=st.lists(st.sampled_from(["gap", "assumed-board", "two words"]), max_size=2).map(tuple),
)
positions = st.tuples(st.sampled_from([BOOT_A, BOOT_B]), st.integers(1, 12))


@st.composite
def histories(draw: st.DrawFn) -> list[Record]:
    """What a device with two boots sent: each position once, holes, some given up or unread."""
    found: list[Record] = []
    for boot_id, seq in sorted(draw(st.sets(positions, max_size=14))):
        first_kept_seq = draw(st.integers(1, seq))
        if draw(st.integers(0, 6)) == 0:
            channels: tuple[Literal["telemetry", "event"], ...] = ("telemetry", "event")
            channel = draw(st.sampled_from(channels))
            found.append(
                unread(seq, boot_id=boot_id, channel=channel, first_kept_seq=first_kept_seq)
            )
            continue
        if draw(st.integers(0, 4)) == 0:
            facts: dict[str, str | int] = {"boot_id": BOOT_A}
            kinds: tuple[EventKind, ...] = ("boot", "unclean-end")
            kind = draw(st.sampled_from(kinds))
            found.append(
                event(seq, boot_id=boot_id, kind=kind, facts=facts, first_kept_seq=first_kept_seq)
            )
            continue
        found.append(
            sample(
                seq,
                boot_id=boot_id,
                latencies_us=draw(st.lists(st.integers(0, 10**6), max_size=5)),
                energy=tuple(draw(st.lists(readings, max_size=3))),
                artefact=draw(st.sampled_from(["a" * 64, "b" * 64])),
                errors=draw(st.integers(0, 3)),
                cut=draw(st.booleans()),
                first_kept_seq=first_kept_seq,
            )
        )
    return found


@given(histories(), st.randoms())
def test_any_order_and_any_repeats_give_the_same_figures(
    records: list[Record], chance: object
) -> None:
    shuffled = [*records, *records[: len(records) // 2]]
    chance.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis' Random is untyped
    assert _merged(shuffled) == _merged(records)


@settings(max_examples=60, deadline=None)
@given(histories(), st.randoms(), st.integers(1, 5))
def test_the_store_gives_the_figures_of_the_plain_merge(
    records: list[Record], chance: object, batch: int
) -> None:
    shuffled = [*records, *records[::3]]
    chance.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis' Random is untyped
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(str(Path(folder) / "fleet.db"))
        try:
            for start in range(0, len(shuffled), batch):
                _commit(store, shuffled[start : start + batch])
            assert store.figures() == _merged(records)
        finally:
            store.close()


@settings(max_examples=40, deadline=None)
@given(histories(), st.integers(0, 13))
def test_adjoining_times_share_out_inferences_and_joules(records: list[Record], at: int) -> None:
    cut_unix_ms = T0_UNIX_MS + at * 5_000
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(str(Path(folder) / "fleet.db"))
        try:
            _commit(store, records)
            totals: dict[tuple[str, str | None, str | None, str | None], list[int]] = {}
            parts = (
                store.figures(until_unix_ms=cut_unix_ms),
                store.figures(since_unix_ms=cut_unix_ms),
            )
            for row in (*parts[0], *parts[1]):
                key = (row.artifact_sha256, row.meter, row.boundary, row.kind)
                total = totals.setdefault(key, [0])
                total[0] += row.energy_uj or 0
            for row in store.figures():
                key = (row.artifact_sha256, row.meter, row.boundary, row.kind)
                assert totals.get(key, [0]) == [row.energy_uj or 0]
        finally:
            store.close()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 50_000_000), min_size=2, max_size=8),
    st.sets(st.integers(1, 8), min_size=1),
    st.sampled_from(["uncertain", "negative", "huge"]),
)
def test_a_reading_that_cannot_be_never_raises_the_total(
    steps_uj: list[int], spoilt: set[int], how: str
) -> None:
    good, mixed = [], []
    cumulative_uj = 0
    for seq, step_uj in enumerate(steps_uj, 1):
        cumulative_uj += step_uj
        honest = reading(step_uj, cumulative_uj=cumulative_uj)
        # Windows at even places are honest in both histories.
        good.append(sample(2 * seq, energy=(honest,)))
        mixed.append(good[-1])
        if seq in spoilt:
            mixed.append(sample(2 * seq + 1, energy=(_spoilt(honest, how),)))
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(str(Path(folder) / "fleet.db"))
        try:
            _commit(store, mixed)
            assert store.figures() == merge.figures(mixed)
        finally:
            store.close()
    assert merge.figures(mixed)[0].energy_uj == merge.figures(good)[0].energy_uj


any_int = st.integers(-(1 << 63), (1 << 63) - 1)
wild_readings = st.builds(
    EnergyReading,
    meter=st.text(max_size=8),
    boundary=st.sampled_from(get_args(Boundary)),
    kind=st.sampled_from(get_args(MeterKind)),
    window_ns=any_int,
    energy_uj=any_int,
    u_ratio=st.floats(allow_nan=False, allow_infinity=False),
    samples=any_int,
    idle_uj=st.none() | any_int,
    cumulative_uj=any_int,
    flags=st.lists(st.text(max_size=5), max_size=3).map(tuple),
)
# Bucket 7 holds 7 ns exactly, so any count has one sum that the wire believes.
wild_histograms = st.one_of(
    st.just(LatencyHistogram()),
    st.integers(1, ((1 << 63) - 1) // 7).map(
        lambda count: LatencyHistogram(count, 7 * count, 7, 7, (7,), (count,))
    ),
)


@st.composite
def wild_samples(draw: st.DrawFn) -> Sample:
    """Whatever the wire lets through."""
    seq = draw(st.integers(1, (1 << 63) - 1))
    count = st.integers(0, (1 << 63) - 1)
    return Sample(
        device_id="pi-kitchen",
        boot_id=draw(st.text(max_size=8)),
        seq=seq,
        window_start_mono_ns=draw(any_int),
        window_ns=draw(count),
        ended_at_unix_ms=draw(any_int),
        artifact_sha256=draw(st.text(max_size=8)),
        model=draw(st.text(max_size=8)),
        model_version=draw(any_int),
        latency=draw(wild_histograms),
        errors=draw(count),
        energy=tuple(draw(st.lists(wild_readings, max_size=2))),
        cumulative_inferences=draw(count),
        cut=draw(st.booleans()),
        first_kept_seq=draw(st.integers(1, seq)),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(wild_samples(), max_size=4))
def test_whatever_the_wire_lets_through_can_be_kept_and_reported(samples: list[Sample]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(str(Path(folder) / "fleet.db"))
        try:
            _commit(store, samples)
            assert store.figures() == merge.figures(samples)
            store.series("pi-kitchen", since_unix_ms=0, until_unix_ms=NOW_UNIX_MS + 1)
        finally:
            store.close()


def _commit(store: Store, records: Sequence[Record]) -> None:
    store.commit(records, site="home", received_unix_ms=NOW_UNIX_MS)


def _spoilt(honest: EnergyReading, how: str) -> EnergyReading:
    if how == "uncertain":
        return replace(honest, u_ratio=11.0)
    return replace(honest, energy_uj=-1 if how == "negative" else 10**13)


def _merged(records: Sequence[Record]) -> tuple[object, ...]:
    samples = [record for record in records if isinstance(record, Sample)]
    events = [record for record in records if isinstance(record, Event)]
    unread = [record for record in records if isinstance(record, UnreadRecord)]
    return merge.figures(samples, events, unread)
