"""Data sets from the user's own function, named `module:function`.

The function takes no argument and returns `x`, `(x, y)`, a dict of arrays, or a tf.data set of
such elements. The module is looked for in the working directory as well.
"""

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from green_edge.data.raw import Raw
from green_edge_wire.errors import ConfigError, GreenEdgeError
from green_edge_wire.manifest import TensorSpec


def read_hook(ref: str, specs: Sequence[TensorSpec]) -> Raw:
    """Call the function and take its arrays.

    Raises:
        ConfigError: no such module or function, it raised, or it returned something else.
    """
    try:
        result = _source(ref)()
        if hasattr(result, "as_numpy_iterator"):
            return _join(ref, result.as_numpy_iterator(), specs)
        return _raw(ref, result)
    except GreenEdgeError:
        raise
    except Exception as error:  # the user's own code may raise anything
        words = " ".join(str(error).split())
        message = f"it raised {type(error).__name__}: {words}"
        raise ConfigError(message, place=ref, hint=_where(error)) from error


def find_function(ref: str) -> Callable[..., Any]:
    """Function by `module:function`.

    Raises:
        ConfigError: no such module or function.
    """
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    module_name, _, function_name = ref.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        hint = "the module is looked for in the working directory and the environment"
        raise ConfigError(f"cannot import it: {error}", place=ref, hint=hint) from None
    function: Callable[..., Any] | None = getattr(module, function_name, None)
    if not callable(function):
        raise ConfigError(f"module {module_name} has no function {function_name!r}", place=ref)
    return function


def _source(ref: str) -> Callable[[], Any]:
    function = find_function(ref)
    if not _callable_as_is(function):
        hint = "it is called without any; give it defaults, or wrap it"
        raise ConfigError(f"{ref.partition(':')[2]} needs arguments", place=ref, hint=hint)
    return function


def _where(error: Exception) -> str:
    """Remedy with the line of the user's code that was running, where there is one."""
    ours = {__file__, importlib.__file__}
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename not in ours and not frame.filename.startswith("<frozen"):
            return f"mend it, or what it reads: line {frame.lineno} of {frame.filename}"
    return "mend the module"


def _callable_as_is(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind()
    except TypeError:
        return False
    except ValueError:
        # A function written in C may not tell; the call will.
        return True
    return True


def _raw(ref: str, value: Any) -> Raw:
    if isinstance(value, tuple) and len(value) == 2:
        return Raw(inputs=_inputs(ref, value[0]), y=np.asarray(value[1]))
    inputs = _inputs(ref, value)
    y = inputs.pop("y", None)
    return Raw(inputs=inputs, y=y)


def _inputs(ref: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {str(name): np.asarray(array) for name, array in value.items()}
    array = np.asarray(value)
    if array.dtype == object or array.ndim == 0:
        hint = "return x, (x, y), a dict of arrays by input name, or a tf.data set"
        raise ConfigError(f"it returned {type(value).__name__}", place=ref, hint=hint)
    return {"x": array}


def _join(ref: str, elements: Iterable[Any], specs: Sequence[TensorSpec]) -> Raw:
    """Put the elements of a tf.data set together, whether it is batched or not."""
    parts = [_raw(ref, element) for element in elements]
    if not parts:
        raise ConfigError("it is empty", place=ref)
    first = next(iter(parts[0].inputs.values()))
    batched = bool(specs) and first.ndim == len(specs[0].shape)
    put = np.concatenate if batched else np.stack
    labelled = [part.y for part in parts if part.y is not None]
    return Raw(
        inputs={name: put([part.inputs[name] for part in parts]) for name in parts[0].inputs},
        y=put(labelled) if labelled else None,
    )
