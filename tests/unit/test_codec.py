import dataclasses
import zlib
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest

from green_edge_wire import codec
from green_edge_wire.device import Status
from green_edge_wire.errors import DecodeError
from green_edge_wire.manifest import Pipeline, Scale
from green_edge_wire.telemetry import Event, Sample


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Inner:
    kind: Literal["a", "b"]
    ratio: float = 0.5


@dataclass(frozen=True, slots=True)
class Outer:
    float_model: str = field(metadata={"key": "float"})
    items: tuple[Inner, ...] = ()
    pair: tuple[int, str] = (1, "x")
    table: dict[str, int] = field(default_factory=dict)
    colour: Colour = Colour.RED
    path: Path | None = None
    either: int | str | None = None


def decode(value: object, *, strict: bool = True) -> Outer:
    return codec.decode(Outer, value, strict=strict)


def test_every_kind_of_field_comes_back() -> None:
    record = Outer("m", (Inner("a", 1.5),), (2, "y"), {"n": 3}, Colour.BLUE, Path("/x"), "t")
    assert codec.loads(Outer, codec.dumps(record), strict=True) == record


def test_a_field_may_name_another_key_than_its_own() -> None:
    assert codec.encode(Outer("m"))["float"] == "m"  # type: ignore[call-overload,index]
    assert decode({"float": "m"}).float_model == "m"


def test_an_absent_optional_is_left_out() -> None:
    assert '"path"' not in codec.dumps(Outer("m"))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "float: missing"),
        ([], "<top>: expected a table, got a list"),
        ({"float": 3}, "float: expected text, got 3"),
        ({"float": "m", "items": [{"kind": "c"}]}, "items[0].kind: expected one of a, b, got 'c'"),
        ({"float": "m", "items": [{"kind": "a", "ratio": "1"}]}, "items[0].ratio: expected a num"),
        ({"float": "m", "items": [{"kind": "a", "ratio": True}]}, "items[0].ratio: expected a nu"),
        ({"float": "m", "items": {}}, "items: expected a list, got a table"),
        ({"float": "m", "pair": [1]}, "pair: expected a list of 2"),
        ({"float": "m", "table": {"n": 1.5}}, "table.n: expected a whole number, got 1.5"),
        ({"float": "m", "table": []}, "table: expected a table"),
        ({"float": "m", "table": {"a\nb": ""}}, "table.'a\\nb': expected a whole number, got ''"),
        ({"float": "m", "colour": "green"}, "colour: expected one of red, blue"),
        ({"float": "m", "path": 1}, "path: expected text"),
        ({"float": "m", "either": 1.5}, "either: expected a whole number or text"),
        ({"float": "m", "either": 1 << 63}, "either: expected a whole number or text"),
        ({"float": "m", "table": {"n": -(1 << 64)}}, "table.n: expected a 64-bit integer"),
        ({"float": "\ud800"}, "float: text with half a surrogate pair"),
        ({"float": None}, "float: expected text, got None"),
        ({"float": "x" * 99, "pair": "x" * 99}, "pair: expected a list, got 'xxxx"),
    ],
)
def test_a_wrong_document_is_refused_with_its_place(document: object, message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(document)
    assert caught.value.message.startswith(message)
    assert len(caught.value.message) < 120


def test_a_misspelt_key_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(DecodeError) as caught:
        decode({"float": "m", "itemz": []})
    assert str(caught.value) == "<top>: unknown key 'itemz'; did you mean 'items'?"
    with pytest.raises(DecodeError, match="known: float, items"):
        decode({"float": "m", "qqq": []})


def test_a_step_of_a_pipeline_is_known_by_its_op() -> None:
    text = '{"pre":[{"op":"scale","factor":2}]}'
    assert codec.loads(Pipeline, text, strict=True).pre == (Scale(2.0),)


def test_an_error_of_a_records_own_check_names_its_place() -> None:
    with pytest.raises(DecodeError, match=r"pre\[0\]: expected Resize or Scale or Normalise"):
        codec.loads(Pipeline, '{"pre":[{"op":"scale"}]}', strict=True)
    event = {"device_id": "d", "boot_id": "b", "seq": 0, "at_unix_ms": 0, "kind": "boot"}
    with pytest.raises(DecodeError, match="<top>: record: seq 0"):
        codec.decode(Event, {**event, "message": "m"}, strict=False)


def test_text_that_json_cannot_carry_is_replaced_when_sending() -> None:
    status = Status("d\udcff", "b", online=True, at_unix_ms=1)
    sent = codec.unpack_one(Status, codec.pack_one(status))
    assert sent == dataclasses.replace(status, device_id="d?")


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object(), 1j])
def test_a_value_that_has_no_place_in_json_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match="no JSON for"):
        codec.encode([value])


def test_nesting_almost_too_deep_for_the_parser_is_refused_like_any_other() -> None:
    for depth in range(900, 1100):
        with pytest.raises(DecodeError):
            codec.unpack(Status, b'{"device_id":' + b"[" * depth + b"]" * depth + b"}")
    with pytest.raises(DecodeError, match="not JSON"):
        codec.parse_json("[" * 200_000)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "{", "", "\u00e4", '"a', "1" * 5000])
def test_text_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(DecodeError, match="not JSON"):
        codec.parse_json(text)


def test_a_payload_is_compressed_above_one_kibibyte_only() -> None:
    small = Event("d", "b", 1, 0, "boot", "m")
    assert codec.pack([small])[:1] == b"["
    large = [dataclasses.replace(small, seq=seq) for seq in range(1, 40)]
    payload = codec.pack(large)
    assert payload[0] == 0x78
    assert codec.unpack(Event, payload) == tuple(large)
    assert codec.pack_one(dataclasses.replace(small, message="m" * 2000))[0] == 0x78


def test_what_comes_out_of_zlib_is_bounded() -> None:
    bomb = zlib.compress(b"[" + b" " * (codec.MAX_PAYLOAD_BYTES + 1) + b"]")
    assert len(bomb) < 2000
    with pytest.raises(DecodeError, match="too big"):
        codec.unpack(Sample, bomb)
    with pytest.raises(DecodeError, match="over 1048576"):
        codec.unpack(Sample, b"[" + b" " * codec.MAX_PAYLOAD_BYTES + b"]")


def test_a_zlib_payload_followed_by_something_is_refused() -> None:
    whole = zlib.compress(b"[]")
    assert codec.unpack(Sample, whole) == ()
    with pytest.raises(DecodeError, match="followed"):
        codec.unpack(Sample, whole + b"x")
    with pytest.raises(DecodeError, match="cut short"):
        codec.unpack(Sample, whole[:-2])
    with pytest.raises(DecodeError, match="not zlib"):
        codec.unpack(Sample, b"x nonsense")


def test_one_record_that_cannot_be_decoded_spoils_none_of_the_others() -> None:
    first, last = Event("d", "b", 1, 0, "boot", "m"), Event("d", "b", 3, 0, "boot", "m")
    strange = b' {"seq": 2, "kind":  ["new", 1e999]}\n'
    payload = codec.pack([first])[:-1] + b" ,\t" + strange + b"," + codec.pack([last])[1:]
    with pytest.raises(DecodeError):
        codec.unpack(Event, payload)
    found = codec.unpack_each(Event, zlib.compress(payload))
    unread = codec.Unread('{"seq": 2, "kind":  ["new", 1e999]}', "device_id: missing")
    assert found == (first, unread, last)
    assert codec.unpack_each(Event, codec.pack([first, last])) == (first, last)


def test_items_that_are_no_records_are_unread_each_with_its_text() -> None:
    found = codec.unpack_each(Event, b'[[1, "], ["], "a,b" , null,2.50]')
    assert [item.text for item in found if isinstance(item, codec.Unread)] == [
        '[1, "], ["]', '"a,b"', "null", "2.50",
    ]  # fmt: skip
    (single,) = codec.unpack_each(Event, b' {"seq":1} ')
    assert single == codec.Unread('{"seq":1}', "device_id: missing")
    assert codec.unpack_each(Event, b" [ ] ") == ()


def test_half_a_surrogate_pair_in_an_unread_record_becomes_its_escape() -> None:
    (found,) = codec.unpack_each(Event, b'[{"kind":"\xed\xa0\x80\\udc00\xc3\xa9"}]')
    assert isinstance(found, codec.Unread)
    assert found.text == '{"kind":"\\ud800\\udc00\u00e9"}'
    assert found.text.encode()


def test_a_payload_that_is_not_json_is_refused_whole() -> None:
    for payload in (b"", b"[{}", b"[1]]", b"[NaN]", b"\x78garbage", b"[" * 5000 + b"]" * 5000):
        with pytest.raises(DecodeError):
            codec.unpack_each(Event, payload)
    for depth in range(900, 1100):
        nested = b"[" * depth + b"]" * depth
        try:
            codec.unpack_each(Event, b"[" + nested + b"]")
        except DecodeError as error:
            assert "not JSON" in error.message  # noqa: PT017 - either outcome is right, by depth


def test_a_channel_of_single_objects_refuses_several() -> None:
    with pytest.raises(DecodeError, match="expected one record, got 2"):
        codec.unpack_one(
            Status, b"[" + codec.pack_one(_status()) + b"," + codec.pack_one(_status()) + b"]"
        )
    assert codec.unpack_one(Status, b"[" + codec.pack_one(_status()) + b"]") == _status()


def _status() -> Status:
    return Status("d", "b", online=True, at_unix_ms=1)


def test_a_field_of_any_kind_is_taken_as_it_is() -> None:
    value = {"a": [1, {"b": None}]}
    assert codec.decode(dict[str, Any], value, strict=True) == value
