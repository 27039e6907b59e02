"""Lines, dots and areas on an image, in widths that suit it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from postproc.images.drawing.colors import Color, contrast
from postproc.images.drawing.items import Box, Point, Row


class Pen:
    """Draws on an image.

    Parameters
    ----------
    image : PIL.Image.Image
    line : int
        Width in pixels of the lines of what is predicted.
    """

    def __init__(self, image: Image.Image, line: int) -> None:
        self._image = image
        self._draw = ImageDraw.Draw(image)
        self.line = line
        self.thin = max(1, line // 2)

    def outline(self, box: Box, color: Color, width: int) -> None:
        """Draw the sides of a box within it."""
        self._draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), outline=color, width=width)

    def fill(self, box: Box, color: Color) -> None:
        """Fill a box, if it has an area."""
        if box[0] < box[2] and box[1] < box[3]:
            self._draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=color)

    def tint(self, mask: NDArray[np.bool_], color: Color, strength: float) -> None:
        """Mix a colour into what a mask covers."""
        opacity = Image.fromarray(mask.astype(np.uint8) * round(255 * strength))
        self._image.paste(color, (0, 0), opacity)

    def outline_polygon(self, corners: list[Point], color: Color, predicted: bool) -> None:
        """Draw the sides of a polygon: solid, or as thin dashes."""
        for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
            if predicted:
                self._draw.line((start, end), fill=color, width=self.line)
                continue
            parts = max(1, round(math.dist(start, end) / (4 * self.thin)))
            steps = np.linspace(start, end, parts + 1).tolist()
            for left, right in zip(steps[:-1:2], steps[1::2], strict=True):
                self._draw.line((*left, *right), fill=color, width=self.thin)
        if predicted:  # what wide lines leave open where they meet
            radius = (self.line - 1) / 2
            for x, y in corners:
                self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)

    def join(self, limbs: list[tuple[Point, Point]], row: Row) -> None:
        """Draw the limbs of a pose; those of a predicted one with the rim of its dots around them all."""
        strokes = [(row.color, self.line if row.predicted else self.thin)]
        if row.predicted:
            strokes.insert(0, (contrast(row.color), self.line + 2 * self.thin))
        for color, width in strokes:
            for limb in limbs:
                self._draw.line(limb, fill=color, width=width)

    def dot(self, point: Point, color: Color, filled: bool) -> None:
        """Draw a dot with a rim that sets it off from a picture of its colour."""
        radius = 1.5 * self.line + 1
        x, y = point
        around = x - radius, y - radius, x + radius, y + radius
        if filled:
            self._draw.ellipse(around, fill=color, outline=contrast(color), width=self.thin)
        else:
            self._draw.ellipse(around, outline=color, width=self.thin)

    def dash(self, box: Box, color: Color) -> None:
        """Draw the sides of a box as thin dashes."""
        left, top, right, bottom = box
        width, dash = self.thin, 4 * self.thin
        for x in range(left, right, 2 * dash):
            for y in (top, max(top, bottom - width)):
                self.fill((x, y, min(x + dash, right), min(y + width, bottom)), color)
        for y in range(top, bottom, 2 * dash):
            for x in (left, max(left, right - width)):
                self.fill((x, y, min(x + width, right), min(y + dash, bottom)), color)

    def write(self, corner: tuple[int, int], text: str, color: Color, font: ImageFont.FreeTypeFont) -> None:
        """Write a text whose upper left corner is given."""
        self._draw.text(corner, text, color, font)
