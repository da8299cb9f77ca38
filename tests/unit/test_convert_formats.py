"""What counts as a model, and the names that its tensors go by."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from green_edge.convert import samples
from green_edge.convert.formats import open_source
from green_edge.convert.signature import names
from green_edge_wire.errors import ModelError
from support.tiny_models import tiny_float_conv, tiny_float_dense


def test_a_model_is_recognized_by_its_content_whatever_it_is_called(tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(tiny_float_dense())
    assert open_source(file).format == "tflite"
    file.write_bytes(b"\x89HDF\r\n\x1a\n" + b"rest")
    assert open_source(file).format == "h5"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("metadata.json", "{}")
    assert open_source(file).format == "keras"


@pytest.mark.parametrize("content", [b"", b"hello world, this is text", b"PK\x03\x04 no archive"])
def test_what_is_no_model_is_refused_with_what_could_be_read(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    with pytest.raises(ModelError, match="not a model") as caught:
        open_source(file)
    assert "SavedModel" in str(caught.value.hint)


def test_a_missing_file_and_a_plain_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        open_source(tmp_path / "absent.keras")
    with pytest.raises(ModelError, match=r"without saved_model\.pb"):
        open_source(tmp_path)


def test_the_digest_of_a_folder_follows_its_files_and_not_its_place(tmp_path: Path) -> None:
    first = tmp_path / "a"
    (first / "variables").mkdir(parents=True)
    (first / "saved_model.pb").write_bytes(b"graph")
    (first / "variables" / "v").write_bytes(b"1")
    second = tmp_path / "b"
    shutil.copytree(first, second)
    assert open_source(first).sha256 == open_source(second).sha256
    (second / "variables" / "v").write_bytes(b"2")
    assert open_source(first).sha256 != open_source(second).sha256


def test_inputs_and_outputs_go_by_the_names_of_the_signature() -> None:
    found = names(tiny_float_conv())
    assert found.inputs == ("image",)
    assert found.outputs == ("scores",)


def test_samples_reach_the_child_one_by_one_under_any_input_name(tmp_path: Path) -> None:
    file = tmp_path / "samples.npz"
    # `file` is a parameter of numpy.savez, and slashes are usual in tensor names.
    arrays = [np.arange(6.0).reshape(3, 2), np.arange(3)]
    samples.write(file, arrays)
    drawn = list(samples.read(file, ("file", "a/b:0")))
    assert len(drawn) == 3
    np.testing.assert_array_equal(drawn[1]["file"], [[2.0, 3.0]])
    np.testing.assert_array_equal(drawn[2]["a/b:0"], [2])
