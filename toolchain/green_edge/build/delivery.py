"""What leaves a build for each target: the .tflite, the compiled file if any, the bundle."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from green_edge.build.assemble import Outcome
from green_edge.build.coral import ForTarget, edgetpu_name, for_target
from green_edge.build.golden import Golden, golden
from green_edge.build.options import BuildOptions
from green_edge.build.plan import bundle_name, tflite_name
from green_edge.build.subjects import Job
from green_edge.bundle.keys import SigningKey
from green_edge.bundle.pack import BundleContents, pack
from green_edge.core.report import TargetArtefact
from green_edge.targets.registry import Target


@dataclass(frozen=True, slots=True)
class Delivery:
    """The files of one target.

    Attributes:
        file: name of the .tflite.
        bundle: name of the bundle.
    """

    target: Target
    made: ForTarget
    file: str
    bundle: str

    def models(self) -> dict[str, bytes]:
        """Models by file name."""
        files = {self.file: self.made.model}
        if self.made.edgetpu is not None:
            files[edgetpu_name(self.file)] = self.made.edgetpu
        return files


def deliver(job: Job, int8: bytes) -> tuple[Delivery, ...]:
    """Make the models of every target; those of accelerators go through their compiler."""
    options = job.options
    deliveries = []
    for target in job.plan.targets:
        file = tflite_name(options, target)
        if target.accelerator is not None:
            job.tell.further(f"compiling for {target.ref.text}")
        made = for_target(int8, target, file=file, timeout_s=options.timeout_s)
        deliveries.append(Delivery(target, made, file, bundle_name(options, target)))
    return tuple(deliveries)


def digest(deliveries: Iterable[Delivery]) -> str:
    """SHA-256 by which a change of any delivered model is seen; the model's own if all are one."""
    models = {content: None for made in deliveries for content in made.models().values()}
    if len(models) == 1:
        return sha256(next(iter(models)))
    return sha256("".join(map(sha256, models)).encode())


def notes(deliveries: Sequence[Delivery]) -> tuple[str, ...]:
    """What to know of each target, named where there are several."""
    return tuple(
        note if len(deliveries) == 1 else f"for {delivery.target.ref.text}: {note}"
        for delivery in deliveries
        for note in delivery.made.notes
    )


def outdated(deliveries: Iterable[Delivery]) -> tuple[str, ...]:
    """Compiled files that an earlier build may have left and this one did not make."""
    return tuple(edgetpu_name(made.file) for made in deliveries if made.made.edgetpu is None)


def bundles(
    job: Job,
    outcome: Outcome,
    deliveries: Iterable[Delivery],
    number: int,
    record: bytes,
    signer: SigningKey,
) -> dict[str, bytes]:
    """Signed bundles by file name.

    Args:
        job: of the build.
        outcome: with the samples that the golden ones are drawn from.
        deliveries: what goes in.
        number: version of the model.
        record: the build record.
        signer: signs them.

    Raises:
        ModelError: a model does not run, or gives NaN for a sample of the set.
    """
    samples: dict[bytes, Golden] = {}
    packed = {}
    for delivery in deliveries:
        model = delivery.made.model
        if model not in samples:
            samples[model] = _golden(model, outcome, job.options.seed)
        contents = _contents(job.options, delivery, samples[model], number, record)
        packed[delivery.bundle] = pack(contents, signer)
    return packed


def artefacts(
    deliveries: Iterable[Delivery], packed: dict[str, bytes]
) -> tuple[TargetArtefact, ...]:
    """Records of what was written for each target."""
    return tuple(
        TargetArtefact(
            name=delivery.target.ref.text,
            file=delivery.file,
            bundle=delivery.bundle,
            sha256=sha256(packed[delivery.bundle]),
            accelerator=delivery.made.accelerator,
        )
        for delivery in deliveries
    )


def sha256(content: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(content).hexdigest()


def _golden(model: bytes, outcome: Outcome, seed: int) -> Golden:
    # The folds judge in place of the main model, whose own evaluation is its calibration then.
    main = outcome.main
    return golden(model, main.sets.evaluation, main.float_model.names.inputs, seed)


def _contents(
    options: BuildOptions, delivery: Delivery, samples: Golden, number: int, record: bytes
) -> BundleContents:
    return BundleContents(
        name=options.name,
        version=number,
        target=delivery.target.ref.text,
        model=delivery.made.model,
        inputs=samples.input_specs,
        outputs=samples.output_specs,
        golden_inputs=samples.inputs,
        golden_outputs=samples.outputs,
        record=record,
        pipeline=options.pipeline,
        labels=options.labels,
        golden_tolerance=samples.tolerance,
        edgetpu_model=delivery.made.edgetpu,
    )
