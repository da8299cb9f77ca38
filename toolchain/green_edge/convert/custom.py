"""The user's own Keras layers: modules that register them, run by a child before it loads a model.

A class is registered by `@keras.saving.register_keras_serializable()`. A module runs as it is
imported, which is why a user has to name it: a model file alone never runs code.
"""

import functools
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from green_edge_wire.errors import ModelError


def register(modules: Sequence[str]) -> None:
    """Import modules that register Keras objects, each once.

    Args:
        modules: names as `import` takes them, looked for in the working directory as well, or
            paths of `.py` files.

    Raises:
        ModelError: there is no such module, or it raised an error.
    """
    for module in modules:
        _run(module)


@functools.cache
def _run(module: str) -> None:
    try:
        if module.endswith(".py"):
            _run_file(Path(module))
        else:
            sys.path.insert(0, str(Path.cwd()))
            importlib.import_module(module)
    except (OSError, ImportError) as error:
        hint = "give an importable module or a .py file"
        raise ModelError(f"--custom {module}: cannot be imported: {error}", hint=hint) from error
    except (AttributeError, NameError, SyntaxError, TypeError, ValueError) as error:
        message = f"--custom {module}: it raised {type(error).__name__}: {error}"
        raise ModelError(message, hint="mend the module") from error


def _run_file(path: Path) -> None:
    # Keras remembers a class by the name of its module, which has to be found again.
    if path.stem in sys.modules:
        raise ImportError(f"there is a module {path.stem!r} already: give the file another name")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no module")
    made = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = made
    try:
        spec.loader.exec_module(made)
    except BaseException:
        del sys.modules[path.stem]
        raise
