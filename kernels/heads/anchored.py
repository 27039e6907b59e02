"""Boxes as offsets from anchors (Girshick et al. 2014, arXiv:1311.2524, appendix C)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel
from ..core.boxes import to_corners
from ..core.candidates import order_of
from ..core.collector import begin_image, new_collector, widened
from ..core.detections import Found, end_image, found, new_corners, new_survivors, select
from ..core.scores import scan_scores

# As Detectron does: no anchor grows more than 1000/16-fold, however large an offset.
_LARGEST_LOG_SCALE = math.log(1000.0 / 16.0)


@kernel
def detect_anchored(
    scores: NDArray[np.float32],
    planar: bool,
    first: int,
    activation: int,
    anchors: NDArray[np.float32],
    anchors_format: int,
    offsets: NDArray[np.float32],
    first_offset: int,
    scale: NDArray[np.float64],
    has_y_first: bool,
    is_linear: bool,
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
    """Detect in images `start` to `stop` of scores (B, N, S), or (B, S, N) if `planar`, and of offsets.

    See `scan_scores` for the scores, `decode_anchored` for the boxes, and `select` for what follows.
    """
    boxes, labels = offsets.shape[1], thresholds.shape[0]
    most_keys = boxes * labels
    narrow = new_collector(top, most_keys, labels)
    survivors = new_survivors(labels, class_agnostic, stop - start)
    narrow_corners = new_corners(narrow)
    for image in range(start, stop):
        collector, corners, room = narrow, narrow_corners, top
        begin_image(collector)
        rows = anchors[image if anchors.shape[0] > 1 else 0]
        is_wanting = True
        while is_wanting:
            count = scan_scores(
                scores[image], planar, first, thresholds, discard, activation, multi_label, room, collector
            )
            decode_anchored(
                collector[0],
                count,
                rows,
                anchors_format,
                offsets[image],
                first_offset,
                scale,
                has_y_first,
                is_linear,
                corners,
            )
            survivors, is_wanting = select(
                collector, count, corners, boxes, bounds, placement, image, iou_thresholds, class_agnostic,
                most, survivors,
            )  # fmt: skip
            if is_wanting:
                collector, room = widened(collector, room, most_keys)
                corners = new_corners(collector)
        end_image(survivors, image - start)
    return found(survivors, boxes, 1, placement)


@inner
def decode_anchored(
    keys: NDArray[np.uint64],
    count: int,
    anchors: NDArray[np.float32],
    anchors_format: int,
    offsets: NDArray[np.float32],
    first: int,
    scale: NDArray[np.float64],
    has_y_first: bool,
    is_linear: bool,
    corners: NDArray[np.float32],
) -> None:
    """Write the corners of the first `count` candidates of an image: anchors (N, 4 or 5) moved and scaled.

    The offsets dx, dy, dw, dh of label l are columns ``4 * (first + l)`` and on of `offsets` (N, C); where
    `first` is negative all labels share columns 0 to 3. The last four columns of an anchor are the box.
    `scale` (4,) multiplies the offsets; then dw and dh are limited to log(1000 / 16). The offsets are dy, dx,
    dh, dw if `has_y_first`; dw and dh are factors of the anchor's size, not their logarithms, if `is_linear`.
    """
    column = anchors.shape[1] - 4
    x, y = (1, 0) if has_y_first else (0, 1)
    for index in range(count):
        label, row = divmod(order_of(keys[index]), offsets.shape[0])
        x1, y1, x2, y2 = to_corners(
            np.float64(anchors[row, column]),
            np.float64(anchors[row, column + 1]),
            np.float64(anchors[row, column + 2]),
            np.float64(anchors[row, column + 3]),
            anchors_format,
        )
        at = 0 if first < 0 else 4 * (first + label)
        anchor_width = x2 - x1
        anchor_height = y2 - y1
        center_x = 0.5 * (x1 + x2) + np.float64(offsets[row, at + x]) * scale[0] * anchor_width
        center_y = 0.5 * (y1 + y2) + np.float64(offsets[row, at + y]) * scale[1] * anchor_height
        growth_x = np.float64(offsets[row, at + 2 + x]) * scale[2]
        growth_y = np.float64(offsets[row, at + 2 + y]) * scale[3]
        width = anchor_width * (growth_x if is_linear else _bounded_exp(growth_x))
        height = anchor_height * (growth_y if is_linear else _bounded_exp(growth_y))
        corners[index, 0] = center_x - 0.5 * width
        corners[index, 1] = center_y - 0.5 * height
        corners[index, 2] = center_x + 0.5 * width
        corners[index, 3] = center_y + 0.5 * height


@inner
def _bounded_exp(value: float) -> float:
    # Not min(): NaN must stay NaN, so that its box is dropped.
    return math.exp(_LARGEST_LOG_SCALE if value > _LARGEST_LOG_SCALE else value)
