"""Finished steps on disk: whole or absent, and bounded."""

import os
import shutil
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from green_edge.build.step_cache import StepCache, key_of, steps_folder
from green_edge.compress.protocol import REPLY_FILE, StepReply
from green_edge.core.steps import Prune, Recover
from green_edge_wire import codec
from green_edge_wire.errors import GreenEdgeError
from support.clock import ManualClock

DAY_S = 24 * 3600


def finish(cache: StepCache, key: str, length_bytes: int = 0) -> None:
    with cache.doing(key):
        cache.state(key).mkdir()
        (cache.state(key) / "model.keras").write_bytes(bytes(length_bytes))
        (cache.state(key) / REPLY_FILE).write_text(codec.dumps(StepReply(lines=(key,))))


def test_a_finished_step_is_found_with_what_was_said_of_it(tmp_path: Path) -> None:
    cache = StepCache(tmp_path / "steps")
    assert cache.found("a") is None
    finish(cache, "a")
    assert cache.found("a") == StepReply(lines=("a",))


def test_half_a_step_is_none_and_makes_room_for_the_whole(tmp_path: Path) -> None:
    cache = StepCache(tmp_path)
    cache.state("a").mkdir()
    (tmp_path / "a.part").mkdir()
    assert cache.found("a") is None
    finish(cache, "a")
    assert not (tmp_path / "a.part").exists()
    assert cache.found("a") is not None


def test_checkpoints_stay_until_their_step_is_finished(tmp_path: Path) -> None:
    cache = StepCache(tmp_path)

    def interrupted() -> None:
        with cache.doing("a"):
            cache.checkpoints("a").mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert cache.checkpoints("a").is_dir()
    finish(cache, "a")
    assert not cache.checkpoints("a").exists()


def test_the_longest_unused_steps_go_when_there_are_too_many(tmp_path: Path) -> None:
    clock = ManualClock()
    cache = StepCache(tmp_path, most_bytes=2500)
    for age_days, key in enumerate(("fresh", "old", "older")):
        finish(cache, key, 1000)
        used_s = clock.unix_ms() / 1000 - age_days * DAY_S
        os.utime(cache.state(key), (used_s, used_s))
    cache.trim(clock)
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["fresh", "old"]


def test_what_a_build_may_still_use_stays_however_much_it_is(tmp_path: Path) -> None:
    clock = ManualClock()
    cache = StepCache(tmp_path, most_bytes=1)
    finish(cache, "fresh", 1000)
    now_s = clock.unix_ms() / 1000
    os.utime(cache.state("fresh"), (now_s, now_s))
    cache.trim(clock)
    assert cache.found("fresh") is not None


def test_a_step_that_another_build_does_is_waited_for(tmp_path: Path) -> None:
    cache = StepCache(tmp_path)
    told: list[str] = []
    with ExitStack() as other:
        other.enter_context(cache.doing("a"))

        def wait() -> None:
            told.append("waits")
            other.close()

        with cache.doing("a", wait):
            assert told == ["waits"]
    with cache.doing("a", wait):
        assert told == ["waits"]


def test_what_another_build_takes_away_meanwhile_is_no_error(tmp_path: Path) -> None:
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            for name in "abcdefgh":
                (tmp_path / name).mkdir()
                (tmp_path / name / "training.npz").touch()
            for name in "abcdefgh":
                shutil.rmtree(tmp_path / name)

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        for _ in range(3_000):
            StepCache(tmp_path).trim(ManualClock())
    finally:
        done.set()
        other.join()


def test_a_key_follows_from_every_part() -> None:
    keys = {key_of({"after": "a", "step": step}) for step in (Prune(0.5), Prune(0.4), Recover(0.5))}
    keys |= {key_of({"after": "b", "step": Prune(0.5)})}
    assert len(keys) == 4
    assert key_of({"after": "a", "step": Prune(0.5)}) in keys


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "steps").touch()
    with (
        pytest.raises(GreenEdgeError, match="another folder by GREEN_EDGE_CACHE"),
        StepCache(tmp_path / "steps").doing("a"),
    ):
        pass


def test_steps_are_kept_in_the_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREEN_EDGE_CACHE", str(tmp_path))
    assert steps_folder() == tmp_path / "steps"
