"""A device and `green-edge up` with its real store: SIGKILL for each of them, and nothing is lost.

Runs the kill test that also gives the published figures, with a short schedule.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from green_edge.bundle.keys import new_key
from support.brokers import skip_unless_installed
from support.bundles import tiny_bundle

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[2]


def material(folder: Path) -> Path:
    """What the script expects from a demo, made of the tiny model."""
    for name in ("build", "digits"):
        (folder / name).mkdir(parents=True)
    signer = new_key("default", folder / "keys")
    (folder / "build" / "tiny.host.gedge").write_bytes(tiny_bundle(signer=signer))
    rng = np.random.default_rng(0)
    inputs = rng.uniform(-1, 1, (20, 4)).astype(np.float32)
    np.savez(folder / "digits" / "train.npz", x=inputs)
    return folder


@pytest.mark.parametrize("embedded", ["mosquitto", "amqtt"])
def test_kills_of_agent_broker_and_host_lose_no_committed_record_and_double_none(
    embedded: str, tmp_path: Path
) -> None:
    if embedded == "mosquitto":
        skip_unless_installed("mosquitto")
    counts = ("--agent-kills", "1", "--broker-kills", "1", "--host-kills", "1")
    timing = ("--seconds", "9", "--window-s", "0.5", "--period-s", "0.2", "--seed", "3")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.kill_tests", "--demo", str(material(tmp_path))),
            *("--embedded", embedded, *counts, *timing),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert {kill["victim"] for kill in document["schedule"]} == {"agent", "broker", "host"}
    (run,) = document["runs"]
    assert run["faults"] == []

    records = run["records"]
    assert records["received"] == records["committed"] > 10
    assert records["content_compared"] > records["committed"] // 2
    assert (records["lost"], records["double_counted"], records["differing"]) == (0, 0, 0)
    assert set(run["inferences"].values()) == {run["inferences"]["committed"]} != {0}
    assert set(run["microjoules"].values()) == {run["microjoules"]["committed"]} != {0}

    ends = run["unclean_ends"]
    assert (ends["agent_kills"], ends["reported"]) == (1, 1)
    assert run["windows_missing"]["reported"] == run["windows_missing"]["expected"]
    assert run["host"]["starts"] == 2 + run["host"]["failed_starts"]
    # The same comparison does see faults.
    assert set(run["audit_on_spoilt_data"].values()) == {1}
