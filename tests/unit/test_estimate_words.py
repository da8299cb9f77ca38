import pytest

from green_edge.build.estimate import words
from green_edge.targets.physics import Bounds, Range


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (Range(2_134, 4_812), "2.1 to 4.9 ms"),
        (Range(999, 1_001), "0.99 to 1.1 ms"),
        (Range(95, 100), "95 to 100 us"),
        (Range(3, 9), "3.0 to 9.0 us"),
        (Range(0, 12), "0 to 12 us"),
        (Range(300, 300), "300 us"),
        (Range(0, 0), "0 us"),
        (Range(12_345_678, 99_999_999), "12 to 100 s"),
    ],
)
def test_a_range_is_rounded_outward_to_two_digits(span: Range, text: str) -> None:
    assert words.latency(span) == text


def test_energy_and_power_are_in_the_unit_of_the_higher_end() -> None:
    assert words.energy(Range(6_300, 22_400)) == "6.3 to 23 mJ"
    assert words.energy(Range(900_000, 1_200_000)) == "0.90 to 1.2 J"
    assert words.power(Bounds(2_300, 3_100)) == "2.3 to 3.1 W"
    assert words.power(Bounds(0.2, 812.3)) == "0.20 to 820 mW"
    assert words.power(Bounds(0.003, 0.0287)) == "3.0 to 29 uW"


def test_shares_below_a_percent_keep_a_digit() -> None:
    assert [words.share(part) for part in (0.0, 0.004, 0.214, 1.0)] == [
        "0 %", "0.4 %", "21 %", "100 %",
    ]  # fmt: skip


def test_a_bar_is_as_long_as_its_share_and_never_empty_for_something() -> None:
    assert len(words.bar(0.5, 0.5)) == 2 * len(words.bar(0.25, 0.5))
    assert words.bar(0.001, 0.5) == "#"
    assert words.bar(0.0, 0.5) == ""
