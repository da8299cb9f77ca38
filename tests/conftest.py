"""Settings of the whole suite."""

import signal

import pytest
from hypothesis import settings

# The same examples in every run, and no per-example deadline: a loaded machine is not a bug.
settings.register_profile("suite", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("suite")


@pytest.fixture(autouse=True, scope="session")
def _hear_signals() -> None:
    """A suite started in the background is born deaf to SIGINT, and so would be its children."""
    for number, action in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, action)
