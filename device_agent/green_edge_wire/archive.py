"""The bundle's file format: a ZIP archive that can be written in exactly one way.

Any ZIP tool opens a bundle, but its bytes follow from its members alone: stored (not deflated), in
the manifest's order, dated 1980-01-01, no extra fields, no comments, no ZIP64. The reader accepts
nothing else. It checks from the outside in, so that no byte is interpreted before it is covered:

1. end record and central directory, bounded and canonical; local headers canonical, consecutive;
2. checksum of `manifest.json` and `manifest.sig`, then the signature over `manifest.json`;
3. the manifest, strictly decoded; the archive's members are the manifest's, in its order;
4. checksum and SHA-256 of every member.

Every byte of the file is then either content under the signature or the one possible framing of
it: the file equals the canonical archive of its verified members.
"""

import base64
import binascii
import hashlib
import mmap
import re
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from green_edge_wire import codec
from green_edge_wire.errors import ArtifactError, DecodeError, IntegrityError
from green_edge_wire.manifest import (
    EDGETPU_MEMBER,
    LABELS_MEMBER,
    MANIFEST_MEMBER,
    MODEL_MEMBER,
    PIPELINE_MEMBER,
    RECORD_MEMBER,
    SIGNATURE_MEMBER,
    Manifest,
    Pipeline,
    Role,
    Signature,
)
from green_edge_wire.units import KIB_BYTES

Verify = Callable[[str, bytes, bytes], str | None]
"""Judge of signatures: (key id, message, 64-byte signature) -> None when good, else the reason."""

Data = bytes | mmap.mmap

OUTSIDE = "archive"
MAX_MEMBERS = 64
MAX_NAME_CHARS = 100
MAX_DIRECTORY_BYTES = 64 * KIB_BYTES
MAX_MANIFEST_BYTES = 256 * KIB_BYTES
MAX_SIGNATURE_BYTES = KIB_BYTES
MAX_ARCHIVE_BYTES = (1 << 32) - 2  # 0xFFFFFFFF in a ZIP field announces ZIP64

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)*")

# APPNOTE.TXT 6.3.10 section 4.3; all little-endian.
_LOCAL = struct.Struct("<4s5H3I2H")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_LOCAL_MAGIC, _ENTRY_MAGIC, _END_MAGIC = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_NEEDS_VERSION = 10  # 1.0: stored members
_MADE_BY = 3 << 8 | _NEEDS_VERSION  # Unix, so that unpacked files get the mode below
_MODE = 0o100644 << 16
_DATE = 0 << 9 | 1 << 5 | 1  # 1980-01-01; the time is 0


class _Place(NamedTuple):
    """A member as the central directory tells it; `start` is the offset of its content."""

    name: str
    crc: int
    length_bytes: int
    start: int


# --- writing -----------------------------------------------------------------------------------


def canonical(members: Sequence[tuple[str, bytes]]) -> bytes:
    """Write the one archive of these members (name, content), in this order.

    Raises:
        ArtifactError: too many or too big, or a name that is not lower-case letters, digits, `.`,
            `_` and `-` with `/` between, or a name twice.
    """
    _check_names([name for name, _ in members])
    body: list[bytes] = []
    directory: list[bytes] = []
    offset = 0
    for name, content in members:
        crc = zlib.crc32(content)
        header = _local_header(name, crc, len(content))
        directory.append(_directory_entry(name, crc, len(content), offset))
        body += (header, content)
        offset += len(header) + len(content)
        if offset > MAX_ARCHIVE_BYTES:
            raise ArtifactError(f"bundle is over {MAX_ARCHIVE_BYTES} bytes")
    size = sum(map(len, directory))
    return b"".join((*body, *directory, _end_record(len(members), size, offset)))


def _check_names(names: Sequence[str]) -> None:
    if len(names) > MAX_MEMBERS:
        raise ArtifactError(f"bundle of {len(names)} members; at most {MAX_MEMBERS} are allowed")
    if len(set(names)) != len(names):
        raise ArtifactError("bundle has a member twice")
    for name in names:
        if len(name) > MAX_NAME_CHARS or _NAME.fullmatch(name) is None:
            raise ArtifactError(f"{name!r} cannot be the name of a bundle's member")


def _local_header(name: str, crc: int, length: int) -> bytes:
    fixed = (_LOCAL_MAGIC, _NEEDS_VERSION, 0, 0, 0, _DATE, crc, length, length, len(name), 0)
    return _LOCAL.pack(*fixed) + name.encode("ascii")


def _directory_entry(name: str, crc: int, length: int, offset: int) -> bytes:
    made = (_ENTRY_MAGIC, _MADE_BY, _NEEDS_VERSION, 0, 0, 0, _DATE)
    sizes = (crc, length, length, len(name), 0, 0, 0, 0, _MODE, offset)
    return _ENTRY.pack(*made, *sizes) + name.encode("ascii")


def _end_record(count: int, size: int, offset: int) -> bytes:
    return _END.pack(_END_MAGIC, 0, 0, count, count, size, offset, 0)


# --- reading -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle; members are copied out of the file when they are read.

    Attributes:
        manifest: what is in it.
        key_id: of the key that signed it.
        sha256: digest of the whole file, in hex.
    """

    manifest: Manifest
    key_id: str
    sha256: str
    _data: Data = field(repr=False)
    _places: Mapping[str, _Place] = field(repr=False)

    def read(self, name: str) -> bytes:
        """Content of a member.

        Raises:
            KeyError: the bundle has no such member; the manifest says which it has.
        """
        place = self._places[name]
        return self._data[place.start : place.start + place.length_bytes]

    def model(self) -> bytes:
        """The `.tflite` file, for the CPU."""
        return self.read(MODEL_MEMBER)

    def edgetpu_model(self) -> bytes | None:
        """The same model as the Edge TPU compiler made it; None when the bundle has none."""
        return self.read(EDGETPU_MEMBER) if EDGETPU_MEMBER in self._places else None

    def pipeline(self) -> Pipeline:
        """Pre- and post-processing.

        Raises:
            IntegrityError: the signer packed a pipeline that this version cannot read.
        """
        try:
            return codec.loads(Pipeline, self.read(PIPELINE_MEMBER), strict=True)
        except DecodeError as error:
            raise IntegrityError(str(error), member=PIPELINE_MEMBER) from None

    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the output's order; empty when the bundle has none.

        Raises:
            IntegrityError: the signer packed labels that are not UTF-8.
        """
        if LABELS_MEMBER not in self._places:
            return ()
        try:
            text = self.read(LABELS_MEMBER).decode()
        except UnicodeDecodeError as error:
            raise IntegrityError(f"not UTF-8: {error}", member=LABELS_MEMBER) from None
        return tuple(text.removesuffix("\n").split("\n"))

    def golden_inputs(self) -> tuple[bytes, ...]:
        """Recorded inputs as `.npy` files, one an input of the model; axis 0 counts samples."""
        return self._of_role("golden-input")

    def golden_outputs(self) -> tuple[bytes, ...]:
        """What the model gave for them, as `.npy` files, one an output."""
        return self._of_role("golden-output")

    def record(self) -> bytes:
        """The build record, JSON."""
        return self.read(RECORD_MEMBER)

    def _of_role(self, role: Role) -> tuple[bytes, ...]:
        return tuple(self.read(m.name) for m in self.manifest.members if m.role == role)


def open_bundle(data: Data, verify: Verify) -> Bundle:
    """Check a bundle completely and open it.

    Args:
        data: the whole file, in memory or mapped; a mapped file must not change afterwards.
        verify: decides about the signature.

    Raises:
        IntegrityError: whatever is wrong; `member` is where, `archive` outside of members.
    """
    places = _places(data)
    sealed = _check_crc(data, places[0], MAX_MANIFEST_BYTES)
    signature = _signature(_check_crc(data, places[1], MAX_SIGNATURE_BYTES))
    refusal = verify(signature.key_id, sealed, base64.b64decode(signature.signature))
    if refusal is not None:
        raise IntegrityError(refusal, member=SIGNATURE_MEMBER)
    manifest = _manifest(sealed)
    _check_members(data, places[2:], manifest)
    with memoryview(data) as whole:
        digest = hashlib.sha256(whole).hexdigest()
    table = {place.name: place for place in places}
    return Bundle(manifest, signature.key_id, digest, data, table)


def _places(data: Data) -> tuple[_Place, ...]:
    """Members as the framing tells them; every byte outside of contents is checked here."""
    start = len(data) - _END.size
    if not 0 <= start <= MAX_ARCHIVE_BYTES:
        raise _outside("not a bundle, or cut short")
    _, _, _, count, _, size, offset, _ = _END.unpack(data[start:])
    if data[start:] != _end_record(count, size, offset):
        raise _outside("not a bundle, or cut short")
    if count > MAX_MEMBERS or size > MAX_DIRECTORY_BYTES or offset + size != start:
        raise _outside("central directory is out of bounds")
    places = _read_directory(data[offset:start], count)
    position = 0
    for place in places:
        header = _local_header(place.name, place.crc, place.length_bytes)
        position += len(header)
        if place.start != position or data[position - len(header) : position] != header:
            raise _outside(f"local header of {place.name} is not canonical")
        position += place.length_bytes
    if position != offset:
        raise _outside("members do not fill the space before the directory")
    names = [place.name for place in places]
    if names[:2] != [MANIFEST_MEMBER, SIGNATURE_MEMBER] or len(set(names)) != len(names):
        raise _outside("members are not a manifest, its signature and distinct others")
    return places


def _read_directory(raw: bytes, count: int) -> tuple[_Place, ...]:
    places: list[_Place] = []
    position = 0
    for _ in range(count):
        head = raw[position : position + _ENTRY.size]
        if len(head) != _ENTRY.size:
            raise _outside("central directory is cut short")
        *_, crc, length, _, name_length, _, _, _, _, _, offset = _ENTRY.unpack(head)
        name = raw[position + _ENTRY.size : position + _ENTRY.size + name_length].decode("latin-1")
        if len(name) > MAX_NAME_CHARS or _NAME.fullmatch(name) is None:
            raise _outside("a member's name is not allowed")
        entry = _directory_entry(name, crc, length, offset)
        if raw[position : position + len(entry)] != entry:
            raise _outside(f"directory entry of {name} is not canonical")
        places.append(_Place(name, crc, length, offset + _LOCAL.size + len(name)))
        position += len(entry)
    if position != len(raw):
        raise _outside("central directory holds more than its members")
    return tuple(places)


def _check_crc(data: Data, place: _Place, limit_bytes: int) -> bytes:
    if place.length_bytes > limit_bytes:
        raise IntegrityError(f"over {limit_bytes} bytes", member=place.name)
    content = data[place.start : place.start + place.length_bytes]
    if zlib.crc32(content) != place.crc:
        raise IntegrityError("content does not match its checksum", member=place.name)
    return content


def _signature(content: bytes) -> Signature:
    """Signature in its one spelling, so that nobody without the key can make another file of it."""
    try:
        signature = codec.loads(Signature, content, strict=True)
        raw = base64.b64decode(signature.signature, validate=True)
    except (DecodeError, binascii.Error, ValueError) as error:
        raise IntegrityError(f"not a signature: {error}", member=SIGNATURE_MEMBER) from None
    if len(raw) != 64 or content != signature_member(signature.key_id, raw):
        raise IntegrityError("signature is not canonical", member=SIGNATURE_MEMBER)
    return signature


def signature_member(key_id: str, raw: bytes) -> bytes:
    """Content of `manifest.sig` for a 64-byte signature."""
    return codec.dumps(Signature(key_id, base64.b64encode(raw).decode("ascii"))).encode()


def _manifest(content: bytes) -> Manifest:
    try:
        manifest = codec.loads(Manifest, content, strict=True)
    except DecodeError as error:
        raise IntegrityError(
            str(error), member=MANIFEST_MEMBER, hint="a newer green-edge may be able to read it"
        ) from None
    if [(m.role, m.name) for m in manifest.members] != layout(manifest):
        raise IntegrityError("members are not those of a bundle", member=MANIFEST_MEMBER)
    return manifest


def layout(manifest: Manifest) -> list[tuple[Role, str]]:
    """Role and name of the members that a bundle of this manifest must have, in order."""
    return layout_of(
        labelled=manifest.member("labels") is not None,
        edgetpu=manifest.member("edgetpu-model") is not None,
        inputs=len(manifest.inputs),
        outputs=len(manifest.outputs),
    )


def layout_of(
    *, labelled: bool, inputs: int, outputs: int, edgetpu: bool = False
) -> list[tuple[Role, str]]:
    """Role and name of the members after the signature for a model with so many tensors."""
    compiled: list[tuple[Role, str]] = [("edgetpu-model", EDGETPU_MEMBER)] if edgetpu else []
    labels: list[tuple[Role, str]] = [("labels", LABELS_MEMBER)] if labelled else []
    return [
        ("model", MODEL_MEMBER),
        *compiled,
        *labels,
        ("pipeline", PIPELINE_MEMBER),
        *(("golden-input", f"golden/input-{i}.npy") for i in range(inputs)),
        *(("golden-output", f"golden/output-{i}.npy") for i in range(outputs)),
        ("record", RECORD_MEMBER),
    ]


def _check_members(data: Data, places: Sequence[_Place], manifest: Manifest) -> None:
    listed = [(member.name, member.length_bytes) for member in manifest.members]
    if [(place.name, place.length_bytes) for place in places] != listed:
        raise _outside("members or their lengths are not those of the manifest")
    with memoryview(data) as whole:
        for place, member in zip(places, manifest.members, strict=True):
            with whole[place.start : place.start + place.length_bytes] as content:
                crc, digest = zlib.crc32(content), hashlib.sha256(content).hexdigest()
            if digest != member.sha256 or crc != place.crc:
                raise IntegrityError("content does not match its digest", member=place.name)


def _outside(reason: str) -> IntegrityError:
    return IntegrityError(reason, member=OUTSIDE)
