"""Inputs to run a network on where there are none: an image with shapes and noise, and what goes with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import InspectionError
from postproc.inspection.graph import Axis, Graph, Tensor, image_axes
from postproc.inspection.image_inputs import SIZES
from postproc.transforms import Size

_SHAPES = 16  # of an image
_NOISE = 0.03

# Numbers that networks with NMS take, by their names: so low a score and so many boxes that there are rows.
_THRESHOLDS = ((re.compile("iou|nms"), 0.5), (re.compile("score|conf"), 0.0))
_COUNTS = ((re.compile("max|top_?k"), 100.0),)


@dataclass(frozen=True, slots=True)
class GeneratedInput:
    """An input to generate.

    Parameters
    ----------
    type : str
        Its data type, as NumPy calls it.
    shape : sequence of int
        Its axes.
    order : str
        Its axes as letters, ``NCHW``, where it is an image; else nothing.
    data : sequence of float
        Else its numbers, repeated where there are fewer than its elements.
    """

    type: str
    shape: Sequence[int]
    order: str = ""
    data: Sequence[float] = ()

    @property
    def size(self) -> Size:
        """Height and width of an image."""
        return self.shape[self.order.index("H")], self.shape[self.order.index("W")]

    def array(self) -> NDArray[Any]:
        """Generate it, the same each time."""
        dtype = np.dtype(self.type)
        if not self.order:
            return np.resize(np.array(self.data), tuple(self.shape)).astype(dtype)
        sizes = {"N": 1, **dict(zip(self.order, self.shape, strict=True))}
        images = _images(*(sizes[letter] for letter in "NHWC"))
        axes = ["NHWC".index(letter) for letter in self.order]
        ordered = images.transpose(axes) if "N" in self.order else images[0].transpose(np.subtract(axes, 1))
        return np.ascontiguousarray(_as_pixels(ordered, dtype))


def generated_inputs(graph: Graph, size: Size) -> dict[str, GeneratedInput]:
    """Describe inputs for one image, or for as many as the file fixes.

    Parameters
    ----------
    graph : Graph
        The network.
    size : (int, int)
        Height and width of the image, where the file leaves them free.

    Raises
    ------
    InspectionError
        If it is unknown what an input takes; names it.
    """
    found = _image(graph, size)
    if found is None:
        raise InspectionError(
            "no input takes images of 1 or 3 channels, (N, C, H, W) or (N, H, W, C), with or without N"
        )
    name, image = found
    return {tensor.name: image if tensor.name == name else _beside(tensor, image) for tensor in graph.inputs}


def _image(graph: Graph, size: Size) -> tuple[str, GeneratedInput] | None:
    # torchvision's images have no batch axis, but 3 channels.
    single = (item for item in graph.inputs if item.rank == 3 and 3 in (item.axis(0), item.axis(2)))
    tensor = graph.image or next(single, None)
    if tensor is None or tensor.declared is None:
        return None
    without_batch = 4 - tensor.rank
    declared: tuple[Axis, ...] = (1,) * without_batch + tensor.declared
    axes = image_axes(declared)
    if axes is None:
        return None
    order, channels, _, _ = axes
    free = {"N": 1, "C": channels, "H": size[0], "W": size[1]}
    shape = [
        axis if isinstance(axis, int) else free[letter] for axis, letter in zip(declared, order, strict=True)
    ]
    return tensor.name, GeneratedInput(_data_type(tensor), shape[without_batch:], order[without_batch:])


def _beside(tensor: Tensor, image: GeneratedInput) -> GeneratedInput:
    """Describe an input beside the image, known by its name."""
    data_type = _data_type(tensor)
    name = tensor.plain_name
    batch = image.shape[0] if image.order[0] == "N" else 1
    shapes: list[tuple[int, ...]]
    if name in SIZES:
        sides = dict(zip("hw", image.size, strict=True))
        data = [sides[item] if isinstance(item, str) else item for item in SIZES[name]]
        shapes = [(len(data),), (batch, len(data))]
    elif name == "pixel_mask":
        data, shapes = [1], [(batch, *image.size)]
    else:
        numbers = _COUNTS if np.dtype(data_type).kind in "iu" else _THRESHOLDS
        data = [number for pattern, number in numbers if pattern.search(name)][:1]
        shapes = [(), (1,), (1, 1)]
    shape = next((shape for shape in shapes if _fits(tensor.declared, shape)), None)
    if not data or shape is None:
        raise InspectionError(
            f"it is unknown what its input {tensor.name} {tensor.type} {tensor.declared_text} takes"
        )
    return GeneratedInput(data_type, shape, data=data)


def _fits(declared: Sequence[Axis] | None, shape: Sequence[int]) -> bool:
    if declared is None or len(declared) != len(shape):
        return False
    return all(axis == size or not isinstance(axis, int) for axis, size in zip(declared, shape, strict=True))


def _data_type(tensor: Tensor) -> str:
    if not tensor.is_array:
        raise InspectionError(f"its input {tensor.name} is {tensor.type}, and no array of numbers")
    return tensor.type


def _images(count: int, height: int, width: int, channels: int) -> NDArray[np.float32]:
    """Draw rectangles and ellipses of plain colours on a gradient, with noise, in [0, 1]; NHWC."""
    rng = np.random.default_rng(0)
    rows, columns = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)
    images = np.empty((count, height, width, channels), np.float32)
    for image in images:
        down, right = rng.uniform(0, 0.5, (2, channels))
        image[:] = rows[..., None] * down + columns[:, None] * right
        for row in range(_SHAPES):
            centre, radii = rng.uniform(0, 1, 2), rng.uniform(0.03, 0.25, 2)
            y, x = np.abs(rows - centre[0]) / radii[0], np.abs(columns - centre[1]) / radii[1]
            image[(np.maximum(x, y) if row % 2 else np.hypot(x, y)) < 1] = rng.uniform(0, 1, channels)
        image += _NOISE * rng.standard_normal(image.shape, np.float32)
    return images.clip(0, 1, out=images)


def _as_pixels(images: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Give values in [0, 1] as a data type holds them: floats as they are, integers from 0 to 255."""
    if dtype.kind == "f":
        return images.astype(dtype)
    if dtype.kind == "b":
        return images > 0.5
    lowest = -128 if dtype == np.int8 else 0
    return (np.rint(images * 255) + lowest).astype(dtype)
