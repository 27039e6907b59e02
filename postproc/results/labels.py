"""The labels that rows of results refer to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
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

    def replaced(self, thresholds: float | tuple[float, ...] | None) -> LabelTable:
        """Return the labels with other thresholds, if there are any: one for all, or one per label."""
        if thresholds is None:
            return self
        each = thresholds if isinstance(thresholds, tuple) else (thresholds,) * len(self.names)
        return LabelTable(self.ids, self.names, tuple(map(float, each)))
