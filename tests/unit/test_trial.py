"""A model measured in a child process: figures, or the reason, whatever the model does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from green_edge_agent.runtime import interpreter, litert_profiler, trial
from green_edge_wire.bench import MAX_PROFILED_RUNS, Trial
from green_edge_wire.errors import DecodeError, DeviceError, ModelError
from support.agents import children_of
from support.broken_child import ENDS, HANGS, break_children
from support.brokers import wait_until
from support.op_models import conv
from support.tiny_models import tiny_float_dense, tiny_int8_dense

_SHORT = Trial(runs=7, warm_up=1)


def test_a_model_is_run_as_often_as_asked() -> None:
    found = trial.run(tiny_int8_dense(), _SHORT)
    assert found.runtime == interpreter.runtime_name()
    assert found.profile is None
    latency = found.latency
    assert latency.runs == 7
    assert 0 < latency.min_us <= latency.p50_us <= latency.p99_us <= latency.max_us


def test_what_the_runtime_says_of_a_model_is_passed_on() -> None:
    with pytest.raises(ModelError, match="has a dynamic shape; convert"):
        trial.run(tiny_float_dense(signature_shape=(1, -1)), _SHORT)
    with pytest.raises(ModelError, match=r"not a \.tflite file"):
        trial.run(b"not a model at all", _SHORT)


def test_a_model_that_ends_its_process_ends_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_children(tmp_path, ENDS, monkeypatch)
    with pytest.raises(ModelError, match="ended the process that ran it, by SIGABRT"):
        trial.run(tiny_int8_dense(), _SHORT)


def test_a_model_that_hangs_is_ended_at_the_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_children(tmp_path, HANGS, monkeypatch)
    with pytest.raises(DeviceError, match=r"it took longer than 0\.3 s"):
        trial.run(tiny_int8_dense(), Trial(limit_s=0.3))
    with pytest.raises(DeviceError, match="the agent stops"):
        trial.run(tiny_int8_dense(), _SHORT, stopped=lambda: True)


@pytest.mark.parametrize(
    "changes", [{"runs": 0}, {"threads": 0}, {"seed": -1}, {"limit_s": 0.0}, {"limit_s": 1e9}]
)
def test_a_trial_of_nothing_or_for_ever_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(DecodeError, match="out of range"):
        Trial(**changes)  # type: ignore[arg-type]


def test_the_profiler_is_asked_of_the_versions_that_are_known_alone() -> None:
    assert litert_profiler.why_not("ai-edge-litert 2.3.0") is None
    for runtime in ("ai-edge-litert 2.4.0", "ai-edge-litert 1.4.0", "tflite-runtime 2.14.0"):
        reason = litert_profiler.why_not(runtime)
        assert reason is not None
        assert reason.endswith(f"installed is {runtime}")


@pytest.mark.parametrize("model", [tiny_int8_dense(), tiny_float_dense()])
def test_a_profile_times_each_step_of_the_model(model: bytes) -> None:
    reason = litert_profiler.why_not(interpreter.runtime_name())
    if reason is not None:
        pytest.skip(reason)
    rows = trial.run(model, Trial(runs=9, warm_up=1, profile=True)).profile
    assert rows is not None
    assert rows.runs == 9
    assert rows.total_us >= sum(row.us for row in rows.rows) >= 0
    assert any(row.kernel.startswith("Fully Connected") for row in rows.rows)


def test_a_profile_is_of_a_thousand_runs_at_most() -> None:
    reason = litert_profiler.why_not(interpreter.runtime_name())
    if reason is not None:
        pytest.skip(reason)
    found = trial.run(tiny_int8_dense(), Trial(runs=1_001, warm_up=0, profile=True))
    assert found.latency.runs == 1_001
    assert found.profile is not None
    assert found.profile.runs == MAX_PROFILED_RUNS == 1_000


_ENDLESS = """
import sys
from green_edge_agent.runtime import trial
from green_edge_wire.bench import Trial
trial.run(sys.stdin.buffer.read(), Trial(runs=1_000_000, limit_s=120.0))
"""


def test_a_measurement_ends_with_whoever_asked_even_when_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _ENDLESS], stdin=subprocess.PIPE) as asking:
        assert asking.stdin is not None
        # Takes long enough that a million runs do not end by themselves.
        asking.stdin.write(conv(out=64, size=64, channels=64, depth=64))
        asking.stdin.close()
        wait_until(lambda: bool(children_of(asking.pid)), within_s=30)
        (child,) = children_of(asking.pid)
        wait_until(lambda: _cpu_s(child) > 1.0, within_s=60)
        asking.kill()
    wait_until(lambda: not _runs(child), within_s=5)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")


def _runs(pid: int) -> bool:
    """Whether a process is there, and no zombie that its new parent does not reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
