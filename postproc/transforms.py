"""Where an image lies in the network's input, and the way back."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from postproc.errors import TensorError

__all__ = ["ImageTransform", "Size"]

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ImageTransform:
    """How one image was placed in the network's input: ``input = scale * image + offset``.

    With it, a `PostProcessor` returns boxes relative to the original image. The coordinates are
    continuous: a pixel covers ``[x, x + 1]``, an image ``[0, width]``. `squash`, `crop`, `fill` and
    `network` compute the four ways of v0.7's ``resize_type``; they fit sides with exact integer
    arithmetic, round them half up and keep them at one pixel at least, and take as scale what the
    rounding left, resized side / image side. `letterbox` is `fill` as ultralytics rounds it.

    Parameters
    ----------
    scale : (float, float)
        Factor from image pixels to input pixels, along x and y.
    offset : (float, float)
        Where the image's top left corner lies in the input, in input pixels, along x and y;
        negative where the image was cropped.
    input_size, image_size : (int, int)
        Height and width of the network's input and of the original image, in pixels.

    Raises
    ------
    TensorError
        If a value is not a pair of finite numbers, a size not of integers, or a scale or size not
        positive.

    Examples
    --------
    >>> from postproc import ImageTransform
    >>> fill = ImageTransform.fill((640, 640), (720, 1280))
    >>> fill.scale, fill.offset, fill.resized_size
    ((0.5, 0.5), (0.0, 140.0), (360, 640))
    """

    scale: tuple[float, float]
    offset: tuple[float, float]
    input_size: Size
    image_size: Size

    def __post_init__(self) -> None:
        # Kept as plain numbers, whatever they came as (lists, NumPy scalars): hashable, comparable.
        for name in ("scale", "offset"):
            pair = _pair(name, getattr(self, name), float, "finite numbers", positive=name == "scale")
            object.__setattr__(self, name, pair)
        for name in ("input_size", "image_size"):
            object.__setattr__(self, name, _size(name, getattr(self, name)))
        if not all(
            map(math.isfinite, (self.scale[0] * self.image_size[1], self.scale[1] * self.image_size[0]))
        ):
            raise TensorError(f"ImageTransform.scale must keep the image finite; got {self.scale!r}")

    @property
    def resized_size(self) -> Size:
        """Height and width in input pixels of the whole image once scaled, before any crop."""
        height, width = self.image_size
        return max(1, _round_half_up(self.scale[1] * height)), max(1, _round_half_up(self.scale[0] * width))

    @classmethod
    def squash(cls, input_size: Sequence[int], image_size: Sequence[int]) -> ImageTransform:
        """Bring both sides to the input's; the aspect is lost.

        Parameters
        ----------
        input_size, image_size : (int, int)
            Height and width of the network's input and of the original image, in pixels.
        """
        height, width = _size("input_size", input_size)
        return cls._placed((height, width), (0, 0), (height, width), _size("image_size", image_size))

    @classmethod
    def crop(cls, input_size: Sequence[int], image_size: Sequence[int]) -> ImageTransform:
        """Cover the input: the smallest side fits, the centre is kept, the rest is cut off.

        Parameters
        ----------
        input_size, image_size : (int, int)
            Height and width of the network's input and of the original image, in pixels.
        """
        input_size, image_size = _size("input_size", input_size), _size("image_size", image_size)
        resized = _fitted(input_size, image_size, covering=True)
        return cls._placed(resized, _centred(resized, input_size), input_size, image_size)

    @classmethod
    def fill(
        cls,
        input_size: Sequence[int],
        image_size: Sequence[int],
        align: Literal["center", "top_left"] = "center",
        stride: int | None = None,
    ) -> ImageTransform:
        """Fit into the input: the largest side fits, the rest of the input is padding.

        Parameters
        ----------
        input_size, image_size : (int, int)
            Height and width of the network's input and of the original image, in pixels.
        align : {"center", "top_left"}
            Where the image lies; an odd pixel of padding goes below it or to its right.
        stride : int, optional
            Pad each side only to the next multiple of it: the input is then smaller than `input_size`, whose
            sides have to be multiples.
        """
        input_size, image_size = _size("input_size", input_size), _size("image_size", image_size)
        resized = _fitted(input_size, image_size, covering=False)
        return cls._padded("fill", resized, align, input_size, image_size, stride)

    @classmethod
    def letterbox(
        cls,
        input_size: Sequence[int],
        image_size: Sequence[int],
        align: Literal["center", "top_left"] = "center",
        scale_up: bool = True,
        stride: int | None = None,
    ) -> ImageTransform:
        """Fit into the input as ultralytics' letterbox does, for networks of its YOLO families.

        As `fill`, but the sides are round(side * ratio) in floating point, half to even. Boxes of a call
        with this transform equal those of ultralytics' ``scale_boxes`` (8.4), divided by the image's size.

        Parameters
        ----------
        input_size, image_size : (int, int)
            Height and width of the network's input and of the original image, in pixels.
        align : {"center", "top_left"}
            Where the image lies; an odd pixel of padding goes below it or to its right.
        scale_up : bool
            False leaves an image that is smaller than the input as it is, and pads it only.
        stride : int, optional
            As of `fill`; with 32, ultralytics' ``LetterBox(auto=True)``, which its networks of free size get.

        Examples
        --------
        >>> transform = ImageTransform.letterbox((640, 640), (427, 640))
        >>> transform.resized_size, transform.offset
        ((427, 640), (0.0, 106.0))
        """
        input_size, image_size = _size("input_size", input_size), _size("image_size", image_size)
        ratio = min(input_size[0] / image_size[0], input_size[1] / image_size[1])
        if not scale_up:
            ratio = min(ratio, 1.0)
        resized = max(1, round(image_size[0] * ratio)), max(1, round(image_size[1] * ratio))
        # Its offset, round(padding / 2 - 0.1), is the half rounded down: the same as of fill.
        return cls._padded("letterbox", resized, align, input_size, image_size, stride)

    @classmethod
    def network(
        cls,
        target_size: Sequence[int],
        image_size: Sequence[int],
        align: Literal["center", "top_left"] = "center",
        stride: int = 1,
    ) -> ImageTransform:
        """Fit into the target, and let the network's input take the shape that results.

        Parameters
        ----------
        target_size, image_size : (int, int)
            Height and width to fit into and of the original image, in pixels.
        align : {"center", "top_left"}
            Where the image lies in what `stride` adds.
        stride : int
            Pad each side to the next multiple of it, be it beyond the target.
        """
        target_size, image_size = _size("target_size", target_size), _size("image_size", image_size)
        resized = _fitted(target_size, image_size, covering=False)
        input_size = _strided("network", resized, stride)
        return cls._placed(resized, _aligned("network", align, resized, input_size), input_size, image_size)

    @classmethod
    def _padded(
        cls, name: str, resized: Size, align: str, input_size: Size, image_size: Size, stride: int | None
    ) -> ImageTransform:
        """Build the transform of an image that lies in the input, or in as much of it as a stride leaves."""
        if stride is not None:
            if _strided(name, input_size, stride) != input_size:
                raise TensorError(
                    f"ImageTransform.{name}: input_size must have sides that are multiples of the stride "
                    f"{stride}; got {input_size!r}"
                )
            input_size = _strided(name, resized, stride)
        return cls._placed(resized, _aligned(name, align, resized, input_size), input_size, image_size)

    @classmethod
    def _placed(cls, resized: Size, offset: Size, input_size: Size, image_size: Size) -> ImageTransform:
        """Build the transform of an image resized to whole pixels; `offset` is (left, top)."""
        scale = resized[1] / image_size[1], resized[0] / image_size[0]
        return cls(scale, offset, input_size, image_size)


def _round_half_up(value: float) -> int:
    return math.floor(value + 0.5)


def _fitted(target: Size, image: Size, *, covering: bool) -> Size:
    """Resize one side to the target's, so that the other covers the target or stays within it."""
    (target_height, target_width), (height, width) = target, image
    if (target_width * height >= target_height * width) == covering:
        return max(1, (2 * height * target_width + width) // (2 * width)), target_width
    return target_height, max(1, (2 * width * target_height + height) // (2 * height))


def _aligned(name: str, align: str, resized: Size, target: Size) -> Size:
    if align not in ("center", "top_left"):
        raise TensorError(f"ImageTransform.{name}: align must be 'center' or 'top_left'; got {align!r}")
    return _centred(resized, target) if align == "center" else (0, 0)


def _strided(name: str, size: Size, stride: int) -> Size:
    """Round each side up to a multiple."""
    if isinstance(stride, bool) or not isinstance(stride, int) or stride < 1:
        raise TensorError(f"ImageTransform.{name}: stride must be a positive integer; got {_found(stride)}")
    height, width = (-(-side // stride) * stride for side in size)
    return height, width


def _centred(resized: Size, target: Size) -> Size:
    return (target[1] - resized[1]) // 2, (target[0] - resized[0]) // 2


def _size(name: str, value: Any) -> Size:
    return _pair(name, value, operator.index, "integers (height, width)", positive=True)


def _pair(
    name: str, value: Any, number: Callable[[Any], Any], expected: str, *, positive: bool
) -> tuple[Any, Any]:
    try:
        first, second = (number(item) for item in value)
        valid = all(math.isfinite(item) and (item > 0 or not positive) for item in (first, second))
    except (TypeError, ValueError, OverflowError):
        valid = False
    if not valid:
        sign = "positive " if positive else ""
        raise TensorError(f"ImageTransform.{name} must be two {sign}{expected}; got {_found(value)}")
    return first, second


def _found(value: Any) -> str:
    try:
        return repr(value)[:200]
    except ValueError:  # Python writes no integers of thousands of digits
        return f"an unprintable {type(value).__name__}"
