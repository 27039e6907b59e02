"""Whether a list of detections was cut: at so many of an image, or at a score.

What was cut is not there, and average precision is of what is there: both are only said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from postproc.schema.problems import counted

_LOWEST = 0.001  # where average precision is usually measured from
_ROUNDED = 0.0015  # what is written as 0.001
_LEAST_TOP = 10  # fewer of an image are no limit
_USUAL_TOPS = frozenset((100, 200, 250, 300, 500, 900, 1000))  # of COCO, ultralytics, and queries of DETRs


@dataclass(frozen=True, slots=True)
class CutLists:
    """What a list of detections looks as if it was cut at.

    Parameters
    ----------
    top : int or None
        The most detections of an image, where so many images have exactly that many that it is a limit.
    full : int
        How many images have as many.
    bound : float or None
        The highest of the lowest scores of these images: what scores below may be lacking there.
    floor : float or None
        The lowest score, where it is above 0.001.
    """

    top: int | None = None
    full: int = 0
    bound: float | None = None
    floor: float | None = None

    @classmethod
    def of(cls, images: NDArray[np.int64], scores: NDArray[np.floating]) -> CutLists:
        """Look at the image and the score of each detection, (N,)."""
        if not len(scores):
            return cls()
        counts = np.bincount(images)
        top = int(counts.max())
        full = int((counts == top).sum())
        lowest = float(scores.min())
        floor = lowest if lowest > _ROUNDED else None
        # Where nothing is cut, few images have the very most, and about as many a little less.
        nearly = int(((counts < top) & (counts >= 0.9 * top)).sum())
        is_limit = top in _USUAL_TOPS or (full > 2 and full > 2 * nearly)
        if top < _LEAST_TOP or full < 2 or not is_limit:
            return cls(floor=floor)
        lows = np.full(len(counts), np.inf)
        np.minimum.at(lows, images, scores)
        return cls(top, full, float(lows[counts == top].max()), floor)

    def notes(self, source: str) -> list[str]:
        """Say it."""
        said = []
        if self.top is not None:
            said.append(
                f"{counted(self.full, 'image')} of {source} have exactly {self.top} detections, and none has "
                f"more: the lists seem to be cut at the best {self.top}. What scores below {self.bound:.3g} "
                "may be lacking, and with it AP and AR; write them with a higher limit (ultralytics: max_det)"
            )
        if self.floor is not None:
            said.append(
                f"no detection of {source} scores below {self.floor:.4g}: if they were cut there, AP and AR "
                f"are of a cut list, and lower than they would be from {_LOWEST:g} on (ultralytics: "
                "conf=0.001)"
            )
        return said
