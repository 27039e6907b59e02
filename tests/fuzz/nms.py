"""NMS of plain boxes, as `postproc.ops` has it: from a handful, past every size at which the way changes.

The pipeline's own cases do not come by its grid, which thousands of boxes go to.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from postproc import ops
from tests import reference
from tests.fuzz.checks import EQUAL

KIND = "nms"
COUNTS = (0, 1, 2, 19, 20, 21, 60, 200, 511, 512, 513, 800, 1023, 1024, 1025, 2000)
THRESHOLDS = (0.5, 0.3, 0.0, 1 / 3, 0.7, 0.9, 1.0)
FEW = 60  # as many as the reference compares one by one


class Boxes(NamedTuple):
    """What `ops.batched_nms` takes."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    groups: NDArray[Any]
    threshold: float


def draw_boxes(seed: int) -> Boxes:
    """Return the boxes of a seed: some tied, equal, empty, flipped, huge, tiny or not finite."""
    rng = np.random.default_rng([seed, 3])
    count = int(rng.choice(COUNTS))
    places = int(rng.choice([1, 5, 200]))
    centres = rng.uniform(0, 1, (places, 2))[rng.integers(0, places, count)]
    centres += rng.normal(0, rng.choice([0.0, 0.01, 0.3]), (count, 2))
    half = np.exp(rng.uniform(np.log(rng.choice([0.001, 0.02])), np.log(rng.choice([0.03, 0.3])), (count, 2)))
    boxes = np.concatenate([centres - half, centres + half], axis=1)
    if rng.random() < 0.5:  # Jaccard indices that meet simple thresholds exactly
        boxes = np.round(boxes * 64) / 64
    boxes = boxes.astype(np.float32) * np.float32(rng.choice([1, 640, 1e-30, 1e17, 1e-3]))
    if rng.random() < 0.3:
        boxes += np.float32(rng.choice([1e3, -1e6, 0.5]))
    if rng.random() < 0.5 and count:
        boxes = np.where(rng.random((count, 1)) < 0.1, boxes[rng.integers(0, count, count)], boxes)
        boxes = np.where(rng.random((count, 1)) < 0.05, boxes[:, rng.permutation(4)], boxes)
    if rng.random() < 0.3:
        odd = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, 0.0, -0.0], np.float32)
        boxes = np.where(rng.random((count, 4)) < 0.02, rng.choice(odd, (count, 4)), boxes)
    scores = rng.random(count) if rng.random() < 0.5 else rng.integers(0, 9, count) / 8
    scores[rng.random(count) < rng.choice([0, 0.1, 1], p=[0.6, 0.39, 0.01])] = np.nan
    if rng.random() < 0.1:
        scores[rng.random(count) < 0.1] = rng.choice([np.inf, -np.inf])
    groups = rng.integers(0, rng.choice([1, 3, 80, 5000]), count) * int(rng.choice([1, -1, 10**15]))
    threshold = float(rng.choice(THRESHOLDS))
    if rng.random() < 0.3 and count > 1:  # the very index of two boxes, where the last bit decides
        overlaps = overlaps_of(boxes[0], boxes)
        overlaps = overlaps[(overlaps > 0) & (overlaps <= 1)]
        threshold = float(rng.choice(overlaps)) if len(overlaps) else threshold
    return Boxes(boxes.astype(np.float32), scores.astype(np.float32), groups, threshold)


def check_nms(seed: int) -> str:
    """Compare `ops.nms` and `ops.batched_nms` with plain NumPy, and of few boxes with the reference."""
    boxes, scores, groups, threshold = draw_boxes(seed)
    before = boxes.tobytes(), scores.tobytes(), groups.tobytes()
    alone = ops.nms(boxes, scores, threshold)
    grouped = ops.batched_nms(boxes, scores, groups, threshold)
    assert before == (boxes.tobytes(), scores.tobytes(), groups.tobytes())
    one = np.zeros(len(scores), np.int64)
    assert_array_equal(alone, greedy(boxes, scores, one, threshold), strict=True)
    assert_array_equal(grouped, greedy(boxes, scores, groups, threshold), strict=True)
    if len(scores) <= FEW and np.isfinite(boxes).all():
        assert_array_equal(grouped, reference.batched_nms(boxes, scores, groups, threshold), strict=True)
    return EQUAL


def greedy(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], groups: NDArray[Any], threshold: float
) -> NDArray[np.int64]:
    """Return the rows kept: each one drops, in one go, all of its group that overlap it."""
    dropped = np.isnan(scores)
    rows = []
    for row in np.argsort(-scores, kind="stable"):
        if not dropped[row]:
            rows.append(row)
            dropped |= (groups == groups[row]) & (overlaps_of(boxes[row], boxes) > np.float32(threshold))
    return np.array(rows, np.int64)


def overlaps_of(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the Jaccard indices of a box with others, every step in float32; 0 where one has no area."""
    with np.errstate(all="ignore"):
        near, far = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
        shared = np.maximum(far - near, np.float32(0)).prod(axis=1)
        area, areas = area_of(box[np.newaxis])[0], area_of(others)
        ratios = shared / ((area + areas) - shared)
    return np.where((area > 0) & (areas > 0), ratios, np.float32(0))


def area_of(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.where((sides > 0).all(axis=1), sides[:, 0] * sides[:, 1], np.float32(0))
