"""Calls that a signal or the end of the process cuts short."""

from __future__ import annotations

import atexit
import sys
import threading
import time
from types import CodeType, FrameType
from typing import NoReturn

LONGEST_WAIT = 10.0  # seconds that the end of a process waits for calls of its daemon threads

is_ending = False
_guarded: set[CodeType] = set()


def guard(code: CodeType) -> None:
    """Let the end of the process wait for frames of a function in daemon threads."""
    _guarded.add(code)


def hold_daemons() -> None:
    """Never return, where the process ends and this is a daemon thread.

    A kernel that takes the GIL back from an interpreter that has gone aborts the process up to Python 3.13:
    the thread is unwound through frames of C++ (CPython issue 87135).
    """
    thread = threading.current_thread()
    if thread.daemon and thread is not threading.main_thread():
        _hold()


def _hold() -> NoReturn:
    while True:
        time.sleep(3600.0)


def _end() -> None:
    """Wait for the calls that daemon threads are in; those of other threads have ended before."""
    global is_ending
    is_ending = True
    end = time.monotonic() + LONGEST_WAIT
    while _has_calls() and time.monotonic() < end:
        time.sleep(0.001)


def _has_calls() -> bool:
    own = threading.get_ident()
    return any(_is_in_call(frame) for ident, frame in sys._current_frames().items() if ident != own)


def _is_in_call(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code is not _hold.__code__:
        if frame.f_code in _guarded:
            return True
        frame = frame.f_back
    return False


def cause_of(error: BaseException) -> BaseException:
    """Exception of a signal handler that came out of a kernel as a SystemError.

    numba runs a little Python to return an array, and does not look whether a handler has raised in it.
    """
    while isinstance(error, SystemError) and error.__cause__ is not None:
        error = error.__cause__
    return error


atexit.register(_end)
