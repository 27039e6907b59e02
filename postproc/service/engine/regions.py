"""Which part of an image a request is about: a box or a polygon, as parts of its sides."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw

from postproc.images.loading import Picture
from postproc.service.errors import InputError
from postproc.transforms import ImageTransform

CORNERS = ("xmin", "ymin", "xmax", "ymax")
FEWEST_POINTS, MOST_POINTS = 3, 1000

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_ROUNDING = 1e-6  # pixels: 0.1 of 30 pixels is 3, though the product is a little more


@dataclass(frozen=True, slots=True)
class Region:
    """A part of an image, upright as it is seen.

    Parameters
    ----------
    box : (float, float, float, float)
        xmin, ymin, xmax, ymax, each 0..1 of the image's width or height.
    polygon : tuple of (float, float)
        Outside it the image is made white; empty for the whole box.
    """

    box: tuple[float, float, float, float]
    polygon: tuple[tuple[float, float], ...] = ()

    def pixels(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom, grown to whole pixels of an image of this height and width."""
        left, right = _pixels(self.box[0], self.box[2], size[1])
        top, bottom = _pixels(self.box[1], self.box[3], size[0])
        return left, top, right, bottom

    def cut(self, picture: Picture) -> tuple[Picture, tuple[int, int]]:
        """Cut the region out, and return it with its left and top, in pixels of the original."""
        height, width = picture.size
        left, top, right, bottom = self.pixels(picture.size)
        # To pixels of an image that may have been decoded smaller; else the steps are one, exactly.
        start_x, start_y, end_x, end_y = picture.box
        step_x, step_y = (end_x - start_x) / width, (end_y - start_y) / height
        box = (
            start_x + left * step_x,
            start_y + top * step_y,
            start_x + right * step_x,
            start_y + bottom * step_y,
        )
        first_x, first_y = math.floor(box[0]), math.floor(box[1])
        part = picture.image.crop((first_x, first_y, math.ceil(box[2]), math.ceil(box[3])))
        if self.polygon:
            # A pixel's centre is at a half, while the drawing takes whole numbers for centres.
            points = [
                (
                    start_x + x * width * step_x - first_x - 0.5,
                    start_y + y * height * step_y - first_y - 0.5,
                )
                for x, y in self.polygon
            ]
            outside = Image.new("1", part.size, 1)
            ImageDraw.Draw(outside).polygon(points, fill=0)
            part.paste("white", (0, 0), outside)
        inner = box[0] - first_x, box[1] - first_y, box[2] - first_x, box[3] - first_y
        return Picture(part, (bottom - top, right - left), inner), (left, top)


def of_whole_image(
    transform: ImageTransform, origin: tuple[int, int], image_size: tuple[int, int]
) -> ImageTransform:
    """Make the transform of an image out of that of a part of it.

    Parameters
    ----------
    transform : ImageTransform
        Of the part.
    origin : (int, int)
        Left and top of the part, in pixels of the image.
    image_size : (int, int)
        Height and width of the image.
    """
    offset = tuple(
        shift - scale * start
        for shift, scale, start in zip(transform.offset, transform.scale, origin, strict=True)
    )
    return ImageTransform(transform.scale, (offset[0], offset[1]), transform.input_size, image_size)


def read_region(path: str, image: Mapping[str, Any]) -> Region | None:
    """Read ``bbox``, ``polygon`` and ``crop_uniform_background`` of an image input.

    A polygon stands for the box around it; with ``crop_uniform_background`` the rest of that box is made
    white. Without a polygon there is nothing to make white.

    Raises
    ------
    InputError
        If one of them is not as the contract says, or both a box and a polygon are given.
    """
    uniform = _flag(f"{path}.crop_uniform_background", image.get("crop_uniform_background", False))
    bbox, polygon = image.get("bbox"), image.get("polygon")
    if bbox is not None and polygon is not None:
        raise InputError(f"{path}.polygon", "expected either bbox or polygon, got both; leave one out")
    if bbox is not None:
        return Region(_read_box(f"{path}.bbox", bbox))
    if polygon is None:
        return None
    points = _read_points(f"{path}.polygon", polygon)
    columns, rows = zip(*points, strict=True)
    box = min(columns), min(rows), max(columns), max(rows)
    if box[0] == box[2] or box[1] == box[3]:
        raise InputError(f"{path}.polygon", "expected points around an area, got points on one line")
    return Region(box, tuple(points) if uniform else ())


def _read_box(path: str, bbox: Any) -> tuple[float, float, float, float]:
    values = _fields(path, bbox, CORNERS)
    for low, high in (("xmin", "xmax"), ("ymin", "ymax")):
        if values[low] >= values[high]:
            raise InputError(
                f"{path}.{high}", f"expected more than {low}, {values[low]:g}, got {values[high]:g}"
            )
    return values["xmin"], values["ymin"], values["xmax"], values["ymax"]


def _read_points(path: str, polygon: Any) -> list[tuple[float, float]]:
    if not isinstance(polygon, (list, tuple)):
        raise InputError(path, f"expected a list of points {{x, y}}, got {_kind(polygon)}")
    if not FEWEST_POINTS <= len(polygon) <= MOST_POINTS:
        raise InputError(path, f"expected {FEWEST_POINTS} to {MOST_POINTS} points, got {len(polygon)}")
    points = [_fields(f"{path}[{row}]", point, ("x", "y")) for row, point in enumerate(polygon)]
    return [(point["x"], point["y"]) for point in points]


def _fields(path: str, value: Any, names: tuple[str, ...]) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise InputError(path, f"expected an object with {', '.join(names)}, got {_kind(value)}")
    for name in value:
        if name not in names:
            raise InputError(f"{path}.{name}", f"unknown field; expected {', '.join(names)}")
    for name in names:
        if name not in value:
            raise InputError(f"{path}.{name}", "required field is missing; add it")
    return {name: _part(f"{path}.{name}", value[name]) for name in names}


def _part(path: str, value: Any) -> float:
    """Read a number from 0 to 1, which a form sends as text."""
    expected = "expected a number from 0 to 1"
    if isinstance(value, str):
        if len(value) > 64 or not _NUMBER.fullmatch(value.strip()):
            raise InputError(path, f"{expected}, got the text {value[:64]!r}")
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(path, f"{expected}, got {_kind(value)}")
    if not 0 <= value <= 1:  # not-a-number fails too
        raise InputError(path, f"{expected}, got {str(value)[:64]}")
    return float(value)


def _flag(path: str, value: Any) -> bool:
    texts = {"true": True, "false": False}  # as a form sends it, in Python's spelling or JSON's
    if isinstance(value, str) and value.lower() in texts:
        return texts[value.lower()]
    if not isinstance(value, bool):
        raise InputError(path, f"expected true or false, got {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return f"{len(value)} bytes"
    kinds = {bool: "true or false", dict: "an object", list: "a list", str: "text", type(None): "null"}
    return kinds.get(type(value), type(value).__name__)


def _pixels(start: float, end: float, side: int) -> tuple[int, int]:
    """Give the first pixel and the one behind the last, of one at least."""
    first = min(math.floor(start * side + _ROUNDING), side - 1)
    last = min(math.ceil(end * side - _ROUNDING), side)
    return first, max(last, first + 1)
