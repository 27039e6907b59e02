"""What methods of results take: checked, and as arrays."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.tensors import as_numbers

SizeLike: TypeAlias = Sequence[int]
"""Height and width, as callers give them."""
SizesLike: TypeAlias = SizeLike | Sequence[SizeLike] | NDArray[Any]
"""Those of all images, or of each."""
_LONGEST_SIDE = 2**31


def require_one_image(found: Sized, method: str) -> None:
    """Check that results are those of one image, which the method takes.

    Raises
    ------
    TensorError
        If they are of none, or of several.
    """
    if len(found) != 1:
        raise TensorError(f"{method} takes one image, as of detections[i]; these are {len(found)}")


def image_sizes(sizes: Any, images: int) -> NDArray[np.float64]:
    """Height and width of all images (2,), or of each (images, 2).

    Raises
    ------
    TensorError
        If they have another shape, or are not positive, or beyond every image.
    """
    expected = f"sizes must be [height, width] or one such pair per image, {(images, 2)}"
    try:
        array = as_numbers(sizes)
    except (TypeError, ValueError, OverflowError) as error:
        raise TensorError(f"{expected}; found {type(sizes).__name__}: {error}") from None
    if array.shape not in ((2,), (images, 2)):
        raise TensorError(f"{expected}; found shape {array.shape}")
    # NumPy's comparisons take longer than those of a few numbers.
    if not all(0 < side < _LONGEST_SIDE for side in array.ravel().tolist()):
        raise TensorError(f"sizes must be positive and below {_LONGEST_SIDE}; found {array.tolist()}")
    return array


def image_ids(given: Any, images: int) -> list[Any]:
    """Plain numbers, which JSON takes."""
    try:
        ids = np.asarray(given)
    except ValueError:
        ids = np.empty(())
    if ids.ndim != 1:
        raise TensorError(f"image ids must be a sequence of integers; got {type(given).__name__}")
    if len(ids) != images:
        raise TensorError(f"expected one image id per image, {images}; got {len(ids)}")
    numbers: list[Any] = ids.tolist()
    return numbers


def as_index(index: Any) -> NDArray[Any]:
    """Give an index as the array that it stands for: an image's number or a mask.

    Raises
    ------
    IndexError
        If it is neither, or has masked elements.
    """
    try:
        array = np.asarray(index)
    except ValueError as error:
        raise IndexError(f"an index must be an image number, a slice of images or a mask; {error}") from None
    if isinstance(index, np.ma.MaskedArray) and np.ma.is_masked(index):
        raise IndexError("masked elements of an index are neither true nor false; fill them in")
    return array


def row_numbers(rows: Any, count: int) -> NDArray[np.int64]:
    """Row numbers from 0 of those given, which may count from the end."""
    try:
        array = np.asarray(rows)
    except ValueError as error:
        raise IndexError(f"take needs row numbers, (N,) integers; {error}") from None
    if array.shape == (0,):
        return np.empty(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        advice = "; index with a mask instead: detections[mask]" if array.dtype == np.bool_ else ""
        raise IndexError(
            f"take needs row numbers, (N,) integers; got {array.dtype} of shape {array.shape}{advice}"
        )
    outside = (array < -count) | (array >= count)
    if outside.any():
        raise IndexError(f"row {array[outside][0]} is out of range: there are {count}")
    numbers = array.astype(np.int64)
    return np.where(numbers < 0, numbers + count, numbers)


def require_parts(parts: Sequence[object]) -> None:
    """Check that there is something to join.

    Raises
    ------
    TensorError
        If there are no parts.
    """
    if not parts:
        raise TensorError("concatenate needs one part at least: without one the labels are unknown")
