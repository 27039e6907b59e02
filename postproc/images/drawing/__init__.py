"""Draw recognitions onto the image that they were found in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeGuard

from PIL import Image

from postproc.images.drawing.canvas import Canvas
from postproc.images.drawing.colors import label_color
from postproc.images.drawing.items import (
    Boxed,
    DrawableClassifications,
    DrawableDetections,
    Row,
    boxed_rows,
    rows_of,
)
from postproc.images.loading import ImageSource, load_image

__all__ = [
    "DrawableClassifications",
    "DrawableDetections",
    "draw_classifications",
    "draw_detections",
    "draw_outputs",
    "label_color",
]


def draw_outputs(
    image: ImageSource,
    outputs: Sequence[DrawableDetections | DrawableClassifications],
    *,
    min_side: int = 480,
    font: str | os.PathLike[str] | None = None,
) -> Image.Image:
    """Draw all that was recognised in an image.

    Predicted boxes are drawn with solid lines, discarded ones with thin dashes below them; each
    carries its label's name and the score. Oriented boxes are drawn as such, and masks tint what they
    cover. Keypoints are dots, hollow where they score 0.5 or less; the others are joined as the skeleton
    says. Classifications are listed in the upper left corner. A label has the same colour in every picture.

    Parameters
    ----------
    image : path, bytes, PIL.Image.Image or ndarray
        The original image, as `load_image` takes it; it is not modified.
    outputs : sequence
        The `Detections` and `Classifications` of this one image.
    min_side : int
        An image whose longer side is shorter is enlarged by a whole factor, or no text would fit;
        1 leaves every image at its size.
    font : path, optional
        A TrueType or OpenType font. Pillow's own, the default, has Latin letters only, and shows
        boxes in the place of others.

    Returns
    -------
    PIL.Image.Image
        A new RGB image.

    Raises
    ------
    ImageError
        If the image or the font cannot be read.
    TensorError
        If the arrays of an output do not belong together, or a box is not finite.
    """
    canvas = Canvas(load_image(image), min_side, font)
    listed: list[Row] = []
    boxed: list[Boxed] = []
    for output in outputs:
        if _has_boxes(output):
            boxed += boxed_rows(output, canvas.image.size)
        else:
            listed += rows_of(output)
    canvas.draw(boxed, listed)
    return canvas.image


def draw_detections(
    image: ImageSource,
    detections: DrawableDetections,
    *,
    min_side: int = 480,
    font: str | os.PathLike[str] | None = None,
) -> Image.Image:
    """Draw the detections of one image: see `draw_outputs`."""
    return draw_outputs(image, [detections], min_side=min_side, font=font)


def draw_classifications(
    image: ImageSource,
    classifications: DrawableClassifications,
    *,
    min_side: int = 480,
    font: str | os.PathLike[str] | None = None,
) -> Image.Image:
    """List the classifications of one image in its upper left corner: see `draw_outputs`."""
    return draw_outputs(image, [classifications], min_side=min_side, font=font)


def _has_boxes(output: DrawableDetections | DrawableClassifications) -> TypeGuard[DrawableDetections]:
    return hasattr(output, "boxes")
