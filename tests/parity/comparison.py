"""Whether two results are the same, and what of them cannot be said to be one or the other.

A *near tie* is a decision that the last bit of an arithmetic takes: a Jaccard index at the threshold, a score
at its threshold, two scores that are equal. Images in which peers may decide otherwise are left out, rows of
equal scores are compared in any order among themselves; both are counted, and the tests assert that they
are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc import Detections, Recognitions

BOX_TOLERANCE = 1e-3  # pixels
SCORE_TOLERANCE = 1e-6
_RELATIVE_TIE = 3e-6  # peers' float32 softmaxes of a thousand labels are off by 2e-6, measured


@dataclass(frozen=True)
class Rows:
    """Labels (K,), scores (K,) and boxes (K, 4), corners in pixels, of an image."""

    labels: NDArray[Any]
    scores: NDArray[np.float32]
    boxes: NDArray[np.float32]

    def take(self, rows: Any) -> Rows:
        return Rows(self.labels[rows], self.scores[rows], self.boxes[rows])

    def __len__(self) -> int:
        return len(self.scores)


def rows_of(results: Recognitions, sizes: Sequence[tuple[int, int]]) -> list[Rows]:
    """Return ours, image by image, in pixels of images of these (height, width)."""
    (found,) = results.outputs
    assert isinstance(found, Detections)
    assert len(found) == len(sizes)
    boxes = found.to_pixels(sizes)
    spans = zip(found.offsets[:-1], found.offsets[1:], strict=True)
    return [Rows(found.labels, found.scores, boxes).take(slice(*span)) for span in spans]


def assert_same(
    found: Rows, expected: Rows, most: int | None = None, score_tolerance: float = SCORE_TOLERANCE
) -> int:
    """Check that two results are equal, row by row; return how many rows were left out.

    Rows of (nearly) equal scores may be in any order. Where results are cut at `most`, those of the last
    score, one at least, are left out: which of them come first is each library's own affair. A tolerance
    of 0 asks for equal scores, to the bit.
    """
    assert len(found) == len(expected), f"{len(found)} rows, the peer has {len(expected)}"
    gap = _RELATIVE_TIE if score_tolerance else 0.0
    is_next = expected.scores[1:] < expected.scores[:-1] * np.float32(1 - gap)
    groups = np.concatenate([[0], np.cumsum(is_next)]).astype(np.int64)[: len(expected)]
    left_out = 0
    if most is not None and len(expected) == most:
        left_out = int((groups == groups[-1]).sum())
    found, expected = (
        rows.take(np.lexsort((*np.round(8 * rows.boxes.T), rows.labels, groups))[: len(groups) - left_out])
        for rows in (found, expected)
    )
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=score_tolerance)
    np.testing.assert_allclose(found.boxes, expected.boxes, rtol=0, atol=BOX_TOLERANCE)
    return left_out


def near_ties(
    candidates: Rows,
    iou_threshold: float,
    margin: float = 1e-6,
    threshold: float | None = None,
    agnostic: bool = False,
) -> int:
    """Count the decisions about candidates of an image that another arithmetic may take otherwise.

    Pairs of a label whose Jaccard index is within `margin` of its threshold; with `threshold`, for scores
    that peers compute otherwise, also scores that are within some bits of it, or of another one of a box
    that they overlap.
    """
    ties = 0
    labels = np.zeros_like(candidates.labels) if agnostic else candidates.labels
    for label in np.unique(labels):
        group = candidates.take(labels == label)
        overlaps = jaccard(group.boxes.astype(np.float64))
        ties += int(np.triu(np.abs(overlaps - iou_threshold) < margin, 1).sum())
        if threshold is not None:
            scores = group.scores.astype(np.float64)
            gaps = np.abs(scores[:, None] / scores - 1)
            ties += int(np.triu((gaps < _RELATIVE_TIE) & (overlaps > iou_threshold - margin), 1).sum())
            ties += int((np.abs(scores / threshold - 1) < _RELATIVE_TIE).sum())
    return ties


def jaccard(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Jaccard indices (N, N) of boxes (N, 4)."""
    sides = np.minimum(boxes[:, None, 2:], boxes[:, 2:]) - np.maximum(boxes[:, None, :2], boxes[:, :2])
    shared = np.maximum(sides, 0).prod(axis=2)
    areas = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1)
    union = areas[:, None] + areas - shared
    result: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return result
