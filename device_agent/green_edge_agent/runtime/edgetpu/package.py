"""What a model from the Edge TPU compiler asks of libedgetpu, read without it."""

import struct

# libedgetpu executable/executable.fbs: `file_identifier "DWN1"`, at byte 4 of a package; the
# package's first field is `min_runtime_version: int`.
_IDENTIFIER = b"DWN1"
_HEAD = struct.Struct("<I4s")
_U16, _I32 = struct.Struct("<H"), struct.Struct("<i")
_FIRST_FIELD_OFFSET = 4
# No runtime has another number: 10 was the first public one, 14 is that of libedgetpu 16.0.
_POSSIBLE = range(1, 100)


def needed_runtime(model: bytes) -> int | None:
    """Lowest runtime version that all packages in a compiled model load with.

    Args:
        model: content of a `.tflite` file.

    Returns:
        None when no package is in it that says so.
    """
    found = []
    position = model.find(_IDENTIFIER)
    while position >= 0:
        version = _first_field(model, position - _FIRST_FIELD_OFFSET)
        if version in _POSSIBLE:
            found.append(version)
        position = model.find(_IDENTIFIER, position + 1)
    return max(found, default=None)


def _first_field(data: bytes, start: int) -> int:
    """First field, a 32-bit integer, of the FlatBuffer at `start`; 0 when it has none."""
    try:
        (root, _) = _HEAD.unpack_from(data, max(start, 0))
        table = start + root
        vtable = table - _I32.unpack_from(data, table)[0]
        size = _U16.unpack_from(data, vtable)[0]
        offset = _U16.unpack_from(data, vtable + 4)[0] if size >= 6 else 0
        return int(_I32.unpack_from(data, table + offset)[0]) if offset else 0
    except (struct.error, IndexError):
        return 0
