"""The two slots on disk.

```
<state_dir>/install.json               the state: which slot runs, and all else (see `state`)
<state_dir>/slots/{a,b}/<sha256>.gedge the bundles
<state_dir>/staging/<sha256>.part      what is being fetched
```

A bundle enters its slot under its own digest, so it never overwrites the slot's old content; the
swap is the replacement of `install.json` by rename. Whatever the moment of a power cut, the state
names complete files. Files that no slot names are removed at the start.
"""

import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from green_edge_agent.install.state import (
    SLOT_NAMES,
    Artefact,
    InstallState,
    SlotName,
    with_active,
)
from green_edge_wire import codec
from green_edge_wire.archive import Bundle, Verify, open_bundle
from green_edge_wire.errors import ConfigError, DecodeError, DeviceError, IntegrityError

logger = logging.getLogger(__name__)


class Slots:
    """Owner of the state file and of the folders beside it; safe to use from several threads.

    Args:
        folder: the agent's state folder; must exist.

    Raises:
        ConfigError: the folder cannot be written or the state file is not ours.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "install.json"
        self._lock = threading.RLock()
        self._state = read_state(folder)
        try:
            for path in (self.staging, *(self._slot_folder(name) for name in SLOT_NAMES)):
                path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"cannot write in {folder}: {error.strerror}",
                place="state_dir",
                hint="check that the agent's user may write there",
            ) from None
        self._sweep()

    @property
    def state(self) -> InstallState:
        """The state as it is on disk."""
        with self._lock:
            return self._state

    @property
    def staging(self) -> Path:
        """Folder of half-fetched bundles."""
        return self._folder / "staging"

    def part(self, sha256: str) -> Path:
        """File that an artefact is fetched into."""
        return self.staging / f"{sha256}.part"

    def staged_bytes(self, sha256: str) -> int:
        """How much of an artefact is there already."""
        try:
            return self.part(sha256).stat().st_size
        except OSError:
            return 0

    def clear_staging(self, keep: str) -> None:
        """Remove what was fetched of other artefacts than the one of digest `keep`."""
        for path in self.staging.iterdir():
            if path != self.part(keep):
                with contextlib.suppress(OSError):
                    path.unlink()

    def free_bytes(self) -> int:
        """Free space on the slots' disk."""
        return shutil.disk_usage(self.staging).free

    def change(self, change: Callable[[InstallState], InstallState]) -> InstallState:
        """Apply a pure change and keep it durably before returning.

        Raises:
            DeviceError: the disk refused; the state is as before.
        """
        with self._lock:
            changed = change(self._state)
            if changed != self._state:
                try:
                    _replace_durably(self._file, codec.dumps(changed, indent=2).encode())
                except OSError as error:
                    raise DeviceError(
                        f"cannot write {self._file}: {error.strerror}",
                        hint="check the disk's free space",
                    ) from error
                self._state = changed
            return changed

    def install(self, part: Path, artefact: Artefact) -> None:
        """Move a verified and tested bundle into the inactive slot and make that slot active.

        Raises:
            DeviceError: the disk refused; the slot that was active still is.
        """
        with self._lock:
            name = self._state.inactive
            target = self._slot_file(name, artefact.sha256)
            try:
                _fsync(part)
                part.replace(target)
                _fsync(target.parent)
            except OSError as error:
                raise DeviceError(f"cannot write {target}: {error.strerror}") from error
            self.change(lambda state: with_active(state, name, artefact))
            self._sweep()

    def open(self, name: SlotName, verify: Verify) -> Bundle:
        """Verify a slot's bundle anew and open it.

        Raises:
            IntegrityError: the file is not what the state says, or not from a trusted key.
            DeviceError: the slot is empty or its file cannot be read.
        """
        slot = self.state.slot(name)
        if slot is None:
            raise DeviceError(f"slot {name} is empty")
        try:
            content = self._slot_file(name, slot.artefact.sha256).read_bytes()
        except OSError as error:
            raise DeviceError(f"slot {name} cannot be read: {error.strerror}") from error
        bundle = open_bundle(content, verify)
        if bundle.sha256 != slot.artefact.sha256:
            raise IntegrityError("not the file that was installed", member="archive")
        return bundle

    def _slot_folder(self, name: SlotName) -> Path:
        return self._folder / "slots" / name

    def _slot_file(self, name: SlotName, sha256: str) -> Path:
        return self._slot_folder(name) / f"{sha256}.gedge"

    def _sweep(self) -> None:
        """Remove files that no slot names."""
        for name in SLOT_NAMES:
            slot = self._state.slot(name)
            wanted = None if slot is None else self._slot_file(name, slot.artefact.sha256)
            for path in self._slot_folder(name).iterdir():
                if path != wanted:
                    with contextlib.suppress(OSError):
                        path.unlink()
                        logger.info("slot=%s removed=%s", name, path.name)


def active_file(folder: Path) -> Path | None:
    """Bundle of a device's active slot; None where it has none.

    Raises:
        ConfigError: the state file cannot be read.
    """
    state = read_state(folder)
    slot = None if state.active is None else state.slot(state.active)
    if state.active is None or slot is None:
        return None
    return folder / "slots" / state.active / f"{slot.artefact.sha256}.gedge"


def read_state(folder: Path) -> InstallState:
    """Read the state of a device's folder; a fresh one where there is none.

    Raises:
        ConfigError: there is one that cannot be read.
    """
    path = folder / "install.json"
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return InstallState()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", place="state_dir") from None
    try:
        return codec.loads(InstallState, text, strict=False)
    except DecodeError as error:
        raise ConfigError(
            f"{path} is damaged: {error.message}",
            place="state_dir",
            hint="move it away; the device then starts without a model and takes the next push",
        ) from None


def _replace_durably(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    _fsync(path.parent)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
