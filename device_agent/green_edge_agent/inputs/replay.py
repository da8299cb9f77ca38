"""Files replayed at a rate: the arrays of a `.npz`, or the images of a folder."""

import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from green_edge_agent.inputs.contract import Array, Request
from green_edge_wire.clock import Clock
from green_edge_wire.errors import ConfigError, ModelError
from green_edge_wire.manifest import TensorSpec
from green_edge_wire.units import NS_PER_S, ns_from_s, s_from_ns

_PLACE = "input.path"
_LABELS = "y"
_ONLY_INPUT = "x"
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".pgm", ".ppm"})
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}

Item = Callable[[Sequence[TensorSpec]], Sequence[Array]]


class Replay:
    """Items of a file, one after the other, at a rate.

    When the loop falls behind the rate, the missed moments are left out instead of caught up with,
    so that a slow model is not followed by a burst.

    Args:
        items: at least one.
        prepared: see `Request`.
        rate_hz: inferences a second; 0 is as fast as they are taken.
        repeat: begin again at the end.
        clock: its monotonic side.
        wait: sleeps so many seconds, or less.
    """

    def __init__(
        self,
        items: Sequence[Item],
        *,
        prepared: bool,
        rate_hz: float,
        repeat: bool,
        clock: Clock,
        wait: Callable[[float], object],
    ) -> None:
        self._items = items
        self._prepared = prepared
        self._period_ns = round(NS_PER_S / rate_hz) if rate_hz else 0
        self._repeat = repeat
        self._clock = clock
        self._wait = wait
        self._next = 0
        self._due_ns: int | None = None

    @property
    def answers(self) -> bool:
        """Nobody waits for the answers of a replay."""
        return False

    @property
    def ended(self) -> bool:
        """Whether all items were taken and none is repeated."""
        return not self._repeat and self._next >= len(self._items)

    def take(self, timeout_s: float) -> Request | None:
        """Next item once it is due."""
        if self.ended:
            self._wait(timeout_s)
            return None
        now_ns = self._clock.monotonic_ns()
        due_ns = now_ns if self._due_ns is None else self._due_ns
        if due_ns > now_ns:
            left_ns = due_ns - now_ns
            self._wait(s_from_ns(min(left_ns, ns_from_s(timeout_s))))
            if self._clock.monotonic_ns() < due_ns:
                return None
        behind = now_ns - due_ns > self._period_ns
        self._due_ns = (now_ns if behind else due_ns) + self._period_ns
        index = self._next % len(self._items)
        self._next += 1
        return Request(id=str(self._next), raws=self._items[index], prepared=self._prepared)

    def close(self) -> None:
        """Nothing is held open."""


def npz_items(path: Path) -> list[Item]:
    """Samples of a `.npz`: `x`, or one array for each input by its name, all of one length.

    Raises:
        ConfigError: not such a file, or one without samples.
    """
    try:
        # Opened here: of a broken zip numpy would leave it open.
        with path.open("rb") as stream:
            arrays = _arrays(np.load(stream, allow_pickle=False))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"cannot read {path}: {reason}",
            place=_PLACE,
            hint="write it with numpy.savez(file, x=...)",
        ) from None
    lengths = {len(array) if array.ndim else 0 for array in arrays.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise ConfigError(
            f"{path} must hold 'x', or one array an input, all of the same length above 0",
            place=_PLACE,
            hint="write it with numpy.savez(file, x=...)",
        )
    return [partial(_sample, arrays, index) for index in range(lengths.pop())]


def image_items(folder: Path) -> list[Item]:
    """Images of a folder and its sub-folders, by path; each is read when its turn comes.

    Raises:
        ConfigError: there are none.
    """
    try:
        found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    except OSError as error:
        raise ConfigError(f"cannot read {folder}: {error.strerror}", place=_PLACE) from None
    if not found:
        raise ConfigError(f"no images in {folder}", place=_PLACE, hint="put image files into it")
    return [partial(_image, path) for path in found]


def _arrays(content: Any) -> dict[str, Array]:
    if not isinstance(content, np.lib.npyio.NpzFile):
        raise ValueError("a single .npy array")  # noqa: TRY004 - told as any broken file
    with content:
        return {name: content[name] for name in content.files if name != _LABELS}


def _sample(
    arrays: Mapping[str, Array], index: int, specs: Sequence[TensorSpec]
) -> tuple[Array, ...]:
    if len(specs) == 1 and len(arrays) == 1:
        return (next(iter(arrays.values()))[index],)
    by_name = {_plain(name): array for name, array in arrays.items()}
    missing = [spec.name for spec in specs if _plain(spec.name) not in by_name]
    if missing:
        raise ModelError(f"the data file has no array for input {missing[0]!r}")
    return tuple(by_name[_plain(spec.name)][index] for spec in specs)


def _plain(name: str) -> str:
    """Name of an input without what converters add: `serving_default_left:0` -> `left`."""
    return name.removeprefix("serving_default_").partition(":")[0]


def _image(path: Path, specs: Sequence[TensorSpec]) -> tuple[Array, ...]:
    shape = specs[0].sample_shape
    mode = _MODES.get(shape[2] if len(shape) == 3 else 1)
    if len(specs) != 1 or len(shape) not in (2, 3) or mode is None:
        raise ModelError(f"the model does not take images, but {shape}")
    try:
        with Image.open(path) as image:
            return (np.asarray(image.convert(mode)),)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ModelError(f"cannot read image {path.name}: {error}") from error
