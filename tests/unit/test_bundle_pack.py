import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from green_edge.bundle import keys
from green_edge.bundle.check import Verdict, check_file
from green_edge.bundle.keys import trusting
from green_edge.bundle.pack import pack
from green_edge.cli import keys as keys_command
from green_edge.cli import main
from green_edge_wire.archive import open_bundle
from green_edge_wire.errors import ConfigError, DecodeError, IntegrityError, ModelError
from support.bundles import test_signer, tiny_bundle, tiny_contents

TRUST = trusting([test_signer().public])


def test_the_same_contents_and_key_give_the_same_bytes() -> None:
    assert pack(tiny_contents(), test_signer()) == pack(tiny_contents(), test_signer())
    assert tiny_bundle(version=2) != tiny_bundle(version=1)
    assert tiny_bundle(signer=test_signer(seed=2)) != tiny_bundle()


def test_the_manifest_tells_what_was_packed() -> None:
    manifest = open_bundle(tiny_bundle(3, "nine"), TRUST).manifest
    contents = tiny_contents(3, "nine")
    assert (manifest.name, manifest.version, manifest.target) == ("nine", 3, "host")
    assert (manifest.inputs, manifest.outputs) == (contents.inputs, contents.outputs)
    model = manifest.member("model")
    assert model is not None
    assert model.length_bytes == len(contents.model)


def test_golden_arrays_that_do_not_fit_the_model_are_refused() -> None:
    contents = tiny_contents()
    for wrong in (
        (),
        (contents.golden_inputs[0].astype(np.float32),),
        (contents.golden_inputs[0][:, :2],),
        (contents.golden_inputs[0][:0],),
    ):
        with pytest.raises(ModelError, match="golden input"):
            pack(dataclasses.replace(contents, golden_inputs=wrong), test_signer())
    with pytest.raises(ModelError, match="golden output"):
        pack(dataclasses.replace(contents, golden_outputs=contents.golden_inputs), test_signer())


def test_byte_order_and_layout_of_golden_arrays_in_memory_do_not_matter() -> None:
    contents = tiny_contents()
    other = np.asfortranarray(contents.golden_inputs[0])
    assert pack(dataclasses.replace(contents, golden_inputs=(other,)), test_signer()) == pack(
        contents, test_signer()
    )


@pytest.mark.parametrize("label", ["", "two\nlines"])
def test_a_label_is_one_line(label: str) -> None:
    with pytest.raises(ModelError, match="one line"):
        pack(dataclasses.replace(tiny_contents(), labels=(label, "b", "c")), test_signer())


def test_a_bundle_may_have_no_labels() -> None:
    data = pack(dataclasses.replace(tiny_contents(), labels=()), test_signer())
    assert open_bundle(data, TRUST).labels() == ()


def test_a_compiled_model_travels_beside_the_model_for_the_cpu() -> None:
    contents = dataclasses.replace(tiny_contents(), edgetpu_model=b"compiled")
    bundle = open_bundle(pack(contents, test_signer()), TRUST)
    assert bundle.edgetpu_model() == b"compiled"
    assert bundle.model() == contents.model
    listed = [(member.role, member.name) for member in bundle.manifest.members[:3]]
    assert listed == [
        ("model", "model.tflite"),
        ("edgetpu-model", "model_edgetpu.tflite"),
        ("labels", "labels.txt"),
    ]


def test_without_a_compiled_model_a_bundle_has_no_such_member() -> None:
    bundle = open_bundle(tiny_bundle(), TRUST)
    assert bundle.edgetpu_model() is None
    assert bundle.manifest.member("edgetpu-model") is None


def test_packing_what_cannot_be_read_back_fails_at_once() -> None:
    with pytest.raises(IntegrityError, match=r"manifest\.json: over"):
        pack(dataclasses.replace(tiny_contents(), target="x" * 300_000), test_signer())
    with pytest.raises(DecodeError, match="version 0"):
        pack(tiny_contents(version=0), test_signer())


# --- checking files ----------------------------------------------------------------------------


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gedge"
    path.write_bytes(tiny_bundle())
    return path


@pytest.fixture
def public(tmp_path: Path) -> Path:
    path = tmp_path / "test.pub"
    path.write_text(f"\n{test_signer(seed=2).public.text}\n{test_signer().public.text}\n")
    return path


def run(*args: str) -> Result:
    """A command as `entry` runs it; an error of ours is the result's exception."""
    return CliRunner().invoke(main, list(args), standalone_mode=False)


def test_a_good_file_is_valid_against_the_given_keys(bundle: Path, public: Path) -> None:
    verdict = check_file(bundle, [public])
    assert verdict.valid
    assert (verdict.key_id, verdict.model) == (test_signer().key_id, "tiny")


def test_without_keys_given_ones_own_are_trusted(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREEN_EDGE_KEYS", str(tmp_path / "keys"))
    mine = keys.new_key("default", tmp_path / "keys")
    assert check_file(bundle, []).reason == f"unknown key {test_signer().key_id!r}"
    bundle.write_bytes(tiny_bundle(signer=mine))
    assert check_file(bundle, []).key_id == mine.key_id


def test_a_damaged_file_names_the_member(bundle: Path, public: Path) -> None:
    bundle.write_bytes(bundle.read_bytes().replace(b"bee", b"bed"))
    verdict = check_file(bundle, [public])
    assert verdict == Verdict(
        valid=False, member="labels.txt", reason="content does not match its digest"
    )


def test_files_that_cannot_be_read_are_configuration_errors(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        check_file(tmp_path / "none.gedge", [])
    with pytest.raises(ConfigError, match="cannot read"):
        check_file(bundle, [tmp_path])
    (tmp_path / "empty.pub").write_text("\n")
    with pytest.raises(ConfigError, match="no public key"):
        check_file(bundle, [tmp_path / "empty.pub"])
    with pytest.raises(ConfigError, match="not a public key"):
        check_file(bundle, [bundle])


def test_verify_prints_one_document_and_exits_5_when_not_valid(bundle: Path, public: Path) -> None:
    good = run("verify", str(bundle), "--key", str(public), "--json")
    assert json.loads(good.stdout)["valid"] is True
    assert good.exit_code == 0
    bundle.write_bytes(bundle.read_bytes()[:-1])
    bad = run("verify", str(bundle), "--key", str(public), "--json")
    assert bad.return_value == 5
    assert json.loads(bad.stdout) == {
        "valid": False,
        "member": "archive",
        "reason": "not a bundle, or cut short",
    }


def test_verify_talks_to_a_person_without_json(bundle: Path, public: Path) -> None:
    good = run("verify", str(bundle), "--key", str(public))
    assert "valid: tiny version 1 for host, signed by" in good.stdout
    bundle.write_bytes(b"")
    bad = run("verify", str(bundle), "--key", str(public))
    assert isinstance(bad.exception, IntegrityError)
    assert bad.exception.member == "archive"


def test_the_keys_commands_make_list_and_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREEN_EDGE_KEYS", str(tmp_path / "keys"))
    assert "no keys yet" in run("keys", "list").stderr
    made = json.loads(run("keys", "new", "lab", "--json").stdout)
    assert made["path"] == str(tmp_path / "keys" / "lab.key")
    shown = run("keys", "new")
    assert shown.stdout.strip() == keys.export("default")
    assert "private key in" in shown.stderr
    listed = json.loads(run("keys", "list", "--json").stdout)
    assert [key["name"] for key in listed["keys"]] == ["default", "lab"]
    assert made["key_id"] in run("keys", "list").stdout
    assert run("keys", "export", "lab").stdout.strip() == made["public"]
    assert json.loads(run("keys", "export", "lab", "--json").stdout) == made
    assert keys_command.command.name == "keys"
