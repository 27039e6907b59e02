"""Read images: upright, RGB, 8 bits a channel, whatever they come as."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from postproc.installing import install

try:
    from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError
except ImportError as error:
    raise ImportError(f"postproc.images needs Pillow: {install('images')}") from error

from postproc.errors import ImageError
from postproc.file_kinds import HEAD_BYTES, file_mistaken_for, mistaken_for
from postproc.png_data import ends_early

ImageSource = str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | NDArray[np.uint8]


def load_image(
    source: ImageSource, *, formats: Sequence[str] | None = None, max_pixels: int | None = None
) -> Image.Image:
    """Read an image as it is meant to be seen: upright, RGB, 8 bits a channel.

    EXIF orientation is applied, transparency laid on white, 16-bit grey scaled to 8 bits, and of an
    animation the first frame taken.

    Parameters
    ----------
    source : path, bytes, PIL.Image.Image or ndarray
        A file, the content of one, or an image. An array is uint8, (height, width), grey, or
        (height, width, channels) with 1 (grey), 3 (RGB) or 4 (RGBA) channels.
    formats : sequence of str, optional
        Pillow's names of the formats that a file may have; by default all that it reads but EPS.
    max_pixels : int, optional
        Most pixels of an image, judged before it is decoded; Pillow's own limit holds beside it.

    Returns
    -------
    PIL.Image.Image
        Of mode RGB. `source` itself if it is one that needs no change; it is never modified.

    Raises
    ------
    ImageError
        If it cannot be read, is no image, is broken, empty or ends early, holds 32-bit numbers, is EPS,
        or has more pixels than `max_pixels` or Pillow's ``Image.MAX_IMAGE_PIXELS`` (a decompression bomb).
        Names the path.
    """
    allowed = None if formats is None else tuple(formats)
    name = f"image {os.fspath(source)!r}" if isinstance(source, (str, os.PathLike)) else "image"
    try:
        if isinstance(source, np.ndarray):
            return _to_rgb(_from_array(source))
        if isinstance(source, Image.Image):
            return _decoded(source, max_pixels)
        if isinstance(source, (bytes, bytearray, memoryview)):
            with Image.open(BytesIO(source), formats=allowed) as image:
                return _decoded(image, max_pixels)
        if not isinstance(source, (str, os.PathLike)):  # open() would take a number for a file descriptor
            raise ImageError(
                f"expected a path, bytes, a PIL image or an array of uint8, got {type(source).__name__}"
            )
        with Image.open(source, formats=allowed) as image:
            return _decoded(image, max_pixels)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    # Decoders raise whatever a broken file leads them to: OSError, SyntaxError, struct.error, ...
    except Exception as error:
        raise ImageError(f"{name}: {_explained(error, source, formats)}") from error


def _explained(error: Exception, source: object, formats: Sequence[str] | None) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnidentifiedImageError):
        read = "a format that Pillow reads" if formats is None else f"the formats {', '.join(formats)}"
        kind = ""
        if isinstance(source, (str, os.PathLike)):
            kind = file_mistaken_for(source)
        elif isinstance(source, (bytes, bytearray, memoryview)):
            kind = mistaken_for(bytes(source[:HEAD_BYTES]))
        return f"not an image of {read}, but {kind}" if kind else f"not an image, or not of {read}"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"too large ({error}); raise PIL.Image.MAX_IMAGE_PIXELS if you trust it"
    return f"cannot be decoded ({type(error).__name__}: {error})"


def _from_array(pixels: NDArray[Any]) -> Image.Image:
    shape = pixels.shape
    if pixels.dtype != np.uint8 or not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))):
        raise ImageError(
            "expected a uint8 array of shape (height, width) or (height, width, 1, 3 or 4), "
            f"got {pixels.dtype} {shape}"
        )
    if pixels.size == 0:
        raise ImageError(f"expected at least one pixel, got an array of shape {shape}")
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if shape[2:] == (1,) else pixels))


def _decoded(image: Image.Image, max_pixels: int | None) -> Image.Image:
    width, height = image.size
    if width == 0 or height == 0:
        raise ImageError(f"expected at least one pixel, got {width}x{height}")
    if image.format == "EPS":
        raise ImageError("EPS is a program that Ghostscript would run; convert it to PNG or JPEG first")
    _check_area(width, height, max_pixels)  # before decoding; Pillow itself only warns up to twice the limit
    file = getattr(image, "fp", None)  # None of an image in memory, and of one that was decoded before
    image.load()
    if file is not None and image.format == "PNG" and not ImageFile.LOAD_TRUNCATED_IMAGES:
        _check_rows(image, file)
    return _to_rgb(_upright(image))


def _check_rows(image: Image.Image, file: BinaryIO) -> None:
    """Check that a PNG image has all its rows, where the last one is as black as one that is missing."""
    width, height = image.size
    is_black = not np.asarray(image.crop((0, height - 1, width, height))).any()
    if not is_black and not image.info.get("interlace"):
        return  # the common case, without the cost of a second look
    with open(image.filename, "rb") if file.closed else nullcontext(file) as content:  # type: ignore[attr-defined]
        if ends_early(content):
            raise ImageError("its pixels end before its last row: the file is broken; write it again")


def _check_area(width: int, height: int, max_pixels: int | None) -> None:
    if max_pixels is not None and width * height > max_pixels:
        raise ImageError(f"too large ({width}x{height}, more than {max_pixels:,} pixels)")
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise ImageError(
            f"too large ({width}x{height}, more than {limit:,} pixels); "
            "raise PIL.Image.MAX_IMAGE_PIXELS if you trust it"
        )


def _upright(image: Image.Image) -> Image.Image:
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF says nothing against the pixels
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    if image.mode == "F":
        raise ImageError("expected 8 or 16 bits a channel, got 32-bit floats; convert it to 8 bits first")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    # Mode "I" is 32 bits wide, but Pillow before 10.3 reads 16-bit PNG files into it too.
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ImageError(f"expected grey values of 16 bits, 0..65535, got {low}..{high}")
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
