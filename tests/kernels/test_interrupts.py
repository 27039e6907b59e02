"""Signals while kernels are compiled: what their handlers raise is raised, whenever they arrive."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from numba.core import config

from postproc.kernels._interrupts import holding_signals, let_signals_through

pytestmark = pytest.mark.skipif(os.name == "nt", reason="timers and signals of POSIX")

# Compiles a kernel a moment, and interrupts it there: the interrupt is raised, and the next call is right.
PROGRAM = """
import signal, time
import numpy as np
from postproc.kernels._jit import kernel

def new_kernel(factor):
    scope = {"__name__": "postproc.kernels.made"}
    exec(f"def made{factor}(values, limit):\\n"
         f"    total = 0.0\\n"
         f"    for value in values:\\n"
         f"        if value > limit: total += value * {factor}\\n"
         f"    return total, values.copy()", scope)
    return kernel(scope[f"made{factor}"])

armed, arrived = [], []
def interrupt(*_):
    if armed:
        arrived.append(1)
        raise KeyboardInterrupt

values = np.ones(5, np.float32)
new_kernel(0)(values, 0.5)  # loads what numba needs
start = time.perf_counter()
new_kernel(1)(values, 0.5)
seconds = time.perf_counter() - start
signal.signal(signal.SIGALRM, interrupt)
for moment in range(MOMENTS):
    made = new_kernel(moment + 2)
    arrived.clear()
    raised = False
    try:
        armed.append(1)
        signal.setitimer(signal.ITIMER_REAL, seconds * (moment + 0.5) / MOMENTS)
        made(values, 0.5)
        armed.clear()
    except KeyboardInterrupt:
        raised = True
    armed.clear()
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert raised == bool(arrived), f"moment {moment}: lost"
    total, _ = made(values, 0.5)
    assert total == 5 * (moment + 2)
"""


@pytest.mark.needs_numba
@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled: NUMBA_DISABLE_JIT")
def test_interrupt_at_any_moment_of_a_compilation_is_raised(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("MOMENTS", "80")],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@contextlib.contextmanager
def handling(number: int, handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)


class Interrupting:
    """Garbage, such as llvmlite's: what a handler raises in its `__del__` is printed and forgotten."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_interrupt_in_a_destructor_is_raised_at_the_end() -> None:
    seen: list[str] = []
    with handling(signal.SIGINT, signal.default_int_handler):
        with pytest.raises(KeyboardInterrupt):
            holding_signals(lambda: seen.append(f"{Interrupting() and 1}"))
        assert seen == ["1"]


def test_interrupt_is_raised_where_signals_are_let_through() -> None:
    seen: list[str] = []

    def compile_two() -> None:
        signal.raise_signal(signal.SIGINT)
        seen.append("first")
        let_signals_through()
        seen.append("second")

    with handling(signal.SIGINT, signal.default_int_handler), pytest.raises(KeyboardInterrupt):
        holding_signals(compile_two)
    assert seen == ["first"]


def test_second_interrupt_does_not_wait() -> None:
    seen: list[str] = []

    def compile_long() -> None:
        signal.raise_signal(signal.SIGINT)
        seen.append("first")
        signal.raise_signal(signal.SIGINT)
        seen.append("second")

    with handling(signal.SIGINT, signal.default_int_handler), pytest.raises(KeyboardInterrupt):
        holding_signals(compile_long)
    assert seen == ["first"]


def test_exception_of_a_handler_is_not_taken_for_one_of_numba() -> None:
    def late(*_: object) -> None:
        raise TimeoutError("too late")

    def compile_with_a_guard() -> None:
        signal.raise_signal(signal.SIGALRM)
        with contextlib.suppress(Exception):  # as numba tries one typing of a call after the other
            let_signals_through()

    with handling(signal.SIGALRM, late), pytest.raises(TimeoutError, match="too late"):
        holding_signals(compile_with_a_guard)


def test_every_signal_that_waits_is_handled_though_one_raises() -> None:
    seen: list[int] = []

    def two_signals() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGUSR1)

    with (
        handling(signal.SIGUSR1, lambda number, _: seen.append(number)),
        handling(signal.SIGINT, signal.default_int_handler),
        pytest.raises(KeyboardInterrupt),
    ):
        holding_signals(two_signals)
    assert seen == [signal.SIGUSR1]


def test_handler_that_puts_another_in_its_place_is_obeyed() -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: signal.signal(signal.SIGUSR1, signal.SIG_IGN))
    try:
        holding_signals(lambda: (signal.raise_signal(signal.SIGUSR1), let_signals_through()))
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGUSR1, before)
