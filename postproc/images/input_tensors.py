"""One image to one input tensor: resized, placed, scaled, ordered."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from postproc.errors import SchemaError, SchemaProblem
from postproc.file_kinds import file_mistaken_for
from postproc.images.loading import REDUCTIONS, Picture
from postproc.schema import ImageInput
from postproc.transforms import ImageTransform

_DTYPES: dict[str, type[np.float32 | np.float16 | np.uint8]] = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "UINT8": np.uint8,
}
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_RANGES = {"FLOAT32": (-_FLOAT32_MAX, _FLOAT32_MAX), "FLOAT16": (-65504.0, 65504.0), "UINT8": (0.0, 255.0)}
# From a picture's (height, width, channels) to the tensor's axes without the batch.
AXES = {"NCHW": (2, 0, 1), "NCWH": (2, 1, 0), "NHWC": (0, 1, 2), "NWHC": (1, 0, 2)}
_LINE_BYTES = 64  # a row and a column: pointers, and the coefficients of a resize
# Pillow holds the box of a resize in float32: up to this side its edges are exact to 1/256 pixel.
_LONGEST_BOXED_SIDE = 65_536
# Bytes a pixel of an input beside its numbers: resized, on its canvas, and as an array that is made in parts.
_PLACED_BYTES = 4 + 4 + 6


class ImageTensor:
    """An image input of a document, compiled: an RGB image in, its tensor and transform out.

    Parameters
    ----------
    path : str
        JSON path of the input in its document, for messages.
    image : ImageInput
        What to do.
    directory : Path, optional
        Where ``mean_file`` lies.

    Raises
    ------
    SchemaError
        See `postproc.images.Preprocessor`.
    """

    def __init__(self, path: str, image: ImageInput, directory: Path | None) -> None:
        self._path = path
        self._image = image
        self._dtype = _DTYPES[image.data_type]
        height, width = image.target_shape
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and height * width > limit:
            raise self._error(
                "target_size",
                f"expected at most {limit:,} pixels, PIL.Image.MAX_IMAGE_PIXELS, got {image.target_size!r}",
            )
        with np.errstate(all="ignore"):  # numbers beyond float32 are reported by _check_range
            self._scaling = np.float32(image.pixel_scaling)
            self._mean = self._load_mean(directory) if image.mean_file else self._per_channel(image.mean)
            self._std = self._per_channel(image.std)
            self._check_range()

    @property
    def image(self) -> ImageInput:
        """What is done, as given."""
        return self._image

    @property
    def nbytes(self) -> int:
        """Memory of what is kept, in bytes: a mean may have a number for each pixel."""
        return sum(values.nbytes for values in (self._mean, self._std) if values is not None)

    def reduction(self, size: tuple[int, int], part: tuple[int, int] | None = None) -> int:
        """Return how many times smaller an image may be decoded, so that it has twice the pixels it needs.

        Parameters
        ----------
        size : (int, int)
            Height and width of the image.
        part : (int, int), optional
            Those of what is fed of it, if not all.
        """
        scale = max(self._transform(part or size).scale)
        return next((step for step in REDUCTIONS if 2 * scale * step <= 1), 1)

    def memory(self, size: tuple[int, int], decoded: tuple[int, int]) -> tuple[int, int]:
        """Estimate the bytes of an image's tensor, and of all that `prepare` makes of the image, with it.

        Parameters
        ----------
        size : (int, int)
            Height and width of the original image.
        decoded : (int, int)
            Those at which it was decoded.
        """
        transform = self._transform(size)
        pixels = math.prod(transform.input_size)
        numbers = pixels * self._image.channels
        tensor = numbers * np.dtype(self._dtype).itemsize
        height, width = decoded
        grey = height * width if self._image.color_channels == "L" else 0
        cut = 4 * height * width if max(decoded) > _LONGEST_BOXED_SIDE else 0
        # Pillow resizes rows first, to the width that is seen, unless an image is far higher than it is wide.
        across = min(transform.input_size[1], transform.resized_size[1])
        rows = 0 if height > 100 * width else 4 * across * height
        placing = grey + cut + rows + _LINE_BYTES * (width + height) + _PLACED_BYTES * pixels
        return tensor, tensor + 4 * numbers + placing

    def prepare(self, picture: Picture) -> tuple[NDArray[Any], ImageTransform]:
        """Return the tensor of an image, without the batch axis, and where the image lies in it."""
        transform = self._transform(picture.size)
        image = picture.image
        if self._image.color_channels == "L":
            image = image.convert("L")
        placed = place(image, transform, self._padding(), picture.box)
        pixels = np.asarray(placed).reshape(placed.height, placed.width, -1)
        if self._image.color_channels == "BGR":
            pixels = pixels[..., ::-1]
        pixels = pixels.transpose(AXES[self._image.dimension_order])
        if self.keeps_values:
            return np.array(pixels, order="C"), transform  # a copy: Pillow's pixels cannot be written
        values = self._normalise(pixels.astype(np.float32, order="C"))
        if self._dtype == np.uint8:
            values += np.float32(0.5)  # half up; _check_range made sure of 0..255
        return values.astype(self._dtype, copy=False), transform

    def _transform(self, image_size: tuple[int, int]) -> ImageTransform:
        target = self._image.target_shape
        if self._image.resize_type == "SQUASH":
            return ImageTransform.squash(target, image_size)
        if self._image.resize_type == "CROP":
            return ImageTransform.crop(target, image_size)
        if self._image.resize_type == "FILL":
            half_even = self._image.rounding == "half_even"
            fit = ImageTransform.letterbox if half_even else ImageTransform.fill
            return fit(target, image_size, self._image.pad_align, stride=self._image.stride)
        return ImageTransform.network(target, image_size, self._image.pad_align, self._image.stride or 1)

    def _padding(self) -> tuple[int, ...]:
        """Return the padding in the order of the picture's channels, RGB or L."""
        value = self._image.pad_value
        channels = value if isinstance(value, tuple) else (value,) * self._image.channels
        ordered = channels[::-1] if self._image.color_channels == "BGR" else channels
        return tuple(math.floor(channel + 0.5) for channel in ordered)

    @property
    def keeps_values(self) -> bool:
        """Whether the tensor holds the pixels as they are."""
        return self._dtype == np.uint8 and not any(True for _ in self.steps)

    @property
    def steps(self) -> Iterator[tuple[np.ufunc, NDArray[np.float32]]]:
        """What makes a tensor of pixels, in order: functions of float32, and what they take besides."""
        if self._scaling != 255:
            yield np.multiply, np.array(self._scaling)
            yield np.divide, np.array(255, np.float32)
        if self._mean is not None:
            yield np.subtract, self._mean
        if self._std is not None:
            yield np.divide, self._std

    def _normalise(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        for step, operand in self.steps:
            step(values, operand, out=values)
        return values

    def _per_channel(self, numbers: tuple[float, ...] | None) -> NDArray[np.float32] | None:
        return None if numbers is None else self._ordered(np.array(numbers, np.float32).reshape(1, 1, -1))

    def _ordered(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring (height, width, channels) into the tensor's order."""
        return np.ascontiguousarray(values.transpose(AXES[self._image.dimension_order]))

    def _check_range(self) -> None:
        operands = [values for values in (self._mean, self._std) if values is not None]
        shape = np.broadcast_shapes((1, 1, 1), *(values.shape for values in operands))
        for pixel in (0, 255):
            values = self._normalise(np.full(shape, pixel, np.float32))
            low, high = float(values.min()), float(values.max())
            lowest, highest = _RANGES[self._image.data_type]
            if not (lowest <= low and high <= highest):  # so that NaN is out of range too
                raise self._error(
                    "data_type",
                    f"{self._image.data_type} cannot hold the values that pixel_scaling, mean and std give: "
                    f"pixels of {pixel} become {low:g}..{high:g}",
                )

    def _load_mean(self, directory: Path | None) -> NDArray[np.float32]:
        if directory is None:
            raise self._error(
                "mean_file", f"found {self._image.mean_file!r}, but no directory to look in; pass directory="
            )
        file = directory / self._image.mean_file
        self._check_place(file, directory)
        try:
            # A memory map: a header that claims more than the file holds is an error, not an allocation.
            mean = np.load(file, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # broken headers raise anything, from tokenize's errors to struct's
            if kind := file_mistaken_for(file):
                raise self._error("mean_file", f"expected an .npy array; {str(file)!r} is {kind}") from error
            raise self._error("mean_file", f"cannot read {str(file)!r} as an .npy array ({error})") from error
        if not isinstance(mean, np.ndarray) or mean.dtype.kind not in "fiu":
            found = mean.dtype if isinstance(mean, np.ndarray) else "an archive of arrays"
            raise self._error("mean_file", f"expected an array of numbers in {str(file)!r}, got {found}")
        values = self._ordered(self._by_pixel(mean).astype(np.float32))
        if not np.isfinite(values).all():
            raise self._error("mean_file", f"expected finite numbers in {str(file)!r}, got NaN or infinity")
        return values

    def _check_place(self, file: Path, directory: Path) -> None:
        """Check that a file lies in the folder, links followed, and is no pipe that would be waited for."""
        try:
            is_inside = file.resolve().is_relative_to(directory.resolve())
            is_special = file.exists() and not file.is_file()
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links in a circle, before 3.13
            raise self._error("mean_file", f"cannot read {str(file)!r} as an .npy array ({error})") from error
        if not is_inside:
            raise self._error("mean_file", f"expected a file in {str(directory)!r}, got a link out of it")
        if is_special:
            raise self._error(
                "mean_file", f"expected {str(file)!r} to be a file, got a folder, pipe or device"
            )

    def _by_pixel(self, mean: NDArray[Any]) -> NDArray[Any]:
        """Bring the mean's shape to (height, width, channels), or to (1, 1, channels)."""
        channels, (height, width) = self._image.channels, self._image.target_shape
        if mean.shape in ((channels,), (channels, 1, 1), (1, 1, channels)):
            return np.reshape(mean, (1, 1, channels))
        if not self._image.varies:
            if mean.shape == (channels, height, width):
                return np.transpose(mean, (1, 2, 0))
            if mean.shape == (height, width, channels):
                return np.asarray(mean)
            expected = f"({channels},), ({channels}, {height}, {width}) or ({height}, {width}, {channels})"
        else:
            expected = f"({channels},), since inputs vary in size under NETWORK, or a stride"
        raise self._error("mean_file", f"expected an array of shape {expected}, got {mean.shape}")

    def _error(self, field: str, message: str) -> SchemaError:
        return SchemaError(SchemaProblem(f"{self._path}.{field}", message))


def place(
    image: Image.Image,
    transform: ImageTransform,
    padding: tuple[int, ...],
    shown: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    """Resize an image and put it where its transform says, on a canvas of the input's size.

    Only the part that the input shows is computed, so that memory is bounded by the input's size
    however long and thin the image is.

    Parameters
    ----------
    image : PIL.Image.Image
        Of the transform's image size, or smaller.
    transform : ImageTransform
        With whole-pixel offsets, as its constructors make them.
    padding : tuple of int
        Colour of the canvas, one value per channel of the image.
    shown : (float, float, float, float), optional
        Left, top, right and bottom of what has the transform's image size, in pixels of the image, which may
        have fewer; by default all of it.
    """
    height, width = transform.input_size
    resized_height, resized_width = transform.resized_size
    left, top = (int(offset) for offset in transform.offset)
    # The visible part of the resized image, in its own pixels.
    first_x, last_x = max(0, -left), min(resized_width, width - left)
    first_y, last_y = max(0, -top), min(resized_height, height - top)
    scale_x, scale_y = transform.scale
    origin_x, origin_y, end_x, end_y = shown or (0, 0, image.width, image.height)
    # Input pixels per image pixel; the first factor is one, exactly, unless the image is smaller.
    scale_x *= transform.image_size[1] / (end_x - origin_x)
    scale_y *= transform.image_size[0] / (end_y - origin_y)
    box = (
        origin_x + first_x / scale_x,
        origin_y + first_y / scale_y,
        min(origin_x + last_x / scale_x, end_x),
        min(origin_y + last_y / scale_y, end_y),
    )
    if max(image.size) > _LONGEST_BOXED_SIDE:
        image, box = _cut(image, box, (1 / scale_x, 1 / scale_y))
    part = image.resize((last_x - first_x, last_y - first_y), Image.Resampling.BILINEAR, box=box)
    if part.size == (width, height):
        return part
    canvas = Image.new(image.mode, (width, height), padding)
    canvas.paste(part, (max(0, left), max(0, top)))
    return canvas


def _cut(
    image: Image.Image, box: tuple[float, float, float, float], step: tuple[float, float]
) -> tuple[Image.Image, tuple[float, float, float, float]]:
    """Crop to a box and what the filter reaches around it, `step` image pixels per input pixel."""
    reach_x, reach_y = (math.ceil(max(1, pixels)) + 1 for pixels in step)
    left, top = max(0, math.floor(box[0]) - reach_x), max(0, math.floor(box[1]) - reach_y)
    right = min(image.width, math.ceil(box[2]) + reach_x)
    bottom = min(image.height, math.ceil(box[3]) + reach_y)
    inner = box[0] - left, box[1] - top, box[2] - left, box[3] - top
    return image.crop((left, top, right, bottom)), inner
