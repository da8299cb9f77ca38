"""What `up` and `dashboard` do around their services."""

import os
import signal
import threading
from contextlib import redirect_stderr
from io import StringIO

import pytest

from green_edge.cli.log_in import say_log_in
from green_edge.cli.signals import EndSignal
from green_edge.cli.up import wait_for_end
from green_edge.fleet.access import OPERATOR
from green_edge_wire.errors import GreenEdgeError


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_up_ends_with_one_line_when_its_collector_has_ended() -> None:
    answers = iter([True, True, False])
    with (
        EndSignal() as end,
        pytest.raises(
            GreenEdgeError, match=r"the collector has ended by itself.*up' again"
        ) as told,
    ):
        wait_for_end(end, lambda: next(answers), step_s=0.01)
    assert told.value.exit_code == 1
    assert "\n" not in str(told.value)


def test_up_ends_quietly_on_a_signal_while_its_collector_works() -> None:
    asked = threading.Event()

    def collecting() -> bool:
        asked.set()
        os.kill(os.getpid(), signal.SIGTERM)
        return True

    with EndSignal() as end:
        wait_for_end(end, collecting, step_s=0.01)
    assert asked.is_set()


def test_the_token_is_not_written_into_a_journal(capsys: pytest.CaptureFixture[str]) -> None:
    say_log_in("s3cret", where="/state/token")
    told = capsys.readouterr().err
    assert "s3cret" not in told
    assert "/state/token" in told


def test_the_token_is_told_to_a_person_at_a_terminal() -> None:
    terminal = Terminal()
    with redirect_stderr(terminal):
        say_log_in("s3cret", where="/state/token")
    assert terminal.getvalue() == f"the dashboard asks for a log-in: {OPERATOR}, s3cret\n"
