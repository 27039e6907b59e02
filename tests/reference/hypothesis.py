"""What decoders make, and what they may ask about a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tests.reference.boxes import Box
from tests.reference.rectangles import Rectangle

Size = tuple[float, float]  # height, width


@dataclass(frozen=True)
class Hypothesis:
    """One label at one region of the network, in the coordinates that the decoder yields."""

    label: int  # row of the spec
    score: np.float32
    region: int
    column: int  # of the score tensor
    box: Box | None  # corners, float32; None for a classification
    logits: tuple[float, ...]  # what the score was computed from
    rectangle: Rectangle | None = None  # of an oriented box, which `box` encloses

    @property
    def corners(self) -> Box:
        """The box of a detection's hypothesis."""
        assert self.box is not None
        return self.box


Images = list[list[Hypothesis]]


@dataclass(frozen=True)
class Call:
    """What a decoder may ask about a call, beside its tensors."""

    label_ids: Sequence[int]
    size_of: Callable[[int], Size | None]  # of an image's input, in pixels; None: coordinates are normalized
    batch_size: int | None  # as the call or its transforms say

    @property
    def labels(self) -> int:
        """Number of labels."""
        return len(self.label_ids)

    def sized(self, image: int) -> Size:
        """Return the size of an image's input, for kinds that cannot do without."""
        size = self.size_of(image)
        assert size is not None
        return size


def rank(one: Hypothesis) -> tuple[float, int, int, int]:
    """Order by score descending, then label row, then candidate index."""
    return -float(one.score), one.label, one.region, one.column
