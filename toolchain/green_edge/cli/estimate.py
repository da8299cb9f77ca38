"""`green-edge estimate`: what a model costs on a board that is not at hand."""

from pathlib import Path

import click

from green_edge.build.estimate.counting import emulator
from green_edge.build.estimate.estimate import MOST_RPS, EstimateOptions, estimate
from green_edge.cli import render
from green_edge.cli.estimate_text import several_text, text_of
from green_edge_wire.errors import ModelError


@click.command("estimate", epilog="Example: green-edge estimate model.tflite --target pi4")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--target", "targets", multiple=True, required=True,
              help="NAME[:OS-ARCH][+HOST], such as pi5 or coral-usb+pi5; repeatable.")  # fmt: skip
@click.option("--rate", "rate_rps", type=click.FloatRange(0, MOST_RPS, min_open=True),
              help="Inferences a second that it has to serve.")  # fmt: skip
@click.option("--analytic", is_flag=True, help="Ask the cost model alone: no emulation.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    file: Path, *, targets: tuple[str, ...], rate_rps: float | None, analytic: bool, as_json: bool
) -> None:
    """Estimate instructions, latency and energy of FILE on a board that you need not have.

    FILE is a .tflite, a bundle, a Keras file or a SavedModel folder; for a Coral also a compiled
    file. Instructions are counted on an emulated core (Linux x86-64, a C compiler and, the first
    time, the network), else predicted. Latency and energy are ranges, not measurements.

    Exit code 3: a target's runtime refuses the model, or one of several targets cannot be
    estimated; the others are printed all the same.
    """
    progress = render.Progress()
    try:
        found = estimate(
            EstimateOptions(file, targets, rate_rps),
            None if analytic else emulator(progress),
            progress,
        )
    finally:
        progress.done()
    several = found.estimates
    for reason in dict.fromkeys(each.not_emulated for each in several if each.not_emulated):
        render.say(f"predicted, not counted: {reason}")
    if as_json:
        render.document(found if len(targets) > 1 else several[0])
    else:
        render.text(several_text(found) if len(targets) > 1 else text_of(several[0]))
    if found.refused:
        names = ", ".join(each.target for each in found.refused)
        raise ModelError(f"{file}: no estimate for {names}", hint="the reasons stand above")
