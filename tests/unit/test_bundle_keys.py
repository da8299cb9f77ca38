import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from green_edge.bundle import keys
from green_edge.bundle.envelope import sign_cmd, sign_desired
from green_edge.bundle.keys import SigningKey
from green_edge_wire import codec
from green_edge_wire.command import Command, Desired, signed_bytes
from green_edge_wire.errors import ConfigError
from green_edge_wire.topics import Down
from support.bundles import test_signer


def test_a_new_key_can_be_loaded_and_signs_the_same(tmp_path: Path) -> None:
    made = keys.new_key("lab", tmp_path / "keys")
    loaded = keys.load_signer("lab", tmp_path / "keys")
    assert loaded.public == made.public
    assert loaded.sign(b"m") == made.sign(b"m")
    assert keys.trusted(tmp_path / "keys")(made.key_id, b"m", made.sign(b"m")) is None


def test_a_private_key_is_for_its_owner_only_and_never_in_a_repr(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "keys"
    made = keys.new_key("lab", folder)
    assert (folder / "lab.key").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert "private" not in repr(made).lower()


def test_a_key_that_others_may_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    keys.new_key("lab", tmp_path)
    (tmp_path / "lab.key").chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        keys.load_signer("lab", tmp_path)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    keys.new_key("lab", tmp_path)
    before = (tmp_path / "lab.key").read_bytes()
    with pytest.raises(ConfigError, match="already a key 'lab'"):
        keys.new_key("lab", tmp_path)
    assert (tmp_path / "lab.key").read_bytes() == before


def test_a_key_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="GREEN_EDGE_KEYS"):
        keys.new_key("lab", tmp_path / "file" / "keys")


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a b"])
def test_a_key_name_must_be_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a name"):
        keys.new_key(name, tmp_path)


def test_the_key_is_the_named_one_else_default_else_the_only_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no key 'default'.*keys new"):
        keys.load_signer(None, tmp_path)
    keys.new_key("lab", tmp_path)
    assert keys.load_signer(None, tmp_path).name == "lab"
    keys.new_key("office", tmp_path)
    with pytest.raises(ConfigError, match=r"which key\? there are lab, office"):
        keys.load_signer(None, tmp_path)
    keys.new_key("default", tmp_path)
    assert keys.load_signer(None, tmp_path).name == "default"
    assert keys.load_signer("office", tmp_path).name == "office"


def test_the_first_build_makes_a_key_and_says_so_once(tmp_path: Path) -> None:
    told: list[tuple[str, Path]] = []

    def made(key: SigningKey, path: Path) -> None:
        told.append((key.name, path))

    first = keys.ensure_signer(folder=tmp_path, made=made)
    second = keys.ensure_signer(folder=tmp_path, made=made)
    assert first.public == second.public
    assert told == [("default", tmp_path / "default.key")]
    with pytest.raises(ConfigError, match="no key 'lab'"):
        keys.ensure_signer("lab", tmp_path, made=made)


def test_keys_live_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREEN_EDGE_KEYS", str(tmp_path))
    made = keys.new_key("default", keys.default_folder())
    assert keys.export() == made.public.text
    assert [key.name for key in keys.list_keys()] == ["default"]
    monkeypatch.setenv("GREEN_EDGE_KEYS", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert keys.default_folder() == tmp_path / ".config" / "green-edge" / "keys"
    assert keys.list_keys() == ()


@pytest.mark.parametrize("content", [b"", b"not a key"])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lab.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="not an Ed25519 private key"):
        keys.load_signer("lab", tmp_path)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    pem = generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = tmp_path / "lab.key"
    path.write_bytes(pem)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="not an Ed25519 private key"):
        keys.load_signer("lab", tmp_path)


def test_a_key_file_that_is_a_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "lab.key").mkdir()
    with pytest.raises(ConfigError, match="cannot read"):
        keys.load_signer("lab", tmp_path)


def test_a_public_line_comes_back_from_its_text() -> None:
    public = test_signer().public
    assert keys.parse_public(f" {public.text}\n") == public
    assert len(public.key_id) == 16


@pytest.mark.parametrize(
    "text",
    ["", "abc", "0123:", "0123:!!!!", "0123:" + base64.b64encode(bytes(31)).decode(), "ä:ä"],
)
def test_text_that_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a public key"):
        keys.parse_public(text)


def test_a_public_key_under_anothers_id_is_refused() -> None:
    text = test_signer().public.text.partition(":")[2]
    with pytest.raises(ConfigError, match="labelled"):
        keys.parse_public(f"{test_signer(seed=2).key_id}:{text}")


def test_a_signature_counts_only_for_its_message_and_key() -> None:
    one, two = test_signer(seed=1), test_signer(seed=2)
    verify = keys.trusting([one.public])
    good = one.sign(b"m")
    assert verify(one.key_id, b"m", good) is None
    assert verify(one.key_id, b"n", good) == "signature does not match"
    assert verify(one.key_id, b"m", two.sign(b"m")) == "signature does not match"
    assert verify(one.key_id, b"m", good[:-1]) == "signature does not match"
    assert verify(two.key_id, b"m", two.sign(b"m")) == f"unknown key {two.key_id!r}"


def test_an_order_is_signed_over_channel_device_key_and_counter() -> None:
    signer = test_signer()
    desired = Desired("r1", "ab" * 32, 5, ("http://x/a",), "tiny", 2)
    command = Command("c1", "refresh", 9)
    for channel, envelope in (
        (Down.DESIRED, sign_desired(signer, "pi", 7, desired)),
        (Down.CMD, sign_cmd(signer, "pi", 7, command)),
    ):
        message = signed_bytes(
            channel,  # type: ignore[arg-type]
            device_id="pi",
            key_id=signer.key_id,
            counter=7,
            body=envelope.body,
        )
        raw = base64.b64decode(envelope.signature)
        assert keys.trusting([signer.public])(envelope.key_id, message, raw) is None
    assert codec.loads(Command, sign_cmd(signer, "pi", 7, command).body, strict=True) == command
    assert codec.loads(Desired, sign_desired(signer, "pi", 7, desired).body, strict=True) == desired
    with pytest.raises(ConfigError, match="device: "):
        sign_cmd(signer, "a/b", 7, command)


def test_a_folder_without_write_access_is_a_clear_error() -> None:
    # Nobody may make files in /proc, not even root.
    with pytest.raises(ConfigError, match="cannot write /proc"):
        keys.new_key("lab", Path("/proc/green-edge"))
