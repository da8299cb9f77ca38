"""agent.toml: what is accepted, and what is said about the rest."""

import re
from pathlib import Path

import pytest

from green_edge_agent.config import AgentConfig, load
from green_edge_wire.errors import ConfigError
from support.bundles import test_signer as signer

KEY = signer().public.text
MINIMAL = """\
site = "home"
device_id = "pi-kitchen"
state_dir = "state"
[broker]
url = "mqtt://127.0.0.1:1883"
"""


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "agent.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def loaded(folder: Path, text: str) -> AgentConfig:
    return load(write(folder, text)).config


def test_the_minimal_file_gets_the_documented_defaults(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL)
    assert config.state_dir == tmp_path / "state"
    assert (config.telemetry.window_s, config.telemetry.spool_period_s) == (5.0, 1.0)
    assert config.telemetry.spool_max_bytes == 67_108_864
    assert config.input.kind == "none"
    assert config.address.topic.__self__.device_id == "pi-kitchen"  # type: ignore[attr-defined]


def test_relative_paths_start_at_the_file_and_absolute_ones_stay(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL + '[input]\nkind = "npz"\npath = "/data/x.npz"\n')
    assert config.input.path == Path("/data/x.npz")
    # A name without a slash is for the dynamic linker to find.
    assert config.runtime.delegate == "libedgetpu.so.1"
    other = loaded(tmp_path, MINIMAL + '[runtime]\ndelegate = "lib/libedgetpu.so"\n')
    assert other.runtime.delegate == str(tmp_path / "lib" / "libedgetpu.so")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("site = ", "not TOML"),
        (MINIMAL + "[telemetry]\nwindow = 3\n", "unknown key 'window'; did you mean 'window_s'?"),
        (MINIMAL + "[telemetry]\nwindow_s = 0\n", "telemetry.window_s: must be 0.1 to 3600, got 0"),
        (MINIMAL + "[telemetry]\nspool_period_s = 9.0\n", "telemetry.spool_period_s: must be"),
        (MINIMAL + "[runtime]\nthreads = 0\n", "runtime.threads: must be"),
        (MINIMAL + "[runtime]\ntimeout_s = 0\n", "runtime.timeout_s: must be 0.1 to 600, got 0"),
        (MINIMAL + "[runtime]\naccelerator = 'gpu'\n", "expected one of auto, edgetpu, none"),
        (MINIMAL + "[input]\nkind = 'npz'\n", "input.path: an input of kind 'npz' needs it"),
        (MINIMAL + "[input]\nkind = 'camera'\n", "input.kind: expected one of npz, images"),
        (MINIMAL + "[trust]\nkeys = ['abc']\n", "trust.keys[0]: not a public key"),
        (MINIMAL + f"[trust]\nkeys = ['ff{KEY[2:]}']\n", "trust.keys[0]: id 'ff"),
        (MINIMAL + "[energy]\nperiod_ms = 0\n", "energy.period_ms: must be"),
        (MINIMAL.replace("pi-kitchen", "pi/kitchen"), "device_id: 'pi/kitchen' cannot be a name"),
        (MINIMAL.replace("mqtt://", "http://"), "broker.url: not a broker address"),
        (MINIMAL.replace('site = "home"\n', ""), "site: missing"),
        (MINIMAL + "password = 'a'\npassword_file = 'b'\n", "broker: password and password_file"),
    ],
)
def test_a_mistake_is_named_with_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        loaded(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'agent.toml'}: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_not_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.toml")
    (tmp_path / "agent.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "agent.toml")


def test_a_password_file_gives_the_password_and_never_shows_in_a_repr(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n", encoding="utf-8")
    config = loaded(tmp_path, MINIMAL + "username = 'me'\npassword_file = 'secret'\n")
    url = config.broker_url()
    assert (url.username, url.password) == ("me", "s3cret")
    assert "s3cret" not in repr(url)
    (tmp_path / "secret").unlink()
    with pytest.raises(ConfigError, match=r"broker\.password_file: cannot read"):
        config.broker_url()


def test_a_password_that_others_can_read_is_warned_about(tmp_path: Path) -> None:
    text = MINIMAL + "username = 'me'\npassword = 'x'\n"
    assert load(write(tmp_path, text)).warnings == ()
    (warning,) = load(write(tmp_path, text, mode=0o644)).warnings
    assert "chmod 600" in warning
    in_url = MINIMAL.replace("mqtt://", "mqtt://me:pw@")
    assert load(write(tmp_path, in_url, mode=0o644)).warnings
    assert load(write(tmp_path, MINIMAL, mode=0o644)).warnings == ()
    assert load(write(tmp_path, text)).config.broker_url().password == "x"


def test_trusted_keys_verify_what_their_owner_signed(tmp_path: Path) -> None:
    keys = loaded(tmp_path, MINIMAL + f"[trust]\nkeys = ['{KEY}']\n").trusted_keys()
    assert keys.ids == (signer().key_id,)
    good = signer().sign(b"message")
    assert keys.verify(signer().key_id, b"message", good) is None
    assert keys.verify(signer().key_id, b"other", good) == "signature does not match"
    assert keys.verify(signer().key_id, b"message", good[:10]) == "signature does not match"
    assert "unknown key" in (keys.verify("f" * 16, b"message", good) or "")
