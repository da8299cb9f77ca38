"""Figures as text for people; used by the terminal and by the HTML pages."""

from dataclasses import dataclass

from green_edge.core.report import (
    BudgetLine,
    BuildReport,
    Candidate,
    Guard,
    Quality,
    SearchReport,
    StepReport,
    TrialReport,
)
from green_edge.tflite.model import TfliteModel
from green_edge_wire.units import KIB_BYTES, MIB_BYTES

_PERCENT = 100.0
_NAME_CHARS = 34


@dataclass(frozen=True, slots=True)
class Metric:
    """What a quality metric is called and what it means."""

    title: str
    meaning: str


_METRICS = {
    "accuracy": Metric(
        "Accuracy", "share of evaluation samples whose best class is the labelled one"
    ),
    "closeness": Metric(
        "Closeness to the targets",
        "1 less the root-mean-square error of a sample in units of the targets' standard deviation",
    ),
    "fidelity": Metric(
        "Agreement with the float model",
        "share of samples whose best class is the float model's, in every output; says nothing of "
        "right and wrong, as no labels were given",
    ),
    "fidelity-closeness": Metric(
        "Closeness to the float model",
        "1 less the root-mean-square difference to the float model's output in units of its "
        "standard deviation; of several outputs the worst one counts, and one of class "
        "probabilities by its best class; says nothing of right and wrong, as no labels were given",
    ),
    "f1": Metric(
        "F1", "of class 1 where a single sigmoid tells two, else the mean of F1 over the classes"
    ),
    "auc": Metric(
        "Area under the ROC curve",
        "share of pairs of a sample of a class and one of another that the output ranks rightly, "
        "mean over the classes",
    ),
    "r2": Metric(
        "R squared", "1 less the mean squared error in units of the variance of the targets"
    ),
}


def metric(name: str) -> Metric:
    """Title and meaning of a metric."""
    if name.startswith("top-"):
        best = name.removeprefix("top-")
        meaning = f"share of evaluation samples whose labelled class is among the {best} best"
        return Metric(f"Top-{best} accuracy", meaning)
    return _METRICS.get(name, Metric(name, "mean score of the evaluation samples"))


def percent(ratio: float) -> str:
    """A share such as `98.78 %`."""
    return f"{ratio * _PERCENT:.2f} %"


def interval(quality: Quality) -> str:
    """A quality's 95 % interval such as `98.15 to 99.19 %`."""
    return f"{quality.low * _PERCENT:.2f} to {quality.high * _PERCENT:.2f} %"


def points(drop_pp: float) -> str:
    """A difference in percentage points, signed, such as `-0.06`."""
    # Adding 0.0 turns a rounded -0.0 into 0.0.
    return f"{round(drop_pp, 2) + 0.0:+.2f}"


def size(length_bytes: int) -> str:
    """A file size such as `18.0 KiB`."""
    if length_bytes < KIB_BYTES:
        return f"{length_bytes} B"
    if length_bytes < MIB_BYTES:
        return f"{length_bytes / KIB_BYTES:.1f} KiB"
    return f"{length_bytes / MIB_BYTES:.2f} MiB"


def count(number: int) -> str:
    """A whole number with separators."""
    return f"{number:,}"


def latency(latency_us: float | None) -> str:
    """A latency such as `4.1 us`; a dash where it was not measured."""
    if latency_us is None:
        return "-"
    return f"{latency_us:,.1f} us" if latency_us < 1000 else f"{latency_us / 1000:,.2f} ms"


def change(before: float, after: float) -> str:
    """How much smaller or greater, such as `2.9x smaller`; `same` where it hardly differs."""
    if min(before, after) <= 0 or abs(after / before - 1) < 0.005:
        return "same"
    if after < before:
        return f"{before / after:.2f}x smaller"
    return f"{after / before:.2f}x larger"


def speed(before_us: float, after_us: float) -> str:
    """How much faster or slower, such as `1.5x faster`."""
    return change(before_us, after_us).replace("smaller", "faster").replace("larger", "slower")


def trials(search: SearchReport) -> tuple[TrialReport, ...]:
    """Trials of a search, cheapest first; those that gave no model last."""
    return tuple(sorted(search.trials, key=lambda t: (t.error is not None, t.share or 1.0)))


def searched(search: SearchReport) -> str:
    """What a search went by and how long it took."""
    where = f" predicted for {search.target}" if search.target else ""
    return (
        f"{len(search.trials)} trials in {search.spent_s / 60:.1f} of {search.budget_s / 60:g} "
        f"minutes, by {search.measure}{where}, selected on {count(search.selected_n)} samples that "
        "do not judge the result"
    )


def sentence(note: str) -> str:
    """A note as a sentence: a capital at the start, a full stop at the end."""
    return note[:1].upper() + note[1:].rstrip(".") + "."


def summary(report: BuildReport) -> str:
    """Say in a sentence or two what was built and how it compares."""
    before, after = report.float_model, report.chosen
    name = metric(after.quality.metric).title
    beside = shrunk(report)
    return (
        f"The int8 model takes {size(after.size_bytes)} where the float model takes "
        f"{size(before.size_bytes)} ({change(before.size_bytes, after.size_bytes)}). "
        f"{name}: {percent(after.quality.value)} against {percent(before.quality.value)}."
        f"{' ' if beside else ''}{beside}"
    )


def shrunk(report: BuildReport) -> str:
    """Say how a shrunk model compares with plain int8; empty where none was shrunk."""
    if not shrinking(report):
        return ""
    plain, after = report.int8_baseline, report.chosen
    found = (
        f"Against plain int8 of the unchanged model: MACs {change(plain.macs, after.macs)}, "
        f"file {change(plain.size_bytes, after.size_bytes)}, "
        f"zipped {change(plain.zip_bytes, after.zip_bytes)}"
    )
    if report.predicted is None:
        return f"{found}."
    left = report.predicted.share
    return (
        f"{found}; on {report.predicted.target} the cost model predicts "
        f"{share(left.instructions_ratio)} of its instructions and "
        f"{share(left.energy_ratio)} of its energy."
    )


def guard_sentence(guard: Guard) -> str:
    """Say what the guard found."""
    widened = f" widened for {guard.looks} looks:" if guard.looks > 1 else ""
    found = (
        f"Float minus int8, paired on the same {count(guard.n)} samples: {points(guard.drop_pp)} "
        f"percentage points (95 % interval{widened} {points(guard.low_pp)} to "
        f"{points(guard.high_pp)}; positive is worse). Allowed: {guard.max_drop_pp:g}."
    )
    return f"{found} {_VERDICTS[guard.verdict]}"


_VERDICTS = {
    "pass": "The whole interval is within what is allowed.",
    "fail": "The whole interval is beyond what is allowed.",
    "inconclusive": (
        "The interval reaches across the limit: more evaluation samples are needed to tell."
    ),
}


def provenance(report: BuildReport) -> tuple[tuple[str, str], ...]:
    """How each figure was obtained, as pairs of a figure and an explanation."""
    quality = report.chosen.quality
    title = metric(quality.metric).title
    folds = (
        f" Pooled over {report.folds} cross-fitted folds: the same recipe on a model a fold, each "
        "judged on samples that it was not trained on. The shipped file comes from the main model."
        if report.folds > 1
        else ""
    )
    method = "Wilson's score interval" if _binary(quality) else "Student's t interval of the mean"
    paired = "Tango's score interval" if _binary(quality) else "Student's t interval"
    runtime = report.tools.get("ai-edge-litert", "")
    meaning = metric(quality.metric).meaning
    explained = {
        title: (
            f"{meaning}; {count(quality.n)} samples, run by the runtime that devices use "
            f"(ai-edge-litert {runtime}). 95 % interval: {method}.{folds}"
        ),
        "Guard": (
            "the difference on the same samples, so that what both models get wrong cancels out; "
            f"95 % interval for paired data: {paired}"
        ),
        "Size": "bytes of the .tflite file; zipped: after zlib level 9",
        "MACs": "multiply-accumulates of one inference, counted from the tensor shapes",
        "Parameters": "weights and biases in the file, shared ones once",
        "Latency on this machine": (
            "median of 100 runs, one thread, all models measured in turn, on the machine that "
            "built them; no forecast for a board, where int8 may be faster though slower here"
        ),
    }
    return tuple((name, sentence(how)) for name, how in explained.items())


def _binary(quality: Quality) -> bool:
    return quality.metric in {"accuracy", "fidelity"}


_LIMITS = {
    "max_macs_ratio": "MACs",
    "max_instructions_ratio": "predicted instructions",
    "max_energy_ratio": "predicted energy",
    "max_size_ratio": "file size",
}


def limit(line: BudgetLine) -> str:
    """A limit and what was reached, such as `MACs 41.0 % of plain int8's, allowed 30.0 %`."""
    if line.limit == "max_size_bytes":
        return f"file size {size(round(line.found))}, allowed {size(round(line.allowed))}"
    name = _LIMITS[line.limit]
    return f"{name} {share(line.found)} of plain int8's, allowed {share(line.allowed)}"


def share(ratio: float) -> str:
    """A share such as `41.3 %`."""
    return f"{ratio * _PERCENT:.1f} %"


def rows(report: BuildReport) -> tuple[Candidate, ...]:
    """The float model, the candidates tried at once and the shipped one, in the order of tables."""
    repaired = {step.recipe for step in rungs(report)} - {report.chosen.recipe}
    return (report.float_model, *(c for c in report.candidates if c.recipe not in repaired))


def rungs(report: BuildReport) -> tuple[StepReport, ...]:
    """Steps of the repair ladder."""
    after = report.steps[len(shrinking(report)) + 1 :]
    return tuple(step for step in after if step.recipe is not None or step.skipped)


def shrinking(report: BuildReport) -> tuple[StepReport, ...]:
    """Steps that shrank the Keras model before it was quantized."""
    return tuple(step for step in report.steps if step.plan is not None)


def quantizing(report: BuildReport) -> StepReport:
    """The step that made the first int8 model."""
    return report.steps[len(shrinking(report))]


def label(report: BuildReport, recipe: str) -> str:
    """A recipe's name for tables; that of a repaired model is too long for them."""
    return "repaired" if recipe in {step.recipe for step in rungs(report)} else recipe


def gain(step: StepReport) -> str:
    """What a rung gained in percentage points; a dash where it was not taken."""
    return "-" if step.gained_pp is None else f"{points(step.gained_pp)} pp"


def fate(step: StepReport) -> str:
    """What became of a rung, with the number of layers that it left alone."""
    if step.kept is None:
        return "not taken"
    word = "kept" if step.kept else "dropped"
    return f"{word}, {len(step.skipped)} skipped" if step.skipped else word


def untaken(report: BuildReport) -> tuple[str, ...]:
    """Rungs of the ladder that were come to and not taken, with the reason of each."""
    return tuple(
        f"{skip.layer} was not taken: {skip.reason}"
        for step in rungs(report)
        if step.kept is None
        for skip in step.skipped
    )


def skipped(step: StepReport, most: int = 8) -> tuple[str, ...]:
    """The first of the layers that a step left alone, by short names."""
    shown = [f"{short_name(skip.layer)}: {skip.reason}" for skip in step.skipped[:most]]
    left = len(step.skipped) - most
    return (*shown, *([f"and {left} more, in build-report.json"] if left > 0 else []))


def ladder(report: BuildReport) -> str:
    """Say why the ladder was climbed and how far it led."""
    first = quantizing(report).quality or report.chosen.quality
    gained_pp = (report.chosen.quality.value - first.value) * _PERCENT
    return (
        f"The best of the first candidates did not pass the guard, so repairs were tried in turn, "
        f"each compared with the best so far: {percent(first.value)} became "
        f"{percent(report.chosen.quality.value)} ({points(gained_pp)} pp)."
    )


def zeros_counted(model: TfliteModel) -> tuple[str, ...]:
    """What to know of a model's figures where weights are stored without their zeros."""
    stored = model.sparse_kernels
    kernels = "1 kernel is" if stored == 1 else f"{stored} kernels are"
    note = f"{kernels} stored without zeros, which parameters and MACs count all the same"
    return (note,) if stored else ()


def short_name(name: str, most: int = _NAME_CHARS) -> str:
    """The telling end of a tensor's name.

    Converters join the names of all operations that they fused by `;`, each with its scopes.
    """
    first = name.partition(";")[0]
    parts = [part for part in first.split("/") if part]
    short = "/".join(parts[-2:]) or first
    return short if len(short) <= most else ".." + short[-(most - 2) :]
