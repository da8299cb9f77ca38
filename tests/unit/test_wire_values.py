import subprocess
import sys
from pathlib import Path

import pytest

import green_edge_wire
from green_edge_wire import errors, units
from green_edge_wire.clock import SystemClock
from green_edge_wire.command import Envelope
from green_edge_wire.errors import ConfigError, DecodeError, GreenEdgeError, IntegrityError
from green_edge_wire.latency import MAX_NS, LatencyHistogram, bucket_of
from green_edge_wire.manifest import Manifest, Member, Normalise, TensorSpec
from green_edge_wire.telemetry import (
    FLAG_ASSUMED_BOARD,
    FLAG_GAP,
    EnergyReading,
    Sample,
    check_position,
)

WIRE = Path(green_edge_wire.__file__).parent


def test_the_wire_imports_the_standard_library_only() -> None:
    # A fresh interpreter without site-packages: anything else would fail to import, and what was
    # imported is listed by file, not by name.
    modules = sorted(path.stem for path in WIRE.glob("*.py") if path.stem != "__init__")
    script = (
        "import sys\n"
        f"sys.path.insert(0, {str(WIRE.parent)!r})\n"
        f"for name in {modules!r}: __import__('green_edge_wire.' + name)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True
    )
    foreign = set(done.stdout.split()) - set(sys.stdlib_module_names) - {"__main__"}
    assert foreign <= {"green_edge_wire"}
    assert len(modules) >= 10


def test_each_branch_of_the_error_tree_has_its_exit_code() -> None:
    codes: dict[type[GreenEdgeError], int] = {
        errors.ConfigError: 2,
        errors.DecodeError: 2,
        errors.ModelError: 3,
        errors.BudgetError: 4,
        errors.ArtifactError: 5,
        errors.ActivationError: 6,
        errors.MeterAbsentError: 6,
        errors.TransportError: 7,
        errors.InconclusiveError: 8,
    }
    assert {kind: kind.exit_code for kind in codes} == codes
    assert GreenEdgeError.exit_code == 1


def test_an_error_is_one_line_of_what_where_and_remedy() -> None:
    assert str(ConfigError("is bad", place="a.b", hint="mend it")) == "a.b: is bad; mend it"
    assert str(GreenEdgeError("is bad")) == "is bad"
    error = IntegrityError("is bad", member="model.tflite")
    assert (str(error), error.member, error.reason) == (
        "model.tflite: is bad",
        "model.tflite",
        "is bad",
    )


def test_units_convert_by_worked_numbers() -> None:
    assert units.uj_from_uw_ns(2_500_000, 4_000_000_000) == 10_000_000  # 2.5 W for 4 s: 10 J
    assert units.uw_from_uj_ns(10_000_000, 4_000_000_000) == 2_500_000
    assert units.us_from_ns(1_500) == 1.5
    assert units.ms_from_ns(1_500_000) == 1.5
    assert units.s_from_ns(1_500_000_000) == 1.5
    assert units.ns_from_s(0.25) == 250_000_000
    assert units.ms_from_s(0.25) == 250
    assert units.mj_from_uj(1_500) == 1.5
    assert units.j_from_uj(1_500_000) == 1.5
    assert units.w_from_uw(1_500_000) == 1.5
    assert units.uw_from_w(1.5) == 1_500_000


def test_the_system_clock_does_not_go_back_and_knows_this_century() -> None:
    clock = SystemClock()
    assert clock.monotonic_ns() <= clock.monotonic_ns()
    assert clock.unix_ms() > 1_600_000_000_000


@pytest.mark.parametrize(
    "fields",
    [
        {"count": 1},
        {"count": 1, "sum_ns": 5, "min_ns": 5, "max_ns": 5, "buckets": (5,), "counts": ()},
        {"count": 2, "sum_ns": 11, "min_ns": 5, "max_ns": 6, "buckets": (6, 5), "counts": (1, 1)},
        {"count": 0, "buckets": (5,), "counts": (0,)},
        {"count": 1, "sum_ns": 9, "min_ns": 9, "max_ns": 9, "buckets": (99_999,), "counts": (1,)},
        {"count": 1, "sum_ns": 9, "min_ns": 9, "max_ns": 9, "buckets": (5,), "counts": (1,)},
        {"count": 1, "sum_ns": -5, "min_ns": -5, "max_ns": 0, "buckets": (0,), "counts": (1,)},
        {"count": 2, "sum_ns": 99, "min_ns": 5, "max_ns": 6, "buckets": (5, 6), "counts": (1, 1)},
        {"sum_ns": 1},
    ],
)
def test_a_histogram_that_contradicts_itself_is_refused(fields: dict[str, int]) -> None:
    with pytest.raises(DecodeError, match="latency histogram"):
        LatencyHistogram(**fields)  # type: ignore[arg-type]


def test_an_empty_histogram_has_no_quantile_and_no_mean() -> None:
    assert LatencyHistogram.of([]) == LatencyHistogram()
    assert LatencyHistogram().quantile_ns(0.5) is None
    assert LatencyHistogram().mean_ns() is None


def test_durations_out_of_range_are_clamped() -> None:
    histogram = LatencyHistogram.of([-1, MAX_NS + 1])
    assert (histogram.min_ns, histogram.max_ns) == (0, MAX_NS)
    assert histogram.buckets == (0, bucket_of(MAX_NS))
    assert histogram.quantile_ns(2.0) == MAX_NS


def test_quantiles_of_known_durations() -> None:
    histogram = LatencyHistogram.of(range(1, 101))
    assert histogram.quantile_ns(0.0) == 1
    assert histogram.quantile_ns(0.5) == pytest.approx(50, rel=0.016)
    assert histogram.quantile_ns(0.99) == pytest.approx(99, rel=0.016)
    assert histogram.quantile_ns(1.0) == pytest.approx(100, rel=0.016)


@pytest.mark.parametrize(("seq", "first"), [(0, 1), (1, 0), (1, 2), (1 << 63, 1)])
def test_a_position_that_cannot_be_is_refused(seq: int, first: int) -> None:
    with pytest.raises(DecodeError):
        check_position(seq, first)


def test_a_sample_with_negative_counts_is_refused() -> None:
    with pytest.raises(DecodeError, match="negative"):
        Sample("d", "b", 1, 0, 5, 0, "", "", 0, LatencyHistogram(), errors=-1)


def test_a_reading_counts_unless_a_flag_invalidates_it() -> None:
    reading = EnergyReading("m", "modelled", "modelled", 1, 1, 0.5, 1)
    assert reading.valid
    assert EnergyReading(
        "m", "modelled", "modelled", 1, 1, 0.5, 1, flags=(FLAG_ASSUMED_BOARD,)
    ).valid
    assert not EnergyReading("m", "modelled", "modelled", 1, 1, 0.5, 1, flags=(FLAG_GAP,)).valid


@pytest.mark.parametrize("shape", [(0,), (1, -1), (1 << 16, 1 << 16)])
def test_a_shape_that_is_not_static_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DecodeError, match="static shape"):
        TensorSpec("x", shape, "int8")


def test_a_sample_has_the_tensors_shape_without_a_batch_axis_of_one() -> None:
    assert TensorSpec("x", (1, 8, 8, 1), "int8").sample_shape == (8, 8, 1)
    assert TensorSpec("x", (3, 8), "int8").sample_shape == (3, 8)
    assert TensorSpec("x", (), "int8").sample_shape == ()


def test_scales_and_deviations_are_positive() -> None:
    with pytest.raises(DecodeError, match="scale"):
        TensorSpec("x", (1,), "int8", scale=0.0)
    for std in ((), (1.0, 0.0)):
        with pytest.raises(DecodeError, match="std"):
            Normalise((0.0,), std)


def test_a_manifest_has_one_model_and_distinct_members() -> None:
    model = Member("model.tflite", "model", 1, "00")
    for members in ((), (model, model), (model, Member("model.tflite", "record", 1, "00"))):
        with pytest.raises(DecodeError, match="exactly one model"):
            Manifest("m", 1, "host", (), (), members)
    for version, schema in ((0, 1), (1, 2)):
        with pytest.raises(DecodeError, match="version"):
            Manifest("m", version, "host", (), (), (model,), schema=schema)
    assert Manifest("m", 1, "host", (), (), (model,)).member("model") == model
    assert Manifest("m", 1, "host", (), (), (model,)).member("labels") is None


@pytest.mark.parametrize(
    ("device_id", "key_id", "counter", "body"),
    [
        ("d", "k", 0, ""),
        ("d", "k", 1 << 63, ""),
        ("d", "k", 1, "x" * 65_537),
        ("d\n", "k", 1, ""),
        ("d", "k\n", 1, ""),
    ],
)
def test_an_envelope_that_no_honest_sender_makes_is_refused(
    device_id: str, key_id: str, counter: int, body: str
) -> None:
    with pytest.raises(DecodeError, match="envelope"):
        Envelope(device_id, key_id, counter, body, "")
