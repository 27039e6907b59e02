"""Ink: 8 x 8 scans enlarged to pen strokes, block capitals written the same way, free strokes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SCAN_SIZE = 8
_PADDING = 2  # blank pixels around a scan, so that strokes at its edge end round
_BLOCK = 4  # the scans hold counts of 4 x 4 blocks of a 32 x 32 bitmap; capitals are reduced alike
_SUPERSAMPLING = 2  # of free strokes, against jagged edges

# Strokes of block capitals in a unit square, y down. Letters that read as a digit (B, G, I, J, O,
# Q, S, Z and the like) are left out: no page could label them honestly.
_CAPITALS: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    "A": (((0.1, 1), (0.5, 0), (0.9, 1)), ((0.25, 0.65), (0.75, 0.65))),
    "E": (((0.85, 0), (0.15, 0), (0.15, 1), (0.9, 1)), ((0.15, 0.5), (0.7, 0.5))),
    "F": (((0.9, 0), (0.15, 0), (0.15, 1)), ((0.15, 0.48), (0.7, 0.48))),
    "H": (((0.1, 0), (0.1, 1)), ((0.9, 0), (0.9, 1)), ((0.1, 0.5), (0.9, 0.5))),
    "K": (((0.12, 0), (0.12, 1)), ((0.88, 0), (0.12, 0.55)), ((0.35, 0.42), (0.9, 1))),
    "L": (((0.15, 0), (0.15, 1), (0.85, 1)),),
    "M": (((0, 1), (0.08, 0), (0.5, 0.6), (0.92, 0), (1, 1)),),
    "N": (((0.1, 1), (0.1, 0), (0.9, 1), (0.9, 0)),),
    "P": (((0.15, 1), (0.15, 0), (0.7, 0.02), (0.9, 0.25), (0.7, 0.5), (0.15, 0.55)),),
    "R": (((0.15, 1), (0.15, 0), (0.7, 0.02), (0.85, 0.25), (0.65, 0.48), (0.15, 0.5), (0.9, 1)),),
    "T": (((0, 0), (1, 0)), ((0.5, 0), (0.5, 1))),
    "U": (((0.1, 0), (0.12, 0.7), (0.35, 1), (0.65, 1), (0.88, 0.7), (0.9, 0)),),
    "W": (((0, 0), (0.25, 1), (0.5, 0.35), (0.75, 1), (1, 0)),),
    "X": (((0.08, 0), (0.92, 1)), ((0.92, 0), (0.08, 1))),
    "Y": (((0.05, 0), (0.5, 0.5), (0.95, 0)), ((0.5, 0.5), (0.5, 1))),
}
_VOCABULARY = (
    "APPLE EXTRA FLAT FLAX FUEL HALL HAM HEAT KEY LAMP LEAF MAP MAY MEAL MEAT MENU METER NAME NET NUT "
    "PAPER PARK PEAR PLATE PLUM RENT RULER TAPE TAX TEA TEAM TRAY TYRE WALL WATER WEEK YARN"
)
WORDS = tuple(_VOCABULARY.split())


def capital(letter: str, rng: np.random.Generator) -> NDArray[np.float32]:
    """Write a block capital by hand and scan it as coarsely as scikit-learn's digits.

    Parameters
    ----------
    letter : str
        One of the letters that `WORDS` uses.
    rng : numpy.random.Generator
        Moves the stroke's points and chooses the pen.

    Returns
    -------
    (8, 8) float32
        Ink in [0, 1].
    """
    side = SCAN_SIZE * _BLOCK
    bitmap = Image.new("L", (side, side))
    draw = ImageDraw.Draw(bitmap)
    pen = int(rng.integers(4, 6))
    width = rng.uniform(0.6, 0.85) * (side - pen)
    left = (side - width) / 2
    for stroke in _CAPITALS[letter]:
        points = np.asarray(stroke) + rng.normal(0, 0.03, (len(stroke), 2))
        points = np.clip(points, 0, 1) * (width, side - pen - 1) + (left, pen / 2)
        draw.line([(float(x), float(y)) for x, y in points], fill=255, width=pen, joint="curve")
    blocks = np.asarray(bitmap, np.float32).reshape(SCAN_SIZE, _BLOCK, SCAN_SIZE, _BLOCK)
    return np.asarray(blocks.mean(axis=(1, 3)) / 255, np.float32)


def enlarge(
    scan: NDArray[np.float32],
    height: float,
    *,
    rotation: float = 0.0,
    slant: float = 0.0,
    stretch: float = 1.0,
) -> NDArray[np.float32]:
    """Enlarge a coarse scan to smooth pen strokes, cut to the box of their ink.

    Parameters
    ----------
    scan : (8, 8) float32
        Ink in [0, 1], not blank.
    height : float
        Height of the unrotated scan after enlarging, in pixels.
    rotation : float
        Radians, counterclockwise.
    slant : float
        Shear along x: how far the top moves to the right, in heights.
    stretch : float
        Width over height, relative to the scan's own.

    Returns
    -------
    (h, w) float32
        Coverage in [0, 1]; every side touches ink of more than 0.5.
    """
    scale = height / SCAN_SIZE
    padded = _sharpen(np.pad(scan, _PADDING))
    side = math.ceil(1.4 * scale * len(padded) * max(1.0, stretch))
    # Output pixel -> scan pixel: turn back, shear back, shrink, all about the centre.
    cos, sin = math.cos(rotation), math.sin(rotation)
    matrix = np.array([[1 / stretch, slant / stretch], [0, 1]]) @ np.array([[cos, -sin], [sin, cos]]) / scale
    origin = np.full(2, len(padded) / 2) - matrix @ np.full(2, side / 2)
    (a, b), (d, e) = matrix.tolist()
    strokes = np.asarray(
        Image.fromarray(padded).transform(
            (side, side),
            Image.Transform.AFFINE,
            (a, b, float(origin[0]), d, e, float(origin[1])),
            Image.Resampling.BICUBIC,
        )
    )
    edge = min(0.45, 0.7 / scale)  # an edge about one pixel wide at any size
    coverage = np.clip((strokes - 0.36) / (2 * edge) + 0.5, 0, 1).astype(np.float32)
    inked = coverage > 0.5
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    return coverage[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _sharpen(scan: NDArray[np.float32]) -> NDArray[np.float32]:
    """Set ink off against its surroundings: thin strokes stay whole, the loops of 6, 8 and 9 open."""
    places = np.arange(len(scan))
    weights = np.exp(-((places[:, None] - places) ** 2) / (2 * 1.3**2))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(scan + 0.7 * (scan - weights @ scan @ weights.T), np.float32)


class Ink:
    """What one pen leaves on a page: glyphs and free strokes.

    Parameters
    ----------
    height, width : int
        Size of the page, in pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        self._glyphs = np.zeros((height, width), np.float32)
        self._strokes = Image.new("L", (width * _SUPERSAMPLING, height * _SUPERSAMPLING))
        self._draw = ImageDraw.Draw(self._strokes)

    def stamp(self, glyph: NDArray[np.float32], left: int, top: int) -> None:
        """Put a glyph's coverage on the page; all of it must lie inside."""
        region = self._glyphs[top : top + glyph.shape[0], left : left + glyph.shape[1]]
        np.maximum(region, glyph, out=region)

    def stroke(self, points: NDArray[np.float64] | Sequence[tuple[float, float]], width: float) -> None:
        """Draw a line with round ends through ``(n, 2)`` points x, y, in pixels; it may leave the page."""
        scaled = [(float(x) * _SUPERSAMPLING, float(y) * _SUPERSAMPLING) for x, y in points]
        pen = max(1, round(width * _SUPERSAMPLING))
        self._draw.line(scaled, fill=255, width=pen, joint="curve")
        if pen > 2:
            for x, y in (scaled[0], scaled[-1]):
                self._draw.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=255)

    def coverage(self) -> NDArray[np.float32]:
        """Return how much of each pixel is inked, ``(height, width)`` float32 in [0, 1]."""
        strokes = self._strokes.reduce(_SUPERSAMPLING)
        return np.asarray(np.maximum(self._glyphs, np.asarray(strokes, np.float32) / 255))


def cursive(
    rng: np.random.Generator, left: float, baseline: float, width: float, height: float
) -> NDArray[np.float64]:
    """Return the points of an unreadable word in joined-up writing.

    Parameters
    ----------
    rng : numpy.random.Generator
        Chooses the letters' loops and heights.
    left, baseline, width : float
        Where the word stands, in pixels.
    height : float
        Height of a capital, in pixels; small letters are about half as high.

    Returns
    -------
    (n, 2) float64
        x, y in pixels.
    """
    letters = max(3, round(width / (0.45 * height)))
    heights = rng.choice([0.4, 0.5, 0.95, -0.45], size=letters, p=[0.45, 0.3, 0.17, 0.08])
    phase = np.linspace(0, letters, 14 * letters, endpoint=False)
    which = phase.astype(np.int64)
    turn = 2 * math.pi * (phase - which)
    rise = np.abs(heights)[which] * (1 - np.cos(turn)) / 2 * np.sign(heights)[which]
    loop = rng.uniform(0.05, 0.4, letters)[which] * np.sin(turn)
    x = left + width * phase / letters + height * (0.35 * loop + 0.2 * rise)
    y = baseline - height * rise + rng.normal(0, 0.01 * height, len(phase))
    return np.stack([x, y], axis=1)


def ring(rng: np.random.Generator, box: tuple[float, float, float, float]) -> NDArray[np.float64]:
    """Return the points of a loop drawn by hand around a box ``(x1, y1, x2, y2)``, ``(n, 2)``, in pixels."""
    x1, y1, x2, y2 = box
    start = rng.uniform(0, 2 * math.pi)
    angle = start + np.linspace(0, 2 * math.pi * rng.uniform(1.0, 1.15), 60)
    wobble = 1 + 0.04 * np.sin(2 * angle + start) + np.linspace(0, rng.uniform(-0.06, 0.06), 60)
    x = (x1 + x2) / 2 + wobble * (x2 - x1) / 2 * np.cos(angle)
    y = (y1 + y2) / 2 + wobble * (y2 - y1) / 2 * np.sin(angle)
    return np.stack([x, y], axis=1)
