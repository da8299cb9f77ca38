import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from green_edge.data.dataset import Dataset, sample, split
from green_edge.data.load import check_labels, load
from green_edge_wire.errors import ConfigError
from green_edge_wire.manifest import Dtype, Pipeline, Resize, Scale, TensorSpec

_IMAGE = TensorSpec("image", (1, 8, 8, 1), "float32")
_DENSE = TensorSpec("x", (1, 4), "float32")


def _npz(folder: Path, **arrays: np.typing.NDArray[np.generic]) -> str:
    file = folder / "set.npz"
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return str(file)


def _spec(name: str, size: int, dtype: Dtype = "float32") -> TensorSpec:
    return TensorSpec(name, (1, size), dtype)


# --- .npz --------------------------------------------------------------------------------------


def test_x_serves_a_single_input_whatever_its_name_and_y_are_the_classes(tmp_path: Path) -> None:
    ref = _npz(tmp_path, x=np.ones((5, 8, 8), np.uint8), y=np.array([[0], [1], [2], [0], [1]]))
    dataset = load(ref, [_IMAGE])
    assert dataset.inputs["image"].shape == (5, 8, 8, 1)
    assert dataset.inputs["image"].dtype == np.float32
    assert dataset.y is not None
    assert dataset.y.tolist() == [0, 1, 2, 0, 1]
    assert dataset.y.dtype == np.int64
    assert (dataset.n, dataset.origin) == (5, ref)


def test_several_inputs_go_by_name_even_where_a_converter_wrapped_it(tmp_path: Path) -> None:
    ref = _npz(tmp_path, a=np.zeros((3, 2)), b=np.zeros((3, 4)))
    specs = [_spec("serving_default_b:0", 4), _spec("serving_default_a:0", 2)]
    dataset = load(ref, specs)
    assert [(k, v.shape) for k, v in dataset.inputs.items()] == [
        ("serving_default_b:0", (3, 4)),
        ("serving_default_a:0", (3, 2)),
    ]


def test_class_names_in_y_become_indices_by_the_labels(tmp_path: Path) -> None:
    ref = _npz(tmp_path, x=np.zeros((2, 4)), y=np.array(["bee", "ant"]))
    dataset = load(ref, [_DENSE], labels=("ant", "bee"))
    assert dataset.y is not None
    assert dataset.y.tolist() == [1, 0]
    with pytest.raises(ConfigError, match="labels are unknown"):
        load(ref, [_DENSE])
    with pytest.raises(ConfigError, match="'ant' is not among the labels"):
        load(ref, [_DENSE], labels=("cat", "bee"))


def test_token_ids_stay_whole_numbers(tmp_path: Path) -> None:
    spec = _spec("ids", 3, "int32")
    dataset = load(_npz(tmp_path, x=np.array([[1.0, 2.0, 3.0]])), [spec])
    assert dataset.inputs["ids"].dtype == np.int32
    with pytest.raises(ConfigError, match="takes whole numbers"):
        load(_npz(tmp_path, x=np.array([[1.5, 2.0, 3.0]])), [spec])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((2, 4))}, "no array for input 'x'; it holds images"),
        ({"x": np.zeros((2, 5))}, "has shape 5 a sample, the model takes 4"),
        ({"x": np.zeros((0, 4))}, "it is empty"),
        ({"x": np.float32(1)}, "it is empty"),
        ({"x": np.full((3, 4), np.nan)}, "holds NaN or infinity in 3 samples, first in 0"),
        ({"x": np.array([[1, 2, 3, np.inf]])}, "holds NaN or infinity in 1 samples, first in 0"),
        ({"x": np.array([["a", "b", "c", "d"]])}, "no numbers"),
        ({"x": np.zeros((2, 4)), "y": np.zeros(3, int)}, "y has 3 entries for 2 samples"),
        ({"x": np.zeros((1, 4)), "y": np.array([np.nan])}, "y holds NaN"),
        ({"x": np.zeros((1, 4)), "y": np.array([1j])}, "no class indices or targets"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_what_is_wrong(
    tmp_path: Path, arrays: dict[str, np.typing.NDArray[np.generic]], message: str
) -> None:
    ref = _npz(tmp_path, **arrays)
    with pytest.raises(ConfigError) as caught:
        load(ref, [_DENSE])
    assert message in str(caught.value)
    assert str(caught.value).startswith(ref)


def test_inputs_of_different_lengths_are_refused(tmp_path: Path) -> None:
    ref = _npz(tmp_path, a=np.zeros((3, 2)), b=np.zeros((2, 2)))
    with pytest.raises(ConfigError, match="different lengths: 'a' 3, 'b' 2"):
        load(ref, [_spec("a", 2), _spec("b", 2)])


def test_a_file_that_is_no_npz_is_refused(tmp_path: Path) -> None:
    good = Path(_npz(tmp_path, x=np.arange(4000.0).reshape(1000, 4)))
    content = good.read_bytes()
    for bad in (b"", b"not a zip", content[: len(content) // 2]):
        good.write_bytes(bad)
        with pytest.raises(ConfigError, match="cannot read it"):
            load(str(good), [_DENSE])
    with good.open("wb") as stream:
        np.save(stream, np.zeros((2, 4)))
    with pytest.raises(ConfigError, match=r"a single \.npy array"):
        load(str(good), [_DENSE])
    np.savez(good, x=np.array([{}], dtype=object))
    with pytest.raises(ConfigError, match="cannot read it"):
        load(str(good), [_DENSE])


def test_what_is_no_data_set_at_all_says_what_one_is(tmp_path: Path) -> None:
    (tmp_path / "set.txt").write_text("x", encoding="utf-8")
    hint = r"give a \.npz, a folder of images, a \.csv, or module:function"
    with pytest.raises(ConfigError, match=f"not a data set; {hint}"):
        load(str(tmp_path / "set.txt"), [_DENSE])
    with pytest.raises(ConfigError, match=f"no such file or folder; {hint}"):
        load(str(tmp_path / "none.npz"), [_DENSE])


# --- .csv --------------------------------------------------------------------------------------


def _csv(folder: Path, rows: list[list[str]]) -> str:
    file = folder / "set.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return str(file)


def test_a_table_has_one_sample_a_row_and_its_class_in_y(tmp_path: Path) -> None:
    ref = _csv(tmp_path, [["a", "y", "b", "c", "d"], ["1", "2", "3", "4", "5.5"]])
    dataset = load(ref, [_DENSE])
    assert dataset.inputs["x"].tolist() == [[1.0, 3.0, 4.0, 5.5]]
    assert dataset.y is not None
    assert dataset.y.tolist() == [2]


def test_a_table_may_hold_targets_or_names_or_no_labels(tmp_path: Path) -> None:
    head = ["a", "b", "c", "d", "label"]
    dataset = load(_csv(tmp_path, [head, ["1", "2", "3", "4", "0.5"]]), [_DENSE])
    assert dataset.y is not None
    assert dataset.y.dtype == np.float32
    named = load(_csv(tmp_path, [head, ["1", "2", "3", "4", "bee"]]), [_DENSE], labels=("a", "bee"))
    assert named.y is not None
    assert named.y.tolist() == [1]
    assert load(_csv(tmp_path, [head[:4], ["1", "2", "3", "4"]]), [_DENSE]).y is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "it is empty"),
        ([["a", "b", "c", "d"]], "it is empty"),
        ([["a", "b", "c", "d"], ["1", "2", "3"]], "row 2 has 3 columns, the header 4"),
        ([["a", "b", "c", "d"], ["1", "2", "3", "x"]], "row 2: 'x' is no number"),
        ([["a", "b", "c"], ["1", "2", "3"]], "3 feature columns, input 'x' takes 4"),
        ([["a", "b", "c", "d"], ["1", "2", "3", "nan"]], "holds NaN"),
    ],
)
def test_a_broken_table_is_refused_with_its_row(
    tmp_path: Path, rows: list[list[str]], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(_csv(tmp_path, rows), [_DENSE])
    assert message in str(caught.value)


def test_a_table_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_bytes(b"a,b\xff\n")
    with pytest.raises(ConfigError, match="cannot read it"):
        load(str(tmp_path / "set.csv"), [_DENSE])


def test_a_table_or_folder_serves_one_input_only(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one input, not 2"):
        load(_csv(tmp_path, [["a"], ["1"]]), [_spec("a", 1), _spec("b", 1)])
    with pytest.raises(ConfigError, match="one input, not 2"):
        load(str(tmp_path), [_spec("a", 1), _spec("b", 1)])


# --- images ------------------------------------------------------------------------------------


def _image(file: Path, value: int, size: tuple[int, int] = (8, 8), mode: str = "L") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(file)


def test_sub_folders_are_classes_and_pixels_run_through_the_pipeline(tmp_path: Path) -> None:
    _image(tmp_path / "bee" / "1.png", 51)
    _image(tmp_path / "ant" / "1.png", 255, size=(16, 12))
    pipeline = Pipeline(pre=(Resize(8, 8), Scale(1 / 255)))
    dataset = load(str(tmp_path), [_IMAGE], pipeline=pipeline)
    assert dataset.labels == ("ant", "bee")
    assert dataset.y is not None
    assert dataset.y.tolist() == [0, 1]
    assert dataset.inputs["image"][0] == pytest.approx(1.0)
    assert dataset.inputs["image"][1] == pytest.approx(0.2)


def test_given_labels_number_the_classes_and_an_unknown_folder_is_refused(tmp_path: Path) -> None:
    _image(tmp_path / "bee" / "1.png", 0)
    dataset = load(str(tmp_path), [_IMAGE], labels=("cat", "bee"))
    assert dataset.y is not None
    assert dataset.y.tolist() == [1]
    with pytest.raises(ConfigError, match=r"class 'bee' is not among the labels; did you mean"):
        load(str(tmp_path), [_IMAGE], labels=("cat", "bees"))


def test_folders_called_by_numbers_are_class_indices(tmp_path: Path) -> None:
    for name in ("10", "2"):
        _image(tmp_path / name / "1.png", 0)
    dataset = load(str(tmp_path), [_IMAGE])
    assert dataset.y is not None
    assert sorted(dataset.y.tolist()) == [2, 10]


def test_a_folder_without_sub_folders_has_images_without_labels(tmp_path: Path) -> None:
    _image(tmp_path / "1.png", 7, mode="L")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not an image", encoding="utf-8")
    dataset = load(str(tmp_path), [TensorSpec("rgb", (1, 8, 8, 3), "float32")])
    assert dataset.y is None
    assert dataset.inputs["rgb"].shape == (1, 8, 8, 3)
    assert (dataset.inputs["rgb"] == 7).all()


def test_images_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no images in this folder"):
        load(str(tmp_path), [_IMAGE])
    _image(tmp_path / "1.png", 0, size=(10, 8))
    with pytest.raises(ConfigError, match=r"1\.png: image of 10 x 8 pixels, the model takes 8 x 8"):
        load(str(tmp_path), [_IMAGE])
    with pytest.raises(ConfigError, match="is no image"):
        load(str(tmp_path), [_DENSE])
    (tmp_path / "1.png").write_bytes(b"\x89PNG")
    with pytest.raises(ConfigError, match=r"1\.png: cannot read the image"):
        load(str(tmp_path), [_IMAGE])


# --- module:function ---------------------------------------------------------------------------

_HOOKS = """
import numpy as np

class Stream:
    def __init__(self, elements):
        self.elements = elements
    def as_numpy_iterator(self):
        return iter(self.elements)

def plain(): return np.zeros((3, 4))
def pair(): return np.zeros((3, 4)), np.array([0, 1, 0])
def named(): return {"x": np.zeros((2, 4)), "y": np.array([1, 1])}
def single(): return Stream([(np.zeros(4), 0), (np.ones(4), 1)])
def batched(): return Stream([(np.zeros((2, 4)), np.array([0, 1])), (np.ones((1, 4)), [1])])
def unlabelled(): return Stream([np.zeros(4), np.ones(4)])
def nothing(): return None
def empty(): return Stream([])
number = 3

def needy(path):
    return path
"""


@pytest.fixture
def hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = f"hooks_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(_HOOKS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    yield name
    sys.path[:] = before
    sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("function", "n", "y"),
    [
        ("plain", 3, None),
        ("pair", 3, [0, 1, 0]),
        ("named", 2, [1, 1]),
        ("single", 2, [0, 1]),
        ("batched", 3, [0, 1, 1]),
        ("unlabelled", 2, None),
    ],
)
def test_a_function_may_return_arrays_or_a_stream(
    hooks: str, function: str, n: int, y: list[int] | None
) -> None:
    dataset = load(f"{hooks}:{function}", [_DENSE])
    assert dataset.n == n
    assert (None if dataset.y is None else dataset.y.tolist()) == y


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("nothing", "it returned NoneType"),
        ("empty", "it is empty"),
        ("number", "has no function 'number'"),
        ("missing", "has no function 'missing'"),
        ("needy", "needy needs arguments; it is called without any"),
    ],
)
def test_a_function_that_gives_no_arrays_is_refused(
    hooks: str, function: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load(f"{hooks}:{function}", [_DENSE])


def test_a_function_that_raises_is_a_config_error_with_its_name_and_line(
    hooks: str, tmp_path: Path
) -> None:
    file = tmp_path / f"{hooks}.py"
    file.write_text("def train():\n    return {}['images']\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="it raised KeyError: 'images'") as caught:
        load(f"{hooks}:train", [_DENSE])
    assert caught.value.place == f"{hooks}:train"
    assert f"line 2 of {file}" in str(caught.value.hint)


def test_a_module_that_raises_is_a_config_error(hooks: str, tmp_path: Path) -> None:
    (tmp_path / f"{hooks}.py").write_text("SIZE = 1 / 0\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="it raised ZeroDivisionError"):
        load(f"{hooks}:train", [_DENSE])


def test_a_module_that_is_not_there_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="cannot import it"):
        load("no_such_module_anywhere:train", [_DENSE])


# --- values ------------------------------------------------------------------------------------


def _numbered(n: int) -> Dataset:
    return Dataset(inputs={"x": np.arange(n)[:, np.newaxis]}, y=np.arange(n), origin="set")


def test_a_sample_is_drawn_by_seed_without_repeats_in_the_sets_order() -> None:
    drawn = sample(_numbered(100), 10, seed=1)
    values = drawn.inputs["x"][:, 0].tolist()
    assert values == sorted(set(values))
    assert drawn.n == 10
    assert drawn.y is not None
    assert drawn.y.tolist() == values
    again, other = sample(_numbered(100), 10, seed=1), sample(_numbered(100), 10, seed=2)
    assert again.inputs["x"].tolist() == drawn.inputs["x"].tolist()
    assert other.inputs["x"].tolist() != drawn.inputs["x"].tolist()
    assert sample(_numbered(5), 10, seed=1).n == 5


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    n=st.integers(1, 60),
    seed=st.integers(0, 3),
)
def test_classes_are_drawn_evenly_as_long_as_they_last(sizes: list[int], n: int, seed: int) -> None:
    y = np.repeat(np.arange(len(sizes)), sizes)
    drawn = sample(Dataset({"x": np.arange(len(y))}, y=y), n, seed)
    assert drawn.y is not None
    assert drawn.n == min(n, len(y))
    found = np.bincount(drawn.y, minlength=len(sizes))
    # A class that gave less than another by more than one had no more to give.
    for count, size in zip(found, sizes, strict=True):
        assert count >= min(size, found.max() - 1)
    assert drawn.y.tolist() == y[drawn.inputs["x"]].tolist()


def test_one_hot_rows_are_classes_to_draw_evenly_from() -> None:
    indices = np.repeat([0, 1, 2], [90, 7, 3])
    for one_hot in (np.eye(3, dtype=np.float32)[indices], np.eye(3, dtype=np.int64)[indices]):
        drawn = sample(Dataset({"x": np.zeros((100, 1))}, y=one_hot), 12, seed=3)
        assert drawn.classes is not None
        assert np.bincount(drawn.classes).tolist() == [5, 4, 3]
        assert drawn.y is not None
        assert drawn.y.shape == (12, 3)


def test_targets_have_no_classes_to_draw_evenly_from() -> None:
    x = np.arange(50)
    plain = sample(Dataset({"x": x}), 10, seed=1).inputs["x"].tolist()
    targets = sample(Dataset({"x": x}, y=np.repeat([0.0, 1.0], 25)), 10, seed=1)
    assert targets.inputs["x"].tolist() == plain


def test_a_split_gives_every_sample_to_one_side() -> None:
    rest, held = split(_numbered(20), 5, seed=0)
    assert (rest.n, held.n) == (15, 5)
    both = [*rest.inputs["x"][:, 0].tolist(), *held.inputs["x"][:, 0].tolist()]
    assert sorted(both) == list(range(20))


@pytest.mark.parametrize("held_back", [0, 20])
def test_a_split_that_leaves_a_side_empty_is_refused(held_back: int) -> None:
    with pytest.raises(ConfigError, match=f"cannot hold {held_back} of 20 samples back"):
        split(_numbered(20), held_back, seed=0)


@pytest.mark.parametrize(
    ("y", "labels", "message"),
    [
        (np.array([0, 3]), (), "class 3 in y, the model's output has 3 classes"),
        (np.array([-1, 0]), (), "class -1 in y"),
        (np.zeros((2, 4), np.float32), (), "does not fit the output"),
        (np.array([0, 1]), ("a", "b"), "2 labels, the model's output has 3 classes"),
    ],
)
def test_labels_that_do_not_fit_the_output_are_refused(
    y: np.typing.NDArray[np.generic], labels: tuple[str, ...], message: str
) -> None:
    dataset = Dataset(inputs={"x": np.zeros((2, 4))}, y=y, labels=labels)
    with pytest.raises(ConfigError, match=message):
        check_labels(dataset, TensorSpec("scores", (1, 3), "float32"))


def test_labels_that_fit_the_output_pass() -> None:
    output = TensorSpec("scores", (1, 3), "float32")
    inputs = {"x": np.zeros((2, 4))}
    check_labels(Dataset(inputs), output)
    check_labels(Dataset(inputs, np.array([0, 2]), ("a", "b", "c")), output)
    check_labels(Dataset(inputs, np.zeros((2, 3), np.float32)), output)
    check_labels(Dataset(inputs, np.array([0, 1])), TensorSpec("p", (1, 1), "float32"))
