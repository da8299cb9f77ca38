"""In place of the Edge TPU's process: one that says what no sound process says.

`make_evil` has Python run it, by a `sitecustomize` on PYTHONPATH, so that everything on the agent's
side is as it is. What it says is a word in a file, see `_ANSWERS`.
"""

import os
import socket
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from green_edge_agent.runtime import interpreter
from green_edge_agent.runtime.edgetpu import messages
from green_edge_agent.runtime.edgetpu.messages import Gone, Kind, Loaded
from green_edge_wire import codec
from support.tiny_models import tiny_int8_dense

_CHILD = "green_edge_agent.runtime.edgetpu.child"
_HEAD = struct.Struct("<BI")
_MOST = 0xFFFFFFFF
_ANSWERS = {
    "short": _HEAD.pack(Kind.ANSWER, 3) + b"abc",
    "empty": _HEAD.pack(Kind.ANSWER, 0),
    "long": _HEAD.pack(Kind.ANSWER, 50) + bytes(50),
    "kind": _HEAD.pack(99, 0),
    "loaded": _HEAD.pack(Kind.LOADED, 2) + b"{}",
    "huge": _HEAD.pack(Kind.ANSWER, _MOST) + bytes(1000),
    "slow-clock": _HEAD.pack(Kind.ANSWER, 11) + b"\xff" * 8 + bytes(3),
    "drip": _HEAD.pack(Kind.ANSWER, 11),
}
_DESCRIPTIONS = {
    "load-garbage": _HEAD.pack(Kind.LOADED, 3) + b"\xff\xfe{",
    "load-huge": _HEAD.pack(Kind.LOADED, _MOST),
}


def make_evil(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have every child from now on be this one; returns the file for the word."""
    site = folder / "evil-site"
    site.mkdir(exist_ok=True)
    word = folder / "evil"
    (site / "sitecustomize.py").write_text(
        "import sys\n"
        f"if {_CHILD!r} in sys.orig_argv:\n"
        f"    sys.path.append({str(Path(__file__).parents[1])!r})\n"
        "    from support.edgetpu_evil_child import main\n"
        f"    main(int(sys.orig_argv[-1]), {str(word)!r})\n",
        encoding="utf-8",
    )
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(site), before])))
    return word


def main(descriptor: int, word: str) -> None:
    """Talk until the other side closes."""
    says = Path(word).read_text(encoding="utf-8").strip()
    with socket.socket(fileno=descriptor) as channel, suppress(Gone, OSError):
        _talk(channel, says)
    sys.stderr.flush()
    os._exit(0)


def _talk(channel: socket.socket, says: str) -> None:
    messages.send(channel, Kind.READY)
    messages.receive(channel)
    net = interpreter.load(tiny_int8_dense(seed=1))
    loaded = Loaded("a runtime", "a library", net.inputs, net.outputs)
    description = codec.dumps(loaded).encode()
    head = _HEAD.pack(Kind.LOADED, len(description))
    channel.sendall(_DESCRIPTIONS.get(says, head + description))
    while True:
        messages.receive(channel)
        channel.sendall(_ANSWERS[says])
        while says == "drip":
            time.sleep(0.1)
            channel.sendall(b"\0")
