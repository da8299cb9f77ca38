import pytest

from green_edge.targets.grammar import TargetRef, parse
from green_edge.targets.registry import find, names
from green_edge_wire.errors import ConfigError


def test_every_target_of_the_registry_is_found_and_described() -> None:
    assert {"host", "pi4", "pi5"} <= set(names())
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
        ("p4", "unknown target 'p4'; did you mean 'pi4'? known: host, pi4, pi5"),
        ("toaster", "known: host, pi4, pi5"),
        ("pi4:trixie-riscv", "pi4 has no 'trixie-riscv'; it runs bookworm-arm64"),
        ("host:bookworm-arm64", "write 'host' alone"),
        ("pi4+pi5", "pi4 is no accelerator"),
    ],
)
def test_a_target_that_does_not_exist_says_what_does(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find(text)
    assert message in str(caught.value)
    assert caught.value.place == "--target"
