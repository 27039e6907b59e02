"""Where pictures go, and how large they may be."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

DOCS = Path(__file__).resolve().parents[2] / "docs"
ASSETS = DOCS / "assets"
MOST_BYTES = 150_000


def save(image: Image.Image, target: Path) -> None:
    """Write a picture: a photograph or a page of paper as JPEG, a screenshot as PNG of few colours.

    Raises
    ------
    ValueError
        If it is larger than a page should load.
    """
    if target.suffix == ".jpg":
        image.convert("RGB").save(target, quality=82, optimize=True, progressive=True)
    else:
        # Of Pillow's ways the one that keeps a card apart from the page, at half the size of MEDIANCUT's.
        way = Image.Quantize.MAXCOVERAGE
        few = image.convert("RGB").quantize(256, way, kmeans=3, dither=Image.Dither.NONE)
        few.save(target, optimize=True)
    if (size := target.stat().st_size) > MOST_BYTES:
        raise ValueError(f"{target}: {size} bytes, more than {MOST_BYTES}: make it smaller")
