"""Oriented boxes: the whole way from scores to detections, suppressed as rectangles, and their corners."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, NewType, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .._jit import inlined, inner, kernel, pasted
from ..core.candidates import order_of
from ..core.collector import Collector, begin_image, continue_below, new_collector, noted, widened
from ..core.gaussians import nearness, reach, read_gaussian
from ..core.numbers import Numbers, flat, image_of, number, raw
from ..core.placement import placed
from ..core.rectangles import enclosing_box, new_polygons, read_rectangle
from ..core.scores import scan_scores
from ..nms.oriented import AREA, LANES, NUMBERS, add, is_suppressed, outward, with_room
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
from .driver import Scan, unpacking
from .survivors import (
    DetectionColumns,
    add_placed,
    end_image,
    found,
    is_cut,
    is_full,
    new_survivors,
    with_room_for_one,
)

_FURTHEST = 3e38  # a corner further away than float32 reaches stays finite


NumbersOf: TypeAlias = Callable[[Any, int], Numbers]
AngleColumn = NewType("AngleColumn", int)
Scales = NewType("Scales", NDArray[np.float64])
Probiou = NewType("Probiou", bool)
FastSuppression = NewType("FastSuppression", bool)


class Oriented(NamedTuple):
    """A table (B, N, C), or (B, C, N) if `planar`.

    Its columns are cx, cy, width, height, from `first` on a score per label, and in `angle_column` the angle.
    `scales` (1 or B, 2) make pixels of x and of y, since the angle is one of pixels. Boxes are compared by
    `probiou`, or by the Jaccard index of the rectangles; with `fast`, suppressed ones suppress others, too
    (Bolya et al. 2019, Fast NMS).
    """

    table: Table
    planar: Planar
    first: FirstScore
    activation: Activation
    angle_column: AngleColumn
    scales: Scales
    probiou: Probiou
    fast: FastSuppression


@pasted
def detect_rectangles(
    head: Any, rule: Rule, call: Call, scan: Scan[Any], numbers_of: NumbersOf
) -> DetectionColumns:
    """Detect in the images of a call.

    A head has the fields of `Oriented` that describe its table and the suppression. Of the table
    ``numbers_of(head, image)`` gives the numbers from an image's first row on; `scan` is as `driver` says.

    The boxes of the result are those around the rectangles, clipped; rectangles are suppressed by an index of
    their own, and listed for it between the scans of an image: `driver` knows boxes only. One whose width or
    height is 0 has no area, and is left out; one below 0, as sums of YOLO26's distances may be, is the same
    rectangle, whose corners go around from another one. The call's bounds are not used.
    """
    table, angle_column = head.table, head.angle_column
    shape_of_table = raw(table).shape
    row_step, column_step = (1, shape_of_table[2]) if head.planar else (shape_of_table[2], 1)
    labels = rule.thresholds.shape[0]
    most_keys = call.boxes * labels
    narrow = new_collector(call.top, most_keys, labels)
    survivors = new_survivors(labels, rule.class_agnostic, call.stop - call.start)
    heads = survivors[0]
    # The rectangles that suppress others, in lists as `heads` begins them.
    links, bounds = np.empty((4, 2), np.int32), np.empty((4, 4, LANES), np.float32)
    shapes = np.empty((4, LANES, NUMBERS), np.float64)
    box, shape, bound = np.empty(5, np.float64), np.empty(NUMBERS, np.float64), np.empty(4, np.float32)
    polygons = new_polygons()
    limits = _limits(head.probiou, rule.iou_thresholds)
    for image in range(call.start, call.stop):
        collector = narrow
        room: int = call.top
        begin_image(collector)
        numbers = numbers_of(head, image)
        scale_x, scale_y = _scale(head.scales, image)
        used = 0
        is_wanting = True
        while is_wanting:
            count = scan(head, image, call.boxes, rule, room, collector)
            for index in range(count):
                if is_cut(survivors):
                    break
                key = collector[0][index]
                label, row = divmod(int(order_of(key)), call.boxes)
                _read(numbers, row * row_step, column_step, angle_column, scale_x, scale_y, box)
                box[2], box[3] = abs(box[2]), abs(box[3])
                if not (box[2] > 0.0 and box[3] > 0.0):
                    continue
                read_rectangle(box[0], box[1], box[2], box[3], box[4], shape)
                x1, y1, x2, y2 = enclosing_box(shape)
                corners = np.float32(x1), np.float32(y1), np.float32(x2), np.float32(y2)
                if not (
                    math.isfinite(corners[0])
                    and math.isfinite(corners[1])
                    and math.isfinite(corners[2])
                    and math.isfinite(corners[3])
                ):
                    continue
                bucket = 0 if rule.class_agnostic else label
                limit = rule.iou_thresholds[bucket]
                if limit < 1.0:
                    _describe(head.probiou, box, limits[bucket], shape, bound)
                    is_gone = is_suppressed(
                        bucket, heads, links, bounds, shapes, bound, shape, head.probiou, limit,
                        np.float32(limits[bucket, 0]), polygons,
                    )  # fmt: skip
                    if not is_gone or head.fast:
                        links, bounds, shapes = with_room(links, bounds, shapes, used)
                        used = add(bucket, heads, links, bounds, shapes, used, bound, shape)
                    if is_gone:
                        continue
                if is_full(survivors):
                    survivors = with_room_for_one(survivors)
                add_placed(key, corners, image, call, survivors)
            is_wanting = not is_cut(survivors) and continue_below(collector)
            if is_wanting:
                collector, room = widened(collector, room, most_keys)
        end_image(survivors, image - call.start)
    return found(survivors, call, noted(narrow))


@pasted
def _scan(head: Oriented, image: int, boxes: int, rule: Rule, room: int, collector: Collector) -> int:
    return scan_scores(
        image_of(head.table, image), head.planar, head.first, rule.thresholds, rule.discard, head.activation,
        rule.multi_label, room, collector,
    )  # fmt: skip


@pasted
def _numbers(head: Oriented, image: int) -> Numbers:
    numbers: Numbers = flat(image_of(head.table, image))
    return numbers


detect_oriented = unpacking(Oriented, detect_rectangles, _scan, _numbers)


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
    numbers, shape = flat(table), raw(table).shape
    size = shape[1] * shape[2]
    row_step, column_step = (1, shape[2]) if planar else (shape[2], 1)
    corners = np.empty((regions.shape[0], 4, 2), np.float32)
    angles = np.empty(regions.shape[0], np.float32)
    box, rectangle = np.empty(5, np.float64), np.empty(6, np.float64)
    for image in range(offsets.shape[0] - 1):
        scale_x, scale_y = _scale(scales, start + image)
        for row in range(offsets[image], offsets[image + 1]):
            at = (start + image) * size + regions[row] * row_step
            _read(numbers, at, column_step, angle_column, scale_x, scale_y, box)
            read_rectangle(box[0], box[1], box[2], box[3], box[4], rectangle)
            angles[row] = number(numbers, at + angle_column * column_step)
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


@inlined
def _read(
    numbers: Numbers,
    at: int,
    step: int,
    angle_column: int,
    scale_x: float,
    scale_y: float,
    box: NDArray[np.float64],
) -> None:
    """Write cx, cy, width and height in pixels, and the angle."""
    box[0], box[1] = (
        np.float64(number(numbers, at)) * scale_x,
        np.float64(number(numbers, at + step)) * scale_y,
    )
    box[2] = np.float64(number(numbers, at + 2 * step)) * scale_x
    box[3] = np.float64(number(numbers, at + 3 * step)) * scale_y
    box[4] = np.float64(number(numbers, at + angle_column * step))


@inner
def _limits(probiou: bool, iou_thresholds: NDArray[np.float32]) -> NDArray[np.float64]:
    """Find out what lies beyond the limit of each bucket, (buckets, 2): zeros for the exact index."""
    limits = np.zeros((iou_thresholds.shape[0], 2), np.float64)
    if probiou:
        for bucket in range(limits.shape[0]):
            limits[bucket, 0], limits[bucket, 1] = nearness(iou_thresholds[bucket])
    return limits


@inlined
def _describe(
    probiou: bool,
    box: NDArray[np.float64],
    limits: NDArray[np.float64],
    shape: NDArray[np.float64],
    bound: NDArray[np.float32],
) -> None:
    """Write what the index compares of a rectangle, which `shape` holds, and how far it is near others."""
    if probiou:
        reach_x = reach(box[2], box[3], limits[1], shape[2], shape[4])
        reach_y = reach(box[2], box[3], limits[1], shape[3], shape[5])
        read_gaussian(box[0], box[1], box[2], box[3], box[4], shape)
    else:
        reach_x, reach_y = abs(shape[2]) + abs(shape[4]), abs(shape[3]) + abs(shape[5])
        shape[AREA] = box[2] * box[3]
    bound[0], bound[2] = outward(box[0] - reach_x, box[0] + reach_x)
    bound[1], bound[3] = outward(box[1] - reach_y, box[1] + reach_y)
