"""Keypoints of results: gathered row by row, placed as boxes are, but not clipped."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tests.reference.boxes import rounded, to_centre
from tests.reference.decode_distances import landmarks
from tests.reference.decode_offsets import priors_of
from tests.reference.decode_rows import finished_rows
from tests.reference.decode_yolo import places_of, table_of
from tests.reference.hypothesis import Size
from tests.reference.levels import of_levels
from tests.reference.tensors import Tensors, as_float32, batched


class Transform(Protocol):
    """Where an image lies in the network's input: ``input = scale * image + offset``."""

    @property
    def scale(self) -> tuple[float, float]: ...  # x, y
    @property
    def offset(self) -> tuple[float, float]: ...  # x, y
    @property
    def input_size(self) -> tuple[int, int]: ...  # height, width
    @property
    def image_size(self) -> tuple[int, int]: ...  # height, width


def place_point(
    x: float, y: float, size: Size | None, transform: Transform | None
) -> tuple[np.float32, np.float32]:
    """Return a point relative to the image: float64, rounded once."""
    point = []
    for axis, value in enumerate((float(x), float(y))):
        if transform is None:
            point.append(value / (1.0 if size is None else size[1 - axis]))
            continue
        pixel = value if size is not None else value * transform.input_size[1 - axis]
        in_image = (pixel - transform.offset[axis]) / transform.scale[axis]
        point.append(in_image / transform.image_size[1 - axis])
    with np.errstate(all="ignore"):
        placed = rounded(point)
    return placed[0], placed[1]


def keypoints(
    kind: str,
    output: dict[str, Any],
    tensors: Tensors,
    labels: int,
    image: int,
    region: int,
    size: Size | None,
    transform: Transform | None,
) -> NDArray[np.float32]:
    """Return the (P, D) keypoints of a region; zeros where a number is not finite."""
    return placed_points(_points_of(kind, output, tensors, labels, image, region, size), size, transform)


def placed_points(
    points: NDArray[np.float32], size: Size | None, transform: Transform | None
) -> NDArray[np.float32]:
    """Return the (P, D) keypoints of one box relative to the image; zeros where a number is not finite."""
    found = np.zeros(points.shape, np.float32)
    for index, numbers in enumerate(points):
        placed = [*place_point(numbers[0], numbers[1], size, transform), *numbers[2:]]
        if np.isfinite(placed).all():
            found[index] = placed
    return found


def _points_of(
    kind: str,
    output: dict[str, Any],
    tensors: Tensors,
    labels: int,
    image: int,
    region: int,
    size: Size | None,
) -> NDArray[np.float32]:
    """Return the (P, D) keypoints of a region in what its box is in: float64, rounded once."""
    count = output["keypoints"]
    if kind == "distance_output":
        assert size is not None
        return landmarks(output, tensors, labels, image, region, size)
    if kind == "ssd_output":
        return _of_prior(output, tensors, image, region)
    if kind == "yolox_output":
        assert size is not None
        numbers = of_levels(output, tensors, output["landmarks_tensors"], 2 * count)[0][image, region]
        row, col, stride = places_of(output, tensors, *size)[region]
        cell = np.array([col, row], np.float64)
        with np.errstate(all="ignore"):
            return rounded((numbers.reshape(count, 2).astype(np.float64) + cell) * stride)
    dimensions = output.get("dimensions", 3)
    if kind == "end_to_end_output":
        more = finished_rows(output, tensors, None)[image].more
        assert more is not None
        return np.asarray(more[region], np.float32).reshape(count, dimensions)
    has_objectness = kind == "yolov5_output"
    line = table_of(output, tensors, 4 + has_objectness + labels + count * dimensions)[image, region]
    first = 4 + has_objectness + (0 if output.get("keypoints_first") else labels)
    return line[first : first + count * dimensions].reshape(count, dimensions).copy()


def _of_prior(output: dict[str, Any], tensors: Tensors, image: int, region: int) -> NDArray[np.float32]:
    name = output.get("landmarks_tensor")
    offsets = batched(as_float32(tensors[name or output["offsets_tensor"]]), 3)
    priors = priors_of(output, tensors, offsets.shape[1])
    prior = priors[image if len(priors) > 1 else 0, region]
    x, y, w, h = to_centre(prior, output.get("priors_format", "cxcywh"))
    scale = output.get("offsets_scale", (0.1, 0.1, 0.2, 0.2))
    points = offsets[image, region, 0 if name else 4 :].reshape(-1, 2).astype(np.float64)
    if output.get("offsets_order", "xywh") == "yxhw":
        points = points[:, ::-1]
    with np.errstate(all="ignore"):
        return rounded(np.array([x, y]) + points * scale[:2] * np.array([w, h]))
