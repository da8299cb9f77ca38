import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from green_edge_wire import topics
from green_edge_wire.command import signed_bytes
from green_edge_wire.errors import ConfigError
from green_edge_wire.topics import Address, Down, Up

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)
channels = st.sampled_from([*Up, *Down])
lines = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=8)
orders = st.fixed_dictionaries(
    {
        "channel": st.sampled_from([Down.DESIRED, Down.CMD]),
        "device_id": lines,
        "key_id": lines,
        "counter": st.integers(1, 1 << 62),
        "body": st.text(st.characters(codec="utf-8"), max_size=20),
    }
)


@given(names, names, channels)
def test_a_topic_parses_to_what_made_it(site: str, device_id: str, channel: topics.Channel) -> None:
    address = Address(site, device_id)
    assert topics.parse(address.topic(channel)) == (address, channel)


@given(st.text(max_size=40) | lines.map(lambda text: f"ge/v1/home/{text}/status"))
@example("ge/v1/home/pi/nonsense")
@example("ge/v1//pi/status")
@example("ge/v2/home/pi/status")
@example("ge/v1/home/pi/status/x")
@example("ge/v1/+/pi/status")
@example("ge/v1/home/pi\n/status")
def test_any_topic_is_ours_and_written_the_same_again_or_none(topic: str) -> None:
    found = topics.parse(topic)
    if found is not None:
        assert found[0].topic(found[1]) == topic


def test_up_and_down_channels_have_no_name_in_common() -> None:
    assert not {channel.value for channel in Up} & {channel.value for channel in Down}


@given(st.text(max_size=70))
@example("a" * 63)
@example("a" * 64)
@example("")
@example("a\n")
@example("+")
@example("#")
@example("a/b")
@example(".a")
def test_a_name_is_accepted_exactly_when_it_makes_a_topic_of_its_own(name: str) -> None:
    topic = topics.filter_for(Up.STATUS, site="home", device_id=name)
    if topics.parse(topic) is None:
        with pytest.raises(ConfigError, match="device: "):
            topics.check_name(name, place="device")
    else:
        assert topics.check_name(name, place="device") == name


def test_a_filter_without_names_covers_all_devices() -> None:
    assert topics.filter_for(Up.EVENT) == "ge/v1/+/+/event"


@given(orders, orders)
def test_two_orders_that_differ_never_sign_the_same_bytes(
    a: dict[str, object], b: dict[str, object]
) -> None:
    same = signed_bytes(**a) == signed_bytes(**b)  # type: ignore[arg-type]
    assert same == (a == b)


def test_the_signed_bytes_of_an_order_are_these() -> None:
    got = signed_bytes(Down.DESIRED, device_id="pi", key_id="0123", counter=7, body='{"a":1}')
    assert got == b'green-edge/envelope/v1\ndesired\npi\n0123\n7\n{"a":1}'
