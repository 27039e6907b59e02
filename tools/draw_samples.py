"""Draw the images that the service's web page offers to try the demo's networks on, and write them there.

Needs the extra `demo`: the images are part of the package, so that the service does not need it.

    python tools/draw_samples.py
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from postproc.demo.pages import crop_digit, make_page

_PAGE = Path(__file__).resolve().parent.parent / "postproc" / "service" / "page"
_SEED = 7

if __name__ == "__main__":
    page = make_page(_SEED)  # of scans that training never saw
    Image.fromarray(page.image).save(_PAGE / "sample_page.jpg", quality=85)
    Image.fromarray(crop_digit(page.image, page.boxes[0])).save(_PAGE / "sample_digit.png", optimize=True)
