"""One interface over ai-edge-litert and tflite-runtime, whichever is installed.

Both are looked for when a model is first loaded, never at import: a device without a runtime can
still report, and say what it lacks.
"""

import functools
import importlib
import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from green_edge_agent.runtime.contract import Array, Processor, Timed, check_inputs
from green_edge_wire.clock import Clock
from green_edge_wire.errors import DecodeError, DeviceError, ModelError
from green_edge_wire.manifest import Dtype, TensorSpec

_FILE_IDENTIFIER = b"TFL3"  # bytes 4..8 of a .tflite, schema.fbs `file_identifier`
_REMEDY = "install one: pip install 'green-edge[device]'"


class Candidate(NamedTuple):
    """A runtime: its distribution, and the module that holds its `Interpreter`."""

    distribution: str
    module: str


# In order of preference: the first is maintained and faster, the second serves 32-bit boards.
_CANDIDATES = (
    Candidate("ai-edge-litert", "ai_edge_litert.interpreter"),
    Candidate("tflite-runtime", "tflite_runtime.interpreter"),
)


class Interpreter:
    """A loaded model. Not thread-safe: one thread invokes it at a time.

    Attributes:
        inputs: as the file declares them, in the model's order.
        outputs: likewise.
    """

    def __init__(self, native: Any) -> None:
        """Wrap a runtime's interpreter whose tensors are allocated; use `load`."""
        self._native = native
        ins, outs = native.get_input_details(), native.get_output_details()
        self.inputs = tuple(_spec(detail) for detail in ins)
        self.outputs = tuple(_spec(detail) for detail in outs)
        self._input_indices = tuple(int(detail["index"]) for detail in ins)
        self._output_indices = tuple(int(detail["index"]) for detail in outs)

    def invoke(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """Run the model once.

        Args:
            inputs: one array an input, of exactly its shape (batch 1 included) and dtype.

        Returns:
            Copies of the outputs in the model's dtypes and shapes.

        Raises:
            ModelError: an input does not fit, or the runtime failed.
        """
        check_inputs(self.inputs, inputs)
        try:
            for index, array in zip(self._input_indices, inputs, strict=True):
                self._native.set_tensor(index, array)
            # Recurrent layers keep a state, and inferences have nothing to do with one another.
            self._native.reset_all_variables()
            self._native.invoke()
            return tuple(self._native.get_tensor(index) for index in self._output_indices)
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"the runtime failed: {_one_line(error)}") from error

    @property
    def processor(self) -> Processor:
        """What `timed` runs on, as far as this process knows: its own processor."""
        return "cpu"

    def timed(self, inputs: Sequence[Array], clock: Clock) -> Timed:
        """Run the model once, as `invoke` does, and say how long that took."""
        start_ns = clock.monotonic_ns()
        outputs = self.invoke(inputs)
        return Timed(outputs, clock.monotonic_ns() - start_ns)

    def close(self) -> None:
        """Hold nothing that outlives the last reference."""


def runtime_name() -> str:
    """Name and version of the installed runtime, such as `ai-edge-litert 2.3.0`.

    Raises:
        ModelError: there is none, or it cannot work with the NumPy that is installed.
    """
    return _runtime()[0]


def load_delegate(library: str, options: Mapping[str, str]) -> Any:
    """Load an external delegate into this process, which it may end or halt.

    Args:
        library: file, or a name that the dynamic linker finds.
        options: those of the delegate.

    Raises:
        DeviceError: there is no such library, or it refuses.
        ModelError: no runtime is installed.
    """
    _, make = _runtime()
    try:
        return importlib.import_module(make.__module__).load_delegate(library, dict(options))
    except (OSError, ValueError, AttributeError) as error:
        raise DeviceError(f"the delegate does not load: {_one_line(error)}") from error


def load(model: bytes, *, threads: int = 1, delegates: Sequence[Any] = ()) -> Interpreter:
    """Load a `.tflite` file.

    ai-edge-litert checks the file's structure; tflite-runtime does not, and a malformed file can
    end the process there. So a device loads only what was signed and expects the worst of it.

    Args:
        model: content of the file.
        threads: for the kernels that can use several, at least 1.
        delegates: from `load_delegate`; they must outlive the interpreter.

    Raises:
        ModelError: no runtime, not a model, an op or version that the runtime lacks, or a shape
            that is not fixed.
    """
    if model[4:8] != _FILE_IDENTIFIER:
        raise ModelError("not a .tflite file", hint="it would hold 'TFL3' at byte 4")
    name, make = _runtime()
    try:
        native = make(
            model_content=model, num_threads=threads, experimental_delegates=list(delegates) or None
        )
        native.allocate_tensors()
    except (RuntimeError, ValueError, SystemError) as error:
        raise ModelError(f"{name} cannot load the model: {_one_line(error)}") from error
    return Interpreter(native)


def unusable_numpy(distribution: str, numpy_version: str) -> str | None:
    """Why a runtime cannot work with a NumPy, or None.

    The last tflite-runtime (2.14) was compiled against NumPy 1 and imports beside NumPy 2, but
    breaks at the first interpreter with a message that names neither.
    """
    major = int(numpy_version.partition(".")[0])
    if distribution == "tflite-runtime" and major >= 2:
        return f"tflite-runtime does not work with NumPy {numpy_version}"
    return None


@functools.cache
def _runtime() -> tuple[str, Any]:
    return first_working(_CANDIDATES)


def first_working(candidates: Sequence[Candidate]) -> tuple[str, Any]:
    """Name and version, and interpreter class, of the first candidate that imports.

    Raises:
        ModelError: none does, or one needs another NumPy.
    """
    failures: list[str] = []
    for candidate in candidates:
        try:
            version = importlib.metadata.version(candidate.distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
        clash = unusable_numpy(candidate.distribution, np.__version__)
        if clash is not None:
            raise ModelError(clash, hint="run: pip install 'numpy<2'")
        try:
            module = importlib.import_module(candidate.module)
        except (ImportError, OSError) as error:
            # A wheel for a newer C library installs and fails here: try the next.
            failures.append(f"{candidate.distribution} {version}: {_one_line(error)}")
            continue
        return f"{candidate.distribution} {version}", module.Interpreter
    if failures:
        raise ModelError(f"no runtime works here: {', '.join(failures)}", hint=_REMEDY)
    raise ModelError("no inference runtime is installed", hint=_REMEDY)


def _spec(detail: Mapping[str, Any]) -> TensorSpec:
    name = str(detail["name"])
    if any(int(size) < 0 for size in detail["shape_signature"][1:]):
        raise ModelError(
            f"tensor {name!r} has a dynamic shape", hint="convert the model with fixed shapes"
        )
    scale, zero_point = detail["quantization"]
    quantized = float(scale) > 0
    try:
        return TensorSpec(
            name=name,
            shape=tuple(int(size) for size in detail["shape"]),
            dtype=cast("Dtype", np.dtype(detail["dtype"]).name),
            scale=float(scale) if quantized else None,
            zero_point=int(zero_point) if quantized else None,
        )
    except DecodeError as error:
        raise ModelError(error.message, hint="convert the model with fixed shapes") from None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
