import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from green_edge.bundle.keys import trusting
from green_edge_wire import archive, bench, codec, command, device, manifest, telemetry
from green_edge_wire.command import Envelope, signed_bytes
from green_edge_wire.topics import Down, Up
from support.bundles import test_signer

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json (\w+)\n(.*?)```", PAGE, re.DOTALL)
MODULES = (bench, command, device, manifest, telemetry)


def block(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found.group(1)


def record_type(name: str) -> type[Any]:
    (found,) = {getattr(module, name) for module in MODULES if hasattr(module, name)}
    assert isinstance(found, type)
    return found


@pytest.mark.parametrize(("name", "text"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_an_example_is_a_whole_record(name: str, text: str) -> None:
    record = codec.loads(record_type(name), text, strict=True)
    assert codec.encode(record) == json.loads(text)


def test_there_is_an_example_of_every_record_of_the_wire() -> None:
    assert [name for name, _ in EXAMPLES] == [
        "Manifest", "Signature", "Pipeline", "Envelope", "Desired", "Command", "BenchOrder",
        "BenchResult", "Status", "DeviceInfo", "Reported", "Sample", "Event", "InferRequest",
        "InferResult", "Ack",
    ]  # fmt: skip


def test_the_archive_in_hex_is_what_the_writer_writes() -> None:
    assert bytes.fromhex(block("hex")) == archive.canonical([("a", b"hi")])


def test_the_envelope_is_signed_over_the_bytes_shown() -> None:
    envelope = codec.loads(Envelope, dict(EXAMPLES)["Envelope"], strict=True)
    shown = block("text signed").replace("\\n\n", "\n").removesuffix("\n").encode()
    signed = signed_bytes(
        Down.CMD,
        device_id=envelope.device_id,
        key_id=envelope.key_id,
        counter=envelope.counter,
        body=envelope.body,
    )
    assert shown == signed
    verify = trusting([test_signer().public])
    assert verify(envelope.key_id, signed, base64.b64decode(envelope.signature)) is None


def test_every_channel_is_on_the_page() -> None:
    table = PAGE[PAGE.index("## 3. MQTT") : PAGE.index("A payload begins")]
    assert {channel.value for channel in (*Up, *Down)} <= set(re.findall(r"`(\w+)`", table))


def test_the_bounds_on_the_page_are_those_of_the_code() -> None:
    assert f"{archive.MAX_MEMBERS} members" in PAGE
    assert f"{archive.MAX_DIRECTORY_BYTES // 1024} KiB of directory" in PAGE
    assert f"{archive.MAX_MANIFEST_BYTES // 1024} KiB of `manifest.json`" in PAGE
    assert f"{archive.MAX_SIGNATURE_BYTES // 1024} KiB of `manifest.sig`" in PAGE
    assert f"at most {archive.MAX_NAME_CHARS} of" in PAGE
    assert f"at most {command.MAX_BODY_CHARS:,} characters" in PAGE
    assert codec.MAX_PAYLOAD_BYTES == 1 << 20


def test_the_flags_that_do_not_count_are_those_of_the_code() -> None:
    text = PAGE[PAGE.index("one of the flags") : PAGE.index("not counted; other flags")]
    assert set(re.findall(r"`([a-z-]+)`", text)) == telemetry.INVALID_FLAGS
