"""`yolox_output` a level: objectness, probabilities, boxes and perhaps landmarks in tensors of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import (
    ACTIVATIONS,
    Candidates,
    Decoder,
    Sizes,
    check_order,
    pixel_sizes,
    remembered,
)
from postproc.decoding.decision import Decision
from postproc.decoding.keypoints import with_keypoints
from postproc.decoding.products import LONGEST_SIDE, YoloxDecoder
from postproc.errors import TensorError
from postproc.kernels.core import activation
from postproc.kernels.heads.arguments import (
    BoxesALabel,
    FirstImage,
    KeptOffsets,
    KeptRegions,
    ObjectnessAlone,
    Placement,
)
from postproc.kernels.heads.keypoints import Points
from postproc.kernels.heads.product_levels import (
    Level,
    LevelShapes,
    ProductLevels,
    gather_landmarks_of_cells,
)
from postproc.kernels.heads.products import SquareRoot
from postproc.results import Detections
from postproc.schema import YoloxOutput
from postproc.schema.limits import MOST_GRIDS
from postproc.schema.outputs import Layout
from postproc.tensors import as_float32, find, wrong_shape

Floats = NDArray[np.float32]
Shape = tuple[int, ...]
Cells = tuple[int, int]
Levels = tuple[Level, Level, Level, Level, Level]
_NONE = Level(np.empty((1, 0), np.float32))


class _Level(NamedTuple):
    """What the shapes of a level's tensors say: height and width, where one tells them, and the steps."""

    total: int
    cells: Cells | None
    steps: tuple[tuple[int, int], ...]  # from cell to cell and channel to channel, of each tensor


class _Read(NamedTuple):
    batch: int
    tensors: tuple[list[Floats], ...]  # by role, of each level
    levels: tuple[_Level, ...]


class YoloxLevelsDecoder(Decoder[_Read]):
    """`yolox_output` a level."""

    sample = YoloxDecoder.sample

    def __init__(self, output: YoloxOutput, decision: Decision) -> None:
        roles = (output.objectness_tensors, output.scores_tensors, output.boxes_tensors)
        names = [role or () for role in roles]
        self._points = output.keypoints or 0
        channels = [1, len(decision.ids), 4]
        if output.landmarks_tensors is not None:
            names.append(output.landmarks_tensors)
            channels.append(2 * self._points)
        super().__init__(decision, *(name for role in names for name in role))
        self._names = tuple(zip(*names, strict=True))  # by level
        self._channels = tuple(channels)
        self._strides = output.strides
        self._layout = output.layout
        self._activation = ACTIVATIONS[output.score_activation]
        self._objectness_alone = ObjectnessAlone(output.confidence == "objectness")
        self._square_root = SquareRoot(output.confidence == "sqrt_product")
        self._skeleton = output.skeleton
        self.example_size = (max(output.strides), max(output.strides))

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> _Read:
        found = [[as_float32(name, find(tensors, name)) for name in names] for names in self._names]
        shapes = tuple(tuple(tensor.shape for tensor in level) for level in found)
        batch, levels = _levels(self._names, shapes, self._channels, self._layout)
        boxes = sum(level.total for level in levels)
        check_order(self._names[0][0], boxes_count=boxes, labels=self._labels)
        flat = [[tensor.reshape(batch, -1) if tensor.size else tensor.reshape(batch, 0) for tensor in level]
                for level in found]  # fmt: skip
        return _Read(batch, tuple(list(role) for role in zip(*flat, strict=True)), levels)

    def bind(self, read: _Read, sizes: Sizes) -> Candidates:
        name = self._names[0][0]
        inputs = pixel_sizes(name, sizes)
        if inputs.max(initial=0.0) > LONGEST_SIDE:
            raise TensorError(f"tensor {name!r}: an input of {inputs.max():g} pixels has more cells")
        counts = tuple((level.total, level.cells) for level in read.levels)
        columns = [
            _columns(self._names, counts, self._strides, height, width)
            for width, height in inputs.astype(np.int64).tolist()
        ]
        table = np.zeros((len(columns), len(read.levels), 9), np.int64)
        boxes = 0
        for row, (level, stride) in enumerate(zip(read.levels, self._strides, strict=True)):
            table[:, row, 0], table[:, row, 2] = boxes, stride
            table[:, row, 1] = [of_image[row] for of_image in columns]
            for place, steps in enumerate(level.steps[1:]):
                table[:, row, 3 + 2 * place : 5 + 2 * place] = steps
            boxes += level.total
        shapes = LevelShapes(table)
        certainties, scores, corners = (_of_levels(role) for role in read.tensors[:3])
        # By position, as many arrays of a role as the kernel takes.
        head = ProductLevels(
            *certainties, *scores, *corners, shapes, self._activation, self._objectness_alone,
            self._square_root,
        )  # fmt: skip
        extras = None
        if self._points:
            landmarks = _of_levels(read.tensors[3])
            extras = with_keypoints(partial(_gather, landmarks, shapes, Points(self._points)), self._skeleton)
        of_labels = None
        if self._activation == activation.NONE:
            role = read.tensors[0 if self._objectness_alone else 1]
            of_labels = partial(np.concatenate, role, axis=1)
        return Candidates(read.batch, head, BoxesALabel(boxes), extras=extras, scores=of_labels)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        side = max(self._strides)
        return [
            {
                name: np.zeros((1, (side // stride) ** 2, channels), np.float32)
                for names, stride in zip(self._names, self._strides, strict=True)
                for name, channels in zip(names, self._channels, strict=True)
            }
        ]


def _of_levels(role: Sequence[Floats]) -> Levels:
    """Tensors of as many levels as the kernel takes."""
    first, second, third, fourth, fifth = (*map(Level, role), *[_NONE] * (MOST_GRIDS - len(role)))
    return first, second, third, fourth, fifth


def _gather(
    landmarks: Levels,
    shapes: LevelShapes,
    points: Points,
    found: Detections,
    placement: Placement,
    start: FirstImage,
) -> Floats:
    return gather_landmarks_of_cells(
        *landmarks, shapes, points, KeptRegions(found.regions), KeptOffsets(found.offsets), placement, start
    )


@remembered
def _levels(
    names: tuple[tuple[str, ...], ...],
    shapes: tuple[tuple[Shape, ...], ...],
    channels: tuple[int, ...],
    layout: Layout,
) -> tuple[int, tuple[_Level, ...]]:
    """Images, and how the tensors of each level lie: the one way that suits all of them."""
    choices = [choice for choice in ("channels_last", "channels_first") if layout in ("auto", choice)]
    ways = [_way(names, shapes, channels, choice, layout) for choice in choices]
    fitting = {levels for levels, problem in ways if problem is None}
    if not fitting:
        # Of the two ways, what the one that suits more tensors does not suit.
        _, problem = max(ways, key=lambda way: sum(len(level.steps) for level in way[0]))
        assert problem is not None
        raise problem
    if len(fitting) > 1:
        pairs = zip(sum(names, ()), sum(shapes, ()), strict=True)
        either, of_either = next(pair for pair in pairs if len(pair[1]) == 4)
        raise TensorError(
            f"tensor {either!r} has shape {of_either}, whose channels may come first or last, as those of "
            'all levels; declare layout: "channels_first" or "channels_last"'
        )
    batch = shapes[0][0][0]
    first = names[0][0]
    for name, shape in zip(sum(names, ()), sum(shapes, ()), strict=True):
        if shape[0] != batch:
            raise TensorError(
                f"tensor {name!r} has shape {shape}, {shape[0]} images; expected {batch}, as {first!r} has"
            )
    return batch, fitting.pop()


def _way(
    names: tuple[tuple[str, ...], ...],
    shapes: tuple[tuple[Shape, ...], ...],
    channels: tuple[int, ...],
    choice: str,
    layout: Layout,
) -> tuple[tuple[_Level, ...], TensorError | None]:
    """How levels lie if channels are where `choice` says, as far as that suits, and what it does not suit."""
    levels = []
    for of_level, shapes_of_level in zip(names, shapes, strict=True):
        count = -1
        cells: Cells | None = None
        steps: tuple[tuple[int, int], ...] = ()
        problem: TensorError | None = None
        for name, shape, numbers in zip(of_level, shapes_of_level, channels, strict=True):
            axis = 1 if choice == "channels_first" and len(shape) == 4 else -1
            if len(shape) not in (3, 4) or shape[axis] != numbers:
                forms = [f"(B, H*W, {numbers})"]
                forms += [f"(B, {numbers}, H, W)"] if layout != "channels_last" else []
                forms += [f"(B, H, W, {numbers})"] if layout != "channels_first" else []
                problem = wrong_shape(name, shape, " or ".join(forms))
                break
            sides = shape[2:] if axis == 1 else shape[1:-1]
            if count not in (-1, math.prod(sides)) or (len(sides) == 2 and cells not in (None, sides)):
                found = f"{count} cells" if cells is None else f"{cells[0]} x {cells[1]} cells"
                problem = wrong_shape(name, shape, f"{found}, as {of_level[0]!r} {shapes_of_level[0]} has")
                break
            cells = (sides[0], sides[1]) if len(sides) == 2 else cells
            count = math.prod(sides)
            steps = (*steps, (1, count) if axis == 1 else (numbers, 1))
        levels.append(_Level(count, cells, steps))
        if problem is not None:
            return tuple(levels), problem
    return tuple(levels), None


@remembered
def _columns(
    names: tuple[tuple[str, ...], ...],
    counts: tuple[tuple[int, Cells | None], ...],
    strides: tuple[int, ...],
    height: int,
    width: int,
) -> tuple[int, ...]:
    """Columns of each level in an input of some pixels: sides rounded up, or down where only that fits."""
    columns = []
    for level, (count, cells), stride in zip(names, counts, strides, strict=True):
        up, down = (-(-height // stride), -(-width // stride)), (height // stride, width // stride)
        fitting = [sides for sides in (up, down) if sides[0] * sides[1] == count and cells in (None, sides)]
        if not fitting:
            found = f"{count} cells" if cells is None else f"{cells[0]} x {cells[1]} cells"
            raise TensorError(
                f"tensor {level[0]!r} has {found} an image; with stride {stride} an input of {height} x "
                f"{width} pixels (height x width) has {up[0]} x {up[1]}: check input_size and strides"
            )
        columns.append(max(1, fitting[0][1]))
    return tuple(columns)
