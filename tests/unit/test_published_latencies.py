from dataclasses import replace

import pytest
from benchmarks.published import CHIP, Row, Span, one_thread_ms, pairs, read, speedups

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
