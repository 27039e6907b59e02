"""Networks that hang or crash again and again, which are held back."""

from __future__ import annotations

import threading
from collections.abc import Hashable

MOST_STRIKES = 3  # in a row


class Strikes:
    """Counts the calls of networks that hung or crashed one after the other; from many threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Hashable, int] = {}

    @property
    def held(self) -> int:
        """How many networks are held back."""
        with self._lock:
            return sum(count >= MOST_STRIKES for count in self._counts.values())

    def is_held(self, network_id: Hashable) -> bool:
        """Tell whether a network is held back."""
        return self._counts.get(network_id, 0) >= MOST_STRIKES

    def add(self, network_id: Hashable) -> bool:
        """Count a call that hung or crashed, and return whether the network is held back from now on."""
        with self._lock:
            self._counts[network_id] = self._counts.get(network_id, 0) + 1
            return self._counts[network_id] == MOST_STRIKES

    def clear(self, network_id: Hashable) -> None:
        """Forget the calls of a network: one ended well, somebody asks for it, or it is gone."""
        with self._lock:
            self._counts.pop(network_id, None)
