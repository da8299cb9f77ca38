"""One snapshot of the fleet a period, shared by all who watch, made only while somebody does."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass

from green_edge.dashboard import frames
from green_edge.dashboard.recent import RecentReader
from green_edge.telemetry.store import DeviceRow, Store
from green_edge_wire import codec, units
from green_edge_wire.clock import Clock

_EVENTS_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The fleet at one moment.

    Attributes:
        version: grows by one with each snapshot, from 1.
        texts: JSON of each row; made again only where the row changed.
        delta: JSON frame of the rows that changed since the snapshot before.
    """

    version: int
    made_mono_ns: int
    at_unix_ms: int
    period_ms: int
    totals: frames.Totals
    devices: Mapping[str, DeviceRow]
    rows: Mapping[str, frames.FleetRow]
    texts: Mapping[str, str]
    delta: str

    @property
    def whole(self) -> str:
        """JSON frame of all rows."""
        head = frames.FleetHead(self.at_unix_ms, self.period_ms, "whole", self.totals)
        return _with_rows(head, self.texts.values())


class Feed:
    """Snapshots of a store, which is read in worker threads."""

    def __init__(self, store: Store, clock: Clock, period_s: float) -> None:
        self._store = store
        self._clock = clock
        self._period_ns = units.ns_from_s(period_s)
        self._turn = asyncio.Lock()
        self._recent = RecentReader(store)
        self._snapshot: Snapshot | None = None
        self._device_texts: dict[str, str] = {}

    async def fleet(self) -> AsyncGenerator[str, None]:
        """JSON of the whole fleet, then once a period of what changed."""
        snapshot = await self.latest()
        yield snapshot.whole
        while True:
            fresh = await self._after(snapshot.version)
            yield fresh.delta if fresh.version == snapshot.version + 1 else fresh.whole
            snapshot = fresh

    async def device(self, device_id: str) -> AsyncGenerator[str, None]:
        """JSON of one device, once a period until it is no longer in the store."""
        snapshot = await self.latest()
        while device_id in snapshot.devices:
            yield await self._device_text(snapshot, device_id)
            snapshot = await self._after(snapshot.version)

    async def latest(self) -> Snapshot:
        """The newest snapshot; a new one when that is older than a period."""
        snapshot = self._snapshot
        if snapshot is None or self._wait_ns(snapshot) > 0:
            return await self._after(0)
        return await self._after(snapshot.version)

    async def document(self, device_id: str, since_unix_ms: int, points: int) -> str | None:
        """JSON of one device with its curves; None when there is no such device."""
        snapshot = await self.latest()
        if device_id not in snapshot.devices:
            return None
        device = await self._device_text(snapshot, device_id)
        history = await asyncio.to_thread(self._history, device_id, since_unix_ms, points)
        return f'{{"device":{device},"history":{history}}}'

    async def _after(self, seen: int) -> Snapshot:
        """A snapshot newer than `seen`; the first who asks makes it, the others get the same."""
        async with self._turn:
            snapshot = self._snapshot
            if snapshot is None or snapshot.version <= seen:
                wait_ns = 0 if snapshot is None else self._wait_ns(snapshot)
                await asyncio.sleep(units.s_from_ns(wait_ns))
                # A reader who leaves must not leave the thread at work behind an open lock.
                making = asyncio.ensure_future(asyncio.to_thread(self._make, snapshot))
                try:
                    snapshot = await asyncio.shield(making)
                except asyncio.CancelledError:
                    self._keep(await making)
                    raise
                self._keep(snapshot)
            return snapshot

    def _keep(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._device_texts = {}

    def _wait_ns(self, snapshot: Snapshot) -> int:
        due = snapshot.made_mono_ns + self._period_ns
        return max(0, due - self._clock.monotonic_ns())

    def _make(self, before: Snapshot | None) -> Snapshot:
        now = self._clock.unix_ms()
        made_mono_ns = self._clock.monotonic_ns()
        devices = {row.device_id: row for row in self._store.devices(now)}
        recent = self._recent.read(devices.values(), now)
        rows = {
            key: frames.FleetRow(
                frames.card_of(row, recent[key], now), frames.trace_of(recent[key].points)
            )
            for key, row in devices.items()
        }
        old = before.rows if before else {}
        changed = {key: codec.dumps(row) for key, row in rows.items() if old.get(key) != row}
        texts = {key: changed.get(key) or before.texts[key] for key in rows} if before else changed
        gone = tuple(key for key in old if key not in rows)
        totals = frames.totals_of(row.card for row in rows.values())
        period_ms = self._period_ns // units.NS_PER_MS
        head = frames.FleetHead(now, period_ms, "delta", totals, gone)
        return Snapshot(
            version=before.version + 1 if before else 1,
            made_mono_ns=made_mono_ns,
            at_unix_ms=now,
            period_ms=period_ms,
            totals=totals,
            devices=devices,
            rows=rows,
            texts=texts,
            delta=_with_rows(head, changed.values()),
        )

    async def _device_text(self, snapshot: Snapshot, device_id: str) -> str:
        text = self._device_texts.get(device_id)
        if text is None:
            text = await asyncio.to_thread(self._device_frame, snapshot, device_id)
            self._device_texts[device_id] = text
        return text

    def _device_frame(self, snapshot: Snapshot, device_id: str) -> str:
        row = snapshot.devices[device_id]
        frame = frames.DeviceFrame(
            at_unix_ms=snapshot.at_unix_ms,
            period_ms=snapshot.period_ms,
            card=snapshot.rows[device_id].card,
            runtime=row.runtime,
            agent_version=row.agent_version,
            desired_sha256=row.desired_sha256,
            reported_sha256=row.reported_sha256,
            slots=row.slots,
            meters=row.meters,
            groups=row.groups,
            events=self._store.events(device_id=device_id, limit=_EVENTS_SHOWN),
        )
        return codec.dumps(frame)

    def _history(self, device_id: str, since_unix_ms: int, points: int) -> str:
        until = self._clock.unix_ms()
        since = min(since_unix_ms, until - points)
        series = self._store.series(
            device_id, since_unix_ms=since, until_unix_ms=until, points=points
        )
        step_ms = (until - since) / points
        return codec.dumps(frames.HistoryFrame(device_id, since, until, step_ms, series))


def _with_rows(head: frames.FleetHead, rows: Iterable[str]) -> str:
    return f'{codec.dumps(head)[:-1]},"rows":[{",".join(rows)}]}}'
