"""The stores that keep the contract of `green_edge.telemetry.store`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from green_edge.telemetry.opening import open_store
from green_edge.telemetry.store import Store
from support.memory_store import MemoryStore

Opener = Callable[[], Store]


@pytest.fixture(params=["sqlite", "memory"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Open the same store, as another process would."""
    if request.param == "memory":
        memory = MemoryStore()
        return lambda: memory
    return lambda: open_store(f"sqlite://{tmp_path}/fleet.db")


@pytest.fixture
def store(opener: Opener) -> Iterator[Store]:
    opened = opener()
    yield opened
    opened.close()
