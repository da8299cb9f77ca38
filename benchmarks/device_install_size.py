"""Measure what the extra `device` alone puts on a board's disk.

Makes a fresh virtual environment in a temporary folder, installs this checkout with the extra
`device`, and prints the size of each distribution as JSON. Run from the repository's root:

    python benchmarks/device_install_size.py
"""

import datetime as dt
import json
import platform
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

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


def main() -> None:
    """Install, measure, print."""
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
    json.dump(
        {
            "distributions_bytes": dict(sorted(ours.items(), key=lambda item: -item[1])),
            "sum_bytes": sum(ours.values()),
            "whole_venv_bytes": whole_bytes,
            "machine": f"{platform.machine()}, Python {platform.python_version()}",
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
        },
        sys.stdout,
        indent=2,
    )
    print()


if __name__ == "__main__":
    main()
