"""An estimate for the terminal, 80 columns wide."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from green_edge.build import words
from green_edge.build.estimate.report import (
    AtRate,
    Coral,
    Estimate,
    Estimates,
    Layer,
    RuntimeEstimate,
)
from green_edge.build.estimate.words import bar, energy, latency, power, share
from green_edge.build.words import short_name
from green_edge.cli import render
from green_edge.targets.break_even import BreakEven
from green_edge.targets.physics import Bounds
from green_edge.telemetry.columns import fit

_WIDTH = 80
_LISTED = 8
# Less is shown as 0.0 %.
_LEAST_SHARE = 0.0005
_NAME_CHARS = 28
_MEANING = (
    "estimates, nothing was measured. Latency and energy are ranges for one inference on one "
    "thread; energy is that of the whole board meanwhile."
)


def text_of(found: Estimate) -> str:
    """One target: its runtimes, the slowest layers, what would help, what to know."""
    parts = [_head(found), _runtimes(found)]
    if found.coral is not None:
        parts.append(_coral(found.coral))
    if found.at_rate is not None:
        parts.append(_fill(_at_rate(found.at_rate)))
    if any(layer.share >= _LEAST_SHARE for layer in found.layers):
        parts.append(_layers(found))
    if found.advice:
        parts.append(_advice(found))
    parts.append(_notes(found.notes))
    return "\n\n".join(parts)


def several_text(estimates: Estimates) -> str:
    """Several targets, a line each: what each of them would really run."""
    found = estimates.estimates
    parts = [_several(found)] if found else []
    parts += [
        _fill(f"{each.target}: no estimate: {each.reason}", "  ") for each in estimates.refused
    ]
    said: dict[str, list[str]] = {}
    for each in found:
        for note in each.notes:
            said.setdefault(note, []).append(each.target)
    notes = [
        note if len(of) == len(found) else f"{', '.join(of)}: {note}" for note, of in said.items()
    ]
    return "\n\n".join([*parts, *([_notes(notes)] if notes else [])])


def _several(found: Sequence[Estimate]) -> str:
    rows = [[each.target, *_cells(each.runtimes[0], short=True)] for each in found]
    # A longer header would leave no room for the target's name.
    headers, right = ["target", "runs with", "instr.", *_HEADERS[1:]], "llrrr"
    legend = _predicted([entry for each in found for entry in each.runtimes[:1]])
    names: tuple[int, ...] = (0, 1)
    rate_rps = next((rate for each in found if (rate := _rate_rps(each)) is not None), None)
    if rate_rps is not None:
        # Instead of the runtime, for which there is no room.
        headers, right, names = ["target", *headers[2:], f"at {rate_rps:,.7g}/s"], "lrrrr", (0,)
        rows = [
            [row[0], *row[2:], _at_rate_cell(each)] for row, each in zip(rows, found, strict=True)
        ]
        legend.append(_RATE_MEANS)
    table = render.table(headers, fit(headers, rows, names=names), right=right)
    head = _fill(f"{Path(found[0].file).name}: {_MEANING}")
    return "\n\n".join([head, table, *map(_fill, legend)])


_RATE_MEANS = (
    "At the rate: share of the time in which the board is busy; for a Coral what spends less, TPU, "
    "CPU or neither."
)


def _rate_rps(found: Estimate) -> float | None:
    asked = found.at_rate or found.coral
    return None if asked is None else asked.rate_rps


def _at_rate_cell(found: Estimate) -> str:
    if found.coral is not None and found.coral.break_even is not None:
        return _CHOICES[found.coral.break_even.verdict]
    if found.at_rate is None:
        return "-"
    busy = found.at_rate.busy_ratio
    if busy.low > 1:
        return "too slow"
    return f"{share(busy.low)} to {share(busy.high)}"


_CHOICES = {"cpu": "CPU", "tpu": "TPU", "either": "not sure", "neither": "neither"}
_VERDICTS = {
    "cpu": "CPU",
    "tpu": "TPU",
    "either": "it depends on the rate, or the ranges do not tell",
    "neither": "neither",
}
_HEADERS = ("instructions", "latency", "energy")


def _head(found: Estimate) -> str:
    own = found.runtimes[0]
    where = f"{found.title}: {own.core}, {own.arch}, {own.dtype} model, one thread"
    return "\n".join([
        _fill(f"{Path(found.file).name} on {found.target}: an estimate, nothing was measured"),
        _fill(where),
    ])  # fmt: skip


def _runtimes(found: Estimate) -> str:
    rows = [_cells(each, mark="* " if each.runs_there else "  ") for each in found.runtimes]
    own = found.runtimes[0]
    means = (
        "* what runs there. Per inference, latency and energy as estimated ranges; energy is that "
        f"of {_board(found)} meanwhile, {energy(own.net_energy_uj)} of it above idle."
    )
    if own.accelerator is not None:
        means += (
            f" The Edge TPU is driven by {own.runtime} {own.version}; the instructions beside it "
            "are those left to the processor."
        )
    legend = [means, *_predicted(found.runtimes)]
    table = render.table(["  runtime", *_HEADERS], rows, right="lrrr")
    return "\n".join([table, *(_fill(line) for line in legend)])


def _board(found: Estimate) -> str:
    return "the whole board" if found.coral is None else "board and accelerator"


def _cells(entry: RuntimeEstimate, mark: str = "", *, short: bool = False) -> list[str]:
    name = entry.runtime if short else f"{entry.runtime} {entry.version}"
    name = name if entry.accelerator is None else "Edge TPU"
    sign = "~" if entry.how == "analytic" and entry.instructions else ""
    count = f"{sign}{words.count(entry.instructions)}"
    return [f"{mark}{name}", count, latency(entry.latency_us), energy(entry.energy_uj)]


def _predicted(entries: Sequence[RuntimeEstimate]) -> list[str]:
    """What the sign before a number of instructions means, where there is one."""
    errors = [each.error_ratio for each in entries if each.how == "analytic" and each.instructions]
    if not errors:
        return []
    off = share(max(errors))
    return [f"~ predicted by the cost model, not counted: within {off} for 95 models of 100."]


def _coral(coral: Coral) -> str:
    """Where the time goes, and TPU, CPU or neither."""
    terms = (
        ("computing", coral.compute_us), ("inputs, outputs, code", coral.transfer_us),
        ("parameters not kept", coral.streaming_us), ("launch", coral.launch_us),
        ("on the processor", coral.host_us),
    )  # fmt: skip
    rows = [[name, latency(span)] for name, span in terms if span.high]
    placed = f"{coral.tpu_ops} operations on the Edge TPU, {coral.cpu_ops} on the processor"
    table = render.table(["where the time goes (estimate)", ""], rows, right="lr")
    paid = [] if coral.break_even is None else ["", _break_even(coral.break_even, coral.rate_rps)]
    return "\n".join([placed, "", table, *paid])


def _break_even(found: BreakEven, rate_rps: float | None) -> str:
    rows = [
        [
            f"{row.rate_rps:g}",
            _draws(row.cpu_mw, may_fail="cpu" in row.may_fail),
            _draws(row.tpu_mw, may_fail="tpu" in row.may_fail),
            _CHOICES[row.choice],
        ]
        for row in found.rows
    ]
    headers = ["requests/s", "processor alone", "Edge TPU", "spends less"]
    table = render.table(headers, rows, right="rrrl")
    asked = "" if rate_rps is None else f" at {rate_rps:g} requests a second"
    verdict = f"TPU, CPU or neither{asked}: {_VERDICTS[found.verdict]}; {found.reason}."
    means = "Power (estimate) above the idle board without the accelerator; its idle power counts."
    if any(row.may_fail for row in found.rows):
        means += " ?: it may not keep up with this rate."
    return f"{_fill(verdict)}\n\n{table}\n{_fill(means)}"


def _draws(span: Bounds | None, *, may_fail: bool) -> str:
    return "too slow" if span is None else power(span) + " ?" * may_fail


def _at_rate(rate: AtRate) -> str:
    start = f"At {rate.rate_rps:g} inferences a second (estimate): "
    busy = f"busy {share(rate.busy_ratio.low)} to {share(rate.busy_ratio.high)} of the time"
    if rate.power_mw is not None:
        return f"{start}{busy}, the board draws {power(rate.power_mw)} on average."
    keeps_up = "it may not keep up" if rate.busy_ratio.low < 1 else "it does not keep up"
    return f"{start}{keeps_up} ({busy})."


def _layers(found: Estimate) -> str:
    ranked = sorted(found.layers, key=lambda layer: layer.share, reverse=True)
    shown = [layer for layer in ranked[:_LISTED] if layer.share >= _LEAST_SHARE]
    rows = [_layer(layer, shown[0].share) for layer in shown]
    what = "instructions, as the cost model splits them"
    if found.runtimes[0].accelerator is not None:
        rest = share(1 - sum(layer.share for layer in found.layers))
        what = f"time, as estimated; {rest} of it is launch and transfer, which no layer has alone"
    table = render.table(["#", "operation", "layer", "share", ""], rows, right="rllrl")
    return f"{table}\n{_fill(f'{len(shown)} of {len(found.layers)} layers; share of the {what}.')}"


def _layer(layer: Layer, largest: float) -> list[str]:
    name = short_name(layer.name, _NAME_CHARS)
    return [str(layer.index), layer.op[:20], name, share(layer.share), bar(layer.share, largest)]


def _advice(found: Estimate) -> str:
    lines = ["What would help most, by the cost model (its effect on quality is not known):"]
    lines += [
        _fill(f"{i:2}. {each.where}: {each.what}", "    ") for i, each in enumerate(found.advice, 1)
    ]
    return "\n".join(lines)


def _notes(notes: Sequence[str]) -> str:
    return "\n".join(_fill(f"note: {note}", "      ") for note in notes)


def _fill(text: str, indent: str = "") -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent=indent, break_on_hyphens=False)
