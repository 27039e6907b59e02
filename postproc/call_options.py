"""The arguments of a call besides its tensors."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from postproc.errors import BatchSizeError, TensorError
from postproc.tensors import as_numbers, checked_sizes
from postproc.transforms import ImageTransform

HeightWidth: TypeAlias = tuple[float, float]
"""Height and width of the network's input, in pixels."""

MOST_PREDICTIONS = 2**31 - 1  # more than any image has: all of them


@dataclass(frozen=True, eq=False, slots=True)
class CallOptions:
    """The arguments of a call besides its tensors, checked."""

    show_discarded: bool
    max_predictions: int
    input_size: HeightWidth | None
    transforms: tuple[ImageTransform, ...] | None
    batch_size: int | None = None
    size_is_for_all: bool = True  # also for outputs whose boxes are not in pixels by their document

    @property
    def images(self) -> int | None:
        """How many images there are, if the call says so."""
        return self.batch_size if self.transforms is None else len(self.transforms)

    @classmethod
    def checked(
        cls,
        show_discarded: bool,
        max_predictions: int,
        input_size: Sequence[int] | None,
        transforms: Sequence[ImageTransform] | None,
        batch_size: int | None = None,
        size_is_for_all: bool = True,
    ) -> CallOptions:
        """Check the arguments of a call."""
        if type(show_discarded) is not bool:
            show_discarded = _flag("show_discarded", show_discarded)
        if type(max_predictions) is not int or not 0 <= max_predictions <= MOST_PREDICTIONS:
            max_predictions = min(_count("max_predictions", max_predictions), MOST_PREDICTIONS)
        if input_size is None and transforms is None and batch_size is None:
            return _options(show_discarded, max_predictions)
        return cls(
            show_discarded,
            max_predictions,
            None if input_size is None else _size(input_size),
            None if transforms is None else _transforms(transforms),
            None if batch_size is None else _count("batch_size", batch_size),
            size_is_for_all,
        )

    def check_batch(self, names: tuple[str, ...], batch: int) -> None:
        """Check that there are as many images as tensors hold, and one transform, if any, for each."""
        if self.transforms is not None and len(self.transforms) != batch:
            raise BatchSizeError(
                f"the tensors {names} hold {batch} images; expected one transform for each, "
                f"got {len(self.transforms)}"
            )
        if self.batch_size is not None and self.batch_size != batch:
            raise BatchSizeError(
                f"the tensors {names} hold {batch} images; batch_size says {self.batch_size}"
            )


@lru_cache(maxsize=64)
def _options(show_discarded: bool, max_predictions: int) -> CallOptions:
    """Those of most calls, which need not be made for each."""
    return CallOptions(show_discarded, max_predictions, None, None)


def _flag(name: str, value: Any) -> bool:
    try:
        return bool(value)
    except (TypeError, ValueError) as error:
        raise TensorError(f"{name} must be true or false; got {value!r}: {error}") from None


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 0:
        raise TensorError(f"{name} must be an integer of 0 or more; got {value!r}")
    return int(value)


def _size(size: Sequence[int]) -> HeightWidth:
    try:
        array = as_numbers(size)
    except (TypeError, ValueError, OverflowError):
        array = np.empty(0)
    if array.shape != (2,):
        raise TensorError(f"input_size must be [height, width]; got {size!r}")
    height, width = checked_sizes("input_size", array).tolist()
    return height, width


def _transforms(transforms: Sequence[ImageTransform]) -> tuple[ImageTransform, ...]:
    if not isinstance(transforms, Iterable):
        raise TensorError(
            f"transforms must be a sequence of ImageTransform, one per image; got {type(transforms).__name__}"
        )
    checked = tuple(transforms)
    for transform in checked:
        if not isinstance(transform, ImageTransform):
            raise TensorError(f"transforms must be ImageTransform objects; got {type(transform).__name__}")
    return checked
