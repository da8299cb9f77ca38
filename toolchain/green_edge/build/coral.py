"""Makes the files of one target from the int8 model: for a Coral target the compiled one as well.

The Edge TPU compiler is Google's, closed and for x86-64 Linux alone, so its absence is normal: then
the int8 model goes out for the CPU and the report holds the command that is left to run. A file
`*_edgetpu.tflite` is never made here but by that compiler.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from green_edge.core.checks import Problem
from green_edge.core.report import AcceleratorReport
from green_edge.targets.edgetpu import compiler
from green_edge.targets.edgetpu.compiler import Compilation, Outcome
from green_edge.targets.edgetpu.log import MAPPED, OperationLog
from green_edge.targets.edgetpu.predict import predict
from green_edge.targets.edgetpu.risks import fatal, risks
from green_edge.targets.registry import Target
from green_edge.tflite.read import read
from green_edge.tflite.rewrite import for_edgetpu

Status = Literal["compiled", "not-compiled", "failed", "cpu"]

_EDGE_TPU = "edgetpu"


@dataclass(frozen=True, slots=True)
class ForTarget:
    """The files of one target.

    Attributes:
        model: int8 for the CPU; gives the outputs of the model that went in, bit for bit.
        edgetpu: the same from the Edge TPU compiler; None unless `status` is `compiled`.
        status: `cpu` for a target without an accelerator.
        accelerator: for the report; None for a target without one.
        notes: what was changed, and what a reader has to know.
    """

    model: bytes
    edgetpu: bytes | None
    status: Status
    accelerator: AcceleratorReport | None = None
    notes: tuple[str, ...] = ()

    @property
    def command(self) -> str | None:
        """The compiler's command line, run or left to run."""
        return None if self.accelerator is None else self.accelerator.command


def edgetpu_name(file: str) -> str:
    """Name of the compiled file of a model, as the compiler gives it."""
    return f"{Path(file).stem}_edgetpu.tflite"


def for_target(
    int8: bytes,
    target: Target,
    *,
    file: str = "model.tflite",
    timeout_s: float = compiler.DEFAULT_TIMEOUT_S,
) -> ForTarget:
    """Make the files of a target, by the compiler on PATH where it takes one.

    Args:
        int8: the int8 model.
        target: of any kind.
        file: name of the int8 model in the output folder, for the command.
        timeout_s: of the compiler's timer, for each of its runs.

    Raises:
        ModelError: the model is no .tflite, or broken.
    """
    if target.accelerator != _EDGE_TPU:
        return ForTarget(int8, None, "cpu")
    rewritten = for_edgetpu(int8)
    changes = tuple(f"for the Edge TPU compiler: {change}" for change in rewritten.changes)
    program = compiler.find()
    if program is None:
        made = _not_compiled(rewritten.content, file)
    else:
        outcome = compiler.compile_model(program, rewritten.content, timeout_s=timeout_s)
        made = _judged(rewritten.content, outcome, file)
    foreseen = _foreseen(rewritten.content) if made.status != "compiled" else ()
    return ForTarget(
        made.model, made.edgetpu, made.status, made.accelerator, changes + made.notes + foreseen
    )


def _not_compiled(model: bytes, file: str) -> ForTarget:
    command = compiler.command_line(file)
    reason = f"{compiler.PROGRAM} is not on PATH; {compiler.HOW_TO_GET}"
    note = f"not compiled for the Edge TPU: {reason}; then run: {command}"
    report = AcceleratorReport("not-compiled", command=command, reason=reason)
    return ForTarget(model, None, "not-compiled", report, (note,))


def _judged(model: bytes, outcome: Outcome, file: str) -> ForTarget:
    last = outcome.attempts[-1]
    command = compiler.command_line(file, last.options)
    version = outcome.version or None
    if outcome.result is None:
        tried = "; ".join(
            f"{compiler.command_line(file, attempt.options)}: {attempt.words}"
            for attempt in outcome.attempts
        )
        report = AcceleratorReport(
            "failed", command=command, compiler_version=version, reason=last.words
        )
        note = f"the Edge TPU compiler gave nothing, the model runs on the CPU: {tried}"
        return ForTarget(model, None, "failed", report, (note,))
    result = outcome.result
    report = _report(result, command, version, file)
    return ForTarget(model, result.model, "compiled", report, _remarks(outcome, result))


def _report(result: Compilation, command: str, version: str | None, file: str) -> AcceleratorReport:
    return AcceleratorReport(
        "compiled",
        command=command,
        file=edgetpu_name(file),
        compiler_version=version,
        tpu_ops=result.log.tpu_ops,
        cpu_ops=result.facts.cpu_ops,
        cached_bytes=result.facts.cached_bytes,
        streamed_bytes=result.facts.streamed_bytes,
    )


def _remarks(outcome: Outcome, result: Compilation) -> tuple[str, ...]:
    """What to know of a compilation beside its figures."""
    remarks = []
    if len(outcome.attempts) > 1:
        options = " ".join(result.options) or "no options"
        remarks.append(
            f"the Edge TPU compiler needed {len(outcome.attempts)} runs, the last with {options}; "
            f"the first ended: {outcome.attempts[0].words}"
        )
    if result.options == compiler.SEVERAL:
        remarks.append(
            "compiled in several parts, which is experimental: compare its latency on the device "
            "with the CPU's"
        )
    left = _left_to_cpu(result.log)
    if left:
        remarks.append(f"left to the CPU by the Edge TPU compiler: {left}")
    if result.facts.streamed_bytes:
        remarks.append(
            f"{result.facts.streamed_bytes:,} bytes of parameters do not fit on the chip and are "
            "sent to it at every inference"
        )
    return tuple(remarks)


def _left_to_cpu(log: OperationLog) -> str:
    rows = sorted((row.op, row.count, row.status) for row in log.rows if row.status != MAPPED)
    return "; ".join(f"{count} {op} ({status})" for op, count, status in rows)


def _foreseen(model: bytes) -> tuple[str, ...]:
    """What the file itself tells about a compilation that has not been."""
    facts = read(model, static=False, zipped=False)
    stops = [_line("the compiler will stop at", problem) for problem in fatal(facts)]
    if stops:
        return tuple(stops)
    return tuple(
        _line("the compiler may fail at", problem) for problem in risks(facts, predict(facts))
    )


def _line(what: str, problem: Problem) -> str:
    return f"{what} {problem.where}: {problem.what}; {problem.remedy}"
