"""Finds benchmarks, runs them, and writes the page of their results.

A benchmark is a module of this folder with

    NEEDS: tuple[str, ...]                 environment variables that must be set
    def measure() -> dict[str, Any]        the figures, plain JSON values
    def markdown(figures) -> str           its tables for docs/benchmarks.md

and a docstring whose first line is its title on the page. It imports TensorFlow inside `measure`
alone, because the page is written, and tested, without it.
"""

import ast
import importlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from benchmarks import record
from green_edge_wire.errors import ConfigError, GreenEdgeError

PAGE = record.ROOT / "docs" / "benchmarks.md"
_HEAD = """# Benchmarks

Written by `python -m benchmarks docs` from `benchmarks/results/`; a test fails when it is out of
date. `python -m benchmarks list` names all benchmarks, `python -m benchmarks run NAME` measures one
again and records what it found. Where the command below a table is another, the figures are older
than this runner. Figures of time are those of the machine named below them, never a device's.
"""


class Benchmark(Protocol):
    """What a module of this folder has to offer."""

    NEEDS: tuple[str, ...]

    def measure(self) -> dict[str, Any]:
        """Measure; raise GreenEdgeError where something is missing."""
        ...

    def markdown(self, figures: Mapping[str, Any]) -> str:
        """Tables of the figures."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A benchmark as its source tells it, without running it."""

    name: str
    title: str
    needs: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Variables that it needs and that are not set."""
        return tuple(name for name in self.needs if not os.environ.get(name))


def entries() -> tuple[Entry, ...]:
    """All benchmarks, by name; read from the sources, so that none is imported."""
    found = (_entry(path) for path in sorted(Path(__file__).parent.glob("*.py")))
    return tuple(entry for entry in found if entry is not None)


def run(name: str) -> record.Record:
    """Measure one benchmark and record the result.

    Raises:
        ConfigError: there is no benchmark of that name, or a variable is not set.
        GreenEdgeError: what the benchmark itself says is missing.
    """
    entry = next((entry for entry in entries() if entry.name == name), None)
    if entry is None:
        known = ", ".join(each.name for each in entries())
        raise ConfigError(f"there is no benchmark {name!r}", hint=f"one of: {known}")
    if entry.missing:
        raise ConfigError(
            f"{name} needs {' and '.join(entry.missing)} in the environment",
            hint="its module's text says what they name",
        )
    start_s = time.monotonic()
    figures = _module(name).measure()
    found = record.now(name, figures, time.monotonic() - start_s)
    record.write(found)
    return found


def page() -> str:
    """docs/benchmarks.md as the recorded results have it."""
    recorded = [entry for entry in entries() if record.path_of(entry.name).is_file()]
    return "\n".join([_HEAD, *map(_section, recorded)])


def markdown(found: record.Record) -> str:
    """A result's tables and where they come from."""
    tables = _module(found.benchmark).markdown(found.figures).strip()
    return f"{tables}\n\n{_provenance(found)}"


def _section(entry: Entry) -> str:
    return f"## {entry.title}\n\n{markdown(record.read(entry.name))}\n"


def _provenance(found: record.Record) -> str:
    machine = found.machine
    parts = [machine.processor, machine.architecture]
    if machine.cores:
        parts.append(f"{machine.cores} cores")
    if machine.memory_gib:
        parts.append(f"{machine.memory_gib:g} GiB")
    parts.append(machine.system)
    if machine.load_average is not None:
        parts.append(f"load average {machine.load_average:g}")
    on = ", ".join(part for part in parts if part)
    took = "" if found.wall_s is None else f" in {found.wall_s:,.0f} s"
    commit = "" if found.commit is None else f" at commit {found.commit}"
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    sentences = [
        f"`{found.command}`, {found.date}{commit}{took}",
        on,
        versions,
        f"All figures: `benchmarks/results/{found.benchmark}.json`",
    ]
    return " ".join(f"{sentence}." for sentence in sentences if sentence)


def _entry(path: Path) -> Entry | None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            target, value = node.target, node.value
        else:
            continue
        if isinstance(target, ast.Name) and target.id == "NEEDS":
            title = (ast.get_docstring(tree) or path.stem).partition("\n")[0].rstrip(".")
            return Entry(path.stem, title, tuple(ast.literal_eval(value)))
    return None


def _module(name: str) -> Benchmark:
    module = importlib.import_module(f"benchmarks.{name}")
    for part in ("measure", "markdown"):
        if not hasattr(module, part):
            raise GreenEdgeError(f"benchmarks/{name}.py has no {part}()")
    return cast("Benchmark", module)
