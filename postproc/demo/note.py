"""A note: rows of words and numbers on a sheet of paper, and what gets scribbled around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from postproc.demo.handwriting import WORDS, Ink, capital, cursive, enlarge, ring
from postproc.demo.paper import RULINGS, blank_page, smooth_noise
from postproc.demo.scans import Scans

_EDGE = 8  # pixels; every digit keeps this far from the edge of the page
_INKS = (
    (0.10, 0.10, 0.13),
    (0.08, 0.14, 0.45),
    (0.12, 0.22, 0.58),
    (0.55, 0.10, 0.12),
    (0.08, 0.32, 0.20),
    (0.34, 0.34, 0.36),
)


class Note:
    """One writer's note.

    Parameters
    ----------
    rng : numpy.random.Generator
        What the note looks like follows from it alone.
    scans : Scans
        The digits to write with.
    height, width : int
        Of the page, in pixels.

    Attributes
    ----------
    boxes : list of (xmin, ymin, xmax, ymax)
        Where the ink of each digit is, in pixels.
    used : list of int
        Which of ``scans`` each digit is.
    """

    def __init__(self, rng: np.random.Generator, scans: Scans, height: int, width: int) -> None:
        self.boxes: list[tuple[int, int, int, int]] = []
        self.used: list[int] = []
        self._rng, self._scans = rng, scans
        self._height, self._width = height, width
        self._pitch = int(rng.integers(46, 80))
        self._first_line = int(rng.integers(self._pitch, self._pitch + 30))
        ruling = RULINGS[rng.integers(len(RULINGS))]
        self._page = blank_page(rng, height, width, ruling, self._pitch, self._first_line)
        colours = rng.choice(len(_INKS), 2, replace=False)
        self._pens = [(Ink(height, width), np.array(_INKS[c], np.float32)) for c in colours]
        self._slant = rng.normal(0.06, 0.1)
        self._stretch = rng.uniform(0.9, 1.25)
        self._tilt = rng.normal(0, 0.01)
        self._indent = int(rng.integers(16, 90))
        self._thickness = rng.uniform(2.2, 5.0)

    def write_rows(self) -> None:
        """Fill the sheet with entries, joined-up writing and numbers, row by row."""
        rng = self._rng
        baseline = self._first_line
        while baseline < self._height - _EDGE:
            size = self._pitch * rng.uniform(0.66, 0.88)
            if rng.random() < 0.15 and baseline + self._pitch < self._height - _EDGE:
                baseline += self._pitch
                size *= rng.uniform(1.4, 1.7)
            row = rng.random()
            if row < 0.50:
                self._write_entry(baseline, size)
            elif row < 0.68:
                self._write_joined_up(self._indent, baseline, size, self._width - rng.uniform(20, 250))
            elif row < 0.88:
                self._write_numbers(baseline, size)
            baseline += self._pitch

    def scribble(self) -> None:
        """Underline, ring, tick and cross out; draw the odd arrow."""
        rng = self._rng
        for _ in range(rng.integers(1, 5)):
            ink = self._pens[int(rng.random() < 0.5)][0]
            x, y = rng.uniform(0, self._width), rng.uniform(0, self._height)
            kind = rng.integers(4)
            if kind == 0 and self.boxes:
                x1, y1, x2, y2 = self.boxes[rng.integers(len(self.boxes))]
                around = (x1 - 14.0, y1 - 12.0, x2 + rng.uniform(14, 60), y2 + 12.0)
                ink.stroke(ring(rng, around), 0.7 * self._thickness)
            elif kind == 1:
                wave = np.stack([x + np.linspace(0, 160, 12), y + rng.normal(0, 1.5, 12)], axis=1)
                ink.stroke(wave, self._thickness)
            elif kind == 2:
                ink.stroke([(x, y), (x + 7, y + 12), (x + 24, y - 18)], 1.3 * self._thickness)
            else:
                tip = (x + rng.uniform(30, 90), y + rng.uniform(-40, 40))
                ink.stroke([(x, y), tip], self._thickness)
                back = np.subtract((x, y), tip) / np.hypot(x - tip[0], y - tip[1])
                for side in (-0.6, 0.6):
                    barb = 12 * (back + side * np.array([-back[1], back[0]]))
                    ink.stroke([tip, (tip[0] + barb[0], tip[1] + barb[1])], self._thickness)

    def finish(self) -> NDArray[np.float32]:
        """Let the ink dry: return the page, ``(height, width, 3)`` float32, RGB in [0, 1]."""
        rng, page = self._rng, self._page
        grain = 0.93 + 0.05 * smooth_noise(rng, self._height, self._width, 160)
        layers = [(ink.coverage(), colour) for ink, colour in self._pens]
        if rng.random() < 0.3:  # writing on the back shines through, mirrored
            back = Image.fromarray((255 * layers[0][0][::-1]).astype(np.uint8))
            ghost = np.asarray(back.filter(ImageFilter.GaussianBlur(1.5)), np.float32) / 255
            page *= 1 - np.float32(rng.uniform(0.03, 0.09)) * ghost[..., None]
        for coverage, colour in layers:
            page *= 1 - np.clip(coverage * grain, 0, 1)[..., None] * (1 - colour)
        return page

    def _write_entry(self, baseline: int, size: float) -> None:
        """Write a word in capitals, something between, and a number: ``PAPER  12``."""
        rng = self._rng
        x = self._write_capitals(str(rng.choice(WORDS)), self._indent, baseline, 0.85 * size)
        if rng.random() < 0.3:
            ink = self._pens[0][0]
            y = self._height_at(x, baseline) - 0.4 * size
            ink.stroke([(x + 4, y), (x + 0.6 * size, y + rng.normal(0, 2))], 0.12 * size)
        x += rng.uniform(0.8, 2.0) * size
        x = self._write_number(x, baseline, size, int(rng.integers(1, 5)))
        if rng.random() < 0.4:
            self._write_joined_up(x + size, baseline, 0.8 * size, self._width - rng.uniform(10, 80))

    def _write_numbers(self, baseline: int, size: float) -> None:
        """Write numbers along the row until it is full."""
        x = self._indent + self._rng.uniform(0, 80)
        while x < self._width - size:
            x = self._write_number(x, baseline, size, int(self._rng.integers(1, 4)))
            x += self._rng.uniform(0.6, 3.0) * size

    def _write_number(self, x: float, baseline: int, size: float, digits: int) -> float:
        """Write a number from ``x`` on; return where it ends."""
        rng = self._rng
        ink = self._pens[int(rng.random() < 0.15)][0]
        for _ in range(digits):
            scan = int(rng.integers(len(self._scans)))
            glyph = self._enlarge(self._scans.images[scan], size * rng.uniform(0.9, 1.1))
            height, width = glyph.shape
            left = round(x)
            top = round(self._height_at(x, baseline) - height + rng.normal(0, 0.04) * size)
            right, bottom = left + width, top + height
            fits = left >= _EDGE and top >= _EDGE and right <= self._width - _EDGE
            if not fits or bottom > self._height - _EDGE:
                break
            ink.stamp(glyph, left, top)
            self.boxes.append((left, top, right, bottom))
            self.used.append(scan)
            x = right + rng.uniform(-0.02, 0.25) * size
        return x

    def _write_capitals(self, word: str, x: float, baseline: int, size: float) -> float:
        """Write a word in capitals from ``x`` on; return where it ends."""
        for letter in word:
            glyph = self._enlarge(capital(letter, self._rng), size)
            height, width = glyph.shape
            left, top = round(x), round(self._height_at(x, baseline) - height)
            if left + width > self._width or top < 0 or top + height > self._height:
                break
            self._pens[0][0].stamp(glyph, left, top)
            x = left + width + self._rng.uniform(0.04, 0.2) * size
        return x

    def _write_joined_up(self, left: float, baseline: int, size: float, right: float) -> None:
        """Write unreadable words between ``left`` and ``right``."""
        rng = self._rng
        while left < right - size:
            length = min(right - left, rng.uniform(1.0, 3.5) * size)
            y = self._height_at(left, baseline)
            word = cursive(rng, left=left, baseline=y, width=length, height=0.8 * size)
            self._pens[0][0].stroke(word, self._thickness)
            left += length + 0.5 * size

    def _enlarge(self, scan: NDArray[np.float32], size: float) -> NDArray[np.float32]:
        rng = self._rng
        return enlarge(
            scan,
            size,
            rotation=rng.normal(-self._tilt, 0.05),
            slant=self._slant + rng.normal(0, 0.04),
            stretch=self._stretch * rng.uniform(0.92, 1.08),
        )

    def _height_at(self, x: float, baseline: int) -> float:
        """Return the height of the writer's own, slightly tilted line."""
        return baseline + self._tilt * (x - self._width / 2)
