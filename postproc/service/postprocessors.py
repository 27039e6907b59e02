"""The post-processors in use: one a version, built once."""

from __future__ import annotations

import threading
from collections import OrderedDict

from postproc.pipeline import PostProcessor
from postproc.service.store.versions import WholeVersion

_KEPT = 256


class PostProcessors:
    """The post-processors of the versions that were used last; from many threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, PostProcessor] = OrderedDict()

    def of(self, whole: WholeVersion) -> PostProcessor:
        """Return the post-processor of a version; a version never changes, and nor do its spec's outputs."""
        identifier = whole.version.id
        with self._lock:
            post = self._kept.get(identifier)
            if post is not None:
                self._kept.move_to_end(identifier)
                return post
        post = PostProcessor(
            {"outputs": whole.spec.outputs}, {"post_processings": whole.version.post_processings}
        )
        with self._lock:
            self._kept[identifier] = post
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return post
