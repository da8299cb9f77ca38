import importlib.util
import io
import json
import zipfile
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import numpy as np
import pytest
from click.testing import CliRunner, Result

from green_edge.build.benchmark import benchmark, machine
from green_edge.build.inspection import inspect
from green_edge.build.model_file import model_bytes
from green_edge.bundle import keys
from green_edge.cli import bench
from green_edge.cli import inspect as inspect_command
from green_edge.convert.keras_layers import read_keras
from green_edge_wire.bench import Trial
from green_edge_wire.errors import ConfigError, IntegrityError, ModelError
from support.bundles import tiny_bundle
from support.tiny_models import tiny_float_conv, tiny_float_dense, tiny_int8_dense

_LAYERS = [
    {"class_name": "InputLayer", "config": {"name": "image"}},
    {"class_name": "Conv2D", "config": {"name": "first"}},
    {"class_name": "Conv2D", "config": {"name": "second"}},
    {"class_name": "BatchNormalization", "config": {"name": "norm"}},
    {"class_name": "GlobalAveragePooling2D", "config": {"name": "mean"}},
]
_CONFIG = {"class_name": "Functional", "config": {"name": "m", "layers": _LAYERS}}


def _keras_file(folder: Path, layers: bool = True) -> Path:
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        group = file.create_group("layers")
        group.create_dataset("conv2d/vars/0", data=np.zeros((3, 3, 1, 4), np.float32))
        group.create_dataset("conv2d_1/vars/0", data=np.zeros((3, 3, 4, 2), np.float32))
        group.create_dataset("conv2d_1/vars/1", data=np.zeros(2, np.float32))
        group.create_dataset("batch_normalization/vars/0", data=np.zeros(2, np.float32))
        group.create_dataset("batch_normalization/seed", data=np.zeros(2, np.uint32))
        file.create_dataset("optimizer/vars/0", data=np.zeros(1000, np.float32))
    config = _CONFIG if layers else {"class_name": "Mine", "config": {"name": "m"}}
    path = folder / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        archive.writestr("model.weights.h5", weights.getvalue())
    return path


def _h5_file(folder: Path) -> Path:
    path = folder / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(_CONFIG)
        file.attrs["keras_version"] = b"2.4.0"
        weights = file.create_group("model_weights")
        weights.create_dataset("first/first/kernel:0", data=np.zeros((3, 3, 1, 4), np.float32))
        weights.create_group("mean")
    return path


def _show(path: Path, *options: str) -> Result:
    result = CliRunner().invoke(inspect_command.command, [str(path), *options])
    assert result.exit_code == 0, result.output
    return result


def test_a_keras_file_is_read_without_keras(tmp_path: Path) -> None:
    file = read_keras(_keras_file(tmp_path))
    assert (file.keras_version, file.model) == ("3.15.1", "Functional")
    params = {layer.name: layer.params for layer in file.layers}
    assert params == {"image": 0, "first": 36, "second": 74, "norm": 2, "mean": 0}
    assert file.params == 112


def test_an_old_h5_file_is_read_without_keras(tmp_path: Path) -> None:
    file = read_keras(_h5_file(tmp_path))
    assert file.keras_version == "2.4.0"
    assert {layer.name: layer.params for layer in file.layers}["first"] == 36


def test_a_broken_keras_file_is_a_model_error(tmp_path: Path) -> None:
    weights_alone = tmp_path / "w.h5"
    with h5py.File(weights_alone, "w") as file:
        file.create_dataset("x", data=np.zeros(1))
    with pytest.raises(ModelError, match="weights alone are no model"):
        read_keras(weights_alone)
    path = _keras_file(tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ModelError, match="broken Keras file"):
        read_keras(path)


def test_inspect_shows_a_tflite_within_80_columns(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(tiny_float_conv())
    output = _show(path).stdout
    assert "CONV_2D v1" in output
    assert "operations 3, parameters 55, MACs 2,316" in output
    lines = output.replace(str(path), "m.tflite").splitlines()
    assert max(len(line) for line in lines) <= 80


def test_inspect_as_json_is_one_document_with_everything(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(tiny_int8_dense())
    document = json.loads(_show(path, "--json").stdout)
    assert document["kind"] == "tflite"
    assert document["tflite"]["ops"][0]["op"] == "FULLY_CONNECTED"
    assert document["tflite"]["inputs"][0]["dtype"] == "int8"
    assert len(document["tflite"]["tensors"]) == 4
    assert "bundle" not in document


def test_inspect_shows_the_layers_of_a_keras_file(tmp_path: Path) -> None:
    output = _show(_keras_file(tmp_path), "--quick").stdout
    assert "Functional of Keras 3.15.1: 112 parameters" in output
    assert "BatchNormalization" in output
    subclassed = _show(_keras_file(tmp_path, layers=False), "--quick").stdout
    assert "its layers are code" in subclassed


def test_inspect_shows_a_bundle_and_warns_of_an_unknown_signer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREEN_EDGE_KEYS", str(tmp_path / "keys"))
    path = tmp_path / "tiny.gedge"
    path.write_bytes(tiny_bundle())
    result = _show(path)
    assert "NOT VERIFIED" in result.stdout
    assert "warning: the signature is not verified: unknown key" in result.stderr
    assert "tiny version 1 for host" in result.stdout
    assert "golden/input-0.npy" in result.stdout
    assert max(len(line) for line in result.stdout.splitlines()[2:]) <= 80


def test_inspect_verifies_a_bundle_that_ones_own_key_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "keys"
    monkeypatch.setenv("GREEN_EDGE_KEYS", str(folder))
    signer = keys.new_key("mine", folder)
    path = tmp_path / "tiny.gedge"
    path.write_bytes(tiny_bundle(signer=signer))
    found = inspect(path)
    assert found.bundle is not None
    assert found.bundle.verified
    assert found.bundle.reason is None
    assert found.tflite is not None
    assert "verified" in _show(path).stdout


def test_inspect_refuses_a_damaged_bundle(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gedge"
    data = bytearray(tiny_bundle())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match=r"tiny\.gedge: .*; copy it again") as caught:
        inspect(path)
    assert caught.value.member in str(caught.value)
    with pytest.raises(IntegrityError, match=r"tiny\.gedge: "):
        model_bytes(path)


def test_inspect_refuses_what_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello", encoding="utf-8")
    with pytest.raises(ModelError, match="not a model"):
        inspect(path)
    with pytest.raises(ModelError, match="no such file"):
        inspect(tmp_path / "none.tflite")
    path.with_name("cut.tflite").write_bytes(tiny_int8_dense()[:200])
    with pytest.raises(
        ModelError, match=r"cut\.tflite: broken \.tflite: .*copy or export it again"
    ):
        inspect(path.with_name("cut.tflite"))


def test_bench_says_what_was_measured_where(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gedge"
    path.write_bytes(tiny_bundle())
    options = [str(path), "--runs", "5", "--warm-up", "1"]
    shown = CliRunner().invoke(bench.command, options)
    assert shown.exit_code == 0, shown.output
    assert "Measured on this machine" in shown.stdout
    assert "not on a device" in shown.stdout
    document = json.loads(CliRunner().invoke(bench.command, [*options, "--json"]).stdout)
    assert document["measured_on"] == "this-machine"
    assert document["latency"]["runs"] == 5
    assert document["runtime"].split()[0] in {"ai-edge-litert", "tflite-runtime"}


def test_bench_names_the_file_that_cannot_run(tmp_path: Path) -> None:
    path = tmp_path / "open.tflite"
    path.write_bytes(tiny_float_dense(signature_shape=(1, -1)))
    with pytest.raises(ModelError, match=r"open\.tflite: tensor 'x' has a dynamic shape; convert"):
        benchmark(path, Trial(runs=1, warm_up=0))


def test_bench_refuses_a_negative_seed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--seed: must not be negative"):
        bench.command.main([str(tmp_path / "any.tflite"), "--seed", "-1"], standalone_mode=False)


def test_bench_takes_tflite_files_and_bundles_only(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"not a \.tflite or a bundle; build it first"):
        model_bytes(_h5_file(tmp_path))


def test_the_machine_is_named_as_the_kernel_names_it(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nmodel name\t: Fast CPU 9000\n", encoding="utf-8")
    assert machine(info) == "Fast CPU 9000"
    assert machine(tmp_path / "none")


@pytest.mark.tf
@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None,
    reason="TensorFlow is not installed: pip install 'green-edge[build]'",
)
def test_inspect_converts_a_keras_file_for_its_operations(tmp_path: Path) -> None:
    # The file describes layers but no graph, so Keras refuses it: shown is what can be shown.
    result = _show(_keras_file(tmp_path))
    assert "112 parameters" in result.stdout
    assert "note: cannot be converted" in result.stderr
