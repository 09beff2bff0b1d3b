"""Signals while the command starts: from the first line of the package on, Ctrl-C and SIGTERM end it in one line.

Nothing is under way yet, so nothing is raised: an exception inside an import becomes a traceback, or an abort where the
import is one of C++ code. `interruption.listen` takes over when the command is loaded. Only the command itself does
this: where a program imports the package, its signals are its own. What comes before (the interpreter's own start, some
hundredths of a second) is Python's, which ends it by the signal or with a traceback.

It imports nothing that Python has not loaded by itself: `signal` and `words` would take as long as all that is before.
"""

from __future__ import annotations

import os
import sys

SAID = b"interrupted; the same command goes on from here\n"
"""`words.INTERRUPTED`"""
STATUS = 130
"""`words.INTERRUPTED_STATUS`"""
SIGINT, SIGTERM, SIG_IGN = 2, 15, 1


def is_command() -> bool:
    """Whether this process is `autointerp`, or `python -m autointerp`."""
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    if name == "-m":
        return any(sys.orig_argv[i : i + 2] == ["-m", "autointerp"] for i in range(len(sys.orig_argv)))
    return name in ("autointerp", "autointerp.exe", "autointerp-script.py")


def take_signals() -> None:
    """From here on a signal ends the process with exit status 130; one that is to be ignored stays ignored."""
    core = sys.modules.get("_signal")  # CPython's own part of `signal`
    if core is not None:
        for number in (SIGINT, SIGTERM):
            if core.getsignal(number) != SIG_IGN:
                core.signal(number, end_at_once)


def end_at_once(*_: object) -> None:
    """One line, and the end: no buffers, no threads, no exception that C++ code would meet."""
    os.write(2, SAID)
    os._exit(STATUS)
