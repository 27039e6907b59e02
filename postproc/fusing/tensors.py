"""The tensors of a network as values of a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import FusingError
from postproc.fusing.graph import Graph, Value
from postproc.quantization import DTYPES, QuantizedTensor
from postproc.tensors import named

if TYPE_CHECKING:
    from postproc.pipeline.quantized import Quantizations

Shape = tuple[int | str, ...]

FREE = 2  # stands for a free one: not 1, which serves batches of any size
_FLOATS = ("float16", "float32", "float64", "bfloat16")


class Tensors:
    """The tensors that a document names.

    Parameters
    ----------
    g : Graph
    shapes : mapping of str to sequence of int or str
        The first axis, of images, may be free: a name.
    dtypes : mapping of str to dtype
        Of those that are not float32.
    """

    def __init__(
        self,
        g: Graph,
        shapes: Mapping[str, Sequence[int | str]],
        dtypes: Mapping[str, Any],
    ) -> None:
        if not isinstance(shapes, Mapping):
            raise FusingError(
                f"shapes: expected a mapping of tensors' names to shapes, got {type(shapes).__name__}"
            )
        if not isinstance(dtypes, Mapping):
            raise FusingError(f"dtypes: expected a mapping of tensors' names to dtypes, got {dtypes!r}")
        if unknown := sorted({*dtypes} - {*shapes}):
            known = ", ".join(map(repr, shapes)) or "none"
            raise FusingError(f"dtypes: {unknown[0]!r} has no shape; those with one are {known}")
        self._g = g
        self._numbers: dict[str, Value] = {}
        self._quantized: dict[str, QuantizedTensor] = {}
        self.shapes: dict[str, Shape] = {}
        for name, shape in shapes.items():
            self.shapes[name] = _checked(name, shape)
        self.dtypes = {name: _dtype(name, dtypes.get(name, np.float32)) for name in shapes}

    def check(self, names: Sequence[str]) -> None:
        """Check that the shapes of tensors are known.

        Raises
        ------
        FusingError
            If one is missing, or an axis besides the first is free.
        """
        for name in names:
            if name not in self.shapes:
                known = ", ".join(map(repr, self.shapes)) or "none"
                raise FusingError(f"tensor {name!r}: expected its shape, got those of {known}")
            shape = self.shapes[name]
            if any(isinstance(size, str) for size in shape[1:]):
                raise FusingError(
                    f"tensor {name!r} has shape {shape}, of which only the first axis may be free: export "
                    "the network with an input of a fixed size"
                )
            if 0 in shape:
                raise FusingError(f"tensor {name!r} has shape {shape}, in which there is nothing to find")

    def free(self, names: Sequence[str]) -> dict[str, str]:
        """Return the names of first axes that are free, by tensor."""
        firsts = {name: first for name in names for first in self.shapes[name][:1]}
        return {name: first for name, first in firsts.items() if isinstance(first, str)}

    def example(self, name: str, fill: int = 0) -> NDArray[Any]:
        """Return an array of its shape."""
        shape = [FREE if isinstance(size, str) else size for size in self.shapes[name]]
        return np.full(shape, fill, self.dtypes[name])

    def rank(self, name: str) -> int:
        """Return its number of axes."""
        return len(self.shapes[name])

    def inner(self, name: str, rank: int) -> tuple[int, ...]:
        """Return its sizes without the axis of images, which a tensor of less than `rank` axes lacks."""
        shape = self.example(name).shape
        return shape[1:] if len(shape) >= rank else shape

    def classes(self, name: str) -> tuple[Value, np.dtype[Any]]:
        """Return it as classes, in int64, float32 or float64, and what it is of."""
        dtype = self.dtypes[name]
        if dtype == np.uint64:
            raise FusingError(f"tensor {name!r} is of uint64, of which int64 lacks some: have it give int64")
        if name in self._quantized:
            return self.numbers(name), np.dtype(np.float32)
        if dtype in (np.float32, np.float64, np.int64):
            return name, dtype
        return self._g.cast(name, np.int64 if dtype.kind in "iu" else np.float32), dtype

    def numbers(self, name: str, rank: int | None = None) -> Value:
        """Return it in float32; with `rank` axes, the first of which is added where it is missing."""
        if name not in self._numbers:
            self._numbers[name] = self._float32(name)
        value = self._numbers[name]
        return self._g.unsqueeze(value, 0) if rank is not None and self.rank(name) == rank - 1 else value

    def read_as(self, quantizations: Quantizations) -> None:
        """From now on take integers for what the document of an output says of them.

        Raises
        ------
        TensorError
            If it does not tell along which axis channels lie.
        """
        self._numbers, self._quantized = {}, {}
        for name, (scale, zero_point) in quantizations.given.items():
            if self.dtypes[name].name not in DTYPES:
                continue  # numbers already
            axes = quantizations.output.channel_axes(quantizations.fields[name], self.rank(name))
            with named(name):
                found = QuantizedTensor.of(self.example(name), scale, zero_point).along(axes)
            self._quantized[name] = found

    def _float32(self, name: str) -> Value:
        dtype, g = self.dtypes[name], self._g
        if dtype == np.float32:
            return name
        if name not in self._quantized:
            return g.cast(name, np.float32)
        found = self._quantized[name]
        axis = found.axis or 0  # of numbers for all of it: any
        form = [-1 if one == axis else 1 for one in range(self.rank(name))]
        scale, zero_point = (
            np.reshape(one, form if np.ndim(one) else []) for one in (found.scale, found.zero_point)
        )
        # The steps of DequantizeLinear: that itself takes 16 bits from opset 21 on only, and ONNX Runtime
        # 1.32 moves it behind a Reshape in a way that it does not read (uint8, from opset 21 on).
        whole = g.op("Sub", g.cast(name, np.int32), zero_point.astype(np.int32))
        return g.op("Mul", g.cast(whole, np.float32), scale)


def _checked(name: str, shape: Sequence[int | str]) -> Shape:
    """Return a shape of Python's numbers, and names of free axes."""
    is_shape = isinstance(shape, Sequence) and not isinstance(shape, str)
    if not is_shape or not all(_is_size(size) for size in shape):
        raise FusingError(
            f"tensor {name!r}: expected a shape, a sequence of whole numbers or, for a free axis, a name; "
            f"got {shape!r}"
        )
    return tuple(size if isinstance(size, str) else int(size) for size in shape)


def _is_size(size: Any) -> bool:
    if isinstance(size, str):
        return bool(size)
    return isinstance(size, int | np.integer) and not isinstance(size, bool) and bool(size >= 0)


def _dtype(name: str, dtype: Any) -> np.dtype[Any]:
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        raise FusingError(f"tensor {name!r}: expected a dtype, got {dtype!r}") from None
    return found
