"""What the extra `device` alone puts on a board's disk.

A fresh virtual environment in a temporary folder gets this checkout with the extra `device`; the
size of each distribution is that of the files its RECORD lists.
"""

import json
import subprocess
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.tables import table

NEEDS: tuple[str, ...] = ()

ROOT = Path(__file__).resolve().parents[1]
# Sizes by distribution, as its RECORD lists them; asked of the new environment's own Python.
PROBE = """
import importlib.metadata as m, json, pathlib
print(json.dumps({
    d.metadata["Name"] + " " + d.version: sum(
        p.stat().st_size for f in d.files or () if (p := pathlib.Path(d.locate_file(f))).is_file()
    )
    for d in m.distributions()
}))
"""


def measure() -> dict[str, Any]:
    """Install and add up."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder, "bin", "python")
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", f"{ROOT}[device]"], check=True, cwd=folder
        )
        found = subprocess.run([python, "-c", PROBE], check=True, capture_output=True, text=True)
        sizes = json.loads(found.stdout)
        whole_bytes = sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file())
    ours = {
        name: size for name, size in sizes.items() if not name.startswith(("pip ", "setuptools "))
    }
    return {
        "distributions_bytes": dict(sorted(ours.items(), key=lambda item: -item[1])),
        "sum_bytes": sum(ours.values()),
        "whole_venv_bytes": whole_bytes,
    }


def markdown(figures: Mapping[str, Any]) -> str:
    """One row a distribution."""
    sizes = {**figures["distributions_bytes"], "**together**": figures["sum_bytes"]}
    found = table(("distribution", "bytes"), [(name, f"{n:,}") for name, n in sizes.items()])
    return f"{found}\n\nThe environment with pip: {figures['whole_venv_bytes']:,} bytes."
