"""Tensors of integers with what makes numbers of them: ``(q - zero_point) * scale``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from postproc.errors import TensorError

Scale: TypeAlias = np.float32 | NDArray[np.float32]
ZeroPoint: TypeAlias = np.int64 | NDArray[np.int64]

DTYPES = ("int8", "uint8", "int16", "uint16")
"""Names of the data types that a quantised tensor may have."""

LOWEST, HIGHEST = int(np.iinfo(np.int16).min), int(np.iinfo(np.uint16).max)
"""The range of zero points of any of these types."""


class OpenAxisError(TensorError):
    """Not one axis is as long as the lists of a quantised tensor, or more than one."""


class QuantizedTensor:
    """A tensor of integers q that stand for ``(q - zero_point) * scale``, as 8-bit networks put them out.

    A post-processor takes it in the place of a float tensor, with the results of its `dequantize`. TensorFlow
    Lite gives scale and zero point with an output's details (``quantization_parameters``), RKNN's runtime
    with its attributes, ONNX in the DequantizeLinear that is left out.

    Parameters
    ----------
    array : array of int8, uint8, int16 or uint16
        NumPy's, or anything that it reads without a copy of another type, such as a CPU tensor.
    scale : float or sequence of float
        Above 0 and finite in float32; a list has one a channel.
    zero_point : int or sequence of int
        In the range of the array's type; a list has one a channel.
    axis : int, optional
        The axis of the channels, for lists; negative ones count from the last. Left out: as the output's
        `layout` says, or else the one axis that is as long as the lists.

    Attributes
    ----------
    array : ndarray
    scale : float32, or (C,) float32
        A list of one is a number.
    zero_point : int64, or (C,) int64
    axis : int or None

    Raises
    ------
    TensorError
        If one of them is none of these.

    References
    ----------
    Jacob et al. 2018, arXiv:1712.05877, equation 1.

    Examples
    --------
    >>> import numpy as np
    >>> from postproc import QuantizedTensor
    >>> QuantizedTensor(np.array([[3, 131, 255]], np.uint8), scale=0.5, zero_point=3).dequantize()
    array([[  0.,  64., 126.]], dtype=float32)
    """

    __slots__ = ("array", "axis", "scale", "zero_point")

    def __init__(
        self,
        array: ArrayLike,
        scale: float | Sequence[float] | NDArray[Any],
        zero_point: int | Sequence[int] | NDArray[Any] = 0,
        axis: int | None = None,
    ) -> None:
        self.array = _integers(array)
        self.scale = as_scale(scale)
        self.zero_point = as_zero_point(zero_point)
        if axis is not None:
            if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
                raise _wrong("axis", "an integer or None", axis)
            if not -self.array.ndim <= axis < self.array.ndim:
                raise _wrong("axis", f"one of the {self.array.ndim} axes of shape {self.array.shape}", axis)
            axis = int(axis)
        self.axis = axis
        self._check()

    @classmethod
    def of(
        cls, array: NDArray[Any], scale: Scale, zero_point: ZeroPoint, axis: int | None = None
    ) -> QuantizedTensor:
        """Make one of scales and zero points as `as_scale` and `as_zero_point` give them."""
        made = cls.__new__(cls)
        made.array, made.scale, made.zero_point, made.axis = _integers(array), scale, zero_point, axis
        made._check()
        return made

    def _check(self) -> None:
        """Check what the parts ask of each other."""
        scales, zero_points = np.size(self.scale), np.size(self.zero_point)
        if 1 not in (scales, zero_points) and scales != zero_points:
            raise _wrong("zero_point", f"{scales}, as many as there are scales", self.zero_point)
        bounds = np.iinfo(self.array.dtype)
        if np.min(self.zero_point) < bounds.min or np.max(self.zero_point) > bounds.max:
            expected = f"{bounds.min} to {bounds.max}, the range of {self.array.dtype}"
            raise _wrong("zero_point", expected, self.zero_point)
        if self.axis is not None and self.channels is not None:
            length = self.array.shape[self.axis]
            if length != self.channels:
                what = f"{length}, one for each channel along axis {self.axis} of shape {self.array.shape}"
                raise TensorError(f"a quantised tensor's lists must be of {what}; got {self.channels}")

    @property
    def channels(self) -> int | None:
        """Length of its lists; None where one scale and one zero point are for all of the tensor."""
        length = max(np.size(self.scale), np.size(self.zero_point))
        return None if length == 1 else length

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.array.shape

    @property
    def ndim(self) -> int:
        """Number of axes of the array."""
        return self.array.ndim

    def along(self, axes: Sequence[int]) -> QuantizedTensor:
        """Return it with the axis of its channels, which is one of `axes`; itself if nothing is open.

        Raises
        ------
        TensorError
            If none of them is as long as its lists, or several are.
        """
        channels = self.channels
        if channels is None or self.axis is not None:
            return self
        fitting = [axis for axis in axes if self.array.shape[axis] == channels]
        if len(fitting) == 1:
            return QuantizedTensor.of(self.array, self.scale, self.zero_point, fitting[0])
        lists = f"a quantised tensor of shape {self.array.shape} has lists of {channels}"
        if fitting:
            raise OpenAxisError(
                f"{lists}, as long as its axes {' and '.join(map(str, fitting))}; declare the output's "
                "layout, or give QuantizedTensor(..., axis=...)"
            )
        lengths = " or ".join(f"{self.array.shape[axis]} along axis {axis}" for axis in axes)
        raise OpenAxisError(
            f"{lists}; expected one for each channel, {lengths or 'of which it has none'}; else give "
            "QuantizedTensor(..., axis=...)"
        )

    def dequantize(self) -> NDArray[np.float32]:
        """Return the float32 numbers: ``float32(q - zero_point) * float32(scale)``, each step in float32.

        Raises
        ------
        TensorError
            If the channels of its lists may be along several axes, or along none.
        """
        found = self.along(range(self.array.ndim))
        scale, zero_point = found.scale, found.zero_point
        if found.axis is not None:
            lengths = [1] * self.array.ndim
            lengths[found.axis] = -1
            scale = scale.reshape(lengths) if scale.ndim else scale
            zero_point = zero_point.reshape(lengths) if zero_point.ndim else zero_point
        numbers = np.empty(self.array.shape, np.float32)
        # Differences of 16 bits are exact in float32.
        np.subtract(self.array, zero_point.astype(np.float32), out=numbers, dtype=np.float32)
        with np.errstate(all="ignore"):  # out of the range is infinity, and dropped
            return np.multiply(numbers, scale, out=numbers)

    def __repr__(self) -> str:
        return (
            f"QuantizedTensor({self.array.dtype} {self.array.shape}, scale={self.scale}, "
            f"zero_point={self.zero_point}, axis={self.axis})"
        )


def array_of(value: Any) -> NDArray[Any]:
    """NumPy array that shares the memory of an array or CPU tensor, where that is possible.

    Each framework has its own exceptions for tensors on a GPU, with gradients or in bfloat16.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise TensorError("masked elements have no value; fill them in, with .filled(...)")
    if not hasattr(value, "__array__") and hasattr(value, "__dlpack__"):
        return np.from_dlpack(value)
    return np.asarray(value)


def _integers(array: ArrayLike) -> NDArray[Any]:
    if type(array) is not np.ndarray:
        try:
            array = array_of(array)
        except Exception as error:
            raise TensorError(f"a quantised tensor cannot be read as an array: {error}") from error
    if array.dtype.name in DTYPES:
        return array
    advice = "; floats go without QuantizedTensor" if array.dtype.kind == "f" else ""
    raise _wrong("dtype", "int8, uint8, int16 or uint16", str(array.dtype), advice)


def as_scale(scale: Any) -> Scale:
    """Float32 scale, or list of scales.

    Raises
    ------
    TensorError
        If one is not above 0 and finite in float32.
    """
    given = _numbers("scale", scale, "iuf")
    with np.errstate(all="ignore"):
        scales = given.astype(np.float32)
    right = np.isfinite(scales) & (scales > 0)
    if not right.all():
        advice = ""
        if not given.any():
            advice = "; TensorFlow Lite gives 0 with a tensor that is not quantised: pass its array alone"
        raise _wrong("scale", "finite float32 numbers above 0", given[~right][0], advice)
    return np.float32(scales[0]) if len(scales) == 1 else scales


def as_zero_point(zero_point: Any) -> ZeroPoint:
    """Int64 zero point, or list of zero points.

    Raises
    ------
    TensorError
        If one is no integer of 16 bits.
    """
    given = _numbers("zero_point", zero_point, "iu")
    outside = (given < LOWEST) | (given > HIGHEST)
    if outside.any():
        raise _wrong("zero_point", f"{LOWEST} to {HIGHEST}", given[outside][0])
    zero_points = given.astype(np.int64)
    return np.int64(zero_points[0]) if len(zero_points) == 1 else zero_points


def _numbers(name: str, value: Any, kinds: str) -> NDArray[Any]:
    """Return a number, or a list of them, as an array of one axis."""
    what = "an integer" if kinds == "iu" else "a number"
    try:
        array = np.atleast_1d(np.asarray(value))
    except Exception:  # a ragged list, or a framework's own error
        array = np.empty(0)
    if array.ndim != 1 or not array.size or array.dtype.kind not in kinds:
        raise _wrong(name, f"{what}, or a list of them", value)
    return array


def _wrong(name: str, expected: str, found: object, advice: str = "") -> TensorError:
    return TensorError(f"a quantised tensor's {name} must be {expected}; got {str(found)[:100]}{advice}")
