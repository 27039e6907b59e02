"""Kernels compiled before the first image asks for them, which would wait for up to a minute."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterable
from contextlib import suppress

from postproc.pipeline import PostProcessor

logger = logging.getLogger(__name__)

_MOST = 256  # calls of `add` that wait; more are left to their first image


class Warmer:
    """Warms post-processors up, one after the other, in a thread of its own."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Iterable[PostProcessor] | None] = queue.Queue(_MOST)
        self._left = 0
        self._lock = threading.Lock()
        self._is_open = True
        self._thread = threading.Thread(target=self._work, name="postproc-warm", daemon=True)

    @property
    def is_idle(self) -> bool:
        """Whether all kernels that were asked for are there."""
        return self._left == 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def add(self, posts: Iterable[PostProcessor]) -> None:
        """Warm post-processors up, later, each as the thread comes to it; never waits."""
        with self._lock:
            try:
                self._waiting.put_nowait(posts)
            except queue.Full:
                return
            self._left += 1

    def stop(self) -> None:
        """End; a kernel that is being compiled is left behind."""
        self._is_open = False
        with suppress(queue.Full):  # where it is full, the thread sees at its next turn that it is closed
            self._waiting.put_nowait(None)

    def _work(self) -> None:
        while (posts := self._waiting.get()) is not None and self._is_open:
            try:
                for post in posts:
                    if not self._is_open:
                        return
                    self._warm(post)
            except Exception:  # what gives them failed
                logger.exception("post-processors that should be warmed up could not be read")
            with self._lock:
                self._left -= 1

    def _warm(self, post: PostProcessor) -> None:
        try:
            post.warmup()
        except Exception:  # an image that needs the kernel will tell
            logger.exception("a post-processor could not be warmed up")
