"""The output grid of YOLOv2 (Redmon & Farhadi 2017, arXiv:1612.08242, section 2): scores and boxes.

Channel c of anchor a in cell i of an image lies at ``i * steps[0] + a * steps[1] + c * steps[2]`` of its
numbers, which describes every layout. Channels are tx, ty, tw, th, to, then one logit a label. Box
``i * A + a`` belongs to anchor a of cell i, cells row by row.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from . import activation as act
from ._jit import kernel
from .candidates import LOWEST_KEY, order_of, pack
from .collector import begin_image, end_image, make_room, new_buffer, push
from .scores import Scan


@kernel
def scan_grid(
    grid: NDArray[np.float32],
    cells: int,
    anchors: int,
    steps: tuple[int, int, int],
    thresholds: NDArray[np.float32],
    discard: np.float32,
    multi_label: bool,
    top: int,
    start: int,
    stop: int,
) -> Scan:
    """Candidates of a grid (B, numbers of an image); see `scores` for what it returns.

    Score of a label = sigmoid(to) * softmax(logits). It is below the first factor, so only cells whose
    objectness passes cost a softmax.
    """
    labels = thresholds.shape[0]
    boxes = cells * anchors
    buffer = new_buffer(top, boxes * labels)
    count, cutoff = np.zeros(1, np.int64), np.zeros(1, np.uint64)
    limits = np.empty(labels, np.float32)
    logits = np.empty(labels, np.float32)
    scores = np.empty(labels, np.float32)
    keys = np.empty(0, np.uint64)
    offsets = np.zeros(stop - start + 1, np.int64)
    truncated = np.zeros(stop - start, np.bool_)
    for image in range(start, stop):
        numbers = grid[image]
        begin_image(count, cutoff, limits, thresholds, discard, act.NONE, LOWEST_KEY)
        objectness_limit = act.logit_limit(limits.min())
        for box in range(boxes):
            cell, anchor = divmod(box, anchors)
            at = cell * steps[0] + anchor * steps[1]
            objectness = numbers[at + 4 * steps[2]]
            if not objectness > objectness_limit:
                continue
            for label in range(labels):
                logits[label] = numbers[at + (5 + label) * steps[2]]
            act.softmax(logits, scores)
            certainty = 1.0 / (1.0 + math.exp(-np.float64(objectness)))
            best = 0
            for label in range(labels):
                scores[label] = certainty * scores[label]
                best = label if scores[label] > scores[best] else best
            for label in range(0 if multi_label else best, labels if multi_label else best + 1):
                if scores[label] > limits[label]:
                    key = pack(scores[label], label * boxes + box, thresholds[label], discard)
                    if push(key, buffer, count, cutoff):
                        make_room(buffer, count, cutoff, limits, thresholds, discard, act.NONE)
                        objectness_limit = act.logit_limit(limits.min())
        keys = end_image(buffer, count, cutoff, 0, keys, offsets, truncated, image - start)
    return keys, offsets, truncated


@kernel
def decode_grid(
    keys: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    start: int,
    grid: NDArray[np.float32],
    height: int,
    width: int,
    anchors: NDArray[np.float64],
    steps: tuple[int, int, int],
) -> NDArray[np.float32]:
    """Corners of candidates, relative to the image; `anchors` (A, 2) are width and height in cells."""
    count = anchors.shape[0]
    result = np.empty((keys.shape[0], 4), np.float32)
    for image in range(offsets.shape[0] - 1):
        numbers = grid[start + image]
        for index in range(offsets[image], offsets[image + 1]):
            box = order_of(keys[index]) % (height * width * count)
            cell, anchor = divmod(box, count)
            row, column = divmod(cell, width)
            at = cell * steps[0] + anchor * steps[1]
            center_x = (1.0 / (1.0 + math.exp(-np.float64(numbers[at]))) + column) / width
            center_y = (1.0 / (1.0 + math.exp(-np.float64(numbers[at + steps[2]]))) + row) / height
            box_width = anchors[anchor, 0] * math.exp(np.float64(numbers[at + 2 * steps[2]])) / width
            box_height = anchors[anchor, 1] * math.exp(np.float64(numbers[at + 3 * steps[2]])) / height
            result[index, 0] = center_x - 0.5 * box_width
            result[index, 1] = center_y - 0.5 * box_height
            result[index, 2] = center_x + 0.5 * box_width
            result[index, 3] = center_y + 0.5 * box_height
    return result
