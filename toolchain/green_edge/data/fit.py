"""Checks raw arrays against a model's inputs and labels, and brings them to the right types."""

import difflib
from collections.abc import Sequence

import numpy as np

from green_edge.data.dataset import Array, Dataset
from green_edge.data.raw import Raw
from green_edge_wire.errors import ConfigError
from green_edge_wire.manifest import TensorSpec


def fit(raw: Raw, specs: Sequence[TensorSpec], *, labels: tuple[str, ...], place: str) -> Dataset:
    """Turn raw arrays into a data set for a model with the inputs `specs`.

    Axes of size 1 may be missing or added: (n, 28, 28) fits an input of (1, 28, 28, 1).

    Raises:
        ConfigError: a name, shape or type is wrong, it is empty, or it holds NaN or infinity.
    """
    named = _named(raw.inputs, specs, place)
    inputs = {spec.name: _input(named[spec.name], spec, place) for spec in specs}
    lengths = {name: len(array) for name, array in inputs.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name!r} {n}" for name, n in lengths.items())
        hint = "give each input as many samples as the others"
        raise ConfigError(f"inputs of different lengths: {shown}", place=place, hint=hint)
    known = labels or raw.labels
    n = next(iter(lengths.values()), 0)
    y = None if raw.y is None else _targets(raw.y, n, known, place)
    return Dataset(inputs=inputs, y=y, labels=known, origin=place)


def check_labels(dataset: Dataset, output: TensorSpec) -> None:
    """Refuse a set whose `y` cannot be compared with the model's first output.

    Raises:
        ConfigError: class indices beyond the output, or targets of another shape.
    """
    y = dataset.y
    if y is None:
        return
    place = dataset.origin or "data set"
    shape = output.shape[1:]
    classes = shape[-1] if shape else 1
    if np.issubdtype(y.dtype, np.integer) and y.shape[1:] == shape[:-1] and classes > 1:
        low, high = int(y.min()), int(y.max())
        if low < 0 or high >= classes:
            wrong = low if low < 0 else high
            message = f"class {wrong} in y, the model's output has {classes} classes (from 0)"
            hint = f"number the classes 0 to {classes - 1} in the order of the model's output"
            raise ConfigError(message, place=place, hint=hint)
    elif int(np.prod(y.shape[1:])) != int(np.prod(shape)):
        message = f"y of shape {y.shape} does not fit the output of shape {output.shape}"
        hint = "give a class index or a target array a sample"
        raise ConfigError(message, place=place, hint=hint)
    if len(dataset.labels) not in {0, classes} and np.issubdtype(y.dtype, np.integer):
        message = f"{len(dataset.labels)} labels, the model's output has {classes} classes"
        hint = "give a label for each class of the output, and no other"
        raise ConfigError(message, place=place, hint=hint)


def _named(inputs: dict[str, Array], specs: Sequence[TensorSpec], place: str) -> dict[str, Array]:
    wanted = [spec.name for spec in specs]
    if set(wanted) <= set(inputs):
        return inputs
    if len(wanted) == 1 and "x" in inputs:
        return {wanted[0]: inputs["x"]}
    missing = next(name for name in wanted if name not in inputs)
    # Converters wrap names: `serving_default_a:0` is the input that the user calls `a`.
    plain = {_plain(name): name for name in wanted}
    if len(plain) == len(wanted) and set(plain) <= set(inputs):
        return {name: inputs[short] for short, name in plain.items()}
    hint = f"it holds {', '.join(sorted(inputs)) or 'nothing'}"
    if len(wanted) == 1:
        hint += "; the array of a single input is called 'x'"
    raise ConfigError(f"no array for input {missing!r}", place=place, hint=hint)


def _plain(name: str) -> str:
    return name.removeprefix("serving_default_").partition(":")[0]


def _input(array: Array, spec: TensorSpec, place: str) -> Array:
    shape = spec.shape[1:]
    if array.ndim == 0 or len(array) == 0:
        raise ConfigError("it is empty", place=place, hint="give one sample at least")
    if array.dtype.kind not in "fiub":
        raise ConfigError(f"input {spec.name!r} holds {array.dtype}, no numbers", place=place)
    if _squeezed(array.shape[1:]) != _squeezed(shape):
        message = f"input {spec.name!r} has shape {_shown(array.shape[1:])} a sample, "
        message += f"the model takes {_shown(shape)}"
        hint = "prepare the samples as the float model takes them"
        raise ConfigError(message, place=place, hint=hint)
    _check_finite(array, f"input {spec.name!r}", place)
    shaped = array.reshape(len(array), *shape)
    if spec.dtype in {"int32", "int64", "bool"}:
        if (shaped.astype(np.float64) % 1).any():
            message = f"input {spec.name!r} takes whole numbers ({spec.dtype})"
            raise ConfigError(message, place=place)
        return shaped.astype(spec.dtype)
    return np.ascontiguousarray(shaped, dtype=np.float32)


def _targets(y: Array, n: int, labels: tuple[str, ...], place: str) -> Array:
    if y.ndim == 0 or len(y) != n:
        message = f"y has {len(y) if y.ndim else 1} entries for {n} samples"
        raise ConfigError(message, place=place, hint="give one a sample, in the same order")
    if y.dtype.kind in "US":
        return _indices_of_names(y, labels, place)
    if y.dtype.kind not in "fiub":
        raise ConfigError(f"y holds {y.dtype}, no class indices or targets", place=place)
    _check_finite(y, "y", place)
    if y.dtype.kind == "f":
        return y.astype(np.float32)
    return (y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y).astype(np.int64)


def _indices_of_names(y: Array, labels: tuple[str, ...], place: str) -> Array:
    names = [str(name) for name in y.ravel()]
    if not labels:
        hint = "give the labels file, or class indices"
        raise ConfigError("y holds class names, but the labels are unknown", place=place, hint=hint)
    index = {label: i for i, label in enumerate(labels)}
    for name in names:
        if name not in index:
            near = difflib.get_close_matches(name, labels, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"labels: {', '.join(labels)}"
            raise ConfigError(f"class {name!r} is not among the labels", place=place, hint=hint)
    return np.array([index[name] for name in names], dtype=np.int64)


def _check_finite(array: Array, what: str, place: str) -> None:
    if array.dtype.kind != "f":
        return
    bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
    if bad.any():
        first = int(np.argmax(bad))
        message = f"{what} holds NaN or infinity in {int(bad.sum())} samples, first in {first}"
        raise ConfigError(message, place=place, hint="remove these samples, or mend their values")


def _squeezed(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _shown(shape: Sequence[int]) -> str:
    return " x ".join(str(size) for size in shape) or "1"
