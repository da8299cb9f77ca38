"""`green-edge bench`: a model's latency, on this machine or on a device."""

import hashlib
import secrets
import textwrap
import time
from contextlib import closing
from pathlib import Path

import click

from green_edge.build.benchmark import Benchmark, benchmark, of_device
from green_edge.build.model_file import model_bytes
from green_edge.build.profile import Profile
from green_edge.bundle.keys import load_signer
from green_edge.cli import render
from green_edge.cli.fleet_options import fleet_options
from green_edge.fleet import bench, tell
from green_edge.fleet.inventory import pick
from green_edge.fleet.settings import Options, load_settings
from green_edge.fleet.upload import upload
from green_edge.telemetry.opening import open_store
from green_edge_agent.transport.mqtt import MqttTransport, check_broker
from green_edge_agent.transport.url import parse_broker_url
from green_edge_wire.bench import (
    FLAG_UPDATE,
    MAX_LIMIT_S,
    MAX_RUNS,
    MAX_THREADS,
    BenchResult,
    Trial,
)
from green_edge_wire.clock import SystemClock
from green_edge_wire.errors import ConfigError

_WIDTH = 80
_KERNEL = 36


@click.command("bench", epilog="Example: green-edge bench model.tflite --runs 50")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--runs", type=click.IntRange(1, MAX_RUNS), default=200, show_default=True)
@click.option("--warm-up", type=click.IntRange(0, MAX_RUNS), default=20, show_default=True)
@click.option("--threads", type=click.IntRange(1, MAX_THREADS), default=1, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random inputs.")
@click.option("--profile", is_flag=True, help="Also show the time of each operation.")
@click.option("--device", metavar="ID", help="Measure on this device instead, by its agent.")
@click.option(
    "--timeout",
    "limit_s",
    type=click.FloatRange(1.0, MAX_LIMIT_S),
    default=300.0,
    show_default=True,
    metavar="S",
    help="Seconds that measuring may take.",
)
@click.option("--key", metavar="NAME", help="Key that signs the command; see 'green-edge keys'.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@fleet_options
def command(  # noqa: PLR0913 - one parameter an option
    file: Path,
    *,
    runs: int,
    warm_up: int,
    threads: int,
    seed: int,
    profile: bool,
    device: str | None,
    limit_s: float,
    key: str | None,
    as_json: bool,
    options: Options,
) -> None:
    """Measure the latency of FILE, a .tflite or a bundle, on this machine or a device.

    The figures are of the machine that measured: a board's may differ in either direction from
    this one's. With --device the agent fetches the file, pauses its own inference, measures and
    removes it; nothing is installed.

    Exit code: 0 done, 6 the device refused, failed or did not answer, 7 a server is out of reach.
    """
    if seed < 0:
        raise ConfigError("must not be negative", place="--seed")
    trial = Trial(runs, warm_up, threads, seed, limit_s, profile)
    if device is None:
        result = benchmark(file, trial)
    else:
        model_bytes(file)
        result = of_device(file, trial, device, _ask(file, device, trial, key, options))
    if as_json:
        render.document(result)
    else:
        render.text(_text(result))


def _ask(file: Path, device: str, trial: Trial, key: str | None, options: Options) -> BenchResult:
    """Have a device measure a file."""
    settings = load_settings(options)
    url = parse_broker_url(settings.broker_url(), place="--broker")
    data = file.read_bytes()
    with closing(open_store(settings.store.value, create=False)) as store:
        clock = SystemClock()
        (row,) = pick(store.devices(clock.unix_ms()), (device,))
        signer = load_signer(key)
        tell.check_online(row)
        server, token = settings.artefact_upload()
        render.say(f"uploading {len(data):,} bytes to {server}")
        served = bench.Served(
            hashlib.sha256(data).hexdigest(), len(data), upload(server, token, data)
        )
        check_broker(url)
        telling = tell.prepare(
            store, row, "bench", signer, clock, argument=bench.order(served, trial)
        )
        transport = MqttTransport(url, f"ge-bench-{secrets.token_hex(4)}")
        render.say(f"{device} measures; its own inference pauses")
        event = tell.send(telling, store, transport, wait=time.sleep, timeout_s=bench.wait_s(trial))
    return bench.result_of(device, event)


def _text(result: Benchmark) -> str:
    latency = result.latency
    names = ("mean", "min", "p5", "p50", "p95", "p99", "max")
    values = (latency.mean_us, latency.min_us, latency.p5_us, latency.p50_us, latency.p95_us,
              latency.p99_us, latency.max_us)  # fmt: skip
    table = render.table(
        ["latency", *names], [["us", *(f"{value:.1f}" for value in values)]], right="lrrrrrrr"
    )
    head = (
        f"{result.file}\n"
        f"{result.runtime}, {result.threads} thread{'s' if result.threads > 1 else ''}, "
        f"{latency.runs} runs after {result.warm_up} to warm up\n\n{table}\n\n"
    )
    profile = "" if result.profile is None else f"{_profile_text(result.profile)}\n\n"
    return head + profile + _where(result)


def _where(result: Benchmark) -> str:
    found = result.device
    if found is None:
        return f"Measured on this machine ({result.machine}), not on a device."
    heat = "" if found.temperature_c is None else f", {found.temperature_c:.1f} C at the end"
    lines = [
        f"Measured on device {found.device_id} ({result.machine}), on its {found.processor}{heat}."
    ]
    reported = [flag for flag in found.flags if flag != FLAG_UPDATE]
    if reported:
        lines.append(f"Doubtful: the firmware reported {', '.join(reported)}.")
    if FLAG_UPDATE in found.flags:
        lines.append("Doubtful: the device was at an update meanwhile.")
    return "\n".join(lines)


def _profile_text(profile: Profile) -> str:
    """The slowest steps with their shares, then what the figures leave open."""
    rows = []
    for position in profile.slowest:
        layer = profile.layers[position]
        where = "-" if layer.index is None else f"{layer.index} {layer.op}"
        rows.append([where, layer.kernel[:_KERNEL], f"{layer.us:.1f}", f"{layer.share:.1%}"])
    table = render.table(["slowest", "kernel", "us", "share"], rows, right="llrr")
    whole = (
        f"{len(profile.layers)} steps take {profile.steps_us:.1f} us of {profile.total_us:.1f} us "
        f"under the profiler, on {profile.threads} thread; the rest is between them."
    )
    lines = [whole, *(f"note: {note}" for note in profile.notes)]
    return "\n".join([table, "", *(textwrap.fill(line, _WIDTH) for line in lines)])
