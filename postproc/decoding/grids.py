"""`yolo_output` and `yolov3_output`: grids of cells with anchors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import (
    SIGMOID,
    SOFTMAX,
    UNIT,
    Candidates,
    Decoder,
    SizelessDecoder,
    Sizes,
    check_order,
    pixel_sizes,
    remembered,
)
from postproc.decoding.decision import Decision
from postproc.errors import TensorError
from postproc.kernels.heads.arguments import BoxesALabel, ObjectnessAlone
from postproc.kernels.heads.yolo_grids import (
    FIRST_BOX,
    AnchorsInCells,
    Grid,
    GridAnchors,
    Grids,
    GridShapes,
    InputSizes,
    SquaredSizes,
    Stretches,
)
from postproc.schema import YoloOutput, Yolov3Output
from postproc.schema.limits import MOST_GRIDS
from postproc.schema.yolo_outputs import GridLayout
from postproc.tensors import as_scanned, find, kernel_forms, wrong_shape

_NO_STRETCH = Stretches(np.ones(1, np.float64))
_EXPONENTIAL = SquaredSizes(False)
_STRETCH_OF_V5 = 2.0
_UNIT = InputSizes(UNIT)
_IN_CELLS, _IN_PIXELS = AnchorsInCells(True), AnchorsInCells(False)
_WITH_LABELS = ObjectnessAlone(False)

Shape = tuple[int, ...]
_Five = tuple[Grid, Grid, Grid, Grid, Grid]


class YoloDecoder(SizelessDecoder):
    """`yolo_output`: the grid of YOLOv2."""

    sample = YoloOutput(output_tensor="grid", anchors=(1.0, 1.0))

    def __init__(self, output: YoloOutput, decision: Decision) -> None:
        super().__init__(decision, output.output_tensor)
        self._layout = output.layout
        self._anchors = GridAnchors(np.array(output.anchors, np.float64).reshape(-1, 2))

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> Candidates:
        (name,) = self.tensor_names
        grid = as_scanned(name, find(tensors, name))
        labels = self._labels
        batch, shapes, boxes = _one_grid(name, grid.shape, len(self._anchors), 5 + labels, self._layout)
        check_order(name, boxes_count=boxes, labels=labels)
        # By position: keywords cost 0.3 us.
        head = Grids(
            *_five_grids([grid.reshape(batch, boxes * (5 + labels))]),
            shapes, self._anchors, _IN_CELLS, _NO_STRETCH, _EXPONENTIAL, _UNIT, SOFTMAX, _WITH_LABELS,
        )  # fmt: skip
        return Candidates(batch, head, boxes)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        channels = len(self._anchors) * (5 + self._labels)
        shape = (1, channels, 1, 1) if self._layout == "channels_first" else (1, 1, 1, channels)
        return [{self.tensor_names[0]: np.zeros(shape, np.float32)}]


class _Read(NamedTuple):
    batch: int
    grids: _Five
    shapes: GridShapes
    boxes: BoxesALabel


class Yolov3Decoder(Decoder[_Read]):
    """`yolov3_output`: the grids of YOLOv3 and v4, and of v5 and v7 without decoding, one per scale."""

    sample = Yolov3Output(output_tensors=("fine", "coarse"), anchors=(1.0, 1.0, 1.0, 1.0))
    example_size = (32, 32)

    def __init__(self, output: Yolov3Output, decision: Decision) -> None:
        super().__init__(decision, *output.output_tensors)
        self._layout = output.layout
        self._masks = output.anchor_masks
        is_v5 = output.box_coding == "yolov5"
        scales = [_STRETCH_OF_V5] * len(output.output_tensors) if is_v5 else output.scales
        self._stretches = Stretches(np.array(scales, np.float64))
        self._squared_sizes = SquaredSizes(is_v5)
        self._objectness_alone = ObjectnessAlone(output.confidence == "objectness")
        anchors = np.array(output.anchors, np.float64).reshape(-1, 2)
        # Those of each grid one after the other, where it is known which they are.
        self._anchors = GridAnchors(anchors if self._masks is None else anchors[np.concatenate(self._masks)])
        count = len(anchors) // len(self.tensor_names)
        self._counts = (
            [count] * len(self.tensor_names) if self._masks is None else list(map(len, self._masks))
        )

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> _Read:
        labels = self._labels
        grids = [as_scanned(name, find(tensors, name)) for name in self.tensor_names]
        geometries = tuple(
            _geometry(
                name,
                grid.shape,
                count=count,
                channels=5 + labels,
                layout=self._layout,
                may_be_anchors_first=True,
            )
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
        check_order(self.tensor_names[0], boxes_count=boxes, labels=labels)
        numbers = [
            grid.reshape(batch, geometry.cells * count * (5 + labels))
            for grid, geometry, count in zip(grids, geometries, self._counts, strict=True)
        ]
        return _Read(batch, _five_grids(numbers), shapes, boxes)

    def bind(self, read: _Read, sizes: Sizes) -> Candidates:
        head = Grids(
            *read.grids,
            shapes=read.shapes,
            anchors=self._anchors,
            anchors_in_cells=_IN_PIXELS,
            stretches=self._stretches,
            squared_sizes=self._squared_sizes,
            sizes=InputSizes(pixel_sizes(self.tensor_names[0], sizes)),
            activation=SIGMOID,
            objectness_alone=self._objectness_alone,
        )
        return Candidates(read.batch, head, read.boxes)

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
        tensors = {}
        for index, (name, count) in enumerate(zip(self.tensor_names, self._counts, strict=True)):
            channels, side = count * (5 + self._labels), index + 1
            shape: Shape = 1, side, side, channels
            if self._layout == "channels_first":
                shape = 1, channels, side, side
            elif self._layout == "anchors_first":
                shape = 1, count, side, side, 5 + self._labels
            tensors[name] = np.zeros(shape, np.float32)
        return [tensors]


def _five_grids(flat: list[NDArray[Any]]) -> _Five:
    """Return grids as kernels take them, and empty ones for those that there are none of."""
    return cast("_Five", tuple(kernel_forms(flat, MOST_GRIDS)))  # five calls of `Grid` take 0.4 us


class _Geometry(NamedTuple):
    batch: int
    height: int
    width: int
    anchors: int
    steps: tuple[int, int, int]  # from cell to cell, anchor to anchor, channel to channel

    @property
    def cells(self) -> int:
        return self.height * self.width


@remembered
def _geometry(
    name: str,
    shape: Shape,
    *,
    count: int,
    channels: int,
    layout: GridLayout,
    may_be_anchors_first: bool = False,
) -> _Geometry:
    """How a grid of `count` anchors lies in a tensor of this shape."""
    given, total = shape, count * channels
    fitting = {
        "channels_last": len(shape) == 5 and shape[3:] == (count, channels),
        "anchors_first": may_be_anchors_first
        and len(shape) == 5
        and (shape[1], shape[4]) == (count, channels),
    }
    if len(shape) == 4 and shape[1] != total != shape[3]:
        # One image without its batch axis.
        fitting = {
            "channels_last": shape[2:] == (count, channels),
            "anchors_first": may_be_anchors_first and (shape[0], shape[3]) == (count, channels),
        }
        if any(fitting.values()):
            shape = (1, *shape)
    elif len(shape) == 3:
        shape = (1, *shape)
    if len(shape) == 4:
        fitting = {"channels_last": shape[3] == total, "channels_first": shape[1] == total}
    found = [form for form, fits in fitting.items() if fits and layout in ("auto", form)]
    if shape[1:4] == (1, 1, 1):  # of one cell and anchor: all the same
        found = found[:1]
    if len(found) > 1:
        what = f"{total} channels" if len(shape) == 4 else f"{count} anchors"
        choices = " or ".join(f'"{choice}"' for choice in sorted(found))
        raise TensorError(
            f"tensor {name!r} has shape {given}, whose {what} may come first or last; declare layout: "
            f"{choices}"
        )
    if not found:
        forms = {
            f"(B, H, W, {total})": "channels_last",
            f"(B, H, W, {count}, {channels})": "channels_last",
            f"(B, {total}, H, W)": "channels_first",
            f"(B, {count}, H, W, {channels})": "anchors_first" if may_be_anchors_first else "",
        }
        expected = " or ".join(form for form, of in forms.items() if of and layout in ("auto", of))
        raise wrong_shape(name, given, f"{expected}, from {count} anchors and 5 + {channels - 5} labels")
    if found == ["channels_first"]:
        batch, _, height, width = shape
        steps = 1, channels * height * width, height * width
    elif found == ["anchors_first"]:
        batch, _, height, width, _ = shape
        steps = channels, height * width * channels, 1
    else:
        batch, height, width = shape[:3]
        steps = total, channels, 1
    return _Geometry(batch=batch, height=height, width=width, anchors=count, steps=steps)


@remembered
def _one_grid(
    name: str, shape: Shape, count: int, channels: int, layout: GridLayout
) -> tuple[int, GridShapes, BoxesALabel]:
    """Batch size, description for the kernel and number of boxes of a single grid."""
    geometry = _geometry(name, shape, count=count, channels=channels, layout=layout)
    return geometry.batch, *_table((geometry,), (0,))


@remembered
def _table(geometries: tuple[_Geometry, ...], firsts: tuple[int, ...]) -> tuple[GridShapes, BoxesALabel]:
    """Describe grids as the kernel takes them; return that and how many boxes they have in all."""
    table = np.empty((len(geometries), FIRST_BOX + 1), np.int64)
    boxes = 0
    for row, (geometry, first) in enumerate(zip(geometries, firsts, strict=True)):
        table[row] = geometry.height, geometry.width, geometry.anchors, *geometry.steps, first, boxes
        boxes += geometry.cells * geometry.anchors
    return GridShapes(table), BoxesALabel(boxes)
