"""What the workstation makes of a device's answer to the command `bench`."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from green_edge.build.benchmark import of_device
from green_edge.fleet import tell
from green_edge.fleet.bench import Served, order, result_of, wait_s
from green_edge.telemetry.store import EventRow
from green_edge_wire import codec
from green_edge_wire.bench import (
    RESULT_FACT,
    BenchOrder,
    BenchResult,
    LatencyStats,
    Measured,
    ProfileRow,
    ProfileRows,
    Trial,
)
from green_edge_wire.device import Status
from green_edge_wire.errors import DeviceError, ModelError
from green_edge_wire.telemetry import Event
from support.bundles import test_signer
from support.clock import ManualClock
from support.memory_store import MemoryStore
from support.tiny_models import tiny_int8_dense
from support.transport import MemoryBroker, MemoryTransport

MODEL = tiny_int8_dense()
ROWS = ProfileRows(10, 12.0, (ProfileRow("Fully Connected (NC, QS8, QC8W) GEMM", 8.0),))
FOUND = BenchResult(
    hashlib.sha256(MODEL).hexdigest(),
    "Raspberry Pi 4 Model B",
    "cpu",
    Measured("ai-edge-litert 2.3.0", LatencyStats(10, 9.0, 8.0, 8.0, 9.0, 10.0, 10.0, 10.0), ROWS),
    temperature_c=55.0,
    flags=("throttled",),
)


def answered(kind: str, message: str, **facts: str | int) -> EventRow:
    return EventRow("pi", "boot", 1, 0, 0, kind, message, facts)


def test_the_order_names_the_file_and_how_to_measure_it() -> None:
    trial = Trial(runs=7, limit_s=30.0)
    made = codec.loads(BenchOrder, order(Served("a" * 64, 12, "http://h/x"), trial), strict=True)
    assert (made.artifact_sha256, made.length_bytes, made.urls) == ("a" * 64, 12, ("http://h/x",))
    assert made.trial == trial
    assert wait_s(trial) > trial.limit_s


def test_the_figures_are_in_the_answer() -> None:
    event = answered("command", "bench: done", **{RESULT_FACT: codec.dumps(FOUND)})
    assert result_of("pi", event) == FOUND


def test_an_answer_without_figures_says_why() -> None:
    with pytest.raises(DeviceError, match="'pi': bench: disk full"):
        result_of("pi", answered("command", "bench: disk full"))
    with pytest.raises(DeviceError, match="cannot read"):
        result_of("pi", answered("command", "bench: done", **{RESULT_FACT: "{}"}))


def test_an_agent_that_does_not_know_the_command_is_to_be_updated() -> None:
    said = "command: unreadable command: verb: 'bench' is none of 'refresh', 'release'"
    with pytest.raises(DeviceError, match="cannot measure models; install this version"):
        result_of("pi", answered("refused", said, counter=3))


def test_a_devices_figures_say_where_they_are_from(tmp_path: Path) -> None:
    path = tmp_path / "tiny.tflite"
    path.write_bytes(MODEL)
    shown = of_device(path, Trial(runs=10), "pi", FOUND)
    assert (shown.measured_on, shown.machine) == ("device", "Raspberry Pi 4 Model B")
    assert shown.device is not None
    assert shown.device.flags == ("throttled",)
    assert shown.profile is not None
    assert [layer.op for layer in shown.profile.layers] == ["FULLY_CONNECTED"]


def test_figures_of_another_model_are_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "tiny.tflite"
    path.write_bytes(tiny_int8_dense(seed=9))
    with pytest.raises(ModelError, match="measured another model"):
        of_device(path, Trial(runs=10), "pi", FOUND)


# --- waiting for the answer ----------------------------------------------------------------------


def asked(store: MemoryStore, meanwhile: Callable[[], None]) -> EventRow:
    """Send a command to a device that is on line, and have something happen while waiting."""
    store.put_status("home", Status("pi", "b-1", online=True, at_unix_ms=1), 1_000)
    clock = ManualClock(unix_ms=1_000)
    (row,) = store.devices()
    telling = tell.prepare(store, row, "bench", test_signer(), clock, argument="{}")
    things = iter([meanwhile])
    return tell.send(
        telling, store, MemoryTransport(MemoryBroker()),
        wait=lambda _s: next(things, lambda: None)(), timeout_s=60.0,
    )  # fmt: skip


def test_who_waits_hears_of_a_device_that_has_gone() -> None:
    store = MemoryStore()
    gone = Status("pi", "b-1", online=False, at_unix_ms=2)
    with pytest.raises(DeviceError, match="'pi' went off line before it answered"):
        asked(store, lambda: store.put_status("home", gone, 2_000))


def test_who_waits_hears_of_a_device_that_started_anew() -> None:
    store = MemoryStore()
    anew = Status("pi", "b-2", online=True, at_unix_ms=2)
    with pytest.raises(DeviceError, match="'pi' started anew before it answered"):
        asked(store, lambda: store.put_status("home", anew, 20_000))


def test_what_a_device_said_last_counts_although_it_has_gone() -> None:
    store = MemoryStore()

    def farewell() -> None:
        said = Event("pi", "b-1", 1, 2, "refused", "command: no", {"counter": 1_000})
        store.put_status("home", Status("pi", "b-1", online=False, at_unix_ms=2), 2_000)
        store.commit([said], site="home", received_unix_ms=2_000)

    assert asked(store, farewell).message == "command: no"
