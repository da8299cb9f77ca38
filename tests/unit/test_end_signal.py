import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from green_edge.cli.signals import EndSignal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_the_wait_is_not_missed(number: signal.Signals) -> None:
    with EndSignal() as end:
        assert not end.is_set()
        os.kill(os.getpid(), number)
        assert end.wait(10)
        assert end.wait()
        assert end.is_set()


def test_a_signal_that_another_thread_receives_wakes_the_main_thread() -> None:
    def send() -> None:
        time.sleep(0.05)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    with EndSignal() as end:
        sender = threading.Thread(target=send)
        sender.start()
        assert end.wait(10)
        sender.join()


def test_a_wait_ends_at_its_timeout() -> None:
    with EndSignal() as end:
        assert not end.wait(0.01)


def test_afterwards_signals_mean_what_they_meant() -> None:
    before = signal.getsignal(signal.SIGINT)
    with EndSignal():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_hang_up_that_nohup_ignores_stays_ignored() -> None:
    program = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from green_edge.cli.signals import EndSignal, interrupt_on_term\n"
        "interrupt_on_term()\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
        "with EndSignal() as end:\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    assert not end.wait(0.05)\n"
        "try:\n    os.kill(os.getpid(), signal.SIGTERM)\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
