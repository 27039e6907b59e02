"""Small ONNX graphs that run: layers with seeded random weights, and the operators that exporters write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import helper, numpy_helper

Shape: TypeAlias = "Sequence[int | str | None]"
Operand: TypeAlias = "Value | np.ndarray[Any, Any] | float"

COCO = tuple(f"thing {row}" for row in range(80))


class Value:
    """A tensor of a graph that is being built; arithmetic on it adds operators."""

    def __init__(self, graph: Builder, name: str) -> None:
        self.graph, self.name = graph, name

    def op(self, operator: str, *others: Operand, **attributes: Any) -> Value:
        return self.graph.op(operator, self, *others, **attributes)

    def __add__(self, other: Operand) -> Value:
        return self.op("Add", other)

    def __sub__(self, other: Operand) -> Value:
        return self.op("Sub", other)

    def __mul__(self, other: Operand) -> Value:
        return self.op("Mul", other)

    def __truediv__(self, other: Operand) -> Value:
        return self.op("Div", other)

    def __pow__(self, other: Operand) -> Value:
        return self.op("Pow", other)

    def sigmoid(self) -> Value:
        return self.op("Sigmoid")

    def softmax(self, axis: int = -1) -> Value:
        return self.op("Softmax", axis=axis)

    def exp(self) -> Value:
        return self.op("Exp")

    def reshape(self, *shape: int) -> Value:
        """Reshape; 0 keeps the size of an axis, -1 is what is left."""
        return self.op("Reshape", np.array(shape, np.int64))

    def transpose(self, *axes: int) -> Value:
        return self.op("Transpose", perm=axes)

    def slice(self, first: int, end: int, axis: int = -1) -> Value:
        return self.op("Slice", *(np.array([number], np.int64) for number in (first, end, axis)))

    def split(self, *sizes: int, axis: int = -1) -> list[Value]:
        return self.graph.ops("Split", len(sizes), self, np.array(sizes, np.int64), axis=axis)

    def gather(self, indices: Operand, axis: int) -> Value:
        return self.op("Gather", indices, axis=axis)

    def squeeze(self, axis: int) -> Value:
        return self.op("Squeeze", np.array([axis], np.int64))

    def unsqueeze(self, axis: int) -> Value:
        return self.op("Unsqueeze", np.array([axis], np.int64))

    def cast(self, dtype: Any = np.float32) -> Value:
        return self.op("Cast", to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def size(self, axis: int) -> Value:
        """Give the size of an axis, as a tensor of one integer."""
        return self.op("Shape", start=axis, end=axis + 1)

    def reduce_max(self, axis: int) -> Value:
        """ReduceMax without keeping the axis; its axes are an attribute up to opset 17."""
        if self.graph.opset < 18:
            return self.op("ReduceMax", axes=[axis], keepdims=0)
        return self.op("ReduceMax", np.array([axis], np.int64), keepdims=0)

    def argmax(self, axis: int) -> Value:
        return self.op("ArgMax", axis=axis, keepdims=0)

    def topk(self, count: int) -> tuple[Value, Value]:
        """The highest numbers of the last axis and their places."""
        values, places = self.graph.ops("TopK", 2, self, np.array([count], np.int64), axis=-1)
        return values, places

    def conv(self, channels: int, kernel: int = 1, gain: Any = 1.0, bias: Any = 0.0) -> Value:
        return self.graph.conv(self, channels, kernel, gain=gain, bias=bias)

    def linear(self, columns: int, gain: float = 1.0, bias: Any = 0.0) -> Value:
        """A linear layer as torch exports it for more than two axes: MatMul, then Add."""
        graph = self.graph
        rows = graph.columns[self.name]
        out = self.op("MatMul", graph.weights((rows, columns), gain / np.sqrt(rows)))
        return graph.noted(out + np.broadcast_to(np.float32(bias), columns).copy(), columns)

    def gemm(self, columns: int, gain: float = 1.0, bias: Any = 0.0) -> Value:
        """A linear layer as torch exports it for two axes: Gemm."""
        graph = self.graph
        rows = graph.columns[self.name]
        offsets = np.broadcast_to(np.float32(bias), columns).copy()
        out = self.op("Gemm", graph.weights((columns, rows), gain / np.sqrt(rows)), offsets, transB=1)
        return graph.noted(out, columns)

    def relu(self) -> Value:
        return self.graph.noted(self.op("Relu"), self.graph.columns[self.name])


class Builder:
    """Collects operators and writes them as an ONNX model.

    Parameters
    ----------
    image : shape
        The image input: (B, C, H, W), (B, H, W, C), or (C, H, W) as torchvision's.
    name, dtype : str, dtype
        Of the image input.
    metadata : mapping of str to str
        ``metadata_props``.
    producer, opset, ir : str, int, int
        What the file says of its exporter.
    real : dtype
        Of weights and constants: float16 for half precision.
    """

    def __init__(
        self,
        image: Shape = (1, 3, 320, 320),
        *,
        name: str = "images",
        dtype: Any = np.float32,
        metadata: Mapping[str, str] | None = None,
        producer: str = "pytorch",
        opset: int = 17,
        ir: int = 9,
        real: Any = np.float32,
    ) -> None:
        self.producer, self.opset, self.ir, self.real = producer, opset, ir, real
        self.size = tuple(side for side in image[-3 if image[-1] in (1, 3) else -2 :] if side not in (1, 3))
        self._metadata = dict(metadata or {})
        self._random = np.random.default_rng(7)
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[tuple[str, str]] = []
        self._shapes: dict[str, Shape] = {}
        self._types: dict[str, int] = {}
        self._domains: set[str] = set()
        self.columns: dict[str, int] = {}
        self.image = self._first_layer_input(self.input(name, image, dtype), image, dtype)

    def _first_layer_input(self, image: Value, shape: Shape, dtype: Any) -> Value:
        """Bring images to floats (B, 3, H, W) in [0, 1]."""
        if np.dtype(dtype) == np.uint8:
            image = image.cast(self.real) / 255
        if len(shape) == 3:
            image = image.unsqueeze(0)
        elif shape[3] in (1, 3):
            image = image.transpose(0, 3, 1, 2)
        return self.noted(image, 1 if 1 in (shape[1], shape[-1]) else 3)

    def input(self, name: str, shape: Shape, dtype: Any = np.float32) -> Value:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return Value(self, name)

    def constant(self, value: Operand) -> Value:
        """A weight or constant; Python's numbers and floating point arrays get the type of the weights."""
        if isinstance(value, Value):
            return value
        array = np.asarray(value)
        if not isinstance(value, np.ndarray) or array.dtype.kind == "f":
            array = array.astype(self.real)
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return Value(self, name)

    def ops(
        self, operator: str, outputs: int, *inputs: Operand, domain: str = "", **attributes: Any
    ) -> list[Value]:
        """Add an operator of several outputs."""
        names = [f"/{operator}_{len(self._nodes)}_output_{row}" for row in range(outputs)]
        sources = [self.constant(value).name for value in inputs]
        self._nodes.append(helper.make_node(operator, sources, names, domain=domain, **attributes))
        self._domains.add(domain)
        return [Value(self, name) for name in names]

    def op(self, operator: str, *inputs: Operand, **attributes: Any) -> Value:
        return self.ops(operator, 1, *inputs, **attributes)[0]

    def concat(self, *values: Operand, axis: int) -> Value:
        return self.op("Concat", *values, axis=axis)

    def weights(self, shape: tuple[int, ...], deviation: float) -> np.ndarray[Any, Any]:
        return (self._random.standard_normal(shape) * deviation).astype(np.float32)

    def noted(self, value: Value, columns: int) -> Value:
        """Remember how many channels or columns a tensor has, which the next layer needs."""
        self.columns[value.name] = columns
        return value

    def conv(
        self,
        x: Value,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        gain: Any = 1.0,
        bias: Any = 0.0,
        centred: bool = False,
    ) -> Value:
        """Add a convolution, whose gain and bias may differ by channel.

        Centred weights see no brightness, as those of a trained first layer.
        """
        fan = self.columns[x.name] * kernel**2
        weights = self.weights((channels, self.columns[x.name], kernel, kernel), 1 / np.sqrt(fan))
        weights *= np.broadcast_to(np.float32(gain), channels)[:, None, None, None]
        if centred:
            weights -= weights.mean(axis=(1, 2, 3), keepdims=True)
        padding = (kernel - stride + 1) // 2 if stride < kernel else 0
        out = self.op(
            *("Conv", x, weights, np.broadcast_to(np.float32(bias), channels).copy()),
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[padding] * 4,
        )
        return self.noted(out, channels)

    def features(self, stride: int, activation: str = "SiLU", channels: int = 12) -> Value:
        """The features of a grid of cells of `stride` pixels."""
        x = self.conv(self.image, channels, stride, stride, gain=4.0, centred=True)
        if activation == "SiLU":
            y = x * x.sigmoid()
        elif activation == "Mish":
            y = x * x.op("Softplus").op("Tanh")
        else:
            y = x.op(activation)
        return self.noted(y, channels)

    def pooled(self, activation: str = "Relu", channels: int = 32) -> Value:
        """The features of the whole image, (B, channels)."""
        pooled = self.features(16, activation, channels).op("GlobalAveragePool")
        return self.noted(pooled.op("Flatten", axis=1), channels)

    def cells(
        self, grids: Sequence[Value], strides: Sequence[int], offset: float = 0.5
    ) -> tuple[Value, Value]:
        """Compute the centres of all cells (1, 2, N) and their strides (1, N) where the size is free."""
        centres, scales = [], []
        for grid, stride in zip(grids, strides, strict=True):
            height, width = (grid.size(axis).squeeze(0) for axis in (2, 3))
            zero, one = np.array(0, np.int64), np.array(1, np.int64)
            x = self.op("Range", zero, width, one).cast(self.real) + offset
            y = self.op("Range", zero, height, one).cast(self.real) + offset
            shape = self.concat(grid.size(2), grid.size(3), axis=0)
            x = x.unsqueeze(0).op("Expand", shape)
            y = y.unsqueeze(1).op("Expand", shape)
            centre = self.op("Concat", x.reshape(1, 1, -1), y.reshape(1, 1, -1), axis=1)
            centres.append(centre)
            scales.append(centre.slice(0, 1, 1).reshape(1, -1) * 0.0 + stride)
        return self.concat(*centres, axis=2), self.concat(*scales, axis=1)

    def output(self, name: str, value: Value, shape: Shape, dtype: Any = None) -> None:
        """Name a tensor as the graph's next output, and declare its axes: sizes or symbols."""
        self._outputs.append((value.name, name))
        self._shapes[name] = shape
        self._types[name] = helper.np_dtype_to_tensor_dtype(np.dtype(dtype or self.real))

    def model(self) -> bytes:
        names = dict(self._outputs)
        for node in self._nodes:
            for row, name in enumerate(node.output):
                node.output[row] = names.get(name, name)
            for row, name in enumerate(node.input):
                node.input[row] = names.get(name, name)
        outputs = [
            helper.make_tensor_value_info(name, self._types[name], self._shapes[name])
            for _, name in self._outputs
        ]
        graph = helper.make_graph(self._nodes, "main_graph", self._inputs, outputs, self._constants)
        opsets = [helper.make_opsetid(domain, 1 if domain else self.opset) for domain in {"", *self._domains}]
        model = helper.make_model(
            graph, producer_name=self.producer, opset_imports=opsets, ir_version=self.ir
        )
        helper.set_model_props(model, self._metadata)
        onnx.checker.check_model(model)
        return model.SerializeToString()


def grid_of(
    size: tuple[int, int], strides: Sequence[int], offset: float = 0.5, per_cell: int = 1
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Give the centres of all cells in cells (1, N, 2), and their strides (1, N, 1)."""
    centres, scales = [], []
    for stride in strides:
        y, x = np.mgrid[: size[0] // stride, : size[1] // stride].astype(np.float32) + np.float32(offset)
        cells = np.stack([x.ravel(), y.ravel()], 1)
        centres += [cells] * per_cell
        scales += [np.full((len(cells), 1), stride, np.float32)] * per_cell
    return np.concatenate(centres)[None], np.concatenate(scales)[None]
