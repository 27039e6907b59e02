"""Oriented boxes: the whole way from scores to detections, suppressed as rectangles, and their corners."""

from __future__ import annotations

from typing import NamedTuple, NewType

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel, pasted
from ..core.candidates import order_of
from ..core.collector import begin_image, continue_below, new_collector, widened
from ..core.placement import placed
from ..core.rectangles import enclosing_box, new_polygons, read_rectangle, shared_area
from ..core.scores import scan_scores
from .arguments import (
    Activation,
    Call,
    FirstImage,
    FirstScore,
    KeptOffsets,
    KeptRegions,
    Placement,
    Planar,
    Rule,
    Table,
)
from .driver import unpacking
from .survivors import DetectionColumns, add_placed, end_image, found, is_cut, new_survivors

_AREA = 6
_LEFT = 7
_NUMBERS = 11
_FURTHEST = 3e38  # a corner further away than float32 reaches stays finite


AngleColumn = NewType("AngleColumn", int)
Scales = NewType("Scales", NDArray[np.float64])


class Oriented(NamedTuple):
    """A table (B, N, C), or (B, C, N) if `planar`.

    Its columns are cx, cy, width, height, from `first` on a score per label, and in `angle_column` the angle.
    `scales` (1 or B, 2) make pixels of x and of y, since the angle is one of pixels.
    """

    table: Table
    planar: Planar
    first: FirstScore
    activation: Activation
    angle_column: AngleColumn
    scales: Scales


@pasted
def _detect(head: Oriented, rule: Rule, call: Call) -> DetectionColumns:
    """Detect in the images of a call.

    The boxes of the result are those around the rectangles, clipped; rectangles are suppressed by their own
    Jaccard index, and kept in lists of their own between the scans of an image: `driver` knows boxes only.
    One whose width or height is not positive has no area, and is left out. The call's bounds are not used.
    """
    table, angle_column = head.table, head.angle_column
    row_step, column_step = (1, table.shape[2]) if head.planar else (table.shape[2], 1)
    labels = rule.thresholds.shape[0]
    most_keys = call.boxes * labels
    narrow = new_collector(call.top, most_keys, labels)
    survivors = new_survivors(labels, rule.class_agnostic, call.stop - call.start)
    heads = survivors[0]
    # The rectangles that are kept: six numbers, area and enclosing box, in lists as `heads` begins them.
    pool, links = np.empty((64, _NUMBERS), np.float64), np.empty(64, np.int32)
    polygons = new_polygons()
    for image in range(call.start, call.stop):
        collector = narrow
        room: int = call.top
        begin_image(collector)
        numbers = table[image].reshape(-1)
        scale_x, scale_y = _scale(head.scales, image)
        used = 0
        is_wanting = True
        while is_wanting:
            count = scan_scores(
                table[image], head.planar, head.first, rule.thresholds, rule.discard, head.activation,
                rule.multi_label, room, collector,
            )  # fmt: skip
            for index in range(count):
                if is_cut(survivors):
                    break
                key = collector[0][index]
                label, box = divmod(int(order_of(key)), call.boxes)
                if used == pool.shape[0]:
                    pool, links = _doubled(pool, links)
                if not _read(
                    numbers, box * row_step, column_step, angle_column, scale_x, scale_y, pool[used]
                ):
                    continue
                bucket = 0 if rule.class_agnostic else label
                limit = np.float64(rule.iou_thresholds[bucket])
                if limit < 1.0:
                    if _is_suppressed(bucket, heads, links, pool, used, limit, polygons):
                        continue
                    links[used] = heads[bucket]
                    heads[bucket] = used
                x1, y1, x2, y2 = enclosing_box(pool[used])
                if limit < 1.0:
                    used += 1
                corners = np.float32(x1), np.float32(y1), np.float32(x2), np.float32(y2)
                survivors = add_placed(key, corners, image, call, survivors)
            is_wanting = not is_cut(survivors) and continue_below(collector)
            if is_wanting:
                collector, room = widened(collector, room, most_keys)
        end_image(survivors, image - call.start)
    return found(survivors, call)


detect_oriented = unpacking(Oriented, _detect)


@kernel
def gather_corners(
    table: Table,
    planar: Planar,
    angle_column: AngleColumn,
    scales: Scales,
    regions: KeptRegions,
    offsets: KeptOffsets,
    placement: Placement,
    start: FirstImage,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Corners (K, 4, 2) of the rectangles of K detections, relative to their images, and angles (K,).

    The arguments are as of `Oriented` and `gather_keypoints`. The corners are not clipped; they go
    around as ultralytics' do: at an angle of 0 from the lower right to the upper right one.
    """
    numbers = table.reshape(-1)
    size = table.shape[1] * table.shape[2]
    row_step, column_step = (1, table.shape[2]) if planar else (table.shape[2], 1)
    corners = np.empty((regions.shape[0], 4, 2), np.float32)
    angles = np.empty(regions.shape[0], np.float32)
    rectangle = np.empty(_NUMBERS, np.float64)
    for image in range(offsets.shape[0] - 1):
        scale_x, scale_y = _scale(scales, start + image)
        for row in range(offsets[image], offsets[image + 1]):
            at = (start + image) * size + regions[row] * row_step
            _read(numbers, at, column_step, angle_column, scale_x, scale_y, rectangle)
            angles[row] = numbers[at + angle_column * column_step]
            for corner in range(4):
                along_width = 1.0 if corner == 0 or corner == 1 else -1.0
                along_height = 1.0 if corner == 0 or corner == 3 else -1.0
                for axis in range(2):
                    value = (
                        rectangle[axis]
                        + along_width * rectangle[2 + axis]
                        + along_height * rectangle[4 + axis]
                    )
                    value = placed(value, placement[start + image, axis])
                    corners[row, corner, axis] = min(max(value, -_FURTHEST), _FURTHEST)
    return corners, angles


@inner
def _scale(scales: NDArray[np.float64], image: int) -> tuple[float, float]:
    row = image if scales.shape[0] > 1 else 0
    return scales[row, 0], scales[row, 1]


@inner
def _read(
    numbers: NDArray[np.float32],
    at: int,
    step: int,
    angle_column: int,
    scale_x: float,
    scale_y: float,
    rectangle: NDArray[np.float64],
) -> bool:
    """Write a rectangle with its area and enclosing box; False if it is not finite, or has no area."""
    width, height = (
        np.float64(numbers[at + 2 * step]) * scale_x,
        np.float64(numbers[at + 3 * step]) * scale_y,
    )
    read_rectangle(
        np.float64(numbers[at]) * scale_x,
        np.float64(numbers[at + step]) * scale_y,
        width,
        height,
        np.float64(numbers[at + angle_column * step]),
        rectangle,
    )
    if not (width > 0.0 and height > 0.0):
        return False
    rectangle[_AREA] = width * height
    rectangle[_LEFT], rectangle[_LEFT + 1], rectangle[_LEFT + 2], rectangle[_LEFT + 3] = enclosing_box(
        rectangle
    )
    reach = 0.0
    for side in range(4):
        reach += np.float64(np.float32(rectangle[_LEFT + side])) * 0.0  # not 0 where it is not finite
    return reach == 0.0


@inner
def _is_suppressed(
    bucket: int,
    heads: NDArray[np.int32],
    links: NDArray[np.int32],
    pool: NDArray[np.float64],
    candidate: int,
    limit: float,
    polygons: NDArray[np.float64],
) -> bool:
    """Whether a kept rectangle of the bucket overlaps a candidate by a Jaccard index above the limit."""
    one = pool[candidate]
    kept = heads[bucket]
    while kept >= 0:
        other = pool[kept]
        kept = links[kept]
        width = min(one[_LEFT + 2], other[_LEFT + 2]) - max(one[_LEFT], other[_LEFT])
        height = min(one[_LEFT + 3], other[_LEFT + 3]) - max(one[_LEFT + 1], other[_LEFT + 1])
        if not (width > 0.0 and height > 0.0):
            continue
        # No more is shared than the smaller one has, or the enclosing boxes share: mostly that says enough.
        both = one[_AREA] + other[_AREA]
        shared = min(width * height, one[_AREA], other[_AREA])
        if shared <= limit * (both - shared):
            continue
        shared = shared_area(one, other, polygons)
        if shared > limit * (both - shared):
            return True
    return False


@inner
def _doubled(
    pool: NDArray[np.float64], links: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    size = pool.shape[0]
    more_pool, more_links = np.empty((2 * size, _NUMBERS), np.float64), np.empty(2 * size, np.int32)
    for row in range(size):
        more_links[row] = links[row]
        for number in range(_NUMBERS):
            more_pool[row, number] = pool[row, number]
    return more_pool, more_links
