"""Models of other frameworks: what is recognized, what is refused, what the user is told."""

import json
import zipfile
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import pytest

from green_edge.convert import extras, layout, legacy_h5
from green_edge.convert.formats import open_source
from green_edge.convert.worker import tail
from green_edge_wire.errors import ModelError
from green_edge_wire.manifest import TensorSpec

# ir_version 8, then producer_name "pytorch".
ONNX_HEAD = b"\x08\x08\x12\x07pytorch"


def archive(path: Path, *members: str) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for member in members:
            file.writestr(member, "")
    return path


def test_onnx_and_exported_programs_are_recognized_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(ONNX_HEAD)
    assert open_source(tmp_path / "a.bin").format == "onnx"
    now = archive(tmp_path / "now", "net/archive_format", "net/models/model.json", "net/data.pkl0")
    assert open_source(now).format == "torch"
    first = archive(tmp_path / "first", "serialized_exported_program.json", "version")
    assert open_source(first).format == "torch"


@pytest.mark.parametrize(
    ("members", "named"),
    [
        (("net/data.pkl", "net/constants.pkl", "net/code/a.py"), "TorchScript"),
        (("net/data.pkl", "net/data/0"), "pickled PyTorch"),
    ],
)
def test_other_files_of_pytorch_are_refused_with_how_to_export(
    tmp_path: Path, members: tuple[str, ...], named: str
) -> None:
    with pytest.raises(ModelError, match=named) as caught:
        open_source(archive(tmp_path / "net.pt", *members))
    assert "torch.export.save" in str(caught.value.hint)


def test_a_plain_pickle_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j")
    with pytest.raises(ModelError, match="could run code"):
        open_source(tmp_path / "net.pth")


def test_weights_beside_an_onnx_file_are_part_of_its_digest(tmp_path: Path) -> None:
    model = tmp_path / "net.onnx"
    model.write_bytes(ONNX_HEAD)
    alone = open_source(model).sha256
    (tmp_path / "net.onnx.data").write_bytes(b"weights")
    with_weights = open_source(model).sha256
    (tmp_path / "net.onnx.data").write_bytes(b"others")
    assert len({alone, with_weights, open_source(model).sha256}) == 3


def test_a_missing_extra_is_named_with_its_packages() -> None:
    with pytest.raises(ModelError, match="no-such-package is not installed") as caught:
        extras.check_modules("onnx", ("json", "no_such_package"), "x86_64")
    assert caught.value.hint == "install the extra: pip install 'green-edge[onnx]'"


def test_a_platform_without_wheels_is_told_the_way_round() -> None:
    with pytest.raises(ModelError) as caught:
        extras.check_modules("torch", ("no_such_package",), "aarch64")
    assert "no wheel for aarch64" in str(caught.value.hint)


def test_keras_needs_no_extra() -> None:
    extras.check_installed("keras")


def test_the_note_tells_the_inputs_that_data_sets_follow() -> None:
    inputs = (TensorSpec(name="image", shape=(1, 12, 10, 3), dtype="float32"),)
    assert "image float32 (12, 10, 3)" in str(layout.note("onnx", inputs))
    assert layout.note("keras", inputs) is None


def h5_file(path: Path, layer: str, arguments: dict[str, object]) -> Path:
    inner = {"class_name": layer, "config": arguments}
    wrapped = {"class_name": "Bidirectional", "config": {"layer": inner}}
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(
            {"class_name": "M", "config": {"layers": [wrapped]}}
        )
    return path


def config_of(path: Path) -> str:
    with h5py.File(path, "r") as file:
        return str(file.attrs["model_config"])


@pytest.mark.parametrize(
    ("layer", "argument", "value"),
    [("LSTM", "time_major", False), ("DepthwiseConv2D", "groups", 1)],
)
def test_arguments_that_keras_3_forgot_are_left_out_of_a_copy(
    tmp_path: Path, layer: str, argument: str, value: object
) -> None:
    file = h5_file(tmp_path / "old.h5", layer, {"name": "a", argument: value})
    with legacy_h5.readable(file) as copy:
        assert argument not in config_of(copy)
        assert '"name": "a"' in config_of(copy)
    assert not copy.exists()
    assert argument in config_of(file)


@pytest.mark.parametrize(
    ("layer", "arguments"),
    [("LSTM", {"time_major": True}), ("Conv2D", {"groups": 1}), ("LSTM", {"units": 1})],
)
def test_arguments_that_mean_something_stay(
    tmp_path: Path, layer: str, arguments: dict[str, object]
) -> None:
    file = h5_file(tmp_path / "new.h5", layer, arguments)
    with legacy_h5.readable(file) as same:
        assert same == file


def test_the_last_words_of_a_converter_carry_no_colours() -> None:
    said = tail("ValueError: \x1b[31mERROR:\x1b[0m no rule for this\n")
    assert said == "; it printed: ValueError: ERROR: no rule for this"
