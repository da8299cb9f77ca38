"""`green-edge bench`: a model's latency on this machine."""

from pathlib import Path

import click

from green_edge.build.benchmark import Benchmark, benchmark
from green_edge.cli import render


@click.command("bench", epilog="Example: green-edge bench model.tflite --runs 50")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--runs", type=click.IntRange(1, 1_000_000), default=200, show_default=True)
@click.option("--warm-up", type=click.IntRange(0, 1_000_000), default=20, show_default=True)
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random inputs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(file: Path, *, runs: int, warm_up: int, threads: int, seed: int, as_json: bool) -> None:
    """Measure the latency of FILE, a .tflite or a bundle, on this machine.

    The figures are this machine's: a board's may differ in either direction.
    """
    result = benchmark(file, runs=runs, warm_up=warm_up, threads=threads, seed=seed)
    if as_json:
        render.document(result)
    else:
        render.text(_text(result))


def _text(result: Benchmark) -> str:
    latency = result.latency
    names = ("mean", "min", "p5", "p50", "p95", "p99", "max")
    values = (latency.mean_us, latency.min_us, latency.p5_us, latency.p50_us, latency.p95_us,
              latency.p99_us, latency.max_us)  # fmt: skip
    table = render.table(
        ["latency", *names], [["us", *(f"{value:.1f}" for value in values)]], right="lrrrrrrr"
    )
    return (
        f"{result.file}\n"
        f"{result.runtime}, {result.threads} thread{'s' if result.threads > 1 else ''}, "
        f"{latency.runs} runs after {result.warm_up} to warm up\n\n{table}\n\n"
        f"Measured on this machine ({result.machine}), not on a device."
    )
