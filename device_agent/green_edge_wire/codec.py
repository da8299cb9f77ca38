"""Dataclasses to JSON and back: the one door for files and messages.

Strict for what a human writes (an unknown key is a typo, and the nearest known one is named),
lenient on the wire (an unknown key is a newer peer). Null is never written: an optional field that
is None is absent. A field may name another key than its own by `field(metadata={"key": "float"})`.

A message payload begins with `[` or `{` (JSON) or 0x78 (zlib around JSON). What comes out of zlib
is bounded before it is parsed. Any byte string decodes or raises DecodeError.
"""

import dataclasses
import difflib
import functools
import json
import math
import types
import typing
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from green_edge_wire.errors import DecodeError
from green_edge_wire.units import KIB_BYTES, MIB_BYTES

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
T = TypeVar("T")

MAX_PAYLOAD_BYTES = MIB_BYTES
_COMPRESS_ABOVE_BYTES = KIB_BYTES
_ZLIB_FIRST_BYTE = 0x78
_INT_LIMIT = 1 << 63


# --- records to plain values -------------------------------------------------------------------


def encode(value: Any) -> Json:
    """Turn a record, or a container of records, into plain JSON values; None fields are left out.

    Raises:
        TypeError: a value has no place in JSON; a mistake of ours, not of a user.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((_key(f), getattr(value, f.name)) for f in dataclasses.fields(value))
        return {key: encode(item) for key, item in pairs if item is not None}
    if isinstance(value, Enum):
        return encode(value.value)
    if isinstance(value, str | Path):
        # A file name that is not UTF-8 reaches us with half surrogates, which JSON cannot carry.
        return str(value).encode(errors="replace").decode()
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [encode(item) for item in value]
    raise TypeError(f"no JSON for {type(value).__name__}")


def dumps(value: Any, *, indent: int | None = None) -> str:
    """JSON text of a record: field order, no NaN, compact unless `indent` is given."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(
        encode(value), ensure_ascii=False, allow_nan=False, indent=indent, separators=separators
    )


# --- plain values to records -------------------------------------------------------------------


def decode(cls: type[T], value: object, *, strict: bool, place: str = "") -> T:
    """Build `cls` from plain values.

    Args:
        cls: a dataclass, or any type that the fields of our dataclasses have.
        value: what `json.loads` or `tomllib.loads` gave.
        strict: refuse unknown keys.
        place: path of `value` in its document, for the message.

    Raises:
        DecodeError: naming the place, such as `energy.prefer[0]: expected text, got 3`.
    """
    return typing.cast("T", _decode(cls, value, strict, place))


def _decode(kind: Any, value: object, strict: bool, place: str) -> Any:  # noqa: PLR0911 - a table
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _decode_record(kind, value, strict, place)
    if origin in (Union, types.UnionType):
        return _decode_union(kind, value, strict, place)
    if origin is Literal:
        return _decode_choice(typing.get_args(kind), value, place)
    if origin is tuple:
        return _decode_tuple(typing.get_args(kind), value, strict, place)
    if origin is dict:
        return _decode_table(typing.get_args(kind)[1], value, strict, place)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(_decode_choice(tuple(member.value for member in kind), value, place))
    if kind is Path:
        return Path(_decode_scalar(str, value, place))
    if kind is Any:
        return value
    return _decode_scalar(kind, value, place)


def _decode_record(cls: Any, value: object, strict: bool, place: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(place, "a table", value)
    layout = _layout(cls)
    if strict:
        for key in value:
            if key not in layout:
                raise _unknown_key(place, str(key), layout)
    arguments: dict[str, Any] = {}
    for key, (name, kind, required) in layout.items():
        if key in value:
            arguments[name] = _decode(kind, value[key], strict, _join(place, key))
        elif required:
            raise DecodeError(f"{_join(place, key)}: missing")
    try:
        return cls(**arguments)
    except DecodeError as error:
        raise DecodeError(f"{place or '<top>'}: {error}") from None


def _decode_union(kind: Any, value: object, strict: bool, place: str) -> Any:
    options = [option for option in typing.get_args(kind) if option is not types.NoneType]
    if len(options) == 1:
        return _decode(options[0], value, strict, place)
    for option in options:
        try:
            return _decode(option, value, strict, place)
        except DecodeError:
            continue
    raise _wrong(place, " or ".join(_name(option) for option in options), value)


def _decode_choice(choices: tuple[Any, ...], value: object, place: str) -> Any:
    for choice in choices:
        if type(value) is type(choice) and value == choice:
            return choice
    known = ", ".join(str(choice) for choice in choices)
    raise _wrong(place, f"one of {known}", value)


def _decode_tuple(kinds: tuple[Any, ...], value: object, strict: bool, place: str) -> Any:
    if not isinstance(value, list | tuple):
        raise _wrong(place, "a list", value)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise _wrong(place, f"a list of {len(kinds)}", value)
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_decode(kind, item, strict, f"{place}[{i}]") for i, (kind, item) in pairs)


def _decode_table(kind: Any, value: object, strict: bool, place: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(place, "a table", value)
    return {
        _decode_scalar(str, key, place): _decode(kind, item, strict, _join(place, _plain(key)))
        for key, item in value.items()
    }


def _plain(key: str) -> str:
    """A key for a message of one line, whatever a stranger put into it."""
    return key if key.isidentifier() else repr(key[:40])


def _decode_scalar(kind: Any, value: object, place: str) -> Any:
    if kind is float and type(value) is int and abs(value) < _INT_LIMIT:
        return float(value)
    if type(value) is not kind:
        raise _wrong(place, _name(kind), value)
    if isinstance(value, float) and not math.isfinite(value):
        raise _wrong(place, "a finite number", value)
    # SQLite and C readers hold 64 bits; no count of ours comes near.
    if type(value) is int and not -_INT_LIMIT <= value < _INT_LIMIT:
        raise _wrong(place, "a 64-bit integer", value)
    if isinstance(value, str) and not value.isascii() and _half_surrogate(value):
        raise DecodeError(f"{place or '<top>'}: text with half a surrogate pair")
    return value


def _half_surrogate(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


@functools.cache
def _layout(cls: Any) -> dict[str, tuple[str, Any, bool]]:
    """Key -> (field name, type, required); cached: resolving hints costs most of a decode."""
    hints = typing.get_type_hints(cls)
    return {
        _key(f): (
            f.name,
            hints[f.name],
            f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING,
        )
        for f in dataclasses.fields(cls)
        if f.init
    }


def _key(field: dataclasses.Field[Any]) -> str:
    return str(field.metadata.get("key", field.name))


def _join(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _name(kind: Any) -> str:
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    return names.get(kind, getattr(kind, "__name__", str(kind)))


def _wrong(place: str, wanted: str, value: object) -> DecodeError:
    # Not repr() of a container: on one nested almost too deep to parse it would fail itself.
    match value:
        case dict():
            shown = "a table"
        case list():
            shown = "a list"
        case _:
            shown = repr(value)
            shown = shown if len(shown) <= 40 else shown[:37] + "..."
    return DecodeError(f"{place or '<top>'}: expected {wanted}, got {shown}")


def _unknown_key(place: str, key: str, layout: Mapping[str, object]) -> DecodeError:
    near = difflib.get_close_matches(key, layout, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(layout)}"
    return DecodeError(f"{place or '<top>'}: unknown key {key[:80]!r}", hint=hint)


# --- JSON text and message payloads ------------------------------------------------------------


def parse_json(text: str | bytes) -> object:
    """Parse JSON text without NaN or Infinity.

    Raises:
        DecodeError: not UTF-8, not JSON, nested too deep, or with numbers too long to read.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"not JSON: {error}") from None


def loads(cls: type[T], text: str | bytes, *, strict: bool) -> T:
    """Parse one JSON object into `cls`; see `decode`."""
    return decode(cls, parse_json(text), strict=strict)


def pack(records: Sequence[Any]) -> bytes:
    """Payload of 1..N records: a JSON array, in zlib where that is above 1 KiB."""
    text = dumps(list(records)).encode()
    return zlib.compress(text, 6) if len(text) > _COMPRESS_ABOVE_BYTES else text


def unpack(cls: type[T], payload: bytes) -> tuple[T, ...]:
    """Records of a payload, leniently; a single object counts as an array of one.

    Raises:
        DecodeError: nothing else comes out of it, whatever the bytes.
    """
    return tuple(decode(cls, item, strict=False) for item in _items(_inflate(payload)))


@dataclass(frozen=True, slots=True)
class Unread:
    """An item of a payload that is JSON but not the record that was expected.

    Attributes:
        text: the item as it came.
        reason: why it is not that record, with the place.
    """

    text: str
    reason: str


def unpack_each(cls: type[T], payload: bytes) -> tuple[T | Unread, ...]:
    """Records of a payload as `unpack`, but one that cannot be decoded spoils none of the others.

    Raises:
        DecodeError: the payload as a whole cannot be read: not JSON, or too big.
    """
    document = _inflate(payload)
    found = [_attempt(cls, item) for item in _items(document)]
    if not any(isinstance(item, DecodeError) for item in found):
        return typing.cast("tuple[T, ...]", tuple(found))
    return tuple(
        Unread(text, str(item)) if isinstance(item, DecodeError) else item
        for item, text in zip(found, _item_texts(document), strict=True)
    )


def _attempt(cls: type[T], item: object) -> T | DecodeError:
    try:
        return decode(cls, item, strict=False)
    except DecodeError as error:
        return error


def _items(document: bytes) -> list[object]:
    value = parse_json(document)
    return value if isinstance(value, list) else [value]


def _item_texts(document: bytes) -> list[str]:
    """Texts of the items of a document that `_items` has taken."""
    text = document.decode(json.detect_encoding(document), "surrogatepass").strip()
    # Half a surrogate pair, which a store cannot hold, becomes its escape in JSON.
    text = text.encode(errors="backslashreplace").decode()
    if not text.startswith("["):
        return [text]
    scan = json.JSONDecoder().raw_decode
    texts: list[str] = []
    end = 1
    try:
        while text[begin := _between(text, end)] != "]":
            _, end = scan(text, begin)
            texts.append(text[begin:end])
    except RecursionError:
        # What parses just so in `_items` may not from here, a few calls deeper.
        raise DecodeError("not JSON: nested too deep") from None
    return texts


def _between(text: str, at: int) -> int:
    """Where the next item begins, past blanks and the comma."""
    while text[at] in " \t\r\n,":
        at += 1
    return at


def pack_one(record: Any) -> bytes:
    """Payload of a channel that carries a single object (`status`, `info`, `desired` ...)."""
    text = dumps(record).encode()
    return zlib.compress(text, 6) if len(text) > _COMPRESS_ABOVE_BYTES else text


def unpack_one(cls: type[T], payload: bytes) -> T:
    """Record of a payload that carries a single object.

    Raises:
        DecodeError: as `unpack`, or when it is an array of any other length than one.
    """
    records = unpack(cls, payload)
    if len(records) != 1:
        raise DecodeError(f"expected one record, got {len(records)}")
    return records[0]


def _inflate(payload: bytes) -> bytes:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise DecodeError(f"payload of {len(payload)} bytes is over {MAX_PAYLOAD_BYTES}")
    if not payload or payload[0] != _ZLIB_FIRST_BYTE:
        return payload
    unzip = zlib.decompressobj()
    try:
        text = unzip.decompress(payload, MAX_PAYLOAD_BYTES)
    except zlib.error as error:
        raise DecodeError(f"not zlib: {error}") from None
    if unzip.unconsumed_tail or not unzip.eof or unzip.unused_data:
        raise DecodeError("zlib payload is cut short, too big, or followed by something")
    return text


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
