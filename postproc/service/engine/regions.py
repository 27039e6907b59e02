"""Which part of an image a request is about: a box or a polygon, as parts of its sides."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image, ImageDraw

from postproc.images.loading import Picture
from postproc.transforms import ImageTransform

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


def _pixels(start: float, end: float, side: int) -> tuple[int, int]:
    """Give the first pixel and the one behind the last, of one at least."""
    first = min(math.floor(start * side + _ROUNDING), side - 1)
    last = min(math.ceil(end * side - _ROUNDING), side)
    return first, max(last, first + 1)
