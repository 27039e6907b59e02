"""Read images: upright, RGB, 8 bits a channel, whatever they come as."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from postproc.installing import install

try:
    from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError
except ImportError as error:
    raise ImportError(f"postproc.images needs Pillow: {install('images')}") from error

from postproc.errors import ImageError, StoreError
from postproc.file_kinds import HEAD_BYTES, file_mistaken_for, mistaken_for
from postproc.images.memory import BAND_PIXELS, decoding_memory, hides_exif
from postproc.images.png_data import ends_early
from postproc.stores import StoredPath


@dataclass(frozen=True, eq=False, slots=True)
class ImageContent:
    """The content of an image file, and what errors call it."""

    name: str
    content: bytes


ImageSource = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | ImageContent | Image.Image | NDArray[np.uint8]
)

# Which edge of the stored image becomes the left, top, right and bottom one, by EXIF's orientation.
_EDGES = {
    1: (0, 1, 2, 3),
    2: (2, 1, 0, 3),
    3: (2, 3, 0, 1),
    4: (0, 3, 2, 1),
    5: (1, 0, 3, 2),
    6: (3, 0, 1, 2),
    7: (3, 2, 1, 0),
    8: (1, 2, 3, 0),
}
_SIDEWAYS = (5, 6, 7, 8)
REDUCTIONS = (8, 4, 2)  # of the sides of a JPEG, by a smaller inverse transform of its blocks
_REDUCIBLE = ("JPEG", "MPO")


def load_image(
    source: ImageSource, *, formats: Sequence[str] | None = None, max_pixels: int | None = None
) -> Image.Image:
    """Read an image as it is meant to be seen: upright, RGB, 8 bits a channel.

    EXIF orientation is applied, transparency laid on white, 16-bit grey scaled to 8 bits, and of an
    animation the first frame taken.

    Parameters
    ----------
    source : path, StoredPath, bytes, ImageContent, PIL.Image.Image or ndarray
        A file, on this machine or in a store, the content of one, or an image. An array is uint8, (height,
        width), grey, or (height, width, channels) with 1 (grey), 3 (RGB) or 4 (RGBA) channels.
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
    if isinstance(source, (np.ndarray, Image.Image)):
        with _named_errors(source, formats):
            if isinstance(source, np.ndarray):
                return _to_rgb(_from_array(source))
            _check_header(source, max_pixels)
            return _to_rgb(_loaded(source))
    return EncodedImage(source, formats=formats, max_pixels=max_pixels).decode().image


@dataclass(frozen=True, eq=False, slots=True)
class Picture:
    """An image as it was decoded, at its own size or at a smaller one.

    Parameters
    ----------
    image : PIL.Image.Image
        Upright, of mode RGB.
    size : (int, int)
        Height and width of what `box` shows, in pixels of the original.
    box : (float, float, float, float)
        Left, top, right and bottom of what is to be seen, in pixels of `image`.
    """

    image: Image.Image
    size: tuple[int, int]
    box: tuple[float, float, float, float]

    @classmethod
    def of(cls, image: Image.Image) -> Picture:
        """Return an image of mode RGB at its own size."""
        return cls(image, (image.height, image.width), (0, 0, image.width, image.height))


class EncodedImage:
    """An image whose header was read, so that its size is known; its pixels are decoded once.

    Parameters
    ----------
    source : path or bytes
        A file, or the content of one.
    formats, max_pixels : optional
        As of `load_image`.

    Attributes
    ----------
    size : (int, int)
        Height and width of the upright image, in pixels.

    Raises
    ------
    ImageError
        As of `load_image`, as far as a header tells.
    """

    def __init__(
        self, source: object, *, formats: Sequence[str] | None = None, max_pixels: int | None = None
    ) -> None:
        self._source, self._formats = source, formats
        with self._named_errors():
            if isinstance(source, StoredPath):
                source = self._source = ImageContent(str(source), source.read_bytes())
            if isinstance(source, (bytes, bytearray, memoryview)):
                file: Any = BytesIO(source)
            elif isinstance(source, ImageContent):
                file = BytesIO(source.content)
            elif isinstance(source, (str, os.PathLike)):
                file = source
            else:  # open() would take a number for a file descriptor
                raise ImageError(
                    f"expected a path, bytes, a PIL image or an array of uint8, got {type(source).__name__}"
                )
            image = Image.open(file, formats=None if formats is None else tuple(formats))
            self._image: Image.Image | None = image
            try:
                _check_header(image, max_pixels)
            except BaseException:
                self.close()
                raise
        self._orientation = 1 if hides_exif(image) else _orientation_of(image)
        is_sideways = image.format in _REDUCIBLE and self._orientation in _SIDEWAYS  # TIFF tells it upright
        self.size = image.size if is_sideways else (image.height, image.width)

    def close(self) -> None:
        """Close the file, which `decode` does too."""
        if self._image is not None:
            self._image.close()
            self._image = None

    def decoded_size(self, reduction: int = 1) -> tuple[int, int]:
        """Return the height and width that `decode` gives."""
        steps = self._possible(reduction)
        return -(-self.size[0] // steps), -(-self.size[1] // steps)

    def decoding_memory(self, reduction: int = 1) -> int:
        """Estimate how many bytes `decode` takes at most."""
        assert self._image is not None
        is_turned = self._orientation != 1 or hides_exif(self._image)
        with self._named_errors():
            return decoding_memory(self._image, is_turned, self._possible(reduction))

    def decode(self, reduction: int = 1) -> Picture:
        """Decode the image, upright and RGB.

        Parameters
        ----------
        reduction : int
            1, 2, 4 or 8: how many times smaller the sides of a JPEG become. Other formats keep their size.
        """
        assert self._image is not None
        reduction = self._possible(reduction)
        image, self._image = self._image, None
        width, height = image.size
        with self._named_errors():
            self._source = None  # the content of a file goes with it
            with image:
                if reduction > 1:
                    image.draft(None, (width // reduction, height // reduction))
                loaded = _loaded(image, is_own=True)
            orientation = 1 if loaded is image else self._orientation
            del image  # what was turned or copied is not held twice
            loaded = _to_rgb(loaded)
        if reduction == 1:
            return Picture.of(loaded)
        # The last column or row may stand for fewer pixels than the others: it is seen in part.
        unseen = 0.0, 0.0, -width % reduction / reduction, -height % reduction / reduction
        left, top, right, bottom = (unseen[edge] for edge in _EDGES[orientation])
        size = (width, height) if orientation in _SIDEWAYS else (height, width)
        return Picture(loaded, size, (left, top, loaded.width - right, loaded.height - bottom))

    def _possible(self, reduction: int) -> int:
        image = self._image
        assert image is not None
        if image.format not in _REDUCIBLE:
            return 1
        return next((step for step in REDUCTIONS if step <= min(reduction, *image.size)), 1)

    def _named_errors(self) -> Any:
        return _named_errors(self._source, self._formats)


@contextmanager
def _named_errors(source: object, formats: Sequence[str] | None) -> Iterator[None]:
    name = "image"
    if isinstance(source, (str, os.PathLike)):
        name = f"image {os.fspath(source)!r}"
    elif isinstance(source, ImageContent):
        name = f"image {source.name!r}"
    try:
        yield
    except (StoreError, ImportError):  # which is not the image's fault
        raise
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
        if isinstance(source, ImageContent):
            source = source.content
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


def _check_header(image: Image.Image, max_pixels: int | None) -> None:
    width, height = image.size
    if width == 0 or height == 0:
        raise ImageError(f"expected at least one pixel, got {width}x{height}")
    if image.format == "EPS":
        raise ImageError("EPS is a program that Ghostscript would run; convert it to PNG or JPEG first")
    _check_area(width, height, max_pixels)  # before decoding; Pillow itself only warns up to twice the limit


def _loaded(image: Image.Image, *, is_own: bool = False) -> Image.Image:
    """Decode an image, and turn it upright; `is_own`: of which nobody else needs the file."""
    file = getattr(image, "fp", None)  # None of an image in memory, and of one that was decoded before
    image.load()
    if file is not None and image.format == "PNG" and not ImageFile.LOAD_TRUNCATED_IMAGES:
        _check_rows(image, file)
    if _orientation_of(image) != 1:
        with suppress(Exception):  # broken EXIF says nothing against the pixels
            return ImageOps.exif_transpose(image)
    # The decoder of a WEBP file stays with it, and takes more memory than the pixels.
    return image.copy() if is_own and image.format == "WEBP" else image


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


def _orientation_of(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        return orientation if orientation in _EDGES else 1
    except Exception:  # as above
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ImageError("expected 8 or 16 bits a channel, got 32-bit floats; convert it to 8 bits first")
    if image.mode == "I":  # 32 bits wide, but Pillow before 10.3 reads 16-bit PNG files into it too
        low, high = cast("tuple[int, int]", image.getextrema())
        if low < 0 or high > 65535:
            raise ImageError(f"expected grey values of 16 bits, 0..65535, got {low}..{high}")
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    # In bands, since each step makes an image of its own: all of it would take up to six at once.
    width, height = image.size
    rows = max(1, BAND_PIXELS // width)
    whole = Image.new("RGB", image.size)
    for top in range(0, height, rows):
        box = 0, top, width, min(top + rows, height)
        whole.paste(_band_to_rgb(image.crop(box)), box)
    return whole


def _band_to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    return image.convert("RGB")
