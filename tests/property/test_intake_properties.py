"""Whatever arrives on whatever topic is records, a reason, or not for us; never an exception."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from green_edge.telemetry import intake
from green_edge.telemetry.intake import Delivery, Unreadable
from green_edge.telemetry.mailbox import Letter
from green_edge_wire import codec
from green_edge_wire.topics import Address, Up
from support.records import T0_UNIX_MS, Steady, event, sample

topics = st.one_of(
    st.text(max_size=40),
    st.sampled_from(list(Up)).map(lambda channel: Address("home", "pi-kitchen").topic(channel)),
)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
payloads = st.one_of(
    st.binary(max_size=60),
    st.binary(max_size=60).map(zlib.compress),
    documents.map(repr).map(str.encode),
    st.builds(
        lambda text, cut: text[:cut],
        st.just(codec.pack([Steady().window(1)])),
        st.integers(0, 600),
    ),
)


@given(topics, payloads)
def test_any_letter_is_read_or_refused(topic: str, payload: bytes) -> None:
    found = intake.read(Letter(topic, payload, T0_UNIX_MS))
    assert found is None or isinstance(found, Delivery | Unreadable)


@given(st.lists(st.sampled_from(["pi-kitchen", "pi-porch", "pi-attic"]), max_size=6))
def test_only_records_of_the_topic_s_own_device_come_through(names: list[str]) -> None:
    records = [sample(seq, device_id=name) for seq, name in enumerate(names, 1)]
    topic = Address("home", "pi-kitchen").topic(Up.TELEMETRY)
    found = intake.read(Letter(topic, codec.pack(records), T0_UNIX_MS))
    assert isinstance(found, Delivery)
    assert [record.seq for record in found.records] == [
        seq for seq, name in enumerate(names, 1) if name == "pi-kitchen"
    ]
    assert found.foreign == len(names) - names.count("pi-kitchen")


def test_events_and_samples_come_only_on_their_own_channel() -> None:
    topic = Address("home", "pi-kitchen").topic(Up.EVENT)
    assert isinstance(intake.read(Letter(topic, codec.pack([event(1)]), 0)), Delivery)
    assert isinstance(intake.read(Letter(topic, codec.pack([sample(1)]), 0)), Unreadable)
