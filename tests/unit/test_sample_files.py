"""Samples on their way to the compress child."""

import resource
from pathlib import Path

import numpy as np
import pytest

from green_edge.compress import sample_files
from green_edge.compress.scene import Samples
from green_edge_wire.errors import GreenEdgeError


def samples(n: int) -> Samples:
    return Samples((np.arange(n), np.zeros((n, 2), np.float32)), np.arange(n) % 2)


def test_arrays_come_back_in_the_order_of_the_models_inputs(tmp_path: Path) -> None:
    sample_files.write(tmp_path / "s", samples(5), Samples(samples(2).x))
    train, held = sample_files.read(tmp_path / "s", (1, 0))
    assert [x.shape for x in train.x] == [(5, 2), (5,)]
    assert train.y is not None
    assert train.y.tolist() == [0, 1, 0, 1, 0]
    assert (held.n, held.y) == (2, None)


def test_no_pass_can_change_what_the_next_one_learns_from(tmp_path: Path) -> None:
    sample_files.write(tmp_path / "s", samples(5), samples(2))
    train, _ = sample_files.read(tmp_path / "s", (0, 1))
    with pytest.raises(ValueError, match="read-only"):
        train.x[0][0] = 7


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    # What a full disk gives as ENOSPC this gives as EFBIG, without root.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(GreenEdgeError, match=r"cannot write samples in .*; make room there"):
            sample_files.write(tmp_path / "s", samples(5_000), samples(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
