from pathlib import Path

import pytest

from green_edge.build.model_file import as_tflite
from green_edge_wire.errors import IntegrityError, ModelError
from support.bundles import tiny_bundle
from support.tiny_models import tiny_float_dense


def test_a_tflite_and_the_one_in_a_bundle_come_out_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "dense.tflite").write_bytes(tiny_float_dense())
    assert as_tflite(tmp_path / "dense.tflite") == tiny_float_dense()
    (tmp_path / "tiny.gedge").write_bytes(tiny_bundle())
    inside = as_tflite(tmp_path / "tiny.gedge")
    assert inside[4:8] == b"TFL3"
    assert inside in tiny_bundle()


def test_what_is_no_model_is_named_once(tmp_path: Path) -> None:
    for name, content in (("notes.txt", b"hello"), ("pickle.pt", b"\x80\x02}")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError) as caught:
            as_tflite(tmp_path / name)
        assert caught.value.message.count(name) == 1
    with pytest.raises(ModelError, match=r"none\.tflite: no such file"):
        as_tflite(tmp_path / "none.tflite")


def test_a_bundle_with_wrong_bytes_is_refused(tmp_path: Path) -> None:
    data = bytearray(tiny_bundle())
    data[data.index(b"TFL3") + 40] ^= 1
    (tmp_path / "tiny.gedge").write_bytes(data)
    with pytest.raises(IntegrityError, match=r"tiny\.gedge"):
        as_tflite(tmp_path / "tiny.gedge")


@pytest.mark.tf
def test_a_model_that_cannot_be_converted_is_named_and_its_conversion_told(tmp_path: Path) -> None:
    (tmp_path / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    told: list[str] = []
    with pytest.raises(ModelError) as caught:
        as_tflite(tmp_path / "broken.h5", progress=lambda doing, _share=None: told.append(doing))
    assert caught.value.message.startswith(str(tmp_path / "broken.h5"))
    assert told == ["converting broken.h5 to float .tflite"]
