"""Builds by the real converters of models that plain int8 spoils, at the default limit."""

from pathlib import Path

import numpy as np
import pytest

from green_edge.build.options import BuildOptions
from green_edge.build.pipeline import build
from support.bundles import test_signer
from support.outlier_models import Fault, Planted, planted


def planted_options(folder: Path, spoilt: Planted) -> BuildOptions:
    """A build by the real converters of a model with a planted fault."""
    (folder / "m.tflite").write_bytes(spoilt.model)
    np.savez(folder / "calibration.npz", x=spoilt.calibration)
    np.savez(folder / "eval.npz", x=spoilt.x, y=spoilt.y)
    return BuildOptions(
        model=folder / "m.tflite",
        name="m",
        targets=("pi4",),
        out=folder / "out",
        calibration=str(folder / "calibration.npz"),
        eval=str(folder / "eval.npz"),
    )


@pytest.mark.parametrize(
    ("fault", "rung"),
    [("channel", "equalisation"), ("residual", "mixed-4"), ("spikes", "entropy")],
)
def test_a_model_that_plain_int8_spoils_is_won_back_to_half_a_point_of_float(
    tmp_path: Path, fault: Fault, rung: str
) -> None:
    options = planted_options(tmp_path, planted(fault, samples=2000))
    report = build(options, test_signer())
    lost_pp = report.float_model.quality.value - report.int8_baseline.quality.value
    assert lost_pp > 0.05
    assert report.guard.drop_pp <= 0.5
    assert report.steps[-1].step.startswith(rung)
    assert report.steps[-1].kept


@pytest.mark.parametrize(
    ("factor", "samples", "seed"),
    [(60.0, 5000, 0), (80.0, 2000, 0), (80.0, 2000, 1), (120.0, 2000, 2), (150.0, 150, 15)],
)
def test_a_smaller_fault_is_won_back_to_half_a_point_as_well_and_on_few_samples(
    tmp_path: Path, factor: float, samples: int, seed: int
) -> None:
    spoilt = planted("channel", seed=seed, samples=samples, factor=factor)
    report = build(planted_options(tmp_path, spoilt), test_signer())
    lost = report.float_model.quality.value - report.int8_baseline.quality.value
    assert lost > 0.02
    assert report.guard.drop_pp <= 0.5
    assert report.guard.verdict == ("inconclusive" if samples < 188 else "pass")
    (equalised,) = (step for step in report.steps if step.step == "equalisation")
    assert [skip.layer for skip in equalised.skipped] == ["scores"]


def test_calibration_samples_of_another_scale_are_doubted_in_the_notes(tmp_path: Path) -> None:
    sound = planted("none", samples=300)
    options = planted_options(tmp_path, sound)
    np.savez(tmp_path / "calibration.npz", x=sound.calibration / 255)
    report = build(options, test_signer())
    assert any(note.startswith("warning: 300 of 300 evaluation") for note in report.notes)
