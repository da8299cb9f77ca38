import json

from green_edge.core.report import (
    BuildReport,
    Candidate,
    Guard,
    ModelRef,
    Quality,
    Skip,
    StepReport,
    TargetArtefact,
)
from green_edge_wire import codec

_QUALITY = Quality("accuracy", 0.97, 0.95, 0.98, 400)
_CANDIDATE = Candidate("int8", "m.host.tflite", 10, 20, 30, 25, _QUALITY, 12.5)
_REPORT = BuildReport(
    tool_version="0.1.0",
    seed=0,
    model=ModelRef("m", 1, "ab", "keras"),
    targets=(TargetArtefact("host", "m.host.tflite", "m.host.gedge", "cd"),),
    float_model=_CANDIDATE,
    int8_baseline=_CANDIDATE,
    chosen=_CANDIDATE,
    candidates=(_CANDIDATE,),
    guard=Guard(2.0, 0.1, -0.2, 0.4, 400, "pass"),
    steps=(StepReport("int8", 10, 10, 20, 20, 40, 30, skipped=(Skip("lstm", "left float"),)),),
    wall_s=1.5,
)


def test_the_build_report_has_the_keys_that_scripts_rely_on_in_their_order() -> None:
    document = json.loads(codec.dumps(_REPORT))
    promised = [
        *("schema", "tool_version", "seed", "model", "targets", "float", "int8_baseline"),
        *("chosen", "candidates", "guard", "steps"),
    ]
    assert list(document)[: len(promised)] == promised
    assert "wall_s" in document
    assert list(document["float"]) == (
        ["recipe", "file", "params", "macs", "size_bytes", "zip_bytes", "quality", "latency_us"]
    )
    assert list(document["guard"]) == (
        ["max_drop_pp", "drop_pp", "low_pp", "high_pp", "n", "verdict", "reference", "looks"]
    )
    assert document["steps"][0]["skipped"] == [{"layer": "lstm", "reason": "left float"}]
    assert "quality" not in document["steps"][0]


def test_the_build_report_reads_back_as_it_was_written() -> None:
    assert codec.loads(BuildReport, codec.dumps(_REPORT, indent=2), strict=True) == _REPORT
