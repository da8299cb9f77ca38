"""Measure what the agent itself costs: resident memory and its share of one processor.

Needs what `green-edge demo` left in `demo-out`. Starts the services, runs a real agent
idle (no input) and at 10 inferences a second, and reads /proc of the agent's process. Prints JSON.

    python benchmarks/agent_overhead.py [--seconds 60] [--demo demo-out]
"""

import argparse
import datetime as dt
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from green_edge.bundle.keys import load_signer
from green_edge.cli import demo_loop
from green_edge.cli.service import FleetService, ServicePlan
from green_edge.telemetry.opening import open_store
from green_edge_agent.runtime.interpreter import runtime_name
from green_edge_wire.clock import SystemClock

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Processor time of a process so far, all threads, user and system (proc(5), stat 14, 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def memory_bytes(pid: int) -> dict[str, int]:
    """Resident memory, and the part of it that no other process shares (proc(5) smaps_rollup)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kib = {name: int(value.split()[0]) for name, value in (line.split(":") for line in lines)}
    return {
        "resident_bytes": kib["Rss"] * 1024,
        "private_bytes": (kib["Private_Clean"] + kib["Private_Dirty"]) * 1024,
    }


def measure(demo: Path, kind: str, seconds: float, folder: Path) -> dict[str, Any]:
    """Run one agent with one kind of input and measure it once it has settled."""
    clock = SystemClock()
    signer = load_signer(None, demo / "keys")
    (bundle,) = (demo / "build").glob("*.gedge")
    plan = ServicePlan(
        state=folder / "state", store=str(folder / "t.db"), site="bench", port=0, broker_port=0
    )
    inputs = (demo / "digits" / "train.npz").absolute()
    with FleetService(plan, clock=clock, say=lambda _text: None) as service:
        settings = service.device_settings(
            demo_loop.DEVICE,
            [signer.public.text],
            state_dir=str(folder / "agent"),
            input_kind=kind,
            input_path=str(inputs) if kind == "npz" else None,
        )
        config = folder / "agent.toml"
        config.touch(mode=0o600)
        config.write_text(settings)
        command = [sys.executable, "-m", "green_edge_agent", "run", "--config", str(config)]
        agent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with closing(open_store(plan.store)) as store:
                demo_loop.push_to_agent(service, store, bundle, signer, clock, time.sleep)
                time.sleep(10.0)
                start_s, before_s = time.monotonic(), cpu_s(agent.pid)
                time.sleep(seconds)
                share = (cpu_s(agent.pid) - before_s) / (time.monotonic() - start_s)
                return {"cpu_share_of_one_core": round(share, 5), **memory_bytes(agent.pid)}
        finally:
            agent.terminate()
            agent.wait(30)


def main() -> None:
    """Measure idle and at 10 inferences a second."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--demo", type=Path, default=Path("demo-out"))
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    for name, kind in (("idle", "none"), ("10_inferences_a_second", "npz")):
        with tempfile.TemporaryDirectory() as folder:
            found[name] = measure(arguments.demo, kind, arguments.seconds, Path(folder))
    found |= {
        "seconds": arguments.seconds,
        "window_s": 5.0,
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "runtime": runtime_name(),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
