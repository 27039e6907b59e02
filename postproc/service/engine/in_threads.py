"""Threads of the service's own, for steps of requests."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

Result = TypeVar("Result")


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


async def in_thread(executor: Executor, function: Callable[..., Result], *arguments: object) -> Result:
    """Call a function in a thread.

    Where the caller is cancelled, it is told so once the function has ended: what it holds for the function,
    such as memory, is in use until then.
    """
    run = contextvars.copy_context().run  # ids for the log, and the span
    future = asyncio.get_running_loop().run_in_executor(executor, run, function, *arguments)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                continue
        if not future.cancelled():
            future.exception()  # asked for, so that asyncio does not log it
        raise
