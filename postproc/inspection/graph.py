"""What an ONNX file says of itself: its inputs, outputs, metadata, and how each output is computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from postproc.graph_shapes import Shape
from postproc.inspection.labels import LabelNames
from postproc.inspection.nodes import LAYERS
from postproc.inspection.presets import ImageStyle
from postproc.inspection.provenance import Operators
from postproc.onnx_runner.session import NUMPY_TYPES
from postproc.transforms import Size

Axis: TypeAlias = "int | str | None"
UNDEFINED = "undefined"
_ARRAYS = {str(dtype) for dtype in NUMPY_TYPES.values()}

_SUMMING = {"Conv", "MatMul", "Gemm", "Mul"}
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
        Name, and element type as NumPy calls it; where it is no array of numbers the type as ONNX Runtime
        calls it, ``seq(tensor(float))``, and `UNDEFINED` where the file leaves it open.
    declared : tuple or None
        Axes as the file gives them: a size, a symbol or None; None where even the rank is unknown.
    shape : tuple or None
        Sizes as far as they follow from the size of the network's input, or a run tells them; None for the
        others.
    open_axes : frozenset of int
        The axes whose size does not follow from that of the input: a run tells it, and another may differ.
    """

    name: str
    type: str
    declared: tuple[Axis, ...] | None
    shape: Shape | None
    open_axes: frozenset[int] = frozenset()

    def filled(self, shape: tuple[int, ...]) -> Tensor:
        """Give the same tensor with the sizes that it had in a run, where they were open."""
        known = (
            self.shape if self.shape is not None and len(self.shape) == len(shape) else (None,) * len(shape)
        )
        declared = self.declared if self.declared is not None and known is self.shape else known
        found = tuple(size if own is None else own for own, size in zip(known, shape, strict=True))
        open_axes = frozenset(axis for axis, own in enumerate(known) if own is None)
        return replace(self, declared=declared, shape=found, open_axes=open_axes)

    @property
    def plain_name(self) -> str:
        """Its name in lower case, without scopes before it and TensorFlow's number behind it."""
        return self.name.removesuffix(":0").lower().rpartition("/")[2]

    def is_called(self, *words: str) -> bool:
        """Tell whether one of some words is in its name."""
        return any(word in self.plain_name for word in words)

    @property
    def rank(self) -> int:
        """Number of axes, or -1 where it is unknown."""
        return -1 if self.shape is None else len(self.shape)

    @property
    def is_array(self) -> bool:
        """Whether ONNX Runtime takes it, or hands it over, as a NumPy array."""
        return self.type in _ARRAYS

    @property
    def is_float(self) -> bool:
        """Whether its elements are floating point numbers."""
        return self.type.startswith("float")

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

    def __str__(self) -> str:
        return f"{self.name} {self.text}"

    @property
    def declared_text(self) -> str:
        """The shape as the file declares it."""
        return "(shape unknown)" if self.declared is None else _written(self.declared)


def listed(tensors: Iterable[object]) -> str:
    """Name tensors and their shapes, for people to read."""
    return ", ".join(map(str, tensors))


def _written(axes: Iterable[Axis]) -> str:
    names = ["?" if axis is None else str(axis) for axis in axes]
    return f"({names[0]},)" if len(names) == 1 else f"({', '.join(names)})"


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
    links : Operators
        The operators of the main graph, and how they hang together.
    input_size : (int, int) or None
        Height and width of the image input.
    size_source : {"given", "graph", "metadata", "config", "cells", "run", "assumed"}
        Where `input_size` is from: "cells" are those of its outputs' levels.
    labels : LabelNames or None
        Names of labels, of the caller, else the metadata, else `config_labels`.
    config_labels : LabelNames or None
        Names of labels in a ``config.json`` beside the file.
    image_style : ImageStyle or None
        How images are prepared, by a ``preprocessor_config.json`` beside the file.
    unused : tuple of str
        Which files beside it are not used, and why.
    weights : tuple of Path
        Files that hold weights of it, whether or not they exist.
    config : mapping
        The fields of transformers' ``config.json`` beside the file, if there is one.
    """

    name: str
    producer: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    metadata: Mapping[str, str]
    operators: Mapping[str, int]
    links: Operators = field(repr=False)
    input_size: Size | None
    size_source: str
    labels: LabelNames | None = None
    config_labels: LabelNames | None = None
    image_style: ImageStyle | None = None
    unused: tuple[str, ...] = ()
    weights: tuple[Path, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is odd about the files beside it: they cannot be used, or name other labels."""
        used, others = self.labels, self.config_labels
        if used is None or others is None or used.names == others.names:
            return self.unused
        said = f"{used.source} and {others.source} name different labels, {len(used)} and {len(others)}"
        return (*self.unused, f"{said}: the former are used")

    @property
    def image(self) -> Tensor | None:
        """The input that takes the images: the first of rank 4, else of rank 3 (see `image_axes`)."""
        return image_input(self.inputs)

    @property
    def task(self) -> str:
        """The task that ultralytics writes into the metadata, or nothing."""
        return self.metadata.get("task", "")

    @property
    def is_deformable(self) -> bool:
        """Whether it attends to places that it computes (deformable attention)."""
        return "GridSample" in self.operators

    @property
    def is_ultralytics(self) -> bool:
        """Whether ultralytics exported it, by its metadata."""
        return "ultralytics" in self.metadata.get("author", "").lower() or {"task", "stride"} <= set(
            self.metadata
        )

    @property
    def suppressor(self) -> str | None:
        """The operator that does NMS in the graph, if one does."""
        return next((name for name in self.operators if name in _SUPPRESSING), None)

    def selector(self, name: str) -> str | None:
        """Name the operator that selects among candidates behind a tensor, if one does: NMS or a TopK.

        Of a network of the DETR kind ask about scores: its boxes depend on the TopK that selects its queries.
        """
        behind = self.upstream(name)
        suppressing = next((operator for operator in sorted(behind) if operator in _SUPPRESSING), None)
        if suppressing is None and behind & {"If", "Loop"}:
            suppressing = self.suppressor
        return suppressing or ("TopK" if "TopK" in behind else None)

    @property
    def selection_in_metadata(self) -> str:
        """What in ultralytics' metadata says that the graph chooses its boxes, or nothing."""
        if not self.is_ultralytics:
            return ""
        if self.metadata.get("end2end") == "True":
            return "end2end in its metadata"
        return "nms=True in its metadata" if "'nms': True" in self.metadata.get("args", "") else ""

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
                if tensor.plain_name == name:
                    return tensor
        return None

    def unread(self, *read: Tensor | None) -> tuple[str, ...]:
        """Say which outputs are not among those that are read, such as masks: one check, or none."""
        others = [tensor for tensor in self.outputs if tensor not in read]
        return (f"further outputs are not read: {listed(others)}",) if others else ()

    def sources(self, name: str) -> frozenset[str]:
        """Name the operators that computed the numbers of a tensor, as `Operators.sources` does."""
        return self.links.sources(name)

    def upstream(self, name: str) -> frozenset[str]:
        """Name the operators between the last layers and a tensor, these included."""
        return self.links.upstream(name, LAYERS)

    def ends_in(self, name: str, operator: str) -> bool:
        """Tell whether all numbers of a tensor come from one operator."""
        return self.sources(name) == {operator}

    @property
    def bins(self) -> int | None:
        """How many bins a side of a box has, where the graph sums them up after a softmax (DFL)."""
        for node in self.links.nodes:
            if node.operator in _SUMMING and node.inputs and self.sources(node.inputs[0]) == {"Softmax"}:
                weights = next((self.links.constants.get(name) for name in node.inputs[1:]), None)
                if weights is not None and np.array_equal(weights.reshape(-1), np.arange(weights.size)):
                    return int(weights.size)
        return None

    @property
    def activations(self) -> frozenset[str]:
        """The activations of its layers; SiLU is x times its sigmoid, Mish x times a tanh of a softplus."""
        found = {"LeakyRelu", "Relu", "PRelu", "HardSwish", "Mish"} & set(self.operators)
        for node in self.links.nodes:
            if node.operator == "Mul" and len(node.inputs) == 2:
                for one, other in (node.inputs, node.inputs[::-1]):
                    gate = self.links.producers.get(one)
                    if gate is not None and gate.operator == "Tanh":
                        found.add("Mish")
                    elif gate is not None and gate.operator == "Sigmoid" and other in gate.inputs:
                        found.add("SiLU")
        return frozenset(found)

    def is_constant(self, name: str) -> bool:
        """Tell whether a tensor is the same for every image."""
        return self.sources(name) == {"Constant"}

    def with_run(self, shapes: Mapping[str, tuple[int, ...]]) -> Graph:
        """Give the same graph with the shapes that its open outputs had in a run."""
        outputs = tuple(
            tensor.filled(shapes[tensor.name]) if tensor.name in shapes else tensor for tensor in self.outputs
        )
        links = replace(self.links, shapes={**shapes, **self.links.shapes})
        return replace(self, outputs=outputs, links=links)

    def with_labels(self, labels: LabelNames | None) -> Graph:
        """Give the same graph with other names of labels, or itself for None."""
        return self if labels is None else replace(self, labels=labels)


def image_input(inputs: Iterable[Tensor]) -> Tensor | None:
    """Find the input that takes the images, a batch of them rather than a single one."""
    images = [tensor for tensor in inputs if image_axes(tensor.declared) is not None]
    return max(images, key=lambda tensor: tensor.rank, default=None)


def image_axes(shape: tuple[Axis, ...] | None) -> tuple[str, int, Axis, Axis] | None:
    """Give the order, channels, height and width of a tensor of images, None for another tensor.

    A tensor of rank 3 is one image without a batch axis, as torchvision's detectors take. It has 3 channels,
    first or, where its sides are fixed, last: free axes, or a first one of 1, are more often a batch of
    texts, sounds or points.
    """
    if shape is not None and len(shape) == 3:
        is_image = shape[0] == 3 or (shape[2] == 3 and all(isinstance(axis, int) for axis in shape))
        return image_axes((1, *shape)) if is_image and 1 not in shape else None
    if shape is None or len(shape) != 4:
        return None
    if shape[1] in (1, 3):
        return "NCHW", int(shape[1]), shape[2], shape[3]
    if shape[3] in (1, 3):
        return "NHWC", int(shape[3]), shape[1], shape[2]
    if all(not isinstance(axis, int) for axis in shape[1:]):  # all symbols: the usual order, in colour
        return "NCHW", 3, shape[2], shape[3]
    return None
