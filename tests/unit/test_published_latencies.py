import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from benchmarks.published import CHIP, Row, Span, one_thread_ms, pairs, read, speedups
from benchmarks.published_ranking import coverage

from green_edge.targets import physics
from green_edge.targets.registry import find

PI4 = Row("net", "pi4", "int8", 1, 100.0, "list", "tflite-runtime", clock_mhz=1500)


def test_every_row_names_its_source_and_the_runtime_it_is_nearest_to() -> None:
    published = read()
    assert {row.source for row in published.rows} == set(published.sources)
    assert {row.kernels for row in published.rows} == {CHIP, "ai-edge-litert", "tflite-runtime"}
    assert all(row.ms > 0 for row in published.rows)
    assert len(set(published.rows)) == len(published.rows)


def test_bounds_are_set_with_rows_that_are_also_judged_as_such() -> None:
    fit = [row for row in read().rows if row.fit]
    assert {row.board for row in fit} == {"pi3", "pi4", "pi5"}
    assert 2 * len(fit) < len(read().rows)


@pytest.mark.parametrize("board", ["pi3", "pi4", "pi4:bookworm-armhf", "pi5"])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_the_bounds_of_a_board_are_a_quarter_wider_than_the_rows_that_set_them(
    board: str, dtype: Literal["int8", "float32"]
) -> None:
    target = find(board)
    wanted = (target.ref.name, target.arch, dtype)
    rows = [row for row in read().rows if row.fit and (row.board, row.arch, row.dtype) == wanted]
    # Where threads are not stated there were at least as many cores at work as four threads of a
    # 64-bit Pi 4 are worth, and at most four.
    pi4 = [row for row in read().rows if (row.board, row.arch) == ("pi4", "aarch64")]
    speedup = speedups(pi4)[dtype, 4]
    found = []
    for row in rows:
        per_cycle = _counted(row) / (row.ms * 1_000 * (row.clock_mhz or 0))
        found += [per_cycle] if row.threads else [per_cycle / 4, per_cycle / speedup]
    bounds: physics.Bounds = getattr(physics.board_of(target).ipc, dtype)
    assert bounds.low == pytest.approx(min(found) / 1.25, abs=0.01)
    assert bounds.high == pytest.approx(max(found) * 1.25, abs=0.01)


def _counted(row: Row) -> int:
    """Instructions of a row's network, counted by emulation when the bounds were set."""
    file = Path(__file__).parents[2] / "benchmarks" / "results" / "published_ranking.json"
    wanted = (row.model, row.board, row.arch, row.dtype)
    (found,) = {
        each["instructions"]
        for each in json.loads(file.read_text(encoding="utf-8"))["figures"]["bounds"]
        if (each["model"], each["board"], each["arch"], each["dtype"]) == wanted
    }
    assert isinstance(found, int)
    return found


def test_the_smallest_speed_up_of_a_list_is_taken_for_each_type_and_number_of_threads() -> None:
    rows = [
        PI4,
        replace(PI4, threads=4, ms=40.0),
        replace(PI4, model="other", ms=90.0),
        replace(PI4, model="other", threads=4, ms=30.0),
    ]
    assert speedups(rows) == {("int8", 4): pytest.approx(2.5)}


@pytest.mark.parametrize(
    ("threads", "expected"),
    [
        (1, Span(100.0, 100.0)),
        (4, Span(250.0, 400.0)),
        (2, Span(100.0, 200.0)),
        (0, Span(100, 400)),
    ],
)
def test_a_figure_on_several_threads_says_a_range_of_one(threads: int, expected: Span) -> None:
    assert one_thread_ms(replace(PI4, threads=threads), {("int8", 4): 2.5}) == expected


def test_pairs_differ_in_one_thing_and_are_right_where_the_estimates_agree() -> None:
    slower_model = replace(PI4, model="large", ms=200.0)
    pi5 = replace(PI4, board="pi5", ms=30.0, clock_mhz=2400)
    floats = replace(PI4, dtype="float32", ms=150.0)
    chip = replace(PI4, board="coral-usb+pi4", kernels=CHIP, threads=0, ms=10.0, clock_mhz=None)
    estimates = {
        PI4: Span(80, 120),
        slower_model: Span(150, 250),
        pi5: Span(20, 40),
        floats: Span(70, 110),
        chip: Span(8, 12),
    }
    found = {(pair.kind, pair.longer): pair for pair in pairs(estimates)}
    assert set(found) == {
        ("two models", slower_model),
        ("two boards", PI4),
        ("int8 and float", floats),
        ("Edge TPU and processor", PI4),
    }
    assert [pair.kind for pair in found.values() if not pair.right] == ["int8 and float"]


def test_figures_within_a_tenth_and_those_of_two_lists_are_no_pair() -> None:
    near = replace(PI4, model="near", ms=109.0)
    elsewhere = replace(PI4, model="elsewhere", ms=300.0, source="another list")
    assert pairs({PI4: Span(1, 2), near: Span(3, 4), elsewhere: Span(5, 6)}) == ()


def test_threads_and_clocks_are_never_mixed_in_a_pair() -> None:
    four = replace(PI4, model="large", threads=4, ms=300.0)
    slow = replace(PI4, clock_mhz=1200, ms=300.0)
    assert pairs({PI4: Span(1, 2), four: Span(3, 4), slow: Span(5, 6)}) == ()


def test_the_same_two_on_several_numbers_of_threads_are_one_pair_right_only_if_always() -> None:
    large = replace(PI4, model="large", ms=200.0)
    swapped = {
        replace(PI4, threads=4, ms=90.0): Span(1, 2),
        replace(large, threads=4, ms=60.0): Span(3, 4),
    }
    found = pairs({PI4: Span(1, 2), large: Span(3, 4), **swapped})
    assert [(pair.kind, pair.right) for pair in found] == [("two models", False)]
    alone = pairs({PI4: Span(1, 2), large: Span(3, 4)})
    assert [pair.right for pair in alone] == [True]


def test_a_range_meets_more_than_it_holds() -> None:
    assert Span(1, 3).meets(Span(2, 5))
    assert not Span(1, 3).holds(Span(2, 5))
    assert Span(1, 5).holds(Span(2, 5))
    assert Span(1, 5).times(2) == Span(2, 10)


def test_coverage_tells_what_wrong_estimates_would_have_covered() -> None:
    row = {
        "chip": False, "arch": "aarch64", "fit": False, "threads": 1, "dtype": "int8",
        "one_thread_ms": [10.0, 10.0], "estimate_ms": [8.0, 16.0],
    }  # fmt: skip
    wide = row | {"threads": 4, "one_thread_ms": [4.0, 40.0]}
    found = {each["published_on"]: each for each in coverage([row, wide])}
    single = found["one thread, int8"]
    assert single["figures"] == 1
    assert [(each["factor"], each["inside"]) for each in single["off_by"]] == [
        (0.5, 0), (0.7, 1), (1.0, 1), (1.5, 0), (2.0, 0),
    ]  # fmt: skip
    # A range from 4 to 40 meets everything and so proves nothing.
    assert [each["meets"] for each in found["several threads"]["off_by"]] == [1] * 5
    assert [each["inside"] for each in found["several threads"]["off_by"]] == [0] * 5
