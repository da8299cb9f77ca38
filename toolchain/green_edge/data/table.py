"""Data sets in `.csv` files: a header, one sample a row, features of the flattened input.

A column called `y` or `label` holds the class index, the class name, or the target.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from green_edge.data.dataset import Array
from green_edge.data.raw import Raw
from green_edge_wire.errors import ConfigError
from green_edge_wire.manifest import TensorSpec

_LABEL_COLUMNS = ("y", "label")


def read_csv(path: Path, specs: Sequence[TensorSpec]) -> Raw:
    """Read a table for a model with one input.

    Raises:
        ConfigError: it cannot be read, is ragged, or holds text among the features.
    """
    if len(specs) != 1:
        hint = "give a .npz with one array an input"
        raise ConfigError(f"a .csv serves one input, not {len(specs)}", place=str(path), hint=hint)
    header, rows = _rows(path)
    label = next((header.index(name) for name in _LABEL_COLUMNS if name in header), None)
    features = [i for i in range(len(header)) if i != label]
    shape = specs[0].shape[1:]
    wanted = int(np.prod(shape))
    if len(features) != wanted:
        message = f"{len(features)} feature columns, input {specs[0].name!r} takes {wanted}"
        hint = "a column 'y' or 'label' holds the class; every other one is a feature"
        raise ConfigError(message, place=str(path), hint=hint)
    x = np.array([[_number(path, i, row[k]) for k in features] for i, row in enumerate(rows, 2)])
    y = None if label is None else _label_values([row[label].strip() for row in rows])
    return Raw(inputs={"x": x.reshape(len(rows), *shape)}, y=y)


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = [row for row in csv.reader(stream) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot read it: {reason}", place=str(path)) from None
    if len(rows) < 2:
        raise ConfigError("it is empty", place=str(path), hint="a header and one row at least")
    header = [name.strip() for name in rows[0]]
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            message = f"row {number} has {len(row)} columns, the header {len(header)}"
            raise ConfigError(message, place=str(path))
    return header, rows[1:]


def _number(path: Path, row: int, cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise ConfigError(f"row {row}: {cell[:40]!r} is no number", place=str(path)) from None


def _label_values(cells: Sequence[str]) -> Array:
    for kind in (np.int64, np.float64):
        try:
            return np.array([kind(cell) for cell in cells])
        except ValueError:
            continue
    return np.array(cells)
