"""Packages that only some kinds of models need, and what to say where they are missing."""

import importlib.util
import platform
from collections.abc import Sequence

from green_edge.core.report import ModelFormat
from green_edge_wire.errors import ModelError

# By kind of model: the extra of green-edge, and the modules that it brings.
_EXTRAS: dict[ModelFormat, tuple[str, tuple[str, ...]]] = {
    "onnx": ("onnx", ("onnx", "onnx2tf", "onnxruntime", "onnxsim", "tf_keras")),
    "torch": ("torch", ("torch", "litert_torch")),
}


def check_installed(model_format: ModelFormat) -> None:
    """Refuse a kind of model whose packages are not installed; imports none of them.

    Raises:
        ModelError: naming the packages and the extra.
    """
    if model_format in _EXTRAS:
        check_modules(*_EXTRAS[model_format], platform.machine())


def check_modules(extra: str, modules: Sequence[str], machine: str) -> None:
    """Refuse where one of an extra's modules is missing.

    Args:
        extra: of green-edge.
        modules: that it brings.
        machine: as `platform.machine` calls it.

    Raises:
        ModelError: naming the packages and the extra.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        shown = ", ".join(name.replace("_", "-") for name in missing)
        verb = "is" if len(missing) == 1 else "are"
        raise ModelError(
            f"{shown} {verb} not installed, needed for this kind of model",
            hint=_remedy(extra, machine),
        )


def _remedy(extra: str, machine: str) -> str:
    """The command, and the way round it where the packages have no wheel."""
    command = f"install the extra: pip install 'green-edge[{extra}]'"
    # litert-converter, which litert-torch needs, is built for x86-64 Linux and Arm Macs alone.
    if extra == "torch" and machine not in {"x86_64", "arm64"}:
        return (
            f"{command}; litert-converter has no wheel for {machine}: convert on x86-64 Linux, "
            "where `green-edge build` writes the .tflite"
        )
    return command
