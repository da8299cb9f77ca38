"""Which start of the agent speaks for a device, and whether two agents share its id; pure rules.

A device's agent holds a lock, so its starts (boots) follow each other and one that was replaced is
silent for ever, but for what its successor replays of it. A replaced boot that lives is therefore
another machine with the same id.
"""

from dataclasses import dataclass, replace

from green_edge.telemetry.store import DeviceRow
from green_edge_wire.device import Status
from green_edge_wire.telemetry import Event, Sample
from green_edge_wire.units import MS_PER_S, NS_PER_MS

# Clocks of devices and workstation agree within this where they are set at all.
_CLOCK_SLACK_MS = 30 * MS_PER_S
# After this long without another sign the second agent is taken to be gone.
_RIVAL_FORGOTTEN_MS = 600 * MS_PER_S
# How long a device on line may be silent: a minute, or so many of its windows. No agent is let have
# windows longer than an hour.
_SILENCE_MS = 60 * MS_PER_S
_WINDOWS_SILENT = 3
_LONGEST_WINDOW_MS = 3_600 * MS_PER_S


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
        ended_unix_ms: when the newest boot was told to have gone; absent while it is on line.
    """

    boot_id: str
    online: bool
    said_unix_ms: int
    since_unix_ms: int
    former_boot_id: str = ""
    former_said_unix_ms: int = 0
    rival_unix_ms: int | None = None
    ended_unix_ms: int | None = None

    @property
    def changed_unix_ms(self) -> int | None:
        """Since when it is on line, or off line; None while unknown."""
        return self.since_unix_ms if self.online else self.ended_unix_ms


def after_status(known: Presence | None, status: Status, received_unix_ms: int) -> Presence:
    """What is known once a birth or last will has arrived."""
    if known is None:
        return Presence(
            boot_id=status.boot_id,
            online=status.online,
            said_unix_ms=status.at_unix_ms,
            since_unix_ms=received_unix_ms,
            ended_unix_ms=None if status.online else received_unix_ms,
        )
    if status.boot_id == known.boot_id:
        return replace(
            known,
            online=status.online,
            said_unix_ms=max(known.said_unix_ms, status.at_unix_ms),
            ended_unix_ms=_ended(known, status, received_unix_ms),
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


def problems(
    known: Presence | None, last_seen_unix_ms: int, *, unread: bool = False
) -> tuple[str, ...]:
    """Lines for a person.

    Args:
        known: boots of the device; None before the first status.
        last_seen_unix_ms: when anything of it last arrived.
        unread: whether there are records of it that this version cannot decode.
    """
    found = []
    if known is not None and known.rival_unix_ms is not None:
        boots = f"{known.former_boot_id[:8]} and {known.boot_id[:8]}"
        if last_seen_unix_ms - known.rival_unix_ms <= _RIVAL_FORGOTTEN_MS:
            found.append(
                f"two agents use this id (boots {boots}); give each device an id of its own"
            )
    if unread:
        found.append(
            "sent records that this version cannot read; they are kept: upgrade green-edge"
        )
    return tuple(found)


def at_time(row: DeviceRow, window_ns: int | None, now_unix_ms: int) -> DeviceRow:
    """The row as it is at a moment: a device that has been silent for too long is off line.

    A last will cannot arrive where the broker keeps nothing, or where all is switched off at once.
    An agent at rest still sends its windows, so it may be silent for three of them, and for a
    minute in any case. While no window has come, the first one may be as long as any.

    Args:
        row: the device as it was last told to be.
        window_ns: the longest of its last windows; absent before the first.
        now_unix_ms: this machine's clock.
    """
    longest_ms = _LONGEST_WINDOW_MS if window_ns is None else window_ns // NS_PER_MS
    allowed_ms = max(_SILENCE_MS, _WINDOWS_SILENT * min(longest_ms, _LONGEST_WINDOW_MS))
    if not row.online or now_unix_ms - row.last_seen_unix_ms <= allowed_ms:
        return row
    return replace(row, online=False, since_unix_ms=row.last_seen_unix_ms)


def _ended(known: Presence, status: Status, received_unix_ms: int) -> int | None:
    if status.online:
        return None
    # A retained last will comes again with every new connection of the collector.
    return received_unix_ms if known.online else known.ended_unix_ms


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
