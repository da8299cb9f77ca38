"""Whatever arrives on whatever topic is records, a reason, or not for us; never an exception."""

import zlib
from json import dumps

from hypothesis import given
from hypothesis import strategies as st

from green_edge.telemetry import intake
from green_edge.telemetry.intake import Delivery, Unreadable
from green_edge.telemetry.mailbox import Letter
from green_edge_wire import codec
from green_edge_wire.telemetry import Sample
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


@given(st.lists(st.one_of(st.integers(1, 9), documents), max_size=6))
def test_what_cannot_be_decoded_is_kept_in_its_place_or_counted(items: list[object]) -> None:
    """Whole numbers stand for good records with that number, the rest for anything."""
    texts = [
        codec.dumps(Steady().window(item)) if type(item) is int and 1 <= item <= 9 else dumps(item)
        for item in items
    ]
    topic = Address("home", "pi-kitchen").topic(Up.TELEMETRY)
    found = intake.read(Letter(topic, f"[{','.join(texts)}]".encode(), T0_UNIX_MS))
    if isinstance(found, Delivery):
        assert len(found.records) + found.foreign + found.unplaced == len(items)
        assert sum(isinstance(record, Sample) for record in found.records) == sum(
            type(item) is int and 1 <= item <= 9 for item in items
        )


def test_events_and_samples_are_read_only_on_their_own_channel() -> None:
    topic = Address("home", "pi-kitchen").topic(Up.EVENT)
    assert isinstance(intake.read(Letter(topic, codec.pack([event(1)]), 0)), Delivery)
    found = intake.read(Letter(topic, codec.pack([sample(1)]), 0))
    assert isinstance(found, Delivery)
    assert (len(found.records), found.unread) == (1, 1)
