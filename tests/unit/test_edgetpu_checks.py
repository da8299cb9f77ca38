"""What `doctor` says of an Edge TPU: device, permission, library, and the installed model."""

import fcntl
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from green_edge_agent.check import Check
from green_edge_agent.config import RuntimeConfig
from green_edge_agent.edgetpu_checks import Asked, edgetpu_checks
from green_edge_agent.install.slots import Slots
from green_edge_agent.install.state import Artefact
from green_edge_agent.runtime.edgetpu.coupling import (
    Library,
    coupling,
    installed_library,
    runtime_version,
    too_old,
)
from green_edge_wire.archive import open_bundle
from green_edge_wire.errors import DeviceError
from support.edgetpu_device import add_pci_edgetpu, add_usb_edgetpu, edgetpu_bundle
from support.sysfs import write

SAYS = "BuildLabel(COMPILER=6.3.0 20170516,DATE=redacted,TIME=redacted), RuntimeVersion(14)"
GOOD = "16.0tf2.17.1-1"


def loads(delegate: str, bus: str) -> str:
    assert (delegate, bus) in {("libedgetpu.so.1", "usb"), ("libedgetpu.so.1", "pci")}
    return SAYS


def never(delegate: str, bus: str) -> str:
    raise AssertionError(f"{delegate} must not be loaded for {bus}")


def asked(
    root: Path,
    *,
    mode: str = "auto",
    runtime: str | None = "tflite-runtime 2.17.1",
    delegate: Callable[[str, str], str] = loads,
    allowed: bool = True,
    state_dir: Path | None = None,
) -> Asked:
    settings = RuntimeConfig(accelerator=mode)  # type: ignore[arg-type]
    return Asked(root, settings, state_dir, runtime, delegate, lambda _: allowed)


def install_package(root: Path, version: str, name: str = "libedgetpu1-std") -> None:
    write(
        root / "var" / "lib" / "dpkg" / "status",
        "Package: libedgetpu-dev\nStatus: deinstall ok config-files\nVersion: 1.0\n\n"
        f"Package: {name}\nStatus: install ok installed\nArchitecture: arm64\nVersion: {version}\n"
        "Description: Support library\n for the accelerator\n",
    )


def test_a_machine_without_one_is_well_unless_one_is_insisted_on(tmp_path: Path) -> None:
    none = [Check("edge tpu", "ok", "none: models run on the CPU")]
    assert edgetpu_checks(asked(tmp_path, delegate=never)) == none
    (missing,) = edgetpu_checks(asked(tmp_path, mode="edgetpu", delegate=never))
    assert missing.ok == "fail"
    assert "1a6e:089a or 18d1:9302" in (missing.remedy or "")


def test_one_that_is_not_to_be_used_is_left_alone(tmp_path: Path) -> None:
    add_usb_edgetpu(tmp_path)
    (check,) = edgetpu_checks(asked(tmp_path, mode="none", delegate=never))
    assert (check.ok, "not used" in check.found) == ("ok", True)


def test_device_library_and_runtime_that_are_known_to_work_are_well(tmp_path: Path) -> None:
    add_usb_edgetpu(tmp_path)
    install_package(tmp_path, GOOD, "libedgetpu1-max")
    assert edgetpu_checks(asked(tmp_path)) == [
        Check("edge tpu", "ok", "edgetpu:usb:2-1"),
        Check(
            "libedgetpu",
            "ok",
            "libedgetpu1-max 16.0tf2.17.1-1 with tflite-runtime 2.17.1: "
            "loads, and Frigate ships both",
        ),
    ]


def test_a_pair_that_is_known_to_crash_is_not_even_loaded(tmp_path: Path) -> None:
    add_usb_edgetpu(tmp_path)
    install_package(tmp_path, "16.0")
    device, library = edgetpu_checks(
        asked(tmp_path, runtime="tflite-runtime 2.14.0", delegate=never)
    )
    assert (device.ok, library.ok) == ("ok", "fail")
    assert "crashes with tflite-runtime from 2.12 on" in library.found
    assert "16.0tf2.17.1" in (library.remedy or "")


def test_what_nobody_has_seen_is_a_warning_even_when_it_loads(tmp_path: Path) -> None:
    add_pci_edgetpu(tmp_path)
    device, library = edgetpu_checks(asked(tmp_path, runtime="ai-edge-litert 2.3.0"))
    assert device == Check("edge tpu", "ok", "edgetpu:pci:0000:01:00.0 at 51 degrees Celsius")
    assert library.ok == "warn"
    assert "loads, but its package is not known" in library.found
    install_package(tmp_path, GOOD)
    library = edgetpu_checks(asked(tmp_path, runtime="ai-edge-litert 2.3.0"))[1]
    assert library.ok == "warn"
    assert "no report of libedgetpu 16.0tf2.17.1-1 with ai-edge-litert 2.3.0" in library.found


def test_a_library_that_is_named_by_its_path_is_not_judged_by_the_package(tmp_path: Path) -> None:
    add_usb_edgetpu(tmp_path)
    for version in ("15.0", GOOD):
        install_package(tmp_path, version)
        path = "/opt/libedgetpu.so"
        settings = RuntimeConfig(delegate=path)
        library = edgetpu_checks(
            replace(asked(tmp_path), settings=settings, delegate=lambda *_: SAYS)
        )[1]
        assert (library.ok, library.found) == (
            "warn",
            f"{path} with tflite-runtime 2.17.1: loads, but its package is not known",
        )


def test_a_module_without_its_driver_does_not_hide_a_stick_that_works(tmp_path: Path) -> None:
    add_usb_edgetpu(tmp_path)
    add_pci_edgetpu(tmp_path, driver=False)
    install_package(tmp_path, GOOD)
    module, stick, library = edgetpu_checks(asked(tmp_path))
    assert (module.ok, stick.ok, library.ok) == ("fail", "ok", "ok")


def test_a_library_that_does_not_load_fails_with_the_reason(tmp_path: Path) -> None:
    def absent(delegate: str, bus: str) -> str:
        raise DeviceError(f"the delegate does not load: {delegate} ({bus}): no such file")

    add_usb_edgetpu(tmp_path)
    library = edgetpu_checks(asked(tmp_path, delegate=absent))[1]
    assert library.ok == "fail"
    assert "no such file" in library.found


def test_a_slow_a_locked_a_driverless_and_a_hot_device_are_told_apart(tmp_path: Path) -> None:
    add_usb_edgetpu(tmp_path / "slow", speed_mbps=480)
    slow = edgetpu_checks(asked(tmp_path / "slow"))[0]
    assert (slow.ok, "USB 2 link (480 Mbit/s)" in slow.found) == ("warn", True)

    (locked,) = edgetpu_checks(asked(tmp_path / "slow", allowed=False, delegate=never))
    assert locked.ok == "fail"
    assert "usermod -aG plugdev" in (locked.remedy or "")

    add_pci_edgetpu(tmp_path / "bare", driver=False)
    (bare,) = edgetpu_checks(asked(tmp_path / "bare", delegate=never))
    assert (bare.ok, "gasket-dkms" in (bare.remedy or "")) == ("fail", True)

    add_pci_edgetpu(tmp_path / "hot", temp_mc=88_000)
    hot = edgetpu_checks(asked(tmp_path / "hot"))[0]
    assert (hot.ok, "at 88 degrees" in hot.found) == ("warn", True)

    node = add_usb_edgetpu(tmp_path / "inside")
    node.unlink()
    (inside,) = edgetpu_checks(asked(tmp_path / "inside", delegate=never))
    assert (inside.ok, "--device /dev/bus/usb" in (inside.remedy or "")) == ("fail", True)

    add_usb_edgetpu(tmp_path / "fresh", booted=False)
    assert edgetpu_checks(asked(tmp_path / "fresh"))[0].found.endswith("without its firmware yet")


def test_without_a_runtime_there_is_nothing_to_couple(tmp_path: Path) -> None:
    add_usb_edgetpu(tmp_path)
    assert len(edgetpu_checks(asked(tmp_path, runtime=None, delegate=never))) == 1


def installed(state_dir: Path, runtime: int) -> Path:
    state_dir.mkdir()
    slots = Slots(state_dir)
    data = edgetpu_bundle(runtime=runtime)
    bundle = open_bundle(data, lambda *_: None)
    part = slots.part(bundle.sha256)
    part.write_bytes(data)
    slots.install(part, Artefact(bundle.sha256, "tiny", 1))
    return state_dir


def test_the_installed_model_is_held_against_the_library(tmp_path: Path) -> None:
    add_usb_edgetpu(tmp_path)
    install_package(tmp_path, GOOD)
    state_dir = installed(tmp_path / "state", 14)
    fine = edgetpu_checks(asked(tmp_path, state_dir=state_dir))[-1]
    assert fine == Check("edge tpu model", "ok", "compiled for runtime 14")

    old = replace(
        asked(tmp_path, state_dir=state_dir), delegate=lambda *_: SAYS.replace("14", "13")
    )
    refused = edgetpu_checks(old)[-1]
    assert refused.ok == "fail"
    assert "needs libedgetpu 16.0 or newer; the library is runtime 13" in refused.found
    empty = tmp_path / "empty"
    empty.mkdir()
    assert len(edgetpu_checks(asked(tmp_path, state_dir=empty))) == 2


def test_a_device_that_the_running_agent_holds_is_not_tried(tmp_path: Path) -> None:
    add_usb_edgetpu(tmp_path)
    install_package(tmp_path, "15.0")
    state_dir = installed(tmp_path / "state", 14)
    descriptor = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _, library, model = edgetpu_checks(
            asked(tmp_path, state_dir=state_dir, delegate=never, runtime="tflite-runtime 2.5.0")
        )
        unproven = edgetpu_checks(
            asked(tmp_path, state_dir=state_dir, delegate=never, runtime="tflite-runtime 2.10.0")
        )[1]
    finally:
        os.close(descriptor)
    assert library == Check(
        "libedgetpu",
        "ok",
        "libedgetpu1-std 15.0 with tflite-runtime 2.5.0: "
        "not tried, and Google built both from TensorFlow 2.5",
    )
    assert (unproven.ok, "not tried, but no report of" in unproven.found) == ("warn", True)
    assert (model.ok, "installed is 15.0" in model.found) == ("fail", True)


# --- the table -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "runtime", "proof"),
    [
        ("16.0", "tflite-runtime 2.5.0.post1", "good"),
        ("16.0", "tflite-runtime 2.11.0", "unproven"),
        ("16.0", "tflite-runtime 2.12.0", "bad"),
        ("16.0", "tflite-runtime 2.14.0", "bad"),
        ("16.0TF2.17.1-1", "tflite-runtime 2.17.1", "good"),
        ("16.0tf2.17.1-1", "tflite-runtime 2.14.0", "unproven"),
        ("16.0tf2.16.1", "tflite-runtime 2.14.0", "good"),
        ("16.0tf2.16.1", "tflite-runtime 2.17.1", "unproven"),
        ("16.0tf2.17.1-1", "ai-edge-litert 2.3.0", "unproven"),
    ],
)
def test_only_pairs_that_were_seen_are_good_or_bad(version: str, runtime: str, proof: str) -> None:
    assert coupling(Library("libedgetpu1-std", version), runtime).proof == proof


def test_the_package_database_is_read_as_debian_writes_it(tmp_path: Path) -> None:
    assert installed_library(tmp_path) is None
    install_package(tmp_path, "16.0")
    assert installed_library(tmp_path) == Library("libedgetpu1-std", "16.0")
    status = tmp_path / "var" / "lib" / "dpkg" / "status"
    status.write_text(status.read_text().replace("install ok installed", "deinstall ok half"))
    assert installed_library(tmp_path) is None


def test_what_a_model_needs_is_held_against_what_is_known() -> None:
    assert runtime_version(SAYS) == 14
    assert runtime_version("unlabelled") is None
    assert too_old(None) is None
    assert too_old(14, said=SAYS) is None
    assert "runtime 13" in (too_old(14, said="RuntimeVersion(13)") or "")
    assert too_old(14, library=Library("libedgetpu1-std", "16.0")) is None
    assert too_old(14, library=Library("libedgetpu1-std", "15.0")) is not None
    assert too_old(14) is None  # nothing is known of the library
    assert too_old(12, library=Library("libedgetpu1-std", "15.0")) is None
    assert too_old(20, said=SAYS) == (
        "it is compiled for runtime 20, which needs a newer libedgetpu; the library is runtime 14"
    )
    assert Library("libedgetpu1-std", "git").release == ()
