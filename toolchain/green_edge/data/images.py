"""Data sets in folders of image files: one sub-folder a class, or none for images without labels.

Pixels run through the pipeline's pre-processing by the code that the device runs.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from green_edge.data.raw import Raw
from green_edge_agent.runtime.processing import apply_pre
from green_edge_wire.errors import ConfigError
from green_edge_wire.manifest import Pipeline, TensorSpec

logger = logging.getLogger(__name__)

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".pgm", ".ppm", ".tif", ".tiff"}
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def read_images(
    folder: Path, specs: Sequence[TensorSpec], pipeline: Pipeline, labels: tuple[str, ...]
) -> Raw:
    """Read a folder of images, in the order of class names and file names.

    Without `labels`, folder names that are all numbers are class indices, other names are numbered
    in their alphabetical order.

    Raises:
        ConfigError: no images, one that cannot be read, or of another size than the model takes.
    """
    if len(specs) != 1:
        hint = "give a .npz with one array an input"
        message = f"a folder of images serves one input, not {len(specs)}"
        raise ConfigError(message, place=str(folder), hint=hint)
    classes = [p for p in _entries(folder) if p.is_dir()]
    groups = [(c.name, _files(c)) for c in classes] if classes else [("", _files(folder))]
    files = [file for _, group in groups for file in group]
    if not files:
        hint = "put image files into it, one sub-folder a class"
        raise ConfigError("no images in this folder", place=str(folder), hint=hint)
    x = np.stack([_pixels(file, specs[0], pipeline) for file in files])
    if not classes:
        return Raw(inputs={"x": x})
    names = [name for name, group in groups for _ in group]
    if labels:
        return Raw(inputs={"x": x}, y=np.array(names), labels=labels)
    if all(c.name.isdecimal() for c in classes):
        return Raw(inputs={"x": x}, y=np.array([int(name) for name in names]))
    order = tuple(c.name for c in classes)
    return Raw(inputs={"x": x}, y=np.array([order.index(name) for name in names]), labels=order)


def _files(folder: Path) -> list[Path]:
    files = [p for p in _entries(folder) if p.is_file()]
    for other in (p for p in files if p.suffix.lower() not in _SUFFIXES):
        logger.warning("not an image, left out file=%s", other)
    return [p for p in files if p.suffix.lower() in _SUFFIXES]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        raise ConfigError(f"cannot read it: {error.strerror}", place=str(folder)) from None


def _pixels(file: Path, spec: TensorSpec, pipeline: Pipeline) -> NDArray[np.float32]:
    shape = spec.shape[1:]
    mode = _MODES.get(shape[2] if len(shape) == 3 else 1)
    if len(shape) not in {2, 3} or mode is None:
        raise ConfigError(f"input {spec.name!r} of shape {spec.shape} is no image", place=str(file))
    try:
        with Image.open(file) as image:
            raw = np.asarray(image.convert(mode))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ConfigError(f"cannot read the image: {error}", place=str(file)) from None
    pixels = np.asarray(apply_pre(pipeline.pre, raw), dtype=np.float32)
    if pixels.shape[:2] != shape[:2]:
        message = f"image of {pixels.shape[1]} x {pixels.shape[0]} pixels, "
        message += f"the model takes {shape[1]} x {shape[0]}"
        hint = "add a resize step to the pipeline, which the device then does too"
        raise ConfigError(message, place=str(file), hint=hint)
    return pixels.reshape(shape)
