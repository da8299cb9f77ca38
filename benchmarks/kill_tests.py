"""SIGKILL for agent, broker and host: what was lost and what was counted twice.

Needs what `green-edge demo` left: GREEN_EDGE_DEMO_OUT is its folder. Everything is a real process:
`green-edge up` with an embedded broker and the SQLite store, `green-edge-agent` with the demo's
model and its images. A seeded schedule of kills runs over some minutes; then the host's store is
compared with what the agent had committed to its spool, which `kill_truth` finds out without the
host.

    python -m benchmarks.kill_tests --demo DIR [--embedded mosquitto amqtt] [--seconds 120]

runs it with another schedule, prints the figures and ends with code 1 when anything was lost,
counted twice or not reported.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from benchmarks.kill_audit import COMPARED, AgentKill, HostSide, audit, faults, proof_of_sight
from benchmarks.kill_processes import DEVICE, DeviceProcess, HostProcess, Load, wait_until
from benchmarks.tables import table
from green_edge_wire.errors import GreenEdgeError

Victim = Literal["agent", "broker", "host"]

NEEDS = ("GREEN_EDGE_DEMO_OUT",)

# Between two kills at least; a start of the agent takes about one.
_APART_S = 1.5
# How long agent and host stay away at most after their kills.
_LONGEST_DOWN_S = 3.0


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL of the schedule, by seconds after its begin; the broker is `up`'s to restart."""

    at_s: float
    victim: Victim
    down_s: float


def schedule(seed: int, seconds: float, counts: dict[Victim, int]) -> tuple[Kill, ...]:
    """Kills in random order at random moments; the same for the same arguments."""
    draw = random.Random(seed)  # noqa: S311 - nothing secret
    victims = [victim for victim, count in counts.items() for _ in range(count)]
    draw.shuffle(victims)
    free_s = seconds - _APART_S * len(victims)
    if free_s <= 0:
        raise SystemExit(f"--seconds: {len(victims)} kills need more than {seconds:.0f}")
    moments = sorted(draw.uniform(0, free_s) for _ in victims)
    return tuple(
        Kill(round(moment + i * _APART_S, 2), victim, round(draw.uniform(0, _LONGEST_DOWN_S), 2))
        for i, (moment, victim) in enumerate(zip(moments, victims, strict=True))
    )


class Scene:
    """Host and device of one run."""

    def __init__(self, folder: Path, load: Load, embedded: str) -> None:
        self._load = load
        self.host = HostProcess(folder, load.keys, embedded)
        self.device = DeviceProcess(folder)
        self.agent_kills: list[AgentKill] = []

    def begin(self) -> None:
        """Start both and push the bundle."""
        wait_until(lambda: self.host.ready, "start of the host", self.host.tend)
        self.device.configure(self.host.settings(), self._load)
        self.device.tend()
        wait_until(self._arrived, "the first record", self.tend)
        self.host.command("push", str(self._load.bundle), "--device", DEVICE, "--timeout", "60")

    def carry_out(self, kills: tuple[Kill, ...], seconds: float) -> None:
        """Carry out the schedule to the end of its time."""
        begin_s = time.monotonic()
        for kill in kills:
            self._pass_until(begin_s + kill.at_s)
            self._strike(kill)
        self._pass_until(begin_s + seconds)

    def settle(self) -> None:
        """Wait until the host has all that was committed by now."""
        wait_until(lambda: self.host.ready and self.device.begun, "restarts", self.tend)
        # What never arrives is for the audit to count.
        with suppress(TimeoutError):
            wait_until(self._arrived, "arrival of all records", self.tend)

    def tend(self) -> None:
        """Start what is to be started again."""
        self.host.tend()
        self.device.tend()

    def end(self) -> dict[str, Any]:
        """Stop the agent cleanly, wait for its last records, stop the host and compare."""
        left = self.device.stop()
        with suppress(TimeoutError):
            wait_until(lambda: not self._missing(), "the last records", self.host.tend)
        report = json.loads(self.host.command("report", "--json"))
        code = self.host.stop()
        host = HostSide(self.host.stored(), report["totals"])
        found = audit(self.device.truth, left.records, host, self.agent_kills)
        return found | {
            "host": {
                "starts": self.host.starts,
                "failed_starts": self.host.failed_starts,
                "exit_code": code,
            },
            "faults": faults(found),
            "audit_on_spoilt_data": proof_of_sight(self.device.truth, left.records, host),
        }

    def _strike(self, kill: Kill) -> None:
        if kill.victim == "agent":
            wait_until(lambda: self.device.begun, "start of the agent", self.tend)
            self.agent_kills.append(self.device.kill(kill.down_s))
            return
        wait_until(lambda: self.host.ready, "start of the host", self.tend)
        if kill.victim == "host":
            self.host.kill(kill.down_s)
            return
        wait_until(self.host.kill_broker, "a broker to kill", self.tend)

    def _pass_until(self, moment_s: float) -> None:
        while (left_s := moment_s - time.monotonic()) > 0:
            self.tend()
            time.sleep(min(left_s, 0.02))

    def _arrived(self) -> bool:
        return bool(self.device.truth.records) and not self._missing()

    def _missing(self) -> set[tuple[str, int]]:
        truth = self.device.truth
        return (set(truth.records) | truth.places()) - set(self.host.stored())

    def give_up(self) -> None:
        """Leave no process behind."""
        self.device.abandon()
        self.host.kill(0.0)


def run(
    load: Load, embedded: str, kills: tuple[Kill, ...], seconds: float, folder: Path
) -> dict[str, Any]:
    """One run with one kind of broker, in an empty folder."""
    scene = Scene(folder, load, embedded)
    try:
        scene.begin()
        scene.carry_out(kills, seconds)
        scene.settle()
        found = scene.end()
    except BaseException:
        for log in sorted(folder.glob("*.log")):
            sys.stderr.write(f"--- {log.name}\n{log.read_text()[-3000:]}")
        raise
    finally:
        scene.give_up()
    return {"embedded_broker": embedded, "broker": broker_version(embedded), **found}


def broker_version(embedded: str) -> str:
    """Name and version of the embedded broker."""
    if embedded == "amqtt":
        return f"amqtt {version('amqtt')}"
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    said = subprocess.run(
        ["mosquitto", "-h"], env={"PATH": path}, capture_output=True, text=True, check=False
    )
    return said.stdout.splitlines()[0]


def measure() -> dict[str, Any]:
    """The schedule of the published figures, with both brokers."""
    found = figures_of(read_arguments(["--demo", os.environ["GREEN_EDGE_DEMO_OUT"]]))
    wrong = [fault for each in found["runs"] for fault in each["faults"]]
    if wrong:
        raise GreenEdgeError(f"records were lost, doubled or not reported: {'; '.join(wrong)}")
    return found


def markdown(figures: Mapping[str, Any]) -> str:
    """One column a broker."""
    runs, settings = figures["runs"], figures["settings"]
    kills = ", ".join(f"{count} of the {name}" for name, count in settings["sigkills"].items())
    told = {
        "records committed": [each["records"]["committed"] for each in runs],
        "received": [each["records"]["received"] for each in runs],
        "lost": [each["records"]["lost"] for each in runs],
        "counted twice": [each["records"]["double_counted"] for each in runs],
        "with another content": [each["records"]["differing"] for each in runs],
        "inferences committed": [each["inferences"]["committed"] for each in runs],
        "inferences in the report": [each["inferences"]["in_report"] for each in runs],
        "faults": [len(each["faults"]) for each in runs],
    }
    rows = [(name, *(f"{value:,}" for value in values)) for name, values in told.items()]
    return (
        f"{settings['seconds']:.0f} s at {settings['inferences_per_second']:.0f} inferences a"
        f" second, kills: {kills}.\n\n{table(('', *(each['broker'] for each in runs)), rows)}"
    )


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    brokers = ("mosquitto", "amqtt")
    parser.add_argument("--embedded", nargs="+", choices=brokers, default=brokers)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--agent-kills", type=int, default=6)
    parser.add_argument("--broker-kills", type=int, default=3)
    parser.add_argument("--host-kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate-hz", type=float, default=50.0)
    parser.add_argument("--window-s", type=float, default=1.5)
    parser.add_argument("--period-s", type=float, default=1.0, help="spool period")
    parser.add_argument("--demo", type=Path, required=True, help="what `green-edge demo` left")
    return parser.parse_args(arguments)


def figures_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run every broker asked for."""
    demo: Path = arguments.demo.absolute()
    (bundle,) = (demo / "build").glob("*.gedge")
    load = Load(
        bundle=bundle,
        keys=demo / "keys",
        inputs=demo / "digits" / "train.npz",
        rate_hz=arguments.rate_hz,
        window_s=arguments.window_s,
        period_s=arguments.period_s,
    )
    counts: dict[Victim, int] = {
        "agent": arguments.agent_kills,
        "broker": arguments.broker_kills,
        "host": arguments.host_kills,
    }
    kills = schedule(arguments.seed, arguments.seconds, counts)
    runs = []
    for embedded in arguments.embedded:
        with tempfile.TemporaryDirectory() as folder:
            runs.append(run(load, embedded, kills, arguments.seconds, Path(folder)))
    return {
        "settings": {
            "seed": arguments.seed,
            "seconds": arguments.seconds,
            "inferences_per_second": load.rate_hz,
            "window_s": load.window_s,
            "spool_period_s": load.period_s,
            "sigkills": counts,
        },
        "schedule": [asdict(kill) for kill in kills],
        "compared": COMPARED,
        "runs": runs,
    }


def main() -> int:
    """Run the schedule of the command line and print what it gave."""
    found = figures_of(read_arguments())
    print(json.dumps(found, indent=2))
    return int(any(each["faults"] for each in found["runs"]))


if __name__ == "__main__":
    sys.exit(main())
