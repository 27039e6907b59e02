"""What an ONNX file says of itself: its inputs, outputs, metadata, and how each output is computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from postproc.inspection.labels import LabelNames

Size: TypeAlias = "tuple[int, int]"
Axis: TypeAlias = "int | str | None"

# They move numbers about or change their type, and compute none; their first input is the data.
_MOVING = {
    *("Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Cast", "Slice", "Split"),
    *("Expand", "Gather", "GatherElements", "GatherND", "Pad", "QuantizeLinear", "DequantizeLinear"),
}
_LEARNED = {"Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization"}
_SQUASHING = {"Sigmoid", "HardSigmoid", "Softmax"}
_ARITHMETIC = {"Add", "Sub", "Mul", "Div", "Exp", "Pow", "ScatterND", "Where", "Clip", "Max", "Min"}
_SUPPRESSING = {
    *("NonMaxSuppression", "EfficientNMS_TRT", "BatchedNMS_TRT", "BatchedNMSDynamic_TRT"),
    *("multiclass_nms3", "TRTBatchedNMS", "NMSRotated"),
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a graph.

    Parameters
    ----------
    name, type : str
        Name, and element type as NumPy calls it.
    declared : tuple or None
        Axes as the file gives them: a size, a symbol or None; None where even the rank is unknown.
    shape : tuple or None
        Sizes as far as they follow from the size of the network's input; None for the others.
    """

    name: str
    type: str
    declared: tuple[Axis, ...] | None
    shape: tuple[int | None, ...] | None

    @property
    def rank(self) -> int:
        """Number of axes, or -1 where it is unknown."""
        return -1 if self.shape is None else len(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether its elements are floating point numbers."""
        return "float" in self.type

    def axis(self, position: int) -> int | None:
        """Give the size of an axis, None if it is unknown or there is no such axis."""
        if self.shape is None or not -len(self.shape) <= position < len(self.shape):
            return None
        return self.shape[position]

    @property
    def text(self) -> str:
        """The shape for people to read, ``(1, 84, 8400)``, with symbols where sizes are unknown."""
        if self.shape is None or self.declared is None:
            return "(shape unknown)"
        # One image was followed through the graph, but a batch that is free stays so.
        return _written(
            name if size is None or (axis == 0 and isinstance(name, str)) else size
            for axis, (size, name) in enumerate(zip(self.shape, self.declared, strict=True))
        )

    @property
    def declared_text(self) -> str:
        """The shape as the file declares it."""
        return "(shape unknown)" if self.declared is None else _written(self.declared)


def _written(axes: Iterable[Axis]) -> str:
    names = ["?" if axis is None else str(axis) for axis in axes]
    return f"({names[0]},)" if len(names) == 1 else f"({', '.join(names)})"


@dataclass(frozen=True, slots=True)
class Node:
    """An operator of the graph and the names of its inputs."""

    operator: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """An ONNX file, as far as the kind of its outputs shows.

    Parameters
    ----------
    name : str
        The file's name without its ending.
    producer : str
        The program that wrote it.
    inputs, outputs : tuple of Tensor
        What the caller feeds and gets.
    metadata : mapping of str to str
        ``metadata_props`` as they are.
    operators : mapping of str to int
        How often each operator occurs, subgraphs included.
    producers : mapping of str to Node
        The operator that computes each tensor of the main graph.
    input_size : (int, int) or None
        Height and width of the image input.
    size_source : {"given", "graph", "metadata", "assumed"}
        Where `input_size` is from.
    labels : LabelNames or None
        Names of labels, of the caller or the metadata.
    """

    name: str
    producer: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    metadata: Mapping[str, str]
    operators: Mapping[str, int]
    producers: Mapping[str, Node] = field(repr=False)
    input_size: Size | None
    size_source: str
    labels: LabelNames | None = None

    @property
    def image(self) -> Tensor | None:
        """The input that takes the images: the first of rank 4 with 1 or 3 channels."""
        return next((tensor for tensor in self.inputs if image_axes(tensor.declared) is not None), None)

    @property
    def task(self) -> str:
        """The task that ultralytics writes into the metadata, or nothing."""
        return self.metadata.get("task", "")

    @property
    def is_ultralytics(self) -> bool:
        """Whether ultralytics exported it, by its metadata."""
        return "ultralytics" in self.metadata.get("author", "").lower() or {"task", "stride"} <= set(
            self.metadata
        )

    @property
    def suppression(self) -> str | None:
        """The operator that does NMS in the graph, if one does."""
        return next((name for name in self.operators if name in _SUPPRESSING), None)

    @property
    def float_outputs(self) -> tuple[Tensor, ...]:
        """The outputs that are floating point."""
        return tuple(tensor for tensor in self.outputs if tensor.is_float)

    def of_rank(self, *ranks: int) -> tuple[Tensor, ...]:
        """Give the floating point outputs of these ranks."""
        return tuple(tensor for tensor in self.float_outputs if tensor.rank in ranks)

    def find(self, *names: str) -> Tensor | None:
        """Find the first output whose name is or ends in one of some names, whatever a scope before it."""
        for name in names:
            for tensor in self.outputs:
                if tensor.name.removesuffix(":0").lower().rpartition("/")[2] == name:
                    return tensor
        return None

    def sources(self, name: str) -> frozenset[str]:
        """Name the operators that computed the numbers of a tensor.

        Operators that only move numbers are looked through, and all parts of a Concat are; a constant is
        "Constant", an input of the graph "Input".
        """
        return frozenset(self._sources(name))

    def _sources(self, name: str) -> Iterator[str]:
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            current = waiting.pop()
            if current in seen:
                continue
            seen.add(current)
            node = self.producers.get(current)
            if node is None:
                yield "Input" if current in [tensor.name for tensor in self.inputs] else "Constant"
            elif node.operator == "Concat":
                waiting += node.inputs
            elif node.operator in _MOVING and node.inputs:
                waiting.append(node.inputs[0])
            else:
                yield node.operator

    def ends_in(self, name: str, operator: str) -> bool:
        """Tell whether all numbers of a tensor come from one operator."""
        return self.sources(name) == {operator}

    def is_raw(self, name: str) -> bool:
        """Tell whether a tensor comes from layers as they are, sigmoids and softmaxes aside."""
        sources = self.sources(name)
        return bool(sources & _LEARNED) and sources <= _LEARNED | _SQUASHING

    def is_decoded(self, name: str) -> bool:
        """Tell whether arithmetic stands between the layers and a tensor."""
        return bool(self.sources(name) & _ARITHMETIC)

    def is_constant(self, name: str) -> bool:
        """Tell whether a tensor is the same for every image."""
        return self.sources(name) == {"Constant"}

    def with_labels(self, labels: LabelNames | None) -> Graph:
        """Give the same graph with other names of labels, or itself for None."""
        return self if labels is None else replace(self, labels=labels)


def image_axes(shape: tuple[Axis, ...] | None) -> tuple[str, int, Axis, Axis] | None:
    """Give the order, channels, height and width of a tensor of images, None for another tensor."""
    if shape is None or len(shape) != 4:
        return None
    if shape[1] in (1, 3):
        return "NCHW", int(shape[1]), shape[2], shape[3]
    if shape[3] in (1, 3):
        return "NHWC", int(shape[3]), shape[1], shape[2]
    if all(not isinstance(axis, int) for axis in shape[1:]):  # all symbols: the usual order, in colour
        return "NCHW", 3, shape[2], shape[3]
    return None
