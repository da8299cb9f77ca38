import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from green_edge.build.compare.gate import judge
from green_edge.build.compare.gate_report import check_gate, found, junit, limit, markdown, title
from green_edge.build.compare.values import PredictedPair
from green_edge.core.gate import (
    EnergyLimits,
    Gate,
    GateResult,
    InstructionLimits,
    LatencyLimits,
    QualityLimits,
    SizeLimits,
)
from green_edge_wire.errors import BudgetError, InconclusiveError
from support.comparisons import comparison, cost, own
from support.junit_rules import breaches

_PAIR = PredictedPair("pi4", cost(1_000_000), cost(2_000_000))
_FOUND = comparison(predicted=(_PAIR,), a="a|b`.tflite", b="new\x01 <model>.tflite")
_MIXED = Gate(
    quality=QualityLimits(max_drop_pp=1.0, min=0.85),
    size=SizeLimits(max_bytes=9_000),
    instructions=(InstructionLimits("pi4", max_ratio=0.6),),
    latency=(LatencyLimits("pi4", 2_000.0),),
    energy=(EnergyLimits("pi4", max_uj=300.0),),
)


def _result(gate: Gate = _MIXED) -> GateResult:
    return judge(gate, _FOUND, own())


def test_junit_holds_to_the_common_schema_and_counts_its_cases() -> None:
    document = junit(_FOUND, _result())
    assert breaches(document) == []
    suite = ET.fromstring(document).find("testsuite")  # noqa: S314 - our own output
    assert suite is not None
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == [
        "6", "1", "2", "0",
    ]  # fmt: skip


def test_what_cannot_be_told_is_an_error_of_junit_and_no_failure() -> None:
    root = ET.fromstring(junit(_FOUND, _result()))  # noqa: S314 - our own output
    kinds = {
        (case.get("classname"), case.get("name")): [child.tag for child in case]
        for case in root.iter("testcase")
    }
    assert kinds == {
        ("green-edge.quality", "max_drop_pp"): ["error"],
        ("green-edge.quality", "min"): ["system-out"],
        ("green-edge.size", "max_bytes"): ["failure"],
        ("green-edge.instructions", "max_ratio (pi4)"): ["system-out"],
        ("green-edge.latency", "max_us (pi4)"): ["error"],
        ("green-edge.energy", "max_uj (pi4)"): ["system-out"],
    }
    failure = next(root.iter("failure"))
    assert failure.get("type") == "fail"
    assert failure.get("message") == ("file size: 10,000 B, limit: at most 9,000 B; over the limit")


def test_junit_is_xml_whatever_a_file_is_called() -> None:
    root = ET.fromstring(junit(_FOUND, _result()))  # noqa: S314 - our own output
    values = {entry.get("name"): entry.get("value") for entry in root.iter("property")}
    assert values["new"] == "new? <model>.tflite"
    assert values["baseline"] == "a|b`.tflite"
    assert values["verdict"] == "fail"


def test_markdown_is_a_table_that_no_file_name_breaks() -> None:
    page = markdown(_FOUND, _result())
    assert page.startswith("### green-edge gate: **FAIL**\n")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows[0] == (
        "| `quality.max_drop_pp` | +1.00 pp | +0.50 pp (-0.50 to +1.50) | **INCONCLUSIVE** |"
    )
    assert rows[2] == "| `size.max_bytes` | 9,000 B | 10,000 B | **FAIL** |"
    assert len(rows) == 6
    assert "against `a|b.tflite`" in page
    assert "- `size.max_bytes`: over the limit" in page
    tables = [line for line in page.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in tables} == {5}


def test_an_estimate_never_stands_without_its_range() -> None:
    shown = {title(check): (limit(check), found(check)) for check in _result().checks}
    assert shown["latency.max_us pi4"] == ("2.00 ms", "estimate 1.00 to 3.00 ms")
    assert shown["energy.max_uj pi4"] == ("300 uJ", "estimate 100 to 300 uJ")
    assert shown["quality.min"] == ("85.00 %", "90.00 % (88.00 to 92.00)")
    assert shown["instructions.max_ratio pi4"] == ("0.6 x", "estimate 0.437 to 0.572 x")


def test_the_exit_code_follows_the_verdict() -> None:
    check_gate(_result(Gate(size=SizeLimits(max_bytes=10_000))))
    with pytest.raises(BudgetError, match=r"gate failed: size.max_bytes: over the limit") as failed:
        check_gate(_result())
    assert failed.value.exit_code == 4
    with pytest.raises(InconclusiveError, match="samples reaches across the limit") as undecided:
        check_gate(_result(Gate(quality=QualityLimits(max_drop_pp=1.0))))
    assert undecided.value.exit_code == 8


def test_a_check_without_a_limit_says_that_none_is_set() -> None:
    both = replace(comparison(), unjudged_outputs=1, other_outputs=own())
    result = judge(Gate(quality=QualityLimits(max_drop_pp=50.0)), both, own())
    check = result.checks[-1]
    assert (limit(check), found(check)) == ("not set", "90.00 % (88.00 to 92.00)")
    assert "limit: at least not set" not in junit(both, result)
    assert "| not set |" in markdown(both, result)
