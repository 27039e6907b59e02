"""`nms_method` soft and weighted against the algorithms as their authors wrote them, in NumPy and doubles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc import PostProcessor, Yolov8Output
from tests.parity import peers
from tests.parity.comparison import Rows, assert_same, jaccard, near_ties, rows_of
from tests.parity.scenes import Size, scene

MOST = 300
CASES = [
    pytest.param(labels, batch, size, id=f"{labels} labels, batch {batch}, {size[0]}x{size[1]}")
    for labels, batch, size in [
        (1, 3, (384, 640)),
        (2, 3, (640, 384)),
        (20, 32, (96, 160)),
        (80, 3, (384, 640)),
        (365, 3, (192, 320)),
        (1203, 1, (192, 320)),
    ]
]
THRESHOLDS = [0.25, 0.02]


def soft_nms(boxes: NDArray[np.float64], scores: NDArray[np.float64], sigma: float, threshold: float) -> Any:
    """Give rows and scores as cpu_soft_nms of Bodla et al. 2017 (arXiv:1704.04503), gaussian, leaves them.

    The published loop: the best of what is left is swapped to place i, the scores of those behind it decay,
    and those that fall below the threshold are swapped to the end and forgotten. But for its pixels that
    are one wider: boxes are continuous here.
    """
    overlaps = jaccard(boxes)
    rows, values, count, place = np.arange(len(boxes)), scores.copy(), len(boxes), 0
    while place < count:
        best = place + int(np.argmax(values[place:count]))
        rows[[place, best]], values[[place, best]] = rows[[best, place]], values[[best, place]]
        other = place + 1
        while other < count:
            overlap = overlaps[rows[place], rows[other]]
            if overlap > 0:
                values[other] *= math.exp(-(overlap * overlap) / sigma)
                if not values[other] > threshold:
                    count -= 1
                    rows[other], values[other] = rows[count], values[count]
                    other -= 1
            other += 1
        place += 1
    return rows[:count], values[:count]


def weighted_nms(boxes: NDArray[np.float64], scores: NDArray[np.float64], iou_threshold: float) -> Any:
    """Give boxes and scores of MediaPipe's NonMaxSuppressionCalculator::WeightedNonMaxSuppression."""
    overlaps = jaccard(boxes)
    remained = sorted(range(len(boxes)), key=lambda row: -scores[row])
    retained, retained_scores = [], []
    while remained:
        best = remained[0]
        candidates = [row for row in remained if overlaps[best, row] > iou_threshold]
        rest = [row for row in remained if not overlaps[best, row] > iou_threshold]
        box = boxes[best]
        if candidates:
            total = sum(scores[row] for row in candidates)
            box = sum(boxes[row] * scores[row] for row in candidates) / total
        retained.append(box)
        retained_scores.append(scores[best])
        if len(rest) == len(remained):
            break
        remained = rest
    return np.array(retained).reshape(-1, 4), np.array(retained_scores)


def ours(
    table: NDArray[np.float32], labels: int, size: Size, threshold: float, **decision: Any
) -> list[Rows]:
    post = PostProcessor.for_detection(
        [str(row) for row in range(labels)],
        Yolov8Output(output_tensor="t"),
        thresholds=threshold,
        input_size=size,
        **decision,
    )
    return rows_of(post({"t": table}, max_predictions=MOST), [size] * len(table))


def by_label(listed: Rows, agnostic: bool) -> list[NDArray[np.int64]]:
    """Return the rows of each label, or all of them."""
    if agnostic:
        return [np.arange(len(listed))]
    return [np.flatnonzero(listed.labels == label) for label in np.unique(listed.labels)]


def joined(labels: list[Any], scores: list[Any], boxes: list[Any], size: Size) -> Rows:
    found = Rows(
        np.concatenate(labels),
        np.concatenate(scores).astype(np.float32),
        np.concatenate(boxes).astype(np.float32),
    )
    return peers.clipped(found.take(np.argsort(-found.scores, kind="stable")), size).take(slice(MOST))


@pytest.mark.parametrize("agnostic", [False, True], ids=["by label", "class_agnostic"])
@pytest.mark.parametrize("sigma", [0.5, 0.1])
@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize(("labels", "batch", "size"), CASES)
def test_soft_nms_equals_the_published_loop(
    labels: int, batch: int, size: Size, threshold: float, sigma: float, agnostic: bool
) -> None:
    made = scene(labels, batch, size, seed=4)
    decision = {"nms_method": "soft", "soft_sigma": sigma, "class_agnostic": agnostic}
    found = ours(made.table(), labels, size, threshold, **decision)
    images = compared = 0
    for one, boxes, scores in zip(found, peers.corners(made.boxes), made.scores, strict=True):
        listed = peers.candidates(boxes, scores, threshold)
        limit = float(np.float32(threshold))
        columns: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
        for rows in by_label(listed, agnostic):
            group = listed.take(rows)
            kept, values = soft_nms(
                group.boxes.astype(np.float64), group.scores.astype(np.float64), sigma, limit
            )
            for column, part in zip(columns, (group.labels[kept], values, group.boxes[kept]), strict=True):
                column.append(part)
        if not columns[0]:
            continue
        if (np.abs(np.concatenate(columns[1]) / limit - 1) < 1e-6).any():
            continue
        expected = joined(*columns, size)
        assert assert_same(one, expected, MOST) <= 5
        images, compared = images + 1, compared + len(expected)
    assert images >= 0.9 * batch
    assert compared > 5 * images


@pytest.mark.parametrize("agnostic", [False, True], ids=["by label", "class_agnostic"])
@pytest.mark.parametrize("iou_threshold", [0.3, 0.6])
@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize(("labels", "batch", "size"), CASES)
def test_weighted_nms_equals_mediapipes_steps(
    labels: int, batch: int, size: Size, threshold: float, iou_threshold: float, agnostic: bool
) -> None:
    made = scene(labels, batch, size, seed=5, on_quarters=False)
    decision = {"nms_method": "weighted", "nms_threshold": iou_threshold, "class_agnostic": agnostic}
    found = ours(made.table(), labels, size, threshold, **decision)
    images = compared = merged = 0
    for one, boxes, scores in zip(found, peers.corners(made.boxes), made.scores, strict=True):
        listed = peers.candidates(boxes, scores, threshold)
        if near_ties(listed, iou_threshold, agnostic=agnostic) or not len(listed):
            continue
        columns: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
        for rows in by_label(listed, agnostic):
            group = listed.take(rows)
            means, values = weighted_nms(
                group.boxes.astype(np.float64), group.scores.astype(np.float64), iou_threshold
            )
            tops = [group.labels[np.flatnonzero(group.scores == value)[0]] for value in values]
            for column, part in zip(columns, (tops, values, means), strict=True):
                column.append(part)
        expected = joined(*columns, size)
        assert assert_same(one, expected, MOST, score_tolerance=0) <= 5
        images, compared = images + 1, compared + len(expected)
        merged += len(listed) - sum(map(len, columns[1]))
    assert images >= 0.6 * batch
    assert compared > 5 * images
    assert merged > 5 * images
