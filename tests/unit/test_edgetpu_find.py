"""Which Edge TPUs a file tree shows, and what a compiled model says that it needs."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from green_edge_agent.runtime.edgetpu.find import Found, chosen, find
from green_edge_agent.runtime.edgetpu.package import needed_runtime
from support.edgetpu_device import (
    add_pci_edgetpu,
    add_usb_edgetpu,
    edgetpu_package,
    tiny_edgetpu_dense,
)
from support.sysfs import write
from support.tiny_models import tiny_int8_dense


def test_a_machine_without_one_has_none(tmp_path: Path) -> None:
    assert find(tmp_path) == ()
    write(tmp_path / "sys" / "bus" / "usb" / "devices" / "1-1" / "idVendor", "18d1")
    write(tmp_path / "sys" / "bus" / "usb" / "devices" / "1-1" / "idProduct", "4ee1")  # a telephone
    assert find(tmp_path) == ()


def test_a_usb_device_is_found_before_and_after_its_firmware_is_loaded(tmp_path: Path) -> None:
    node = add_usb_edgetpu(tmp_path, booted=False, speed_mbps=480, port="1-1.3")
    fresh = Found("usb", "1-1.3", node, speed_mbps=480, booted=False)
    assert find(tmp_path) == (fresh,)
    assert fresh.name == "edgetpu:usb:1-1.3"
    add_usb_edgetpu(tmp_path, port="1-1.3")
    assert find(tmp_path) == (Found("usb", "1-1.3", node, speed_mbps=5000),)
    node.unlink()
    assert find(tmp_path)[0].node is None


def test_a_pcie_device_is_found_with_its_driver_and_temperature_or_without(tmp_path: Path) -> None:
    add_pci_edgetpu(tmp_path, driver=False)
    address = "0000:01:00.0"
    assert find(tmp_path) == (Found("pci", address, None),)
    node = add_pci_edgetpu(tmp_path)
    add_usb_edgetpu(tmp_path)
    first, second = find(tmp_path)
    assert first == Found("pci", address, node, temp_mc=51_200, trip_mc=85_000)
    assert second.bus == "usb"


def test_the_first_that_can_be_opened_is_used_else_the_first(tmp_path: Path) -> None:
    assert chosen(find(tmp_path)) is None
    add_pci_edgetpu(tmp_path, driver=False)
    alone = chosen(find(tmp_path))
    assert alone is not None
    assert alone.bus == "pci"
    add_usb_edgetpu(tmp_path)
    better = chosen(find(tmp_path))
    assert better is not None
    assert better.bus == "usb"


def test_a_compiled_model_says_what_runtime_it_needs() -> None:
    assert needed_runtime(tiny_edgetpu_dense(runtime=13)) == 13
    assert needed_runtime(tiny_edgetpu_dense(runtime=10) + edgetpu_package(14)) == 14
    assert needed_runtime(tiny_int8_dense()) is None
    assert needed_runtime(b"DWN1") is None


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_bytes_that_are_no_package_say_nothing_wrong(before: bytes, after: bytes) -> None:
    found = needed_runtime(before + b"DWN1" + after)
    assert found is None or 0 < found < 100


def test_every_public_compiled_model_needs_what_its_compiler_wrote() -> None:
    if "GREEN_EDGE_TEST_DATA" not in os.environ:
        pytest.skip("GREEN_EDGE_TEST_DATA is not set: name the folder with edgetpu")
    folder = Path(os.environ["GREEN_EDGE_TEST_DATA"]) / "edgetpu"
    pairs = json.loads((folder / "pairs.json").read_text(encoding="utf-8"))["pairs"]
    seen = 0
    for pair in pairs:
        for path in (folder / "models" / pair["id"]).glob("*_edgetpu.tflite"):
            assert [needed_runtime(path.read_bytes())] == pair["min_runtime_version"], path
            seen += 1
    assert seen >= 32
