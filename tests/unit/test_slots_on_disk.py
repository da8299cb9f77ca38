"""Slots on disk: the state names complete files, whatever happens in between."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from green_edge_agent.install.bench import Bench
from green_edge_agent.install.slots import Slots, read_state
from green_edge_agent.install.start import load_installed
from green_edge_agent.install.state import Artefact, with_active, with_trial
from green_edge_agent.install.trust import TrustedKeys
from green_edge_agent.runtime.contract import Runner
from green_edge_agent.statedir import claimed
from green_edge_wire.archive import Bundle
from green_edge_wire.errors import ActivationError, ConfigError, DeviceError, IntegrityError
from support.bundles import test_signer as signer
from support.bundles import tiny_bundle

VERIFY = TrustedKeys([signer().public.text]).verify


def installed(slots: Slots, version: int) -> Artefact:
    content = tiny_bundle(version)
    artefact = Artefact(hashlib.sha256(content).hexdigest(), "tiny", version)
    part = slots.part(artefact.sha256)
    part.write_bytes(content)
    slots.install(part, artefact)
    return artefact


def file_of(folder: Path, slot: str) -> Path:
    (path,) = (folder / "slots" / slot).iterdir()
    return path


def test_installs_alternate_between_the_slots_and_keep_the_one_before(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    one, two = installed(slots, 1), installed(slots, 2)
    assert (slots.state.active, slots.state.active_artefact) == ("b", two)
    assert slots.open("a", VERIFY).sha256 == one.sha256
    three = installed(slots, 3)
    assert slots.state.active_artefact == three
    assert file_of(tmp_path, "a").stem == three.sha256
    assert file_of(tmp_path, "b").stem == two.sha256
    assert Slots(tmp_path).state == slots.state == read_state(tmp_path)


def test_a_cut_between_the_files_move_and_the_swap_leaves_the_old_state(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    installed(slots, 1)
    two = installed(slots, 2)
    orphan = tmp_path / "slots" / "a" / f"{'9' * 64}.gedge"
    orphan.write_bytes(b"a bundle that no state names")
    (tmp_path / "install.tmp").write_bytes(b"half a state")
    again = Slots(tmp_path)
    assert again.state.active_artefact == two
    assert not orphan.exists()
    assert again.open("a", VERIFY).manifest.version == 1


def test_a_damaged_file_an_empty_slot_and_a_missing_file_are_told(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    with pytest.raises(DeviceError, match="slot a is empty"):
        slots.open("a", VERIFY)
    installed(slots, 1)
    path = file_of(tmp_path, "a")
    content = path.read_bytes()
    path.write_bytes(tiny_bundle(2))
    with pytest.raises(IntegrityError, match="not the file that was installed"):
        slots.open("a", VERIFY)
    path.write_bytes(content[:-1])
    with pytest.raises(IntegrityError, match="archive"):
        slots.open("a", VERIFY)
    path.unlink()
    with pytest.raises(DeviceError, match="cannot be read"):
        slots.open("a", VERIFY)


def test_a_start_runs_the_active_slot(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    assert load_installed(slots, Bench(slots, VERIFY)).model is None
    one = installed(slots, 1)
    start = load_installed(slots, Bench(slots, VERIFY))
    assert start.model is not None
    assert start.model.artefact == one
    assert (start.failures, start.returned) == ((), False)
    assert slots.state.trials == {}


def test_a_start_returns_to_the_other_slot_when_the_active_one_is_damaged(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    one, two = installed(slots, 1), installed(slots, 2)
    file_of(tmp_path, "b").write_bytes(b"rot")
    start = load_installed(slots, Bench(slots, VERIFY))
    assert start.model is not None
    assert start.model.artefact == one
    assert start.returned
    assert start.failures[0][0] == "b"
    # The artefact may be sound: it is not in quarantine and can come anew.
    assert slots.state.quarantine_reason(two.sha256) is None
    assert (slots.state.active, slots.state.inactive) == ("a", "b")
    file_of(tmp_path, "a").write_bytes(b"rot too")
    assert load_installed(slots, Bench(slots, VERIFY)).model is None
    assert slots.state.active is None


def test_a_model_that_ended_the_agent_twice_is_not_tried_again(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    one, two = installed(slots, 1), installed(slots, 2)
    for _ in range(2):
        slots.change(lambda state: with_trial(state, two.sha256))
    start = load_installed(slots, Bench(slots, VERIFY))
    assert start.model is not None
    assert start.model.artefact == one
    assert "ended 2 times" in (slots.state.quarantine_reason(two.sha256) or "")
    slots.change(lambda state: with_trial(with_trial(state, one.sha256), one.sha256))
    with pytest.raises(ActivationError):
        Bench(slots, VERIFY).load_slot("a")


@dataclass
class Watching:
    """An accelerator that notes the trials when it is asked, and never answers well."""

    slots: Slots
    trials: list[dict[str, int]] = field(default_factory=list)
    waits: list[bool] = field(default_factory=list)

    def over(self, cpu: Runner, bundle: Bundle, *, wait: bool) -> Runner:
        del bundle
        self.trials.append(self.slots.state.trials)
        self.waits.append(wait)
        return cpu


def test_the_accelerator_is_no_part_of_the_trial_and_a_start_does_not_wait_for_it(
    tmp_path: Path,
) -> None:
    slots = Slots(tmp_path)
    installed(slots, 1)
    accelerator = Watching(slots)
    bench = Bench(slots, VERIFY, accelerator=accelerator)
    assert load_installed(slots, bench).model is not None
    bench.load_slot("a")
    assert accelerator.trials == [{}, {}]
    assert accelerator.waits == [False, True]


def test_a_model_that_ends_the_agent_is_counted_while_another_one_loads_well(
    tmp_path: Path,
) -> None:
    slots = Slots(tmp_path)
    one, two = installed(slots, 1), installed(slots, 2)
    slots.change(lambda state: with_active(state, "a", one))
    for _ in range(2):
        slots = Slots(tmp_path)
        start = load_installed(slots, Bench(slots, VERIFY))
        assert start.model is not None
        assert start.model.artefact == one
        # The standing order's load begins, and takes the process down.
        slots.change(lambda state: with_trial(state, two.sha256))
    slots = Slots(tmp_path)
    bench = Bench(slots, VERIFY)
    load_installed(slots, bench)
    with pytest.raises(ActivationError, match="ended 2 times"):
        bench.load_slot("b")
    assert slots.state.trials == {}


def test_a_state_file_that_is_damaged_is_told_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "install.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="move it away"):
        Slots(tmp_path)
    (tmp_path / "install.json").unlink()
    (tmp_path / "install.json").mkdir()
    with pytest.raises(ConfigError, match="cannot read"):
        read_state(tmp_path)


def test_a_disk_that_refuses_leaves_the_state_as_it_was(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    one = installed(slots, 1)
    (tmp_path / "install.tmp").mkdir()
    with pytest.raises(DeviceError, match="cannot write"):
        slots.change(lambda state: replace(state, active=None))
    assert slots.state.active_artefact == one
    with pytest.raises(DeviceError, match="cannot write"):
        slots.install(tmp_path / "missing.part", one)


def test_only_the_wanted_artefact_stays_in_staging(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    slots.part("x").write_bytes(b"123")
    slots.part("y").write_bytes(b"12345")
    assert slots.staged_bytes("y") == 5
    slots.clear_staging(keep="y")
    assert (slots.staged_bytes("x"), slots.staged_bytes("y")) == (0, 5)


def test_a_state_folder_serves_one_agent_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "state"
    with (
        claimed(folder),
        pytest.raises(ConfigError, match="another agent works in") as caught,
        claimed(folder),
    ):
        pass
    assert caught.value.exit_code == 2
    with claimed(folder):
        pass


def test_a_state_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    with (
        pytest.raises(ConfigError, match="create it and give it to the agent's user"),
        claimed(blocked / "state"),
    ):
        pass
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "slots").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot write in"):
        Slots(folder)
