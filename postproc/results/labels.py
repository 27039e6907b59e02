"""The labels that rows of results refer to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.lazy import lazy

# Characters that a NumPy array of names may take, four bytes each: it has room for the longest everywhere.
_MOST_CHARACTERS = 1 << 20


@dataclass(frozen=True, eq=False)
class LabelTable:
    """The labels that rows of results refer to.

    Parameters
    ----------
    ids : (L,) int64
    names : tuple of str
    thresholds : tuple of float
    """

    ids: NDArray[np.int64]
    names: tuple[str, ...]
    thresholds: tuple[float, ...]

    @lazy
    def name_array(self) -> NDArray[Any]:
        """Names (L,) as text, or as objects where text would take much memory."""
        longest = max(map(len, self.names), default=0)
        return np.array(self.names, str if longest * len(self.names) <= _MOST_CHARACTERS else object)

    def replaced(self, thresholds: float | tuple[float, ...] | None) -> LabelTable:
        """Return the labels with other thresholds, if there are any: one for all, or one per label."""
        if thresholds is None:
            return self
        each = thresholds if isinstance(thresholds, tuple) else (thresholds,) * len(self.names)
        return LabelTable(self.ids, self.names, tuple(map(float, each)))
