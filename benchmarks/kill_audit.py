"""Compares what a device had committed with what the host holds: pure, no files, no processes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.kill_truth import Place, Record, Truth, end_mono_ns
from green_edge_wire.telemetry import Event, Sample
from green_edge_wire.units import ms_from_ns

# A commit that is due still has to get a processor.
_LATE = 1.1

COMPARED = {
    "records": "Committed are all (boot_id, seq) from 1 to the last_seq that the agent's spool"
    " holds for each boot, plus one for a window that was open at a SIGKILL, as its last"
    " checkpoint has it. Received are those in the host's store. Lost are committed ones that are"
    " neither there nor in the spool any more. Double-counted are records in the store that were"
    " never committed, or whose window overlaps with another one of the same boot. Differing are"
    " those whose content is another than the spool's, of all whose content was read there"
    " (content_compared).",
    "inferences": "Committed and in_store: the last cumulative_inferences of each boot and artefact"
    " in the spool and in the host's store. in_windows: sum of the latency histograms in the"
    " store. in_report: the total that `green-edge report --json` prints.",
    "microjoules": "The same with cumulative_uj of each boot, artefact and meter; in_windows is the"
    " sum of the valid windows' energy.",
    "unclean_ends": "SIGKILLs of the agent against unclean-end events in the store, by boot."
    " after_last_commit_ms is the time from the end of the last committed window or checkpoint to"
    " the SIGKILL, on the machine's monotonic clock: all that was in memory alone; null for a"
    " boot that had not committed a window yet. bound_ms is what the next start said of it."
    " beyond_bound are those longer than that by more than a tenth, which is left to the"
    " scheduler.",
    "windows_missing": "The total in `green-edge report --json`, against one for each SIGKILL of"
    " an agent that had committed a window or checkpoint, plus records that the spool dropped.",
}


@dataclass(frozen=True, slots=True)
class AgentKill:
    """One SIGKILL of the agent.

    Attributes:
        at_mono_ns: just before the signal.
        last_commit_mono_ns: end of the newest window on the disk; None when there was none.
    """

    boot_id: str
    at_mono_ns: int
    last_commit_mono_ns: int | None


@dataclass(frozen=True, slots=True)
class HostSide:
    """What the host holds: the store's records, and the totals of `report --json`."""

    records: Mapping[Place, Record]
    totals: Mapping[str, Any]


def audit(
    truth: Truth, in_spool: Iterable[Place], host: HostSide, kills: Sequence[AgentKill]
) -> dict[str, Any]:
    """All comparisons of a run, as told in `COMPARED`.

    Args:
        truth: what was committed.
        in_spool: what the spool still holds at the end.
        host: what arrived.
        kills: of the agent.
    """
    events = [record for record in host.records.values() if isinstance(record, Event)]
    return {
        "records": _records(truth, set(in_spool), host),
        "inferences": _inferences(truth, host),
        "microjoules": _microjoules(truth, host),
        "unclean_ends": _unclean_ends(kills, events),
        "windows_missing": {
            "reported": host.totals["windows_missing"],
            "expected": sum(k.last_commit_mono_ns is not None for k in kills) + truth.dropped,
        },
    }


def faults(found: Mapping[str, Any]) -> list[str]:
    """What is not as it has to be, one line each; empty when all is well."""
    records, ends, missing = found["records"], found["unclean_ends"], found["windows_missing"]
    checks = {f"records {name}": records[name] for name in ("lost", "double_counted", "differing")}
    for name in ("inferences", "microjoules"):
        figures = found[name]
        for place in ("in_store", "in_windows", "in_report"):
            checks[f"{name} {place} less committed"] = figures[place] - figures["committed"]
    checks["unclean ends not reported"] = ends["agent_kills"] - ends["reported"]
    checks["unclean ends reported wrongly"] = ends["reported_without_kill"]
    checks["losses beyond their bound"] = ends["beyond_bound"]
    checks["windows_missing less expected"] = missing["reported"] - missing["expected"]
    return [f"{name}: {value}" for name, value in checks.items() if value]


def proof_of_sight(truth: Truth, in_spool: Iterable[Place], host: HostSide) -> dict[str, int]:
    """Show that the audit sees faults: spoil what the host holds, and count what it finds."""
    kept = set(in_spool)
    window = _in_order(host.records)[-1]
    place, again = (window.boot_id, window.seq), (window.boot_id, window.seq + 1_000_000)
    without = {key: record for key, record in host.records.items() if key != place}
    twice = {**host.records, again: replace(window, seq=again[1])}
    changed = {**host.records, place: replace(window, window_ns=window.window_ns + 1)}
    spoilt = [_records(truth, kept, HostSide(found, {})) for found in (without, twice, changed)]
    return {
        "lost_with_one_record_taken_away": spoilt[0]["lost"],
        "double_counted_with_one_window_under_a_second_seq": spoilt[1]["double_counted"],
        "differing_with_one_window_changed": spoilt[2]["differing"],
    }


def _records(truth: Truth, in_spool: set[Place], host: HostSide) -> dict[str, int]:
    committed, received = truth.places(), set(host.records)
    strange = received - committed
    compared = received & set(truth.records)
    return {
        "committed": len(committed),
        "received": len(received & committed),
        "lost": len(committed - received - in_spool),
        "double_counted": len(strange | _overlapping(host.records)),
        "differing": sum(_said(host.records[at]) != _said(truth.records[at]) for at in compared),
        "content_compared": len(compared),
        "waiting_in_spool": len((committed & in_spool) - received),
        "dropped_by_full_spool": truth.dropped,
    }


def _said(record: Record) -> Record:
    """A record without what is only set when sending."""
    return replace(record, first_kept_seq=1)


def _overlapping(records: Mapping[Place, Record]) -> set[Place]:
    """Windows that begin before an earlier one of the same boot has ended."""
    found = set()
    ends: dict[str, int] = {}
    samples = [record for record in records.values() if isinstance(record, Sample)]
    for sample in sorted(samples, key=lambda s: (s.window_start_mono_ns, s.seq)):
        end_ns = ends.get(sample.boot_id, 0)
        if sample.window_start_mono_ns < end_ns:
            found.add((sample.boot_id, sample.seq))
        ends[sample.boot_id] = max(end_ns, end_mono_ns(sample))
    return found


def _inferences(truth: Truth, host: HostSide) -> dict[str, int]:
    windows = (r.latency.count for r in host.records.values() if isinstance(r, Sample))
    return {
        "committed": sum(_last_inferences(truth.records).values()),
        "in_store": sum(_last_inferences(host.records).values()),
        "in_windows": sum(windows),
        "in_report": host.totals["inferences"],
    }


def _microjoules(truth: Truth, host: HostSide) -> dict[str, int]:
    samples = [record for record in host.records.values() if isinstance(record, Sample)]
    return {
        "committed": sum(_last_uj(truth.records).values()),
        "in_store": sum(_last_uj(host.records).values()),
        "in_windows": sum(e.energy_uj for s in samples for e in s.energy if e.valid),
        "in_report": sum(total["energy_uj"] for total in host.totals["energy"]),
    }


def _last_inferences(records: Mapping[Place, Record]) -> dict[tuple[str, str], int]:
    return {
        (sample.boot_id, sample.artifact_sha256): sample.cumulative_inferences
        for sample in _in_order(records)
    }


def _last_uj(records: Mapping[Place, Record]) -> dict[tuple[str, str, str], int]:
    return {
        (sample.boot_id, sample.artifact_sha256, reading.meter): reading.cumulative_uj
        for sample in _in_order(records)
        for reading in sample.energy
    }


def _in_order(records: Mapping[Place, Record]) -> list[Sample]:
    samples = [record for record in records.values() if isinstance(record, Sample)]
    return sorted(samples, key=lambda sample: sample.seq)


def _unclean_ends(kills: Sequence[AgentKill], events: Iterable[Event]) -> dict[str, Any]:
    bounds = [(str(e.facts["boot_id"]), e.facts["bound_ms"]) for e in events if _tells_end(e)]
    killed = {kill.boot_id for kill in kills}
    ends = [_end(kill, [ms for boot, ms in bounds if boot == kill.boot_id]) for kill in kills]
    losses = [
        end["after_last_commit_ms"] for end in ends if end["after_last_commit_ms"] is not None
    ]
    return {
        "agent_kills": len(kills),
        "reported": len({boot for boot, _ in bounds} & killed),
        "reported_without_kill": len(bounds) - len({boot for boot, _ in bounds} & killed),
        "beyond_bound": sum(end["beyond_bound"] for end in ends),
        "longest_after_last_commit_ms": max(losses, default=None),
        "ends": ends,
    }


def _end(kill: AgentKill, bounds_ms: Sequence[int | str]) -> dict[str, Any]:
    bound_ms = int(bounds_ms[0]) if bounds_ms else None
    lost_ms = None
    if kill.last_commit_mono_ns is not None:
        lost_ms = round(ms_from_ns(kill.at_mono_ns - kill.last_commit_mono_ns), 1)
    beyond = lost_ms is not None and bound_ms is not None and lost_ms > bound_ms * _LATE
    return {
        "boot_id": kill.boot_id,
        "after_last_commit_ms": lost_ms,
        "bound_ms": bound_ms,
        "beyond_bound": beyond,
    }


def _tells_end(event: Event) -> bool:
    return event.kind == "unclean-end"
