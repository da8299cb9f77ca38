"""A command whose packages are not installed names the extra that brings them."""

import subprocess
import sys
from pathlib import Path

import pytest

from green_edge.cli import COMMANDS

# Packages that only extras bring; none of them can be imported in the child.
_WITHOUT = """
import sys
gone = {"numpy", "cryptography", "jinja2", "starlette", "uvicorn", "PIL", "tensorflow", "keras",
        "ai_edge_litert"}
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in gone:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Gone())
"""


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = (
        f"{_WITHOUT}\nfrom {program}.cli import entry\nsys.argv[1:] = {list(arguments)!r}\nentry()"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_bare_install_helps_or_names_the_extra(name: str) -> None:
    ran = run("green_edge", name, "--help")
    if ran.returncode == 0:
        assert ran.stdout.startswith("Usage: ")
        return
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    extra = COMMANDS[name].extra
    assert line.endswith(f"install the extra that has it: pip install 'green-edge[{extra}]'")


def test_the_bare_agent_shows_its_help() -> None:
    assert run("green_edge_agent", "--help").returncode == 0


def test_the_bare_agent_names_the_extra_when_it_should_run(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(
        'site = "home"\ndevice_id = "pi"\nstate_dir = "state"\n[broker]\nurl = "mqtt://127.0.0.1:1"\n'
    )
    ran = run("green_edge_agent", "run", "--config", str(config))
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert "is not installed; install the agent with its runtime" in line
