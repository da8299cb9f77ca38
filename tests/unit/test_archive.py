import dataclasses
import io
import mmap
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from green_edge.bundle.keys import trusting
from green_edge_wire import archive, codec
from green_edge_wire.archive import canonical, open_bundle, signature_member
from green_edge_wire.errors import ArtifactError, IntegrityError
from green_edge_wire.manifest import Softmax, TopK
from support.bundles import LABELS, RECORD, resealed, test_signer, tiny_bundle

TRUST = trusting([test_signer().public])
BUNDLE = tiny_bundle()


def spans(data: bytes) -> dict[str, tuple[int, int]]:
    """Where each member's content lies, as an independent ZIP reader sees it."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {
            i.filename: (i.header_offset + 30 + len(i.filename), i.file_size)
            for i in file.infolist()
        }


def owner(position: int, table: dict[str, tuple[int, int]]) -> str:
    for name, (start, length) in table.items():
        if start <= position < start + length:
            return name
    return "archive"


def members(data: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return [(name, file.read(name)) for name in file.namelist()]


def refusal(data: bytes) -> IntegrityError:
    with pytest.raises(IntegrityError) as caught:
        open_bundle(data, TRUST)
    return caught.value


def resigned(manifest: bytes, rest: list[tuple[str, bytes]]) -> bytes:
    """Archive of a manifest of our own, with a good signature over it."""
    signer = test_signer()
    signature = signature_member(signer.key_id, signer.sign(manifest))
    return canonical([("manifest.json", manifest), ("manifest.sig", signature), *rest])


def test_a_bundle_opens_and_gives_back_what_went_in() -> None:
    bundle = open_bundle(BUNDLE, TRUST)
    assert bundle.key_id == test_signer().key_id
    assert bundle.labels() == LABELS
    assert bundle.pipeline().post == (Softmax(), TopK(2))
    assert bundle.record() == RECORD
    assert bundle.model()[4:8] == b"TFL3"
    assert len(bundle.golden_inputs()) == len(bundle.golden_outputs()) == 1
    assert [member.name for member in bundle.manifest.members] == [
        "model.tflite",
        "labels.txt",
        "pipeline.json",
        "golden/input-0.npy",
        "golden/output-0.npy",
        "build-record.json",
    ]


def test_any_zip_tool_reads_a_bundle() -> None:
    with zipfile.ZipFile(io.BytesIO(BUNDLE)) as file:
        assert file.testzip() is None
        assert {i.date_time for i in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {i.compress_type for i in file.infolist()} == {zipfile.ZIP_STORED}


def test_packing_is_the_inverse_of_reading() -> None:
    assert canonical(members(BUNDLE)) == BUNDLE


def test_a_mapped_file_opens_like_bytes(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gedge"
    path.write_bytes(BUNDLE)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        bundle = open_bundle(mapped, TRUST)
        assert bundle.sha256 == open_bundle(BUNDLE, TRUST).sha256
        assert bundle.model() == open_bundle(BUNDLE, TRUST).model()


def test_every_flipped_byte_is_refused_with_the_member_that_holds_it() -> None:
    table = spans(BUNDLE)
    data = bytearray(BUNDLE)
    for position in range(len(data)):
        data[position] ^= 0xFF
        assert refusal(bytes(data)).member == owner(position, table), position
        data[position] ^= 0xFF


def test_every_flipped_bit_of_the_framing_is_refused_as_archive() -> None:
    table = spans(BUNDLE)
    framing = [i for i in range(len(BUNDLE)) if owner(i, table) == "archive"]
    data = bytearray(BUNDLE)
    for position in framing:
        for bit in range(8):
            data[position] ^= 1 << bit
            assert refusal(bytes(data)).member == "archive", (position, bit)
            data[position] ^= 1 << bit


def test_every_truncation_is_refused_as_archive() -> None:
    for length in range(len(BUNDLE)):
        assert refusal(BUNDLE[:length]).member == "archive", length


@pytest.mark.parametrize("extra", [b"\0", b"PK\x05\x06" + bytes(18), BUNDLE])
def test_anything_before_or_after_the_archive_is_refused(extra: bytes) -> None:
    assert refusal(BUNDLE + extra).member == "archive"
    assert refusal(extra + BUNDLE).member == "archive"


def test_a_flipped_content_with_both_checksums_mended_still_names_the_member() -> None:
    changed = [
        (name, content.replace(b"bee", b"wasp"[:3]) if name == "labels.txt" else content)
        for name, content in members(BUNDLE)
    ]
    error = refusal(canonical(changed))
    assert error.member == "labels.txt"
    assert "digest" in error.reason


def test_a_changed_manifest_with_a_mended_checksum_fails_the_signature() -> None:
    changed = [
        (name, content.replace(b'"version":1', b'"version":2') if i == 0 else content)
        for i, (name, content) in enumerate(members(BUNDLE))
    ]
    error = refusal(canonical(changed))
    assert (error.member, error.reason) == ("manifest.sig", "signature does not match")


def test_a_key_that_is_not_trusted_is_named() -> None:
    other = tiny_bundle(signer=test_signer(seed=2))
    error = refusal(other)
    assert error.member == "manifest.sig"
    assert error.reason == f"unknown key {test_signer(seed=2).key_id!r}"


def test_a_signature_in_another_spelling_is_refused() -> None:
    name, good = members(BUNDLE)[1]
    rest = members(BUNDLE)[2:]
    for spelling in (good + b" ", good.replace(b":", b": ", 1), good.replace(b"==", b"")):
        data = canonical([members(BUNDLE)[0], (name, spelling), *rest])
        assert refusal(data).member == "manifest.sig"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 900, b'{"key_id":"a","x":1}'])
def test_a_member_that_is_no_signature_is_refused(content: bytes) -> None:
    head, _, *rest = members(BUNDLE)
    assert refusal(canonical([head, ("manifest.sig", content), *rest])).member == "manifest.sig"


def test_a_signed_manifest_with_a_key_of_a_newer_version_is_refused_with_the_remedy() -> None:
    head, _, *rest = members(BUNDLE)
    error = refusal(resigned(head[1].replace(b'{"name"', b'{"new":1,"name"'), rest))
    assert error.member == "manifest.json"
    assert error.hint is not None
    assert "newer" in error.hint


def test_a_signed_manifest_with_members_in_another_order_is_refused() -> None:
    _, _, *rest = members(BUNDLE)
    manifest = open_bundle(BUNDLE, TRUST).manifest
    swapped = (manifest.members[-1], *manifest.members[:-1])
    document = codec.dumps(dataclasses.replace(manifest, members=swapped))
    error = refusal(resigned(document.encode(), [rest[-1], *rest[:-1]]))
    assert error.member == "manifest.json"


def test_a_member_left_out_or_added_is_refused_as_archive() -> None:
    listed = members(BUNDLE)
    assert refusal(canonical(listed[:-1])).member == "archive"
    assert refusal(canonical([*listed, ("extra.bin", b"x")])).member == "archive"
    assert refusal(canonical(listed[::-1])).member == "archive"


def test_too_large_a_manifest_is_refused_before_it_is_parsed() -> None:
    _, *rest = members(BUNDLE)
    big = canonical([("manifest.json", b" " * (archive.MAX_MANIFEST_BYTES + 1)), *rest])
    assert refusal(big).member == "manifest.json"


def test_the_number_of_members_and_their_names_are_bounded_when_writing() -> None:
    with pytest.raises(ArtifactError, match="at most 64"):
        canonical([(f"m{i}", b"") for i in range(65)])
    for name in ("", "/etc", "../up", "a//b", "UP", "a/", "ä", "a" * 101, "a/../b"):
        with pytest.raises(ArtifactError, match="name"):
            canonical([(name, b"")])
    with pytest.raises(ArtifactError, match="twice"):
        canonical([("a", b""), ("a", b"")])


def test_a_directory_that_claims_the_impossible_is_refused() -> None:
    start = len(BUNDLE) - 22
    magic, a, b, count, total, size, offset, comment = struct.unpack("<4s4H2IH", BUNDLE[start:])
    for n, s, o in ((65, size, offset), (count + 1, size, offset), (count, 1 << 20, offset)):
        end = struct.pack("<4s4H2IH", magic, a, b, n, n or total, s, o, comment)
        assert refusal(BUNDLE[:start] + end).member == "archive"


def test_overlapping_members_are_refused() -> None:
    # Two directory entries that share one local header: the classic way to show two contents.
    one = canonical([("manifest.json", b"{}")])
    local, entry = one[: 30 + 13 + 2], one[45:-22]
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 2, 2, 2 * len(entry), len(local), 0)
    assert zlib.crc32(b"{}") == struct.unpack_from("<I", entry, 16)[0]
    assert refusal(local + entry * 2 + end).member == "archive"


def test_a_pipeline_that_this_version_cannot_read_names_its_member() -> None:
    content = b'{"post":[{"op":"hardmax"}]}'
    bundle = open_bundle(resealed(BUNDLE, {"pipeline.json": content}), TRUST)
    with pytest.raises(IntegrityError) as caught:
        bundle.pipeline()
    assert caught.value.member == "pipeline.json"


def test_labels_that_are_not_utf8_name_their_member() -> None:
    bundle = open_bundle(resealed(BUNDLE, {"labels.txt": b"\xff"}), TRUST)
    with pytest.raises(IntegrityError) as caught:
        bundle.labels()
    assert caught.value.member == "labels.txt"


def test_a_bundle_without_labels_has_none() -> None:
    _, _, *rest = members(BUNDLE)
    plain = [(name, content) for name, content in rest if name != "labels.txt"]
    manifest = open_bundle(BUNDLE, TRUST).manifest
    kept = tuple(member for member in manifest.members if member.role != "labels")
    document = codec.dumps(dataclasses.replace(manifest, members=kept)).encode()
    assert open_bundle(resigned(document, plain), TRUST).labels() == ()
