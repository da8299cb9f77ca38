"""Runs `green-edge build` in a process of its own and keeps what came of it in the user's cache.

What is kept goes by the model, the recipe, the options and the source of the passes, so that a
change of any of them builds anew. Every build begins with an empty cache of steps, so that its time
is that of the whole work.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks import cache, record
from green_edge_wire.errors import GreenEdgeError

REPORT = "build-report.json"

_COMMAND = (sys.executable, "-c", "from green_edge.cli import entry; entry()")
# Done, over the budget, too few samples to tell: the files are written in all of these cases.
_WRITTEN = (0, 4, 8)
_SOURCES = ("compress", "search", "core/steps.py", "convert/aware")


@dataclass(frozen=True, slots=True)
class Build:
    """A finished build.

    Attributes:
        model: the chosen int8 .tflite.
        report: what `folder` has in REPORT.
        wall_s: of the whole command when it was run.
        folder: that it wrote.
    """

    model: bytes
    report: Mapping[str, Any]
    wall_s: float
    folder: Path

    @property
    def ratios(self) -> Mapping[str, float]:
        """Predicted cost on the Pi 4 as shares of plain int8's, by `CostShare`'s keys."""
        found: Mapping[str, float] = self.report["predicted"]["share"]
        return found


class Builder(Protocol):
    """`build`, or what a test puts in its place."""

    def __call__(
        self, name: str, model: Path, options: Sequence[str], inputs: Sequence[Path]
    ) -> Build:
        """Build a Keras file."""
        ...


def build(name: str, model: Path, options: Sequence[str], inputs: Sequence[Path]) -> Build:
    """Build a Keras file for a Raspberry Pi 4, or take what an earlier run made.

    Args:
        name: of the cache entry.
        model: Keras file.
        options: of `green-edge build`, without the model, the output folder and the target.
        inputs: files that the result depends on beside the model: recipe and data sets.

    Raises:
        GreenEdgeError: it ended without files.
    """
    files = (model, *inputs, *_sources())
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    plain = [part for part in options if not Path(part).is_file()]
    told = json.dumps([plain, digests])
    out = cache.folder(f"builds/{name}-{hashlib.sha256(told.encode()).hexdigest()[:16]}")
    seconds = out / "seconds"
    if not seconds.is_file():
        print(f"building {name}", file=sys.stderr, flush=True)
        seconds.write_text(str(round(_run(model, options, out), 1)))
    report = json.loads((out / REPORT).read_text())
    content = (out / report["targets"][0]["file"]).read_bytes()
    return Build(content, report, float(seconds.read_text()), out)


def _run(model: Path, options: Sequence[str], out: Path) -> float:
    keys = str(cache.folder("keys"))
    with tempfile.TemporaryDirectory(prefix="green-edge-steps-") as steps:
        start_s = time.monotonic()
        done = subprocess.run(
            [*_COMMAND, "build", str(model), "--target", "pi4", "--out", str(out), *options],
            cwd=record.ROOT,
            env=os.environ | {"GREEN_EDGE_KEYS": keys, "GREEN_EDGE_CACHE": steps},
            stdout=subprocess.DEVNULL,
            check=False,
        )
        wall_s = time.monotonic() - start_s
    if done.returncode not in _WRITTEN:
        raise GreenEdgeError(f"green-edge build of {model} ended with {done.returncode}")
    return wall_s


def _sources() -> list[Path]:
    room = record.ROOT / "toolchain" / "green_edge"
    found: list[Path] = []
    for part in _SOURCES:
        place = room / part
        found += sorted(place.rglob("*.py")) if place.is_dir() else [place]
    return found
