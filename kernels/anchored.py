"""Boxes as offsets from anchors (Girshick et al. 2014, arXiv:1311.2524, appendix C)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ._jit import kernel
from .boxes import to_corners
from .candidates import order_of

# As Detectron does: no anchor grows more than 1000/16-fold, however large an offset.
_LARGEST_LOG_SCALE = math.log(1000.0 / 16.0)


@kernel
def decode_anchored(
    keys: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    start: int,
    anchors: NDArray[np.float32],
    anchors_format: int,
    deltas: NDArray[np.float32],
    first: int,
    scale: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Corners of candidates: anchors (B or 1, N, 4 or 5) moved and scaled by `deltas` (B, N, C).

    The offsets dx, dy, dw, dh of label l are columns ``4 * (first + l)`` and on; where `first` is negative
    all labels share columns 0 to 3. The last four columns of an anchor are the box. `scale` (4,) multiplies
    the offsets; then dw and dh are limited to log(1000 / 16).
    """
    count = deltas.shape[1]
    column = anchors.shape[2] - 4
    result = np.empty((keys.shape[0], 4), np.float32)
    for image in range(offsets.shape[0] - 1):
        rows = anchors[start + image if anchors.shape[0] > 1 else 0]
        moves = deltas[start + image]
        for index in range(offsets[image], offsets[image + 1]):
            label, row = divmod(order_of(keys[index]), count)
            x1, y1, x2, y2 = to_corners(
                np.float64(rows[row, column]),
                np.float64(rows[row, column + 1]),
                np.float64(rows[row, column + 2]),
                np.float64(rows[row, column + 3]),
                anchors_format,
            )
            at = 0 if first < 0 else 4 * (first + label)
            anchor_width = x2 - x1
            anchor_height = y2 - y1
            center_x = 0.5 * (x1 + x2) + np.float64(moves[row, at]) * scale[0] * anchor_width
            center_y = 0.5 * (y1 + y2) + np.float64(moves[row, at + 1]) * scale[1] * anchor_height
            width = anchor_width * _bounded_exp(np.float64(moves[row, at + 2]) * scale[2])
            height = anchor_height * _bounded_exp(np.float64(moves[row, at + 3]) * scale[3])
            result[index, 0] = center_x - 0.5 * width
            result[index, 1] = center_y - 0.5 * height
            result[index, 2] = center_x + 0.5 * width
            result[index, 3] = center_y + 0.5 * height
    return result


@kernel
def _bounded_exp(value: float) -> float:
    # Not min(): NaN must stay NaN, so that its box is dropped.
    return math.exp(_LARGEST_LOG_SCALE if value > _LARGEST_LOG_SCALE else value)
