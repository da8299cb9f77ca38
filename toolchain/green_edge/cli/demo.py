"""`green-edge demo`: a user's day on one machine, with a real broker, agent and model."""

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import click

import green_edge
from green_edge.build.outcome import check_guard
from green_edge.build.plan import REPORT_HTML
from green_edge.bundle.keys import SigningKey, ensure_signer
from green_edge.cli import demo_loop, render
from green_edge.cli.demo_loop import ReferenceModel
from green_edge.cli.service import FleetService, ServicePlan
from green_edge.cli.signals import EndSignal
from green_edge.cli.summaries import build_summary, energy_summary
from green_edge.cli.up import wait_for_end
from green_edge.core.report import BuildReport
from green_edge.fleet.push import PushReport
from green_edge.telemetry import report_html
from green_edge.telemetry.opening import open_store
from green_edge.telemetry.report import Report, totals
from green_edge.telemetry.store import Figure
from green_edge_wire.clock import SystemClock
from green_edge_wire.errors import ConfigError
from green_edge_wire.units import s_from_ns

_ENERGY_HTML = "energy-report.html"


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the demo found (`demo --json`)."""

    build: BuildReport
    push: PushReport
    energy: Report
    build_html: str
    energy_html: str
    wall_s: float


@click.command("demo", epilog="Example: green-edge demo --seconds 5")
@click.option(
    "--models",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of reference models.  [default: the checkout's]",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-out"),
    show_default=True,
    help="Folder for everything the demo makes.",
)
@click.option(
    "--seconds",
    default=15.0,
    show_default=True,
    type=click.FloatRange(1.0, 86400.0),
    help="How long the agent works.",
)
@click.option("--keep", is_flag=True, help="Leave broker, agent and dashboard up until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, models: Path | None, out: Path, seconds: float, keep: bool, as_json: bool) -> None:
    """Train a small model on real data, build it, push it to a local agent, report its energy.

    Needs no account, no board, no GPU and no root. Everything it makes is in --out; its processes
    end with it.
    """
    clock = SystemClock()
    start_ns = clock.monotonic_ns()
    folder = (models or _checkout_models()) / "digits"
    model = demo_loop.read_model(folder)
    _make_folder(out / "digits")
    signer = ensure_signer(folder=out / "keys", made=lambda _key, _path: None)
    progress = render.Progress()
    try:
        demo_loop.train(folder, model, out / "digits", progress)
        built = demo_loop.build_for_host(model, out / "digits", out / "build", signer, progress)
        progress.done()
        if not as_json:
            render.text(f"{model.title}\n\n{build_summary(out / 'build', built)}\n")
        check_guard(built)
        pushed, figures = _serve(model, out, built, signer, progress, seconds=seconds, keep=keep)
    finally:
        progress.done()
    energy = Report(clock.unix_ms(), figures, totals(figures))
    energy_html = out / _ENERGY_HTML
    energy_html.write_text(report_html.render(energy), encoding="utf-8")
    build_html = out / "build" / REPORT_HTML
    wall_s = round(s_from_ns(clock.monotonic_ns() - start_ns), 1)
    if as_json:
        document = DemoReport(built, pushed, energy, str(build_html), str(energy_html), wall_s)
        render.document(document)
        return
    render.text(energy_summary(energy))
    render.text(f"\nreports: {build_html}\n         {energy_html}\nwhole demo: {wall_s:.0f} s")


def _serve(  # noqa: PLR0913 - what the loop needs, once
    model: ReferenceModel,
    out: Path,
    built: BuildReport,
    signer: SigningKey,
    progress: render.Progress,
    *,
    seconds: float,
    keep: bool,
) -> tuple[PushReport, tuple[Figure, ...]]:
    """Start the workstation's services and an agent, push, and let it work."""
    clock = SystemClock()
    state = (out / "state").absolute()
    plan = ServicePlan(
        state=state, store=f"sqlite://{state}/telemetry.db", site="demo", port=0, broker_port=0
    )
    progress("starting broker, collector, artefact server, dashboard and a local agent")
    inputs = (out / "digits" / model.calibration).absolute()
    with (
        FleetService(plan, clock=clock, say=render.say) as service,
        demo_loop.running_agent(service, out / "agent", inputs, signer.public.text),
        closing(open_store(plan.store)) as store,
    ):
        progress("pushing the bundle to the local agent")
        bundle = out / "build" / built.targets[0].bundle
        pushed = demo_loop.push_to_agent(service, store, bundle, signer, clock, time.sleep)
        figures = demo_loop.watch_work(store, seconds, progress, clock, time.sleep)
        if keep:
            progress.done()
            render.say(f"dashboard {service.run.dashboard}  broker and agent stay up; Ctrl-C ends")
            with EndSignal() as ended:
                wait_for_end(ended, lambda: service.collecting)
            figures = store.figures()
    return pushed, figures


def _checkout_models() -> Path:
    return Path(green_edge.__file__).resolve().parents[2] / "models"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot make {folder}: {error.strerror}",
            place="--out",
            hint="choose a folder that you may write",
        ) from None
