"""`yolo_output` and `yolov3_output`: grids of cells with anchors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import UNIT, Candidates, Decision, SizesOf, check_order, pixel_sizes
from postproc.errors import TensorError
from postproc.kernels.core import activation
from postproc.kernels.heads.yolo_grids import FIRST_BOX, detect_grids
from postproc.schema import YoloOutput, Yolov3Output
from postproc.schema.limits import MOST_GRIDS
from postproc.tensors import as_float32, find, wrong_shape

_NO_GRID = np.empty((1, 0), np.float32)
_NO_FURTHER_GRIDS = (_NO_GRID,) * (MOST_GRIDS - 1)
_NO_STRETCH = np.ones(1, np.float64)

Shape = tuple[int, ...]


class YoloDecoder:
    """`yolo_output`: the grid of YOLOv2."""

    sample = YoloOutput(output_tensor="grid", anchors=(1.0, 1.0))
    clips_first = False
    example_size = None

    def __init__(self, output: YoloOutput, decision: Decision) -> None:
        self.tensor_names = (output.output_tensor,)
        self._decision = decision
        self._layout = output.layout
        self._anchors = np.array(output.anchors, np.float64).reshape(-1, 2)

    def bind(self, tensors: Mapping[str, Any], options: CallOptions, sizes: SizesOf) -> Candidates:
        """Check the tensors of a call, and choose the kernel that reads them."""
        (name,) = self.tensor_names
        grid = as_float32(name, find(tensors, name))
        labels = len(self._decision.ids)
        batch, shapes, boxes = _one_grid(name, grid.shape, len(self._anchors), 5 + labels, self._layout)
        check_order(name, boxes, labels)
        numbers = grid.reshape(batch, boxes * (5 + labels))
        arguments = (
            *(numbers, *_NO_FURTHER_GRIDS),
            *(shapes, self._anchors, True, _NO_STRETCH, UNIT, activation.SOFTMAX, False),
            *self._decision.rule,
        )
        return Candidates(batch, detect_grids, arguments, boxes)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        channels = len(self._anchors) * (5 + len(self._decision.ids))
        shape = (1, channels, 1, 1) if self._layout == "channels_first" else (1, 1, 1, channels)
        return [{self.tensor_names[0]: np.zeros(shape, np.float32)}]


class Yolov3Decoder:
    """`yolov3_output`: the grids of YOLOv3 and v4, one per scale."""

    sample = Yolov3Output(output_tensors=("fine", "coarse"), anchors=(1.0, 1.0, 1.0, 1.0))
    clips_first = False
    example_size = (32, 32)

    def __init__(self, output: Yolov3Output, decision: Decision) -> None:
        self.tensor_names = output.output_tensors
        self._decision = decision
        self._layout = output.layout
        self._masks = output.anchor_masks
        self._stretches = np.array(output.scales, np.float64)
        self._objectness_alone = output.confidence == "objectness"
        anchors = np.array(output.anchors, np.float64).reshape(-1, 2)
        # Those of each grid one after the other, where it is known which they are.
        self._anchors = anchors if self._masks is None else anchors[np.concatenate(self._masks)]
        count = len(anchors) // len(self.tensor_names)
        self._counts = (
            [count] * len(self.tensor_names) if self._masks is None else list(map(len, self._masks))
        )

    def bind(self, tensors: Mapping[str, Any], options: CallOptions, sizes: SizesOf) -> Candidates:
        """Check the tensors of a call, and choose the kernel that reads them."""
        labels = len(self._decision.ids)
        grids = [as_float32(name, find(tensors, name)) for name in self.tensor_names]
        geometries = tuple(
            _geometry(name, grid.shape, count, 5 + labels, self._layout)
            for name, grid, count in zip(self.tensor_names, grids, self._counts, strict=True)
        )
        batch = geometries[0].batch
        for name, grid, geometry in zip(self.tensor_names, grids, geometries, strict=True):
            if geometry.batch != batch:
                raise TensorError(
                    f"tensor {name!r} has shape {grid.shape}, {geometry.batch} images; expected {batch}, as "
                    f"{self.tensor_names[0]!r} has"
                )
        shapes, boxes = _table(geometries, self._first_anchors(geometries))
        check_order(self.tensor_names[0], boxes, labels)
        numbers = [
            grid.reshape(batch, geometry.cells * count * (5 + labels))
            for grid, geometry, count in zip(grids, geometries, self._counts, strict=True)
        ]
        arguments = (
            *numbers,
            *[_NO_GRID] * (MOST_GRIDS - len(numbers)),
            *(shapes, self._anchors, False, self._stretches),
            pixel_sizes(self.tensor_names[0], sizes(tensors, batch, options)),
            *(activation.SIGMOID, self._objectness_alone),
            *self._decision.rule,
        )
        return Candidates(batch, detect_grids, arguments, boxes)

    def _first_anchors(self, geometries: Sequence[_Geometry]) -> tuple[int, ...]:
        """First anchor of each grid; without masks the finest grid has the first ones."""
        if self._masks is not None:
            return tuple(np.cumsum([0, *self._counts[:-1]]).tolist())
        cells = [geometry.cells for geometry in geometries]
        if len(set(cells)) < len(cells):
            shapes = ", ".join(
                f"{name!r} {geometry.height} x {geometry.width}"
                for name, geometry in zip(self.tensor_names, geometries, strict=True)
            )
            raise TensorError(
                f"the grids {shapes} do not all differ in size, by which their anchors would be found: "
                "declare anchor_masks"
            )
        finest_first = sorted(range(len(cells)), key=lambda index: -cells[index])
        return tuple(finest_first.index(index) * self._counts[0] for index in range(len(cells)))

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        tensors = {}
        for index, (name, count) in enumerate(zip(self.tensor_names, self._counts, strict=True)):
            channels, side = count * (5 + len(self._decision.ids)), index + 1
            is_first = self._layout == "channels_first"
            shape = (1, channels, side, side) if is_first else (1, side, side, channels)
            tensors[name] = np.zeros(shape, np.float32)
        return [tensors]


class _Geometry(NamedTuple):
    batch: int
    height: int
    width: int
    anchors: int
    steps: tuple[int, int, int]  # from cell to cell, anchor to anchor, channel to channel

    @property
    def cells(self) -> int:
        return self.height * self.width


@lru_cache(maxsize=256)
def _geometry(name: str, shape: Shape, count: int, channels: int, layout: str) -> _Geometry:
    """How a grid of `count` anchors lies in a tensor of this shape."""
    given, total = shape, count * channels
    may_be_last = layout != "channels_first"
    may_be_first = layout != "channels_last"
    if len(shape) == 5 and shape[3:] == (count, channels) and may_be_last:
        shape = (*shape[:3], total)
    elif len(shape) == 4 and shape[2:] == (count, channels) and shape[1] != total != shape[3]:
        shape = (1, *shape[:2], total)
    elif len(shape) == 3:
        shape = (1, *shape)
    last = may_be_last and len(shape) == 4 and shape[3] == total
    first = may_be_first and len(shape) == 4 and shape[1] == total
    if last and first:
        raise TensorError(
            f"tensor {name!r} has shape {shape}, whose {total} channels may come first or last; "
            'declare layout: "channels_first" or "channels_last"'
        )
    if last:
        return _Geometry(shape[0], shape[1], shape[2], count, (total, channels, 1))
    if first:
        plane = shape[2] * shape[3]
        return _Geometry(shape[0], shape[2], shape[3], count, (1, channels * plane, plane))
    forms = []
    if may_be_last:
        forms += [f"(B, H, W, {total})", f"(B, H, W, {count}, {channels})"]
    if may_be_first:
        forms += [f"(B, {total}, H, W)"]
    raise wrong_shape(
        name, given, f"{' or '.join(forms)}, from {count} anchors and 5 + {channels - 5} labels"
    )


@lru_cache(maxsize=256)
def _one_grid(
    name: str, shape: Shape, count: int, channels: int, layout: str
) -> tuple[int, NDArray[np.int64], int]:
    """Batch size, description for the kernel and number of boxes of a single grid."""
    geometry = _geometry(name, shape, count, channels, layout)
    return geometry.batch, *_table((geometry,), (0,))


@lru_cache(maxsize=256)
def _table(geometries: tuple[_Geometry, ...], firsts: tuple[int, ...]) -> tuple[NDArray[np.int64], int]:
    """Describe grids as the kernel takes them; return that and how many boxes they have in all."""
    table = np.empty((len(geometries), FIRST_BOX + 1), np.int64)
    boxes = 0
    for row, (geometry, first) in enumerate(zip(geometries, firsts, strict=True)):
        table[row] = geometry.height, geometry.width, geometry.anchors, *geometry.steps, first, boxes
        boxes += geometry.cells * geometry.anchors
    return table, boxes
