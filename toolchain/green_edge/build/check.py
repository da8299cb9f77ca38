"""Checks a model file against a target."""

from pathlib import Path

from green_edge.build.model_file import model_bytes
from green_edge.targets.check import CheckReport, check
from green_edge.targets.edgetpu.compiled import read_compiled
from green_edge.targets.registry import find
from green_edge.tflite.read import read
from green_edge_wire.errors import ModelError


def check_file(path: Path, target: str) -> CheckReport:
    """Check a `.tflite`, or the one in a bundle, against a target as a user names it.

    Raises:
        ConfigError: no such target.
        ModelError: the file is no model, or broken.
        IntegrityError: a bundle with wrong bytes.
    """
    place = find(target)
    data = model_bytes(path)
    try:
        model, compiled = read(data, static=False, zipped=False), read_compiled(data)
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", hint=error.hint) from None
    return check(model, place, compiled=compiled)
