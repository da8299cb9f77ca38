"""Fake `/sys` and `/proc` trees: hardware as files."""

from collections.abc import Mapping
from pathlib import Path

PI4 = "Raspberry Pi 4 Model B Rev 1.2"


def write(path: Path, content: str | int) -> Path:
    """Write a kernel file: a value and a newline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{content}\n", encoding="utf-8")
    return path


def board_tree(root: Path, model: str = PI4, *, cpus: int = 4, ram_kb: int = 3_884_344) -> Path:
    """A Raspberry Pi without sensors, all processors idle since they started."""
    tree = root / "proc" / "device-tree"
    tree.mkdir(parents=True, exist_ok=True)
    (tree / "model").write_bytes(model.encode() + b"\0")
    write(root / "proc" / "meminfo", f"MemTotal:        {ram_kb} kB\nMemFree: 1 kB")
    set_cpu_ticks(root, busy=0, idle=0, cpus=cpus)
    return root


def set_cpu_ticks(root: Path, *, busy: int, idle: int, cpus: int = 4) -> None:
    """Write `/proc/stat` with ticks of all processors together."""
    lines = [f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0"]
    lines += [f"cpu{n} {busy // cpus} 0 0 {idle // cpus} 0 0 0 0 0 0" for n in range(cpus)]
    write(root / "proc" / "stat", "\n".join(lines))


def add_hwmon(
    root: Path,
    chip: str,
    files: Mapping[str, str | int],
    *,
    index: int = 0,
    address: str | None = "1-0040",
) -> Path:
    """Add a hwmon device with its files; with an address it hangs on an I2C bus."""
    folder = root / "sys" / "class" / "hwmon" / f"hwmon{index}"
    write(folder / "name", chip)
    for name, value in files.items():
        write(folder / name, value)
    if address is not None:
        device = root / "sys" / "devices" / "i2c" / address
        device.mkdir(parents=True, exist_ok=True)
        (folder / "device").symlink_to(device)
    return folder


def ina_files(
    current_ma: int, *, voltage_mv: int = 5_000, shunt_uohm: int = 100_000
) -> dict[str, str | int]:
    """Files of a one-channel INA driver that agree with each other."""
    return {
        "in0_input": round(current_ma * shunt_uohm / 1_000_000),
        "in1_input": voltage_mv,
        "curr1_input": current_ma,
        "power1_input": voltage_mv * current_ma,
        "shunt_resistor": shunt_uohm,
    }


def add_rapl_zone(
    root: Path, zone: str, name: str, energy_uj: int, *, range_uj: int = 262_143_328_850
) -> Path:
    """Add a zone such as `intel-rapl:0`; returns its energy counter."""
    folder = root / "sys" / "class" / "powercap" / zone
    write(folder / "name", name)
    write(folder / "max_energy_range_uj", range_uj)
    return write(folder / "energy_uj", energy_uj)
