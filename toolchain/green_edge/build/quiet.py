"""Keeps the runtime's greeting out of the terminal."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from green_edge_agent.runtime.interpreter import load

_STDERR = 2


def greet_unheard(model: bytes) -> None:
    """Load a model once so that the runtime says `INFO: Created ... delegate` to nobody.

    Its C++ code prints that to descriptor 2 at the first model of a process, in the midst of a
    progress line, and knows no setting against it.

    Raises:
        ModelError: the model cannot be loaded.
    """
    with _silent(_STDERR):
        load(model)


@contextmanager
def _silent(descriptor: int) -> Iterator[None]:
    kept = os.dup(descriptor)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, descriptor)
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(nowhere)
