"""Pages to try a detector on: scanned notes whose digits are real handwriting.

The digits are scikit-learn's bundled scans, enlarged and inked onto drawn paper among capitals,
joined-up words, stains and ruled lines. A fifth of the scans is held out: the demo's networks have
never seen them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from postproc.demo.note import Note
from postproc.demo.scans import Scans, load_scans

PAGE_HEIGHT, PAGE_WIDTH = 480, 640


@dataclass(frozen=True, eq=False)
class DigitPage:
    """A page and the digits on it.

    Attributes
    ----------
    image : (480, 640, 3) uint8
        RGB.
    boxes : (K, 4) float32
        Where each digit's ink is: xmin, ymin, xmax, ymax in pixels, origin top-left.
    labels : (K,) int64
        The digits, 0 to 9.
    rows : (K,) int64
        Which of `sklearn.datasets.load_digits` each one is.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]


def make_page(seed: int, *, held_out: bool = True) -> DigitPage:
    """Make a page; the same seed gives the same page.

    Parameters
    ----------
    seed : int
        Not negative.
    held_out : bool
        Write with digits that the demo's networks never saw in training, or with the others.
    """
    return draw_page(np.random.default_rng([int(held_out), seed]), load_scans(held_out=held_out))


def draw_page(rng: np.random.Generator, scans: Scans) -> DigitPage:
    """Draw a page with digits of ``scans``; what it looks like follows from ``rng`` alone."""
    note = Note(rng, scans, PAGE_HEIGHT, PAGE_WIDTH)
    note.write_rows()
    note.scribble()
    used = np.array(note.used, np.int64)
    return DigitPage(
        image=_photograph(rng, note.finish()),
        boxes=np.array(note.boxes, np.float32).reshape(-1, 4),
        labels=scans.digits[used],
        rows=scans.rows[used],
    )


def crop_digit(image: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Cut out the square around a box, a fifth larger than the box's longer side.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB.
    box : (4,) float32
        xmin, ymin, xmax, ymax in pixels.

    Returns
    -------
    (side, side, 3) uint8
        What the digit classifier takes, before it is resized; where the square leaves the image,
        the image's edge is repeated.
    """
    x1, y1, x2, y2 = (float(value) for value in box)
    side = max(4, round(1.2 * max(x2 - x1, y2 - y1)))
    left, top = round((x1 + x2 - side) / 2), round((y1 + y2 - side) / 2)
    rows = np.clip(np.arange(top, top + side), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, image.shape[1] - 1)
    return image[rows[:, None], columns]


def _photograph(rng: np.random.Generator, page: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Scan the page: exposure, noise, a lens that is not quite sharp."""
    exposure = rng.uniform(0.85, 1.02)
    noise = np.float32(rng.uniform(0.008, 0.03)) * rng.standard_normal(page.shape[:2], np.float32)
    pixels = (255 * np.clip(exposure * page + noise[..., None], 0, 1)).astype(np.uint8)
    blurred = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.9)))
    return np.asarray(blurred)
