"""Threads that share the images of a batch."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, TypeVar

Part = TypeVar("Part")


class Workers:
    """A pool of threads for kernels that release the GIL: made on first use, and again after a fork.

    Parameters
    ----------
    count : int
        How many threads share a batch; with one there is no pool.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._process = 0

    def run(
        self, function: Callable[[int, int], Part], size: int, join: Callable[[list[Part]], Part]
    ) -> Part:
        """Call ``function(start, stop)`` on ranges that make up ``range(size)``, and join the results."""
        count = min(self._count, size)
        if count <= 1:
            return function(0, size)
        bounds = [size * index // count for index in range(count + 1)]
        # The caller's thread takes the first range: it would only wait otherwise.
        pool = self._executor()
        others = [pool.submit(function, start, stop) for start, stop in pairwise(bounds[1:])]
        first = function(bounds[0], bounds[1])
        return join([first, *(future.result() for future in others)])

    def _executor(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None or self._process != os.getpid():
                # The threads of a parent process do not live on in its fork.
                self._pool = ThreadPoolExecutor(self._count - 1, thread_name_prefix="postproc")
                self._process = os.getpid()
            return self._pool

    def __reduce__(self) -> tuple[Any, ...]:
        return Workers, (self._count,)
