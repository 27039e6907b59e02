"""Instance masks from prototypes, pixel by pixel in float64, and what encodings of them mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.reference.decode_rows import finished_rows
from tests.reference.decode_yolo import prototypes_of, table_of
from tests.reference.hypothesis import Size
from tests.reference.points import Transform
from tests.reference.tensors import Tensors

Frame = tuple[tuple[float, float], tuple[float, float]]  # factor and offset, for x and y


def frame_of(size: Size | None, transform: Transform | None) -> Frame:
    """Return how a coordinate of the result lies in the network's input, as a part of it."""
    if transform is None:
        return (1.0, 0.0), (1.0, 0.0)
    sides = size if size is not None else transform.input_size
    return tuple(  # type: ignore[return-value]
        (
            transform.image_size[1 - axis] * transform.scale[axis] / sides[1 - axis],
            transform.offset[axis] / sides[1 - axis],
        )
        for axis in (0, 1)
    )


def coefficients(
    kind: str, output: dict[str, Any], tensors: Tensors, labels: int, image: int, region: int
) -> NDArray[np.float32]:
    """Return the coefficients of a region: a column of finished rows, else the last of a table."""
    if "columns" in output:
        more = finished_rows(output, tensors, None)[image].more
        assert more is not None
        return np.asarray(more[region], np.float32)
    count = prototypes_of(output, tensors)
    before = 4 + (kind == "yolov5_output") + labels
    return table_of(output, tensors, before + count)[image, region, before:].astype(np.float32)


def sums_at(
    coefficients: NDArray[Any], prototypes: NDArray[Any], frame: Frame, height: int, width: int
) -> NDArray[np.float64]:
    """Return the interpolated sums at the centres of pixels: inside where they are above 0."""
    cells = np.tensordot(coefficients.astype(np.float64), prototypes.astype(np.float64), 1)
    found = np.empty((height, width))
    for y in range(height):
        for x in range(width):
            found[y, x] = _interpolated(cells, (x + 0.5) / width, (y + 0.5) / height, frame)
    return found


def _interpolated(cells: NDArray[np.float64], x: float, y: float, frame: Frame) -> float:
    columns, rows = (
        _neighbours(place * factor + offset, count)
        for place, (factor, offset), count in zip((x, y), frame, cells.shape[::-1], strict=True)
    )
    return float(sum(wy * wx * cells[row, column] for row, wy in rows for column, wx in columns))


def _neighbours(place: float, count: int) -> list[tuple[int, float]]:
    """Return the cells around a place (a part of the whole), and their weights."""
    at = min(max(place * count - 0.5, 0.0), count - 1.0)
    before = min(math.floor(at), max(count - 2, 0))
    return [(before, 1 - (at - before)), (min(before + 1, count - 1), at - before)]


def inside_box(box: Sequence[float], height: int, width: int) -> NDArray[np.bool_]:
    """Return the pixels whose numbers are not below the box's near sides, and below its far ones."""
    x1, y1, x2, y2 = (
        (float(side) - 1e-6) * length for side, length in zip(box, (width, height) * 2, strict=True)
    )
    columns, rows = np.arange(width), np.arange(height)
    return ((rows >= y1) & (rows < y2))[:, np.newaxis] & ((columns >= x1) & (columns < x2))


def cells_in_box(box: Sequence[float], frame: Frame, height: int, width: int) -> NDArray[np.bool_]:
    """Return the cells of the prototypes that a box crops them to."""
    (fx, ox), (fy, oy) = frame
    x1, y1, x2, y2 = map(float, box)
    return inside_box((x1 * fx + ox, y1 * fy + oy, x2 * fx + ox, y2 * fy + oy), height, width)


def decoded_rle(encoded: dict[str, Any]) -> NDArray[np.bool_]:
    """Return the mask of a compressed COCO RLE."""
    counts: list[int] = []
    digits: list[int] = []
    for letter in encoded["counts"]:
        number = ord(letter) - 48
        assert 0 <= number < 64
        digits.append(number & 31)
        if number & 32:
            continue
        value = sum(digit << (5 * place) for place, digit in enumerate(digits))
        if digits[-1] & 16:
            value -= 1 << (5 * len(digits))
        digits = []
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    assert not digits
    height, width = encoded["size"]
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return values.reshape(width, height).T


def is_inside(rings: Sequence[NDArray[Any]], x: float, y: float) -> bool:
    """Say whether a point is inside of rings by the even-odd rule."""
    crossings = 0
    for ring in rings:
        for (x1, y1), (x2, y2) in zip(ring.tolist(), np.roll(ring, -1, axis=0).tolist(), strict=True):
            if (y1 > y) != (y2 > y) and x < x1 + (y - y1) / (y2 - y1) * (x2 - x1):
                crossings += 1
    return crossings % 2 == 1


def pasted_at(
    probabilities: NDArray[Any], box: Sequence[float], height: int, width: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the probabilities less 0.5 of a box's mask at the centres of pixels, and which pixels it has.

    As ``paste_masks_in_image`` of torchvision: a cell of 0 more on each side, the box larger by as much, cut
    off to whole numbers, and both of its sides inside. The box is in pixels; float32, as torchvision's.
    """
    side = probabilities.shape[0]
    padded = np.pad(probabilities.astype(np.float64), 1) - 0.5
    found, has = np.zeros((height, width)), np.zeros((height, width), bool)
    x1, y1, x2, y2 = (np.float32(number) for number in box)
    scale, half = np.float32((side + 2) / side), np.float32(0.5)
    spans = []
    for low, high in ((x1, x2), (y1, y2)):
        reach, centre = (high - low) * half * scale, (high + low) * half
        first, last = math.trunc(float(centre - reach)), math.trunc(float(centre + reach))
        spans.append((first, last, max(last - first + 1, 1)))
    (left, right, columns), (top, bottom, rows) = spans
    frame = ((1.0, 0.0), (1.0, 0.0))
    for y in range(max(top, 0), min(bottom + 1, height)):
        for x in range(max(left, 0), min(right + 1, width)):
            place = (x - left + 0.5) / columns, (y - top + 0.5) / rows
            found[y, x] = _interpolated(padded, *place, frame)
            has[y, x] = True
    return found, has
