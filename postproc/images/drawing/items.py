"""What is drawn of the outputs of an image, in its pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.images.drawing.colors import Color, label_color

Box = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom lie outside
Mask = Callable[[], NDArray[np.bool_]]  # which pixels it covers, made when it is drawn
Point = tuple[float, float]  # x, y in pixels

_LONGEST_TEXT = 200  # characters, more than a tag shows: names of any length cost the same


class DrawableClassifications(Protocol):
    """The classifications of one image: one row per label."""

    @property
    def scores(self) -> NDArray[np.float32]:
        """Scores, (K,)."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Rows of the spec's labels, (K,); each has a colour of its own."""

    @property
    def label_names(self) -> Iterable[str]:
        """Names of the labels, one per row."""

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """Whether each row is predicted, or discarded, (K,)."""


class DrawableDetections(DrawableClassifications, Protocol):
    """The detections of one image: one row per box.

    They may also have the ``keypoints`` and ``skeleton`` of `KeypointDetections`, the ``polygons`` of
    `OrientedDetections` or the ``masks`` of `MaskedDetections`.
    """

    @property
    def boxes(self) -> NDArray[np.float32]:
        """Boxes xmin, ymin, xmax, ymax in [0, 1] of the image, (K, 4)."""


class Row(NamedTuple):
    """A label that was found, as it is listed or stands on a tag."""

    name: str
    score: str
    color: Color
    predicted: bool


class Boxed(NamedTuple):
    """A label with its box, and what else is drawn there."""

    row: Row
    box: Box
    corners: list[Point]  # of an oriented box; none of an upright one
    dots: list[tuple[Point, bool]]  # keypoints, and whether they are visible
    limbs: list[tuple[Point, Point]]  # visible keypoints that are joined
    mask: Mask | None


def boxed_rows(output: DrawableDetections, size: tuple[int, int]) -> list[Boxed]:
    """Return what is drawn of each box, in pixels of a picture of this width and height."""
    boxes = _pixel_boxes(output.boxes, size)
    rows = rows_of(output, len(boxes))
    corners = _corners(getattr(output, "polygons", None), len(boxes), size)
    poses = _poses(getattr(output, "keypoints", None), getattr(output, "skeleton", ()), len(boxes), size)
    masks = [_mask(output, row, size) for row in range(len(boxes))]
    return [
        Boxed(row, box, sides, dots, limbs, mask)
        for row, box, sides, (dots, limbs), mask in zip(rows, boxes, corners, poses, masks, strict=True)
    ]


def _mask(output: Any, row: int, size: tuple[int, int]) -> Mask | None:
    """Return how to make the mask of a row: one at a time, since many of a large picture take much memory."""
    if not hasattr(output, "masks"):
        return None

    def mask() -> NDArray[np.bool_]:
        only = np.arange(len(output.labels)) == row
        found: NDArray[np.bool_] = output[only].masks((size[1], size[0]))[0]
        return found

    return mask


def _corners(polygons: object, rows: int, size: tuple[int, int]) -> list[list[Point]]:
    """Return the corners of each row's oriented box; those far outside are moved nearer."""
    if polygons is None:
        return [[]] * rows
    points = np.asarray(polygons, np.float64)
    if points.shape != (rows, 4, 2) or not np.isfinite(points).all():
        raise TensorError(f"polygons: expected finite numbers of shape ({rows}, 4, 2), got {points.shape}")
    pixels = np.clip(points, -4, 5) * size - 0.5
    return [[(x, y) for x, y in row] for row in pixels.tolist()]


def _poses(
    keypoints: object, skeleton: Iterable[tuple[int, int]], rows: int, size: tuple[int, int]
) -> list[tuple[list[tuple[Point, bool]], list[tuple[Point, Point]]]]:
    """Return the dots and limbs of each row, of keypoints in the picture; all zeros are none."""
    if keypoints is None:
        return [([], [])] * rows
    points = np.asarray(keypoints, np.float64)
    if points.ndim != 3 or len(points) != rows or points.shape[2] not in (2, 3):
        raise TensorError(f"keypoints: expected shape ({rows}, P, 2) or ({rows}, P, 3), got {points.shape}")
    limbs, count = list(skeleton), points.shape[1]
    if not all(1 <= number <= count for limb in limbs for number in limb):
        raise TensorError(f"skeleton: expected pairs of keypoints' numbers, 1 to {count}, got {limbs}")
    inside = ((points[:, :, :2] >= 0) & (points[:, :, :2] <= 1)).all(axis=2)
    shown = np.logical_and(inside, points.any(axis=2))
    visible = points[:, :, 2] > 0.5 if points.shape[2] == 3 else np.ones(points.shape[:2], np.bool_)
    poses = []
    for row in range(rows):
        pixels: list[Point] = [(x, y) for x, y in (points[row, :, :2] * size).tolist()]
        is_visible, is_joined = visible[row].tolist(), (shown[row] & visible[row]).tolist()
        dots = [(pixels[point], is_visible[point]) for point in np.flatnonzero(shown[row]).tolist()]
        lines = [
            (pixels[first - 1], pixels[second - 1])
            for first, second in limbs
            if is_joined[first - 1] and is_joined[second - 1]
        ]
        poses.append((dots, lines))
    return poses


def rows_of(output: DrawableClassifications, boxes: int | None = None) -> list[Row]:
    """Return the rows of an output, as many as there are boxes."""
    names, labels = list(output.label_names), np.asarray(output.labels)
    scores, predicted = np.asarray(output.scores), np.asarray(output.predicted)
    counts = {
        "label_names": len(names),
        "labels": len(labels),
        "scores": len(scores),
        "predicted": len(predicted),
    }
    if boxes is not None:
        counts["boxes"] = boxes
    if len(set(counts.values())) > 1:
        raise TensorError(f"expected one length for all rows of an output, got {counts}")
    return [
        Row(_printable(name), f"{score:.2f}", label_color(int(label)), bool(present))
        for name, score, label, present in zip(names, scores, labels, predicted, strict=True)
    ]


def _printable(name: str) -> str:
    shown = "".join(letter if letter.isprintable() else " " for letter in name[:_LONGEST_TEXT])
    return " ".join(shown.split())


def _pixel_boxes(boxes: NDArray[np.float32], size: tuple[int, int]) -> list[Box]:
    """Return whole-pixel boxes of at least one pixel, inside the picture."""
    corners = np.asarray(boxes, np.float64)
    if corners.ndim != 2 or corners.shape[1] != 4 or not np.isfinite(corners).all():
        raise TensorError(f"boxes: expected finite numbers of shape (K, 4), got shape {corners.shape}")
    limits = np.array(size * 2)
    pixels = np.floor(np.clip(corners, 0, 1) * limits + 0.5).astype(np.int64)
    pixels[:, :2] = np.minimum(pixels[:, :2], limits[:2] - 1)
    pixels[:, 2:] = np.maximum(pixels[:, 2:], pixels[:, :2] + 1)
    return [(left, top, right, bottom) for left, top, right, bottom in pixels.tolist()]
