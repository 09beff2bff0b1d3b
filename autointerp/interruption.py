"""Ctrl-C and SIGTERM, at whatever moment: one line, exit status 130, and the same command goes on.

A signal reaches Python's code as KeyboardInterrupt, but not always its end: DuckDB makes a RuntimeError of it, a
child process that it ends a failed copy. So the signal itself is remembered: whatever a command ends with after
`asked()`, it was interrupted.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from types import FrameType

from autointerp.starting import end_at_once
from autointerp.words import INTERRUPTED_STATUS


class _Signals:
    """What has come so far."""

    asked = False
    lost = False
    """Whether the exception ended where Python only notes exceptions (a `__del__`), and is raised again."""


_signals = _Signals()


def listen() -> None:
    """From here on signals are remembered; the second one ends the process at once, as a kill would.

    A signal that this process was started to ignore (`nohup`) stays ignored.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    sys.unraisablehook = _on_unraisable


def stop_listening() -> None:
    """The work is done: from here on a signal ends the process as it ends any other."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is _on_signal:
            signal.signal(number, signal.SIG_DFL)


def asked() -> bool:
    """Whether this process has been asked to end."""
    return _signals.asked


def leave() -> None:
    """Ends the process with INTERRUPTED_STATUS.

    Not by `sys.exit`, which waits for some threads and ends others in the midst of C++ code, which then aborts.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            continue
    os._exit(INTERRUPTED_STATUS)


def _on_signal(_number: int, frame: FrameType | None) -> None:
    if (_signals.asked and not _signals.lost) or _imports(frame):
        end_at_once()
    _signals.asked, _signals.lost = True, False
    raise KeyboardInterrupt


def _imports(frame: FrameType | None) -> bool:
    """Whether a module is being loaded: C++ code that meets an exception there aborts. Nothing is lost by ending at
    once: what a store holds survives a kill, and what is being loaded is not in use yet."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib._bootstrap"):
            return True
        frame = frame.f_back
    return False


def _send_again() -> None:
    time.sleep(0.05)  # past the hook, in which the exception would be lost once more
    _signals.lost = True
    os.kill(os.getpid(), signal.SIGINT)


def _on_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    if _signals.asked and issubclass(unraisable.exc_type, KeyboardInterrupt):
        _thread.start_new_thread(_send_again, ())
    elif not _signals.asked:
        sys.__unraisablehook__(unraisable)
