"""From an image's sorted candidates and their boxes to detections: suppress, place, clip, stop.

What has been found so far, the survivors, is a tuple of arrays that every function takes and returns, since
some of them grow: the three of `nms`, the `keys` and placed `boxes` of all images, `counts` (blocks of `nms`
in use, detections, detections of earlier images, whether the image has one too many), `ends` of the images
among the detections, `cuts`, whether each image had more of them, and the `furthest` corner of any that was
not suppressed, before it was placed.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .._jit import borrowing, inlined, inner
from ..core.candidates import is_predicted, label_and_box, order_of, score_of
from ..core.placement import clip, place
from ..nms.greedy import LANES, is_suppressed, keep, with_room
from .arguments import Call, Rule

Floats = NDArray[np.float32]
Survivors = tuple[
    NDArray[np.int32],
    NDArray[np.int32],
    Floats,
    NDArray[np.uint64],
    Floats,
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.bool_],
    NDArray[np.float64],
]
DetectionColumns = tuple[
    Floats,
    Floats,
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.bool_],
    NDArray[np.int64],
    NDArray[np.bool_],
    float,
    float,
    int,
]

_BLOCKS = 0
_TOTAL = 1
_EARLIER = 2
_CUT = 3
_ROOM = 128
_FIRST_BLOCKS = 32


@inner
def new_survivors(labels: int, class_agnostic: bool, images: int) -> Survivors:
    """Nothing found yet, in so many images."""
    heads = np.empty(1 if class_agnostic else labels, np.int32)
    for bucket in range(heads.shape[0]):
        heads[bucket] = -1
    links, pool = (
        np.empty((_FIRST_BLOCKS, 2), np.int32),
        np.empty((_FIRST_BLOCKS, 5, LANES), np.float32),
    )
    keys, boxes = np.empty(_ROOM, np.uint64), np.empty((_ROOM, 4), np.float32)
    counts, ends, furthest = np.empty(4, np.int64), np.empty(images + 1, np.int64), np.empty(1, np.float64)
    counts[_BLOCKS] = counts[_TOTAL] = counts[_EARLIER] = counts[_CUT] = ends[0] = 0
    furthest[0] = 0.0
    return heads, links, pool, keys, boxes, counts, ends, np.empty(images, np.bool_), furthest


@inner
def select(
    candidates: NDArray[np.uint64],
    count: int,
    corners: Floats,
    image: int,
    rule: Rule,
    call: Call,
    survivors: Survivors,
) -> Survivors:
    """Suppress, place, clip and count candidates of an image, best first, to the first one too many.

    Parameters
    ----------
    candidates, count
        The keys of some of them, and how many there are; those of earlier calls rank before them.
    corners : (K, 4) float32
        Their boxes, in the decoder's coordinates.
    image : int
        Row of the call's bounds and placement.
    rule, call
        See `arguments`.
    survivors
        What the same image and earlier ones have yielded.

    Returns
    -------
    The survivors.
    """
    heads, links, pool, keys, boxes, counts, ends, cuts, furthest = survivors
    done = 0
    while done < count and counts[_CUT] == 0:
        if counts[_BLOCKS] == pool.shape[0]:
            links, pool = with_room(links, pool, counts[_BLOCKS], 1)
        if counts[_TOTAL] == keys.shape[0]:
            keys, boxes = _doubled(keys, boxes)
        done = _select_some(
            candidates, done, count, corners, image, rule, call, heads, links, pool, keys, boxes, counts,
            furthest,
        )  # fmt: skip
    return heads, links, pool, keys, boxes, counts, ends, cuts, furthest


@borrowing
def _select_some(
    candidates: NDArray[np.uint64],
    first: int,
    count: int,
    corners: Floats,
    image: int,
    rule: Rule,
    call: Call,
    heads: NDArray[np.int32],
    links: NDArray[np.int32],
    pool: Floats,
    keys: NDArray[np.uint64],
    boxes: Floats,
    counts: NDArray[np.int64],
    furthest: NDArray[np.float64],
) -> int:
    """Do what `select` does from candidate `first` on, as long as there is room; return how many are done."""
    iou_thresholds, class_agnostic = rule.iou_thresholds, rule.class_agnostic
    bounds, placement, per_label = call.bounds, call.placement, call.boxes
    used, total = counts[_BLOCKS], counts[_TOTAL]
    end = counts[_EARLIER] + call.most
    done = count
    for index in range(first, count):
        if used == pool.shape[0] or total == keys.shape[0]:
            done = index
            break
        x1, y1, x2, y2 = corners[index, 0], corners[index, 1], corners[index, 2], corners[index, 3]
        if not (math.isfinite(x1) and math.isfinite(y1) and math.isfinite(x2) and math.isfinite(y2)):
            continue
        reach = max(x2, y2)
        if bounds.shape[0] > 0:
            right, bottom = bounds[image, 0], bounds[image, 1]
            x1, x2 = clip(x1, right), clip(x2, right)
            y1, y2 = clip(y1, bottom), clip(y2, bottom)
        key = candidates[index]
        label, _ = label_and_box(key, per_label)
        bucket = 0 if class_agnostic else int(label)
        iou_threshold = iou_thresholds[bucket]
        if iou_threshold < 1.0:
            if is_suppressed(bucket, heads, links, pool, x1, y1, x2, y2, iou_threshold):
                continue
            used = keep(bucket, heads, links, pool, used, x1, y1, x2, y2)
        furthest[0] = max(furthest[0], reach)
        if placement.shape[0] > 0:
            x1, x2 = place(x1, placement[image, 0]), place(x2, placement[image, 0])
            y1, y2 = place(y1, placement[image, 1]), place(y2, placement[image, 1])
            if not (x1 < x2 and y1 < y2):
                continue
        if total == end:
            counts[_CUT] = 1
            break
        keys[total] = key
        boxes[total, 0], boxes[total, 1], boxes[total, 2], boxes[total, 3] = x1, y1, x2, y2
        total += 1
    counts[_BLOCKS], counts[_TOTAL] = used, total
    return done


@inner
def end_image(survivors: Survivors, image: int) -> None:
    """Note where the detections of image number `image` end, and forget what suppresses others in it."""
    heads, _, _, _, _, counts, ends, cuts, _ = survivors
    for bucket in range(heads.shape[0]):
        heads[bucket] = -1
    cuts[image] = counts[_CUT] != 0
    counts[_BLOCKS] = counts[_CUT] = 0
    counts[_EARLIER] = ends[image + 1] = counts[_TOTAL]


@inner
def found(survivors: Survivors, call: Call, signs: int) -> DetectionColumns:
    """Columns of the detections: boxes (K, 4), scores, labels, regions, predicted (K,).

    Also the offsets (B + 1,) of the images, whether each had more (B,), the furthest corner, the highest
    score, and the signs that scans have noted. Of boxes that have not been placed the order,
    ``label * boxes + box``, stands in the place of the region.
    """
    _, _, _, keys, boxes, counts, ends, cuts, furthest = survivors
    total = counts[_TOTAL]
    corners = np.empty((total, 4), np.float32)
    scores = np.empty(total, np.float32)
    labels = np.empty(total, np.int64)
    regions = np.empty(total, np.int64)
    predicted = np.empty(total, np.bool_)
    highest = 0.0
    for index in range(total):
        for side in range(4):
            corners[index, side] = boxes[index, side]
        key = keys[index]
        label, box = label_and_box(key, call.boxes)
        scores[index] = score_of(key)
        highest = max(highest, np.float64(scores[index]))
        labels[index] = label
        regions[index] = box // call.columns if call.placement.shape[0] > 0 else order_of(key)
        predicted[index] = is_predicted(key)
    return corners, scores, labels, regions, predicted, ends, cuts, furthest[0], highest, signs


@inner
def _doubled(keys: NDArray[np.uint64], boxes: Floats) -> tuple[NDArray[np.uint64], Floats]:
    size = keys.shape[0]
    more_keys, more_boxes = np.empty(2 * size, np.uint64), np.empty((2 * size, 4), np.float32)
    for index in range(size):
        more_keys[index] = keys[index]
        for side in range(4):
            more_boxes[index, side] = boxes[index, side]
    return more_keys, more_boxes


@inner
def is_cut(survivors: Survivors) -> bool:
    """Whether the image has had one detection too many."""
    _, _, _, _, _, counts, _, _, _ = survivors
    return bool(counts[_CUT] != 0)


@inlined
def with_room_for_one(survivors: Survivors) -> Survivors:
    """Return the survivors in arrays that have room for one more."""
    heads, links, pool, keys, boxes, counts, ends, cuts, furthest = survivors
    keys, boxes = _doubled(keys, boxes)
    return heads, links, pool, keys, boxes, counts, ends, cuts, furthest


@inlined
def is_full(survivors: Survivors) -> bool:
    """Whether `add_placed` needs `with_room_for_one` first."""
    _, _, _, keys, _, counts, _, _, _ = survivors
    return bool(counts[_TOTAL] == keys.shape[0])


@borrowing
def add_placed(
    key: np.uint64,
    corners: tuple[np.float32, np.float32, np.float32, np.float32],
    image: int,
    call: Call,
    survivors: Survivors,
) -> None:
    """Place and clip a box that nothing has suppressed, and add it if it still has an area and there is room.

    It returns nothing, since nine arrays on their way out of a function cost 80 ns a box (measured).

    `select` has this in its loop; it is for kernels that suppress in ways of their own.
    """
    x1, y1, x2, y2 = corners
    placement = call.placement
    _, _, _, keys, boxes, counts, _, _, furthest = survivors
    furthest[0] = max(furthest[0], max(x2, y2))
    left, right = place(x1, placement[image, 0]), place(x2, placement[image, 0])
    top, bottom = place(y1, placement[image, 1]), place(y2, placement[image, 1])
    if left < right and top < bottom:
        total = counts[_TOTAL]
        if total == counts[_EARLIER] + call.most:
            counts[_CUT] = 1
            return
        keys[total] = key
        boxes[total, 0], boxes[total, 1], boxes[total, 2], boxes[total, 3] = left, top, right, bottom
        counts[_TOTAL] = total + 1
