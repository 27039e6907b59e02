"""Boxes as offsets from anchors or priors."""

from __future__ import annotations

import math

import numpy as np

from postproc.fusing.graph import Value
from postproc.fusing.heads.decoded import Decoded
from postproc.fusing.heads.fusion import Fusion, around, to_corners
from postproc.fusing.heads.points import decoded_points
from postproc.fusing.heads.tables import scores_of

_LARGEST_LOG_SCALE = math.log(1000.0 / 16.0)


def anchored(fusion: Fusion) -> Decoded:
    """`anchored_output`: anchors, offsets and scores."""
    output, tensors = fusion.output, fusion.tensors
    width = tensors.inner(output.offsets_tensor, 3)[1]
    offsets = tensors.numbers(output.offsets_tensor, 3)
    anchors = _Anchors(fusion, output.anchors_tensor)
    return Decoded(scores_of(fusion), fusion.labels, fusion.boxes, _Corners(fusion, anchors, offsets, width))


def ssd(fusion: Fusion) -> Decoded:
    """`ssd_output`: priors, offsets and scores, and perhaps keypoints."""
    output, tensors, g = fusion.output, fusion.tensors, fusion.g
    name, points = output.offsets_tensor, output.keypoints
    width = tensors.inner(name, 3)[-1]
    offsets = g.op("Reshape", tensors.numbers(name), [-1, fusion.boxes, width])
    anchors = _Anchors(fusion, output.priors_tensor)
    boxes = g.slice(offsets, 2, 0, 4)
    decoded = Decoded(scores_of(fusion), fusion.labels, fusion.boxes, _Corners(fusion, anchors, boxes, 4))
    if points is None:
        return decoded
    landmarks = g.slice(offsets, 2, 4, 4 + 2 * points)
    if output.landmarks_tensor is not None:
        landmarks = tensors.numbers(output.landmarks_tensor, 3)

    def decode(numbers: Value) -> tuple[Value, Value]:
        x1, y1, x2, y2 = anchors.corners(numbers)
        pairs = g.op("Reshape", g.take(landmarks, numbers), [0, 0, points, 2])
        by_axis = g.columns(pairs, 2)
        found = []
        for axis, (low, high) in enumerate(((x1, x2), (y1, y2))):
            moved = g.op(
                "Mul", g.to_real(by_axis[axis ^ bool(fusion.head.y_first)]), g.reals(fusion.head.scale[axis])
            )
            centre = g.op("Mul", g.reals(0.5), g.op("Add", low, high))
            step = g.op("Mul", moved, g.unsqueeze(g.op("Sub", high, low), 2))
            found.append(g.to_float32(g.op("Add", g.unsqueeze(centre, 2), step)))
        return found[0], found[1]

    decoded.extras["keypoints"] = decoded_points(fusion, points, decode)
    return decoded


class _Anchors:
    """Anchors of a tensor, an image's own or shared by all, or of the document."""

    def __init__(self, fusion: Fusion, name: str | None) -> None:
        self._fusion = fusion
        g, boxes = fusion.g, fusion.boxes
        self._rows: Value | None = None
        self._shared: Value | np.ndarray
        if name is None:
            self._shared = np.asarray(fusion.head.anchors, np.float32)[0]
            return
        value, shape = fusion.tensors.numbers(name), fusion.tensors.shapes[name]
        if shape == (1, 2, 4 * boxes):  # Caffe's, with its variances
            self._shared = g.op("Reshape", g.slice(value, 1, 0, 1), [boxes, 4])
            return
        width = int(shape[-1])
        value = g.slice(value, len(shape) - 1, width - 4, width)
        if len(shape) == 2 or shape[0] == 1:
            self._shared = g.op("Reshape", value, [boxes, 4])
        else:
            self._rows = value

    def corners(self, boxes: Value) -> list[Value]:
        """Corners (B, K) of the anchors of boxes."""
        g = self._fusion.g
        taken = g.take_shared(self._shared, boxes) if self._rows is None else g.take(self._rows, boxes)
        numbers = [g.to_real(one) for one in g.columns(taken, 4)]
        return to_corners(g, numbers, self._fusion.head.anchors_format, g.reals(0.5))


class _Corners:
    """Corners of boxes: see `postproc.kernels.heads.anchored`."""

    def __init__(self, fusion: Fusion, anchors: _Anchors, offsets: Value, width: int) -> None:
        self._fusion, self._anchors = fusion, anchors
        self._a_row = 1 if int(fusion.head.first_offsets) < 0 else width // 4
        self._first = max(int(fusion.head.first_offsets), 0)
        self._offsets = offsets
        if self._a_row > 1:
            self._offsets = fusion.g.op("Reshape", offsets, [0, fusion.boxes * self._a_row, 4])

    def __call__(self, boxes: Value, labels: Value) -> list[Value]:
        g, head = self._fusion.g, self._fusion.head
        at = boxes
        if self._a_row > 1:
            at = g.op("Add", g.op("Mul", boxes, np.int64(self._a_row)), labels)
            at = g.op("Add", at, np.int64(self._first))
        numbers = g.columns(g.take(self._offsets, at), 4)
        if head.y_first:
            numbers = [numbers[1], numbers[0], numbers[3], numbers[2]]
        numbers = [
            g.op("Mul", g.to_real(one), g.reals(by)) for one, by in zip(numbers, head.scale, strict=True)
        ]
        x1, y1, x2, y2 = self._anchors.corners(boxes)
        half = g.reals(0.5)
        centres, sides = [], []
        for axis, (low, high) in enumerate(((x1, x2), (y1, y2))):
            length = g.op("Sub", high, low)
            middle = g.op("Mul", half, g.op("Add", low, high))
            centres.append(g.op("Add", middle, g.op("Mul", numbers[axis], length)))
            growth = numbers[2 + axis]
            if not head.linear_sizes:
                limit = g.reals(_LARGEST_LOG_SCALE)
                growth = g.op("Exp", g.op("Where", g.op("Greater", growth, limit), limit, growth))
            sides.append(g.op("Mul", length, growth))
        return [g.to_float32(one) for one in around(g, centres, sides, half)]
