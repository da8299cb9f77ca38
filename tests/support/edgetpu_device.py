"""A Coral accelerator made of files, a model for it, and a real delegate that computes that model.

The delegate is C, compiled once a session, and misbehaves as it is told: see `edgetpu_delegate.c`.
"""

import dataclasses
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from green_edge.bundle.keys import SigningKey
from green_edge.bundle.pack import BundleContents, pack
from support.bundles import test_signer, tiny_contents
from support.edgetpu_files import dense_layer
from support.sysfs import write
from support.tiny_models import IN_SCALE, OUT_SCALE, _File, dense_weights

MODE_KEY = "GREEN_EDGE_TEST_DELEGATE"
_SOURCE = Path(__file__).with_name("edgetpu_delegate.c")


@dataclass(frozen=True, slots=True)
class TestDelegate:
    """The compiled delegate and the file that tells it how to behave."""

    __test__ = False

    library: Path
    word: Path

    def behave(self, word: str, *, runtime: int = 14) -> None:
        """From its next step on; `fine` is well."""
        self.word.write_text(f"{word} {runtime}\n", encoding="utf-8")

    @property
    def hangs(self) -> bool:
        """Whether it has begun to."""
        return self.word.with_name(f"{self.word.name}.hung").exists()

    def begin(self) -> None:
        """Forget that it hung."""
        self.word.with_name(f"{self.word.name}.hung").unlink(missing_ok=True)

    def environ(self) -> dict[str, str]:
        """What a process needs to hear of the word."""
        return {MODE_KEY: str(self.word)}


def compiled_delegate(folder: Path) -> Path:
    """Compile the delegate; skips the test where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: apt-get install gcc libc6-dev")
    library = folder / "libtestedgetpu.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, _SOURCE, "-lm"],
        check=True,
        timeout=60,
    )
    return library


def edgetpu_package(runtime: int) -> bytes:
    """The first field of a compiled model's package: a FlatBuffer with the file id DWN1."""
    builder = flatbuffers.Builder(64)
    builder.StartObject(1)
    builder.PrependInt32Slot(0, runtime, 0)
    builder.Finish(builder.EndObject(), b"DWN1")
    return bytes(builder.Output())


def tiny_edgetpu_dense(
    inputs: int = 4, outputs: int = 3, seed: int = 0, *, runtime: int = 14
) -> bytes:
    """`tiny_int8_dense` of the same arguments as one `edgetpu-custom-op` of the test's delegate."""
    weights = dense_weights(inputs, outputs, seed)
    scale = float(np.abs(weights).max()) / 127
    quantized = np.round(weights / scale).astype(np.int8)
    multipliers = np.full(outputs, scale * IN_SCALE / OUT_SCALE)
    layer = dense_layer(quantized, multipliers, np.zeros(outputs, np.int32))
    file = _File()
    x = file.tensor("x", (1, inputs), "int8", scale=IN_SCALE)
    y = file.tensor("y", (1, outputs), "int8", scale=OUT_SCALE)
    none = (schema.BuiltinOptions.NONE, None)
    file.operator(schema.BuiltinOperator.CUSTOM, [x], [y], none)
    file.codes[0].customCode = b"edgetpu-custom-op"
    options = layer + edgetpu_package(runtime)
    file.operators[0].customOptions = np.frombuffer(options, np.uint8)
    return file.pack([x], [y])


def edgetpu_contents(version: int = 1, *, runtime: int = 14) -> BundleContents:
    """`tiny_contents` with the same model for the Edge TPU beside it."""
    compiled = tiny_edgetpu_dense(seed=version, runtime=runtime)
    return dataclasses.replace(tiny_contents(version), edgetpu_model=compiled)


def edgetpu_bundle(
    version: int = 1, signer: SigningKey | None = None, *, runtime: int = 14
) -> bytes:
    """Signed bundle of `edgetpu_contents`."""
    return pack(edgetpu_contents(version, runtime=runtime), signer or test_signer())


def add_usb_edgetpu(
    root: Path, *, booted: bool = True, speed_mbps: int = 5000, port: str = "2-1"
) -> Path:
    """A USB Accelerator, before or after its firmware was loaded; returns its device node."""
    folder = root / "sys" / "bus" / "usb" / "devices" / port
    vendor, product = ("18d1", "9302") if booted else ("1a6e", "089a")
    write(folder / "idVendor", vendor)
    write(folder / "idProduct", product)
    write(folder / "speed", speed_mbps)
    write(folder / "busnum", 2)
    write(folder / "devnum", 3)
    return write(root / "dev" / "bus" / "usb" / "002" / "003", "")


def add_pci_edgetpu(root: Path, *, driver: bool = True, temp_mc: int | None = 51_200) -> Path:
    """An M.2 or PCIe Accelerator; with its driver it has a device node, which is returned."""
    address = "0000:01:00.0"
    device = root / "sys" / "bus" / "pci" / "devices" / address
    write(device / "vendor", "0x1ac1")
    write(device / "device", "0x089a")
    node = root / "dev" / "apex_0"
    if driver:
        write(node, "")
        apex = root / "sys" / "class" / "apex" / "apex_0"
        apex.mkdir(parents=True)
        (apex / "device").symlink_to(device)
        if temp_mc is not None:
            write(apex / "temp", temp_mc)
            write(apex / "trip_point0_temp", 85_000)
    return node
