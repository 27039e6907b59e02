"""Boxes in a tensor of their own or beside their scores: the whole way from scores to detections."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import kernel
from ..core.boxes import decode_boxes
from ..core.collector import begin_image, new_collector, widened
from ..core.detections import Found, end_image, found, new_corners, new_survivors, select
from ..core.scores import scan_scores


@kernel
def detect_scored_boxes(
    scores: NDArray[np.float32],
    planar: bool,
    first: int,
    activation: int,
    boxes: NDArray[np.float32],
    boxes_planar: bool,
    box_format: int,
    boxes_a_region: int,
    first_box: int,
    thresholds: NDArray[np.float32],
    multi_label: bool,
    discard: np.float32,
    iou_thresholds: NDArray[np.float32],
    class_agnostic: bool,
    bounds: NDArray[np.float32],
    placement: NDArray[np.float64],
    top: int,
    most: int,
    start: int,
    stop: int,
) -> Found:
    """Detect in images `start` to `stop` of scores (B, N, S), or (B, S, N) if `planar`, and boxes.

    See `scan_scores` for the scores, `decode_boxes` for the boxes, and `select` for what follows.
    """
    count_of_boxes = scores.shape[2] if planar else scores.shape[1]
    labels = thresholds.shape[0]
    most_keys = count_of_boxes * labels
    narrow = new_collector(top, most_keys, labels)
    survivors = new_survivors(labels, class_agnostic, stop - start)
    narrow_corners = new_corners(narrow)
    for image in range(start, stop):
        collector, corners, room = narrow, narrow_corners, top
        begin_image(collector)
        is_wanting = True
        while is_wanting:
            count = scan_scores(
                scores[image], planar, first, thresholds, discard, activation, multi_label, room, collector
            )
            decode_boxes(
                collector[0], count, boxes[image], boxes_planar, box_format, count_of_boxes, 1,
                boxes_a_region, first_box, corners,
            )  # fmt: skip
            survivors, is_wanting = select(
                collector, count, corners, count_of_boxes, bounds, placement, image, iou_thresholds,
                class_agnostic, most, survivors,
            )  # fmt: skip
            if is_wanting:
                collector, room = widened(collector, room, most_keys)
                corners = new_corners(collector)
        end_image(survivors, image - start)
    return found(survivors, count_of_boxes, 1, placement)
