"""Other ways of suppression than the hard one, from all candidates of an image: soft and weighted NMS.

Candidates come as `select` leaves them with an IoU threshold of 1 and no placement: all of them, best first,
with their corners as decoded.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel
from ..core.candidates import NO_KEY, is_predicted, pack, score_of
from ..core.iou import box_area, intersection
from ..core.placement import place

Merged = tuple[
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.int64],
    NDArray[np.bool_],
    NDArray[np.int64],
    NDArray[np.bool_],
]


@kernel
def soft_nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    orders: NDArray[np.int64],
    offsets: NDArray[np.int64],
    thresholds: NDArray[np.float32],
    discard: np.float32,
    sigma: float,
    class_agnostic: bool,
    placement: NDArray[np.float64],
    most: int,
) -> Merged:
    """Let the scores of overlapping boxes decay (Bodla et al. 2017, arXiv:1704.04503, section 3, gaussian).

    The best candidate by its current score is kept, and those of its label that it overlaps by a Jaccard
    index of x score ``exp(-x**2 / sigma)`` times as much from then on: the factor in float64, each product
    rounded to float32. A score that is not above its threshold any more makes a discarded candidate, or none.
    Equal scores go by `orders`.

    Returns
    -------
    boxes (K, 4) placed, scores (K,), rows (K,) of the candidates, predicted (K,), offsets (B + 1,), and
    whether each image had more (B,).
    """
    result = _new_merged(offsets, most)
    placed, current, rows, predicted, ends, cuts = result
    total = 0
    for image in range(offsets.shape[0] - 1):
        first, count = offsets[image], offsets[image + 1] - offsets[image]
        # A heap of keys, and which candidates they are of; each candidate is brought up to date when it is on
        # top: how many of the kept ones it has met, and its score by then.
        heap, members = np.empty(count, np.uint64), np.empty(count, np.int64)
        met, kept = np.empty(count, np.int64), np.empty(count, np.int64)
        for index in range(count):
            row = first + index
            label = labels[row]
            heap[index] = pack(scores[row], orders[row], thresholds[label], discard)
            members[index] = row
            met[index] = 0
        size, keeps, end = count, 0, total + most
        while size > 0 and total <= end:
            key, row = heap[0], members[0]
            if key == NO_KEY:
                break
            label = labels[row]
            score = score_of(key)
            for other in range(met[row - first], keeps):
                if class_agnostic or labels[kept[other]] == label:
                    overlap = np.float64(_iou(boxes, kept[other], row))
                    if overlap > 0.0:  # the factor is 1 otherwise
                        score = np.float32(score * math.exp(-(overlap * overlap) / sigma))
            met[row - first] = keeps
            renewed = pack(score, orders[row], thresholds[label], discard)
            if renewed != key:
                heap[0] = renewed
                _sift_down(heap, members, size)
                continue
            size -= 1
            heap[0], members[0] = heap[size], members[size]
            _sift_down(heap, members, size)
            kept[keeps] = row
            keeps += 1
            if _write(placed, total, boxes[row], placement[image]):
                current[total], rows[total], predicted[total] = score, row, is_predicted(key)
                total += 1
        cuts[image] = total > end
        total = min(total, end)
        ends[image + 1] = total
    return placed[:total], current[:total], rows[:total], predicted[:total], ends, cuts


@kernel
def weighted_nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    offsets: NDArray[np.int64],
    predictions: NDArray[np.bool_],
    iou_thresholds: NDArray[np.float32],
    class_agnostic: bool,
    placement: NDArray[np.float64],
    most: int,
) -> Merged:
    """Replace overlapping boxes by their mean, weighted by score, as MediaPipe does.

    The best predicted candidate is kept; its box becomes the mean of its own and of those of its label that
    overlap it by a Jaccard index above its label's threshold, in float64, and they are used up. Discarded
    candidates follow, suppressed by the merged boxes and by each other. Returns what `soft_nms` does.
    """
    result = _new_merged(offsets, most)
    placed, current, rows, predicted, ends, cuts = result
    total = 0
    for image in range(offsets.shape[0] - 1):
        first, stop = offsets[image], offsets[image + 1]
        merged = np.empty((stop - first, 4), np.float32)
        used, kept = np.empty(stop - first, np.bool_), np.empty(stop - first, np.int64)
        for index in range(stop - first):
            used[index] = False
            for side in range(4):
                merged[index, side] = boxes[first + index, side]
        keeps, end = 0, total + most
        for row in range(first, stop):
            if total > end:
                break
            if used[row - first]:
                continue
            label = labels[row]
            iou_threshold = iou_thresholds[0 if class_agnostic else label]
            if predictions[row]:
                _merge(boxes, scores, labels, predictions, iou_threshold, class_agnostic, row, first,
                       stop, used, merged[row - first])  # fmt: skip
            else:
                is_suppressed = False
                for index in range(keeps):
                    other = kept[index]
                    if class_agnostic or labels[other] == label:
                        is_suppressed |= bool(_iou(merged, other - first, row - first) > iou_threshold)
                if is_suppressed:
                    continue
            kept[keeps] = row
            keeps += 1
            if _write(placed, total, merged[row - first], placement[image]):
                current[total], rows[total], predicted[total] = scores[row], row, predictions[row]
                total += 1
        cuts[image] = total > end
        total = min(total, end)
        ends[image + 1] = total
    return placed[:total], current[:total], rows[:total], predicted[:total], ends, cuts


@inner
def _merge(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    predictions: NDArray[np.bool_],
    iou_threshold: np.float32,
    class_agnostic: bool,
    row: int,
    first: int,
    stop: int,
    used: NDArray[np.bool_],
    mean: NDArray[np.float32],
) -> None:
    """Write the mean of a candidate and of the unused lower ones that it overlaps, and use them up."""
    label = labels[row]
    weight, x1, y1, x2, y2 = 0.0, 0.0, 0.0, 0.0, 0.0
    for other in range(row, stop):
        if used[other - first] or not predictions[other]:
            continue
        if other > row:
            if not (class_agnostic or labels[other] == label):
                continue
            if not _iou(boxes, row, other) > iou_threshold:
                continue
        used[other - first] = True
        score = np.float64(scores[other])
        weight += score
        x1 += score * np.float64(boxes[other, 0])
        y1 += score * np.float64(boxes[other, 1])
        x2 += score * np.float64(boxes[other, 2])
        y2 += score * np.float64(boxes[other, 3])
    mean[0], mean[1], mean[2], mean[3] = x1 / weight, y1 / weight, x2 / weight, y2 / weight


@inner
def _new_merged(offsets: NDArray[np.int64], most: int) -> Merged:
    images = offsets.shape[0] - 1
    room = 0
    for image in range(images):
        room += min(most + 1, offsets[image + 1] - offsets[image])  # the last is one too many
    ends = np.empty(images + 1, np.int64)
    ends[0] = 0
    return (
        np.empty((room, 4), np.float32),
        np.empty(room, np.float32),
        np.empty(room, np.int64),
        np.empty(room, np.bool_),
        ends,
        np.empty(images, np.bool_),
    )


@inner
def _iou(boxes: NDArray[np.float32], a: int, b: int) -> np.float32:
    """Jaccard index of two of the boxes, every step in float32."""
    ax1, ay1, ax2, ay2 = boxes[a, 0], boxes[a, 1], boxes[a, 2], boxes[a, 3]
    bx1, by1, bx2, by2 = boxes[b, 0], boxes[b, 1], boxes[b, 2], boxes[b, 3]
    area = box_area(ax1, ay1, ax2, ay2)
    if not area > 0.0:
        return np.float32(0.0)
    shared = intersection(ax1, ay1, ax2, ay2, bx1, by1, bx2, by2)
    return shared / (area + box_area(bx1, by1, bx2, by2) - shared)


@inner
def _write(
    placed: NDArray[np.float32], row: int, box: NDArray[np.float32], placement: NDArray[np.float64]
) -> bool:
    """Place a box in the result; False if nothing of it is left there."""
    x1, x2 = place(box[0], placement[0]), place(box[2], placement[0])
    y1, y2 = place(box[1], placement[1]), place(box[3], placement[1])
    if not (x1 < x2 and y1 < y2):
        return False
    placed[row, 0], placed[row, 1], placed[row, 2], placed[row, 3] = x1, y1, x2, y2
    return True


@inner
def _sift_down(heap: NDArray[np.uint64], members: NDArray[np.int64], size: int) -> None:
    """Let the top of a heap, largest first, sink to its place."""
    place_, key, member = 0, heap[0], members[0]
    while 2 * place_ + 1 < size:
        child = 2 * place_ + 1
        if child + 1 < size and heap[child + 1] > heap[child]:
            child += 1
        if heap[child] <= key:
            break
        heap[place_], members[place_] = heap[child], members[child]
        place_ = child
    heap[place_], members[place_] = key, member
