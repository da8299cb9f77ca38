"""Reports in words for the terminal, 80 columns wide; more than one command prints them."""

import textwrap
from pathlib import Path

from green_edge.build import words
from green_edge.build.plan import REPORT_HTML
from green_edge.cli import render
from green_edge.core.report import BuildReport
from green_edge.telemetry import report_text
from green_edge.telemetry.report import Report


def energy_summary(report: Report) -> str:
    """Latency and energy of a report, with how each figure was obtained."""
    if not report.rows:
        return "no telemetry in this time; 'green-edge devices' shows who has reported"
    lines = report_text.cells(report.rows)
    table = render.table(report_text.HEADERS, lines, right=report_text.ALIGN)
    return "\n".join([table, "", *report_text.notes(report)])


def build_summary(out: Path, report: BuildReport) -> str:
    """Candidates, guard, notes and files of a build."""
    title = words.metric(report.chosen.quality.metric).title.lower()
    rows = [
        [
            ("* " if c.recipe == report.chosen.recipe else "  ") + words.label(report, c.recipe),
            words.percent(c.quality.value),
            words.interval(c.quality),
            words.size(c.size_bytes),
            words.size(c.zip_bytes),
            words.latency(c.latency_us),
        ]
        for c in words.rows(report)
    ]
    headers = ["  model", "quality", "95 % interval", "size", "zipped", "latency"]
    float_model = report.float_model
    legend = (
        f"* shipped. Quality: {title}, {words.count(report.guard.n)} samples. Latency: on this "
        "machine, not on a board."
    )
    notes = "\n".join(_paragraph(words.sentence(note)) for note in report.notes)
    bundles = "\n".join(f"  {out / target.bundle}" for target in report.targets)
    return (
        f"{report.model.name} version {report.model.version}: {words.count(float_model.macs)} MACs,"
        f" {words.count(float_model.params)} parameters\n\n"
        f"{render.table(headers, rows, right='lrrrrr')}\n"
        f"{_paragraph(legend)}\n\n{_search(report)}{_shrinking(report)}{_ladder(report)}"
        f"guard: {report.guard.verdict}\n{_paragraph(words.guard_sentence(report.guard))}\n"
        f"notes:\n{notes}\nbundles:\n{bundles}\nreport: {out / REPORT_HTML}"
    )


def _search(report: BuildReport) -> str:
    """Trials that no other beats, and the choice; empty where there was no search."""
    search = report.search
    if search is None:
        return ""
    rows = [
        [
            ("* " if trial.name == search.chosen else "  ") + trial.name,
            words.share(trial.share or 1.0),
            words.count(trial.macs or 0),
            words.size(trial.size_bytes or 0),
            words.points(trial.guard.drop_pp),
            words.points(trial.guard.high_pp),
        ]
        for trial in words.trials(search)
        if trial.guard is not None and (trial.front or trial.name == search.chosen)
    ]
    headers = ["  trial", "cost left", "MACs", "size", "drop, pp", "at most"]
    table = render.table(headers, rows, right="lrrrrr")
    told = f"{words.sentence(search.why)} {words.sentence(words.searched(search))}"
    return "\n".join(["search", table, _paragraph(told), "", ""])


def _shrinking(report: BuildReport) -> str:
    """Steps that shrank the model; empty where there were none."""
    steps = words.shrinking(report)
    if not steps:
        return ""
    rows = [
        [
            f"  {step.step}",
            words.count(step.params_after),
            words.count(step.macs_after),
            words.size(step.size_bytes_after),
            "-" if step.share is None else words.share(step.share.instructions_ratio),
            "-" if step.quality is None else words.percent(step.quality.value),
        ]
        for step in steps
    ]
    headers = ["  step", "parameters", "MACs", "float file", "instr. left", "quality"]
    limits = [_paragraph(words.sentence(words.limit(line))) for line in report.budget or ()]
    table = render.table(headers, rows, right="lrrrrr")
    return "\n".join(["shrinking", table, _paragraph(words.shrunk(report)), *limits, "", ""])


def _ladder(report: BuildReport) -> str:
    """Rungs of the repair ladder; empty where it was not needed."""
    rungs = words.rungs(report)
    if not rungs:
        return ""
    rows = [
        [
            f"  {step.step}",
            "-" if step.quality is None else words.percent(step.quality.value),
            words.gain(step),
            words.fate(step),
        ]
        for step in rungs
    ]
    table = render.table(["  rung", "quality", "gained", "outcome"], rows, right="lrrl")
    reasons = [_paragraph(reason) for reason in words.untaken(report)]
    shipped = _paragraph(f"Shipped: {report.chosen.recipe}.")
    return "\n".join(
        ["repair ladder", _paragraph(words.ladder(report)), "", table, *reasons, shipped, "", ""]
    )


def _paragraph(sentences: str) -> str:
    return textwrap.fill(
        sentences,
        width=80,
        initial_indent="  ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
