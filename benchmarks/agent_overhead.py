"""What the agent itself costs: resident memory and its share of one processor.

Needs what `green-edge demo` left: GREEN_EDGE_DEMO_OUT is its folder. Starts the services, runs a
real agent idle (no input) and at 10 inferences a second, and reads /proc of the agent's process.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.tables import table
from green_edge.bundle.keys import load_signer
from green_edge.cli import demo_loop
from green_edge.cli.service import FleetService, ServicePlan
from green_edge.telemetry.opening import open_store
from green_edge_agent.runtime.interpreter import runtime_name
from green_edge_wire.clock import SystemClock

NEEDS = ("GREEN_EDGE_DEMO_OUT",)
SECONDS = 60.0

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


def _measured(demo: Path, kind: str, folder: Path) -> dict[str, Any]:
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
                time.sleep(SECONDS)
                share = (cpu_s(agent.pid) - before_s) / (time.monotonic() - start_s)
                return {"cpu_share_of_one_core": round(share, 5), **memory_bytes(agent.pid)}
        finally:
            agent.terminate()
            agent.wait(30)


def measure() -> dict[str, Any]:
    """Idle and at 10 inferences a second."""
    demo = Path(os.environ["GREEN_EDGE_DEMO_OUT"]).absolute()
    found: dict[str, Any] = {}
    for name, kind in (("idle", "none"), ("10_inferences_a_second", "npz")):
        with tempfile.TemporaryDirectory() as folder:
            found[name] = _measured(demo, kind, Path(folder))
    return found | {"seconds": SECONDS, "window_s": 5.0, "runtime": runtime_name()}


def markdown(figures: Mapping[str, Any]) -> str:
    """One row a load."""
    loads = {"idle": figures["idle"], "10 inferences a second": figures["10_inferences_a_second"]}
    rows = [
        (
            name,
            f"{load['cpu_share_of_one_core']:.2%}",
            f"{load['resident_bytes']:,}",
            f"{load['private_bytes']:,}",
        )
        for name, load in loads.items()
    ]
    found = table(("load", "share of one core", "resident bytes", "of these not shared"), rows)
    return f"Over {figures['seconds']:.0f} s with {figures['runtime']}.\n\n{found}"
