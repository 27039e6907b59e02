"""`yolox_output` a level: objectness, probabilities, boxes and perhaps landmarks in tensors of their own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import ACTIVATIONS, NO_ACTIVATION, Candidates, Decoder, Sizes, check_order
from postproc.decoding.decision import Decision
from postproc.decoding.keypoints import landmarks_of_levels
from postproc.decoding.levels import Columns, Forms, Group, HeadLevels, Six, read_levels, six_levels
from postproc.decoding.products import YoloxDecoder
from postproc.kernels.heads.arguments import BoxesALabel, ObjectnessAlone
from postproc.kernels.heads.levels import AnchorsPerCell, CellOffset, InStrides
from postproc.kernels.heads.product_levels import ProductLevels
from postproc.kernels.heads.products import SquareRoot
from postproc.schema import YoloxOutput
from postproc.tensors import are_of_one_form, in_float32

Floats = NDArray[np.float32]

_FROM_CORNERS = AnchorsPerCell(1), CellOffset(0.0), InStrides(True)


class _Read(NamedTuple):
    batch: int
    arrays: list[Floats]
    forms: Forms


class YoloxLevelsDecoder(Decoder[_Read]):
    """`yolox_output` a level."""

    sample = YoloxDecoder.sample

    def __init__(self, output: YoloxOutput, decision: Decision) -> None:
        widths = {
            "objectness": 1,
            "scores": len(decision.ids),
            "boxes": 4,
            "landmarks": 2 * (output.keypoints or 0),
        }
        named = {name: getattr(output, f"{name}_tensors") for name in widths}
        groups = tuple(
            [Group(f"{name}_tensors", names, widths[name]) for name, names in named.items() if names]
        )
        super().__init__(decision, *(name for group in groups for name in group.names))
        self._columns = {name: Columns(index, 0, widths[name]) for index, name in enumerate(widths)}
        self._levels = HeadLevels(groups, output.strides, 1, output.layout)
        self._output = output
        self._activation = ACTIVATIONS[output.score_activation]
        self._objectness_alone = ObjectnessAlone(output.confidence == "objectness")
        self._square_root = SquareRoot(output.confidence == "sqrt_product")
        self.example_size = (max(output.strides), max(output.strides))

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> _Read:
        arrays = read_levels(tensors, self.tensor_names)
        forms = self._levels.forms([array.shape for array in arrays])
        return _Read(forms[0][0].batch, arrays, forms)

    def bind(self, read: _Read, sizes: Sizes) -> Candidates:
        batch, _, forms = read
        of_images = self._levels.grids_of_images(forms, sizes)
        boxes = sum(form.boxes for form in forms[0])
        check_order(self.tensor_names[0], boxes_count=boxes, labels=self._labels)
        score_levels, box_levels = (
            self._levels.table(forms, self._columns[name], of_images) for name in ("scores", "boxes")
        )
        # Both in one form.
        scores = self._six(read, "scores")
        certainties = self._six(read, "objectness", beside=scores)
        if not are_of_one_form(scores[0], certainties[0]):
            scores = self._six(read, "scores", beside=certainties)
        # By position, as many arrays of a role as the kernel takes.
        head = ProductLevels(
            *certainties, *scores, *self._six(read, "boxes", beside=scores),
            score_levels, box_levels, self._activation, self._objectness_alone, self._square_root,
        )  # fmt: skip
        extras = None
        if self._output.keypoints is not None:
            points = self._columns["landmarks"]
            extras = landmarks_of_levels(
                self._six(read, "landmarks"), self._levels.table(forms, points, of_images), _FROM_CORNERS,
                points.width // 2, self._output.skeleton,
            )  # fmt: skip
        of_labels = None
        if self._activation == NO_ACTIVATION:
            role = "objectness" if self._objectness_alone else "scores"
            of_labels = partial(_concatenated, self._flat(read, role))
        return Candidates(batch, head, BoxesALabel(boxes), extras=extras, scores=of_labels)

    def _six(self, read: _Read, role: str, *, beside: Six | None = None) -> Six:
        return six_levels(self._flat(read, role), beside)

    def _flat(self, read: _Read, role: str) -> list[NDArray[Any]]:
        levels = len(self._output.strides)
        first = self._columns[role].group * levels
        return [array.reshape(read.batch, array[:1].size) for array in read.arrays[first : first + levels]]

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        side = max(self._output.strides)
        return [
            {
                name: np.zeros((1, (side // stride) ** 2, group.channels), np.float32)
                for group in self._levels.groups
                for name, stride in zip(group.names, self._output.strides, strict=True)
            }
        ]


def _concatenated(levels: list[NDArray[Any]]) -> Floats:
    return np.concatenate([in_float32(array) for array in levels], axis=1)
