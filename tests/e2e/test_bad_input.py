"""What a user gets for bad input: one line with what, where and remedy, and the exit code."""

import re

import numpy as np
import pytest

from green_edge.bundle.keys import new_key, signing_key
from support.bundles import tiny_bundle
from support.commands import Home
from support.small_builds import workshop
from support.tiny_models import tiny_float_dense

BUILD = ("build", "dense.tflite", "--out", "out")
CALIBRATION = ("--calibration", "calibration.npz")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A folder with a model, its sets, and everything that is wrong."""
    folder = tmp_path_factory.mktemp("bad-input")
    workshop(folder, samples=30)
    bad = {
        "shape": {"x": np.zeros((9, 5))},
        "name": {"pixels": np.zeros((9, 4))},
        "empty": {"x": np.zeros((0, 4))},
        "nan": {"x": np.full((9, 4), np.nan)},
        "class": {"x": np.zeros((9, 4)), "y": np.full(9, 7)},
    }
    for name, arrays in bad.items():
        np.savez(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]
    np.save(folder / "lone.npy", np.zeros((9, 4)))
    (folder / "lone.npy").rename(folder / "lone.npz")
    (folder / "no.tflite").write_bytes(b"no model at all")
    (folder / "no.keras").write_bytes(b"no model at all")
    (folder / "open.tflite").write_bytes(tiny_float_dense(signature_shape=(1, -1)))
    (folder / "two.txt").write_text("ant\nbee\n", encoding="utf-8")
    home = Home(folder)
    mine = new_key("default", home.keys)
    (folder / "cut.gedge").write_bytes(tiny_bundle(signer=mine)[:-10])
    foreign = tiny_bundle(signer=signing_key("foreign", bytes([9]) * 32))
    (folder / "foreign.gedge").write_bytes(foreign)
    return home


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        # not a model
        (("build", "no.tflite", *CALIBRATION), 3, r"no\.tflite: not a model; build reads Keras"),
        (("build", "no.keras", *CALIBRATION), 3, r"no\.keras: not a model; build reads Keras"),
        (("inspect", "no.tflite"), 3, r"no\.tflite: not a model; "),
        (("bench", "no.tflite"), 3, r"no\.tflite: not a model; "),
        # dynamic shapes
        (
            ("build", "open.tflite", *CALIBRATION),
            3,
            r"open\.tflite: dynamic shape of input 'x'; export it with a fixed shape",
        ),
        (("bench", "open.tflite"), 3, r"open\.tflite: tensor 'x' has a dynamic shape; convert"),
        # calibration sets
        (
            (*BUILD, "--calibration", "shape.npz"),
            2,
            r"shape\.npz: input 'x' has shape 5 a sample, the model takes 4; prepare",
        ),
        ((*BUILD, "--calibration", "name.npz"), 2, r"name\.npz: no array for input 'x'; it holds"),
        ((*BUILD, "--calibration", "empty.npz"), 2, r"empty\.npz: it is empty; give one"),
        ((*BUILD, "--calibration", "nan.npz"), 2, r"nan\.npz: .* NaN .* in 9 samples, .*; remove"),
        ((*BUILD, "--calibration", "lone.npz"), 2, r"lone\.npz: .* a single \.npy array; write"),
        ((*BUILD, "--calibration", "none.npz"), 2, r"none\.npz: no such file or folder; give a"),
        # labels
        (
            (*BUILD, *CALIBRATION, "--eval", "class.npz"),
            2,
            r"class\.npz: class 7 in y, the model's output has 3 classes \(from 0\); number",
        ),
        (
            (*BUILD, *CALIBRATION, "--labels", "two.txt"),
            2,
            r"--labels: 2 labels, the model's output has 3 classes; write one",
        ),
        # unknown target
        (
            (*BUILD, *CALIBRATION, "--target", "pi44"),
            2,
            r"--target: unknown target 'pi44'; did you mean 'pi4'\?",
        ),
        # no write access; nobody can make a folder there, root neither
        (
            ("build", "dense.tflite", *CALIBRATION, "--out", "/proc/out"),
            2,
            r"--out: cannot write to /proc/out: .*; choose a folder",
        ),
        # truncated bundle, wrong key
        (("verify", "cut.gedge"), 5, r"cut\.gedge: archive: not a bundle, or cut short; build"),
        (("push", "cut.gedge", "--device", "pi"), 5, r"cut\.gedge: archive: .*cut short; copy it"),
        (("verify", "foreign.gedge"), 5, r"foreign\.gedge: manifest\.sig: unknown key .*; .*--key"),
        (
            ("push", "foreign.gedge", "--device", "pi"),
            5,
            r"foreign\.gedge: manifest\.sig: unknown key .*; build it with a key of your own",
        ),
        # broker
        (
            ("up", "--port", "0", "--broker", "mqtt://127.0.0.1:9"),
            7,
            r"broker mqtt://127\.0\.0\.1:9 cannot be reached: Connection refused; check that it",
        ),
        # wrong use of the command line itself
        (("push",), 2, r"Missing argument 'BUNDLE'; see 'green-edge push --help'"),
    ],
)
def test_bad_input_is_one_line_with_what_where_and_remedy(
    home: Home, arguments: tuple[str, ...], code: int, line: str
) -> None:
    done = home.run(*arguments)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    *talk, said = done.stderr.splitlines()
    assert re.match(f"error: {line}", said), said
    assert not any("rror" in before or "Traceback" in before for before in talk)
    assert list((home.folder / "out").glob("*")) == []
