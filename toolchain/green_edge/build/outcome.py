"""What a finished build means for its caller: nothing, over the budget, or undecided."""

from green_edge.build import words
from green_edge.core.report import BuildReport, Guard
from green_edge.search import ladder
from green_edge_wire.errors import BudgetError, InconclusiveError


def check_guard(report: BuildReport) -> None:
    """Pass on the guard's verdict and the budget's; the files are written in any case.

    Raises:
        BudgetError: quality dropped by more than allowed, or another limit was missed.
        InconclusiveError: the evaluation samples are too few to tell.
    """
    guard = report.guard
    found = (
        f"quality drops by {words.points(guard.drop_pp)} pp (95 % interval "
        f"{words.points(guard.low_pp)} to {words.points(guard.high_pp)}, n = {guard.n})"
    )
    limits = "; ".join(words.limit(line) for line in report.budget or () if not line.met)
    if guard.verdict == "fail":
        besides = f"; budget missed too: {limits}" if limits else ""
        raise BudgetError(
            f"guard failed: {found}, more than the allowed {guard.max_drop_pp:g}{besides}",
            hint=_hint("try more calibration samples", report),
        )
    if limits:
        raise BudgetError(
            f"budget missed: {limits}",
            hint="the files are written, the best that was found; let a step keep less, or allow "
            "more under [budget]",
        )
    if guard.verdict == "inconclusive":
        raise InconclusiveError(
            f"guard inconclusive: {found}, allowed are {guard.max_drop_pp:g}",
            hint=_hint(_remedy(guard), report),
        )


def _remedy(guard: Guard) -> str:
    needed = guard.samples_needed
    # As many as show that the drop is too great are no remedy.
    if needed is None or guard.drop_pp >= guard.max_drop_pp:
        return "give more evaluation samples"
    return f"some {words.count(needed)} evaluation samples should do"


def _hint(remedy: str, report: BuildReport) -> str:
    """What to do: to accept the loss is advice only where no repair is left."""
    if words.shrinking(report) and report.guard.verdict == "fail":
        return (
            "the files are written; let the steps keep more, train longer, or allow more "
            "(--max-drop)"
        )
    left = _left(report)
    more = f"; {'; '.join(left)}" if left else ", or allow more (--max-drop)"
    within = report.guard.drop_pp <= report.guard.max_drop_pp
    return f"the files are written; {remedy}{'' if within else more}"


def _left(report: BuildReport) -> tuple[str, ...]:
    """Repairs that were not tried, and why."""
    if report.recipe_used is None:
        return words.untaken(report)
    names = ", ".join(ladder.rungs(report.recipe_used))
    if not names:
        return (f"the recipe {report.recipe_used.name} has no repairs: try --recipe quantize",)
    if words.rungs(report):
        return words.untaken(report)
    return (f"{names} were not tried, as so few samples cannot show that they help",)
