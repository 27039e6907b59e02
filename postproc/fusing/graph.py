"""A graph of ONNX's operators, written one node after the other."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Value: TypeAlias = str
"""The name of a value of the graph."""
Operand: TypeAlias = "Value | float | int | bool | Sequence[int] | NDArray[Any] | np.generic"
"""A value, or a constant: Python's floats are float32, integers int64."""

_REDUCE_AXES_ARE_INPUTS = 18


class Graph:
    """Nodes and constants.

    Parameters
    ----------
    opset : int
        Of the standard.
    real : {float32, float64}
        In what numbers are decoded.
    scope : str
        What names begin with.
    """

    def __init__(
        self, opset: int, real: type[np.floating[Any]] = np.float32, scope: str = "postproc/"
    ) -> None:
        from onnx import helper

        self._helper = helper
        self.opset = opset
        self.real = real
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.scope = scope
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Value] = {}

    def op(self, kind: str, *inputs: Operand | None, name: Value | None = None, **attributes: Any) -> Value:
        """Add a node of one output, and return that."""
        return self.ops(kind, *inputs, names=[name], **attributes)[0]

    def ops(
        self, kind: str, *inputs: Operand | None, names: Sequence[Value | None], **attributes: Any
    ) -> list[Value]:
        """Add a node of several outputs; those without a name get one."""
        own = f"{self.scope}{kind}_{len(self.nodes)}"
        outputs = [name or f"{own}.{index}" for index, name in enumerate(names)]
        given = ["" if one is None else self.value(one) for one in inputs]
        self.nodes.append(self._helper.make_node(kind, given, outputs, name=own, **attributes))
        return outputs

    def value(self, operand: Operand) -> Value:
        """Return a value as it is, or the name of a constant."""
        if isinstance(operand, str):
            return operand
        array = np.asarray(operand)
        if array.dtype == np.float64 and not isinstance(operand, np.ndarray | np.generic):
            array = array.astype(np.float32)
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._constants:
            from onnx import numpy_helper

            name = f"{self.scope}constant_{len(self._constants)}"
            self._constants[key] = name
            self.initializers.append(
                numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
            )
        return self._constants[key]

    def doubles(self) -> Graph:
        """Return the same graph, in which numbers are decoded in float64."""
        other = copy.copy(self)
        other.real = np.float64
        return other

    def reals(self, numbers: Any) -> NDArray[Any]:
        """Return a constant in which numbers are decoded."""
        return np.asarray(numbers, self.real)

    def cast(self, value: Operand, dtype: Any) -> Value:
        """Convert numbers."""
        return self.op("Cast", value, to=self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def to_real(self, value: Value) -> Value:
        """Convert float32 to what numbers are decoded in."""
        return value if self.real == np.float32 else self.cast(value, self.real)

    def to_float32(self, value: Value) -> Value:
        """Convert what numbers are decoded in to float32."""
        return value if self.real == np.float32 else self.cast(value, np.float32)

    def unsqueeze(self, value: Value, *axes: int) -> Value:
        """Add axes of size 1."""
        return self.op("Unsqueeze", value, list(axes))

    def squeeze(self, value: Value, *axes: int) -> Value:
        """Take axes of size 1 away."""
        return self.op("Squeeze", value, list(axes))

    def slice(self, value: Value, axis: int, start: int, stop: int, step: int = 1) -> Value:
        """Take a part along an axis."""
        return self.op("Slice", value, [start], [stop], [axis], [step])

    def columns(self, value: Value, count: int) -> list[Value]:
        """Split the last axis, of `count` numbers, into values without it."""
        return [self.op("Gather", value, np.int64(column), axis=-1) for column in range(count)]

    def stacked(self, *values: Value) -> Value:
        """Make a last axis of several values."""
        return self.op("Concat", *[self.unsqueeze(value, -1) for value in values], axis=-1)

    def reduce(self, kind: str, value: Value, axis: int, keepdims: bool = False) -> Value:
        """Reduce along an axis: ReduceSum, ReduceMin or ReduceMax."""
        if kind == "ReduceSum" or self.opset >= _REDUCE_AXES_ARE_INPUTS:
            return self.op(kind, value, [axis], keepdims=int(keepdims))
        return self.op(kind, value, axes=[axis], keepdims=int(keepdims))

    def any(self, condition: Value, axis: int) -> Value:
        """Whether any along an axis is true."""
        return self.op("Greater", self.reduce("ReduceMax", self.cast(condition, np.float32), axis), 0.0)

    def all_of(self, *conditions: Value) -> Value:
        """Whether all are true, number by number."""
        first, *others = conditions
        for other in others:
            first = self.op("And", first, other)
        return first

    def take(self, rows: Value, at: Value) -> Value:
        """Rows (B, K, ...) of (B, N, ...), at (B, K) int64."""
        # No GatherElements: OpenVINO 2026.4 drops a Slice from 0 that stands before one.
        return self.op("GatherND", rows, self.unsqueeze(at, 2), batch_dims=1)

    def take_shared(self, rows: NDArray[Any] | Value, at: Value) -> Value:
        """Rows (B, K, width) of (N, width) that all images share, at (B, K) int64."""
        return self.op("Gather", rows, at, axis=0)

    def is_finite(self, value: Value) -> Value:
        """Whether numbers in float32 are, each."""
        return self.op("Less", self.op("Abs", value), np.float32(np.inf))

    def sigmoid(self, value: Value) -> Value:
        """Logistic function of what numbers are decoded in: operators of that name are approximations."""
        one = self.reals(1.0)
        return self.op("Div", one, self.op("Add", one, self.op("Exp", self.op("Neg", value))))
