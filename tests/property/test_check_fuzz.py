"""Whatever bytes a file holds, a check ends with a report or says what is wrong with the file."""

from hypothesis import example, given
from hypothesis import strategies as st

from green_edge.targets.check import check
from green_edge.targets.edgetpu.compiled import read_compiled
from green_edge.targets.registry import find
from green_edge.tflite.read import read
from green_edge_wire.errors import ModelError
from support.edgetpu_faults import CRASHES, FATAL

TARGETS = tuple(find(name) for name in ("pi4", "pi4:bookworm-armhf", "coral-usb"))
FILES = tuple(
    fault.model for fault in (*FATAL.values(), *CRASHES.values()) if len(fault.model) < 5000
)


@given(
    data=st.sampled_from(FILES),
    flips=st.lists(st.tuples(st.integers(8, 4999), st.integers(0, 255)), max_size=4),
)
@example(data=FILES[0], flips=[])
def test_a_broken_file_is_reported_or_refused(data: bytes, flips: list[tuple[int, int]]) -> None:
    broken = bytearray(data)
    for at, value in flips:
        broken[at % len(data)] = value
    try:
        model = read(bytes(broken), static=False, zipped=False)
        compiled = read_compiled(bytes(broken))
    except ModelError:
        return
    for target in TARGETS:
        report = check(model, target, compiled=compiled)
        assert len(report.ops) == len(model.ops)
        assert report.verdict in ("runs", "partial", "refused", "unknown")
