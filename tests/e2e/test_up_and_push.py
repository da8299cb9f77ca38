"""`green-edge up` as a process, and the fleet commands that find it."""

import json
import os
import signal
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from green_edge.bundle.keys import load_signer, signing_key
from green_edge.telemetry.opening import open_store
from green_edge_wire import codec
from green_edge_wire.command import Desired
from green_edge_wire.device import Reported, SlotInfo
from support.brokers import skip_unless_installed, wait_until
from support.bundles import tiny_bundle
from support.commands import Home, Up, running_up
from support.scripted_device import BOOT, ScriptedDevice, installs

pytestmark = pytest.mark.broker


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def bundle_of(up: Up, version: int = 1) -> Path:
    path = up.home.folder / f"tiny-{version}.gedge"
    path.write_bytes(tiny_bundle(version, signer=load_signer(None, up.home.keys)))
    return path


def known(up: Up, device_id: str = "pi") -> dict[str, Any] | None:
    listing = json.loads(up.home.run("devices", "--json").stdout)
    return next((d for d in listing["devices"] if d["device_id"] == device_id), None)


def wait_online(up: Up, device_id: str = "pi") -> None:
    store = open_store(str(up.home.state / "green-edge.db"))
    try:
        wait_until(lambda: any(d.device_id == device_id and d.online for d in store.devices()))
    finally:
        store.close()


@pytest.mark.parametrize("embedded", ["mosquitto", "amqtt"])
def test_push_reaches_a_device_through_the_embedded_broker(embedded: str, tmp_path: Path) -> None:
    if embedded == "mosquitto":
        skip_unless_installed("mosquitto")
    with (
        running_up(tmp_path, "--embedded", embedded, "--device", "pi") as up,
        ScriptedDevice(up.agent_toml("pi"), installs("pi")) as device,
    ):
        wait_online(up)
        bundle = bundle_of(up)
        done = up.home.run("push", str(bundle), "--device", "pi", "--timeout", "30", "--json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert [(d["device_id"], d["state"]) for d in report["devices"]] == [("pi", "done")]
        (order,) = device.orders
        desired = codec.loads(Desired, order.body, strict=True)
        assert desired.artifact_sha256 == report["bundle_sha256"]
        with urllib.request.urlopen(desired.urls[0], timeout=15) as reply:
            assert reply.read() == bundle.read_bytes()
        listed = known(up)
        assert listed is not None
        assert listed["reported_sha256"] == report["bundle_sha256"]
        assert listed["online"] is True


def test_an_older_bundle_is_refused_and_rollback_is_not(tmp_path: Path) -> None:
    with running_up(tmp_path, "--device", "pi") as up:
        old, new = bundle_of(up, 1), bundle_of(up, 2)
        before = SlotInfo("b", "previous", "", "tiny", 1)

        def answer(desired: Desired) -> Reported:
            return installs("pi", previous=before)(desired)

        with ScriptedDevice(up.agent_toml("pi"), answer) as device:
            wait_online(up)
            first = up.home.run("push", str(old), "--device", "pi", "--timeout", "30", "--json")
            before = SlotInfo("b", "previous", json.loads(first.stdout)["bundle_sha256"], "tiny", 1)
            assert up.home.run("push", str(new), "--device", "pi").returncode == 0

            refused = up.home.run("push", str(old), "--device", "pi")
            assert refused.returncode == 5
            assert "version 1 is older than the active 2" in refused.stdout
            assert len(device.orders) == 2

            back = up.home.run("rollback", "pi", "--json")
            assert back.returncode == 0, back.stderr
            desired = codec.loads(Desired, device.orders[-1].body, strict=True)
            assert (desired.model_version, desired.allow_downgrade) == (1, True)
            assert desired.length_bytes == old.stat().st_size
            counters = [order.counter for order in device.orders]
            assert counters == sorted(set(counters))


def test_a_device_that_refuses_gives_its_reason_and_exit_code_5(tmp_path: Path) -> None:
    def answer(desired: Desired) -> Reported:
        return Reported(
            "pi", BOOT, 1, "refused", rollout_id=desired.rollout_id, reason="unknown key"
        )

    with running_up(tmp_path, "--device", "pi") as up:
        with ScriptedDevice(up.agent_toml("pi"), answer):
            wait_online(up)
            refused = up.home.run("push", str(bundle_of(up)), "--device", "pi")
        assert refused.returncode == 5
        assert "unknown key" in refused.stdout


def test_a_silent_device_is_given_up_at_the_timeout(tmp_path: Path) -> None:
    with running_up(tmp_path, "--device", "pi") as up:
        with ScriptedDevice(up.agent_toml("pi"), lambda _desired: None):
            wait_online(up)
            silent = up.home.run("push", str(bundle_of(up)), "--device", "pi", "--timeout", "1")
        assert silent.returncode == 6
        assert "did not report before the deadline" in silent.stdout


def test_bad_bundles_and_unknown_devices_are_refused_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    with running_up(tmp_path, "--device", "pi") as up:
        whole = bundle_of(up)
        cut = tmp_path / "cut.gedge"
        cut.write_bytes(whole.read_bytes()[:-10])
        foreign = tmp_path / "foreign.gedge"
        foreign.write_bytes(tiny_bundle(signer=signing_key("x", bytes([9]) * 32)))
        for bundle, code, words in (
            (cut, 5, "archive: "),
            (foreign, 5, "unknown key"),
            (whole, 2, "no device 'pi' has reported yet"),
        ):
            refused = up.home.run("push", str(bundle), "--device", "pi")
            assert (refused.returncode, refused.stdout) == (code, "")
            assert words in refused.stderr
            assert refused.stderr.count("\n") == 1
        assert list((up.home.state / "artefacts").iterdir()) == []


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    with (
        running_up(tmp_path, "--device", "pi") as up,
        ScriptedDevice(up.agent_toml("pi"), installs("pi")) as device,
    ):
        wait_online(up)
        dry = up.home.run("push", str(bundle_of(up)), "--device", "pi", "--dry-run", "--json")
        assert dry.returncode == 0
        (outcome,) = json.loads(dry.stdout)["devices"]
        assert outcome["state"] == "skipped"
        assert "would get tiny 1" in outcome["reason"]
        assert list((up.home.state / "artefacts").iterdir()) == []
        assert device.orders == []


def test_an_order_survives_a_killed_broker(tmp_path: Path) -> None:
    """The embedded broker keeps nothing; the collector's process tells it again."""
    with running_up(tmp_path, "--device", "pi") as up:
        with ScriptedDevice(up.agent_toml("pi"), lambda _desired: None):
            wait_online(up)
        bundle = bundle_of(up)
        push = up.home.start("push", str(bundle), "--device", "pi", "--timeout", "60", "--json")
        with push:
            wait_until(lambda: "announced" in (tmp_path / "talk").read_text())
            (broker,) = up.children()
            os.kill(broker, signal.SIGKILL)
            wait_until(lambda: "starting it again" in up.said())
            with ScriptedDevice(up.agent_toml("pi"), installs("pi")):
                out, _ = push.communicate(timeout=60)
        assert push.returncode == 0, out
        assert json.loads(out)["devices"][0]["state"] == "done"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_up_cleanly_and_leaves_nothing(
    number: signal.Signals, tmp_path: Path
) -> None:
    with running_up(tmp_path) as up:
        (broker,) = up.children()
        assert os.getpgid(broker) == os.getpgid(up.process.pid)
        stream = urllib.request.urlopen(f"{up.document['dashboard']}/stream", timeout=15)
        with stream:
            assert stream.readline()
            began_s = time.monotonic()
            assert up.end(number) == 0
        assert time.monotonic() - began_s < 15
        assert up.said().endswith("stopping\nstopped\n")
        assert not alive(broker)
        assert not (up.home.state / "up.json").exists()


def test_ctrl_c_reaches_the_whole_group_and_still_ends_cleanly(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        (broker,) = up.children()
        os.killpg(os.getpgid(up.process.pid), signal.SIGINT)
        assert up.process.wait(timeout=30) == 0
        assert not alive(broker)
        assert "starting it again" not in up.said()


def test_a_killed_up_leaves_no_broker_and_can_be_started_again(tmp_path: Path) -> None:
    with running_up(tmp_path, "--device", "pi") as up:
        (broker,) = up.children()
        settings = up.agent_toml("pi")
        up.process.kill()
        up.process.wait(timeout=30)
        wait_until(lambda: not alive(broker))
        assert json.loads(up.home.run("devices", "--json").stdout) == {"devices": []}
    with running_up(tmp_path, "--device", "pi") as again:
        # --broker-port 0 takes another port; user, password and keys stay.
        assert again.agent_toml("pi").split("username")[1] == settings.split("username")[1]


def test_a_second_up_is_refused(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        second = up.home.run("up", "--port", "0")
        assert second.returncode == 2
        assert "another 'green-edge up' already runs" in second.stderr


def test_taken_ports_are_refused_with_the_option_that_helps(tmp_path: Path) -> None:
    with running_up(tmp_path / "first") as up:
        web = up.document["dashboard"].rsplit(":", 1)[1]
        broker = up.document["broker"].rsplit(":", 1)[1]
        other = Home(tmp_path / "second")
        taken = other.run("up", "--port", web)
        assert (taken.returncode, "--port" in taken.stderr) == (7, True)
        taken = other.run("up", "--port", "0", "--broker-port", broker)
        assert (taken.returncode, "--broker-port" in taken.stderr) == (7, True)
        assert not (other.state / "up.json").exists()


def test_an_unreachable_broker_or_a_wrong_password_is_an_error(tmp_path: Path) -> None:
    with running_up(tmp_path / "first", "--device", "pi") as up:
        other = Home(tmp_path / "second")
        address = up.document["broker"].rsplit("@", 1)[1]
        wrong = other.run("up", "--port", "0", "--broker", f"mqtt://pi:wrong@{address}")
        assert wrong.returncode == 7
        assert "refused the user name or password" in wrong.stderr
        assert "wrong@" not in wrong.stderr
    gone = Home(tmp_path / "second").run("up", "--port", "0", "--broker", f"mqtt://pi:x@{address}")
    assert gone.returncode == 7
    assert "cannot be reached" in gone.stderr


def test_beyond_loopback_the_pages_ask_for_the_token(tmp_path: Path) -> None:
    with running_up(tmp_path, "--host", "0.0.0.0", "--device", "pi") as up:  # noqa: S104
        port = up.document["dashboard"].rsplit(":", 1)[1]
        assert "0.0.0.0" not in up.agent_toml("pi")  # noqa: S104
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=15)
        with refusal.value as error:
            assert error.code == 401
        token = (up.home.state / "token").read_text().strip()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/", headers={"authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=15) as page:
            assert page.status == 200
        # Standard error is a file here, as a journal is: it names the place, not the secret.
        assert token not in up.said()
        assert str(up.home.state / "up.json") in up.said()


def test_doctor_tells_what_is_there_and_where_it_comes_from(tmp_path: Path) -> None:
    home = Home(tmp_path)
    alone = home.run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(alone.stdout)["checks"]}
    assert alone.returncode == 0, alone.stdout
    assert checks["broker"]["ok"] == "warn"
    with running_up(tmp_path) as up:
        checks = {
            check["name"]: check
            for check in json.loads(up.home.run("doctor", "--json").stdout)["checks"]
        }
        assert {checks[name]["ok"] for name in ("broker", "store", "artefact server")} == {"ok"}
        assert "the running 'green-edge up'" in checks["broker"]["found"]
        broken = up.home.run("doctor", "--broker", "mqtt://127.0.0.1:9")
        assert broken.returncode == 7
        assert "cannot be reached" in broken.stdout


def test_the_dashboard_alone_serves_the_store(tmp_path: Path) -> None:
    home = Home(tmp_path)
    absent = home.run("dashboard", "--port", "0")
    assert (absent.returncode, "no store at" in absent.stderr) == (2, True)
    home.state.mkdir()
    open_store(str(home.state / "green-edge.db")).close()
    alone = home.start("dashboard", "--port", "0")
    with alone:
        try:
            wait_until(lambda: "dashboard  http" in (tmp_path / "talk").read_text())
            url = (tmp_path / "talk").read_text().split()[1]
            with urllib.request.urlopen(f"{url}/api/fleet", timeout=15) as reply:
                assert reply.status == 200
        finally:
            alone.terminate()
        assert alone.wait(timeout=30) == 0


def test_init_writes_a_project_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.run("init", "project").returncode == 0
    assert (tmp_path / "project" / "green-edge.toml").is_file()
    again = home.run("init", "project")
    assert (again.returncode, "is there already" in again.stderr) == (2, True)


def test_devices_prints_a_table_for_people(tmp_path: Path) -> None:
    with running_up(tmp_path, "--device", "pi") as up:
        assert "no device has reported yet" in up.home.run("devices").stderr
        with ScriptedDevice(up.agent_toml("pi"), installs("pi")):
            wait_online(up)
            table = up.home.run("devices").stdout.splitlines()
        assert table[0].split() == [
            *("device", "seen", "model", "on", "update", "board", "runtime")
        ]
        assert table[2].split()[:3] == ["pi", "online", "none"]
