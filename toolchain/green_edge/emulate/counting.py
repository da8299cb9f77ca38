"""Instructions per inference of models in a setting, each counted once and remembered."""

import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from green_edge.emulate import machine
from green_edge.emulate.assembly import Assembly, assemble, require_host
from green_edge.emulate.cache import write_whole, writing
from green_edge.emulate.machine import Failed, Ran
from green_edge.emulate.setting import Count, Progress, Refusal, Setting
from green_edge_wire import codec
from green_edge_wire.errors import DecodeError

_FOLDER = "emulation"
_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class _Known:
    """What the cache remembers of a model."""

    instructions: int


def count(
    models: Sequence[bytes],
    setting: Setting,
    *,
    cache: Path,
    progress: Progress,
    timeout_s: float = _TIMEOUT_S,
) -> tuple[Count | Refusal, ...]:
    """Count the instructions of one inference of each model.

    Args:
        models: the bytes of .tflite files; those not known yet share one guest process.
        setting: runtime and core.
        cache: folder of `cache_folder`; filled at first use from the network.
        progress: told what is being done.
        timeout_s: for one model; one that takes longer is refused.

    Returns:
        A count, or the runtime's refusal, of each model, in order.

    Raises:
        EmulationError: nothing can be counted here, and why.
    """
    require_host(platform.system(), platform.machine())
    folder = cache.absolute() / _FOLDER
    with writing(folder):
        assembly = assemble(setting, folder, progress)
        book = _Book(folder / "counts" / assembly.digest, setting)
        digests = [sha256(model).hexdigest() for model in models]
        found: dict[str, Count | Refusal | None] = {
            digest: book.look_up(digest) for digest in digests
        }
        fresh = {
            digest: model
            for digest, model in zip(digests, models, strict=True)
            if found[digest] is None
        }
        results = _run(fresh, assembly, setting, progress, timeout_s)
        for digest, result in zip(fresh, results, strict=True):
            found[digest] = book.note(digest, result)
    return tuple(known for digest in digests if (known := found[digest]) is not None)


def _run(
    models: Mapping[str, bytes],
    assembly: Assembly,
    setting: Setting,
    progress: Progress,
    timeout_s: float,
) -> Iterator[Ran | Failed]:
    """Run models, by digest, from files that are there as long as it takes."""
    with tempfile.TemporaryDirectory(prefix="green-edge-") as folder:
        files = [Path(folder) / f"{digest}.tflite" for digest in models]
        for file, content in zip(files, models.values(), strict=True):
            file.write_bytes(content)
        results = machine.run(assembly.machine, setting.runtime, files, timeout_s=timeout_s)
        for k in range(len(files)):
            progress(
                f"counting instructions: {setting}, model {k + 1} of {len(files)}", k / len(files)
            )
            yield next(results)


class _Book:
    """Counts of one assembly that the cache remembers, a small file each."""

    def __init__(self, folder: Path, setting: Setting) -> None:
        self._folder = folder
        self._setting = setting

    def look_up(self, digest: str) -> Count | Refusal | None:
        """What is known of a model."""
        try:
            known = codec.loads(_Known, self._file(digest).read_bytes(), strict=True)
        except (FileNotFoundError, DecodeError):
            return None
        return self._count(digest, known.instructions, cached=True)

    def note(self, digest: str, result: Ran | Failed) -> Count | Refusal:
        """Remember a count; a refusal is asked for again, as its reason may pass."""
        if isinstance(result, Failed):
            return Refusal(digest, self._setting, result.message)
        write_whole(self._file(digest), codec.dumps(_Known(result.instructions)).encode())
        return self._count(digest, result.instructions, cached=False)

    def _count(self, digest: str, instructions: int, *, cached: bool) -> Count:
        return Count(digest, self._setting, instructions, cached, self._folder.name)

    def _file(self, digest: str) -> Path:
        return self._folder / f"{digest}.json"
