"""Images to try the networks of `postproc.demo` on, which have not seen them in training."""

from __future__ import annotations

import io
import threading
from functools import cache

from postproc.service.errors import ApiError

PAGE, DIGIT = "page.png", "digit.png"
SAMPLES = (PAGE, DIGIT)
_SEED = 7
_lock = threading.Lock()  # requests that come together draw once


def draw_sample(name: str) -> bytes:
    """Return a page of handwritten digits, or one digit of it, as a PNG file.

    Parameters
    ----------
    name : {"page.png", "digit.png"}

    Raises
    ------
    ApiError
        A 404 if a package is missing that the demo draws with.
    """
    with _lock:
        try:
            return _draw(name)
        except ImportError as error:
            raise ApiError(
                404, f'the samples need an extra of the service: pip install "postproc[demo]" ({error})'
            ) from error


@cache
def _draw(name: str) -> bytes:
    from PIL import Image

    from postproc.demo.pages import crop_digit, make_page

    page = make_page(_SEED)
    pixels = page.image if name == PAGE else crop_digit(page.image, page.boxes[0])
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
