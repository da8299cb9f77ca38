"""The embedded broker's users on disk: made once, kept over restarts.

`credentials.json` holds the passwords (mode 0600), so that `up` can print a device's settings
again; `passwd` holds their hashes for the broker.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path

from green_edge.fleet.access import OPERATOR, Credential, mosquitto_acl, password_line
from green_edge.fleet.private_files import private_folder, write_private
from green_edge_wire import codec
from green_edge_wire.errors import ConfigError, DecodeError
from green_edge_wire.topics import check_name

_PASSWORD_BYTES = 24
_SALT_BYTES = 12


@dataclass(frozen=True, slots=True)
class _Saved:
    users: tuple[Credential, ...] = ()


class CredentialFiles:
    """Users of one embedded broker in one folder; not for use by two processes at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = private_folder(folder)
        self._users = {user.user: user for user in self._load()}
        self.password_file = folder / "passwd"
        self.acl_file = folder / "acl"
        self._ensure(OPERATOR)
        self._write()

    @property
    def operator(self) -> Credential:
        """The user of the host's own processes."""
        return self._users[OPERATOR]

    def device(self, device_id: str) -> Credential:
        """Credential of a device, made when it is new.

        Raises:
            ConfigError: `device_id` cannot be a topic level.
        """
        check_name(device_id, place="device")
        if self._ensure(device_id):
            self._write()
        return self._users[device_id]

    def _ensure(self, user: str) -> bool:
        if user in self._users:
            return False
        self._users[user] = Credential(user, secrets.token_urlsafe(_PASSWORD_BYTES))
        return True

    def _load(self) -> tuple[Credential, ...]:
        path = self._folder / "credentials.json"
        try:
            return codec.loads(_Saved, path.read_bytes(), strict=True).users
        except FileNotFoundError:
            return ()
        except (DecodeError, OSError) as error:
            raise ConfigError(
                f"cannot read the broker's users: {error}",
                place=str(path),
                hint="restore the file, or delete it to make new passwords for every device",
            ) from error

    def _write(self) -> None:
        users = tuple(self._users.values())
        write_private(self._folder / "credentials.json", codec.dumps(_Saved(users), indent=2))
        lines = [password_line(user, secrets.token_bytes(_SALT_BYTES)) for user in users]
        write_private(self.password_file, "\n".join(lines) + "\n")
        write_private(self.acl_file, mosquitto_acl())
