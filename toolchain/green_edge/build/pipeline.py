"""Runs a build: conversion, candidates, measured choice, guard, bundles, report."""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from green_edge.build import assemble, outputs, report_html, version
from green_edge.build.assemble import FLOAT, Chosen
from green_edge.build.golden import golden
from green_edge.build.measure import Verdicts, choose, judge
from green_edge.build.options import BuildOptions, Progress, quietly
from green_edge.build.plan import (
    REPORT_HTML,
    REPORT_JSON,
    bundle_name,
    candidate_name,
    make_plan,
    tflite_name,
)
from green_edge.build.quiet import greet_unheard
from green_edge.build.record import record_of
from green_edge.build.subject import RECIPE_NAMES, Subject
from green_edge.build.subjects import Job, Steps, make_subjects
from green_edge.bundle.keys import SigningKey
from green_edge.bundle.pack import BundleContents, pack
from green_edge.convert.converters import Converters
from green_edge.core.report import BuildReport, TargetArtefact
from green_edge.evaluate import latency
from green_edge.evaluate.guard import guard
from green_edge.tflite.read import read
from green_edge_wire import __version__, codec
from green_edge_wire.clock import Clock, SystemClock
from green_edge_wire.units import s_from_ns


@dataclass(frozen=True, slots=True, eq=False)
class _Result:
    """A build whose candidate is chosen."""

    main: Subject
    judges: list[Subject]
    verdicts: Verdicts
    chosen: Chosen
    quantizing_s: float


def build(
    options: BuildOptions,
    signer: SigningKey,
    progress: Progress = quietly,
    clock: Clock | None = None,
) -> BuildReport:
    """Build a model for its targets; the files are written whatever the guard says.

    Args:
        options: what to build.
        signer: signs the bundles.
        progress: told of each step.
        clock: of the durations in the report.

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
    steps = (1 + len(plan.folds)) * (1 + len(plan.quantizers)) + len(plan.quantizers) + 3
    with (
        tempfile.TemporaryDirectory(prefix="green-edge-") as folder,
        Converters(Path(folder), timeout_s=options.timeout_s) as converters,
    ):
        job = Job(options, plan, converters, Steps(progress, steps))
        result = _choose(job, clock, start_ns)
    job.tell("measuring latency on this machine")
    latency_us = _latency(result)
    job.tell("signing and writing")
    model_sha256 = _sha256(result.chosen.content)
    number = version.next_version(versions, options.name, model_sha256, options.model_version)
    draft = _draft(job, result, latency_us, number)
    record = record_of(draft)
    bundles = _bundles(job, result, draft, record, signer)
    report = replace(
        draft,
        targets=_artefacts(job, bundles),
        record_sha256=_sha256(record),
        wall_s=round(s_from_ns(clock.monotonic_ns() - start_ns), 3),
    )
    last = version.LastBuild(number, model_sha256)
    state = version.with_build(versions, options.name, last)
    # The state goes first: a build cut short here skips a number, it never gives one out twice.
    files = {version.FILE_NAME: _json(state)} | _models(job, result) | bundles
    files |= {REPORT_JSON: _json(report), REPORT_HTML: report_html.render(report).encode()}
    outputs.write_files(options.out, files)
    return report


def _choose(job: Job, clock: Clock, start_ns: int) -> _Result:
    main, judges = make_subjects(job)
    quantizing_s = s_from_ns(clock.monotonic_ns() - start_ns)
    greet_unheard(main.float_model.content)
    verdicts = judge(main, judges, job.plan.quantizers, job.options.labels, job.tell)
    assemble.need_one(verdicts, main.source.path)
    sizes = {quantizer: len(content) for quantizer, content in main.candidates.items()}
    quantizer = choose(verdicts.candidates, sizes)
    content = main.candidates[quantizer]
    chosen = Chosen(quantizer, content, read(content))
    return _Result(main, judges, verdicts, chosen, round(quantizing_s, 3))


def _latency(result: _Result) -> dict[str, float]:
    models = {FLOAT: result.main.float_model.content}
    for quantizer in result.verdicts.candidates:
        models[RECIPE_NAMES[quantizer]] = result.main.candidates[quantizer]
    measured = latency.measure(models)
    return {recipe: round(stats.p50_us, 3) for recipe, stats in measured.items()}


def _draft(job: Job, result: _Result, latency_us: Mapping[str, float], number: int) -> BuildReport:
    """The report as far as it is known before the bundles are made."""
    options, plan, verdicts = job.options, job.plan, result.verdicts
    records = assemble.candidates(options, result.main, verdicts, latency_us)
    before = records.pop(FLOAT)
    after = records[RECIPE_NAMES[result.chosen.quantizer]]
    step = assemble.quantize_step(before, after, result.chosen, verdicts, result.quantizing_s)
    return BuildReport(
        tool_version=__version__,
        seed=options.seed,
        model=assemble.model_ref(options, plan, number),
        targets=(),
        float_model=before,
        int8_baseline=records.get(RECIPE_NAMES["tf"], next(iter(records.values()))),
        chosen=replace(after, file=tflite_name(options, plan.targets[0])),
        candidates=tuple(records.values()),
        guard=guard(
            verdicts.reference.scores,
            verdicts.candidates[result.chosen.quantizer].scores,
            options.max_drop_pp,
        ),
        steps=(step,),
        wall_s=0.0,
        folds=len(plan.folds) or 1,
        notes=assemble.notes(plan, result.judges, result.main, verdicts),
        tools=assemble.tools(),
    )


def _bundles(
    job: Job, result: _Result, draft: BuildReport, record: bytes, signer: SigningKey
) -> dict[str, bytes]:
    options, main = job.options, result.main
    # The folds judge in place of the main model, whose own evaluation is its calibration then.
    samples = golden(
        result.chosen.content,
        main.sets.evaluation,
        main.float_model.names.inputs,
        options.seed,
    )
    bundles = {}
    for target in job.plan.targets:
        contents = BundleContents(
            name=options.name,
            version=draft.model.version,
            target=target.ref.text,
            model=result.chosen.content,
            inputs=samples.input_specs,
            outputs=samples.output_specs,
            golden_inputs=samples.inputs,
            golden_outputs=samples.outputs,
            record=record,
            pipeline=options.pipeline,
            labels=options.labels,
            golden_tolerance=samples.tolerance,
        )
        bundles[bundle_name(options, target)] = pack(contents, signer)
    return bundles


def _artefacts(job: Job, bundles: Mapping[str, bytes]) -> tuple[TargetArtefact, ...]:
    return tuple(
        TargetArtefact(
            name=target.ref.text,
            file=tflite_name(job.options, target),
            bundle=(bundle := bundle_name(job.options, target)),
            sha256=_sha256(bundles[bundle]),
        )
        for target in job.plan.targets
    )


def _models(job: Job, result: _Result) -> dict[str, bytes]:
    """Files of the chosen model for each target, and of all models for comparison."""
    options = job.options
    files = {tflite_name(options, t): result.chosen.content for t in job.plan.targets}
    files[candidate_name(options, FLOAT)] = result.main.float_model.content
    for quantizer in result.verdicts.candidates:
        name = candidate_name(options, RECIPE_NAMES[quantizer])
        files[name] = result.main.candidates[quantizer]
    return files


def _json(record: object) -> bytes:
    return codec.dumps(record, indent=2).encode() + b"\n"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
