import dataclasses
from pathlib import Path

import pytest

from green_edge.core.gate import EnergyLimits, Gate, LatencyLimits, QualityLimits, load_gate
from green_edge_wire.errors import ConfigError


def _load(folder: Path, text: str) -> Gate:
    file = folder / "gate.toml"
    file.write_text(text, encoding="utf-8")
    return load_gate(file)


def test_a_table_for_one_target_and_a_list_of_tables_are_both_read(tmp_path: Path) -> None:
    gate = _load(
        tmp_path,
        '[latency]\ntarget = "pi4"\nmax_us = 20_000\n'
        '[[energy]]\ntarget = "pi5"\nmax_uj = 900\n[[energy]]\ntarget = "pi4"\nmax_ratio = 0.5\n',
    )
    assert gate.latency == (LatencyLimits("pi4", 20_000.0),)
    assert gate.energy == (EnergyLimits("pi5", max_uj=900.0), EnergyLimits("pi4", max_ratio=0.5))
    assert gate.targets == ("pi4", "pi5")
    assert gate.quality is None


def test_all_that_a_gate_can_limit_is_read(tmp_path: Path) -> None:
    gate = _load(
        tmp_path,
        "[quality]\nmax_drop_pp = 1.0\nmin = 0.9\n"
        "[size]\nmax_bytes = 60_000\nmax_ratio = 0.3\nmax_zip_bytes = 50_000\nmax_zip_ratio = 0.4\n"
        "[macs]\nmax = 3_000_000\nmax_ratio = 1.0\n"
        '[instructions]\ntarget = "pi4"\nmax = 2_000_000\nmax_ratio = 1.0\n',
    )
    assert gate.quality is not None
    assert (gate.quality.max_drop_pp, gate.quality.min) == (1.0, 0.9)
    assert gate.size is not None
    assert (gate.size.max_bytes, gate.size.max_zip_ratio) == (60_000, 0.4)
    assert gate.macs is not None
    assert gate.macs.max == 3_000_000
    assert gate.instructions[0].max_ratio == 1.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "sets no limit; such as [size]"),
        ("[size]\n", "size: sets no limit; of max_bytes, max_ratio"),
        ("[size]\nmax_byte = 1\n", "size: unknown key 'max_byte'; did you mean 'max_bytes'?"),
        ("[sizes]\nmax_bytes = 1\n", "unknown key 'sizes'; did you mean 'size'?"),
        ("[size]\nmax_bytes = 1.5\n", "size.max_bytes: expected a whole number, got 1.5"),
        ("[latency]\nmax_us = 1\n", "latency[0].target: missing"),
        ("[quality]\nmin = 90\n", "quality: min is a share of 0..1; such as 0.9"),
        ("[quality]\nmin_other_outputs = 2\n", "min_other_outputs is a share of 0..1"),
        ("[quality]\nmax_drop_pp = -1\n", "quality: max_drop_pp must not be negative"),
        ("[macs\n", "not TOML"),
        (
            '[[latency]]\ntarget = "pi4"\nmax_us = 1\n[[latency]]\ntarget = "pi4"\nmax_us = 2\n',
            "latency of pi4: set twice",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, text)
    assert said in str(caught.value)
    assert "<top>" not in str(caught.value)
    assert "gate.toml" in str(caught.value)


def test_a_gate_that_is_not_there_is_a_mistake_of_usage(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read it: No such file"):
        load_gate(tmp_path / "gate.toml")


def test_the_gate_of_the_documentation_sets_every_limit(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "comparing.md").read_text(encoding="utf-8")
    gate = _load(tmp_path, page.partition("```toml\n")[2].partition("```")[0])
    tables = (gate.quality, gate.size, gate.macs, *gate.instructions, *gate.latency, *gate.energy)
    assert len(tables) == 6
    unset = [
        field.name
        for table in tables
        for field in dataclasses.fields(table or QualityLimits())
        if getattr(table, field.name) is None
    ]
    assert unset == []
