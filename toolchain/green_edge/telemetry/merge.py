"""Samples to figures: pure, and the same figures for any order and any repeats of the samples.

A store computes the sums of `Work` and `Energy` where its rows are; `figures` here does the same
over records in memory and is what the stores are tested against.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from green_edge.telemetry.store import Figure, Record, UnreadRecord
from green_edge.telemetry.watermark import Gap, gaps_between
from green_edge.telemetry.windows import (
    EnergyWindow,
    MeterId,
    believed_first_kept_seq,
    done,
    energy_windows,
)
from green_edge_wire.latency import LatencyBuilder, LatencyHistogram
from green_edge_wire.telemetry import Event, Sample
from green_edge_wire.units import us_from_ns

FLAG_NET_PARTIAL = "net-partial"


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """What a figure is about: one artefact on one device."""

    device_id: str
    model: str
    model_version: int
    artifact_sha256: str


@dataclass(frozen=True, slots=True)
class Work:
    """What an artefact did on a device.

    Attributes:
        missing: records given up, windows that cannot be read, and unclean ends.
    """

    latency: LatencyHistogram
    errors: int
    windows: int
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Energy:
    """Sums of one meter over the windows of one subject, all in whole microjoules.

    Attributes:
        total_uj: growth of the cumulative figure, in all boots.
        gross_uj: of the valid windows in which an inference ended.
        gross_inferences: in the same windows.
        u_uj: uncertainty of `gross_uj`, errors of one meter taken as common to its windows.
        net_uj: gross less idle, of those of the same windows whose idle energy is known.
        net_inferences: in these.
        invalid: windows whose reading must not be counted.
    """

    source: MeterId
    total_uj: int
    gross_uj: int = 0
    gross_inferences: int = 0
    u_uj: int = 0
    net_uj: int = 0
    net_inferences: int = 0
    invalid: int = 0
    flags: frozenset[str] = frozenset()


def growth_uj(cumulative_uj: int, before_uj: int) -> int:
    """What a cumulative figure gained since the one believed before it; records may be lost.

    A figure below its predecessor began anew at zero, as every counter that restarts.
    """
    return cumulative_uj - before_uj if cumulative_uj >= before_uj else cumulative_uj


def figure(subject: Subject, work: Work, energy: Energy | None) -> Figure:
    """Make the row of one meter, or the only row of a subject without energy."""
    latency = work.latency
    base = Figure(
        device_id=subject.device_id,
        model=subject.model,
        model_version=subject.model_version,
        artifact_sha256=subject.artifact_sha256,
        inferences=latency.count,
        errors=work.errors,
        p50_us=_us(latency.quantile_ns(0.50)),
        p95_us=_us(latency.quantile_ns(0.95)),
        p99_us=_us(latency.quantile_ns(0.99)),
        mean_us=_us(latency.mean_ns()),
        windows=work.windows,
        windows_missing=work.missing,
    )
    return base if energy is None else _with_energy(base, energy)


def figures(
    samples: Iterable[Sample],
    events: Iterable[Event] = (),
    unread: Iterable[UnreadRecord] = (),
) -> tuple[Figure, ...]:
    """Figures of records in memory, by subject and meter; repeats of a record change nothing."""
    by_name: dict[tuple[str, str, int], Record] = {}
    records_given: Iterable[Record] = itertools.chain(samples, events, unread)
    for record in records_given:
        by_name.setdefault((record.device_id, record.boot_id, record.seq), record)
    boots: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for name in sorted(by_name):
        boots[name[:2]].append(by_name[name])
    subjects: dict[Subject, list[Sample]] = defaultdict(list)
    for records in boots.values():
        for sample in _samples(records):
            subjects[_subject(sample)].append(sample)
    missing = _missing(boots)
    return tuple(
        row
        for subject in sorted(subjects)
        for row in _rows(subject, subjects[subject], missing.get(subject, 0))
    )


def _rows(subject: Subject, samples: Sequence[Sample], missing: int) -> Iterator[Figure]:
    latencies = LatencyBuilder()
    energies: dict[MeterId, Energy] = {}
    before_uj: dict[tuple[str, MeterId], int] = {}
    for sample in samples:
        latencies.add_histogram(done(sample).latency)
        for window in energy_windows(sample):
            source, place = window.source, (sample.boot_id, window.source)
            grown_uj = 0
            if not window.implausible:
                grown_uj = growth_uj(window.cumulative_uj, before_uj.get(place, 0))
                before_uj[place] = window.cumulative_uj
            energies[source] = _plus(energies.get(source, Energy(source, 0)), window, grown_uj)
    errors = sum(done(sample).errors for sample in samples)
    work = Work(latencies.histogram(), errors, len(samples), missing)
    if not energies:
        yield figure(subject, work, None)
    for source in sorted(energies):
        yield figure(subject, work, energies[source])


def _plus(energy: Energy, window: EnergyWindow, grown_uj: int) -> Energy:
    total_uj, flags = energy.total_uj + grown_uj, energy.flags.union(window.flags)
    if not window.valid or not window.inferences:
        invalid = energy.invalid + (not window.valid)
        return replace(energy, total_uj=total_uj, invalid=invalid, flags=flags)
    idle_known = window.idle_uj is not None
    return replace(
        energy,
        total_uj=total_uj,
        gross_uj=energy.gross_uj + window.energy_uj,
        gross_inferences=energy.gross_inferences + window.inferences,
        u_uj=energy.u_uj + window.u_uj,
        net_uj=energy.net_uj + (window.energy_uj - (window.idle_uj or 0)) * idle_known,
        net_inferences=energy.net_inferences + window.inferences * idle_known,
        flags=flags,
    )


def _missing(boots: Mapping[tuple[str, str], Sequence[Record]]) -> Counter[Subject]:
    """What is missing, each counted for the artefact of the next window, else the last one's."""
    counted: Counter[Subject] = Counter()
    ended = {
        (event.device_id, boot_id)
        for records in boots.values()
        for event in records
        if isinstance(event, Event) and (boot_id := unclean_boot(event)) is not None
    }
    for boot, records in boots.items():
        samples = _samples(records)
        if not samples:
            continue
        for gap in (*_given_up(records), *_unread_windows(records)):
            after = next((s for s in samples if s.seq > gap.last_seq), samples[-1])
            counted[_subject(after)] += gap.length
        if boot in ended or any(sample.cut for sample in samples):
            counted[_subject(samples[-1])] += 1
    return counted


def _given_up(records: Sequence[Record]) -> tuple[Gap, ...]:
    first_kept = max(believed_first_kept_seq(record.first_kept_seq) for record in records)
    present = (record.seq for record in records if record.seq < first_kept)
    return gaps_between(1, first_kept - 1, present)


def _unread_windows(records: Iterable[Record]) -> Iterator[Gap]:
    for record in records:
        if isinstance(record, UnreadRecord) and record.channel == "telemetry":
            yield Gap(record.seq, record.seq)


def unclean_boot(event: Event) -> str | None:
    """Boot of the same device that an event reports as ended uncleanly; None for other events."""
    boot_id = event.facts.get("boot_id")
    return boot_id if event.kind == "unclean-end" and isinstance(boot_id, str) else None


def _samples(records: Iterable[Record]) -> list[Sample]:
    return [record for record in records if isinstance(record, Sample)]


def _subject(sample: Sample) -> Subject:
    return Subject(sample.device_id, sample.model, sample.model_version, sample.artifact_sha256)


def _with_energy(base: Figure, energy: Energy) -> Figure:
    partial = energy.net_inferences not in (0, energy.gross_inferences)
    flags = energy.flags | ({FLAG_NET_PARTIAL} if partial else frozenset())
    return replace(
        base,
        meter=energy.source.meter,
        boundary=energy.source.boundary,
        kind=energy.source.kind,
        energy_uj=energy.total_uj,
        energy_uj_per_inference=_ratio(energy.gross_uj, energy.gross_inferences),
        net_uj_per_inference=_ratio(energy.net_uj, energy.net_inferences),
        u_ratio=_ratio(energy.u_uj, energy.gross_uj),
        energy_inferences=energy.gross_inferences,
        windows_invalid=energy.invalid,
        flags=tuple(sorted(flags)),
    )


def _us(duration_ns: float | None) -> float | None:
    return None if duration_ns is None else us_from_ns(duration_ns)


def _ratio(dividend: int, divisor: int) -> float | None:
    return dividend / divisor if divisor else None
