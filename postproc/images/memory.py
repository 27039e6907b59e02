"""How much memory the decoding of an image takes, known from its header."""

from __future__ import annotations

from typing import Any

from PIL import Image

BAND_PIXELS = 1 << 18  # that are converted to RGB at once

_MIB = 1 << 20
_FIXED = 4 * _MIB  # of any image: tables of decoders, buffers of files, what libraries take by their releases
_BAND_BYTES = 24  # a pixel of a band, with all that is made of it on the way to RGB
_LINE_BYTES = 64  # a row and a column: pointers, buffers of a row, coefficients of a resize
# Bytes a pixel of Pillow's images: those of several channels have four, whichever they use.
_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}
_PIXEL = 4
# Tags of TIFF.
_BITS_PER_SAMPLE, _COMPRESSION, _SAMPLES_PER_PIXEL, _ROWS_PER_STRIP = 258, 259, 277, 278
_TILE_WIDTH, _TILE_LENGTH = 322, 323


def decoding_memory(image: Image.Image, is_turned: bool, reduction: int) -> int:
    """Estimate how many bytes an image takes at most until it is upright and RGB.

    Parameters
    ----------
    image : PIL.Image.Image
        As `PIL.Image.open` gives it, before its pixels are decoded.
    is_turned : bool
        Whether it may have to be turned or mirrored.
    reduction : int
        How many times smaller its sides are decoded, where it is a JPEG.
    """
    width, height = image.size
    columns, rows = -(-width // reduction), -(-height // reduction)
    decoded = columns * rows
    stored = decoded * _STORED.get(image.mode, _PIXEL)
    decoder = _decoder_bytes(image)
    turning = stored if is_turned else 0
    needs_rgb = image.mode != "RGB" or image.has_transparency_data
    rgb = _PIXEL * decoded + _BAND_BYTES * min(decoded, max(BAND_PIXELS, width)) if needs_rgb else 0
    return int(stored + max(decoder, turning, rgb) + _LINE_BYTES * (width + height) + _FIXED)


def hides_exif(image: Image.Image) -> bool:
    """Tell whether an image may hold EXIF behind its pixels, where its header does not show it."""
    return image.format == "PNG" and "exif" not in image.info


def _decoder_bytes(image: Image.Image) -> float:
    """Bytes that a decoder takes beside the image that it fills."""
    width, height = image.size
    pixels = width * height
    if image.format in ("JPEG", "MPO"):
        return pixels * _coefficient_bytes(image)
    if image.format == "WEBP":  # two canvases of the decoder's, what it decodes, and a copy of that
        return pixels * 4 * _PIXEL
    if image.format == "TIFF":
        return _strip_bytes(image)
    return pixels * 2 if image.mode in ("P", "L") else 0.0  # GIF's frame; a compressed BMP as a text


def _coefficient_bytes(image: Image.Image) -> float:
    """Bytes a pixel of a JPEG's coefficients, which are kept where it has more scans than one."""
    layers: list[tuple[int, int, int, int]] = image.layer  # type: ignore[attr-defined]
    if not image.info.get("progressive") and _has_one_scan(image, len(layers)):
        return 0.0
    most = max(across * down for _, across, down, _ in layers)
    return 2 * sum(across * down / most for _, across, down, _ in layers)


def _has_one_scan(image: Image.Image, components: int) -> bool:
    """Tell whether the header of the first scan, which Pillow has just read, names all components."""
    file = image.fp  # type: ignore[attr-defined]
    end, length = file.tell(), 6 + 2 * components
    file.seek(max(0, end - length - 2))
    head = file.read(length + 2)
    file.seek(end)
    return bool(head.startswith(b"\xff\xda" + length.to_bytes(2, "big") + bytes([components])))


def _strip_bytes(image: Image.Image) -> float:
    """Bytes of a compressed strip or tile of a TIFF file, which is decoded as a whole."""
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    width, height = image.size
    if tags.get(_COMPRESSION, 1) == 1:
        return 0.0
    rows = min(height, tags.get(_ROWS_PER_STRIP, height))
    pixels = max(width * rows, tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_LENGTH, 0))
    bits = tags.get(_BITS_PER_SAMPLE, (1,))
    return float(pixels * max(_PIXEL, max(bits) * tags.get(_SAMPLES_PER_PIXEL, 1) / 8))
