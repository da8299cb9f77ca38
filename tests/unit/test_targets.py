import tomllib
from importlib import resources

import pytest

from green_edge.targets.grammar import TargetRef, parse
from green_edge.targets.registry import find, names
from green_edge.targets.runtimes import load
from green_edge_wire.errors import ConfigError


@pytest.mark.parametrize(
    ("runtime", "pythons"),
    [
        ("tflite-runtime-2.13.0", ("3.9", "3.10")),
        ("ai-edge-litert-1.4.0", ("3.9", "3.10", "3.11", "3.12")),
    ],
)
def test_older_runtimes_have_the_wheels_that_the_index_has(
    runtime: str, pythons: tuple[str, ...]
) -> None:
    wheels = load(runtime).wheels
    assert {wheel.python for wheel in wheels} == {pythons}
    assert {"aarch64", "x86_64"} <= {wheel.arch for wheel in wheels}


def test_every_target_of_the_registry_is_found_and_described() -> None:
    assert set(names()) == {
        *("coral-devboard", "coral-m2", "coral-usb", "host", "pi3", "pi4", "pi5", "zero2"),
    }
    for name in names():
        target = find(name)
        assert target.ref.text == name
        assert target.title
        assert target.runtime


def test_a_board_runs_64_bit_bookworm_unless_told_otherwise() -> None:
    assert find("pi4").system == "bookworm-arm64"
    assert find("pi4").runtime == "ai-edge-litert"
    assert find("pi4:bookworm-armhf").runtime == "tflite-runtime"
    assert find("host").system is None


def test_a_name_comes_apart_and_together_again() -> None:
    ref = parse("coral-usb:bookworm-arm64+pi5")
    assert ref == TargetRef("coral-usb", "bookworm-arm64", "pi5")
    assert ref.text == "coral-usb:bookworm-arm64+pi5"
    assert ref.slug == "coral-usb-bookworm-arm64-pi5"


@pytest.mark.parametrize("text", ["", "Pi4", "pi4:", "pi4+", "pi4:bookworm", "pi4/../x", "-pi4"])
def test_what_is_no_name_of_a_target_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no target"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "p4",
            "unknown target 'p4'; did you mean 'pi4'? known: coral-devboard, coral-m2, coral-usb",
        ),
        ("toaster", "host, pi3, pi4, pi5, zero2"),
        ("pi4:trixie-riscv", "pi4 has no 'trixie-riscv'; it runs bookworm-arm64"),
        ("host:bookworm-arm64", "host has no 'bookworm-arm64'; leave the system out"),
        ("coral-usb:bookworm-arm64+host", "host has no 'bookworm-arm64'"),
        ("coral-usb+coral-m2", "coral-usb does not go with 'coral-m2'; it goes with pi4, pi5"),
        ("coral-m2+zero2", "coral-m2 does not go with 'zero2'"),
        ("coral-devboard+pi5", "coral-devboard is its own host"),
        ("pi5:bullseye-arm64", "pi5 has no 'bullseye-arm64'"),
        ("pi4+pi5", "pi4 is no accelerator"),
    ],
)
def test_a_target_that_does_not_exist_says_what_does(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find(text)
    assert message in str(caught.value)
    assert caught.value.place == "--target"


def test_an_accelerator_stands_on_a_pi_4_unless_told_otherwise() -> None:
    target = find("coral-usb")
    assert (target.accelerator, target.host, target.system) == ("edgetpu", "pi4", "bookworm-arm64")
    assert (target.cpu, target.cores) == ("cortex-a72", 4)
    other = find("coral-usb+pi5")
    assert (other.host, other.cpu) == ("pi5", "cortex-a76")
    assert find("coral-usb+host").system is None
    assert find("pi4").host is None


def test_the_development_board_is_its_own_host() -> None:
    target = find("coral-devboard")
    assert (target.host, target.cpu) == ("coral-devboard", "cortex-a53")
    assert find("coral-devboard:mendel-arm64").runtime is None


def test_an_edge_tpu_goes_with_the_runtime_that_its_driver_was_built_for() -> None:
    for name in ("coral-usb", "coral-m2+pi5", "coral-devboard"):
        target = find(name)
        assert (target.runtime, target.runtime_version) == ("tflite-runtime", "2.14.0")
        assert target.libedgetpu == "16.0tf2.16.1"
        assert not target.wide
    assert find("pi4").wide
    assert find("pi4").libedgetpu is None


@pytest.mark.parametrize(
    ("text", "runtime", "wheel", "numpy"),
    [
        ("pi3", "ai-edge-litert 2.3.0", "cp311 manylinux_2_27_aarch64", "numpy>=1.26,<3"),
        ("pi5:trixie-arm64", "ai-edge-litert 2.3.0", "cp313 manylinux_2_27_aarch64",
         "numpy>=1.26,<3"),
        ("pi4:bullseye-arm64", "ai-edge-litert 1.4.0", "cp39 manylinux_2_17_aarch64",
         "numpy>=1.23,<3"),
        ("zero2:bookworm-armhf", "tflite-runtime 2.14.0", "cp311 manylinux_2_34_armv7l",
         "python3-numpy 1.24.2 of Debian"),
        # The wheel of 2.14 for Python 3.9 needs glibc 2.34, and Bullseye has 2.31.
        ("pi3:bullseye-armhf", "tflite-runtime 2.13.0", "cp39 manylinux2014_armv7l",
         "python3-numpy 1.19.5 of Debian"),
        ("coral-usb", "tflite-runtime 2.14.0", "cp311 manylinux_2_34_aarch64", "numpy>=1.23,<2"),
    ],
)  # fmt: skip
def test_each_system_has_its_runtime_wheel_and_numpy(
    text: str, runtime: str, wheel: str, numpy: str
) -> None:
    plan = find(text).plan
    assert plan is not None
    assert (f"{plan.package} {plan.version}", plan.wheel, plan.numpy) == (runtime, wheel, numpy)


@pytest.mark.parametrize(
    "text", ["pi4:trixie-armhf", "coral-usb:trixie-arm64+pi5", "coral-devboard:mendel-arm64"]
)
def test_where_no_wheel_fits_there_is_no_runtime(text: str) -> None:
    assert find(text).plan is None


def test_every_fact_of_a_target_has_a_source() -> None:
    data = resources.files("green_edge.targets").joinpath("data")
    for folder in (data, data.joinpath("systems"), data.joinpath("runtimes")):
        for file in folder.iterdir():
            if not file.name.endswith(".toml") or file.name == "host.toml":
                continue
            sources = tomllib.loads(file.read_text(encoding="utf-8"))["sources"]
            assert sources, file.name
            assert all(sources.values()), file.name
