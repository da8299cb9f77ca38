"""A benchmark's build is that of the command line, made once and kept."""

from pathlib import Path

import pytest
from benchmarks.compression.building import REPORT, build

from green_edge_wire.errors import GreenEdgeError
from support.small_builds import Workshop, clear_workshop


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.setenv("GREEN_EDGE_CACHE", str(tmp_path / "cache"))
    return clear_workshop(tmp_path / "shop")


def options(shop: Workshop, *more: str) -> tuple[str, ...]:
    sets = ("--calibration", str(shop.calibration), "--eval", str(shop.labelled))
    return (*sets, "--recipe", "int8", *more)


def test_a_build_is_kept_until_what_it_was_made_from_changes(shop: Workshop) -> None:
    inputs = (shop.calibration, shop.labelled)
    first = build("dense", shop.model, options(shop), inputs)
    assert (first.folder / REPORT).is_file()
    assert first.ratios["instructions_ratio"] == 1.0
    assert 0 < first.wall_s < 300
    assert build("dense", shop.model, options(shop), inputs) == first
    other = build("dense", shop.model, options(shop, "--seed", "5"), inputs)
    assert other.folder != first.folder
    assert other.report["seed"] == 5


def test_a_build_without_files_is_an_error_and_is_tried_again(shop: Workshop) -> None:
    for _ in range(2):
        with pytest.raises(GreenEdgeError, match="ended with 2"):
            build("dense", shop.model, options(shop, "--metric", "no-such"), ())
