"""What a Keras file says of its layers, read without Keras: the configuration and the weights.

A `.keras` file is a zip of `config.json`, `metadata.json` and `model.weights.h5`, whose groups are
called by the layers' classes in snake case, numbered in their order. An `.h5` file carries the
configuration in an attribute and the weights by the layers' names.
"""

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]

from green_edge_wire.errors import ModelError

_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z0-9])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class KerasLayer:
    """A layer as the file describes it.

    Attributes:
        layer: its class.
        params: numbers in its variables, moving statistics of normalisation included.
    """

    name: str
    layer: str
    params: int


@dataclass(frozen=True, slots=True)
class KerasFile:
    """A Keras file.

    Attributes:
        layers: of the outermost model; none for a subclassed one, whose layers are its code.
        params: of all layers.
    """

    keras_version: str
    model: str
    layers: tuple[KerasLayer, ...]
    params: int


def read_keras(path: Path) -> KerasFile:
    """Read a `.keras` or `.h5` file.

    Raises:
        ModelError: it is damaged, or holds weights without a configuration.
    """
    try:
        return _read_zip(path) if zipfile.is_zipfile(path) else _read_h5(path)
    except (OSError, KeyError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        hint = "save the whole model with model.save(); weights alone are no model"
        raise ModelError(f"{path}: broken Keras file: {error}", hint=hint) from None


def _read_zip(path: Path) -> KerasFile:
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
        version = json.loads(archive.read("metadata.json")).get("keras_version", "")
        weights = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(weights, "r") as file:
        groups = file.get("layers", {})
        return _file(config, version, dict(_by_class(config, groups)))


def _read_h5(path: Path) -> KerasFile:
    with h5py.File(path, "r") as file:
        config = json.loads(file.attrs["model_config"])
        groups = file["model_weights"]
        version = file.attrs.get("keras_version", "")
        sizes = {name: _numbers(groups[name]) for name in groups}
        return _file(config, version if isinstance(version, str) else version.decode(), sizes)


def _file(config: Mapping[str, Any], version: str, sizes: Mapping[str, int]) -> KerasFile:
    layers = tuple(
        KerasLayer(name, str(entry["class_name"]), sizes.get(name, 0))
        for name, entry in _entries(config)
    )
    return KerasFile(version, str(config["class_name"]), layers, sum(sizes.values()))


def _entries(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for entry in config.get("config", {}).get("layers", []):
        yield str(entry["config"].get("name", "")), entry


def _by_class(config: Mapping[str, Any], groups: Any) -> Iterator[tuple[str, int]]:
    """Numbers a layer, where the groups go by class: `conv2d`, `conv2d_1`, ..."""
    seen: Counter[str] = Counter()
    for name, entry in _entries(config):
        short = _CAPITAL.sub("_", str(entry["class_name"])).lower()
        key = f"{short}_{seen[short]}" if seen[short] else short
        seen[short] += 1
        yield name, _numbers(groups[key]) if key in groups else 0


def _numbers(group: Any) -> int:
    """How many floating-point numbers a group holds; seeds of random layers are integers."""
    total = 0

    def add(_: str, item: Any) -> None:
        nonlocal total
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
            total += item.size

    group.visititems(add)
    return total
