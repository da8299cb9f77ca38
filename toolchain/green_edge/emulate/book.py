"""Counts that the cache remembers, a small file each."""

from dataclasses import dataclass
from pathlib import Path

from green_edge.emulate.cache import write_whole
from green_edge.emulate.setting import Count, Progress, Setting
from green_edge_wire import codec
from green_edge_wire.errors import DecodeError


@dataclass(frozen=True, slots=True)
class _Known:
    """What is remembered of a model."""

    instructions: int


class Book:
    """Counts of one setting on one machine.

    Args:
        folder: of the machine's counts, named by the digest of all that they depend on.
        setting: where the models ran.
        progress: told where a count is not remembered.
    """

    def __init__(self, folder: Path, setting: Setting, progress: Progress) -> None:
        self._folder = folder
        self._setting = setting
        self._progress = progress
        self._kept = True

    def look_up(self, digest: str) -> Count | None:
        """What is known of a model; a damaged file is none."""
        try:
            known = codec.loads(_Known, self._file(digest).read_bytes(), strict=True)
        except (OSError, DecodeError):
            return None
        if known.instructions <= 0:
            return None
        return self._count(digest, known.instructions, cached=True)

    def note(self, digest: str, instructions: int) -> Count:
        """Remember a count; where the cache cannot be written, that is said once."""
        known = codec.dumps(_Known(instructions)).encode()
        try:
            write_whole(self._file(digest), known)
        except OSError as error:
            if self._kept:
                self._progress(f"counts are not remembered: {error}")
            self._kept = False
        return self._count(digest, instructions, cached=False)

    def _count(self, digest: str, instructions: int, *, cached: bool) -> Count:
        return Count(digest, self._setting, instructions, cached, self._folder.name)

    def _file(self, digest: str) -> Path:
        return self._folder / f"{digest}.json"
