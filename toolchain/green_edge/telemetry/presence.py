"""Which start of the agent speaks for a device, and whether two agents share its id; pure rules.

A device's agent holds a lock, so its starts (boots) follow each other and one that was replaced is
silent for ever, but for what its successor replays of it. A replaced boot that lives is therefore
another machine with the same id.
"""

from dataclasses import dataclass, replace

from green_edge_wire.device import Status
from green_edge_wire.telemetry import Event, Sample
from green_edge_wire.units import MS_PER_S

# Clocks of devices and workstation agree within this where they are set at all.
_CLOCK_SLACK_MS = 30 * MS_PER_S
# After this long without another sign the second agent is taken to be gone.
_RIVAL_FORGOTTEN_MS = 600 * MS_PER_S


@dataclass(frozen=True, slots=True)
class Presence:
    """What is known of a device's boots.

    Attributes:
        boot_id: the newest boot.
        said_unix_ms: the device's time in the newest birth of that boot.
        since_unix_ms: when its first birth arrived, on this machine's clock.
        former_boot_id: the boot before it; empty while there was none.
        former_said_unix_ms: the device's time in the newest birth of the former boot.
        rival_unix_ms: when the former boot last gave a sign of life after it was replaced.
    """

    boot_id: str
    online: bool
    said_unix_ms: int
    since_unix_ms: int
    former_boot_id: str = ""
    former_said_unix_ms: int = 0
    rival_unix_ms: int | None = None


def after_status(known: Presence | None, status: Status, received_unix_ms: int) -> Presence:
    """What is known once a birth or last will has arrived."""
    if known is None:
        return Presence(status.boot_id, status.online, status.at_unix_ms, received_unix_ms)
    if status.boot_id == known.boot_id:
        return replace(
            known,
            online=status.online,
            said_unix_ms=max(known.said_unix_ms, status.at_unix_ms),
        )
    if not status.online:
        return known  # the last will of a boot that was replaced says nothing of the new one
    if status.boot_id != known.former_boot_id:
        return _replaced(known, status, received_unix_ms, known.rival_unix_ms)
    if status.at_unix_ms <= known.former_said_unix_ms:
        return known  # a retained birth that a broker brought back from an old snapshot
    return _replaced(known, status, received_unix_ms, received_unix_ms)


def after_record(known: Presence, record: Sample | Event, received_unix_ms: int) -> Presence:
    """What is known once a record has arrived; replayed ones of a former boot are no sign of life.

    The record must have been made after the newest boot was born, both by clocks that are right.
    """
    if record.boot_id != known.former_boot_id:
        return known
    made_unix_ms = record.ended_at_unix_ms if isinstance(record, Sample) else record.at_unix_ms
    earliest_unix_ms = known.since_unix_ms + _CLOCK_SLACK_MS
    lives = earliest_unix_ms < made_unix_ms <= received_unix_ms + _CLOCK_SLACK_MS
    return replace(known, rival_unix_ms=received_unix_ms) if lives else known


def problems(known: Presence, last_seen_unix_ms: int) -> tuple[str, ...]:
    """Lines for a person."""
    rival_unix_ms = known.rival_unix_ms
    if rival_unix_ms is None or last_seen_unix_ms - rival_unix_ms > _RIVAL_FORGOTTEN_MS:
        return ()
    boots = f"{known.former_boot_id[:8]} and {known.boot_id[:8]}"
    return (f"two agents use this id (boots {boots}); give each device an id of its own",)


def _replaced(
    known: Presence, status: Status, received_unix_ms: int, rival_unix_ms: int | None
) -> Presence:
    return Presence(
        boot_id=status.boot_id,
        online=True,
        said_unix_ms=status.at_unix_ms,
        since_unix_ms=received_unix_ms,
        former_boot_id=known.boot_id,
        former_said_unix_ms=known.said_unix_ms,
        rival_unix_ms=rival_unix_ms,
    )
