"""From sorted candidates and their boxes to detections: suppress, place, clip, stop."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ._jit import kernel
from .candidates import is_predicted, order_of, score_of
from .nms import LANES, is_suppressed, keep, with_room

Selection = tuple[
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.bool_],
    NDArray[np.int64],
    float,
    int,
]


@kernel
def select_detections(
    keys: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    truncated: NDArray[np.bool_],
    boxes: NDArray[np.float32],
    per_label: int,
    columns: int,
    labels: int,
    bounds: NDArray[np.float32],
    placement: NDArray[np.float64],
    iou_threshold: np.float32,
    class_agnostic: bool,
    most: int,
) -> Selection:
    """Suppress, place, clip and count the candidates of each image, best first.

    Parameters
    ----------
    keys, offsets, truncated
        Candidates by image, as a scan returns them.
    boxes : (K, 4) float32
        Their corners, in the decoder's coordinates.
    per_label, columns : int
        How many boxes a label has, and how many of them belong to one region of the network.
    labels : int
        Number of labels.
    bounds : (0 or B, 2) float32
        Width and height that boxes are clipped to before they are compared; none if there are no rows.
    placement : (B, 2, 4) float64
        For x and for y the factor f, offset o, scale s and size d that place a coordinate in the result:
        ``((x * f - o) / s) / d``, which is then clipped to [0, 1].
    iou_threshold : float32
        Boxes of a label overlapping by more are suppressed; none are where it is 1 or more.
    class_agnostic : bool
        Boxes of different labels suppress each other, too.
    most : int
        Detections an image at most.

    Returns
    -------
    boxes (K, 4), scores, labels, regions, predicted (K,), offsets (B + 1,), the largest corner of a kept box
    before it was placed, and how many images have too few detections although they were truncated.
    """
    images = offsets.shape[0] - 1
    rows = 0
    for image in range(images):
        rows += min(most, offsets[image + 1] - offsets[image])
    result_boxes = np.empty((rows, 4), np.float32)
    scores = np.empty(rows, np.float32)
    rows_of_labels = np.empty(rows, np.int64)
    regions = np.empty(rows, np.int64)
    predicted = np.empty(rows, np.bool_)
    ends = np.zeros(images + 1, np.int64)
    heads = np.empty(1 if class_agnostic else labels, np.int32)
    links = np.empty((4, 2), np.int32)
    pool = np.empty((4, 5, LANES), np.float32)
    suppressing = iou_threshold < 1.0
    largest = 0.0
    unfinished = 0
    total = 0
    for image in range(images):
        heads[:] = -1
        used = 0
        end = total + most
        for index in range(offsets[image], offsets[image + 1]):
            if total == end:
                break
            x1, y1, x2, y2 = boxes[index, 0], boxes[index, 1], boxes[index, 2], boxes[index, 3]
            if not (math.isfinite(x1) and math.isfinite(y1) and math.isfinite(x2) and math.isfinite(y2)):
                continue
            furthest = max(x2, y2)
            if bounds.shape[0] > 0:
                right, bottom = bounds[image, 0], bounds[image, 1]
                x1, x2 = _clip(x1, right), _clip(x2, right)
                y1, y2 = _clip(y1, bottom), _clip(y2, bottom)
            key = keys[index]
            label, box = divmod(order_of(key), per_label)
            if suppressing:
                bucket = 0 if class_agnostic else int(label)
                if is_suppressed(bucket, heads, links, pool, x1, y1, x2, y2, iou_threshold):
                    continue
                links, pool = with_room(links, pool, used, 1)
                used = keep(bucket, heads, links, pool, used, x1, y1, x2, y2)
            largest = max(largest, furthest)
            left, right = _place(x1, placement[image, 0]), _place(x2, placement[image, 0])
            top, bottom = _place(y1, placement[image, 1]), _place(y2, placement[image, 1])
            if not (left < right and top < bottom):
                continue
            result_boxes[total, 0] = left
            result_boxes[total, 1] = top
            result_boxes[total, 2] = right
            result_boxes[total, 3] = bottom
            scores[total] = score_of(key)
            rows_of_labels[total] = label
            regions[total] = box // columns
            predicted[total] = is_predicted(key)
            total += 1
        ends[image + 1] = total
        unfinished += truncated[image] and total < end
    return (
        result_boxes[:total],
        scores[:total],
        rows_of_labels[:total],
        regions[:total],
        predicted[:total],
        ends,
        largest,
        unfinished,
    )


@kernel
def _clip(value: np.float32, limit: np.float32) -> np.float32:
    if value < 0.0:
        return np.float32(0.0)
    return limit if value > limit else value


@kernel
def _place(value: np.float32, placement: NDArray[np.float64]) -> np.float32:
    placed = (np.float64(value) * placement[0] - placement[1]) / placement[2] / placement[3]
    return _clip(np.float32(placed), np.float32(1.0))
