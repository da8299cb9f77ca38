"""Whether one operation by itself maps to the Edge TPU: rank, data types, type, version, limits.

The tests stand in the order in which the compiler's logs name its reasons.
"""

from math import prod

from green_edge.targets.edgetpu.limits import limit_of
from green_edge.targets.edgetpu.ops import facts
from green_edge.targets.edgetpu.verdict import (
    DATA_TYPE,
    LIMITATION,
    NOT_SUPPORTED,
    RANK,
    VERSION,
    Confidence,
    Site,
    Verdict,
    cpu,
    tpu,
    unknown,
)
from green_edge.tflite.model import Tensor

EIGHT_BIT = frozenset({"int8", "uint8"})
_MAPPED_AXES = 3
# Biases, and the shapes, axes and paddings of other operations.
_WHOLE = frozenset({"int32", "int64"})
# Their second operand is the weights.
_WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})


def local(site: Site) -> Verdict:
    """Verdict on an operation that stands alone."""
    for test in (
        _rank,
        _refused,
        _float_input,
        _data_type,
        _unlisted,
        _version,
        _no_operands,
        limit_of,
    ):
        verdict = test(site)
        if verdict is not None:
            return verdict
    return _mapped(site)


def _mapped(site: Site) -> Verdict:
    """Verdict on what no test has stopped: proven in the sizes that were seen mapped alone."""
    known = facts().mapped[site.op.op]
    if known.source != "pairs" or known.elements is None:
        return tpu("documented")
    for what, size, seen in (
        ("elements", _elements(site), known.elements),
        ("positions in its window", _window(site), known.window),
    ):
        if seen is not None and size > seen:
            return tpu("guess", f"{size:,} {what}; {seen:,} is the most that was seen mapped")
    return tpu("proven")


def _elements(site: Site) -> int:
    return max(prod(tensor.shape) for tensor in (*site.activations, *site.results))


def _window(site: Site) -> int:
    if site.options.window is not None:
        return prod(site.options.window)
    convolution = site.op.op in {"CONV_2D", "DEPTHWISE_CONV_2D"}
    weights = site.operands[1] if convolution and len(site.operands) > 1 else None
    return 1 if weights is None else prod(weights.shape[1:3])


def _rank(site: Site) -> Verdict | None:
    # In float16 files weights come out of an operation; they are no activations for that.
    weights = site.operands[1] if site.op.op in _WEIGHTED and len(site.operands) > 1 else None
    for tensor in (*site.activations, *site.results):
        if tensor is weights:
            continue
        if any(n > 1 for n in tensor.shape[:-_MAPPED_AXES]):
            shape = "x".join(str(n) for n in tensor.shape)
            return cpu(RANK, f"{shape} has sizes above 1 before its last three", "proven")
    return None


def _refused(site: Site) -> Verdict | None:
    if site.op.op in {"CUSTOM", "DEQUANTIZE"}:
        # Reported so whatever their types are.
        return cpu(DATA_TYPE, "never on the Edge TPU", "proven")
    source = facts().refused.get(site.op.op)
    if source is None:
        return None
    confidence: Confidence = "proven" if source == "pairs" else "documented"
    wide = _wide((*site.activations, *site.results[:1]))
    if wide is not None:
        return cpu(DATA_TYPE, f"{wide.dtype}, and the Edge TPU has no {site.op.op}", confidence)
    return cpu(NOT_SUPPORTED, f"the Edge TPU has no {site.op.op}", confidence)


def _float_input(site: Site) -> Verdict | None:
    if site.op.op == "QUANTIZE" and any(t.dtype == "float32" for t in site.activations):
        return cpu(LIMITATION, "float input", "proven")
    return None


def _data_type(site: Site) -> Verdict | None:
    wide = _wide((*site.activations, *site.results))
    if wide is not None:
        return cpu(DATA_TYPE, f"{wide.dtype}, not int8 or uint8", "proven")
    for tensor in site.constants:
        if tensor.dtype not in EIGHT_BIT | _WHOLE:
            return cpu(DATA_TYPE, f"{tensor.dtype} constant, not int8 or uint8", "documented")
    values = (*site.activations, *site.results, *_narrow(site.constants))
    if any(t.scale is None for t in values):
        return unknown("8-bit values without a scale")
    types = sorted({t.dtype for t in values})
    # A QUANTIZE is there to turn one into the other.
    if len(types) > 1 and site.op.op != "QUANTIZE":
        return unknown(f"{' and '.join(types)} in one operation")
    return None


def _narrow(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(t for t in tensors if t.dtype in EIGHT_BIT)


def _wide(tensors: tuple[Tensor, ...]) -> Tensor | None:
    return next((t for t in tensors if t.dtype not in EIGHT_BIT), None)


def _unlisted(site: Site) -> Verdict | None:
    if site.op.op in facts().mapped:
        return None
    return unknown(f"{site.op.op} is in no log and not in the compiler's table")


def _no_operands(site: Site) -> Verdict | None:
    if site.activations and site.results:
        return None
    return unknown("nothing is fed to it, or nothing comes out")


def _version(site: Site) -> Verdict | None:
    known, version = facts().mapped[site.op.op], site.op.version
    if version <= known.version:
        return None
    refused = known.refused_from is not None and version >= known.refused_from
    reason = f"version {version}; mapped are versions up to {known.version}"
    return cpu(VERSION, reason, "proven" if refused else "guess")
