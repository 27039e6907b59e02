"""What the functions of heads are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from postproc.fusing.graph import Graph, Operand, Value
from postproc.fusing.heads.decoded import Corners
from postproc.fusing.sizes import Divisors
from postproc.fusing.tensors import Tensors
from postproc.kernels.core import activation as act
from postproc.kernels.core.boxes import CXCYWH, XYWH, YXYX

if TYPE_CHECKING:
    from postproc.pipeline.stages import BoundDetection

_HALF = np.float32(0.5)


@dataclass(frozen=True)
class Fusion:
    """One output of a version, and where its operators go.

    Parameters
    ----------
    g : Graph
    tensors : Tensors
    output : DetectionOutput
        Its document.
    bound : BoundDetection
        What the kernels would be given for tensors of these shapes: which axis is which, and all constants.
    size : Divisors, optional
        Of the network's input, that boxes are in pixels of.
    thresholds : Operand
        Of the labels, (L,) float32.
    """

    g: Graph
    tensors: Tensors
    output: Any
    bound: BoundDetection
    size: Divisors | None
    thresholds: Operand

    @property
    def decoder(self) -> Any:
        """What reads the tensors of the output."""
        return self.bound.stage._decoder

    @property
    def head(self) -> Any:
        """What the kernel of the output takes."""
        return self.bound.candidates.head

    @property
    def labels(self) -> int:
        """Number of labels."""
        return len(self.bound.stage.decision.ids)

    @property
    def boxes(self) -> int:
        """Number of boxes of a label."""
        return int(self.bound.candidates.per_label)

    def planes(self, value: Value, planar: bool) -> Value:
        """Give a tensor (B, N, C), or (B, C, N) if `planar`, as (B, C, N)."""
        return value if planar else self.g.op("Transpose", value, perm=[0, 2, 1])

    def rows(self, value: Value, planar: bool) -> Value:
        """Give a tensor (B, N, C), or (B, C, N) if `planar`, as (B, N, C)."""
        return self.g.op("Transpose", value, perm=[0, 2, 1]) if planar else value

    def channels(self, value: Value, planar: bool, start: int, stop: int) -> Value:
        """Take channels of a tensor (B, N, C), or (B, C, N) if `planar`."""
        return self.g.slice(value, 1 if planar else 2, start, stop)

    def scores(self, value: Value, planar: bool, first: int, activation: int) -> Value:
        """Give scores (B, L, N) of a tensor that has those of the labels from channel `first` on."""
        planes = self.planes(value, planar)
        if activation != act.SOFTMAX:  # in which the background takes part
            planes = self.g.slice(planes, 1, first, first + self.labels)
            return activated(self.g, planes, activation)
        return self.g.slice(activated(self.g, planes, activation), 1, first, first + self.labels)

    def corners(
        self, rows: Value, box_format: int, row_of: Callable[[Value, Value], Value] | None = None
    ) -> Corners:
        """Give corners of boxes (B, N, 4) of a format; box b of label l is in row ``row_of(b, l)``."""

        def of(boxes: Value, labels: Value) -> list[Value]:
            at = boxes if row_of is None else row_of(boxes, labels)
            return to_corners(self.g, self.g.columns(self.g.take(rows, at), 4), box_format)

        return of


def activated(g: Graph, planes: Value, activation: int) -> Value:
    """Apply an activation to planes (B, S, N) float32; a softmax goes along S."""
    if activation == act.SIGMOID:
        return g.to_float32(g.sigmoid(g.to_real(planes)))
    if activation == act.SOFTMAX:
        return g.op("Softmax", planes, axis=1)
    return planes


def to_corners(g: Graph, numbers: Sequence[Value], box_format: int, half: Any = _HALF) -> list[Value]:
    """Corners xyxy of boxes in a format; `half` is of the type of the numbers.

    In float32 each is a sum of exact numbers, rounded once: what `postproc.kernels.core.boxes` gives, too.
    """
    a, b, c, d = numbers
    if box_format == XYWH:
        return [a, b, g.op("Add", a, c), g.op("Add", b, d)]
    if box_format == YXYX:
        return [b, a, d, c]
    if box_format == CXCYWH:
        return around(g, (a, b), (c, d), half)
    return [a, b, c, d]


def around(g: Graph, centres: Sequence[Value], sides: Sequence[Value], half: Any) -> list[Value]:
    """Corners of boxes by their centres and sizes, x first."""
    (x, y), (across, down) = centres, [g.op("Mul", side, half) for side in sides]
    return [g.op("Sub", x, across), g.op("Sub", y, down), g.op("Add", x, across), g.op("Add", y, down)]
