"""Small pictures for a report, as data URIs that a page holds itself."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from postproc.errors import ImageError
from postproc.evaluation.mistakes import Mistake
from postproc.evaluation.outlines import Corners, Outline, Point
from postproc.images.drawing.colors import BLACK, Color
from postproc.images.drawing.items import Row
from postproc.images.drawing.pen import Pen

OpenImage = Callable[[int], Image.Image]  # by the row of an image; raises ImageError where it cannot be had

_SIDE = 240  # pixels of a picture, both ways
_CONTEXT = 1.5  # times the longer side of what it is about
_LEAST = 48  # pixels of the image that are shown at least
DETECTION, OBJECT, MISSED = (230, 25, 75), (40, 190, 80), (255, 150, 0)
_TINT = 0.35
_JPEG_QUALITY = 82
# Pairs of COCO's 17 keypoints of people that are joined (its annotations' ``skeleton``), from 0 on.
_COCO_SKELETON = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9),
    (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)  # fmt: skip
_COCO_POINTS = 17


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture, or why there is none.

    Parameters
    ----------
    source : str, optional
        Data URI of a JPEG.
    why_not : str
        Why its image could not be opened.
    """

    source: str | None = None
    why_not: str = ""


def picture_mistakes(mistakes: Sequence[Mistake], open_image: OpenImage) -> list[Picture]:
    """Draw each mistake, or say why its image cannot be opened. Each image is opened once."""
    return draw_pictures(
        [mistake.image for mistake in mistakes], lambda row, image: _draw(image, mistakes[row]), open_image
    )


def draw_pictures(
    images: Sequence[int], draw: Callable[[int, Image.Image], Image.Image], open_image: OpenImage
) -> list[Picture]:
    """Draw a picture of each image, given by its row, by a function of its place here and what is opened."""
    drawn = [Picture()] * len(images)
    for number in dict.fromkeys(images):
        rows = [row for row, image in enumerate(images) if image == number]
        try:
            opened = open_image(number)
        except ImageError as error:
            for row in rows:
                drawn[row] = Picture(why_not=str(error))
            continue
        for row in rows:
            drawn[row] = Picture(_data_uri(draw(row, opened)))
    return drawn


def _draw(image: Image.Image, mistake: Mistake) -> Image.Image:
    if mistake.about is None:
        picture = image.convert("RGB")
        picture.thumbnail((_SIDE, _SIDE))
        return picture
    left, top, right, bottom = _scaled(mistake.about.box, image.size)
    side = max(right - left, bottom - top)
    side = min(max(side * (1 + _CONTEXT), _LEAST), max(image.size))
    x, y = (
        _window((low + high) / 2, side, length)
        for low, high, length in ((left, right, image.width), (top, bottom, image.height))
    )
    region = (x, y, x + side, y + side)
    picture = image.convert("RGB").transform(
        (_SIDE, _SIDE), Image.Transform.EXTENT, region, Image.Resampling.BILINEAR, fillcolor=(60, 60, 66)
    )
    colors = (OBJECT, DETECTION) if mistake.is_object else (DETECTION, OBJECT)
    sketch = Sketch(picture, region, image.size)
    for outline in mistake.others:
        sketch.draw(outline, colors[1])
    sketch.draw(mistake.about, colors[0])
    return picture


class Sketch:
    """Outlines drawn on a picture that shows a region of an image.

    Parameters
    ----------
    picture : PIL.Image.Image
    region : tuple of float
        Left, top, right and bottom in the image's pixels.
    size : (int, int)
        Width and height of the image.
    has_rims : bool
        Whether boxes are set off from the picture by dark rims, which hide much of small ones.
    """

    def __init__(
        self, picture: Image.Image, region: Corners, size: tuple[int, int], has_rims: bool = True
    ) -> None:
        self._picture, self._region, self._size = picture, region, size
        self._has_rims = has_rims
        self._pen = Pen(picture, 2)
        self._wide = Pen(picture, 4)

    def draw(self, outline: Outline, color: Color, is_solid: bool = True) -> None:
        """Draw what is known of a detection or an object; what is not solid has dashes."""
        if outline.mask is not None:
            self._mask(outline.mask, color, is_solid)
        elif outline.corners:
            corners = [self._placed(point) for point in outline.corners]
            if is_solid and self._has_rims:
                self._wide.outline_polygon(corners, BLACK, True)
            (self._pen if is_solid else self._wide).outline_polygon(corners, color, is_solid)
        else:
            self._box(outline.box, color, is_solid)
        if outline.points:
            self._pose(outline.points, color, is_solid)

    def _box(self, box: Corners, color: Color, is_solid: bool) -> None:
        places = np.array([self._placed(box[:2]), self._placed(box[2:])])
        places = np.clip(places, -8, np.array(self._picture.size) + 8).round().astype(int)
        left, top = places[0].tolist()
        right, bottom = np.maximum(places[1], places[0] + 1).tolist()
        if is_solid:
            if self._has_rims:
                self._pen.outline((left - 1, top - 1, right + 1, bottom + 1), BLACK, 4)
            self._pen.outline((left, top, right, bottom), color, 2)
        else:
            self._wide.dash((left, top, right, bottom), color)

    def _mask(self, mask: Any, color: Color, is_solid: bool) -> None:
        shape = Image.new("L", self._picture.size)
        if isinstance(mask, dict):
            covered = Image.fromarray(decode(mask) * np.uint8(255))
            factors = np.tile(np.array(covered.size) / self._size, 2)
            region = tuple((np.array(self._region) * factors).tolist())
            shape = covered.transform(shape.size, Image.Transform.EXTENT, region, fillcolor=0)
        else:
            draw = ImageDraw.Draw(shape)
            for polygon in mask:
                if len(polygon) > 1:
                    draw.polygon([self._placed(point) for point in polygon], fill=255)
        inside = np.asarray(shape) > 127
        if is_solid:
            self._pen.tint(inside, color, _TINT)
        rim = inside & (np.asarray(shape.filter(ImageFilter.MinFilter(3))) < 128)
        self._pen.tint(rim, color, 1.0)

    def _pose(self, points: Sequence[Point | None], color: Color, is_solid: bool) -> None:
        places = [None if point is None else self._placed(point) for point in points]
        limbs = []
        for first, second in _COCO_SKELETON if len(places) == _COCO_POINTS else ():
            start, end = places[first], places[second]
            if start is not None and end is not None:
                limbs.append((start, end))
        self._pen.join(limbs, Row("", "", color, is_solid))
        for place in places:
            if place is not None:
                self._pen.dot(place, color, is_solid)

    def _placed(self, point: Point) -> Point:
        left, top, right, bottom = self._region
        x = (point[0] * self._size[0] - left) * self._picture.width / (right - left)
        y = (point[1] * self._size[1] - top) * self._picture.height / (bottom - top)
        return x, y


def decode(mask: dict[str, Any]) -> Any:
    """Pixels of a COCO RLE, (height, width) uint8 of 0 and 1."""
    from pycocotools import mask as coco_masks

    with warnings.catch_warnings():  # of NumPy 2, at an interface that pycocotools has yet to change
        warnings.simplefilter("ignore", DeprecationWarning)
        if isinstance(mask["counts"], list):
            mask = coco_masks.frPyObjects(mask, *mask["size"])
        return coco_masks.decode(mask)


def _scaled(box: Corners, size: tuple[int, int]) -> Corners:
    return box[0] * size[0], box[1] * size[1], box[2] * size[0], box[3] * size[1]


def _window(centre: float, side: float, length: int) -> float:
    """Start of a window around a place, inside the image where it is large enough."""
    if side >= length:
        return (length - side) / 2
    return min(max(centre - side / 2, 0.0), length - side)


def _data_uri(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
