"""A store in memory: the contract of `green_edge.telemetry.store.Store` without a file."""

import copy
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from green_edge.telemetry import merge, presence, watermark
from green_edge.telemetry.store import (
    OPEN_STATES,
    DeviceRow,
    EventRow,
    Figure,
    Point,
    Record,
    Rollout,
    RolloutDevice,
    UnreadRecord,
    Watermark,
)
from green_edge.telemetry.windows import (
    MeterId,
    believed_first_kept_seq,
    done,
    energy_windows,
    moment_unix_ms,
)
from green_edge_wire import codec
from green_edge_wire.device import DeviceInfo, Reported, Status
from green_edge_wire.errors import ConfigError, DecodeError
from green_edge_wire.telemetry import Event, Sample
from green_edge_wire.units import uw_from_uj_ns

_KINDS = ("counter", "mean", "point", "modelled")


@dataclass(slots=True)
class _Device:
    site: str
    last_seen_unix_ms: int
    known: presence.Presence | None = None
    info: DeviceInfo | None = None
    reported: Reported | None = None


@dataclass(slots=True)
class _Boot:
    records: dict[int, tuple[Record, int]] = field(default_factory=dict)
    watermark: int = 0
    first_kept_seq: int = 1


class MemoryStore:
    """Keeps all records in dictionaries behind one lock."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._devices: dict[str, _Device] = {}
        self._boots: dict[tuple[str, str], _Boot] = defaultdict(_Boot)
        self._counters: dict[tuple[str, str], int] = {}
        self._rollouts: dict[str, Rollout] = {}

    @contextmanager
    def batch(self) -> Iterator[None]:
        with self._lock:
            before = copy.deepcopy((self._devices, self._boots, self._counters, self._rollouts))
            try:
                yield
            except BaseException:
                self._devices, self._boots, self._counters, self._rollouts = before
                raise

    def commit(
        self, records: Sequence[Record], *, site: str, received_unix_ms: int
    ) -> tuple[Watermark, ...]:
        with self._lock:
            for record in records:
                device = self._seen(record.device_id, site, received_unix_ms)
                if device.known is not None and not isinstance(record, UnreadRecord):
                    device.known = presence.after_record(device.known, record, received_unix_ms)
                boot = self._boots[record.device_id, record.boot_id]
                kept = believed_first_kept_seq(record.first_kept_seq)
                boot.first_kept_seq = max(boot.first_kept_seq, kept)
                known, _ = boot.records.get(record.seq, (None, 0))
                if known is None or _is_better(record, known):
                    boot.records[record.seq] = (record, received_unix_ms)
            named = dict.fromkeys((record.device_id, record.boot_id) for record in records)
            return tuple(Watermark(*key, self._advance(self._boots[key])) for key in named)

    def reread(self) -> int:
        with self._lock:
            found = 0
            for record, received_unix_ms in self._records():
                if isinstance(record, UnreadRecord) and (read := _reread(record)) is not None:
                    boot = self._boots[record.device_id, record.boot_id]
                    boot.records[record.seq] = (read, received_unix_ms)
                    found += 1
            return found

    def put_status(self, site: str, status: Status, received_unix_ms: int) -> None:
        with self._lock:
            device = self._seen(status.device_id, site, received_unix_ms)
            device.known = presence.after_status(device.known, status, received_unix_ms)

    def put_info(self, site: str, info: DeviceInfo, received_unix_ms: int) -> None:
        with self._lock:
            self._seen(info.device_id, site, received_unix_ms).info = info

    def put_reported(self, site: str, reported: Reported, received_unix_ms: int) -> None:
        with self._lock:
            self._seen(reported.device_id, site, received_unix_ms).reported = reported

    def devices(self, now_unix_ms: int | None = None) -> tuple[DeviceRow, ...]:
        with self._lock:
            rows = (self._row(key, self._devices[key]) for key in sorted(self._devices))
            return tuple(self._at(row, now_unix_ms) for row in rows)

    def figures(
        self,
        *,
        since_unix_ms: int | None = None,
        until_unix_ms: int | None = None,
        device_id: str | None = None,
        model: str | None = None,
    ) -> tuple[Figure, ...]:
        since = since_unix_ms or 0
        dated = [
            (at, sample)
            for at, sample in self._samples(device_id)
            if (model is None or sample.model == model)
            and (until_unix_ms is None or at < until_unix_ms)
        ]
        events = [record for record, _ in self._records() if isinstance(record, Event)]
        unread = [
            record
            for record, at in self._records()
            if isinstance(record, UnreadRecord)
            and since <= at
            and (until_unix_ms is None or at < until_unix_ms)
        ]
        inside = merge.figures((s for at, s in dated if at >= since), events, unread)
        totals = _totals(merge.figures(sample for _, sample in dated))
        before = _totals(merge.figures(sample for at, sample in dated if at < since))
        return tuple(
            replace(row, energy_uj=totals[_subject(row)] - before.get(_subject(row), 0))
            if row.energy_uj is not None
            else row
            for row in inside
        )

    def series(
        self, device_id: str, *, since_unix_ms: int, until_unix_ms: int, points: int = 300
    ) -> tuple[Point, ...]:
        if points < 1 or until_unix_ms <= since_unix_ms:
            raise ConfigError("a series needs a step and a time to cover", place="points")
        span = until_unix_ms - since_unix_ms
        steps: dict[int, list[Sample]] = defaultdict(list)
        for at, sample in self._samples(device_id):
            if since_unix_ms <= at < until_unix_ms:
                steps[(at - since_unix_ms) * points // span].append(sample)
        return tuple(
            _point(since_unix_ms + step * span // points, steps[step]) for step in sorted(steps)
        )

    def events(self, *, device_id: str | None = None, limit: int = 100) -> tuple[EventRow, ...]:
        rows = [
            EventRow(
                record.device_id,
                record.boot_id,
                record.seq,
                record.at_unix_ms,
                received,
                record.kind,
                record.message,
                record.facts,
            )
            for record, received in self._records()
            if isinstance(record, Event) and device_id in (None, record.device_id)
        ]
        rows.sort(key=lambda row: (row.received_unix_ms, row.seq), reverse=True)
        return tuple(rows[:limit])

    def next_counter(self, device_id: str, key_id: str, at_least: int) -> int:
        with self._lock:
            counter = max(self._counters.get((device_id, key_id), 0) + 1, at_least)
            self._counters[device_id, key_id] = counter
            return counter

    def create_rollout(self, rollout: Rollout) -> None:
        with self._lock:
            if rollout.rollout_id in self._rollouts:
                raise ConfigError(f"rollout {rollout.rollout_id!r} is there already")
            self._rollouts[rollout.rollout_id] = rollout

    def rollout(self, rollout_id: str) -> Rollout | None:
        with self._lock:
            return self._rollouts.get(rollout_id)

    def rollout_devices(self, rollout_id: str) -> tuple[RolloutDevice, ...]:
        rollout = self.rollout(rollout_id)
        return () if rollout is None else rollout.devices

    def open_rollouts(self) -> tuple[Rollout, ...]:
        with self._lock:
            is_open = [
                rollout
                for rollout in self._rollouts.values()
                if any(device.state in OPEN_STATES for device in rollout.devices)
            ]
        return tuple(sorted(is_open, key=lambda rollout: rollout.created_unix_ms))

    def set_rollout_device(self, rollout_id: str, device: RolloutDevice) -> None:
        with self._lock:
            rollout = self._rollouts.get(rollout_id)
            known = {d.device_id for d in rollout.devices} if rollout else set()
            if rollout is None or device.device_id not in known:
                raise ConfigError(f"rollout {rollout_id!r} has no device {device.device_id!r}")
            kept = (device if d.device_id == device.device_id else d for d in rollout.devices)
            self._rollouts[rollout_id] = replace(rollout, devices=tuple(kept))

    def close(self) -> None:
        return

    def _seen(self, device_id: str, site: str, received_unix_ms: int) -> _Device:
        device = self._devices.setdefault(device_id, _Device(site, received_unix_ms))
        device.site = site
        device.last_seen_unix_ms = max(device.last_seen_unix_ms, received_unix_ms)
        return device

    def _records(self) -> list[tuple[Record, int]]:
        with self._lock:
            return [pair for boot in self._boots.values() for pair in boot.records.values()]

    def _samples(self, device_id: str | None) -> list[tuple[int, Sample]]:
        return [
            (moment_unix_ms(record.ended_at_unix_ms, received), record)
            for record, received in self._records()
            if isinstance(record, Sample) and device_id in (None, record.device_id)
        ]

    @staticmethod
    def _advance(boot: _Boot) -> int:
        floor = max(boot.watermark, boot.first_kept_seq - 1)
        present = sorted(seq for seq in boot.records if seq > floor)
        boot.watermark = watermark.advance(boot.watermark, boot.first_kept_seq, present)
        return boot.watermark

    def _row(self, device_id: str, device: _Device) -> DeviceRow:
        info, reported, known = device.info, device.reported, device.known
        unread = any(
            isinstance(record, UnreadRecord) and record.device_id == device_id
            for record, _ in self._records()
        )
        slots = reported.slots if reported and reported.slots else info.slots if info else ()
        return DeviceRow(
            device_id=device_id,
            site=device.site,
            online=known.online if known else False,
            last_seen_unix_ms=device.last_seen_unix_ms,
            since_unix_ms=known.changed_unix_ms if known else None,
            board=info.board if info else "",
            runtime=info.runtime if info else "",
            agent_version=info.agent_version if info else "",
            desired_sha256=self._desired(device_id)
            or (reported.desired_sha256 if reported else ""),
            reported_sha256=reported.active_sha256 if reported else "",
            state=reported.state if reported else None,
            reason=reported.reason if reported else "",
            runs_on=reported.runs_on if reported else "",
            slots=slots,
            meters=info.meters if info else (),
            problems=presence.problems(known, device.last_seen_unix_ms, unread=unread),
        )

    def _at(self, row: DeviceRow, now_unix_ms: int | None) -> DeviceRow:
        lengths: list[int] = []
        for (device_id, _), boot in self._boots.items():
            records = [boot.records[seq][0] for seq in sorted(boot.records)]
            windows = [record.window_ns for record in records if isinstance(record, Sample)]
            if device_id == row.device_id and windows:
                lengths = windows[-3:]
        longest_ns = max(lengths, default=None)
        return row if now_unix_ms is None else presence.at_time(row, longest_ns, now_unix_ms)

    def _desired(self, device_id: str) -> str:
        newest = sorted(self._rollouts.values(), key=lambda rollout: rollout.created_unix_ms)
        told = [
            rollout.bundle_sha256
            for rollout in newest
            if any(device.device_id == device_id for device in rollout.devices)
        ]
        return told[-1] if told else ""


def _is_better(record: Record, known: Record) -> bool:
    return isinstance(known, UnreadRecord) and not isinstance(record, UnreadRecord)


def _reread(record: UnreadRecord) -> Sample | Event | None:
    try:
        if record.channel == "event":
            return codec.loads(Event, record.text, strict=False)
        return codec.loads(Sample, record.text, strict=False)
    except DecodeError:
        return None


def _point(t_unix_ms: int, samples: Sequence[Sample]) -> Point:
    rows = merge.figures(samples)
    latency = [done(sample).latency for sample in samples]
    merged = latency[0]
    for histogram in latency[1:]:
        merged = merged.merge(histogram)
    point = Point(
        t_unix_ms=t_unix_ms,
        inferences=merged.count,
        windows=len(samples),
        errors=sum(done(sample).errors for sample in samples),
        p50_us=_us(merged.quantile_ns(0.50)),
        p95_us=_us(merged.quantile_ns(0.95)),
    )
    metered = [row for row in rows if row.kind is not None]
    if not metered:
        return point
    best = min(metered, key=lambda row: _KINDS.index(row.kind or "modelled"))
    return replace(
        point,
        power_uw=_power_uw(samples, best),
        energy_uj_per_inference=best.energy_uj_per_inference,
        meter=best.meter,
        boundary=best.boundary,
        kind=best.kind,
    )


def _power_uw(samples: Iterable[Sample], row: Figure) -> int | None:
    windows = [
        window
        for sample in samples
        for window in energy_windows(sample)
        if window.valid
        and row.meter is not None
        and row.boundary is not None
        and row.kind is not None
        and window.source == MeterId(row.meter, row.boundary, row.kind)
    ]
    window_ns = sum(window.window_ns for window in windows)
    return uw_from_uj_ns(sum(w.energy_uj for w in windows), window_ns) if window_ns else None


def _us(value_ns: float | None) -> float | None:
    return None if value_ns is None else value_ns / 1_000


def _subject(row: Figure) -> tuple[object, ...]:
    artefact = (row.device_id, row.model, row.model_version, row.artifact_sha256)
    return (*artefact, row.meter, row.boundary, row.kind)


def _totals(rows: Iterable[Figure]) -> dict[tuple[object, ...], int]:
    return {_subject(row): row.energy_uj or 0 for row in rows}
