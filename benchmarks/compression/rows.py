"""Lists of steps as recipe files, and one row of figures for what is built by them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import cache
from benchmarks.compression.building import Build
from benchmarks.fashion.data import Labelled
from benchmarks.peers import judging
from benchmarks.peers.judging import Counter, Right
from green_edge.emulate import Count, Setting
from green_edge_wire.errors import GreenEdgeError

Table = Mapping[str, Any]

A72 = Setting("ai-edge-litert", "2.3.0", "cortex-a72", "aarch64")
A76 = Setting("ai-edge-litert", "2.3.0", "cortex-a76", "aarch64")


def recipe(name: str, steps: Sequence[Table]) -> Path:
    """A recipe file of these steps and int8 without repair, in the user's cache."""
    tables = ["\n".join(f"{key} = {_toml(value)}" for key, value in step.items()) for step in steps]
    head = f'name = "{name}"\nrepair = []\n'
    path = cache.folder("recipes") / f"{name}.toml"
    path.write_text("\n".join([head, *(f"[[steps]]\n{table}\n" for table in tables)]))
    return path


def _toml(value: Any) -> str:
    """Strings, numbers, lists and truth are written as in JSON."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(each)}' for key, each in value.items())} }}"
    return json.dumps(value)


def figures(built: Build, judges: Labelled, reference: Right) -> dict[str, Any]:
    """Accuracy and drop on images that the build did not see, size, work, time."""
    right = judging.right(built.model, judges)
    return {
        **judging.accuracy(right),
        "drop": judging.drop(reference, right),
        **judging.facts(built.model),
        "predicted": dict(built.ratios),
        "wall_s": built.wall_s,
    }


def instructions(models: Sequence[bytes], setting: Setting, counter: Counter) -> list[int]:
    """Instructions of each model.

    Raises:
        GreenEdgeError: one of them could not be counted, or the runtime refuses it.
    """
    found = counter(models, setting)
    for told in found:
        if not isinstance(told, Count):
            raise GreenEdgeError(f"{setting}: {told.message}")
    return [told.instructions for told in found if isinstance(told, Count)]


def beside(built: Build, key: str) -> bytes:
    """The .tflite that a build made beside the chosen one: "float" or "int8_baseline"."""
    return bytes((built.folder / built.report[key]["file"]).read_bytes())
