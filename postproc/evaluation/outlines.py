"""What is drawn of detections and objects in a report: boxes, oriented boxes, keypoints and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.groups import Integers
from postproc.evaluation.measured_detections import MeasuredDetections
from postproc.evaluation.shapes import Shapes
from postproc.results.rows import images_of_rows

if TYPE_CHECKING:
    from postproc.evaluation.detection import DetectionEvaluation

Corners = tuple[float, float, float, float]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Outline:
    """A detection or an object, in parts of its image's width and height.

    Parameters
    ----------
    box : tuple of float
        xmin, ymin, xmax, ymax.
    corners : tuple of (float, float)
        Of an oriented box; none of an upright one.
    points : tuple of (float, float) or None
        Keypoints; None for one that is not there.
    mask : list of list of (float, float), or dict, optional
        Polygons, or RLE of the whole image.
    """

    box: Corners
    corners: tuple[Point, ...] = ()
    points: tuple[Point | None, ...] = ()
    mask: Any = None


def outline_objects(evaluation: DetectionEvaluation, rows: Sequence[int] | Integers) -> list[Outline]:
    """Outline objects by their rows among those of the images that count.

    Of what they have, only what detections have as well: a mask beside a box tells nothing.
    """
    batch, rows = evaluation.collected.truth, np.asarray(rows, np.int64).reshape(-1)
    sizes = batch.sizes[images_of_rows(batch.offsets)[rows]]
    boxes = batch.boxes[rows]
    corners = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]) / np.tile(sizes[:, ::-1], 2)
    found = evaluation.detections
    kinds = _kinds(found.shapes) if isinstance(found, MeasuredDetections) else frozenset()
    return _outlines(corners, evaluation.truth.shapes[batch.rows[rows]], sizes, kinds)


def outline_detections(evaluation: DetectionEvaluation, rows: Sequence[int] | Integers) -> list[Outline]:
    """Outline the version's own detections by their rows."""
    found, rows = evaluation.detections, np.asarray(rows, np.int64).reshape(-1)
    shapes, sizes = Shapes.of(len(rows)), evaluation.collected.truth.sizes
    if isinstance(found, MeasuredDetections):
        shapes = found.shapes[rows]
    return _outlines(
        found.boxes[rows].astype(np.float64),
        shapes,
        sizes[images_of_rows(found.offsets)[rows]],
        _kinds(shapes),
    )


def _kinds(shapes: Shapes) -> frozenset[str]:
    """Tell what any of them has; unlike `Shapes.counts`, look no further than the first mask."""
    has = {
        "masks": any(mask is not None for mask in shapes.masks),
        "keypoints": shapes.keypoints.shape[1] > 0,
        "oriented boxes": not np.isnan(shapes.rectangles).all(),
    }
    return frozenset(kind for kind, is_there in has.items() if is_there)


def _outlines(
    boxes: NDArray[np.float64], shapes: Shapes, sizes: NDArray[np.int64], kinds: frozenset[str]
) -> list[Outline]:
    found = []
    for row, (height, width) in enumerate(sizes.tolist()):
        size = np.array([width, height])
        corners: tuple[Point, ...] = ()
        points: tuple[Point | None, ...] = ()
        mask = None
        rectangle = shapes.rectangles[row]
        if "oriented boxes" in kinds and not np.isnan(rectangle).any():
            corners = _points(corners_of(rectangle) / size)
        if "keypoints" in kinds:
            places = zip(
                _points(shapes.keypoints[row, :, :2] / size), shapes.keypoints[row, :, 2], strict=True
            )
            points = tuple(point if visibility > 0 else None for point, visibility in places)
        if "masks" in kinds:
            mask = shapes.masks[row]
            if isinstance(mask, list):
                mask = [_points(np.reshape(polygon, (-1, 2)) / size) for polygon in mask]
        left, top, right, bottom = boxes[row].tolist()
        found.append(Outline((left, top, right, bottom), corners, points, mask))
    return found


def corners_of(rectangle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners of a rectangle (5,) of `Shapes`, (4, 2)."""
    x, y, width, height, angle = rectangle.tolist()
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return np.array([[x, y] + a * width / 2 * along + b * height / 2 * across for a, b in signs])


def _points(places: NDArray[np.float64]) -> tuple[Point, ...]:
    return tuple((x, y) for x, y in places.tolist())
