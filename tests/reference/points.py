"""Keypoints of results: gathered row by row, placed as boxes are, but not clipped."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tests.reference.boxes import rounded
from tests.reference.decode_yolo import table_of
from tests.reference.hypothesis import Size
from tests.reference.tensors import Tensors


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
    output: dict[str, Any],
    tensors: Tensors,
    labels: int,
    image: int,
    region: int,
    size: Size | None,
    transform: Transform | None,
) -> NDArray[np.float32]:
    """Return the (P, D) keypoints of a region of a pose network; zeros where a number is not finite."""
    points, dimensions = output["keypoints"], output.get("dimensions", 3)
    line = table_of(output, tensors, 4 + labels + points * dimensions)[image, region]
    found = np.zeros((points, dimensions), np.float32)
    for index in range(points):
        numbers = line[4 + labels + index * dimensions :][:dimensions]
        placed = [*place_point(numbers[0], numbers[1], size, transform), *numbers[2:]]
        if np.isfinite(placed).all():
            found[index] = placed
    return found
