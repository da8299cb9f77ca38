"""Time of each step of an inference, from the profiler inside of ai-edge-litert.

Its Python package offers none, but its library exports the C functions of one. They are called here
with types written down by hand, which fit the versions in `KNOWN_VERSIONS` on 64-bit processors
alone: a wrong one ends the process. So this runs in a process of its own, see `trial_child`, and
gives nothing back before that ends.

The profiler counts in whole microseconds and cuts the rest off within XNNPACK, so a step reads up
to one microsecond short; the mean of many runs still tells steps apart whose times vary.
"""

import ctypes
import importlib.util
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from green_edge_agent.runtime.contract import Array
from green_edge_wire.bench import ProfileRow, ProfileRows
from green_edge_wire.errors import ModelError

KNOWN_VERSIONS = ("2.3.0",)
_DISTRIBUTION = "ai-edge-litert"
_POINTER_BYTES = 8
# Of the mean of whole microseconds: more would say nothing.
_DIGITS = 3

# litert/c/litert_common.h: LiteRtHwAccelerators.
_CPU = 1
# litert/c/litert_tensor_buffer_types.h: LiteRtTensorBufferLockMode.
_LOCK_WRITE = 1
# litert/c/litert_layout.h: LITERT_TENSOR_MAX_RANK.
_MAX_RANK = 8
# litert/runtime/litert_runtime_options.cc: the payload is a line of TOML.
_OPTIONS_ID = b"runtime_options_string"
_OPTIONS = b"enable_profiling = true\n"

# litert/c/litert_profiler_event.h: types of events.
_GENERAL = 1
_OPERATOR = 1 << 1
_DELEGATED = 1 << 3
_WHOLE = b"Invoke"

_Run = tuple[tuple[bytes, int | None, int], ...]


class _Memory(ctypes.Structure):
    _fields_ = (("footprint", ctypes.c_int64), ("heap", ctypes.c_size_t), ("used", ctypes.c_size_t))


class _RankedType(ctypes.Structure):
    """LiteRtRankedTensorType of litert/c/litert_model_types.h, with its layout."""

    _fields_ = (
        ("element_type", ctypes.c_int),
        ("rank", ctypes.c_uint, 7),
        ("has_strides", ctypes.c_uint, 1),
        ("sizes", ctypes.c_int32 * _MAX_RANK),
        ("strides", ctypes.c_uint32 * _MAX_RANK),
    )


class _Event(ctypes.Structure):
    """ProfiledEventData of litert/c/litert_profiler_event.h."""

    _fields_ = (
        ("tag", ctypes.c_char_p),
        ("kind", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("memory_before", _Memory),
        ("memory_after", _Memory),
        ("node", ctypes.c_uint64),
        ("graph", ctypes.c_uint64),
        ("source", ctypes.c_int),
    )


def why_not(runtime: str) -> str | None:
    """Why there is no profiler in a runtime, such as `ai-edge-litert 2.3.0`; None where it is."""
    distribution, _, version = runtime.partition(" ")
    known = " or ".join(KNOWN_VERSIONS)
    if distribution != _DISTRIBUTION or version not in KNOWN_VERSIONS:
        return f"times per operation need {_DISTRIBUTION} {known}; installed is {runtime}"
    if ctypes.sizeof(ctypes.c_void_p) != _POINTER_BYTES:
        return f"times per operation need a 64-bit system under {_DISTRIBUTION}"
    return None


def profile(model: bytes, inputs: Mapping[str, Array], *, runs: int, warm_up: int) -> ProfileRows:
    """Run a model under the profiler, on one thread.

    Args:
        model: content of a .tflite, which `interpreter.load` has taken.
        inputs: by the tensor's name.
        runs: that are timed.
        warm_up: runs before, whose times are thrown away.

    Raises:
        ModelError: the runtime refuses, or the model's steps cannot be told apart.
    """
    session = _Session(model, inputs)
    for _ in range(warm_up):
        session.run()
    timed = [session.run() for _ in range(runs)]
    names = {tuple((tag, node) for tag, node, _ in run) for run in timed}
    if len(names) > 1:
        raise ModelError("the model's steps differ from run to run: no times per operation")
    total_us, *each_us = (
        _middle([us for _, _, us in column]) for column in zip(*timed, strict=True)
    )
    steps = names.pop()[1:]
    rows = tuple(
        ProfileRow(tag.decode(errors="replace"), us, node)
        for (tag, node), us in zip(steps, each_us, strict=True)
    )
    return ProfileRows(runs=runs, total_us=total_us, rows=rows)


def _middle(values_us: Sequence[int]) -> float:
    """Mean of the middle half: as firm as a median, and finer than the whole microseconds."""
    ordered = sorted(values_us)
    cut = len(ordered) // 4
    return round(statistics.fmean(ordered[cut : len(ordered) - cut]), _DIGITS)


class _Session:
    """A model in the library, ready to run."""

    def __init__(self, model: bytes, inputs: Mapping[str, Array]) -> None:
        self._library = ctypes.CDLL(str(_library_file()))
        # What the library keeps pointers to.
        self._kept: list[Any] = [ctypes.create_string_buffer(model, len(model))]
        self._environment = self._made("CreateEnvironment", 0, None)
        size = ctypes.c_size_t(len(model))
        self._model = self._made("CreateModelFromBuffer", self._environment, self._kept[0], size)
        self._compiled = self._made(
            "CreateCompiledModel", self._environment, self._model, self._options()
        )
        self._profiler = self._made("CompiledModelGetProfiler", self._compiled)
        if not self._profiler:
            raise ModelError("the runtime gives no profiler")
        signature = self._made("GetModelSignature", self._model, ctypes.c_size_t(0))
        ins = [
            self._fed(buffer, name, inputs) for name, buffer in self._buffers(signature, "Input")
        ]
        outs = [buffer for _, buffer in self._buffers(signature, "Output")]
        self._arguments = [*_sized(ins), *_sized(outs)]

    def run(self) -> _Run:
        """Run once: (name, node, microseconds) of the whole inference, then of each step."""
        self._do("ResetProfiler", self._profiler)
        self._do("StartProfiler", self._profiler)
        self._do("RunCompiledModel", self._compiled, ctypes.c_size_t(0), *self._arguments)
        self._do("StopProfiler", self._profiler)
        count = ctypes.c_int()
        self._do("GetNumProfilerEvents", self._profiler, ctypes.byref(count))
        events = (_Event * count.value)()
        self._do("GetProfilerEvents", self._profiler, count, events)
        return tuple(_steps(events))

    def _options(self) -> ctypes.c_void_p:
        options = self._made("CreateOptions")
        self._do("SetOptionsHardwareAccelerators", options, _CPU)
        text = ctypes.create_string_buffer(_OPTIONS)
        forget = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(_nothing)
        self._kept += [text, forget]
        opaque = self._made("CreateOpaqueOptions", _OPTIONS_ID, text, forget)
        self._do("AddOpaqueOptions", options, opaque)
        return options

    def _buffers(
        self, signature: ctypes.c_void_p, side: str
    ) -> Iterator[tuple[str, ctypes.c_void_p]]:
        """Name and memory of each tensor of one side of the model."""
        count = ctypes.c_size_t()
        self._do(f"GetNumSignature{side}s", signature, ctypes.byref(count))
        for position in range(count.value):
            index = ctypes.c_size_t(position)
            tensor = self._made(f"GetSignature{side}TensorByIndex", signature, index)
            name = ctypes.c_char_p()
            self._do("GetTensorName", tensor, ctypes.byref(name))
            ranked = _RankedType()
            self._do("GetRankedTensorType", tensor, ctypes.byref(ranked))
            # An open batch size, which the interpreter takes for 1, too.
            ranked.sizes[:] = [1 if size < 0 else size for size in ranked.sizes]
            needs = self._made(
                f"GetCompiledModel{side}BufferRequirements",
                self._compiled, ctypes.c_size_t(0), index,
            )  # fmt: skip
            made = "CreateManagedTensorBufferFromRequirements"
            yield (
                (name.value or b"").decode(errors="replace"),
                self._made(made, self._environment, ctypes.byref(ranked), needs),
            )

    def _fed(
        self, buffer: ctypes.c_void_p, name: str, inputs: Mapping[str, Array]
    ) -> ctypes.c_void_p:
        size = ctypes.c_size_t()
        self._do("GetTensorBufferSize", buffer, ctypes.byref(size))
        array = inputs.get(name)
        if array is None or array.nbytes > size.value:
            raise ModelError(f"input {name!r} is another in the profiler: no times per operation")
        content = array.tobytes()
        place = ctypes.c_void_p()
        self._do("LockTensorBuffer", buffer, ctypes.byref(place), _LOCK_WRITE)
        ctypes.memmove(place, content, len(content))
        self._do("UnlockTensorBuffer", buffer)
        return buffer

    def _made(self, function: str, *arguments: Any) -> ctypes.c_void_p:
        """Call a function whose last argument takes what it makes or finds."""
        found = ctypes.c_void_p()
        self._do(function, *arguments, ctypes.byref(found))
        return found

    def _do(self, function: str, *arguments: Any) -> None:
        status = getattr(self._library, f"LiteRt{function}")(*arguments)
        if status:
            raise ModelError(
                f"the runtime's profiler does not take the model: {function} gave {status}"
            )


def _steps(events: "ctypes.Array[_Event]") -> Iterator[tuple[bytes, int | None, int]]:
    whole = [event.elapsed_us for event in events if (event.kind, event.tag) == (_GENERAL, _WHOLE)]
    inner = any(event.kind == _OPERATOR and event.graph for event in events)
    if len(whole) != 1 or inner:
        raise ModelError(
            "a model with inner graphs, or of too many operations: no times per operation"
        )
    yield _WHOLE, None, whole[0]
    for event in events:
        if event.kind == _OPERATOR:
            yield event.tag, event.node, event.elapsed_us
        elif event.kind == _DELEGATED:
            yield event.tag, None, event.elapsed_us


def _sized(buffers: Sequence[ctypes.c_void_p]) -> tuple[ctypes.c_size_t, Any]:
    return ctypes.c_size_t(len(buffers)), (ctypes.c_void_p * len(buffers))(*buffers)


def _library_file() -> Path:
    spec = importlib.util.find_spec("ai_edge_litert")
    if spec is None or spec.origin is None:
        raise ModelError(f"{_DISTRIBUTION} is not installed")
    return Path(spec.origin).parent / "libLiteRt.so"


def _nothing(_payload: object) -> None:
    """Free nothing: the text lives as long as this process."""
