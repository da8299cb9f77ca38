"""Passes of other packages: their mistakes are told as theirs."""

from pathlib import Path
from typing import Any

import pytest

tf = pytest.importorskip("tensorflow")

from green_edge.compress import steps  # noqa: E402 - needs TensorFlow
from green_edge.core.steps import External  # noqa: E402
from green_edge_wire.errors import ModelError  # noqa: E402

pytestmark = pytest.mark.tf

CODE = """
from types import SimpleNamespace as Has
import tensorflow as tf

def overflowing(graph, parameters, scene):
    raise tf.errors.ResourceExhaustedError(None, None, "no room")

def plan(lines=lambda: ("fine",), skipped=()):
    return Has(plan=lambda *given: Has(lines=lines, skipped=skipped), apply=lambda *given: None)

silent = plan(lines=None)
numbers = plan(lines=lambda: (1, 2))
words = plan(skipped=("dense",))
nothing = plan()
full = Has(plan=overflowing)
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("silent", r"'silent' of faulty 3 raised TypeError: 'NoneType' object is not callable"),
        ("numbers", r"raised TypeError: its plan's lines\(\) are not all text"),
        ("words", r"raised TypeError: its plan's `skipped` holds something else"),
        ("nothing", "'nothing' of faulty 3 gave no graph"),
        ("full", "raised ResourceExhaustedError: no room"),
        ("absent", "raised AttributeError: module 'faulty_pass' has no attribute 'absent'"),
    ],
)
def test_a_mistake_in_another_packages_pass_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    info = tmp_path / "faulty-3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 3\n")
    (info / "entry_points.txt").write_text(f"[green_edge.passes]\n{name} = faulty_pass:{name}\n")
    (tmp_path / "faulty_pass.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    given: Any = None
    with pytest.raises(ModelError, match=said):
        steps.take(given, External(name), given)
