"""Small pictures of mistakes, as data URIs that a page holds itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from postproc.errors import ImageError
from postproc.evaluation.mistakes import Corners, Mistake

OpenImage = Callable[[int], Image.Image]  # by the row of an image; raises ImageError where it cannot be had

_SIDE = 240  # pixels of a picture, both ways
_CONTEXT = 1.5  # times the longer side of what it is about
_LEAST = 48  # pixels of the image that are shown at least
_DETECTION, _OBJECT, _EDGE = (230, 25, 75), (40, 190, 80), (0, 0, 0)
_JPEG_QUALITY = 82


@dataclass(frozen=True, slots=True)
class MistakePicture:
    """The picture of a mistake, or why there is none.

    Parameters
    ----------
    source : str, optional
        Data URI of a JPEG.
    why_not : str
        Why its image could not be opened.
    """

    source: str | None = None
    why_not: str = ""


def picture_mistakes(mistakes: Sequence[Mistake], open_image: OpenImage) -> list[MistakePicture]:
    """Draw each mistake, or say why its image cannot be opened. Each image is opened once."""
    drawn = [MistakePicture()] * len(mistakes)
    for number in dict.fromkeys(mistake.image for mistake in mistakes):
        rows = [row for row, mistake in enumerate(mistakes) if mistake.image == number]
        try:
            image = open_image(number)
        except ImageError as error:
            for row in rows:
                drawn[row] = MistakePicture(why_not=str(error))
            continue
        for row in rows:
            drawn[row] = MistakePicture(_data_uri(_draw(image, mistakes[row])))
    return drawn


def _draw(image: Image.Image, mistake: Mistake) -> Image.Image:
    if mistake.box is None:
        picture = image.convert("RGB")
        picture.thumbnail((_SIDE, _SIDE))
        return picture
    left, top, right, bottom = _scaled(mistake.box, image.size)
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
    draw = ImageDraw.Draw(picture)
    is_object = mistake.is_object
    for box in mistake.others:
        _outline(draw, _placed(box, image.size, region), _DETECTION if is_object else _OBJECT)
    _outline(draw, _placed(mistake.box, image.size, region), _OBJECT if is_object else _DETECTION)
    return picture


def _scaled(box: Corners, size: tuple[int, int]) -> Corners:
    return box[0] * size[0], box[1] * size[1], box[2] * size[0], box[3] * size[1]


def _window(centre: float, side: float, length: int) -> float:
    """Start of a window around a place, inside the image where it is large enough."""
    if side >= length:
        return (length - side) / 2
    return min(max(centre - side / 2, 0.0), length - side)


def _placed(box: Corners, size: tuple[int, int], region: Corners) -> Corners:
    factor = _SIDE / (region[2] - region[0])
    left, top, right, bottom = _scaled(box, size)
    return (
        (left - region[0]) * factor,
        (top - region[1]) * factor,
        (right - region[0]) * factor,
        (bottom - region[1]) * factor,
    )


def _outline(draw: ImageDraw.ImageDraw, box: Corners, color: tuple[int, int, int]) -> None:
    left, top = box[0], box[1]
    right, bottom = max(box[2], left), max(box[3], top)
    draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=_EDGE, width=4)
    draw.rectangle((left, top, right, bottom), outline=color, width=2)


def _data_uri(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
