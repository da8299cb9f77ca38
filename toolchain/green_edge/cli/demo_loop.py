"""The demo's loop: train, build, push to a local agent, let it work, read the figures."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from green_edge.build.options import BuildOptions, Progress
from green_edge.build.pipeline import build
from green_edge.bundle.keys import SigningKey, trusting
from green_edge.cli.service import FleetService
from green_edge.core.project import load_labels, load_pipeline
from green_edge.core.report import BuildReport
from green_edge.fleet import push
from green_edge.fleet.inventory import pick
from green_edge.fleet.private_files import write_private
from green_edge.fleet.upload import upload
from green_edge.telemetry.store import Figure, Store
from green_edge_wire import codec
from green_edge_wire.archive import open_bundle
from green_edge_wire.clock import Clock
from green_edge_wire.errors import (
    ArtifactError,
    ConfigError,
    DecodeError,
    DeviceError,
    GreenEdgeError,
)
from green_edge_wire.units import s_from_ns

DEVICE = "demo-device"
# Of 1,797 images a drop of this many points can be told from chance.
MAX_DROP_PP = 3.0
_BOOT_TIMEOUT_S = 60.0
_PUSH_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 20.0
_POLL_S = 0.2
_WINDOW_S = 1.0

Wait = Callable[[float], object]


@dataclass(frozen=True, slots=True)
class ReferenceModel:
    """A folder of `models/`: its `model.toml`; files are inside what its script writes."""

    name: str
    title: str
    train: str
    model: str
    calibration: str
    folds: str
    labels: str
    pipeline: str


def read_model(folder: Path) -> ReferenceModel:
    """Read a reference model's description.

    Raises:
        ConfigError: the folder has none; the demo needs a checkout.
    """
    file = folder / "model.toml"
    try:
        return codec.decode(ReferenceModel, tomllib.loads(file.read_text()), strict=True)
    except OSError:
        raise ConfigError(
            f"no reference model in {folder}",
            place="--models",
            hint="run the demo in a checkout of green-edge, or name its folder models",
        ) from None
    except (tomllib.TOMLDecodeError, DecodeError) as error:
        raise ConfigError(str(error), place=str(file)) from None


def train(folder: Path, model: ReferenceModel, out: Path, progress: Progress) -> None:
    """Run the model's training script as a child; TensorFlow never enters this process.

    Raises:
        GreenEdgeError: the script failed; the last lines of what it printed are in the message.
    """
    script = (folder / model.train).resolve()
    arguments = [sys.executable, str(script), "--out", str(out)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}
    log = out / "training.log"
    with log.open("w") as errors:
        child = subprocess.Popen(
            arguments, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        with child:
            try:
                for line in child.stdout or ():
                    progress(f"training: {line.strip()}")
            except BaseException:
                child.kill()
                raise
    if child.returncode:
        tail = " / ".join(log.read_text().strip().splitlines()[-2:])
        raise GreenEdgeError(f"{script.name} failed: {tail}", hint=f"all it said is in {log}")


def build_for_host(
    model: ReferenceModel, trained: Path, out: Path, signer: SigningKey, progress: Progress
) -> BuildReport:
    """Build the trained model for this machine, judged by its cross-fitted folds."""
    options = BuildOptions(
        model=trained / model.model,
        name=model.name,
        targets=("host",),
        out=out,
        calibration=str(trained / model.calibration),
        eval=str(trained / model.folds),
        labels=load_labels(trained / model.labels),
        pipeline=load_pipeline(trained / model.pipeline),
        max_drop_pp=MAX_DROP_PP,
    )
    return build(options, signer, progress)


@contextmanager
def running_agent(service: FleetService, folder: Path, inputs: Path, key: str) -> Iterator[None]:
    """Run a real agent on this machine, fed from a file of inputs; ended with SIGTERM.

    Args:
        service: whose broker it joins.
        folder: for its settings, state and log.
        inputs: `.npz` of inputs as the float model takes them.
        key: public key that it trusts.
    """
    settings = service.device_settings(
        DEVICE, [key], state_dir=str(folder / "state"), input_kind="npz", input_path=str(inputs)
    )
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "agent.toml"
    write_private(config, f"{settings}\n[telemetry]\nwindow_s = {_WINDOW_S}\n")
    arguments = [sys.executable, "-m", "green_edge_agent", "run", "--config", str(config)]
    log = folder / "agent.log"
    with log.open("w") as output:
        child = subprocess.Popen(arguments, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        try:
            yield
            if child.poll() is not None:
                raise DeviceError(
                    f"the local agent ended with code {child.returncode}",
                    hint=f"what it said is in {log}",
                )
        finally:
            child.terminate()
            try:
                child.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def push_to_agent(
    service: FleetService, store: Store, bundle: Path, signer: SigningKey, clock: Clock, wait: Wait
) -> push.PushReport:
    """Put the bundle on the local agent, as `green-edge push` does.

    Raises:
        DeviceError: the agent does not show up, or does not come to run the bundle.
        ArtifactError: it refused the bundle.
    """
    _until(
        lambda: any(row.online and row.device_id == DEVICE for row in store.devices()),
        wait,
        _BOOT_TIMEOUT_S,
        "the local agent does not report; see agent/agent.log",
    )
    data = bundle.read_bytes()
    artefact = push.artefact_of(data, open_bundle(data, trusting([signer.public])))
    url = upload(service.run.artefacts, service.run.token, data)
    planned = push.plan(pick(store.devices(), [DEVICE]), artefact)
    rollout = push.begin(
        store,
        planned,
        replace(artefact, urls=(url,)),
        signer,
        timeout_s=_PUSH_TIMEOUT_S,
        clock=clock,
    )
    report = push.follow(store, rollout, clock=clock, wait=wait, changed=lambda _device: None)
    outcome = report.devices[0]
    if outcome.state == "refused":
        raise ArtifactError(f"the local agent refused the bundle: {outcome.reason}")
    if outcome.state != "done":
        raise DeviceError(f"the local agent: {outcome.state} {outcome.reason}".strip())
    return report


def watch_work(
    store: Store, seconds: float, progress: Progress, clock: Clock, wait: Wait
) -> tuple[Figure, ...]:
    """Let the agent work for some seconds and return its figures.

    Raises:
        DeviceError: nothing of its work arrived.
    """
    _until(
        lambda: any(figure.inferences for figure in store.figures()),
        wait,
        _BOOT_TIMEOUT_S,
        "no inference arrived from the local agent; see agent/agent.log",
    )
    start_ns = clock.monotonic_ns()
    while (done_s := s_from_ns(clock.monotonic_ns() - start_ns)) < seconds:
        count = sum(_distinct(store.figures()).values())
        progress(f"the agent works: {count} inferences reported", done_s / seconds)
        wait(_POLL_S)
    return store.figures()


def _distinct(figures: Sequence[Figure]) -> dict[tuple[str, str], int]:
    """Inferences by device and artefact: rows of several meters repeat them."""
    return {(f.device_id, f.artifact_sha256): f.inferences for f in figures}


def _until(true: Callable[[], bool], wait: Wait, timeout_s: float, otherwise: str) -> None:
    for _ in range(round(timeout_s / _POLL_S)):
        if true():
            return
        wait(_POLL_S)
    raise DeviceError(otherwise)
