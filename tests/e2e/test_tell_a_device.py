"""`green-edge tell`: signed commands through a real broker to a real agent."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from green_edge.bundle.keys import load_signer
from support.brokers import wait_until
from support.bundles import tiny_bundle, wrong_golden
from support.commands import Up, running_up
from support.one_device import device, up_with_device

pytestmark = pytest.mark.broker


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with up_with_device(tmp_path) as up:
        yield up


def push(up: Up, bundle: bytes, name: str) -> tuple[int, str]:
    path = up.home.folder / name
    path.write_bytes(bundle)
    done = up.home.run("push", str(path), "--device", "pi", "--timeout", "30")
    return done.returncode, done.stdout


def test_a_refresh_is_obeyed_and_confirmed_by_the_device(up: Up) -> None:
    told = up.home.run("tell", "pi", "refresh", "--json")
    assert told.returncode == 0, told.stderr
    answer = json.loads(told.stdout)
    assert (answer["device_id"], answer["verb"], answer["done"]) == ("pi", "refresh", True)


def test_a_key_that_the_device_does_not_trust_commands_nothing(up: Up) -> None:
    assert up.home.run("keys", "new", "stranger").returncode == 0
    told = up.home.run("tell", "pi", "refresh", "--key", "stranger")
    assert told.returncode == 6
    assert "not from a trusted key" in told.stdout


def test_a_released_bundle_is_tried_again(up: Up) -> None:
    bad = wrong_golden(1, signer=load_signer(None, up.home.keys))
    code, said = push(up, bad, "bad.gedge")
    assert code == 6
    assert "self-test" in said
    code, said = push(up, bad, "bad.gedge")
    assert code == 5
    assert "in quarantine" in said
    assert up.home.run("tell", "pi", "release").returncode == 0
    wait_until(lambda: "self-test" in device(up).get("reason", ""), within_s=30)
    good = tiny_bundle(2, signer=load_signer(None, up.home.keys))
    assert push(up, good, "good.gedge")[0] == 0


def test_who_is_off_line_is_not_told(tmp_path: Path) -> None:
    with running_up(tmp_path, "--device", "pi") as up:
        unknown = up.home.run("tell", "pi", "refresh")
        assert unknown.returncode == 2
        assert "no device 'pi' has reported yet" in unknown.stderr
