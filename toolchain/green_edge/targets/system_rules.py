"""What stops a target's system before any model is loaded: runtime, Python, memory."""

from math import prod

from green_edge.core.checks import Problem
from green_edge.targets import runtimes
from green_edge.targets.registry import Target
from green_edge.tflite.model import Op, TfliteModel
from green_edge_wire.units import MIB_BYTES

# The agent's `requires-python`.
_AGENT_PYTHON = (3, 11)
# The rest is for the system, Python and the runtime.
_MODEL_SHARE = 0.5
# Of an element; 4 for what is not named.
_BYTES = {"int8": 1, "uint8": 1, "bool": 1, "int16": 2, "float16": 2, "int64": 8}


def no_runtime(target: Target) -> tuple[Problem, ...]:
    """No runtime has a wheel for the system."""
    if target.plan is not None or target.place is None:
        return ()
    place = target.place
    offers = runtimes.offers(place.arch, target.accelerator)
    remedy = "use a 64-bit system, or Bookworm with its Python 3.11"
    if target.accelerator is not None:
        remedy = (
            "use Bookworm, whose Python is 3.11; or bring a wheel of tflite-runtime for this "
            "Python and the libedgetpu of the same TensorFlow, and try them with "
            "green-edge-agent doctor"
        )
    return (
        Problem(
            what=f"no runtime has a wheel for Python {place.python} and glibc {place.glibc} on "
            f"{place.arch}: {'; '.join(offers)}",
            where=target.system or "this machine",
            remedy=remedy,
        ),
    )


def old_python(target: Target) -> tuple[Problem, ...]:
    """The system's Python is too old for the agent."""
    version = tuple(int(part) for part in target.python.split("."))
    if version >= _AGENT_PYTHON:
        return ()
    return (
        Problem(
            what=f"the agent needs Python 3.11, the system has {target.python}",
            where=target.system or "this machine",
            remedy="use Bookworm or newer, or a Debian 12 container on this system",
        ),
    )


def too_large(target: Target, model: TfliteModel) -> tuple[Problem, ...]:
    """The model takes most of the smallest memory that the board is sold with.

    Counted are the file, which the runtime keeps, and the tensors of its widest operation, which
    are alive at once: less than it takes.
    """
    if target.ram_mib is None:
        return ()
    need_bytes = model.size_bytes + max((_computed_bytes(op, model) for op in model.ops), default=0)
    if need_bytes <= target.ram_mib * MIB_BYTES * _MODEL_SHARE:
        return ()
    return (
        Problem(
            what=f"it takes {need_bytes / MIB_BYTES:,.0f} MiB of memory or more, and the smallest "
            f"board has {target.ram_mib:,} MiB",
            where=target.title,
            remedy="take a smaller model or input, or a board with more memory",
        ),
    )


def _computed_bytes(op: Op, model: TfliteModel) -> int:
    tensors = (model.tensors[i] for i in {*op.inputs, *op.outputs} if i >= 0)
    return sum(prod(t.shape) * _BYTES.get(t.dtype, 4) for t in tensors if not t.constant)
