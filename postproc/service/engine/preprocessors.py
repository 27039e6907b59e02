"""The preprocessors of the networks in use, whose means are read once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from postproc.images import Preprocessor
from postproc.service.work import NetworkFiles

_MOST = 256
_MOST_MEANS = 256 << 20  # bytes of theirs; a single one may have more


class Preprocessors:
    """Those of the networks that were used last, as far as their means are small; from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loading = threading.Lock()  # for means: each takes three times its memory meanwhile
        self._kept: OrderedDict[tuple[int | str, Path], Preprocessor] = OrderedDict()

    def of(self, network: NetworkFiles) -> Preprocessor:
        """Return the preprocessor of a network.

        Raises
        ------
        PostprocError
            If its files cannot be read.
        """
        kept = self._known(network)
        if kept is not None:
            return kept
        if not any(item.image is not None and item.image.mean_file for item in network.preprocessing.inputs):
            return self._keep(network)
        with self._loading:
            kept = self._known(network)  # another thread may have read it meanwhile
            return self._keep(network) if kept is None else kept

    def forget(self, network_id: int | str) -> None:
        """Drop that of a network that was deleted."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == network_id]:
                del self._kept[key]

    def _known(self, network: NetworkFiles) -> Preprocessor | None:
        key = network.id, network.model
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _keep(self, network: NetworkFiles) -> Preprocessor:
        """Make a preprocessor, keep it, and drop those that were used least recently beyond the limits."""
        preprocessor = Preprocessor(network.preprocessing, network.folder)
        with self._lock:
            self._kept[network.id, network.model] = preprocessor
            size = sum(item.nbytes for item in self._kept.values())
            while len(self._kept) > 1 and (len(self._kept) > _MOST or size > _MOST_MEANS):
                _, dropped = self._kept.popitem(last=False)
                size -= dropped.nbytes
        return preprocessor
