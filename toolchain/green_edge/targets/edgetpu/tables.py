"""Reads FlatBuffers tables of which only the order of fields is known, with every bound checked."""

import struct
from dataclasses import dataclass

_OFFSET_BYTES = 4


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a flatbuffer.

    Every read raises ValueError where the bytes lead outside of the buffer.

    Attributes:
        data: the whole buffer; viewed, not copied.
        at: where the table begins.
    """

    data: memoryview
    at: int

    def number(self, field: int, code: str = "i") -> int:
        """Whole number of a field; 0 where it is left out.

        Args:
            field: its place in the schema, from 0.
            code: its type as `struct` names it.
        """
        place = self._field(field)
        return 0 if place is None else int(_unpack(self.data, place, code))

    def content(self, field: int) -> memoryview:
        """Bytes of a field that is a string or a vector of bytes; empty where it is left out."""
        place = self._field(field)
        return memoryview(b"") if place is None else _content(self.data, _follow(self.data, place))

    def text(self, field: int) -> str:
        """Text of a field."""
        return bytes(self.content(field)).decode("utf-8", "replace")

    def contents(self, field: int) -> list[memoryview]:
        """Bytes of each entry of a field that is a vector of strings."""
        return [_content(self.data, at) for at in self._entries(field)]

    def tables(self, field: int) -> list["Table"]:
        """Entries of a field that is a vector of tables."""
        return [Table(self.data, at) for at in self._entries(field)]

    def _entries(self, field: int) -> list[int]:
        place = self._field(field)
        if place is None:
            return []
        at = _follow(self.data, place)
        count = _unpack(self.data, at, "I")
        if count * _OFFSET_BYTES > len(self.data):
            raise ValueError("a vector longer than its buffer")
        first = at + _OFFSET_BYTES
        return [_follow(self.data, first + i * _OFFSET_BYTES) for i in range(count)]

    def _field(self, field: int) -> int | None:
        layout = self.at - _unpack(self.data, self.at, "i")
        # The layout begins with its own length and the table's, 2 bytes each.
        entry = 4 + 2 * field
        if entry + 2 > _unpack(self.data, layout, "H"):
            return None
        offset = _unpack(self.data, layout + entry, "H")
        return self.at + offset if offset else None


def root(data: memoryview | bytes) -> Table:
    """Root table of a buffer."""
    view = memoryview(data)
    return Table(view, _follow(view, 0))


def _follow(data: memoryview, place: int) -> int:
    return place + int(_unpack(data, place, "I"))


def _content(data: memoryview, at: int) -> memoryview:
    length = int(_unpack(data, at, "I"))
    begin = at + _OFFSET_BYTES
    if begin + length > len(data):
        raise ValueError("bytes longer than their buffer")
    return data[begin : begin + length]


def _unpack(data: memoryview, place: int, code: str) -> int:
    form = f"<{code}"
    if not 0 <= place <= len(data) - struct.calcsize(form):
        raise ValueError("an offset outside of its buffer")
    return int(struct.unpack_from(form, data, place)[0])
