"""Run a program that ends when its parent does: `guard.py PARENT_PID PROGRAM ARGUMENT...`.

Even a parent that is killed outright then leaves no broker behind that would hold the port. Runs
as a script with the standard library only, and becomes the program (same process id).
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> None:
    """Ask the kernel for SIGTERM at the parent's death, then become the program."""
    parent, program = int(arguments[0]), arguments[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent process has already ended")
    os.execv(program[0], program)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
