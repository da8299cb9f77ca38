import json
import zlib
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from green_edge_wire import codec, command, device, manifest, telemetry
from green_edge_wire.errors import DecodeError
from support import wire_strategies as wire

RECORDS = st.one_of(
    wire.samples,
    wire.events,
    wire.infos,
    wire.reports,
    wire.manifests,
    wire.pipelines,
    wire.desireds,
    wire.envelopes,
    wire.answers,
    st.builds(device.Status, at_unix_ms=wire.COUNTS, schema=wire.COUNTS),
    st.builds(telemetry.Ack, seq=wire.COUNTS),
)
KINDS: list[type[Any]] = [
    telemetry.Sample,
    telemetry.Event,
    telemetry.Ack,
    device.Status,
    device.DeviceInfo,
    device.Reported,
    device.InferRequest,
    device.InferResult,
    command.Envelope,
    command.Desired,
    command.Command,
    manifest.Manifest,
    manifest.Pipeline,
    manifest.Signature,
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(RECORDS)
def test_a_record_comes_back_from_its_json_strictly(record: Any) -> None:
    assert codec.loads(type(record), codec.dumps(record), strict=True) == record


@given(RECORDS, st.sampled_from([None, 2]))
def test_json_text_of_a_record_never_holds_null_or_nan(record: Any, indent: int | None) -> None:
    def check(pairs: list[tuple[str, object]]) -> dict[str, object]:
        assert all(value is not None for _, value in pairs)
        return dict(pairs)

    def refuse(constant: str) -> None:
        pytest.fail(constant)

    text = codec.dumps(record, indent=indent)
    assert json.loads(text, object_pairs_hook=check, parse_constant=refuse) == codec.encode(record)


@given(st.lists(st.one_of(wire.samples), min_size=1, max_size=6))
def test_a_payload_of_records_unpacks_to_them(records: list[telemetry.Sample]) -> None:
    payload = codec.pack(records)
    assert codec.unpack(telemetry.Sample, payload) == tuple(records)
    assert payload[:1] in (b"[", b"\x78")


finite = json_values.filter(lambda value: "Infinity" not in json.dumps(value))
blanks = st.text(" \t\r\n", max_size=3)


@given(st.lists(st.one_of(wire.events, finite), max_size=6), blanks)
def test_every_item_of_an_array_is_its_record_or_its_own_text(items: list[Any], gap: str) -> None:
    texts = [
        codec.dumps(item) if isinstance(item, telemetry.Event) else json.dumps(item)
        for item in items
    ]
    payload = f"{gap}[{gap}{f'{gap},{gap}'.join(texts)}{gap}]{gap}".encode()
    found = codec.unpack_each(telemetry.Event, payload)
    assert len(found) == len(items)
    for item, text, got in zip(items, texts, found, strict=True):
        is_record = isinstance(item, telemetry.Event)
        assert got == item if is_record else isinstance(got, codec.Unread) and got.text == text


@given(wire.infos)
def test_a_single_record_unpacks_to_itself(record: device.DeviceInfo) -> None:
    payload = codec.pack_one(record)
    assert codec.unpack_one(device.DeviceInfo, payload) == record
    assert payload[:1] in (b"{", b"\x78")


@given(wire.samples, st.dictionaries(st.text(max_size=6), st.integers(), max_size=3))
def test_a_newer_peers_keys_are_ignored_on_the_wire_and_refused_in_files(
    record: telemetry.Sample, extra: dict[str, int]
) -> None:
    plain = codec.encode(record)
    assert isinstance(plain, dict)
    newer = {**{f"new-{key}": value for key, value in extra.items()}, **plain}
    assert codec.decode(telemetry.Sample, newer, strict=False) == record
    if extra:
        with pytest.raises(DecodeError, match="unknown key"):
            codec.decode(telemetry.Sample, newer, strict=True)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(payload=st.binary(max_size=200))
@example(payload=b"")
@example(payload=b"\x78\x9c")
@example(payload=b"\xff\xfe[\x00]\x00")
@example(payload=b"1" * 5000)
@example(payload=b'{"seq":1e999}')
@example(payload=b"null")
def test_any_bytes_decode_or_raise_decode_error(kind: type[Any], payload: bytes) -> None:
    decodes_or_refuses(kind, payload)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(value=json_values)
def test_any_json_decodes_or_raises_decode_error(kind: type[Any], value: object) -> None:
    decodes_or_refuses(kind, json.dumps(value).encode())


@settings(max_examples=300)
@given(RECORDS, st.data())
def test_a_record_with_one_value_replaced_decodes_or_raises_decode_error(
    record: Any, data: st.DataObject
) -> None:
    plain = codec.encode(record)
    assert isinstance(plain, dict)
    key = data.draw(st.sampled_from(sorted(plain)))
    document = {**plain, key: data.draw(json_values)}
    decodes_or_refuses(type(record), json.dumps(document).encode())
    decodes_or_refuses(type(record), zlib.compress(json.dumps(document).encode()))


@given(st.binary(max_size=60))
def test_any_zlib_stream_decodes_or_raises_decode_error(text: bytes) -> None:
    decodes_or_refuses(device.Status, zlib.compress(text))
    decodes_or_refuses(device.Status, zlib.compress(text)[:-1])


def decodes_or_refuses(kind: type[Any], payload: bytes) -> None:
    try:
        records = codec.unpack(kind, payload)
    except DecodeError as error:
        message = str(error)
    else:
        message = "decoded"
        assert all(isinstance(record, kind) for record in records)
    assert len(message.splitlines()) == 1
