"""Runs a build: conversion, candidates, measured choice, guard, bundles, report."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from green_edge.build import assemble, delivery, outputs, report_html, version
from green_edge.build.assemble import FLOAT, Outcome
from green_edge.build.candidates import RankLayers, worst_layers
from green_edge.build.delivery import Delivery
from green_edge.build.measure import Court, Trial
from green_edge.build.options import BuildOptions, Progress, quietly
from green_edge.build.plan import (
    REPORT_HTML,
    REPORT_JSON,
    candidate_name,
    make_plan,
    means_of,
)
from green_edge.build.quiet import greet_unheard
from green_edge.build.record import record_of
from green_edge.build.repair import Climb
from green_edge.build.subjects import Job, Steps, make_subjects, untrainable
from green_edge.build.tools import OpenTools
from green_edge.bundle.keys import SigningKey
from green_edge.convert.converters import Converters
from green_edge.core.recipe import Method
from green_edge.core.report import BuildReport, Candidate
from green_edge.evaluate import latency
from green_edge.search.choice import choose
from green_edge_wire import __version__, codec
from green_edge_wire.clock import Clock, SystemClock
from green_edge_wire.errors import ModelError
from green_edge_wire.units import s_from_ns


def build(
    options: BuildOptions,
    signer: SigningKey,
    progress: Progress = quietly,
    clock: Clock | None = None,
    *,
    opened: OpenTools = Converters,
    rank: RankLayers = worst_layers,
) -> BuildReport:
    """Build a model for its targets; the files are written whatever the guard says.

    Args:
        options: what to build.
        signer: signs the bundles.
        progress: told of each step.
        clock: of the durations in the report.
        opened: gives the converters.
        rank: orders layers by the harm that int8 does them.

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
    steps = (1 + len(plan.folds)) * (1 + len(plan.methods)) + len(plan.methods) + 3
    with (
        tempfile.TemporaryDirectory(prefix="green-edge-") as folder,
        opened(Path(folder), timeout_s=options.timeout_s) as tools,
    ):
        job = Job(options, plan, tools, rank, Steps(progress, steps))
        outcome, quantizing_s = _choose(job, clock, start_ns)
    job.tell("measuring latency on this machine")
    latency_us = _latency(outcome)
    job.tell("signing and writing")
    deliveries = delivery.deliver(job, outcome.best.content)
    model_sha256 = delivery.digest(deliveries)
    number = version.next_version(versions, options.name, model_sha256, options.model_version)
    records = assemble.candidates(options, outcome, latency_us)
    draft = _draft(job, outcome, records, deliveries, number)
    draft = replace(draft, steps=assemble.steps(outcome, records, quantizing_s))
    record = record_of(draft)
    bundles = delivery.bundles(job, outcome, deliveries, number, record, signer)
    report = replace(
        draft,
        targets=delivery.artefacts(deliveries, bundles),
        record_sha256=delivery.sha256(record),
        wall_s=round(s_from_ns(clock.monotonic_ns() - start_ns), 3),
    )
    last = version.LastBuild(number, model_sha256)
    state = version.with_build(versions, options.name, last)
    # The state goes first: a build cut short here skips a number, it never gives one out twice.
    files = {version.FILE_NAME: _json(state)} | _models(options, outcome, deliveries) | bundles
    files |= {REPORT_JSON: _json(report), REPORT_HTML: report_html.render(report).encode()}
    outputs.write_files(options.out, files, gone=delivery.outdated(deliveries))
    return report


def _choose(job: Job, clock: Clock, start_ns: int) -> tuple[Outcome, float]:
    """Make, judge and repair candidates; with the seconds until the first choice."""
    main, judges = make_subjects(job)
    greet_unheard(main.subject.float_model.content)
    job.tell("judging the float model")
    court = Court(main, judges, job.options.labels, job.options.max_drop_pp)
    first, failures = _first(job, court)
    assemble.need_one(first, failures, main.subject.source.path)
    trials = {trial.method: trial for trial in first}
    start = trials[choose({method: trial.figures for method, trial in trials.items()})]
    quantizing_s = s_from_ns(clock.monotonic_ns() - start_ns)
    labelled = all(bench.subject.sets.labelled for bench in judges)
    means = means_of(job.plan, untrainable((main, *judges)), failures, labelled=labelled)
    climb = Climb(job, main, court, start, means, clock)
    climb.run()
    outcome = Outcome(
        main=main.subject,
        judges=tuple(bench.subject for bench in judges),
        reference=court.reference,
        first=tuple(first),
        failures=failures,
        start=start,
        steps=tuple(climb.steps),
        best=climb.best,
        guard=climb.guard,
    )
    return outcome, round(quantizing_s, 3)


def _first(job: Job, court: Court) -> tuple[list[Trial], dict[Method, ModelError]]:
    first: list[Trial] = []
    failures: dict[Method, ModelError] = {}
    for method in job.plan.methods:
        job.tell(f"judging {method.name}")
        try:
            first.append(court.try_method(method))
        except ModelError as error:
            failures[method] = error
    return first, failures


def _latency(outcome: Outcome) -> dict[str, float]:
    """Median by recipe, of what a reader compares: not of every rung."""
    models = {FLOAT: outcome.main.float_model.content}
    models |= {trial.method.name: trial.content for trial in (*outcome.first, outcome.best)}
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
    tried = [records[trial.method.name] for trial in outcome.trials]
    chosen = records[outcome.best.method.name]
    return BuildReport(
        tool_version=__version__,
        seed=options.seed,
        model=assemble.model_ref(options, plan, number),
        targets=(),
        float_model=records[FLOAT],
        int8_baseline=records.get(Method("tf").name, tried[0]),
        chosen=replace(chosen, file=_file_of(outcome.best.content, deliveries) or chosen.file),
        candidates=tuple(tried),
        guard=outcome.guard,
        steps=(),
        wall_s=0.0,
        folds=len(plan.folds) or 1,
        notes=(*assemble.notes(plan, outcome), *delivery.notes(deliveries)),
        tools=assemble.tools(),
        recipe_used=options.recipe,
    )


def _file_of(model: bytes, deliveries: Sequence[Delivery]) -> str | None:
    """The delivered file that is the chosen candidate byte for byte."""
    return next((made.file for made in deliveries if made.made.model == model), None)


def _models(
    options: BuildOptions, outcome: Outcome, deliveries: Sequence[Delivery]
) -> dict[str, bytes]:
    """Files of the delivered models, and of all candidates for comparison."""
    files = {candidate_name(options, FLOAT): outcome.main.float_model.content}
    for trial in outcome.trials:
        files[candidate_name(options, trial.method.name)] = trial.content
    for made in deliveries:
        files |= made.models()
    return files


def _json(record: object) -> bytes:
    return codec.dumps(record, indent=2).encode() + b"\n"
