"""Keras files as models of batch 1; imported by the converter child only."""

import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import keras

from green_edge.convert import legacy_h5, recurrent
from green_edge_wire.errors import ModelError

# What Keras says where it does not find the class of a layer.
_CLASS = re.compile(r"Could not locate class '([^']+)'")
_UNKNOWN_CLASS = ("Could not locate", "Could not deserialize", "could not be deserialized")


def load_batch_1(path: Path) -> Any:
    """Load a Keras file and wrap it so that every input has a batch of 1.

    With an open batch the converter adds SHAPE, STRIDED_SLICE and PACK around every reshape, and
    recurrent layers do not convert at all.

    Raises:
        ModelError: the file is damaged, was saved by Keras 2, needs code that it does not carry,
            leaves more open than the batch, or holds recurrent layers of too many steps.
    """
    model = load(path)
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise ModelError(
            "the model does not say which inputs it takes",
            hint="export it as a SavedModel (model.export) and build that",
        )
    inputs = [_fixed_input(tensor) for tensor in model.inputs]
    forms = recurrent.prepare(model)
    wrapped = keras.Model(inputs, model(_as_taken(model, inputs)))
    forms.check(wrapped)
    return wrapped


def _as_taken(model: Any, inputs: list[Any]) -> Any:
    """Inputs in the form in which the model was built to take them: a tensor, a list or a dict."""
    taken = getattr(model, "input", None)
    if isinstance(taken, dict):
        return keras.tree.pack_sequence_as(taken, inputs)
    return inputs[0] if len(inputs) == 1 else inputs


def load(path: Path) -> Any:
    """Load a Keras file, its batch as it was saved.

    Raises:
        ModelError: it is damaged, was saved by Keras 2, or needs code that it does not carry.
    """
    keras.backend.clear_session()
    # Else the converter's export prints a page about the model, which hides what went wrong.
    keras.config.disable_interactive_logging()
    with warnings.catch_warnings():
        # Saved optimizers and compile arguments do not matter to an inference graph.
        warnings.simplefilter("ignore")
        try:
            with legacy_h5.readable(path) as file:
                return keras.models.load_model(file, compile=False)
        except (TypeError, ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
            raise _unreadable(error) from error


def _unreadable(error: Exception) -> ModelError:
    words = " ".join(str(error).split())
    unknown = _CLASS.search(words)
    if unknown is not None:
        words = f"it does not know the class {unknown.group(1)!r}"
    shown = words if len(words) <= 300 else f"{words[:297]}..."
    if unknown is not None or any(part in words for part in _UNKNOWN_CLASS):
        hint = (
            "name the module of its custom layers by --custom; without it, and for files of Keras "
            "2, give a SavedModel or a float .tflite"
        )
    elif "Lambda" in words or "safe_mode" in words:
        hint = "code inside of a file is not run; export a SavedModel or a float .tflite"
    else:
        hint = "open it with Keras 3 and save it again, or export a SavedModel"
    return ModelError(f"Keras {keras.__version__} cannot load it: {shown}", hint=hint)


def _fixed_input(tensor: Any) -> Any:
    batch, *sizes = tensor.shape
    check_static(tensor.name, sizes)
    if batch not in (None, 1):
        raise ModelError(
            f"input {tensor.name!r} has a fixed batch of {batch}",
            hint="a device infers one sample at a time: leave the batch open or make it 1",
        )
    return keras.Input(batch_shape=(1, *sizes), dtype=tensor.dtype, name=tensor.name)


def check_static(name: str, sizes: list[int | None]) -> None:
    """Refuse an input whose shape leaves more open than the batch.

    Raises:
        ModelError: naming the input and its shape.
    """
    if any(size is None for size in sizes):
        shown = ", ".join("any" if size is None else str(size) for size in sizes)
        raise ModelError(
            f"input {name!r} has the dynamic shape (batch, {shown})",
            hint="give every axis but the batch a size, e.g. keras.Input((96, 96, 3))",
        )
