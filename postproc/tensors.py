"""The gate: whatever the caller passes becomes what the kernels take, once, or a `TensorError`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from postproc.errors import TensorError
from postproc.kernels.core.float16 import bfloat16_to_float32, float16_to_float32
from postproc.kernels.core.numbers import Narrow, narrow, narrow_half
from postproc.quantization import DTYPES as QUANTIZED_DTYPES
from postproc.quantization import QuantizedTensor, array_of

_FLOAT32, _FLOAT16 = np.dtype(np.float32), np.dtype(np.float16)
# A view can repeat a few bytes as an array of any size (np.broadcast_to), and kernels take no strides.
_MOST_REPEATED = 1 << 30
# And an array without elements can have axes of any length: a million images of no boxes, still.
_MOST_OF_NOTHING = 1 << 20
_NOTHING = np.empty((1, 0), np.float32)
QUANTISED_ADVICE = "quantised numbers q stand for (q - zero_point) * scale"
_HOST_DEVICES = (1, 3, 11)  # of DLPack: plain memory, and what CUDA and ROCm have pinned
_ON_ITS_DEVICE = ", or have it post-processed where it lies: postproc.onnx_runner.DevicePostProcessor"
_BOTH_WAYS = (
    f"{QUANTISED_ADVICE}: give those in the output's quantization, or pass QuantizedTensor(array, scale, "
    "zero_point)"
)


def find(tensors: Mapping[str, Any], name: str) -> Any:
    """Tensor of a name.

    Raises
    ------
    TensorError
        If there is none; lists the names that exist.
    """
    try:
        return tensors[name]
    except TensorError:
        raise
    except KeyError:
        raise TensorError(f"tensor {name!r} is missing; the tensors given are {_names(tensors)}") from None
    except Exception as error:
        # A mapping may read a file, or ask a device.
        raise TensorError(
            f"tensor {name!r} cannot be had from the {type(tensors).__name__} given: {error!r}"
        ) from error


def _names(tensors: Mapping[str, Any]) -> str:
    try:
        return ", ".join(map(repr, tensors)) or "none"
    except Exception as error:
        return f"unknown ({error!r})"


def as_array(name: str, value: Any) -> NDArray[Any]:
    """NumPy array that shares the memory of an array or CPU tensor, where that is possible.

    Of a `QuantizedTensor` it is the float32 numbers.

    Raises
    ------
    TensorError
        If it cannot be read as an array, or some of it is masked.
    """
    if type(value) is np.ndarray:
        return value
    if isinstance(value, QuantizedArray) and value.scale is not None:
        value = QuantizedTensor.of(value.view(np.ndarray), value.scale, value.zero_point)
    if isinstance(value, QuantizedTensor):
        return _dequantized(name, value)
    try:
        return array_of(value)
    except Exception as error:
        raise TensorError(
            f"tensor {name!r} ({type(value).__module__}.{type(value).__name__}) cannot be read as an array: "
            f"{error}; pass a NumPy array or a CPU tensor (in PyTorch .detach().cpu(); of bfloat16 .float())"
            f"{_ON_ITS_DEVICE if is_on_device(value) else ''}"
        ) from error


def is_on_device(value: Any) -> bool:
    """Whether a tensor says that it lies elsewhere than on the host."""
    try:
        kind, _ = value.__dlpack_device__()
        return bool(kind not in _HOST_DEVICES)
    except Exception:  # no tensor, or one whose library fails: then it does not say so
        return hasattr(type(value), "__cuda_array_interface__")


def _dequantized(name: str, tensor: QuantizedTensor) -> NDArray[np.float32]:
    _check_repeats(name, tensor.array, tensor.array.size * _FLOAT32.itemsize)
    try:
        with named(name):
            return tensor.dequantize()
    except MemoryError as error:
        raise TensorError(f"tensor {name!r} of shape {tensor.shape} cannot be copied: {error}") from error


@contextmanager
def named(name: str) -> Iterator[None]:
    """Say of which tensor an error of a `QuantizedTensor` is."""
    try:
        yield
    except TensorError as error:
        raise type(error)(f"tensor {name!r}: {error}") from None


def as_float32(name: str, value: Any) -> NDArray[np.float32]:
    """C-contiguous float32 array of a tensor: its own memory where that is possible.

    Raises
    ------
    TensorError
        If the tensor is not of a floating dtype.
    """
    array = value if type(value) is np.ndarray else as_array(name, value)
    # What is nearly always so comes first: NumPy's own object for the dtype, memory in order and writable.
    if array.dtype is not _FLOAT32 and array.dtype != _FLOAT32:
        array = _converted(name, array)
    return array if array.flags.carray and array.size else as_contiguous(name, array)


class QuantizedArray(np.ndarray[Any, np.dtype[Any]]):
    """Integers of a quantised tensor, whose views have its scale and zero point, too."""

    scale: np.float32 | None
    zero_point: np.int64

    def __array_finalize__(self, source: Any) -> None:
        self.scale = getattr(source, "scale", None)
        self.zero_point = getattr(source, "zero_point", np.int64(0))


def as_scanned(name: str, value: Any) -> NDArray[Any]:
    """C-contiguous array of a tensor in numbers that kernels scan: float32, or fewer bytes where it has such.

    Float16 and bfloat16 stay what they are, and integers with one scale and zero point become a
    `QuantizedArray`. `kernel_form` makes of it what a kernel takes, `as_float32` the numbers.

    Raises
    ------
    TensorError
        If the tensor is not of a floating dtype, nor quantised.
    """
    array = value if type(value) is np.ndarray else _as_any_array(name, value)
    if array.dtype is not _FLOAT32 and array.dtype != _FLOAT32 and not _is_narrow(array):
        array = _converted(name, array)
    return array if array.flags.carray and array.size else as_contiguous(name, array)


def _as_any_array(name: str, value: Any) -> NDArray[Any]:
    if not isinstance(value, QuantizedTensor) or value.channels is not None or not value.array.dtype.isnative:
        return as_array(name, value)
    if not value.array.flags.c_contiguous:
        _check_repeats(name, value.array, value.array.size * _FLOAT32.itemsize)
    array = value.array.view(QuantizedArray)
    array.scale, array.zero_point = cast("np.float32", value.scale), cast("np.int64", value.zero_point)
    return array


def _is_narrow(array: NDArray[Any]) -> bool:
    if type(array) is QuantizedArray or array.dtype is _FLOAT16:
        return True
    return array.dtype.name in ("float16", "bfloat16") and bool(array.dtype.isnative)


def in_float32(array: NDArray[Any]) -> NDArray[np.float32]:
    """Return an array of `as_scanned`, or a view of one, in float32: itself if it is."""
    return array if array.dtype == _FLOAT32 else as_float32("", array)


def kernel_form(array: NDArray[Any]) -> NDArray[np.float32]:
    """Return what kernels take for an array of `as_scanned`: itself if of float32, else a `Narrow` tuple.

    To those who hand it on it is an array of float32: kernels are compiled for what it is.
    """
    if array.dtype is _FLOAT32 or array.dtype == _FLOAT32:
        return array
    return cast("NDArray[np.float32]", _narrow_form(array))


def kernel_form_beside(array: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float32]:
    """Return what a kernel takes for an array beside scores: of their form, or float32.

    Any other two forms would be a kernel of their own to compile.
    """
    if array.dtype is _FLOAT32 or array.dtype == _FLOAT32:
        return array
    return kernel_form(array if array.dtype.itemsize == scores.dtype.itemsize else in_float32(array))


def kernel_forms(arrays: Sequence[NDArray[Any]], count: int) -> list[NDArray[np.float32]]:
    """Return what a kernel takes for several arrays (B, numbers of an image), and empty ones up to a count.

    They are of one form, since kernels choose among them: float32 if not all are of 8 or all of 16 bits.
    """
    for array in arrays:
        if array.dtype is not _FLOAT32 and array.dtype != _FLOAT32:
            break
    else:
        return [*arrays, *[_NOTHING] * (count - len(arrays))]
    if {array.dtype.itemsize for array in arrays} not in ({1}, {2}):
        return kernel_forms([in_float32(array) for array in arrays], count)
    return [kernel_form(array) for array in (*arrays, *[arrays[0][:1, :0]] * (count - len(arrays)))]


def are_of_one_form(one: Any, other: Any) -> bool:
    """Whether kernels take two results of `kernel_form` alike, or the first is float32, as it may be."""
    if not isinstance(one, tuple):
        return True
    return isinstance(other, tuple) and bool(one[0].dtype == other[0].dtype)


def _narrow_form(array: NDArray[Any]) -> Narrow:
    if type(array) is QuantizedArray and array.scale is not None:
        return narrow(array.view(np.ndarray), array.scale, int(array.zero_point))
    if array.dtype is _FLOAT16 or array.dtype.name in ("float16", "bfloat16"):
        return narrow_half(array)
    raise TypeError(f"no kernel takes an array of {array.dtype} without scale and zero point")


def as_contiguous(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """C-contiguous, aligned array of the same numbers: itself where that is possible.

    Raises
    ------
    TensorError
        If it would be too large, though the tensor given is not.
    """
    if array.size == 0 and max(array.shape) > _MOST_OF_NOTHING:
        raise TensorError(f"tensor {name!r} has shape {array.shape}, which is empty, but not small")
    flags = array.flags
    return array if flags.c_contiguous and flags.aligned else _copied(name, array, array.dtype)


def _copied(name: str, array: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Copy an array, C-contiguous and in another dtype."""
    _check_repeats(name, array, array.nbytes)
    try:
        with np.errstate(all="ignore"):  # out of the dtype's range is infinity, and dropped
            return array.astype(dtype, order="C")
    except MemoryError as error:
        raise TensorError(f"tensor {name!r} of shape {array.shape} cannot be copied: {error}") from error


def _check_repeats(name: str, array: NDArray[Any], copied: int) -> None:
    """Check that an array whose copy takes so many bytes does not repeat a few."""
    spanned = array.itemsize + sum(
        (length - 1) * abs(stride) for length, stride in zip(array.shape, array.strides, strict=True)
    )
    if spanned < array.nbytes and copied > _MOST_REPEATED:
        raise TensorError(
            f"tensor {name!r} has shape {array.shape} and strides {array.strides}: it repeats {spanned} "
            f"bytes, and a copy would take {copied}, of which {_MOST_REPEATED} are allowed"
        )


def _converted(name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    if array.dtype.name == "float16":
        return _converted_bits(name, array, float16_to_float32)
    if array.dtype.name == "bfloat16":
        return _converted_bits(name, array, bfloat16_to_float32)
    if array.dtype.kind == "f":
        return _copied(name, array, np.float32)
    advice = "convert it with .astype(np.float32)"
    if array.dtype.name in QUANTIZED_DTYPES:
        advice = _BOTH_WAYS
    elif array.dtype.kind in "iu":
        advice = f"{QUANTISED_ADVICE}: pass that as float32, which a mere cast is not"
    raise TensorError(
        f"tensor {name!r} must be of float32, float16, bfloat16 or float64; found dtype {array.dtype}; "
        f"{advice}"
    )


def _converted_bits(
    name: str, array: NDArray[Any], convert: Callable[[NDArray[np.uint16]], NDArray[np.float32]]
) -> NDArray[np.float32]:
    if not array.dtype.isnative:
        array = _copied(name, array, array.dtype.newbyteorder("="))
    bits = as_contiguous(name, array).view(np.uint16)
    return convert(bits.reshape(-1)).reshape(array.shape)


def as_ids(name: str, value: Any) -> NDArray[np.int64] | NDArray[np.uint64] | NDArray[np.float64]:
    """Array of a tensor of class ids: floats as float64, integers as int64, or as uint64 beyond its range.

    Integers never pass through a floating type.

    Raises
    ------
    TensorError
        If the tensor is neither of an integer nor of a floating dtype.
    """
    array = as_array(name, value)
    if array.dtype.kind == "i" or (array.dtype.kind == "u" and array.dtype.itemsize < 8):
        return _contiguous_of(name, array, np.dtype(np.int64))
    if array.dtype.kind == "u":
        array = _contiguous_of(name, array, np.dtype(np.uint64))
        is_beyond = array.size > 0 and array.max() > np.iinfo(np.int64).max
        return array if is_beyond else array.view(np.int64)
    if array.dtype.name == "bfloat16":
        array = _converted(name, array)
    if array.dtype.kind == "f":
        return _contiguous_of(name, array, np.dtype(np.float64))
    raise TensorError(
        f"tensor {name!r} must hold class ids as integers or whole floats; found dtype {array.dtype}"
    )


def _contiguous_of(name: str, array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    return as_contiguous(name, array if array.dtype == dtype else _copied(name, array, dtype))


def wrong_shape(name: str, shape: Sequence[int], expected: str) -> TensorError:
    """Error of a tensor whose shape is not the expected one."""
    return TensorError(f"tensor {name!r} has shape {tuple(shape)}; expected {expected}")


def sizes_of(name: str, value: Any, batch: int) -> NDArray[np.float64]:
    """Heights and widths (batch, 2) of a tensor that holds ``[height, width, ...]`` per image or once.

    Raises
    ------
    TensorError
        If it has another shape, or a size is not finite and positive.
    """
    array = as_array(name, value)
    if array.dtype.kind not in "iuf" and array.dtype.name != "bfloat16":
        raise TensorError(
            f"tensor {name!r} must hold [height, width, ...] as numbers; found dtype {array.dtype}"
        )
    if array.ndim not in (1, 2) or array.shape[-1] < 2 or (array.ndim == 2 and len(array) not in (1, batch)):
        raise wrong_shape(
            name, array.shape, f"({batch}, 2 or more) or (2 or more,), holding [height, width, ...]"
        )
    sizes = np.empty((batch, 2), np.float64)
    with np.errstate(all="ignore"):
        sizes[:] = array[..., :2]
    return checked_sizes(f"tensor {name!r}", sizes)


def as_numbers(values: Any) -> NDArray[np.float64]:
    """Float64 array of numbers; raises what NumPy does, and TypeError for texts, which it would read."""
    array = np.asarray(values)
    if array.dtype.kind not in "biufO":
        raise TypeError(f"these are no numbers: {values!r}")
    return array.astype(np.float64)


def checked_sizes(what: str, sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sizes, if all are finite and positive."""
    if not (np.isfinite(sizes) & (sizes > 0)).all():
        raise TensorError(f"{what} must hold finite, positive heights and widths; found {sizes.tolist()}")
    return sizes


def warmup() -> None:
    """Compile or load the kernels that convert half precision."""
    _converted_bits("", np.zeros(1, np.uint16), float16_to_float32)
    _converted_bits("", np.zeros(1, np.uint16), bfloat16_to_float32)
