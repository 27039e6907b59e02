"""Boxes and scores as they are: tables as of YOLOv8, and tensors of their own."""

from __future__ import annotations

import numpy as np

from postproc.decoding.base import is_planar
from postproc.fusing.graph import Value
from postproc.fusing.heads.decoded import Decoded, Extra, Place
from postproc.fusing.heads.fusion import Fusion
from postproc.fusing.heads.points import keypoints_of_rows


def yolov8(fusion: Fusion) -> Decoded:
    """`yolov8_output`: four numbers of a box, then its scores; what follows them is left."""
    head = fusion.head
    table = fusion.tensors.numbers(fusion.output.output_tensor, 3)
    boxes = fusion.rows(fusion.channels(table, head.planar, 0, 4), head.planar)
    return Decoded(
        fusion.scores(table, head.planar, head.first, head.activation),
        fusion.labels,
        fusion.boxes,
        fusion.corners(boxes, head.box_format),
    )


def yolov8_pose(fusion: Fusion) -> Decoded:
    """`yolov8_pose_output`: keypoints behind the scores."""
    output, decoded = fusion.output, yolov8(fusion)
    width = output.keypoints * output.dimensions
    rows = rows_behind(fusion, output.output_tensor, 4 + fusion.labels, width)
    decoded.extras["keypoints"] = keypoints_of_rows(fusion, rows, output.keypoints, output.dimensions)
    return decoded


def yolov8_seg(fusion: Fusion) -> Decoded:
    """`yolov8_seg_output`: coefficients of masks behind the scores."""
    output, decoded = fusion.output, yolov8(fusion)
    shape = fusion.tensors.shapes[output.prototypes_tensor]
    count = int(shape[-3])
    rows = rows_behind(fusion, output.output_tensor, 4 + fusion.labels, count)
    decoded.extras["coefficients"] = numbers_of_rows(fusion, rows, count)
    return decoded


def rows_behind(fusion: Fusion, name: str, first: int, width: int) -> Value:
    """Columns of a table from one on, (B, N, width)."""
    planar = fusion.head.planar
    table = fusion.tensors.numbers(name, 3)
    return fusion.rows(fusion.channels(table, planar, first, first + width), planar)


def numbers_of_rows(fusion: Fusion, rows: Value, width: int) -> Extra:
    """Numbers that stand in rows (B, N, width)."""

    def of(boxes: Value, place: Place) -> Value:
        return fusion.g.take(rows, boxes)

    return Extra((width,), of)


def standard(fusion: Fusion) -> Decoded:
    """`standard_output`: boxes, shared or a label, and scores."""
    head, output = fusion.head, fusion.output
    g, a_region, first = fusion.g, int(head.rows_a_region), int(head.first_row)
    boxes = g.op(
        "Reshape", fusion.tensors.numbers(output.boxes_tensor), [-1, fusion.boxes * max(a_region, 1), 4]
    )

    def row_of(box: Value, label: Value) -> Value:
        at = g.op("Add", g.op("Mul", box, np.int64(a_region)), label)
        return g.op("Add", at, np.int64(first))

    return Decoded(
        scores_of(fusion),
        fusion.labels,
        fusion.boxes,
        fusion.corners(boxes, head.box_format, row_of if a_region else None),
    )


def scores_of(fusion: Fusion) -> Value:
    """Scores (B, L, N) of a `scores_tensor`."""
    head, output = fusion.head, fusion.output
    name, columns = output.scores_tensor, fusion.labels + (output.background != "none")
    # The kernels' are brought into rows for a softmax.
    planar = is_planar(
        name, fusion.tensors.inner(name, 3), boxes_count=fusion.boxes, columns=columns, layout=output.layout
    )
    return fusion.scores(fusion.tensors.numbers(name, 3), planar, int(head.first), head.activation)
