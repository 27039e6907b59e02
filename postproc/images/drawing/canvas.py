"""A picture on which boxes, tags and a list find their places."""

from __future__ import annotations

import bisect
import math
import os
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFont

from postproc.errors import ImageError
from postproc.images.drawing.colors import FAINT, PANEL, WHITE, contrast
from postproc.images.drawing.items import Box, Boxed, Row
from postproc.images.drawing.pen import Pen


class _Panel(NamedTuple):
    rows: list[Row]
    texts: list[str]  # one a row, and perhaps one that counts the rows left out
    box: Box


class Canvas:
    """A copy of an image, with lines and letters of a size that suits it."""

    def __init__(self, image: Image.Image, min_side: int, font: str | os.PathLike[str] | None) -> None:
        factor = max(1, math.ceil(min_side / max(image.size)))
        size = image.width * factor, image.height * factor
        self.image = image.resize(size, Image.Resampling.BICUBIC)
        side = min(sum(size) / 2, 6 * min(size))  # a long and thin image has no room for large letters
        self._pen = Pen(self.image, max(1, round(side / 240)))
        self._font = _load_font(font, max(12, round(side / 42)))
        ascent, descent = self._font.getmetrics()
        self._margin = max(2, round(ascent / 5))
        self._tag_height = ascent + descent

    def draw(self, boxed: list[Boxed], listed: list[Row]) -> None:
        """Draw boxes, then their tags where they hide no other text, then the list; first rows on top."""
        panel = self._panel(listed)
        taken = np.zeros((self.image.height, self.image.width), np.bool_)
        taken[_slices(panel.box)] = True
        ranked = sorted(boxed, key=lambda item: not item.row.predicted)
        for item in reversed(ranked):
            if item.mask is not None:
                self._pen.tint(item.mask(), item.row.color, 0.45 if item.row.predicted else 0.2)
        for item in reversed(ranked):
            row = item.row
            if item.corners:
                self._pen.outline_polygon(item.corners, row.color, row.predicted)
            elif row.predicted:
                self._pen.outline(item.box, row.color, self._pen.line)
            else:
                self._pen.dash(item.box, row.color)
        for item in reversed(ranked):
            self._pen.join(item.limbs, item.row)
            for point, is_visible in item.dots:
                self._pen.dot(point, item.row.color, item.row.predicted and is_visible)
        tags: list[tuple[Row, str, Box]] = []
        for item in ranked:
            row, box = item.row, item.box
            text = self._fitted(row, max(self.image.width // 2, box[2] - box[0]) - 2 * self._margin)
            width = math.ceil(self._font.getlength(text)) + 2 * self._margin
            spots = self._spots(item, width)
            spot = next((spot for spot in spots if not taken[_slices(spot)].any()), spots[0])
            taken[_slices(spot)] = True
            tags.append((row, text, spot))
        for row, text, spot in reversed(tags):
            self._tag(row, text, spot)
        self._list(panel)

    def _panel(self, rows: list[Row]) -> _Panel:
        """Lay out a list of rows in the upper left corner, as many as there is room for."""
        height, margin = self._tag_height, self._margin
        room = max(1, (self.image.height - 2 * margin) // height)
        shown = rows if len(rows) <= room else rows[: max(1, room - 1)]
        texts = [self._fitted(row, self.image.width - 3 * margin - height) for row in shown]
        if len(shown) < len(rows):
            texts.append(f"and {len(rows) - len(shown)} more")
        if not texts:
            return _Panel([], [], (0, 0, 0, 0))
        width = math.ceil(max(self._font.getlength(text) for text in texts)) + 3 * margin + height
        return _Panel(shown, texts, (0, 0, width, len(texts) * height + 2 * margin))

    def _list(self, panel: _Panel) -> None:
        height, margin = self._tag_height, self._margin
        self._pen.fill(panel.box, PANEL)
        for line, text in enumerate(panel.texts):
            top = margin + line * height
            row = panel.rows[line] if line < len(panel.rows) else None
            if row is not None:
                chip = margin * 2, top + margin, height, top + height - margin
                self._pen.fill(chip, row.color)
                if not row.predicted:
                    rim = self._pen.thin
                    self._pen.fill((chip[0] + rim, chip[1] + rim, chip[2] - rim, chip[3] - rim), PANEL)
            color = WHITE if row is not None and row.predicted else FAINT
            self._pen.write((height + margin, top), text, color, self._font)

    def _fitted(self, row: Row, width: float) -> str:
        """Return the name, shortened where the width asks for it, and the score."""

        def fits(name: str) -> bool:
            return self._font.getlength(f"{name} {row.score}") <= width

        if fits(row.name):
            return f"{row.name} {row.score}".lstrip()
        kept = bisect.bisect_left(range(len(row.name)), True, key=lambda end: not fits(f"{row.name[:end]}…"))
        return f"{row.name[: kept - 1]}… {row.score}" if kept > 1 else row.score

    def _spots(self, item: Boxed, width: int) -> list[Box]:
        """Return where a tag may lie, best place first, each moved into the picture."""
        left, top, right, bottom = item.box
        height = self._tag_height
        corners = [
            (left, top - height),  # above
            (right - width, top - height),
            (left, bottom),  # below
            (right - width, bottom),
            (left, top),  # inside
            (right - width, top),
            (left, bottom - height),
            (right - width, bottom - height),
            (right, top),  # beside
            (left - width, top),
        ]
        if item.corners:  # the upright box's corners may lie far from an oriented one
            ranked = sorted(item.corners, key=lambda corner: corner[1])
            (highest, y1), (lowest, y2) = ranked[0], ranked[-1]
            corners[:0] = [
                (round(highest - width / 2), round(y1) - height),
                (round(lowest - width / 2), round(y2)),
            ]
        inside = []
        for x, y in corners:
            x = max(0, min(x, self.image.width - width))
            y = max(0, min(y, self.image.height - height))
            inside.append((x, y, x + width, y + height))
        return inside

    def _tag(self, row: Row, text: str, spot: Box) -> None:
        self._pen.fill(spot, row.color if row.predicted else PANEL)
        if row.predicted:
            color = contrast(row.color)
        else:
            color = FAINT
            self._pen.outline(spot, row.color, self._pen.thin)
        self._pen.write((spot[0] + self._margin, spot[1]), text, color, self._font)


def _slices(box: Box) -> tuple[slice, slice]:
    return slice(box[1], box[3]), slice(box[0], box[2])


def _load_font(font: str | os.PathLike[str] | None, size: int) -> ImageFont.FreeTypeFont:
    if font is not None:
        try:
            return ImageFont.truetype(os.fspath(font), size)
        except OSError as error:
            raise ImageError(f"font {os.fspath(font)!r}: cannot be read ({error})") from error
    bundled = ImageFont.load_default(size)
    if isinstance(bundled, ImageFont.FreeTypeFont):
        return bundled
    raise ImageError("drawing text needs Pillow built with FreeType, as its wheels on PyPI are")
