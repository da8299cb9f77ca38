"""Figures and plots from the tables: sums in SQL, histograms merged in Python."""

import sqlite3
from collections import Counter, defaultdict
from dataclasses import dataclass

from green_edge.telemetry.merge import Energy, Subject, Work, figure
from green_edge.telemetry.sqlite.records import unpack_latency
from green_edge.telemetry.store import Figure, Point
from green_edge.telemetry.windows import FLAG_IMPLAUSIBLE, MeterId
from green_edge_wire.latency import LatencyBuilder
from green_edge_wire.units import us_from_ns, uw_from_uj_ns

# Bounds of a 64-bit moment stand for "no bound", so that one query serves all cases by its index.
_BEGIN_OF_TIME = -(1 << 63)
_END_OF_TIME = (1 << 63) - 1

# The order of joins is fixed (CROSS JOIN): few boots, then the index over their windows.
_WORK = """
SELECT b.device_id, s.artefact, s.window_ns, s.errors, s.sum_ns, s.min_ns, s.max_ns, s.latency
FROM boot b
CROSS JOIN sample s ON s.boot = b.id
CROSS JOIN artefact a ON a.id = s.artefact
WHERE s.at_unix_ms >= :since AND s.at_unix_ms < :until
  AND (:device IS NULL OR b.device_id = :device) AND (:model IS NULL OR a.model = :model)
"""

# Truths count as 1 and 0 in the products.
# A cumulative figure grows from that of the record before it, wherever that lies in time: so the
# totals of adjoining ranges add up to that of both, with every lost record's energy in one of them.
# One that is implausible is passed over: its cumulative figure is stored as 0 and is no reading.
_ENERGY = """
SELECT device_id, artefact, meter,
  sum(cumulative_uj - before_uj * (cumulative_uj >= before_uj)),
  sum(energy_uj * counts),
  sum(inferences * counts),
  sum(u_uj * counts),
  coalesce(sum((energy_uj - idle_uj) * counts), 0),
  sum(inferences * counts * (idle_uj IS NOT NULL)),
  sum(NOT valid),
  group_concat(DISTINCT flags)
FROM (
  SELECT b.device_id, e.*, e.valid AND e.inferences > 0 AS counts,
    CASE WHEN instr(',' || e.flags || ',', :implausible) THEN 0 ELSE coalesce((
      SELECT p.cumulative_uj FROM energy p
      WHERE p.boot = e.boot AND p.artefact = e.artefact AND p.meter = e.meter AND p.seq < e.seq
        AND NOT instr(',' || p.flags || ',', :implausible)
      ORDER BY p.seq DESC LIMIT 1
    ), 0) END AS before_uj
  FROM boot b
  CROSS JOIN energy e ON e.boot = b.id
  CROSS JOIN artefact a ON a.id = e.artefact
  WHERE e.at_unix_ms >= :since AND e.at_unix_ms < :until
    AND (:device IS NULL OR b.device_id = :device) AND (:model IS NULL OR a.model = :model)
)
GROUP BY device_id, artefact, meter
"""

# What is missing counts for the artefact of the next window, else of the boot's last one, and at
# that window's time; an unread window counts at its arrival. The order of joins is fixed as above:
# left alone, SQLite reads every sample to look up the few things missing.
_MISSING = """
SELECT b.device_id, s.artefact, m.missing
FROM (
  SELECT g.boot, g.last_seq - g.first_seq + 1 AS missing, NULL AS at_unix_ms, coalesce(
      (SELECT min(n.seq) FROM sample n WHERE n.boot = g.boot AND n.seq > g.last_seq),
      (SELECT max(l.seq) FROM sample l WHERE l.boot = g.boot)
    ) AS seq
  FROM gap g
  UNION ALL
  SELECT u.id, 1, NULL, (SELECT max(l.seq) FROM sample l WHERE l.boot = u.id)
  FROM boot u WHERE u.unclean
  UNION ALL
  SELECT r.boot, 1, r.received_unix_ms, coalesce(
      (SELECT min(n.seq) FROM sample n WHERE n.boot = r.boot AND n.seq > r.seq),
      (SELECT max(l.seq) FROM sample l WHERE l.boot = r.boot)
    )
  FROM boot o CROSS JOIN unread r ON r.boot = o.id
  WHERE r.received_unix_ms >= :since AND r.received_unix_ms < :until AND r.channel = 'telemetry'
) m
CROSS JOIN boot b ON b.id = m.boot
CROSS JOIN sample s ON s.boot = m.boot AND s.seq = m.seq
WHERE coalesce(m.at_unix_ms, s.at_unix_ms) >= :since
  AND coalesce(m.at_unix_ms, s.at_unix_ms) < :until
  AND (:device IS NULL OR b.device_id = :device)
"""

_STEPS_WORK = """
SELECT (s.at_unix_ms - :since) / :width,
  s.window_ns, s.errors, s.sum_ns, s.min_ns, s.max_ns, s.latency
FROM boot b CROSS JOIN sample s ON s.boot = b.id
WHERE b.device_id = :device AND s.at_unix_ms >= :since AND s.at_unix_ms < :until
"""

_STEPS_ENERGY = """
SELECT (e.at_unix_ms - :since) / :width AS step, m.meter, m.boundary, m.kind,
  sum(e.energy_uj), sum(e.window_ns),
  sum(e.energy_uj * (e.inferences > 0)), sum(e.inferences)
FROM boot b
CROSS JOIN energy e ON e.boot = b.id
CROSS JOIN meter m ON m.id = e.meter
WHERE b.device_id = :device AND e.at_unix_ms >= :since AND e.at_unix_ms < :until AND e.valid
GROUP BY step, m.id
"""

_BEST_KIND_FIRST = ("counter", "mean", "point", "modelled")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which windows figures are wanted of; None means all."""

    since_unix_ms: int | None = None
    until_unix_ms: int | None = None
    device_id: str | None = None
    model: str | None = None

    def arguments(self) -> dict[str, int | str | None]:
        """Named arguments of the queries."""
        return {
            "since": _BEGIN_OF_TIME if self.since_unix_ms is None else self.since_unix_ms,
            "until": _END_OF_TIME if self.until_unix_ms is None else self.until_unix_ms,
            "device": self.device_id,
            "model": self.model,
            "implausible": f",{FLAG_IMPLAUSIBLE},",
        }


# Length, errors, then the latency's sum, least, greatest and packed buckets.
_Window = tuple[int, int, int, int, int, bytes]


@dataclass(slots=True)
class _Pool:
    latencies: LatencyBuilder
    errors: int = 0
    windows: int = 0
    window_ns: int = 0

    def add(self, row: _Window) -> None:
        window_ns, errors, sum_ns, min_ns, max_ns, latency = row
        self.window_ns += window_ns
        self.errors += errors
        self.windows += 1
        if latency:
            self.latencies.add_counts(
                unpack_latency(latency), sum_ns=sum_ns, min_ns=min_ns, max_ns=max_ns
            )


def read_figures(connection: sqlite3.Connection, selection: Selection) -> tuple[Figure, ...]:
    """Figures of a selection, by subject and meter."""
    arguments = selection.arguments()
    pools: defaultdict[tuple[str, int], _Pool] = defaultdict(lambda: _Pool(LatencyBuilder()))
    for row in connection.execute(_WORK, arguments):
        pools[row[0], row[1]].add(row[2:])
    missing: Counter[tuple[str, int]] = Counter()
    for device_id, artefact, count in connection.execute(_MISSING, arguments):
        missing[device_id, artefact] += count
    energies = _energies(connection, arguments)
    artefacts = _artefacts(connection)
    rows = []
    for key, pool in pools.items():
        sha256, model, version = artefacts[key[1]]
        subject = Subject(key[0], model, version, sha256)
        work = Work(pool.latencies.histogram(), pool.errors, pool.windows, missing[key])
        rows.append((subject, work, energies[key]))
    rows.sort(key=lambda row: row[0])
    return tuple(
        figure(subject, work, energy)
        for subject, work, found in rows
        for energy in sorted(found, key=lambda e: e.source) or (None,)
    )


def read_series(
    connection: sqlite3.Connection, selection: Selection, width_ms: int
) -> tuple[Point, ...]:
    """Steps of `width_ms` over the selection's time, which must be bounded, of its device."""
    arguments = {**selection.arguments(), "width": width_ms}
    pools: defaultdict[int, _Pool] = defaultdict(lambda: _Pool(LatencyBuilder()))
    for row in connection.execute(_STEPS_WORK, arguments):
        pools[row[0]].add(row[1:])
    powers: dict[int, tuple[MeterId, int, int, int, int]] = {}
    for step, meter, boundary, kind, *sums in connection.execute(_STEPS_ENERGY, arguments):
        known = powers.get(step)
        if known is None or _rank(kind) < _rank(known[0].kind):
            powers[step] = (MeterId(meter, boundary, kind), *sums)
    since_unix_ms = selection.since_unix_ms or 0
    return tuple(
        _point(since_unix_ms + step * width_ms, pools[step], powers.get(step))
        for step in sorted(pools)
    )


def _point(t_unix_ms: int, pool: _Pool, power: tuple[MeterId, int, int, int, int] | None) -> Point:
    latency = pool.latencies.histogram()
    p50_ns, p95_ns = latency.quantile_ns(0.50), latency.quantile_ns(0.95)
    source, energy_uj, window_ns, gross_uj, inferences = power or (None, 0, 0, 0, 0)
    return Point(
        t_unix_ms=t_unix_ms,
        inferences=latency.count,
        windows=pool.windows,
        window_ns=pool.window_ns,
        errors=pool.errors,
        p50_us=None if p50_ns is None else us_from_ns(p50_ns),
        p95_us=None if p95_ns is None else us_from_ns(p95_ns),
        power_uw=uw_from_uj_ns(energy_uj, window_ns) if window_ns else None,
        energy_uj_per_inference=gross_uj / inferences if inferences else None,
        meter=source.meter if source else None,
        boundary=source.boundary if source else None,
        kind=source.kind if source else None,
    )


def _energies(
    connection: sqlite3.Connection, arguments: dict[str, int | str | None]
) -> defaultdict[tuple[str, int], list[Energy]]:
    rows = connection.execute("SELECT id, meter, boundary, kind FROM meter")
    sources = {row: MeterId(*name) for row, *name in rows}
    found: defaultdict[tuple[str, int], list[Energy]] = defaultdict(list)
    for row in connection.execute(_ENERGY, arguments):
        flags = frozenset(flag for flag in (row[-1] or "").split(",") if flag)
        total_uj, gross_uj, inferences, u_uj, net_uj, net_inferences, invalid = row[3:-1]
        found[row[0], row[1]].append(
            Energy(
                source=sources[row[2]],
                total_uj=total_uj,
                gross_uj=gross_uj,
                gross_inferences=inferences,
                u_uj=u_uj,
                net_uj=net_uj,
                net_inferences=net_inferences,
                invalid=invalid,
                flags=flags,
            )
        )
    return found


def _artefacts(connection: sqlite3.Connection) -> dict[int, tuple[str, str, int]]:
    rows = connection.execute("SELECT id, sha256, model, model_version FROM artefact")
    return {row: (sha256, model, version) for row, sha256, model, version in rows}


def _rank(kind: str) -> int:
    return _BEST_KIND_FIRST.index(kind)
