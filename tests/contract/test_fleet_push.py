"""`push` writes orders to the store, the collector's process carries them out: both ends here."""

import base64
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from green_edge.bundle.keys import trusting
from green_edge.fleet import push
from green_edge.fleet.driver import RolloutDriver
from green_edge.fleet.inventory import pick
from green_edge.fleet.push import Artefact
from green_edge.telemetry.opening import open_store
from green_edge.telemetry.store import DeviceRow, Rollout, RolloutDevice, Store
from green_edge_agent.transport.contract import Message
from green_edge_wire import codec
from green_edge_wire.archive import open_bundle
from green_edge_wire.command import Desired, Envelope, signed_bytes
from green_edge_wire.device import Reported, SlotInfo, Status
from green_edge_wire.errors import ConfigError, DeviceError
from green_edge_wire.topics import Down
from support.bundles import test_signer, tiny_bundle
from support.clock import ManualClock
from support.memory_store import MemoryStore
from support.transport import MemoryBroker, MemoryTransport

SIGNER = test_signer()
ARTEFACT = Artefact("a" * 64, 100, ("http://h/artefacts/a",), "tiny", 2)
TOPIC = "ge/v1/home/pi/desired"
BOOT = "0123456789abcdef"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened: Store
    opened = MemoryStore() if request.param == "memory" else open_store(str(tmp_path / "x.db"))
    with closing(opened):
        for device_id in ("pi", "pi2"):
            opened.put_status("home", Status(device_id, BOOT, online=True, at_unix_ms=1), 1)
        yield opened


class Bench:
    """A store, a broker in memory and a driver between them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = ManualClock()
        self.broker = MemoryBroker()
        transport = MemoryTransport(self.broker)
        self.driver = RolloutDriver(store, transport, self.clock)
        transport.start(will=None, on_connect=self.driver.reconnected)

    def begin(self, *device_ids: str, artefact: Artefact = ARTEFACT) -> Rollout:
        planned = push.plan(pick(self.store.devices(), device_ids), artefact)
        return push.begin(self.store, planned, artefact, SIGNER, timeout_s=60, clock=self.clock)

    def report(self, device_id: str, rollout_id: str, state: str = "active", why: str = "") -> None:
        reported = codec.decode(
            Reported,
            {
                "device_id": device_id,
                "boot_id": BOOT,
                "at_unix_ms": 1,
                "state": state,
                "active_sha256": ARTEFACT.sha256,
                "rollout_id": rollout_id,
                "reason": why,
            },
            strict=True,
        )
        self.driver.reported("home", reported)

    def follow(
        self, rollout: Rollout, meanwhile: Callable[[], None] = lambda: None
    ) -> tuple[push.PushReport, list[str]]:
        seen: list[str] = []

        def wait(pause_s: float) -> None:
            self.clock.advance_s(pause_s)
            meanwhile()

        def changed(device: RolloutDevice) -> None:
            seen.append(f"{device.device_id} {device.state}")

        report = push.follow(self.store, rollout, clock=self.clock, wait=wait, changed=changed)
        return report, seen


def slot(version: int, *, state: str = "active", sha256: str = "b" * 64) -> SlotInfo:
    return codec.decode(
        SlotInfo,
        {"slot": "a", "state": state, "sha256": sha256, "model": "tiny", "model_version": version},
        strict=True,
    )


def row(*slots: SlotInfo) -> DeviceRow:
    return DeviceRow("pi", "home", online=True, last_seen_unix_ms=1, slots=slots)


def test_an_order_is_signed_retained_and_carries_all_that_the_device_needs(store: Store) -> None:
    bench = Bench(store)
    rollout = bench.begin("pi")
    bench.driver.tick()
    message = bench.broker.retained[TOPIC]
    envelope = codec.unpack_one(Envelope, message.payload)
    text = signed_bytes(
        Down.DESIRED,
        device_id="pi",
        key_id=SIGNER.key_id,
        counter=envelope.counter,
        body=envelope.body,
    )
    verdict = trusting([SIGNER.public])(envelope.key_id, text, base64.b64decode(envelope.signature))
    assert verdict is None
    assert codec.loads(Desired, envelope.body, strict=True) == Desired(
        rollout.rollout_id, ARTEFACT.sha256, 100, ARTEFACT.urls, "tiny", 2
    )


def test_a_push_ends_when_every_device_has_reported(store: Store) -> None:
    bench = Bench(store)
    rollout = bench.begin("pi", "pi2")
    reports = iter([("pi", "active", ""), ("pi2", "refused", "unknown key")])

    def meanwhile() -> None:
        bench.driver.tick()
        device_id, state, why = next(reports)
        bench.report(device_id, rollout.rollout_id, state, why)

    report, seen = bench.follow(rollout, meanwhile)
    assert [(d.device_id, d.state, d.reason) for d in report.devices] == [
        ("pi", "done", ""),
        ("pi2", "refused", "unknown key"),
    ]
    assert report.exit_code == 6
    assert seen[:2] == ["pi pending", "pi2 pending"]
    assert seen[-1] == "pi2 refused"
    assert report.devices[1].wall_s == pytest.approx(0.2)


def test_without_a_collector_a_push_gives_up_and_says_what_is_missing(store: Store) -> None:
    bench = Bench(store)
    rollout = bench.begin("pi")
    report, _ = bench.follow(rollout)
    assert report.devices[0].state == "silent"
    assert "green-edge up" in report.devices[0].reason
    assert store.open_rollouts() == ()


def test_a_silent_device_ends_a_push_at_its_deadline(store: Store) -> None:
    bench = Bench(store)
    report, _ = bench.follow(bench.begin("pi"), bench.driver.tick)
    assert (report.devices[0].state, report.exit_code) == ("silent", 6)
    assert report.devices[0].wall_s == pytest.approx(60, abs=0.5)


def test_open_orders_are_published_again_after_a_broker_that_forgot_them(store: Store) -> None:
    bench = Bench(store)
    bench.begin("pi")
    bench.driver.tick()
    bench.driver.tick()
    sent = bench.broker.payloads(TOPIC)
    assert len(set(sent)) == 1
    bench.broker.go_down()
    bench.broker.retained.clear()
    bench.driver.tick()
    bench.broker.come_up()
    bench.driver.tick()
    assert bench.broker.retained[TOPIC].payload == sent[0]


def test_an_order_waits_while_the_broker_is_away(store: Store) -> None:
    bench = Bench(store)
    bench.broker.go_down()
    rollout = bench.begin("pi")
    bench.driver.tick()
    assert store.rollout_devices(rollout.rollout_id)[0].state == "pending"
    bench.broker.come_up()
    bench.driver.tick()
    assert store.rollout_devices(rollout.rollout_id)[0].state == "announced"


def test_a_report_of_another_site_or_of_no_rollout_changes_nothing(store: Store) -> None:
    bench = Bench(store)
    rollout = bench.begin("pi")
    before = store.rollout_devices(rollout.rollout_id)
    reported = Reported("pi", BOOT, 1, "active", ARTEFACT.sha256, "", rollout.rollout_id)
    bench.driver.reported("elsewhere", reported)
    bench.driver.reported("home", replace(reported, rollout_id=""))
    bench.driver.reported("home", replace(reported, rollout_id="unknown"))
    assert store.rollout_devices(rollout.rollout_id) == before


def test_counters_rise_even_when_the_clock_goes_back(store: Store) -> None:
    bench = Bench(store)
    first = bench.begin("pi").devices[0]
    bench.clock.set_unix_ms(1_000)
    second = bench.begin("pi").devices[0]
    counters = [codec.loads(Envelope, d.envelope, strict=True).counter for d in (first, second)]
    assert counters[0] >= 1_700_000_000_000
    assert counters[1] > counters[0]


def test_a_newer_push_takes_the_place_of_one_that_still_waits(store: Store) -> None:
    bench = Bench(store)
    older = bench.begin("pi")
    bench.clock.advance_s(1)
    newer = bench.begin("pi")
    bench.driver.tick()
    assert store.rollout_devices(older.rollout_id)[0].state == "skipped"
    assert store.rollout_devices(newer.rollout_id)[0].state == "announced"


def test_an_older_version_is_refused_before_anything_is_sent() -> None:
    (planned,) = push.plan([row(slot(3))], ARTEFACT)
    assert planned.refusal == ("version 2 is older than the active 3; use: green-edge rollback pi")
    assert push.rehearse([planned], ARTEFACT).exit_code == 5


@pytest.mark.parametrize(
    "active",
    [
        slot(2),
        slot(1),
        slot(9, sha256=ARTEFACT.sha256),
        replace(slot(9), model="another"),
        slot(9, state="previous"),
    ],
)
def test_a_version_that_is_not_older_may_pass(active: SlotInfo) -> None:
    assert push.plan([row(active)], ARTEFACT)[0].refusal == ""


def test_rollback_may_go_to_an_older_version() -> None:
    device = row(slot(3), slot(1, state="previous", sha256="c" * 64))
    artefact = push.previous_artefact(device)
    assert (artefact.sha256, artefact.model_version) == ("c" * 64, 1)
    assert artefact.allow_downgrade
    assert push.plan([device], artefact)[0].refusal == ""


def test_rollback_without_a_previous_model_is_refused() -> None:
    with pytest.raises(DeviceError, match="'pi' has no previous model"):
        push.previous_artefact(row(slot(1)))


def test_a_device_refused_at_home_is_told_nothing_and_still_reported(store: Store) -> None:
    bench = Bench(store)
    reported = Reported("pi", BOOT, 1, "active", "b" * 64, slots=(slot(3),))
    store.put_reported("home", reported, 2)
    rollout = bench.begin("pi", "pi2")
    bench.driver.tick()
    assert TOPIC not in bench.broker.retained
    assert rollout.devices[0].state == "refused"


def test_a_dry_run_says_what_would_happen() -> None:
    planned = push.plan([row(), row(slot(1)), row(slot(2, sha256=ARTEFACT.sha256))], ARTEFACT)
    reasons = [device.reason for device in push.rehearse(planned, ARTEFACT).devices]
    assert reasons == [
        "dry run; would get tiny 2",
        "dry run; would get tiny 2 instead of tiny 1",
        "dry run; it runs this bundle already",
    ]


def test_an_unknown_device_is_named_with_the_nearest_known_one(store: Store) -> None:
    with pytest.raises(ConfigError, match="no device 'pj2' has reported yet; did you mean 'pi2'"):
        pick(store.devices(), ["pj2"])
    with pytest.raises(ConfigError, match="known: pi, pi2"):
        pick(store.devices(), ["workshop"])
    with pytest.raises(ConfigError, match="green-edge up --device"):
        pick([], ["pi"])


def test_a_device_named_twice_is_told_once(store: Store) -> None:
    assert [row.device_id for row in pick(store.devices(), ["pi2", "pi", "pi2"])] == ["pi2", "pi"]


def test_a_bundle_names_its_model() -> None:
    data = tiny_bundle(3, signer=SIGNER)
    artefact = push.artefact_of(data, open_bundle(data, trusting([SIGNER.public])))
    assert (artefact.model, artefact.model_version) == ("tiny", 3)
    assert artefact.length_bytes == len(data)


def test_a_message_of_the_driver_is_one_that_a_broker_keeps(store: Store) -> None:
    bench = Bench(store)
    bench.begin("pi")
    bench.driver.tick()
    assert [(m.topic, m.qos, m.retain) for m in bench.broker.log] == [(TOPIC, 1, True)]
    assert isinstance(bench.broker.log[0], Message)
