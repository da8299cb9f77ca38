"""What to change in a model so that more of it runs on the Edge TPU."""

from collections.abc import Sequence
from itertools import groupby

from green_edge.core.checks import Problem
from green_edge.targets import words
from green_edge.targets.edgetpu import verdict
from green_edge.targets.edgetpu.compiled import Compiled
from green_edge.targets.edgetpu.ops import facts
from green_edge.targets.edgetpu.predict import Placement
from green_edge.targets.lowering import lower
from green_edge.tflite.model import Op, TfliteModel

# `kCurrent` of libedgetpu 16.0, the newest that there is.
_RUNTIME_VERSION = 14
_LISTED_REASONS = 3
_INT8_ENDS = "convert with int8 input and output, as green-edge build does"
_BY_STATUS = {
    verdict.LIMITATION: "change what is named, or move the layer to the model's end",
    verdict.DATA_TYPE: "let the quantizer reach it, or replace the layer",
    verdict.NOT_SUPPORTED: "replace the layer, or move it to the model's end",
    verdict.RANK: "keep the batch at 1 and sizes above 1 to the last three axes",
    verdict.NO_DATA: "only the compiler can tell: edgetpu_compiler -s prints what it did",
}
_BY_OP = {
    (
        verdict.DATA_TYPE,
        "CUSTOM",
    ): "it stays on the host: change it only if it is slow there",
    (verdict.DATA_TYPE, "ARG_MAX"): "take the maximum after the inference",
    (verdict.NOT_SUPPORTED, "ARG_MAX"): "take the maximum after the inference",
    (verdict.NOT_SUPPORTED, "LEAKY_RELU"): "use ReLU, or PReLU with slopes shared over the image",
    (verdict.NOT_SUPPORTED, "HARD_SWISH"): "use ReLU6",
    (verdict.NOT_SUPPORTED, "DIV"): "multiply by the reciprocal",
    (verdict.NOT_SUPPORTED, "UNPACK"): "use slices with stride 1",
    (verdict.LIMITATION, "TRANSPOSE"): "lay the data out channels last, so that it falls away, or "
    "make the input smaller",
    (verdict.LIMITATION, "CONCATENATION"): "feed constant maps as an input, or split the tensor",
}
# Statuses of the operations between float and int8.
_CASTS = {(verdict.LIMITATION, "QUANTIZE"), (verdict.DATA_TYPE, "DEQUANTIZE")}
_Cause = tuple[Op, Placement, str]


def left_to_cpu(model: TfliteModel, rows: Sequence[Placement]) -> tuple[Problem, ...]:
    """Say of what is not on the Edge TPU why, and what to change; one for each cause and type."""
    left = [
        (op, row)
        for op, row in zip(model.ops, rows, strict=True)
        if row.placement in ("cpu", "unknown")
    ]
    causes = [
        (op, row, _remedy(op, row, model))
        for op, row in left
        if row.status != verdict.SECOND_SUBGRAPH
    ]
    causes.sort(key=_kind)
    found = [_problem(tuple(same)) for _, same in groupby(causes, key=_kind)]
    behind = tuple(op for op, row in left if row.status == verdict.SECOND_SUBGRAPH)
    if behind:
        found.insert(0, _behind(behind, model, rows))
    return (*found, *_beyond_seen(model, rows))


def _kind(cause: _Cause) -> tuple[str, str, str]:
    op, row, remedy = cause
    return row.status, words.kind(op), remedy


def _remedy(op: Op, row: Placement, model: TfliteModel) -> str:
    if (row.status, op.op) in _CASTS:
        return _of_cast(op, model)
    if row.status == verdict.VERSION:
        return lower(model, [op], facts().mapped[op.op].version)
    return _BY_OP.get((row.status, op.op)) or _BY_STATUS[row.status]


def _of_cast(op: Op, model: TfliteModel) -> str:
    """Between float and int8: at the model's ends, or around what computes in float inside it."""
    if {*op.inputs, *op.outputs} & {*model.input_indices, *model.output_indices}:
        return _INT8_ENDS
    beside = [
        other
        for other in model.ops
        if (op.op == "DEQUANTIZE" and set(op.outputs) & set(other.inputs))
        or (op.op == "QUANTIZE" and set(op.inputs) & set(other.outputs))
    ]
    if not beside:
        return _INT8_ENDS
    kinds = ", ".join(sorted({words.kind(other) for other in beside}))
    return f"the float {kinds} beside it costs it: replace that, or let the quantizer reach it"


def _beyond_seen(model: TfliteModel, rows: Sequence[Placement]) -> tuple[Problem, ...]:
    """Operations said to map because nothing speaks against it."""
    guessed = tuple(
        op
        for op, row in zip(model.ops, rows, strict=True)
        if (row.placement, row.confidence) == ("tpu", "guess")
    )
    if not guessed:
        return ()
    kinds = ", ".join(sorted({words.kind(op) for op in guessed}))
    return (
        Problem(
            what=f"larger than any that was seen mapped, or in another form: {kinds}",
            where=words.where(guessed),
            remedy=_BY_STATUS[verdict.NO_DATA],
        ),
    )


def _problem(causes: Sequence[_Cause]) -> Problem:
    op, row, remedy = causes[0]
    reasons = sorted({row.reason for _, row, _ in causes if row.reason})
    what = f"{row.status}: {words.kind(op)}"
    if 0 < len(reasons) <= _LISTED_REASONS:
        what += f" ({'; or '.join(reasons)})"
    return Problem(what, words.where([op for op, _, _ in causes]), remedy)


def _behind(behind: Sequence[Op], model: TfliteModel, rows: Sequence[Placement]) -> Problem:
    """Operations that follow one which left the chip."""
    begun = min((row.index for row in rows if row.placement == "tpu"), default=0)
    first = next(
        op
        for op, row in zip(model.ops, rows, strict=True)
        if op.index > begun and row.placement != "tpu"
    )
    return Problem(
        what=f"{verdict.SECOND_SUBGRAPH}: {len(behind)} operations stand behind one that left the "
        "Edge TPU",
        where=words.where(behind),
        remedy=f"change #{first.index} {words.kind(first)}, the first that left it, or move it to "
        "the model's end",
    )


def newer_than_driver(compiled: Compiled, libedgetpu: str | None) -> tuple[Problem, ...]:
    """A compiled model that the target's driver library does not load."""
    if compiled.min_runtime_version <= _RUNTIME_VERSION:
        return ()
    return (
        Problem(
            what=f"it is compiled for runtime {compiled.min_runtime_version}, libedgetpu "
            f"{libedgetpu} is runtime {_RUNTIME_VERSION}",
            where="edgetpu-custom-op",
            remedy=f"compile it with edgetpu_compiler --min_runtime_version {_RUNTIME_VERSION}",
        ),
    )


def streamed(compiled: Compiled) -> tuple[Problem, ...]:
    """Parameters that the compiled model sends to the chip at every inference."""
    if not compiled.streamed_bytes:
        return ()
    whole = compiled.cached_bytes + compiled.streamed_bytes
    return (
        Problem(
            what=f"{compiled.streamed_bytes:,} of {whole:,} bytes of parameters are sent to the "
            "chip at every inference",
            where="edgetpu-custom-op",
            remedy="take a smaller model; compile it alone where it was compiled with others",
        ),
    )
