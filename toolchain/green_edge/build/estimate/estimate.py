"""What a model costs on a target that is not at hand: instructions, latency and energy.

Instructions are counted on an emulated core where that can be done, else they come from the cost
model; latency and energy follow from them as ranges, by the facts of the board.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from green_edge.build.estimate.advice import advise, other_runtimes, with_edgetpu
from green_edge.build.estimate.coral import accepted, on_edgetpu
from green_edge.build.estimate.counting import Counter, Counts, count_all, setting_of
from green_edge.build.estimate.processor import (
    OnProcessor,
    at_rate,
    layers,
    on_processor,
    require_known,
    with_runtimes,
)
from green_edge.build.estimate.report import (
    Advice,
    Coral,
    Estimate,
    Estimates,
    Refused,
    RuntimeEstimate,
)
from green_edge.build.estimate.words import times
from green_edge.build.model_file import as_tflite, is_bundle, named, open_file
from green_edge.build.options import Progress, quietly
from green_edge.emulate import Setting
from green_edge.targets import physics, system_rules
from green_edge.targets.check import CheckReport, refused_by_runtime
from green_edge.targets.edgetpu.compiled import Compiled, read_compiled
from green_edge.targets.grammar import PLACE
from green_edge.targets.prediction import Prediction, model_of, predict
from green_edge.targets.registry import Target, find
from green_edge.tflite.model import TfliteModel
from green_edge.tflite.read import read
from green_edge_wire.errors import ConfigError, ModelError

# Requests a second; more than any board serves.
MOST_RPS = 1_000_000


@dataclass(frozen=True, slots=True)
class EstimateOptions:
    """What to estimate.

    Attributes:
        targets: as the user named them.
        rate_rps: requests a second; None where no rate was given.
    """

    file: Path
    targets: tuple[str, ...]
    rate_rps: float | None = None


@dataclass(frozen=True, slots=True)
class _Subject:
    """The model.

    Attributes:
        compiled: what the Edge TPU compiler made of it; None where there is no such file.
        uncompiled: whether `model` is as it was before compilation, which a processor runs too.
    """

    data: bytes
    model: TfliteModel
    compiled: Compiled | None
    uncompiled: bool


def estimate(
    options: EstimateOptions, counter: Counter | None, progress: Progress = quietly
) -> Estimates:
    """Estimate the cost of a model on each target.

    Of several targets one that cannot be estimated does not take the others with it.

    Args:
        options: model and targets.
        counter: counts instructions; None to ask the cost model alone.
        progress: told of a conversion.

    Raises:
        ConfigError: no such target, or nothing is known of its processor.
        ModelError: the file is no model, or the target's runtime refuses it, in its own words.
        IntegrityError: a bundle with wrong bytes.
    """
    if options.rate_rps is not None and not 0 < options.rate_rps <= MOST_RPS:
        raise ConfigError(f"{options.rate_rps:g} is not in 0 to {MOST_RPS:,}", place="--rate")
    targets = [_target(text) for text in options.targets]
    data = as_tflite(options.file, progress=progress)
    with named(options.file):
        subject = _subject(options.file, data)
        # Refused before anything is counted, which takes a while.
        taken, found = [], []
        refused: list[Refused] | None = [] if len(targets) > 1 else None
        for target in targets:
            with _apart(target, refused):
                report = _accepted(subject, target)
                if subject.uncompiled:
                    require_known(subject.model, target, counted=counter is not None)
                taken.append((target, report))
        counts = _counted(subject, [target for target, _ in taken], counter)
        for target, report in taken:
            with _apart(target, refused):
                found.append(
                    _on_board(options, subject, target, counts)
                    if report is None
                    else _with_edgetpu(options, subject, target, counts, report)
                )
        return Estimates(tuple(found), tuple(refused or ()))


@contextmanager
def _apart(target: Target, refused: list[Refused] | None) -> Iterator[None]:
    """Keep what stops one of several targets from stopping the others."""
    try:
        yield
    except (ConfigError, ModelError) as error:
        if refused is None:
            raise
        refused.append(Refused(target.ref.text, str(error)))


def _counted(subject: _Subject, targets: Sequence[Target], counter: Counter | None) -> Counts:
    if not subject.uncompiled:
        return Counts(reason="a compiled file runs on the Edge TPU alone")
    settings = [setting_of(each) for target in targets for each in with_runtimes(target)]
    return count_all(subject.data, settings, counter)


def _accepted(subject: _Subject, target: Target) -> CheckReport | None:
    """Where the operations run; None for a processor, whose runtime decides by itself.

    Raises:
        ModelError: the target does not take the model.
    """
    if target.accelerator is not None:
        return accepted(subject.model, None if subject.uncompiled else subject.compiled, target)
    if not subject.uncompiled:
        hint = "estimate the file that it was compiled from"
        raise ModelError(f"compiled for an Edge TPU, which {target.ref.text} has not", hint=hint)
    return None


def _subject(path: Path, data: bytes) -> _Subject:
    """The model, with its compiled twin where a bundle has one."""
    model, compiled = read(data, static=False, zipped=False), read_compiled(data)
    if compiled is not None or not is_bundle(path):
        return _Subject(data, model, compiled, uncompiled=compiled is None)
    twin = open_file(path.read_bytes(), path)[0].edgetpu_model()
    return _Subject(data, model, None if twin is None else read_compiled(twin), uncompiled=True)


def _target(text: str) -> Target:
    """A target of which the processor is known, with a runtime for it."""
    target = find(text)
    if not target.cpu:
        hint = "name the board that it is for, or measure it here: green-edge bench"
        raise ConfigError(f"{text} computes on this machine", place=PLACE, hint=hint)
    for problem in system_rules.no_runtime(target):
        raise ConfigError(f"{text}: {problem.what}", place=PLACE, hint=problem.remedy)
    return target


def _on_board(
    options: EstimateOptions, subject: _Subject, target: Target, counts: Counts
) -> Estimate:
    found = on_processor(subject.model, target, counts)
    own = found.entries[0]
    return Estimate(
        target=target.ref.text,
        model_sha256=hashlib.sha256(subject.data).hexdigest(),
        runtimes=found.entries,
        latency_us=own.latency_us,
        energy_uj=own.energy_uj,
        layers=() if found.prediction is None else layers(subject.model, found.prediction),
        notes=(*_not_counted(counts, found.entries), *found.notes),
        file=str(options.file),
        title=target.title,
        advice=(
            *other_runtimes(found.entries),
            *_wider_system(subject.model, target, found.prediction),
            *_changes(subject.model, target, found.prediction),
        ),
        at_rate=None if options.rate_rps is None else at_rate(options.rate_rps, own, target),
        not_emulated=_reason(counts, own),
    )


def _changes(
    model: TfliteModel, target: Target, prediction: Prediction | None
) -> tuple[Advice, ...]:
    # What changes would save is known of dense weights alone.
    if prediction is None or model.sparse_kernels:
        return ()
    return advise(model, model_of(target), physics.board_of(target))


def _wider_system(model: TfliteModel, target: Target, now: Prediction | None) -> tuple[Advice, ...]:
    """The same board with a 64-bit system, where that takes fewer instructions."""
    if target.arch != "armv7l" or now is None:
        return ()
    wide = find(target.ref.name)
    if refused_by_runtime(model, wide):
        return ()
    wider = predict(model, wide)
    saved = 1 - wider.instructions / now.instructions
    if saved <= 0:
        return ()
    what = (
        f"a 64-bit system takes {times(now.instructions / wider.instructions)} fewer instructions "
        f"(with {wider.runtime} {wider.version}): {target.ref.name}"
    )
    return (Advice(what, "the whole model", saved),)


def _with_edgetpu(
    options: EstimateOptions, subject: _Subject, target: Target, counts: Counts, report: CheckReport
) -> Estimate:
    alone, refused = _alone(subject, target, counts)
    on_chip = on_edgetpu(
        subject.model,
        subject.compiled,
        target,
        None if alone is None else alone.entries[0],
        report,
        options.rate_rps,
    )
    return Estimate(
        target=target.ref.text,
        model_sha256=hashlib.sha256(subject.data).hexdigest(),
        runtimes=(on_chip.entry, *_not_its_own(alone)),
        latency_us=on_chip.entry.latency_us,
        energy_uj=on_chip.entry.energy_uj,
        layers=on_chip.layers,
        notes=(
            *_not_counted(counts, (on_chip.entry,) if alone is None else alone.entries),
            *on_chip.notes,
            *refused,
            *_unanswered_rate(on_chip.coral),
            *(() if alone is None else alone.notes),
        ),
        file=str(options.file),
        title=target.title,
        advice=with_edgetpu(on_chip.coral),
        coral=on_chip.coral,
        not_emulated=_reason(counts, on_chip.entry if alone is None else alone.entries[0]),
    )


def _unanswered_rate(coral: Coral) -> Iterator[str]:
    if coral.rate_rps is not None and coral.break_even is None:
        yield "nothing is said of the rate: what the processor alone would cost is not known"


def _alone(
    subject: _Subject, target: Target, counts: Counts
) -> tuple[OnProcessor | None, tuple[str, ...]]:
    """The host's processor without the accelerator, or why nothing is known of it."""
    if not subject.uncompiled:
        return None, ()
    try:
        return on_processor(subject.model, target, counts), ()
    except ModelError as error:
        return None, (f"nothing to compare with on the processor alone: {error}",)


def _reason(counts: Counts, entry: RuntimeEstimate) -> str | None:
    """Why the instructions of an entry were not counted; None where they were."""
    return counts.why_not(Setting(entry.runtime, entry.version, entry.core, entry.arch))


def _not_counted(counts: Counts, entries: Sequence[RuntimeEstimate]) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for entry in entries:
        reason = _reason(counts, entry)
        if reason is not None:
            reasons.setdefault(reason, []).append(f"{entry.runtime} {entry.version}")
    for reason, of in reasons.items():
        whose = "" if len(of) == len(entries) else f" of {' and '.join(of)}"
        yield f"instructions{whose} are predicted, not counted by emulation: {reason}"


def _not_its_own(alone: OnProcessor | None) -> tuple[RuntimeEstimate, ...]:
    """The processor's own entries, which stand beside the accelerator's for comparison."""
    return () if alone is None else tuple(replace(e, runs_there=False) for e in alone.entries)
