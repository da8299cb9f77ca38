"""The user's modules that register Keras objects: found, run once, mistakes told in one line."""

import sys
from pathlib import Path

import pytest

from green_edge.convert import custom
from green_edge_wire.errors import ModelError


def test_a_file_is_run_once_and_found_by_its_name(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    file = tmp_path / "counted_layers.py"
    file.write_text(f"with open({str(ran)!r}, 'a') as out:\n    out.write(__name__ + '.')\n")
    for _ in range(2):
        custom.register((str(file),))
    assert ran.read_text() == "counted_layers."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_package", "cannot be imported: No module named 'no_such_package'"),
        ("Layer()", "it raised NameError"),
        ("def (", "it raised SyntaxError"),
    ],
)
def test_a_mistake_in_a_module_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "faulty_layers.py"
    file.write_text(text)
    with pytest.raises(ModelError, match=message) as caught:
        custom.register((str(file),))
    assert "--custom" in str(caught.value)


def test_a_module_that_is_not_there_is_named(tmp_path: Path) -> None:
    for missing in ("no_such_module", str(tmp_path / "none.py")):
        with pytest.raises(ModelError, match=r"give an importable module or a \.py file"):
            custom.register((missing,))


def test_a_file_does_not_take_the_place_of_another_module(tmp_path: Path) -> None:
    file = tmp_path / "pathlib.py"
    file.write_text("Path = None\n")
    with pytest.raises(ModelError, match="there is a module 'pathlib' already: give the file ano"):
        custom.register((str(file),))
    assert sys.modules["pathlib"].Path is Path
