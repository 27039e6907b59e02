"""Lists of boxes that name their labels: `direct_output` and `end_to_end_output`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import FusingError
from postproc.fusing.graph import Graph, Value
from postproc.fusing.heads.decoded import Decoded
from postproc.fusing.heads.fusion import Fusion, activated
from postproc.fusing.heads.oriented import Oriented
from postproc.fusing.heads.points import keypoints_of_rows
from postproc.fusing.heads.tables import numbers_of_rows
from postproc.kernels.core import activation as act


def direct(fusion: Fusion) -> Decoded:
    """`direct_output`: boxes, each with scores and the classes that they are of."""
    g, head, output, tensors = fusion.g, fusion.head, fusion.output, fusion.tensors
    columns = int(fusion.bound.candidates.columns)
    count = fusion.boxes // columns
    boxes = tensors.numbers(output.boxes_tensor)
    own_boxes = bool(head.own_boxes)
    rows = g.op("Reshape", boxes, [-1, fusion.boxes if own_boxes else count, 4])
    scores = tensors.numbers(output.scores_tensor)
    classes, dtype = tensors.classes(output.classes_tensor)
    shape = tensors.example(output.scores_tensor).shape
    has_batch = len(tensors.shapes[output.boxes_tensor]) > 2
    form = shape[1:] if has_batch else shape
    are_planes = len(form) == 2 and form != (count, columns)
    if len(form) == 2 and form == (columns, count) == (count, columns):
        are_planes = output.layout == "channels_first"
    if are_planes:
        scores, classes = (
            g.op("Transpose", g.op("Reshape", one, [-1, columns, count]), perm=[0, 2, 1])
            for one in (scores, classes)
        )
    scores, classes = (g.op("Reshape", one, [-1, count, columns]) for one in (scores, classes))
    scores = _activated(fusion, scores)
    labels = label_rows(g, classes, fusion, output.classes, dtype)
    if columns > 1 and not fusion.bound.stage.decision.rule.multi_label:
        labels = _of_best(g, scores, labels, columns)
    flat_scores, flat_labels = (g.op("Reshape", one, [0, fusion.boxes]) for one in (scores, labels))

    def row_of(box: Value, label: Value) -> Value:
        return box if own_boxes or columns == 1 else g.op("Div", box, np.int64(columns))

    corners = fusion.corners(rows, head.box_format, row_of)
    return Decoded(flat_scores, fusion.labels, fusion.boxes, corners, labels=flat_labels)


def _activated(fusion: Fusion, scores: Value) -> Value:
    """Scores (B, N, C), of which a softmax goes along C."""
    g = fusion.g
    if fusion.head.activation == act.SOFTMAX:
        return g.op("Softmax", scores, axis=2)
    return activated(fusion.g, scores, fusion.head.activation)


def _of_best(g: Graph, scores: Value, labels: Value, columns: int) -> Value:
    """Leave a row the label of its highest finite score alone, ties to the lower label, then column."""
    has_label = g.op("GreaterOrEqual", labels, np.int64(0))
    is_known = g.op("And", has_label, g.is_finite(scores))
    known = g.op("Where", is_known, scores, np.float32(-np.inf))
    highest = g.op("And", is_known, g.op("Equal", known, g.reduce("ReduceMax", known, 2, keepdims=True)))
    beyond = np.int64(2**31)
    candidates = g.op("Where", highest, labels, beyond)
    lowest = g.op("Equal", candidates, g.reduce("ReduceMin", candidates, 2, keepdims=True))
    best = g.op("ArgMax", g.cast(g.op("And", highest, lowest), np.float32), axis=2, keepdims=1)
    is_best = g.op("Equal", best, np.arange(columns, dtype=np.int64).reshape(1, 1, -1))
    return g.op("Where", is_best, labels, np.int64(-1))


def label_rows(g: Graph, classes: Value, fusion: Fusion, what: str, dtype: np.dtype[Any]) -> Value:
    """Rows of labels of classes, int64 of their shape, -1 where the spec has none."""
    ids: NDArray[Any] = fusion.bound.stage.decision.ids
    if what == "rows":
        ids = np.arange(len(ids))
    if dtype.kind not in "iu":
        with np.errstate(all="ignore"):
            ids = ids.astype(dtype).astype(np.float64 if dtype == np.float64 else np.float32)
        ids[~np.isfinite(ids)] = np.nan  # beyond the type's numbers: no class is this one
    hits = g.cast(g.op("Equal", g.unsqueeze(classes, -1), ids), np.float32)
    row = g.op("ArgMax", hits, axis=-1, keepdims=0)
    return g.op("Where", g.op("Greater", g.reduce("ReduceMax", hits, -1), 0.0), row, np.int64(-1))


def end_to_end(fusion: Fusion) -> Decoded:
    """`end_to_end_output`: finished rows, of one table or of three tensors, the first of them valid."""
    g, output, tensors = fusion.g, fusion.output, fusion.tensors
    extras = {}
    if output.output_tensor is None:
        count = int(tensors.shapes[output.scores_tensor][-1])
        boxes = g.op("Reshape", tensors.numbers(output.boxes_tensor), [-1, count, 4])
        scores = g.op("Reshape", tensors.numbers(output.scores_tensor), [-1, count])
    else:
        name = output.output_tensor
        counts = tensors.shapes.get(output.count_tensor, (1,))
        if tensors.rank(name) == 2 and counts[0] != 1:
            raise FusingError(
                f"tensor {name!r} has the rows of one image after the other, which vary in number"
            )
        count, width = (int(size) for size in tensors.shapes[name][-2:])
        starts, _ = fusion.decoder._places_of(_coefficients(fusion))
        table = g.op("Reshape", tensors.numbers(name), [-1, count, width])
        boxes = g.slice(table, 2, starts["box"], starts["box"] + 4)
        scores = g.op("Gather", table, np.int64(starts["score"]), axis=2)
        if "keypoints" in starts:
            first, points = starts["keypoints"], output.keypoints * output.dimensions
            rows = g.slice(table, 2, first, first + points)
            extras["keypoints"] = keypoints_of_rows(fusion, rows, output.keypoints, output.dimensions)
        if "coefficients" in starts:
            first, more = starts["coefficients"], _coefficients(fusion)
            extras["coefficients"] = numbers_of_rows(fusion, g.slice(table, 2, first, first + more), more)
    if output.keypoints_tensor is not None:
        points = output.keypoints * output.dimensions
        rows = g.op("Reshape", tensors.numbers(output.keypoints_tensor), [-1, count, points])
        extras["keypoints"] = keypoints_of_rows(fusion, rows, output.keypoints, output.dimensions)
    oriented = None
    if "angle" in output.columns:
        angles = g.slice(table, 2, starts["angle"], starts["angle"] + 1)
        oriented = Oriented(fusion, boxes, angles)
    labels = _classes_of(fusion, count)
    if output.count_tensor is not None:
        valid = g.op("Reshape", g.cast(output.count_tensor, np.int64), [-1, 1])
        is_valid = g.op("Less", np.arange(count, dtype=np.int64).reshape(1, -1), valid)
        labels = g.op("Where", is_valid, labels, np.int64(-1))
    if oriented is not None:
        return oriented.decoded(scores, count, labels)
    corners = fusion.corners(boxes, fusion.head.box_format)
    return Decoded(scores, fusion.labels, count, corners, extras, labels=labels)


def _classes_of(fusion: Fusion, count: int) -> Value:
    """Rows of the labels (B, N) of finished rows."""
    g, output, tensors = fusion.g, fusion.output, fusion.tensors
    if output.classes_tensor is not None:
        classes, dtype = tensors.classes(output.classes_tensor)
    else:
        table, dtype = tensors.classes(output.output_tensor)
        starts, _ = fusion.decoder._places_of(_coefficients(fusion))
        classes = g.op("Gather", table, np.int64(starts["class"]), axis=-1)
    return label_rows(g, g.op("Reshape", classes, [-1, count]), fusion, output.classes, dtype)


def _coefficients(fusion: Fusion) -> int:
    """How many coefficients of masks a row has."""
    name = fusion.output.prototypes_tensor
    return 1 if name is None else int(fusion.tensors.shapes[name][-3])
