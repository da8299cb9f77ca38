"""The agent with the other runtime: tflite-runtime and NumPy 1, in an environment of its own.

What a build on the workstation records with ai-edge-litert must pass the self-test there.
"""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from green_edge.build.golden import golden
from green_edge.build.options import BuildOptions
from green_edge.build.pipeline import build
from green_edge.bundle.envelope import sign_desired
from green_edge.bundle.keys import trusting
from green_edge.bundle.pack import BundleContents, pack
from green_edge.data.dataset import Dataset
from green_edge_agent.runtime import interpreter
from green_edge_agent.runtime.processing import finish, prepare
from green_edge_wire import codec
from green_edge_wire.archive import open_bundle
from green_edge_wire.command import Desired
from green_edge_wire.topics import Address, Down
from support.agents import AgentProcess, MiniCollector
from support.artefacts import ArtefactServer
from support.brokers import running_broker, wait_until
from support.bundles import RECORD
from support.bundles import test_signer as signer
from support.edgetpu_device import compiled_delegate, tiny_edgetpu_dense
from support.second_runtime import RUNTIME, SecondRuntime, second_runtime
from support.tiny_models import tiny_float_conv, tiny_int8_dense

pytestmark = pytest.mark.broker

DEVICE = "pi-32-bit"
SIZE = 8
SELF_TEST = """\
import json, sys
from green_edge_agent.install.trust import TrustedKeys
from green_edge_agent.runtime import golden, interpreter
from green_edge_wire.archive import open_bundle

trusted = TrustedKeys([sys.argv[1]])
found = {"runtime": interpreter.runtime_name()}
for path in sys.argv[2:]:
    with open(path, "rb") as file:
        bundle = open_bundle(file.read(), trusted.verify)
    found[path] = golden.self_test(interpreter.load(bundle.model()), bundle).worst_steps
print(json.dumps(found))
"""

EDGE_TPU = """\
import json, sys
from pathlib import Path
import numpy as np
from green_edge_agent.runtime.edgetpu.process import EdgeTpuProcess, Load
from green_edge_wire.clock import SystemClock
from green_edge_wire.errors import DeviceError

library, model, word, *ways = sys.argv[1:]
x = np.array([[3, -50, 100, 7]], np.int8)
found = {}
for way in ways:
    word_now = Path(word)
    word_now.write_text("fine" if way.endswith("invoke") else way)
    load = Load(Path(model).read_bytes(), library, "usb", load_s=20.0, invoke_s=0.5)
    try:
        process = EdgeTpuProcess(load).start(SystemClock())
    except DeviceError as error:
        found[way] = str(error)
        continue
    word_now.write_text(way)
    try:
        (y,) = process.timed([x], SystemClock()).outputs
        found[way] = [process.loaded.runtime, y.tolist()]
    except DeviceError as error:
        found[way] = str(error)
    process.close()
print(json.dumps(found))
"""


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> SecondRuntime:
    return second_runtime(tmp_path_factory.mktemp("tflite-runtime"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A built bundle: a convolution net, quantized to int8, golden outputs by ai-edge-litert."""
    folder = tmp_path_factory.mktemp("build")
    (folder / "conv.tflite").write_bytes(tiny_float_conv(SIZE, seed=5))
    x = np.random.default_rng(5).uniform(0, 1, (120, SIZE, SIZE, 1)).astype(np.float32)
    np.savez(folder / "calibration.npz", x=x)
    options = BuildOptions(
        model=folder / "conv.tflite",
        name="conv",
        targets=("host",),
        out=folder / "out",
        calibration=str(folder / "calibration.npz"),
        labels=("ant", "bee", "cat"),
    )
    report = build(options, signer())
    assert report.tools["ai-edge-litert"]
    return (folder / "out" / report.targets[0].bundle).read_bytes()


@dataclass(frozen=True, slots=True)
class Lines:
    """An agent whose standard input answers requests."""

    process: "subprocess.Popen[str]"

    def ask(self, number: int, values: list[float]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"id": f"r{number}", "inputs": [values]}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def end(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(timeout=20)


@contextmanager
def running(other: SecondRuntime, agent: AgentProcess) -> Iterator[Lines]:
    config = agent.write_config()
    with (
        (agent.folder / "agent.log").open("w") as log,
        subprocess.Popen(
            [other.python, "-m", "green_edge_agent", "run", "--config", config],
            env=other.environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield Lines(process)
        finally:
            process.kill()


def test_the_agent_installs_a_bundle_and_answers_requests(
    other: SecondRuntime, bundle: bytes, tmp_path: Path
) -> None:
    content = open_bundle(bundle, trusting([signer().public]))
    net = interpreter.load(content.model())
    digest = hashlib.sha256(bundle).hexdigest()
    with (
        running_broker("amqtt", tmp_path) as broker,
        ArtefactServer().running() as server,
        MiniCollector(broker.url, Address("home", DEVICE)).running() as collector,
    ):
        url = server.add(f"artefacts/{digest}", bundle)
        desired = Desired("rollout-1", digest, len(bundle), (url,), "conv", 1)
        agent = AgentProcess(
            tmp_path / DEVICE,
            broker.device_url(DEVICE),
            DEVICE,
            keys=(signer().public.text,),
            input='kind = "stdin"',
        )
        with running(other, agent) as lines:
            wait_until(lambda: collector.info is not None)
            assert collector.info is not None
            assert collector.info.runtime == RUNTIME
            assert "no model is active yet" in lines.ask(0, [0.0])["error"]
            envelope = sign_desired(signer(), DEVICE, 1, desired)
            collector.publish(Down.DESIRED, codec.pack_one(envelope), retain=True)
            wait_until(lambda: collector.states()[-1:] == ["active"], within_s=30)

            pipeline, labels = content.pipeline(), content.labels()
            for i, raw in enumerate(np.random.default_rng(8).uniform(0, 1, (5, SIZE, SIZE, 1))):
                answer = lines.ask(i, raw.ravel().tolist())
                taken = prepare(pipeline, raw.astype(np.float32), net.inputs[0])
                here = finish(pipeline, net.invoke([taken]), net.outputs, labels)
                assert (answer["id"], answer["model"], "error" in answer) == (
                    f"r{i}",
                    "conv",
                    False,
                )
                step = net.outputs[0].scale or 0.0
                apart = np.abs(np.array(answer["outputs"][0]) - here.outputs[0].ravel())
                assert apart.max() <= content.manifest.golden_tolerance * step * 1.001
            # A request that does not fit is answered, and the next one still works.
            assert "error" in lines.ask(6, [1.0, 2.0])
            assert "error" not in lines.ask(7, [0.5] * SIZE * SIZE)
            assert lines.end() == 0
        wait_until(lambda: sum(s.latency.count for s in collector.samples()) == 6)
        assert sum(s.errors for s in collector.samples()) == 2


def test_doctor_names_the_runtime(other: SecondRuntime) -> None:
    done = other.run("-m", "green_edge_agent", "doctor", "--json")
    (runtime,) = [c for c in json.loads(done.stdout)["checks"] if c["name"] == "runtime"]
    assert runtime == {"name": "runtime", "ok": "ok", "found": RUNTIME}


def test_doctor_names_the_clash_with_a_new_numpy(other: SecondRuntime, tmp_path: Path) -> None:
    """The first environment's NumPy 2, put before the second's: what a plain pip install gives."""
    if int(np.__version__.partition(".")[0]) < 2:
        pytest.skip("this environment has NumPy 1: make install with numpy>=2")
    site = Path(np.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        (tmp_path / name).symlink_to(site / name)
    broken = other.run(
        "-c",
        "import sys, numpy, tflite_runtime.interpreter as t\n"
        "print(numpy.__version__)\n"
        "t.Interpreter(model_content=bytes.fromhex(sys.argv[1]))",
        tiny_int8_dense().hex(),
        before=(tmp_path,),
    )
    assert broken.stdout.strip() == np.__version__
    assert "_ARRAY_API not found" in broken.stderr

    done = other.run("-m", "green_edge_agent", "doctor", "--json", before=(tmp_path,))
    (runtime,) = [c for c in json.loads(done.stdout)["checks"] if c["name"] == "runtime"]
    assert runtime == {
        "name": "runtime",
        "ok": "fail",
        "found": f"tflite-runtime does not work with NumPy {np.__version__}",
        "remedy": "run: pip install 'numpy<2'",
    }
    assert (done.returncode, done.stderr) == (6, "")


def test_the_self_test_passes_on_what_ai_edge_litert_recorded(
    other: SecondRuntime, bundle: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "conv.gedge"
    file.write_bytes(bundle)
    done = other.run("-c", SELF_TEST, signer().public.text, str(file))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["runtime"] == RUNTIME
    tolerance = open_bundle(bundle, trusting([signer().public])).manifest.golden_tolerance
    assert found[str(file)] <= tolerance <= 2


def test_the_edge_tpu_delegate_runs_fails_and_hangs_in_a_process_of_its_own(
    other: SecondRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, model, word = compiled_delegate(tmp_path), tmp_path / "m.tflite", tmp_path / "word"
    model.write_bytes(tiny_edgetpu_dense(seed=1))
    monkeypatch.setenv("GREEN_EDGE_TEST_DELEGATE", str(word))
    ways = ("fine", "refuse", "crash-prepare", "crash-invoke", "hang-invoke", "fail-invoke")
    done = other.run("-c", EDGE_TPU, str(library), str(model), str(word), *ways)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (y,) = interpreter.load(tiny_int8_dense(seed=1)).invoke([np.array([[3, -50, 100, 7]], np.int8)])
    assert found["fine"] == [RUNTIME, y.tolist()]
    assert "no Edge TPU answers" in found["refuse"]
    assert "SIGSEGV while the delegate and the model were loaded" in found["crash-prepare"]
    assert "SIGSEGV while an inference ran" in found["crash-invoke"]
    assert "no answer in 0.5 s" in found["hang-invoke"]
    assert "USB transfer error" in found["fail-invoke"]


def test_the_public_reference_models_agree_within_their_recorded_tolerance(
    other: SecondRuntime, tmp_path: Path
) -> None:
    data = Path(os.environ.get("GREEN_EDGE_TEST_DATA", "")) / "mlperf_tiny"
    if "GREEN_EDGE_TEST_DATA" not in os.environ or not data.is_dir():
        pytest.skip("GREEN_EDGE_TEST_DATA is not set: name the folder with mlperf_tiny")
    files = []
    for name in ("ad01_int8", "kws_int8", "resnet8_cifar10_int8", "vww_96_int8"):
        files.append(tmp_path / f"{name}.gedge")
        files[-1].write_bytes(_recorded((data / f"{name}.tflite").read_bytes(), name))
    done = other.run("-c", SELF_TEST, signer().public.text, *map(str, files))
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"runtime", *map(str, files)}


def _recorded(model: bytes, name: str) -> bytes:
    (spec,) = interpreter.load(model).inputs
    draw = np.random.default_rng(0)
    low, high = (np.array([-128, 127]) - (spec.zero_point or 0)) * (spec.scale or 1.0)
    x = draw.uniform(low, high, (8, *spec.sample_shape)).astype(np.float32)
    samples = golden(model, Dataset({"x": x}), ("x",), 0)
    return pack(
        BundleContents(
            name=name,
            version=1,
            target="host",
            model=model,
            inputs=samples.input_specs,
            outputs=samples.output_specs,
            golden_inputs=samples.inputs,
            golden_outputs=samples.outputs,
            record=RECORD,
            golden_tolerance=samples.tolerance,
        ),
        signer(),
    )
