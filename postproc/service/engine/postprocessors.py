"""The post-processors in use: one a version, built once."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from postproc.pipeline import PostProcessor

_KEPT = 256
_KEPT_BYTES = 16 << 20  # of their documents as JSON; they take some twenty times as much


class PostProcessors:
    """Those of the versions that were used last, as far as they are small; from many threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, tuple[PostProcessor, int]] = OrderedDict()

    def of(self, identifier: int, read: Callable[[], tuple[list[Any], list[Any]]]) -> PostProcessor:
        """Return the post-processor of a version; a version never changes, and nor do its spec's outputs.

        Parameters
        ----------
        identifier : int
            Of the version.
        read : callable
            Gives the outputs of its spec, and its post-processings; called where it is not kept.
        """
        with self._lock:
            if identifier in self._kept:
                self._kept.move_to_end(identifier)
                return self._kept[identifier][0]
        outputs, post_processings = read()
        post = PostProcessor({"outputs": outputs}, {"post_processings": post_processings})
        size = len(json.dumps([outputs, post_processings]))
        with self._lock:
            self._kept[identifier] = post, size
            while len(self._kept) > _KEPT or (len(self._kept) > 1 and self._size() > _KEPT_BYTES):
                self._kept.popitem(last=False)
        return post

    def _size(self) -> int:
        return sum(size for _, size in self._kept.values())
