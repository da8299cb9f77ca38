"""Ending on a signal: from the keyboard, from `kill`, from a closed terminal."""

import signal
import threading


def stop_event() -> threading.Event:
    """Event that SIGINT, SIGTERM and SIGHUP set; to be called in the main thread, before work."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    return stop
