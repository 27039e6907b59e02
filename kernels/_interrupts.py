"""Signals while kernels are compiled: their handlers run between two kernels, not in the middle of one.

A handler may run between any two steps of the main thread. What one raises in a `__del__`, in the callback of
a weak reference or in one that LLVM calls is printed and forgotten, and numba and llvmlite have so many of
these that 1 Ctrl-C of 16 was lost; in a generator of numba it broke every later compilation (measured).
"""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from numba.core import serialize

# numba's code asks for the type of each array that a kernel returns by a function of Python, in which a
# handler may run, and goes on with a null pointer if that raises: Python 3.13 crashed (numba 0.68, measured).
# The same function behind a cache of C's runs none. If a later numba lacks it, tests on the newest tell.
if hasattr(serialize, "_numba_unpickle"):
    serialize._numba_unpickle = functools.lru_cache(maxsize=None)(serialize._numba_unpickle)

Handler = Callable[[int, FrameType | None], Any]

_handlers: dict[int, Handler] = {}
_noted: dict[int, FrameType | None] = {}
_raised: list[Exception] = []


def holding_signals(function: Callable[..., Any], /, *args: Any, **kws: Any) -> Any:
    """Call what compiles and calls `let_signals_through` meanwhile; a second Ctrl-C does not wait for it."""
    if threading.current_thread() is not threading.main_thread() or _handlers:  # no handler runs elsewhere
        return function(*args, **kws)
    try:
        for number in signal.valid_signals():
            handler = signal.getsignal(number)
            # asyncio's does nothing, and to set it again would undo its `siginterrupt`.
            if callable(handler) and getattr(handler, "__module__", None) != "asyncio.unix_events":
                _handlers[number] = handler
                signal.signal(number, _note)
        return function(*args, **kws)
    finally:
        try:
            _restore()
        finally:
            try:
                let_signals_through()
            finally:
                late = _raised[:1]
                _handlers.clear()
                _raised.clear()
        if late:
            raise late[0]


def let_signals_through() -> None:
    """Run the handlers that have waited; numba must be able to bear an exception here.

    A `KeyboardInterrupt` or `SystemExit` ends the compilation. An `Exception` would be taken for one of
    numba's own, and is raised after it.
    """
    interrupt = None
    while _noted and threading.current_thread() is threading.main_thread():
        number, frame = _noted.popitem()
        try:
            _handlers[number](number, frame)
        except Exception as error:
            _raised.append(error)
        except BaseException as error:
            interrupt = interrupt or error
    if interrupt is not None:
        raise interrupt


def _note(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGINT and number in _noted:
        _handlers[number](number, frame)
    _noted[number] = frame


def _restore() -> None:
    try:
        for number, handler in _handlers.items():
            if signal.getsignal(number) is _note:  # a handler may have put another in its place
                signal.signal(number, handler)
    except BaseException:  # of a handler that is in its place already
        _restore()
        raise
