"""Greedy NMS against a naive one in NumPy: few boxes and many, groups, and boxes of every size and place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from postproc.kernels.nms.few import sort_keys
from postproc.kernels.nms.greedy import greedy_nms, rank
from postproc.kernels.nms.spatial_index import lay_grid
from tests.kernels.from_python import from_python
from tests.shares import examples

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

NO_GROUPS = np.empty(0, np.int64)
# On both sides of every size from which another way is taken: 512 boxes without groups, 1,024 with them, and
# whole lanes.
COUNTS = (0, 1, 2, 31, 32, 33, 64, 65, 127, 128, 129, 511, 512, 513, 1023, 1024, 1025, 2600)
SCORES = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan])
THRESHOLDS = (0.0, 0.1, 0.3, 1 / 3, 0.5, 0.7, 0.95, 1.0)


def naive(boxes: Floats, scores: Floats, groups: Rows, threshold: float) -> Rows:
    """Meet boxes best first; each that is still there is kept, and drops what overlaps it in its group."""
    limit = np.float32(threshold)
    x1, y1, x2, y2 = boxes.T
    there = ~np.isnan(scores)
    order = sorted(np.flatnonzero(there).tolist(), key=lambda row: (-scores[row], row))
    kept = []
    with np.errstate(all="ignore"):
        areas = np.where((x2 > x1) & (y2 > y1), (x2 - x1) * (y2 - y1), np.float32(0))
        for row in order:
            if not there[row]:
                continue
            kept.append(row)
            width = np.minimum(x2[row], x2) - np.maximum(x1[row], x1)
            height = np.minimum(y2[row], y2) - np.maximum(y1[row], y1)
            shared = np.maximum(width, np.float32(0)) * np.maximum(height, np.float32(0))
            union = (areas[row] + areas) - shared
            overlaps = np.where(union > 0, shared / union, np.float32(0)) > limit
            there &= ~(overlaps & (groups == groups[row]))
    return np.array(kept, np.int64)


def run(boxes: Floats, scores: Floats, groups: Rows, threshold: float) -> Rows:
    count = int(groups.max(initial=0)) + 1
    rows: Rows = greedy_nms(boxes, scores, groups, 0, count, float(threshold))
    return rows


def assert_equals_naive(boxes: Any, scores: Any, groups: Any, threshold: float) -> None:
    boxes, scores = np.asarray(boxes, np.float32), np.asarray(scores, np.float32)
    in_one = np.zeros(len(boxes), np.int64)
    expected = naive(boxes, scores, in_one, threshold)
    assert_array_equal(run(boxes, scores, NO_GROUPS, threshold), expected, strict=True)
    assert_array_equal(run(boxes, scores, in_one, threshold), expected, strict=True)
    if groups is not None:
        expected = naive(boxes, scores, groups, threshold)
        assert_array_equal(run(boxes, scores, groups, threshold), expected, strict=True)


def corners(rng: np.random.Generator, count: int, style: str) -> NDArray[np.float64]:
    """Boxes around a few places, most of them alike, in a style that is hard on one way or another."""
    centres = rng.uniform(0, 100, (max(1, count // 12), 2))[rng.integers(0, max(1, count // 12), count)]
    centres = centres + rng.normal(0, 2, (count, 2))
    half = rng.uniform(2, 6, (count, 2))
    if style == "integers":  # ties of the Jaccard index with simple thresholds
        centres, half = np.round(centres), np.round(half)
    elif style == "giants":
        half[rng.random(count) < 0.05] *= 40
    elif style == "every size":
        half *= 2 ** rng.uniform(-8, 6, (count, 1))
    elif style == "needles":
        half *= 2 ** rng.uniform(-6, 6, (count, 2))
    boxes = np.concatenate([centres - half, centres + half], axis=1)
    if style == "empty and flipped" and count:
        boxes[rng.random(count) < 0.2, 2] = boxes[0, 0]
        flipped = rng.random(count) < 0.2
        boxes[flipped] = boxes[flipped][:, [2, 3, 0, 1]]
        boxes[rng.random(count) < 0.2] = boxes[0]
    elif style == "far away":
        boxes[rng.random(count) < 0.02] += 1e6
        boxes -= 1e4
    elif style == "tiny":
        boxes *= 10 ** rng.uniform(-23, -21)  # areas among float32's subnormals
    elif style == "huge":
        boxes *= 1e18  # areas about float32's largest
    return boxes


STYLES = (
    "plain", "integers", "giants", "every size", "needles", "empty and flipped", "far away", "tiny", "huge",
)  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("count", COUNTS)
def test_greedy_nms_boxes_of_every_style_equals_naive(count: int, style: str) -> None:
    rng = np.random.default_rng(count)
    boxes = corners(rng, count, style)
    scores = rng.integers(0, 50, count) / 50 if style == "integers" else rng.random(count)
    for threshold in THRESHOLDS if count < 400 else (0.0, 0.3, 0.5, 0.7):
        assert_equals_naive(boxes, scores, rng.integers(0, 2, count), threshold)


@pytest.mark.parametrize("groups", [1, 3, 500, 4000])
def test_greedy_nms_many_groups_equals_naive(groups: int) -> None:
    rng = np.random.default_rng(groups)
    boxes = corners(rng, 4000, "plain")
    assert_equals_naive(boxes[:600], rng.random(600), rng.integers(0, groups, 600), 0.4)
    labels = np.sort(rng.integers(0, groups, 4000))
    scores = rng.random(4000).astype(np.float32)
    expected = naive(boxes.astype(np.float32), scores, labels, 0.4)
    assert_array_equal(run(boxes.astype(np.float32), scores, labels, 0.4), expected)


@pytest.mark.parametrize("count", [20, 100, 128])
@pytest.mark.parametrize("kept", [1, 2, 3, 7, 9, 10, 11])
def test_greedy_nms_few_boxes_equals_naive_however_many_are_kept(kept: int, count: int) -> None:
    """The first few kept are looked for, the others sorted; ties and NaN are among both."""
    rng = np.random.default_rng([kept, count])
    places = rng.integers(0, kept, count) * 10.0
    boxes = np.stack([places, places, places + 5, places + 5], axis=1)
    for levels in (1, 4, 1000):
        scores = rng.integers(0, levels, count) / levels - 0.5
        scores[rng.random(count) < 0.1] = np.nan
        assert_equals_naive(boxes, scores, rng.integers(0, 3, count), 0.5)


@pytest.mark.parametrize("groups", [2, 80, 1500])
def test_greedy_nms_groups_at_the_same_places_equals_naive(groups: int) -> None:
    """Every group has a box at the same few places, as of a network that scores all labels of each box."""
    rng = np.random.default_rng(groups)
    boxes = corners(rng, 3000 // groups + 1, "plain")[np.arange(3000) // groups]
    for threshold in (0.0, 0.5, 1.0):
        assert_equals_naive(boxes, rng.random(3000), np.arange(3000) % groups, threshold)


@examples(150)
@given(
    boxes=st.lists(st.tuples(*[st.integers(-4, 8)] * 4), max_size=24),
    ranks=st.lists(SCORES, min_size=24, max_size=24),
    groups=st.lists(st.integers(0, 2), min_size=24, max_size=24),
    threshold=st.sampled_from(THRESHOLDS),
)
def test_greedy_nms_drawn_boxes_equals_naive(
    boxes: list[tuple[int, ...]], ranks: list[float], groups: list[int], threshold: float
) -> None:
    count = len(boxes)
    table = np.array(boxes, np.float32).reshape(-1, 4)
    assert_equals_naive(table, ranks[:count], np.array(groups[:count], np.int64), threshold)


@pytest.mark.parametrize("count", [2, 100, 200, 3000])
def test_greedy_nms_one_box_many_times_keeps_the_first_of_the_highest(count: int) -> None:
    boxes = np.tile(np.array([1, 2, 3, 4], np.float32), (count, 1))
    scores = np.zeros(count, np.float32)
    scores[[count // 2, count - 1]] = 1
    assert_array_equal(run(boxes, scores, NO_GROUPS, 0.99), [count // 2])
    assert len(run(boxes, scores, NO_GROUPS, 1.0)) == count


@pytest.mark.parametrize("count", [100, 200, 3000])
def test_greedy_nms_jaccard_index_at_the_threshold_is_kept(count: int) -> None:
    """Pairs that share a third: 1 of 3 units."""
    left = np.repeat(np.arange(count // 2) * 4.0, 2)
    left[1::2] += 1
    boxes = np.stack([left, np.zeros(count), left + 2, np.ones(count)], axis=1).astype(np.float32)
    scores = np.arange(count, 0, -1, dtype=np.float32)
    third = float(np.float32(1) / np.float32(3))
    assert len(run(boxes, scores, NO_GROUPS, third)) == count
    below = float(np.nextafter(np.float32(third), np.float32(0)))
    assert_array_equal(run(boxes, scores, NO_GROUPS, below), np.arange(0, count, 2))


@pytest.mark.parametrize("side", range(4), ids=["left", "top", "right", "bottom"])
@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.1, 0.3, 0.45, 0.7])
@pytest.mark.parametrize("unit", [1.0, 4.4e-23], ids=["", "smallest areas"])
def test_greedy_nms_strip_at_a_side_suppresses_where_it_is_large_enough(
    unit: float, threshold: float, side: int
) -> None:
    """A strip of a box is as far from its centre as a box that overlaps it by so much can be.

    The smallest areas are rounded to 0 or to float32's smallest number, and Jaccard indices to 0 or 1.
    """
    rng = np.random.default_rng(side)
    low = rng.uniform(0, 300, (1500, 2))
    whole = np.concatenate([low, low + 1], axis=1)
    strips = whole.copy()
    share = threshold + rng.uniform(-0.1, 0.3, 1500) * max(threshold, 0.1)
    strips[:, (side + 2) % 4] = strips[:, side] + np.where(side < 2, share, -share)
    boxes = np.concatenate([strips, whole]) * unit
    assert_equals_naive(boxes, np.arange(3000, 0, -1), np.repeat([0, 1, 0, 1], 750), threshold)


@pytest.mark.needs_numba
@pytest.mark.parametrize("axis", [0, 1], ids=["x", "y"])
@pytest.mark.parametrize("threshold", [0.1, 0.25, 0.3, 0.5])
def test_greedy_nms_boxes_apart_by_rounding_in_two_cells_equals_naive(threshold: float, axis: int) -> None:
    """A kept box ends just before a cell that a box's core begins in, but float32 has them overlap enough."""
    rng = np.random.default_rng(0)
    low = rng.uniform(-150, 150, (640, 2))
    boxes = np.concatenate([low, low + 1], axis=1).astype(np.float32)
    scores = np.arange(640, 0, -1, dtype=np.float32)
    grid = from_python(lay_grid)(np.ascontiguousarray(boxes.T))
    line = grid[axis] + 9 / grid[2 + axis]  # near the origin: the end of the kept box has the finest steps
    end = np.float32(line)
    end = end if end < line else np.nextafter(end, np.float32(-np.inf))
    suppressed = 0
    for _ in range(3000):
        start = np.float32(line - rng.uniform(4, 15))
        far = float(start) + (line - float(start)) / float(np.float32(threshold))
        far = np.nextafter(np.float32(far), np.float32(np.inf))
        boxes[[1, 2], axis], boxes[[1, 2], 2 + axis] = start, (end, far)
        boxes[[1, 2], 1 - axis], boxes[[1, 2], 3 - axis] = rng.uniform(-4, 0), rng.uniform(1, 4)
        if len(naive(boxes[1:3], scores[1:3], np.zeros(2, np.int64), threshold)) == 1:
            suppressed += 1
            found = run(boxes, scores, NO_GROUPS, threshold)  # the grid is laid by other ranks than 1 and 2
            assert_array_equal(found[found < 3], [0, 1])
    assert suppressed > 10


@pytest.mark.needs_numba
@pytest.mark.parametrize("count", [0, 1, 127, 128, 129, 3000])
def test_rank_orders_by_score_then_row_without_nan(count: int) -> None:
    rng = np.random.default_rng(count)
    scores = (rng.integers(-5, 5, count) / 4).astype(np.float32)
    scores[rng.random(count) < 0.1] = np.nan
    scores[rng.random(count) < 0.1] = -0.0
    scores[rng.random(count) < 0.05] = np.inf
    expected = sorted(np.flatnonzero(~np.isnan(scores)), key=lambda row: (-scores[row], row))
    keys = from_python(sort_keys)(scores)
    assert_array_equal(from_python(rank)(keys), np.array(expected, np.int64), strict=True)
