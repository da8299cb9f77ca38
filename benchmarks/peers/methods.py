"""The peers, and how each is asked for its model."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks import cache, record
from benchmarks.peers.environment import PACKAGES, tfmot_python
from benchmarks.peers.job import Job, Order
from benchmarks.peers.subjects import Fold, Subject
from green_edge_wire.errors import GreenEdgeError


@dataclass(frozen=True, slots=True)
class Built:
    """A model and what its making took.

    Attributes:
        wall_s: from the trained network to the .tflite; of several folds, which share one process,
            the mean.
    """

    model: bytes
    wall_s: float


@dataclass(frozen=True, slots=True)
class Peer:
    """A row of the table.

    Attributes:
        tool: whose it is.
        how: what was asked of it.
        build: makes the models of all folds.
    """

    tool: str
    how: str
    build: Callable[[Subject], tuple[Built, ...]]


def peers() -> tuple[Peer, ...]:
    """All rows: first those that only convert, then those that train."""
    return (
        _converter("TFLiteConverter", "float", "float"),
        _converter("TFLiteConverter", "dynamic range", "dynamic range"),
        _converter("TFLiteConverter", "int8", "int8"),
        _converter("ai-edge-quantizer", "int8", "static_wi8_ai8"),
        _tfmot("prune 50 %, int8", "prune", 0.5),
        _tfmot("prune 80 %, int8", "prune", 0.8),
        _tfmot("cluster 16, int8", "cluster", 16),
        _tfmot("QAT, int8", "qat", 0.0),
    )


def _converter(tool: str, how: str, method: str) -> Peer:
    def build(subject: Subject) -> tuple[Built, ...]:
        order = Order(subject.network, "", method)
        return _built(order, subject, "converting", lambda: sys.executable)

    return Peer(tool, how, build)


def _tfmot(how: str, method: str, amount: float) -> Peer:
    def build(subject: Subject) -> tuple[Built, ...]:
        epochs, shift_px = subject.fine_tuning_epochs, subject.shift_px
        order = Order(subject.network, "", method, amount, epochs=epochs, shift_px=shift_px)
        return _built(order, subject, "tfmot", tfmot_python)

    return Peer("TF-MOT", how, build)


def _built(
    order: Order, subject: Subject, module: str, python: Callable[[], str]
) -> tuple[Built, ...]:
    """The order's models, made once and kept: fine-tuning is long."""
    script = record.ROOT / "benchmarks" / "peers" / f"{module}.py"
    files = (script, *(fold.weights for fold in subject.folds))
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    told = json.dumps([asdict(order), PACKAGES, digests], sort_keys=True)
    digest = hashlib.sha256(told.encode()).hexdigest()[:16]
    kept = cache.folder(f"peers/{order.network}-{digest}")
    seconds, models = kept / "seconds", [kept / f"{k}.tflite" for k in range(len(subject.folds))]
    if not seconds.is_file():
        with tempfile.TemporaryDirectory() as folder:
            jobs = [_job(Path(folder, str(k)), order, fold) for k, fold in enumerate(subject.folds)]
            wall_s = _run(jobs, module, python())
            for job, model in zip(jobs, models, strict=True):
                model.write_bytes(job.out.read_bytes())
        # Written last: without it nothing here counts.
        seconds.write_text(str(round(wall_s / len(jobs), 1)))
    return tuple(Built(model.read_bytes(), float(seconds.read_text())) for model in models)


def _job(folder: Path, order: Order, fold: Fold) -> Job:
    folder.mkdir()
    order = replace(order, weights=str(fold.weights))
    job = Job(folder, order, fold.train.x, fold.train.y, fold.calibration)
    job.write()
    return job


def _run(jobs: Sequence[Job], module: str, python: str) -> float:
    """Do jobs in a process of their own; returns its seconds."""
    start_s = time.monotonic()
    done = subprocess.run(
        [python, "-m", f"benchmarks.peers.{module}", *(str(job.folder) for job in jobs)],
        cwd=record.ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    if not all(job.out.is_file() for job in jobs):
        order = jobs[0].order
        raise GreenEdgeError(f"{order.method} of {order.network} failed: {done.stderr[-1500:]}")
    return time.monotonic() - start_s
