"""The cost model, fitted to emulated counts of generated models.

Writes `toolchain/green_edge/targets/data/costs/`. The errors are those of networks from another
seed than the fit's. Needs what counting needs (docs/estimating.md) and SciPy; the counts are
remembered in the user's cache, so a second run takes a minute.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.cost.counts import (
    SETTINGS,
    for_fit,
    for_verdict,
    instructions,
    of_unknown_batch,
    of_unknown_operations,
    samples,
    shapes,
)
from benchmarks.cost.fitting import fit
from benchmarks.cost.judging import Judged, error_of
from benchmarks.cost.ops import Case
from benchmarks.cost.toml import as_toml
from benchmarks.tables import table
from green_edge.emulate import Setting
from green_edge.targets.cost.model import CostModel, Error, Fitted

NEEDS: tuple[str, ...] = ()
_FOLDER = Path(__file__).parents[1] / "toolchain" / "green_edge" / "targets" / "data" / "costs"
# Instructions; what costs less does not matter to any model.
_LEAST = 1000
_UNJUDGED = Error(0.0, 0.0, 0, 0.0, 0)


@dataclass(frozen=True, slots=True)
class _Verdicts:
    """Models that no fit has seen, by which it is judged."""

    networks: Sequence[Case]
    of_unknown_batch: Sequence[Case]
    of_unknown_ops: Sequence[Case]


def measure() -> dict[str, Any]:
    """Count, fit, judge and write a file for each setting."""
    fitted_on = for_fit()
    verdicts = _Verdicts(for_verdict(), of_unknown_batch(), of_unknown_operations())
    found = {}
    for setting in SETTINGS:
        model = _model(setting, fitted_on, verdicts)
        name = f"{setting.runtime}-{setting.version}-{setting.core}-{setting.arch}"
        (_FOLDER / f"{name}.toml").write_text(as_toml(model), encoding="utf-8")
        found[name] = {
            "models": model.fitted.models,
            "error": asdict(model.error),
            "hybrid_error": asdict(model.hybrid_error),
            "unknown_batch_error": asdict(model.unknown_batch_error),
            "unknown_error": asdict(model.unknown_error),
        }
    return {"settings": found}


def markdown(figures: Mapping[str, Any]) -> str:
    """Errors by setting."""
    head = ["runtime, core", "fitted on", "judged on", "median error", "95th percentile",
            "pairs ordered right"]  # fmt: skip
    rows = [
        [name, str(each["models"]), str(each["error"]["n"]), *_of(each["error"]),
         f"{100 * each['error']['pairs_right_ratio']:.2f} % of {each['error']['pairs']:,}"]
        for name, each in figures["settings"].items()
    ]  # fmt: skip
    others = ["runtime, core", "int8 weights only", "float32, unknown batch", "no rule"]
    others_rows = [
        [name, *(" and ".join(_of(each[kind])) for kind in ("hybrid_error", "unknown_batch_error")),
         _times(each["unknown_error"])]
        for name, each in figures["settings"].items()
    ]  # fmt: skip
    text = (
        "Instructions predicted from shapes against instructions counted, on generated networks "
        "that no fit has seen; the error is the larger over the smaller, less one. Pairs are those "
        "of which the counts differ by more than 10 %."
    )
    wider = (
        "Median and 95th percentile for what is predicted less well: float32 activations with int8 "
        "weights, float32 models that compute a shape as they run, and single operations that "
        "have no rule, as a factor and without what the call costs."
    )
    return f"{text}\n\n{table(head, rows)}\n\n{wider}\n\n{table(others, others_rows)}"


def _of(error: Mapping[str, float]) -> tuple[str, str]:
    return f"{100 * error['median_ratio']:.1f} %", f"{100 * error['p95_ratio']:.1f} %"


def _times(error: Mapping[str, float]) -> str:
    return f"{1 + error['median_ratio']:.0f} and {1 + error['p95_ratio']:.0f} times"


def _model(setting: Setting, fitted_on: Sequence[Case], verdicts: _Verdicts) -> CostModel:
    seen = samples(zip(fitted_on, _counts(fitted_on, setting), strict=True))
    per_inference, kernels = fit(seen)
    fitted = Fitted(
        date=datetime.now(tz=UTC).date().isoformat(),
        command="python -m benchmarks run cost_fit",
        on="instructions counted under qemu-user 7.2, generated models of benchmarks/cost",
        models=len(seen),
    )
    model = CostModel(
        runtime=setting.runtime, version=setting.version, core=setting.core, arch=setting.arch,
        fitted=fitted, error=_UNJUDGED, hybrid_error=_UNJUDGED, unknown_batch_error=_UNJUDGED,
        unknown_error=_UNJUDGED, per_inference=per_inference, kernels=kernels,
    )  # fmt: skip
    judged = _judged(model, setting, verdicts.networks)
    return replace(
        model,
        error=error_of([each for each in judged if each.kind != "hybrid"]),
        hybrid_error=error_of([each for each in judged if each.kind == "hybrid"]),
        unknown_batch_error=error_of(_judged(model, setting, verdicts.of_unknown_batch)),
        unknown_error=error_of(_alone(model, _judged(model, setting, verdicts.of_unknown_ops))),
    )


def _counts(cases: Sequence[Case], setting: Setting) -> list[int | None]:
    return instructions([case.data for case in cases], setting)


def _judged(model: CostModel, setting: Setting, cases: Sequence[Case]) -> list[Judged]:
    return [
        Judged(case.group, case.kind, count, model.predict(shapes(case.data)).instructions)
        for case, count in zip(cases, _counts(cases, setting), strict=True)
        if count is not None
    ]


def _alone(model: CostModel, judged: Sequence[Judged]) -> list[Judged]:
    """Without what the call costs, and without operations that cost next to nothing."""
    net = [
        replace(j, counted=j.counted - model.per_inference,
                predicted=j.predicted - model.per_inference)
        for j in judged
    ]  # fmt: skip
    return [each for each in net if each.counted > _LEAST]
