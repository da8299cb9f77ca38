"""Instructions per inference of models in a setting, each counted once and remembered."""

import contextlib
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from green_edge.emulate import machine, wheels
from green_edge.emulate.assembly import assemble, require_host, sources_of
from green_edge.emulate.board import core_of
from green_edge.emulate.book import Book
from green_edge.emulate.cache import writing
from green_edge.emulate.machine import TEMPORARY, Failed, Machine, Ran, Refused
from green_edge.emulate.setting import Progress, Refusal, Result, Setting, Uncounted

_FOLDER = "emulation"
_TIMEOUT_S = 600.0


def count(
    models: Sequence[bytes],
    setting: Setting,
    *,
    cache: Path,
    progress: Progress,
    timeout_s: float = _TIMEOUT_S,
) -> tuple[Result, ...]:
    """Count the instructions of one inference of each model.

    Args:
        models: the bytes of .tflite files; those not known yet share one guest process.
        setting: runtime and core.
        cache: folder of `cache_folder`; filled at first use from the network.
        progress: told what is being done.
        timeout_s: for one model; one that takes longer is not counted.

    Returns:
        A count, the runtime's refusal, or why it was not counted, of each model, in order.

    Raises:
        EmulationError: nothing can be counted here, and why.
    """
    require_host(platform.system(), platform.machine())
    core = core_of(setting)
    folder = cache.absolute() / _FOLDER
    with writing(folder):
        assembly = assemble(core, sources_of(setting, folder), folder, progress)
    book = Book(folder / "counts" / assembly.digest, setting, progress)
    digests = [sha256(model).hexdigest() for model in models]
    found: dict[str, Result] = {
        digest: known for digest in digests if (known := book.look_up(digest)) is not None
    }
    fresh = {
        digest: model for digest, model in zip(digests, models, strict=True) if digest not in found
    }
    results = _run(fresh, assembly.machine, setting, progress, timeout_s)
    for digest, result in zip(fresh, results, strict=True):
        found[digest] = _told(result, digest, setting, book)
    return tuple(found[digest] for digest in digests)


def _told(result: Ran | Refused | Failed, digest: str, setting: Setting, book: Book) -> Result:
    """What came of a model; what is no count is tried again the next time."""
    match result:
        case Ran(instructions=instructions):
            return book.note(digest, instructions)
        case Refused(message=message):
            return Refusal(digest, setting, message)
        case Failed(message=message):
            return Uncounted(digest, setting, message)


def require_known(setting: Setting) -> None:
    """Check that there are an emulated core and a runtime for a setting.

    Raises:
        EmulationError: there are not.
    """
    core_of(setting)
    wheels.site_of(setting)


def _run(
    models: Mapping[str, bytes],
    ready: Machine,
    setting: Setting,
    progress: Progress,
    timeout_s: float,
) -> Iterator[Ran | Refused | Failed]:
    """Run models, by digest, from files that are there as long as it takes."""
    with contextlib.ExitStack() as stack:
        with writing(Path("temporary files"), TEMPORARY):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="green-edge-"))
            files = [Path(folder) / f"{digest}.tflite" for digest in models]
            for file, content in zip(files, models.values(), strict=True):
                file.write_bytes(content)
        results = machine.run(ready, setting.runtime, files, timeout_s=timeout_s)
        for k in range(len(files)):
            progress(
                f"counting instructions: {setting}, model {k + 1} of {len(files)}", k / len(files)
            )
            yield next(results)
