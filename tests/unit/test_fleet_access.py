import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from green_edge.fleet import access
from green_edge.fleet.access import OPERATOR, Credential, may, password_line, password_matches
from green_edge_wire.topics import Address, Down, Up

HERE = Address("home", "pi")


@pytest.mark.parametrize("channel", list(Up))
def test_a_device_publishes_its_own_up_channels_and_reads_none_of_them(channel: Up) -> None:
    assert may("pi", "publish", HERE.topic(channel))
    assert not may("pi", "subscribe", HERE.topic(channel))
    assert not may("pi", "receive", HERE.topic(channel))


@pytest.mark.parametrize("channel", list(Down))
def test_a_device_reads_its_own_down_channels_and_publishes_none_of_them(channel: Down) -> None:
    assert may("pi", "subscribe", HERE.topic(channel))
    assert may("pi", "subscribe", f"ge/v1/+/pi/{channel}")
    assert may("pi", "receive", HERE.topic(channel))
    assert not may("pi", "publish", HERE.topic(channel))


@pytest.mark.parametrize(
    "topic",
    [
        "#",
        "ge/v1/#",
        "ge/v1/home/+/desired",
        "ge/v1/home/other/desired",
        "ge/v1/home/pi/+",
        "ge/v1/home/pi/desired/deeper",
        "$SYS/broker/uptime",
        "home/lamp",
        "",
    ],
)
def test_a_device_reads_nothing_else(topic: str) -> None:
    assert not may("pi", "subscribe", topic)
    assert not may("pi", "receive", topic)


def test_the_operator_reads_and_writes_below_our_root_only() -> None:
    assert may(OPERATOR, "publish", HERE.topic(Down.DESIRED))
    assert may(OPERATOR, "subscribe", "ge/v1/+/+/telemetry")
    assert not may(OPERATOR, "publish", "home/lamp")


@given(st.text(), st.sampled_from(["publish", "subscribe", "receive"]), st.text())
def test_a_client_without_a_name_may_do_nothing(
    rest: str, action: access.Action, name: str
) -> None:
    assert not may("", action, f"ge/v1/home/{name}/{rest}")


@given(password=st.text(min_size=1), other=st.text(), salt=st.binary(min_size=12, max_size=12))
def test_a_password_file_lets_in_its_own_password_alone(
    password: str, other: str, salt: bytes
) -> None:
    lines = ["# comment", password_line(Credential("pi", password), salt)]
    assert password_matches(lines, "pi", password)
    assert password_matches(lines, "pi", other) == (other == password)
    assert not password_matches(lines, "pi2", password)
    assert not password_matches(lines, "", password)


@pytest.mark.parametrize(
    "line", ["pi", "pi:", "pi:plain", "pi:$7$x$AA==$AA==", "pi:$7$101$%$%", "pi:$6$101$AA==$AA=="]
)
def test_a_broken_line_of_a_password_file_lets_nobody_in(line: str) -> None:
    assert not password_matches([line], "pi", "plain")


def test_the_hash_is_the_one_that_mosquitto_writes(tmp_path: Path) -> None:
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("mosquitto_passwd is not installed: apt-get install mosquitto")
    file = tmp_path / "passwd"
    subprocess.run([program, "-c", "-b", str(file), "pi", "s3cret"], check=True)
    assert password_matches(file.read_text().splitlines(), "pi", "s3cret")
