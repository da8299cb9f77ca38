"""Holds a new model to the limits of a gate: plain rules over what a comparison found.

A figure that is known exactly passes at or below its limit and fails above. A figure that is known
as an interval (quality on a sample of the world, a prediction) passes where the whole interval is
within the limit, fails where all of it is beyond, and is inconclusive in between.

The ratio of two estimates is as uncertain as both together, save that a model costs exactly as much
as itself.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from green_edge.build.compare.values import Both, Comparison, PredictedCost, PredictedPair
from green_edge.core.gate import (
    Check,
    EnergyLimits,
    Gate,
    GateResult,
    InstructionLimits,
    LatencyLimits,
    QualityLimits,
)
from green_edge.core.report import Quality, Verdict
from green_edge.evaluate.guard import judge as judge_interval
from green_edge.evaluate.guard import samples_needed
from green_edge.evaluate.intervals import Interval

_PP = 100.0
_OVER = ", new over baseline"
_COUNT_IT = "green-edge estimate may count the instructions"
_MEASURE_LATENCY = "green-edge bench --device measures it"
_MEASURE_ENERGY = "measure it on the board"
_NO_OUTPUTS = "an earlier comparison holds no outputs to compare with: give the baseline's file"
_NO_LIMIT = "no labels speak of them: set [quality] min_other_outputs"
_OTHER_BASIS = (
    "the earlier estimate rests on another cost model: write the baseline again with this version"
)
_MEASURE_IT = "green-edge estimate counts them, green-edge bench --device measures"


# The interval of a figure as it would be with so many samples of the same rates.
At = Callable[[int], Interval]


@dataclass(frozen=True, slots=True)
class IfMore:
    """What more samples would tell, as shares; where it is absent none is foretold.

    Attributes:
        drop: of quality, baseline less new model.
        own: quality of the new model.
        others: agreement of the outputs that labels do not speak of.
    """

    drop: At | None = None
    own: At | None = None
    others: At | None = None


def judge(gate: Gate, found: Comparison, own: Quality, if_more: IfMore = IfMore()) -> GateResult:
    """Judge a new model.

    Args:
        gate: the limits.
        found: has predictions for the gate's targets.
        own: quality of the new model by itself.
        if_more: tells how many samples an open question takes.
    """
    estimated = (
        *(check for limits in gate.instructions for check in _instructions(limits, found)),
        *(_latency(limits, found) for limits in gate.latency),
        *(check for limits in gate.energy for check in _energy(limits, found)),
    )
    checks = (
        *_quality(gate.quality, found, own, if_more),
        *_counts(gate, found),
        *(_of_the_whole(check, found) for check in estimated),
    )
    return GateResult(_overall([check.verdict for check in checks]), checks)


def _overall(verdicts: Sequence[Verdict]) -> Verdict:
    if "fail" in verdicts:
        return "fail"
    return "inconclusive" if "inconclusive" in verdicts else "pass"


@dataclass(frozen=True, slots=True)
class _Limit:
    """A limit to hold something to; the attributes are those of a check."""

    name: str
    what: str
    unit: str
    limit: float
    target: str | None = None

    def check(self, verdict: Verdict, reason: str) -> Check:
        """Outcome without figures."""
        return Check(
            self.name, self.what, self.unit, self.limit, verdict, reason, target=self.target
        )


# --- quality -------------------------------------------------------------------------------------


def _quality(
    limits: QualityLimits | None, found: Comparison, own: Quality, if_more: IfMore
) -> Iterator[Check]:
    if limits is None:
        return
    change, metric = found.quality, found.quality.metric
    if limits.max_drop_pp is not None:
        # A drop is the difference with its sign and its ends exchanged.
        drop = _in_pp(Interval(*(0.0 - v for v in (change.difference, change.high, change.low))))
        what = f"drop of {metric} to the baseline"
        limit = _Limit("quality.max_drop_pp", what, "pp", limits.max_drop_pp)
        at = if_more.drop
        yield _sampled(limit, drop, change.n, None if at is None else lambda n: _in_pp(at(n)))
    if limits.min is not None:
        limit = _Limit("quality.min", f"{metric} of the new model", "share", limits.min)
        yield _at_least(limit, own, if_more.own)
    yield from _others(limits.min_other_outputs, found, if_more.others)


def _others(least: float | None, found: Comparison, at: At | None) -> Iterator[Check]:
    """Check of the outputs that labels do not speak of; a model may be destroyed there alone."""
    name = "quality.min_other_outputs"
    what = "agreement of the outputs without labels with the baseline's"
    undecided = Check(name, what, "share", least, "inconclusive", _NO_OUTPUTS)
    agreement = found.other_outputs
    if not found.unjudged_outputs:
        if least is not None:
            yield replace(undecided, verdict="pass", reason="the quality is of all outputs")
    elif agreement is None:
        yield undecided
    elif least is None:
        yield replace(
            undecided,
            reason=_NO_LIMIT,
            value=agreement.value,
            low=agreement.low,
            high=agreement.high,
        )
    else:
        yield _at_least(_Limit(name, what, "share", least), agreement, at)


def _in_pp(share: Interval) -> Interval:
    return Interval(_PP * share.value, _PP * share.low, _PP * share.high)


def _turned(share: Interval) -> Interval:
    """So that a lower bound becomes an upper one."""
    return Interval(-share.value, -share.high, -share.low)


def _at_least(limit: _Limit, found: Quality, at: At | None) -> Check:
    """Check of a share that must not be below a limit."""
    own = Interval(found.value, found.low, found.high)
    turned = replace(limit, limit=-limit.limit)
    check = _sampled(
        turned, _turned(own), found.n, None if at is None else lambda n: _turned(at(n))
    )
    return replace(check, limit=limit.limit, value=own.value, low=own.low, high=own.high)


def _sampled(limit: _Limit, found: Interval, n: int, at: At | None) -> Check:
    """Check of a figure with its 95 % interval from `n` samples."""
    verdict = judge_interval(found.low, found.high, limit.limit)
    needed = None
    if verdict == "inconclusive":
        reason = f"the 95 % interval of {n:,} samples reaches across the limit"
        if at is not None:
            needed = samples_needed(n, limit.limit, at)
            told = "no number of" if needed is None else f"some {needed:,}"
            reason += f"; {told} samples {'would' if needed is None else 'should'} tell"
    else:
        reason = (
            f"the whole 95 % interval is {'within' if verdict == 'pass' else 'beyond'} the limit"
        )
    check = limit.check(verdict, reason)
    return replace(check, value=found.value, low=found.low, high=found.high, samples=needed)


# --- what is known exactly -----------------------------------------------------------------------


def _counts(gate: Gate, found: Comparison) -> Iterator[Check]:
    size, macs = gate.size, gate.macs
    if size is not None:
        plain = ("size.max_bytes", "file size", "B", size.max_bytes)
        yield from _count(*plain, found.size_bytes.b)
        yield from _share("size.max_ratio", "file size", size.max_ratio, found.size_bytes)
        zipped = ("size.max_zip_bytes", "zipped size", "B", size.max_zip_bytes)
        yield from _count(*zipped, found.zip_bytes.b)
        yield from _share("size.max_zip_ratio", "zipped size", size.max_zip_ratio, found.zip_bytes)
    if macs is not None:
        yield from _count("macs.max", "MACs", "MACs", macs.max, found.macs.b)
        yield from _share("macs.max_ratio", "MACs", macs.max_ratio, found.macs)


def _count(name: str, what: str, unit: str, limit: int | None, value: int) -> Iterator[Check]:
    if limit is not None:
        yield _exact(_Limit(name, what, unit, limit), value)


def _share(name: str, what: str, limit: float | None, both: Both) -> Iterator[Check]:
    if limit is not None:
        yield _ratio(_Limit(name, f"{what}{_OVER}", "ratio", limit), both)


def _ratio(limit: _Limit, both: Both) -> Check:
    if both.a == 0 and both.b != 0:
        return limit.check("inconclusive", "the baseline has none")
    return _exact(limit, both.b / both.a if both.a else 1.0)


def _exact(limit: _Limit, value: float) -> Check:
    within = value <= limit.limit
    check = limit.check(*(("pass", "within the limit") if within else ("fail", "over the limit")))
    return replace(check, value=value)


# --- what is estimated ---------------------------------------------------------------------------


def _instructions(limits: InstructionLimits, found: Comparison) -> Iterator[Check]:
    pair, what = _pair(found, limits.target), "estimated instructions"
    count = pair.b.instructions
    if limits.max is not None:
        off = 1 + pair.b.error_ratio
        limit = _Limit("instructions.max", what, "instructions", limits.max, limits.target)
        low, high = round(count / off), round(count * off)
        yield replace(_predicted(limit, low, high, _COUNT_IT), value=count)
    if limits.max_ratio is not None:
        name = "instructions.max_ratio"
        limit = _Limit(name, f"{what}{_OVER}", "ratio", limits.max_ratio, limits.target)
        known = _baseline(pair)
        if isinstance(known, str):
            yield limit.check("inconclusive", known)
            return
        ratio, off = count / max(known.instructions, 1), _ratio_is_off_by(known, pair.b)
        check = _predicted(limit, ratio / off, ratio * off, _COUNT_IT)
        yield replace(check, value=ratio)


def _latency(limits: LatencyLimits, found: Comparison) -> Check:
    latency = _pair(found, limits.target).b.latency_us
    limit = _Limit("latency.max_us", "estimated latency", "us", limits.max_us, limits.target)
    return _predicted(limit, latency.low, latency.high, _MEASURE_LATENCY)


def _energy(limits: EnergyLimits, found: Comparison) -> Iterator[Check]:
    pair, what = _pair(found, limits.target), "estimated energy of an inference"
    if limits.max_uj is not None:
        energy = pair.b.energy_uj
        limit = _Limit("energy.max_uj", what, "uJ", limits.max_uj, limits.target)
        yield _predicted(limit, energy.low, energy.high, _MEASURE_ENERGY)
    if limits.max_ratio is not None:
        limit = _Limit(
            "energy.max_ratio", f"{what}{_OVER}", "ratio", limits.max_ratio, limits.target
        )
        known = _baseline(pair)
        yield (
            limit.check("inconclusive", known)
            if isinstance(known, str)
            else _predicted(limit, *_energy_ratios(known, pair.b), _MEASURE_ENERGY)
        )


def _energy_ratios(a: PredictedCost, b: PredictedCost) -> tuple[float, float]:
    """Ratios of the two ranges' ends, which have the same causes: the board's clock and power.

    The lower end is a whole microjoule too, so that of a small model may be 0 and tell nothing.
    """
    high = b.energy_uj.high / max(a.energy_uj.high, 1)
    low = b.energy_uj.low / a.energy_uj.low if a.energy_uj.low else high
    off = _ratio_is_off_by(a, b)
    return min(low, high) / off, max(low, high) * off


def _ratio_is_off_by(a: PredictedCost, b: PredictedCost) -> float:
    """Factor by which the ratio of two instruction counts may be off, their errors independent."""
    return 1.0 if a == b else math.exp(math.hypot(*map(math.log1p, (a.error_ratio, b.error_ratio))))


def _pair(found: Comparison, target: str) -> PredictedPair:
    return next(pair for pair in found.predicted if pair.target == target)


def _predicted(limit: _Limit, low: float, high: float, remedy: str) -> Check:
    """Check of an estimate that is a range."""
    verdict = judge_interval(low, high, limit.limit)
    reason = {
        "pass": "the whole estimated range is within the limit",
        "fail": "the whole estimated range is beyond the limit",
        "inconclusive": f"the estimated range reaches across the limit: {remedy}",
    }[verdict]
    return replace(limit.check(verdict, reason), low=low, high=high)


def _of_the_whole(check: Check, found: Comparison) -> Check:
    """A check of an estimate, which tells nothing where it is of a part of the model alone."""
    if check.target is None:
        return check
    pair = _pair(found, check.target)
    if not pair.b.partial and (pair.a is None or not pair.a.partial):
        return check
    reason = f"loops or branches run inner graphs, which are in no prediction: {_MEASURE_IT}"
    return replace(check, verdict="inconclusive", reason=reason, value=None, low=None, high=None)


def _baseline(pair: PredictedPair) -> PredictedCost | str:
    """The baseline's estimate, or why there is none to set the new one against."""
    if pair.a is None:
        return f"the earlier comparison predicted nothing for {pair.target}: run it with this gate"
    return pair.a if pair.a.basis == pair.b.basis else _OTHER_BASIS
