"""The cost model, fitted to emulated counts of generated models.

Writes `toolchain/green_edge/targets/data/costs/`. The errors are those of networks from another
seed than the fit's. Needs what counting needs (docs/estimating.md) and SciPy; the counts are
remembered in the user's cache, so a second run takes a minute.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.cost.counts import SETTINGS, for_fit, for_verdict, instructions, samples, shapes
from benchmarks.cost.fitting import fit
from benchmarks.cost.judging import Judged, error_of
from benchmarks.cost.ops import Case
from benchmarks.cost.toml import as_toml
from benchmarks.tables import table
from green_edge.emulate import Setting
from green_edge.targets.cost.model import CostModel, Error, Fitted

NEEDS: tuple[str, ...] = ()
_FOLDER = Path(__file__).parents[1] / "toolchain" / "green_edge" / "targets" / "data" / "costs"
_UNJUDGED = Error(0.0, 0.0, 0, 0.0, 0)


def measure() -> dict[str, Any]:
    """Count, fit, judge and write a file for each setting."""
    fitted_on, judged_on = for_fit(), for_verdict()
    found = {}
    for setting in SETTINGS:
        model = _model(setting, fitted_on, judged_on)
        name = f"{setting.runtime}-{setting.version}-{setting.core}-{setting.arch}"
        (_FOLDER / f"{name}.toml").write_text(as_toml(model), encoding="utf-8")
        found[name] = {
            "models": model.fitted.models,
            "error": asdict(model.error),
            "hybrid_error": asdict(model.hybrid_error),
        }
    return {"settings": found}


def markdown(figures: Mapping[str, Any]) -> str:
    """Errors by setting."""
    head = ["runtime, core", "fitted on", "judged on", "median error", "95th percentile",
            "pairs ordered right", "with int8 weights only: median", "95th percentile"]  # fmt: skip
    rows = [
        [name, str(each["models"]), str(each["error"]["n"]),
         *(f"{100 * each['error'][key]:.1f} %" for key in ("median_ratio", "p95_ratio")),
         f"{100 * each['error']['pairs_right_ratio']:.2f} % of {each['error']['pairs']:,}",
         *(f"{100 * each['hybrid_error'][key]:.1f} %" for key in ("median_ratio", "p95_ratio"))]
        for name, each in figures["settings"].items()
    ]  # fmt: skip
    text = (
        "Instructions predicted from shapes against instructions counted, on generated networks "
        "that no fit has seen. Pairs are those of which the counts differ by more than 10 %."
    )
    return f"{text}\n\n{table(head, rows)}"


def _model(setting: Setting, fitted_on: list[Case], judged_on: list[Case]) -> CostModel:
    counts = instructions([case.data for case in (*fitted_on, *judged_on)], setting)
    seen = samples(zip(fitted_on, counts[: len(fitted_on)], strict=True))
    per_inference, kernels = fit(seen)
    fitted = Fitted(
        date=datetime.now(tz=UTC).date().isoformat(),
        command="python -m benchmarks run cost_fit",
        on="instructions counted under qemu-user 7.2, generated models of benchmarks/cost",
        models=len(seen),
    )
    model = CostModel(
        runtime=setting.runtime, version=setting.version, core=setting.core, arch=setting.arch,
        fitted=fitted, error=_UNJUDGED, hybrid_error=_UNJUDGED, per_inference=per_inference,
        kernels=kernels,
    )  # fmt: skip
    judged = [
        Judged(case.group, case.kind, count, model.predict(shapes(case.data)).instructions)
        for case, count in zip(judged_on, counts[len(fitted_on) :], strict=True)
        if count is not None
    ]
    return replace(
        model,
        error=error_of([each for each in judged if each.kind != "hybrid"]),
        hybrid_error=error_of([each for each in judged if each.kind == "hybrid"]),
    )
