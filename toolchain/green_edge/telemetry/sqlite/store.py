"""The SQLite store behind the contract of `green_edge.telemetry.store`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from green_edge.telemetry.sqlite import devices, figures, rollouts
from green_edge.telemetry.sqlite.database import Database
from green_edge.telemetry.sqlite.devices import Listing
from green_edge.telemetry.sqlite.records import Commit, reread_some
from green_edge.telemetry.store import (
    DeviceRow,
    EventRow,
    Figure,
    Point,
    Record,
    Rollout,
    RolloutDevice,
    Watermark,
)
from green_edge_wire.device import DeviceInfo, Reported, Status
from green_edge_wire.errors import ConfigError


class SqliteStore:
    """A store in one file; see `green_edge.telemetry.store.Store` for what each call promises."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self._database = Database(path, create=create)
        self._listing = Listing()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Make the writes inside of the block one transaction."""
        with self._database.write():
            yield

    def commit(
        self, records: Sequence[Record], *, site: str, received_unix_ms: int
    ) -> tuple[Watermark, ...]:
        """Keep records once each."""
        with self._database.write() as connection:
            marks = Commit(connection, received_unix_ms).keep(records)
            devices.keep_signs_of_life(connection, site, records, received_unix_ms)
        return marks

    def reread(self) -> int:
        """Commit the unread records that can be decoded by now."""
        committed = 0
        last: tuple[int, int] | None = (0, 0)
        while last is not None:
            with self._database.write() as connection:
                more, last = reread_some(connection, last)
            committed += more
        return committed

    def put_status(self, site: str, status: Status, received_unix_ms: int) -> None:
        """Note a birth or last will."""
        with self._database.write() as connection:
            devices.keep_status(connection, site, status, received_unix_ms)

    def put_info(self, site: str, info: DeviceInfo, received_unix_ms: int) -> None:
        """Note what a device is."""
        with self._database.write() as connection:
            devices.keep_info(connection, site, info, received_unix_ms)

    def put_reported(self, site: str, reported: Reported, received_unix_ms: int) -> None:
        """Note the state of a device's update."""
        with self._database.write() as connection:
            devices.keep_reported(connection, site, reported, received_unix_ms)

    def devices(self, now_unix_ms: int | None = None) -> tuple[DeviceRow, ...]:
        """All devices, by id, as they are at a moment."""
        with self._database.read() as connection:
            return self._listing.read(connection, now_unix_ms)

    def figures(
        self,
        *,
        since_unix_ms: int | None = None,
        until_unix_ms: int | None = None,
        device_id: str | None = None,
        model: str | None = None,
    ) -> tuple[Figure, ...]:
        """Merged figures."""
        selection = figures.Selection(since_unix_ms, until_unix_ms, device_id, model)
        with self._database.read() as connection:
            return figures.read_figures(connection, selection)

    def series(
        self, device_id: str, *, since_unix_ms: int, until_unix_ms: int, points: int = 300
    ) -> tuple[Point, ...]:
        """Steps of equal length."""
        if points < 1 or until_unix_ms <= since_unix_ms:
            raise ConfigError("a series needs a step and a time to cover", place="points")
        width_ms = -((since_unix_ms - until_unix_ms) // points)
        selection = figures.Selection(since_unix_ms, until_unix_ms, device_id)
        with self._database.read() as connection:
            return figures.read_series(connection, selection, width_ms)

    def events(self, *, device_id: str | None = None, limit: int = 100) -> tuple[EventRow, ...]:
        """Newest events first."""
        with self._database.read() as connection:
            return devices.read_events(connection, device_id, limit)

    def next_counter(self, device_id: str, key_id: str, at_least: int) -> int:
        """Take a counter."""
        with self._database.write() as connection:
            return rollouts.take_counter(connection, device_id, key_id, at_least)

    def create_rollout(self, rollout: Rollout) -> None:
        """Keep a new rollout."""
        with self._database.write() as connection:
            rollouts.keep_rollout(connection, rollout)

    def rollout(self, rollout_id: str) -> Rollout | None:
        """Rollout by id."""
        with self._database.read() as connection:
            return rollouts.read_rollout(connection, rollout_id)

    def rollout_devices(self, rollout_id: str) -> tuple[RolloutDevice, ...]:
        """Devices of a rollout."""
        found = self.rollout(rollout_id)
        return found.devices if found else ()

    def open_rollouts(self) -> tuple[Rollout, ...]:
        """Rollouts that are not over."""
        with self._database.read() as connection:
            return rollouts.read_open_rollouts(connection)

    def set_rollout_device(self, rollout_id: str, device: RolloutDevice) -> None:
        """Replace one device of a rollout."""
        with self._database.write() as connection:
            rollouts.replace_device(connection, rollout_id, device)

    def close(self) -> None:
        """Close the file."""
        self._database.close()
