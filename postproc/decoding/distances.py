"""`distance_output`: distances from the cells of grids to the sides of boxes."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import (
    ACTIVATIONS,
    NO_ACTIVATION,
    SIGMOID,
    SOFTMAX,
    Candidates,
    Decoder,
    Sizes,
    check_order,
)
from postproc.decoding.decision import Decision
from postproc.decoding.keypoints import landmarks_of_levels
from postproc.decoding.levels import (
    Array,
    Columns,
    Forms,
    Group,
    HeadLevels,
    Shape,
    Six,
    read_levels,
    six_levels,
)
from postproc.kernels.heads.arguments import BoxesALabel
from postproc.kernels.heads.distances import (
    EXP,
    PLAIN,
    RELU,
    SUM_MARGIN,
    Bins,
    DistanceActivation,
    Distances,
    Factors,
    FirstBin,
    IsRoot,
    ScoreSums,
)
from postproc.kernels.heads.levels import AnchorsPerCell, CellOffset, InStrides, LevelTable, Parts
from postproc.schema import DistanceOutput
from postproc.tensors import in_float32

logger = logging.getLogger(__name__)

_FIELDS = ("scores", "distances", "centerness", "landmarks", "score_sum")
_ACTIVATIONS = {"none": PLAIN, "relu": RELU, "exp": EXP}
_MOST_REMEMBERED = 64


class _Plan(NamedTuple):
    """Where numbers are, for inputs of certain sizes."""

    parts: Parts
    levels: LevelTable
    points: LevelTable | None
    boxes: BoxesALabel


@dataclass(eq=False, slots=True)
class _Known:
    """What is known of tensors of certain shapes."""

    forms: Forms
    batch: int
    nothing: Array  # numbers of boxes that there are none of
    flat: tuple[tuple[int, int], ...]
    in_rows: bool  # whether scores must be brought into rows of their own, along which a softmax goes
    plans: dict[Any, _Plan] = field(default_factory=dict)


class _Read(NamedTuple):
    batch: int
    arrays: list[Array]
    known: _Known


class DistanceDecoder(Decoder[_Read]):
    """`distance_output`: a score per label and four distances of each cell, or of each of its anchors."""

    sample = DistanceOutput(scores_tensors=("scores",), distances_tensors=("distances",), strides=(8,))

    def __init__(self, output: DistanceOutput, decision: Decision) -> None:
        groups, self._columns = _described(output, len(decision.ids))
        super().__init__(decision, *(name for group in groups for name in group.names))
        ends = np.cumsum([0, *(len(group.names) for group in groups)]).tolist()
        pairs = list(pairwise(ends))
        self._own = {name: slice(*pairs[columns.group]) for name, columns in self._columns.items()}
        self._levels = HeadLevels(groups, output.strides, output.anchors_per_cell, output.layout)
        self._output = output
        self._first_label = int(output.background == "first")
        self._activation = ACTIVATIONS[output.score_activation]
        self._is_root = IsRoot(output.confidence == "sqrt_product")
        # By position, as the head has them.
        self._geometry = (
            AnchorsPerCell(output.anchors_per_cell),
            CellOffset(float(output.cell_offset)),
            InStrides(output.distance_unit == "strides"),
        )
        self._distances = (
            Bins(output.bins),
            FirstBin(float(output.first_bin)),
            DistanceActivation(_ACTIVATIONS[output.distance_activation]),
        )
        self._known: dict[tuple[Shape, ...], _Known] = {}
        self._sums_hold: dict[None, bool] = {}  # whether they are sums, once that has been looked at
        self._side = self._example_side()
        self.example_size = (self._side, self._side)

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> _Read:
        arrays = read_levels(tensors, self.tensor_names)
        shapes = tuple([array.shape for array in arrays])
        known = self._known.get(shapes)
        if known is None:
            known = self._look_at(shapes)
            _remember(self._known, shapes, known)
        return _Read(known.batch, arrays, known)

    def _look_at(self, shapes: tuple[Shape, ...]) -> _Known:
        forms = self._levels.forms(shapes)
        batch = forms[0][0].batch
        columns = self._columns["scores"]
        is_packed = self._levels.groups[columns.group].channels > columns.width
        is_planar = any(form.is_planar for form in forms[columns.group])
        return _Known(
            forms,
            batch,
            np.empty((batch, 0), np.float32),
            tuple((batch, math.prod(shape[1:])) for shape in shapes),
            self._activation == SOFTMAX and (is_packed or is_planar),
        )

    def bind(self, read: _Read, sizes: Sizes) -> Candidates:
        batch, _, known = read
        key = sizes.tobytes() if isinstance(sizes, np.ndarray) else sizes
        plan = known.plans.get(key)
        if plan is None:
            plan = self._plan(known, sizes)
            _remember(known.plans, key, plan)
        if known.in_rows:
            columns = self._columns["scores"]
            forms = known.forms[columns.group]
            of_boxes = [
                np.ascontiguousarray(in_float32(self._levels.by_box(array, form, columns))).reshape(batch, -1)
                for array, form in zip(read.arrays[self._own["scores"]], forms, strict=True)
            ]
            scores = six_levels(of_boxes)
        else:
            scores = self._six(read, "scores", is_float32=self._activation == SOFTMAX)
        factors = sums = known.nothing
        if "centerness" in self._columns:
            factors = np.ascontiguousarray(self._of_boxes(read, "centerness")[..., 0])
        if "score_sum" in self._columns:
            sums = self._sums(read)
        head = Distances(
            *scores, plan.parts, self._activation, Factors(factors), self._is_root, ScoreSums(sums),
            *self._six(read, "distances", beside=scores), plan.levels, *self._geometry, *self._distances,
        )  # fmt: skip
        extras = of_labels = None
        if plan.points is not None:
            extras = landmarks_of_levels(
                self._six(read, "landmarks"), plan.points, self._geometry,
                self._columns["landmarks"].width // 2, self._output.skeleton,
            )  # fmt: skip
        if self._activation == NO_ACTIVATION:
            of_labels = partial(self._of_labels, read)
        return Candidates(batch, head, plan.boxes, extras=extras, scores=of_labels)

    def _six(self, read: _Read, columns: str, *, is_float32: bool = False, beside: Six | None = None) -> Six:
        """Tensors of each level, flat: see `six_levels`."""
        own = self._own[columns]
        arrays = read.arrays[own]
        if is_float32:
            arrays = [in_float32(array) for array in arrays]
        flat = zip(arrays, read.known.flat[own], strict=True)
        return six_levels([array.reshape(shape) for array, shape in flat], beside)

    def _of_boxes(self, read: _Read, name: str) -> Array:
        """Columns (B, N, C) of all boxes of all levels, in float32."""
        columns = self._columns[name]
        arrays, forms = read.arrays[self._own[name]], read.known.forms[columns.group]
        found = [
            in_float32(self._levels.by_box(array, form, columns))
            for array, form in zip(arrays, forms, strict=True)
        ]
        return found[0] if len(found) == 1 else np.concatenate(found, axis=1)

    def _of_labels(self, read: _Read) -> Array:
        scores = self._of_boxes(read, "scores")
        return scores[:, :, self._first_label : self._first_label + self._labels]

    def _sums(self, read: _Read) -> Array:
        """Return sums of scores (B, N); (B, 0) while it is not known whether they hold, or if they do not."""
        if self._sums_hold.get(None) is False:
            return read.known.nothing
        sums = self._of_boxes(read, "score_sum")[..., 0]
        if None not in self._sums_hold:
            with np.errstate(all="ignore"):
                scores = self._of_labels(read)
                highest = np.where(np.isfinite(scores), scores, -np.inf).max(axis=2, initial=-np.inf)
                if self._activation == SIGMOID:
                    highest = 1.0 / (1.0 + np.exp(-highest))
                hold = not (highest > sums + SUM_MARGIN).any()
                # Where nothing is present, any numbers would do: a later call tells.
                if hold and not (highest > self._decision.thresholds.min()).any():
                    return read.known.nothing
                self._sums_hold[None] = hold
            if not hold:
                logger.warning(
                    "tensors %s hold less than the scores that they are to be the sums of, and are not used: "
                    "check score_sum_tensors and score_activation",
                    self._output.score_sum_tensors,
                )
                return read.known.nothing
        return np.ascontiguousarray(sums)

    def _plan(self, known: _Known, sizes: Sizes) -> _Plan:
        of_images = self._levels.grids_of_images(known.forms, sizes)
        boxes = sum(form.boxes for form in known.forms[0])
        check_order(self.tensor_names[0], boxes_count=boxes, labels=self._labels)
        columns = self._columns
        parts = self._levels.parts(
            known.forms, columns["scores"], self._first_label, self._labels, in_rows=known.in_rows
        )
        points = None
        if "landmarks" in columns:
            points = self._levels.table(known.forms, columns["landmarks"], of_images)
        levels = self._levels.table(known.forms, columns["distances"], of_images)
        return _Plan(parts, levels, points, BoxesALabel(boxes))

    def _example_side(self) -> int:
        """Return a side of few cells, which are not as many as channels, so that the layout is clear."""
        least = min(self._output.strides)
        factors = range(1, 2 + sum(len(group.names) for group in self._levels.groups))
        return next(
            (
                factor * least
                for factor in factors
                if all(
                    shape[1] != shape[2]
                    for group in self._levels.groups
                    for shape in self._example_shapes(group, factor * least)
                )
            ),
            least,
        )

    def _example_shapes(self, group: Group, side: int) -> list[Shape]:
        anchors = self._output.anchors_per_cell
        counts = [anchors * (-(-side // stride)) ** 2 for stride in self._output.strides]
        is_first = self._output.layout == "channels_first"
        return [
            (1, group.channels, count) if is_first else (1, count, group.channels)
            for count in (counts if len(group.names) == len(counts) else [sum(counts)])
        ]

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        return [
            {
                name: np.zeros(shape, np.float32)
                for group in self._levels.groups
                for name, shape in zip(group.names, self._example_shapes(group, self._side), strict=True)
            }
        ]

    def for_examples(self) -> DistanceDecoder:
        decoder = self.replaced(self._decision)
        decoder._sums_hold = {}  # which is of what a network returns
        return decoder


def _described(output: DistanceOutput, labels: int) -> tuple[tuple[Group, ...], dict[str, Columns]]:
    """Return the tensors that a document names, and where in them numbers of each kind are."""
    widths = {
        "scores": labels + (output.background != "none"),
        "distances": 4 * output.bins,
        "centerness": 1,
        "landmarks": 2 * (output.keypoints or 0),
        "score_sum": 1,
    }
    groups: list[Group] = []
    columns: dict[str, Columns] = {}
    if output.output_tensors is not None:
        first = 0
        for column in output.columns:
            columns[column] = Columns(0, first, widths[column])
            first += widths[column]
        groups.append(Group("output_tensors", output.output_tensors, first))
    for name in _FIELDS:
        names = getattr(output, f"{name}_tensors")
        if names is not None:
            columns[name] = Columns(len(groups), 0, widths[name])
            groups.append(Group(f"{name}_tensors", names, widths[name]))
    return tuple(groups), columns


def _remember(remembered: dict[Any, Any], key: Any, value: Any) -> None:
    if len(remembered) >= _MOST_REMEMBERED:
        remembered.clear()
    remembered[key] = value
