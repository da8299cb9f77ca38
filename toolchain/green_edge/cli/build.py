"""`green-edge build`: quantize a model for its targets, under an accuracy guard."""

import textwrap
from pathlib import Path
from typing import Any

import click

from green_edge.build.outcome import check_guard
from green_edge.build.pipeline import build
from green_edge.build.plan import PlanSummary, make_plan, summarize
from green_edge.build.request import DEFAULT_TIMEOUT_S, Request, options_of
from green_edge.build.step_cache import steps_folder
from green_edge.bundle.keys import SigningKey, ensure_signer
from green_edge.cli import render
from green_edge.cli.summaries import build_summary

_FILE = click.Path(path_type=Path)


@click.command(
    "build",
    epilog="Example: green-edge build model.keras --target pi4 --train train.npz --eval test.npz",
)
@click.argument("model", type=_FILE, required=False)
@click.option("--config", type=_FILE, help="Project file; options here win over it.")
@click.option("--target", "targets", multiple=True, help="Such as host, pi4, pi5; repeatable.")
@click.option("--calibration", help="Samples that set the int8 ranges.")
@click.option("--calibration-samples", type=int, help="At most so many of them [200].")
@click.option("--train", help="Training set; calibration samples are drawn from it.")
@click.option("--eval", help="Labelled samples to judge by, or a folder of folds.")
@click.option("--labels", type=_FILE, help="Class names, one a line.")
@click.option("--pipeline", type=_FILE, help="Pre- and post-processing (JSON).")
@click.option("--recipe", help="auto (searches), quantize (repairs int8 that fails the guard), "
              "int8, prune, low-rank, cluster, or a file [quantize].")  # fmt: skip
@click.option("--budget-minutes", type=float, help="Time for the search of --recipe auto [20].")
@click.option("--replay", type=_FILE, metavar="REPORT",
              help="Build the choice of an earlier search again.")  # fmt: skip
@click.option("--metric", help="accuracy, closeness, top-K, f1, auc, mse or module:function.")
@click.option("--max-drop", "max_drop_pp", type=float, help="Allowed drop of quality in pp [2.0].")
@click.option("--name", help="Of the model; by default that of its file.")
@click.option("--model-version", type=int, help="By default one more than the last, if changed.")
@click.option("--out", type=_FILE, help="Folder for the results [build].")
@click.option("--seed", type=int, help="Of every random draw [0].")
@click.option("--key", help="Name of the signing key.")
@click.option("--timeout", "timeout_s", type=float, default=DEFAULT_TIMEOUT_S, show_default=True,
              help="Limit for one conversion in seconds.")  # fmt: skip
@click.option("--custom", multiple=True, metavar="MODULE",
              help="Module or .py file that registers your Keras layers; repeatable.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, key: str | None, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Shrink MODEL, quantize it to int8 for its targets and sign bundles for them.

    MODEL is a Keras file (.keras, .h5), a SavedModel folder or a float .tflite. A data set is a
    .npz, a folder of images, a .csv or module:function.

    Exit code 4: quality drops by more than allowed, or the recipe's budget is missed. 8: too few
    samples to tell. The files are written in all of these cases.
    """
    options = options_of(Request(**given), Path.cwd())
    if dry_run:
        summary = summarize(options, make_plan(options))
        if as_json:
            render.document(summary)
        else:
            render.text(_plan(summary))
        return
    make_plan(options)
    progress = render.Progress()
    try:
        report = build(options, ensure_signer(key, made=_say_key), progress)
    except KeyboardInterrupt:
        progress.done()
        if options.recipe.steps or options.recipe.search:
            render.say(
                f"finished steps are kept in {steps_folder()}: the same command goes on there"
            )
        raise
    finally:
        progress.done()
    if as_json:
        render.document(report)
    else:
        render.text(build_summary(options.out, report))
    check_guard(report)


def _say_key(key: SigningKey, path: Path) -> None:
    render.say(f"made the signing key {key.key_id} in {path}: keep it, devices will trust it")


def _plan(summary: PlanSummary) -> str:
    steps = "\n".join(
        textwrap.fill(step, 80, initial_indent=f"{i:3}. ", subsequent_indent=" " * 5)
        for i, step in enumerate(summary.steps, 1)
    )
    files = "\n".join(f"  {name}" for name in summary.files)
    return (
        f"{summary.name}: {summary.model} ({summary.format}) for {', '.join(summary.targets)}\n"
        f"{steps}\ninto {summary.out}:\n{files}"
    )
