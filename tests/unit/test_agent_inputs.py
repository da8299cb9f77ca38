"""Inputs: files at a rate, requests with answers, and what is said about unusable ones."""

import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from green_edge_agent.inputs.contract import Request, Source
from green_edge_agent.inputs.replay import Replay, image_items, npz_items
from green_edge_agent.inputs.requests import LineRequests, MqttRequests
from green_edge_wire import codec
from green_edge_wire.device import InferRequest, InferResult
from green_edge_wire.errors import ConfigError, ModelError
from green_edge_wire.manifest import TensorSpec
from green_edge_wire.units import s_from_ns
from support.clock import ManualClock

ONE = (TensorSpec("serving_default_x:0", (1, 2), "float32"),)
TWO = (TensorSpec("left", (1, 2), "float32"), TensorSpec("right", (1,), "float32"))
GREY = (TensorSpec("image", (1, 4, 4, 1), "int8"),)
COLOUR = (TensorSpec("image", (1, 4, 4, 3), "int8"),)


def replay(count: int, clock: ManualClock, *, rate_hz: float, repeat: bool = True) -> Replay:
    def item(number: int) -> Callable[[object], tuple[np.ndarray, ...]]:
        return lambda _specs: (np.full(2, number),)

    return Replay(
        [item(number) for number in range(count)],
        prepared=True,
        rate_hz=rate_hz,
        repeat=repeat,
        clock=clock,
        wait=clock.advance_s,
    )


def seconds(clock: ManualClock) -> float:
    return s_from_ns(clock.monotonic_ns())


def value(request: Request | None) -> int:
    assert request is not None
    return int(request.raws(ONE)[0][0])


def taken(source: Source, timeout_s: float = 5.0) -> Request:
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        request = source.take(0.05)
        if request is not None:
            return request
    pytest.fail("no request came")


def test_a_replay_keeps_its_rate_and_begins_again() -> None:
    clock = ManualClock()
    source = replay(3, clock, rate_hz=10.0)
    got = []
    while seconds(clock) < 0.9:
        request = source.take(0.05)
        if request is not None:
            got.append(value(request))
    assert got == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert not source.ended
    assert not source.answers
    source.close()


def test_missed_moments_are_left_out_and_not_caught_up_with() -> None:
    clock = ManualClock()
    source = replay(100, clock, rate_hz=10.0)
    assert source.take(0.2) is not None
    clock.advance_s(5.0)
    assert source.take(0.2) is not None
    start_s = seconds(clock)
    while source.take(0.2) is None:
        pass
    assert seconds(clock) - start_s == pytest.approx(0.1)


def test_a_replay_without_repetition_ends() -> None:
    clock = ManualClock()
    source = replay(2, clock, rate_hz=0.0, repeat=False)
    assert [value(source.take(1.0)), value(source.take(1.0))] == [0, 1]
    assert source.ended
    assert source.take(0.5) is None
    assert seconds(clock) == pytest.approx(0.5)


def test_an_npz_gives_samples_by_position_or_by_input_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", x=np.arange(6).reshape(3, 2), y=np.zeros(3))
    items = npz_items(tmp_path / "one.npz")
    assert len(items) == 3
    assert items[2](ONE)[0].tolist() == [4, 5]
    np.savez(tmp_path / "two.npz", right=np.arange(2), left=np.arange(4).reshape(2, 2))
    left, right = npz_items(tmp_path / "two.npz")[1](TWO)
    assert (left.tolist(), int(right)) == ([2, 3], 1)
    with pytest.raises(ModelError, match="no array for input 'left'"):
        items[0](TWO)


def test_an_npz_that_cannot_serve_is_told(tmp_path: Path) -> None:
    for name, arrays in {
        "empty": {"x": np.zeros((0, 2))},
        "uneven": {"a": np.zeros(2), "b": np.zeros(3)},
        "scalar": {"x": np.float32(1)},
        "labels-only": {"y": np.zeros(3)},
    }.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=r"input\.path: .*same length"):
            npz_items(tmp_path / f"{name}.npz")
    (tmp_path / "text.npz").write_text("no archive", encoding="utf-8")
    np.save(tmp_path / "lone.npy", np.zeros(3))
    (tmp_path / "lone.npy").rename(tmp_path / "lone.npz")
    said = {"text": "pickled", "none": "No such file or directory", "lone": "a single .npy array"}
    for name, reason in said.items():
        with pytest.raises(ConfigError, match=rf"{name}\.npz: .*{reason}.*; write it with numpy"):
            npz_items(tmp_path / f"{name}.npz")


def test_images_are_read_in_the_mode_that_the_model_takes(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    Image.new("RGB", (5, 3), (255, 0, 0)).save(tmp_path / "sub" / "a.png")
    (tmp_path / "note.txt").write_text("no image", encoding="utf-8")
    (item,) = image_items(tmp_path)
    assert item(COLOUR)[0].shape == (3, 5, 3)
    assert item(GREY)[0].shape == (3, 5)
    with pytest.raises(ModelError, match="does not take images"):
        item(ONE)
    (tmp_path / "b.png").write_bytes(b"broken")
    with pytest.raises(ModelError, match=r"cannot read image b\.png"):
        image_items(tmp_path)[0](GREY)
    with pytest.raises(ConfigError, match="no images"):
        image_items(tmp_path / "none")


def test_requests_over_mqtt_wait_in_order_and_overflow_is_answered() -> None:
    answers: list[InferResult] = []
    source = MqttRequests(answers.append)
    for number in range(70):
        source.received(codec.pack_one(InferRequest(str(number), ((1.0, 2.0),))))
    assert len(answers) == 6
    assert answers[0].error == "too many requests are waiting"
    assert taken(source).id == "0"
    request = taken(source)
    assert (request.id, request.raws(ONE)[0].tolist()) == ("1", [1.0, 2.0])
    assert source.answers
    assert not source.ended
    source.close()


def test_lines_are_requests_and_their_end_is_the_end() -> None:
    answers: list[InferResult] = []
    lines = io.StringIO('{"id":"a","inputs":[[1,2]]}\n\nnonsense\n{"id":"b","inputs":[[3,4]]}\n')
    source = LineRequests(lines, answers.append)
    assert [taken(source).id, taken(source).id] == ["a", "b"]
    source._thread.join(5)
    assert source.ended
    assert "not a request" in (answers[0].error or "")
    source.close()


def test_a_flood_of_lines_waits_instead_of_filling_the_memory() -> None:
    text = "".join(f'{{"id":"{n}","inputs":[[0]]}}\n' for n in range(200))
    stream = io.StringIO(text)
    source = LineRequests(stream, lambda _answer: None)
    assert [taken(source).id for _ in range(100)] == [str(n) for n in range(100)]
    assert stream.tell() < len(text)
    source.close()
    source._thread.join(5)
    assert not source._thread.is_alive()


def test_a_line_that_is_not_utf8_is_answered_and_the_next_ones_are_served() -> None:
    answers: list[InferResult] = []
    good = b'{"id":"%s","inputs":[[1]]}\n'
    raw = io.BytesIO(good % b"a" + b"\xff\xfe bad\n" + good % b"\xff" + good % b"c")
    with io.TextIOWrapper(raw, encoding="ascii") as lines:
        source = LineRequests(lines, answers.append)
        assert [taken(source).id, taken(source).id] == ["a", "c"]
        source._thread.join(5)
    assert ["not a request" in (answer.error or "") for answer in answers] == [True, True]
    assert source.ended


def test_a_refusal_that_cannot_be_written_ends_the_stream(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(_answer: InferResult) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    source = LineRequests(io.StringIO("nonsense\n"), broken)
    source._thread.join(5)
    assert source.ended
    assert "requests are no longer read: [Errno 32]" in caplog.text
