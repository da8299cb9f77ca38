"""Runs a build: conversion, candidates, measured choice, guard, bundles, report."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from green_edge.build import assemble, budget, delivery, outputs, report_html, version
from green_edge.build.assemble import FLOAT, Outcome
from green_edge.build.auto import Hunt
from green_edge.build.candidates import RankLayers, Workbench, worst_layers
from green_edge.build.compressor import Compressor, OpenPasses
from green_edge.build.contest import Team, contest, need_one, tried
from green_edge.build.delivery import Delivery
from green_edge.build.measure import Court, Trial
from green_edge.build.options import BuildOptions, Progress, quietly
from green_edge.build.plan import REPORT_HTML, REPORT_JSON, Plan, candidate_name, make_plan
from green_edge.build.quiet import greet_unheard
from green_edge.build.record import record_of
from green_edge.build.shrink import Shrinker
from green_edge.build.shrunk import Shrunk, shrink_team
from green_edge.build.step_cache import StepCache, steps_folder
from green_edge.build.subjects import Job, Steps, make_subjects
from green_edge.build.tools import OpenTools
from green_edge.bundle.keys import SigningKey
from green_edge.convert.converters import Converters
from green_edge.core.recipe import Method
from green_edge.core.report import BuildReport, Candidate, CostShare, Guard, SearchReport
from green_edge.core.steps import Step
from green_edge.evaluate import latency
from green_edge_wire import __version__, codec
from green_edge_wire.clock import Clock, SystemClock
from green_edge_wire.errors import ModelError
from green_edge_wire.units import s_from_ns


def build(  # noqa: PLR0913 - what a test puts in the place of converters and trainers
    options: BuildOptions,
    signer: SigningKey,
    progress: Progress = quietly,
    clock: Clock | None = None,
    *,
    opened: OpenTools = Converters,
    rank: RankLayers = worst_layers,
    passes: OpenPasses = Compressor,
    cache: Path | None = None,
) -> BuildReport:
    """Build a model for its targets; the files are written whatever the guard says.

    Args:
        options: what to build.
        signer: signs the bundles.
        progress: told of each step.
        clock: of the durations in the report.
        opened: gives the converters.
        rank: orders layers by the harm that int8 does them.
        passes: gives what shrinks a Keras model.
        cache: folder for finished steps; by default in the user's cache folder.

    Raises:
        ConfigError: options or data sets that do not fit.
        ModelError: a model that cannot be read, converted or run.
        GreenEdgeError: the results cannot be written.
    """
    clock = clock or SystemClock()
    start_ns = clock.monotonic_ns()
    plan = make_plan(options)
    outputs.check_writable(options.out)
    versions = version.load_versions(options.out)
    with (
        tempfile.TemporaryDirectory(prefix="green-edge-") as folder,
        opened(Path(folder), timeout_s=options.timeout_s, custom=options.custom) as tools,
    ):
        job = Job(options, plan, tools, rank, Steps(progress, _count(plan)))
        outcome = _choose(job, clock, start_ns, Shrinking(Path(folder), passes, cache))
    job.tell("measuring latency on this machine")
    latency_us = _latency(outcome)
    job.tell("signing and writing")
    deliveries = delivery.deliver(job, outcome.best.content)
    model_sha256 = delivery.digest(deliveries)
    number = version.next_version(versions, options.name, model_sha256, options.model_version)
    records = assemble.candidates(options, outcome, latency_us)
    draft = _draft(job, outcome, records, deliveries, number)
    draft = replace(draft, steps=assemble.steps(outcome, records))
    record = record_of(draft)
    bundles = delivery.bundles(job, outcome, deliveries, number, record, signer)
    report = replace(
        draft,
        targets=delivery.artefacts(deliveries, bundles),
        record_sha256=delivery.sha256(record),
        wall_s=round(s_from_ns(clock.monotonic_ns() - start_ns), 3),
    )
    state = version.with_build(versions, options.name, version.LastBuild(number, model_sha256))
    # The state goes first: a build cut short here skips a number, it never gives one out twice.
    files = {version.FILE_NAME: _json(state)} | _models(options, outcome, deliveries) | bundles
    files |= {REPORT_JSON: _json(report), REPORT_HTML: report_html.render(report).encode()}
    outputs.write_files(options.out, files, gone=delivery.outdated(deliveries))
    return report


@dataclass(frozen=True, slots=True)
class Shrinking:
    """What shrinking takes, should the recipe ask for it."""

    folder: Path
    passes: OpenPasses
    cache: Path | None


def _count(plan: Plan) -> int:
    """Steps of the progress: a model is converted, quantized by each method, and judged."""
    models = 1 + len(plan.folds)
    steps = models * (1 + len(plan.at_once)) + len(plan.at_once) + 3
    if plan.shrinks:
        steps += models * (1 + len(plan.methods)) + len(plan.methods)
    return steps


def _choose(job: Job, clock: Clock, start_ns: int, shrinking: Shrinking) -> Outcome:
    """Make, judge and repair candidates."""
    main, judges = make_subjects(job)
    greet_unheard(main.subject.float_model.content)
    job.tell("judging the float model")
    team = Team(main, judges)
    court = _court(job, team)
    baseline = _baseline(job, court, main) if job.plan.shrinks else None
    shrunk, search, steps = _shrunk(job, court, team, shrinking, clock)
    start_ns = start_ns if baseline is None else clock.monotonic_ns()
    if shrunk is None:
        found = contest(job, court, team, clock)
    else:
        own = _court(job, shrunk.team, before=court, of=shrunk.name)
        found = contest(job, own, shrunk.team, clock, shrunk=True)
        if search is not None and found.guard.verdict != "pass":
            plain = contest(job, court, team, clock)
            if _rank(plain.guard) < _rank(found.guard):
                search = replace(search, chosen=None, why=_unheld(search, found.guard))
                found, shrunk, steps = plain, None, ()
    plain_int8 = {trial.method: trial for trial in found.first}
    return Outcome(
        main=main.subject,
        judges=tuple(bench.subject for bench in judges),
        reference=court.reference,
        contest=found,
        baseline=baseline or plain_int8.get(Method("tf"), found.first[0]),
        shrunk=shrunk,
        search=search,
        steps=steps,
        quantizing_s=round(s_from_ns(found.started_ns - start_ns), 3),
    )


def _court(job: Job, team: Team, before: Court | None = None, of: str = "") -> Court:
    return Court(team.main, team.judges, job.options, before=before, of=of)


def _baseline(job: Job, court: Court, main: Workbench) -> Trial:
    """Int8 of the model as it came in, by the first of the methods that gives it."""
    failures: dict[Method, ModelError] = {}
    for method in job.plan.methods:
        made, failed = tried(job, court, (method,))
        if made:
            return made[0]
        failures |= failed
    need_one((), failures, main.subject.source.path)
    raise AssertionError("unreachable")


def _shrunk(
    job: Job, court: Court, team: Team, shrinking: Shrinking, clock: Clock
) -> tuple[Shrunk | None, SearchReport | None, tuple[Step, ...]]:
    """The team after the recipe's steps, or after those that a search finds."""
    recipe = job.options.recipe
    search, steps = job.options.replay, recipe.steps
    if not job.plan.shrinks:
        return None, search, steps
    cache = StepCache(shrinking.cache or steps_folder())
    with shrinking.passes(shrinking.folder, job.options.timeout_s) as passes:
        shrinker = Shrinker(job, passes, cache, shrinking.folder, clock)
        if job.plan.searches:
            steps, search = Hunt(job, shrinker, team.main, cache.folder, clock).run()
        if not steps:
            return None, search, steps
        return shrink_team(job, shrinker, court, team, recipe.name, steps), search, steps


def _unheld(search: SearchReport, guard: Guard) -> str:
    return (
        f"the search chose {search.chosen}, whose drop on the samples of the verdict, "
        f"{guard.drop_pp:+.2f} pp (95 % interval {guard.low_pp:+.2f} to {guard.high_pp:+.2f}), is "
        "not surely within what is allowed, so the unchanged model ships"
    )


def _rank(guard: Guard) -> int:
    return ("pass", "inconclusive", "fail").index(guard.verdict)


def _latency(outcome: Outcome) -> dict[str, float]:
    """Median by recipe, of what a reader compares: not of every rung."""
    models = {FLOAT: outcome.main.float_model.content}
    compared = (outcome.baseline, *outcome.contest.first, outcome.best)
    models |= {trial.name: trial.content for trial in compared}
    return {name: round(value, 3) for name, value in latency.medians_us(models).items()}


def _draft(
    job: Job,
    outcome: Outcome,
    records: Mapping[str, Candidate],
    deliveries: Sequence[Delivery],
    number: int,
) -> BuildReport:
    """The report as far as it is known before the bundles are made, without its steps."""
    options, plan = job.options, job.plan
    plain, chosen = records[outcome.baseline.name], records[outcome.best.name]
    found = budget.predicted(plan.targets, outcome.baseline.content, outcome.best.content)
    return BuildReport(
        tool_version=__version__,
        seed=options.seed,
        model=assemble.model_ref(options, plan, number),
        targets=(),
        float_model=records[FLOAT],
        int8_baseline=plain,
        chosen=replace(chosen, file=_file_of(outcome.best.content, deliveries) or chosen.file),
        candidates=tuple(records[each.name] for each in outcome.candidates),
        guard=outcome.contest.guard,
        steps=(),
        wall_s=0.0,
        folds=len(plan.folds) or 1,
        notes=(
            *assemble.notes(plan, outcome),
            *_unsearched(job),
            *budget.doubts(found, _foreseen(plan, outcome)),
            *delivery.notes(deliveries),
        ),
        tools=assemble.tools(),
        recipe_used=replace(options.recipe, steps=outcome.steps),
        search=outcome.search,
        predicted=found,
        budget=budget.lines(options.recipe.budget, plain, chosen, found) or None,
    )


def _foreseen(plan: Plan, outcome: Outcome) -> CostShare | None:
    """Cost that the passes foresaw; None where they priced another target, or layers are wide."""
    first = plan.targets[0]
    if outcome.shrunk is None or budget.priced(plan.targets) is not first:
        return None
    return None if outcome.best.method.wide else outcome.shrunk.stages[-1].taken.reply.share


def _unsearched(job: Job) -> tuple[str, ...]:
    """Why a recipe that searches did not."""
    if job.options.recipe.search is None or job.plan.divides:
        return ()
    told = f"only Keras models can be shrunk, and this one is {job.plan.source.format}"
    return (f"{told}: it was quantized alone, without a search",)


def _file_of(model: bytes, deliveries: Sequence[Delivery]) -> str | None:
    """The delivered file that is the chosen candidate byte for byte."""
    return next((made.file for made in deliveries if made.made.model == model), None)


def _models(
    options: BuildOptions, outcome: Outcome, deliveries: Sequence[Delivery]
) -> dict[str, bytes]:
    """Files of the delivered models, and of all candidates for comparison."""
    files = {candidate_name(options, FLOAT): outcome.main.float_model.content}
    for each in outcome.candidates:
        files[candidate_name(options, each.name)] = each.content
    for made in deliveries:
        files |= made.models()
    return files


def _json(record: object) -> bytes:
    return codec.dumps(record, indent=2).encode() + b"\n"
