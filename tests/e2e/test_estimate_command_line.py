"""`green-edge estimate` as a process: with the network and without."""

import json

import pytest

from green_edge.emulate import EmulationError
from green_edge.emulate.fetch import fetch_small
from green_edge.emulate.userland import debian_archive
from support.commands import Home
from support.estimates import network
from support.op_models import dense
from support.tiny_models import tiny_int8_dense

pytestmark = pytest.mark.timeout(300)
# Nothing listens there.
OFFLINE = {"GREEN_EDGE_DEBIAN_MIRROR": "http://127.0.0.1:9", "no_proxy": "127.0.0.1"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("desk")
    (folder / "model.tflite").write_bytes(network(16, 28))
    (folder / "dense.tflite").write_bytes(tiny_int8_dense(256, 512))
    (folder / "new.tflite").write_bytes(dense(12, "float32", "int8"))
    return Home(folder)


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a cache that can be filled from the network."""
    cache = tmp_path_factory.mktemp("cache")
    try:
        fetch_small(f"{debian_archive(cache).mirror}/dists/bookworm/InRelease")
    except EmulationError as error:
        pytest.skip(str(error))
    return {"GREEN_EDGE_CACHE": str(cache)}


def test_without_the_network_it_predicts_and_says_why(home: Home) -> None:
    ran = home.run("estimate", "model.tflite", "--target", "pi4", "--json", **OFFLINE)
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert [entry["how"] for entry in document["runtimes"]] == ["analytic", "analytic"]
    assert "predicted, not counted" in ran.stderr
    assert "not fetched" in ran.stderr
    assert any("not fetched" in note for note in document["notes"])


def test_a_cache_that_cannot_be_written_is_named_with_a_remedy(home: Home) -> None:
    blocked = home.folder / "a-file"
    blocked.write_text("in the way")
    ran = home.run(
        "estimate", "model.tflite", "--target", "pi4", GREEN_EDGE_CACHE=str(blocked), **OFFLINE
    )
    assert ran.returncode == 0, ran.stderr
    assert "GREEN_EDGE_CACHE" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("model.tflite", "--target", "pi9"), 2),
        (("model.tflite",), 2),
        (("model.tflite", "--target", "host"), 2),
        (("none.tflite", "--target", "pi4"), 3),
    ],
)
def test_an_error_is_one_line_with_its_exit_code(
    arguments: tuple[str, ...], code: int, home: Home
) -> None:
    ran = home.run("estimate", *arguments, **OFFLINE)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stderr.startswith("error: ")


@pytest.mark.slow
def test_with_the_network_instructions_are_counted(home: Home, online: dict[str, str]) -> None:
    ran = home.run("estimate", "dense.tflite", "--target", "pi4", "--json", **online)
    assert ran.returncode == 0, ran.stderr
    runtimes = json.loads(ran.stdout)["runtimes"]
    assert [entry["how"] for entry in runtimes] == ["emulated", "emulated"]
    predicted = home.run("estimate", "dense.tflite", "--target", "pi4", "--analytic", "--json")
    for counted, told in zip(runtimes, json.loads(predicted.stdout)["runtimes"], strict=True):
        assert told["instructions"] == pytest.approx(counted["instructions"], rel=0.15)


@pytest.mark.slow
def test_the_runtimes_own_refusal_reaches_the_user(home: Home, online: dict[str, str]) -> None:
    ran = home.run("estimate", "new.tflite", "--target", "pi4:bookworm-armhf", **online)
    assert ran.returncode == 3
    assert "Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'" in ran.stderr
