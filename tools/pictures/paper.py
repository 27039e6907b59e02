"""A sheet of paper to draw on, finer than it is shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from postproc.demo.paper import blank_page

HEIGHT, WIDTH = 480, 640
_FINE = 3  # times larger while it is drawn on, for smooth edges

Points = Sequence[tuple[float, float]]


class Paper:
    """A blank sheet of 640x480 pixels; shapes are in these."""

    def __init__(self, rng: np.random.Generator) -> None:
        sheet = (255 * np.clip(blank_page(rng, HEIGHT, WIDTH, "grid", 40, 40), 0, 1)).astype(np.uint8)
        self._fine = Image.fromarray(sheet).resize((WIDTH * _FINE, HEIGHT * _FINE), Image.Resampling.BICUBIC)
        self._pen = ImageDraw.Draw(self._fine)

    def fill(self, outline: Points, color: str) -> None:
        """Fill a polygon."""
        self._pen.polygon([(x * _FINE, y * _FINE) for x, y in outline], color)

    def line(self, points: Points, color: str, width: float) -> None:
        """Draw a line with round ends and joints; of one point, a dot."""
        fine = [(x * _FINE, y * _FINE) for x, y in points]
        self._pen.line(fine, color, round(width * _FINE))
        for point in fine:
            self._pen.circle(point, width * _FINE / 2, color)

    def image(self) -> Image.Image:
        """Return what is drawn so far."""
        return self._fine.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def covered(outline: Points) -> NDArray[np.bool_]:
    """Return which pixels a polygon covers, (480, 640)."""
    mask = Image.new("1", (WIDTH, HEIGHT))
    ImageDraw.Draw(mask).polygon([(x, y) for x, y in outline], 1)
    return np.asarray(mask)


def turned(outline: Points, angle: float, x: float, y: float) -> list[tuple[float, float]]:
    """Turn a shape about its origin, x towards y, and move it."""
    cos, sin = np.cos(angle), np.sin(angle)
    return [(x + cos * dx - sin * dy, y + sin * dx + cos * dy) for dx, dy in outline]
