"""Figures of a build report as text for people; used by the terminal and by the HTML report."""

from dataclasses import dataclass

from green_edge.core.report import BuildReport, Candidate, Guard, Quality
from green_edge_wire.units import KIB_BYTES, MIB_BYTES

_PERCENT = 100.0


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
        "share of samples whose best class is the float model's; says nothing of right and wrong, "
        "as no labels were given",
    ),
    "fidelity-closeness": Metric(
        "Closeness to the float model",
        "1 less the root-mean-square difference to the float model's output in units of its "
        "standard deviation; says nothing of right and wrong, as no labels were given",
    ),
}


def metric(name: str) -> Metric:
    """Title and meaning of a metric."""
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


def sentence(note: str) -> str:
    """A note as a sentence: a capital at the start, a full stop at the end."""
    return note[:1].upper() + note[1:].rstrip(".") + "."


def summary(report: BuildReport) -> str:
    """Say in a sentence or two what was built and how it compares."""
    before, after = report.float_model, report.chosen
    name = metric(after.quality.metric).title
    return (
        f"The int8 model takes {size(after.size_bytes)} where the float model takes "
        f"{size(before.size_bytes)} ({change(before.size_bytes, after.size_bytes)}). "
        f"{name}: {percent(after.quality.value)} against {percent(before.quality.value)}."
    )


def guard_sentence(guard: Guard) -> str:
    """Say what the guard found."""
    found = (
        f"Float minus int8, paired on the same {count(guard.n)} samples: {points(guard.drop_pp)} "
        f"percentage points (95 % interval {points(guard.low_pp)} to {points(guard.high_pp)}; "
        f"positive is worse). Allowed: {guard.max_drop_pp:g}."
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


def rows(report: BuildReport) -> tuple[Candidate, ...]:
    """The float model and the candidates, in the order of tables."""
    return (report.float_model, *report.candidates)
