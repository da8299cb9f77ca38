"""How a person is told the log-in of a dashboard that others can reach."""

import sys

from green_edge.cli import render
from green_edge.fleet.access import OPERATOR


def say_log_in(token: str, *, where: str) -> None:
    """Tell the token to a person at a terminal; a log is told only where it is kept.

    A journal is read by others than the operator, and is kept for long.

    Args:
        token: the secret.
        where: what holds it, for who may read that.
    """
    secret = token if sys.stderr.isatty() else f"token in {where}"
    render.say(f"the dashboard asks for a log-in: {OPERATOR}, {secret}")
