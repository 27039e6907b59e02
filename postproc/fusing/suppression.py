"""Greedy suppression of boxes by their Jaccard index, in operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from postproc.fusing.graph import Graph, Value
from postproc.fusing.heads.decoded import Index
from postproc.fusing.options import FuseOptions

Corners = Sequence[Value]


def suppress(
    g: Graph,
    corners: Corners,
    labels: Value,
    valid: Value,
    iou_thresholds: NDArray[np.float32],
    class_agnostic: bool,
    count: int,
    options: FuseOptions,
    *,
    index: Callable[[], Index] | None = None,
    fast: bool = False,
) -> tuple[Value, Value | None]:
    """Whether boxes are kept, (B, K); with `rounds` also whether each image's are all known, (B,).

    Parameters
    ----------
    corners : four of (B, K)
        Finite, best first.
    labels : (B, K) int64
        Rows of labels.
    valid : (B, K) bool
        Which of them are boxes.
    iou_thresholds : (L,), or (1,) if `class_agnostic`
        None are suppressed where it is 1.
    index : function, optional
        In the place of the Jaccard index of the corners.
    fast : bool
        Whether suppressed boxes suppress others, too.
    """
    if count == 1 or (iou_thresholds >= 1.0).all():
        return valid, None
    if options.nms == "operator":
        return _by_operator(g, corners, labels, valid, iou_thresholds, class_agnostic, count), None
    indices = Index(jaccard(g, corners), np.float32) if index is None else index()
    matrix = _matrix(g, indices, labels, iou_thresholds, class_agnostic, count)
    if fast:
        return _round(g, matrix, valid, g.cast(valid, np.float32)), None
    if options.nms == "rounds":
        assert options.rounds is not None
        return _rounds(g, matrix, valid, min(options.rounds, count), count)
    return fixed_point(g, matrix, valid, count), None


def areas(g: Graph, corners: Corners) -> Value:
    """Areas (B, K); 0 of boxes that are flipped."""
    x1, y1, x2, y2 = corners
    width, height = g.op("Sub", x2, x1), g.op("Sub", y2, y1)
    has_area = g.op("And", g.op("Greater", width, 0.0), g.op("Greater", height, 0.0))
    return g.op("Where", has_area, g.op("Mul", width, height), 0.0)


def jaccard(g: Graph, corners: Corners) -> Value:
    """Jaccard index (B, K, K) of each box with each, every step in float32; 0 where neither has an area."""
    own = [g.unsqueeze(side, 2) for side in corners]
    other = [g.unsqueeze(side, 1) for side in corners]
    sides = []
    for low, high in ((0, 2), (1, 3)):
        nearest = g.op("Min", own[high], other[high])
        sides.append(g.op("Max", g.op("Sub", nearest, g.op("Max", own[low], other[low])), 0.0))
    shared = g.op("Mul", *sides)
    area = areas(g, corners)
    union = g.op("Sub", g.op("Add", g.unsqueeze(area, 2), g.unsqueeze(area, 1)), shared)
    has_area = g.op("Greater", union, 0.0)
    return g.op("Where", has_area, g.op("Div", shared, g.op("Where", has_area, union, 1.0)), 0.0)


def _matrix(
    g: Graph,
    indices: Index,
    labels: Value,
    iou_thresholds: NDArray[np.float32],
    class_agnostic: bool,
    count: int,
) -> Value:
    """Which box would suppress which, (B, K, K) float32: a higher ranked one, of its label."""
    limits = np.where(iou_thresholds >= 1.0, np.float32(np.inf), iou_thresholds).astype(indices.dtype)
    if len(limits) == 1 or (limits == limits[0]).all():
        hits = g.op("Greater", indices.values, limits[0])
    else:
        hits = g.op("Greater", indices.values, g.unsqueeze(g.op("Gather", limits, labels, axis=0), 1))
    ranks = np.arange(count, dtype=np.int32)
    ranks_before = g.op("Less", ranks.reshape(1, -1, 1), ranks.reshape(1, 1, -1))
    hits = g.op("And", hits, ranks_before)
    if not class_agnostic and len(iou_thresholds) > 1:
        hits = g.op("And", hits, g.op("Equal", g.unsqueeze(labels, 2), g.unsqueeze(labels, 1)))
    return g.cast(hits, np.float32)


def _round(g: Graph, matrix: Value, valid: Value, keep: Value) -> Value:
    """Which valid boxes (B, K) none of the kept ones (B, K) float32 suppresses; sums to 2^24 are exact."""
    hits = g.squeeze(g.op("MatMul", g.unsqueeze(keep, 1), matrix), 1)
    return g.op("And", valid, g.op("Equal", hits, 0.0))


def fixed_point(g: Graph, matrix: Value, valid: Value, count: int) -> Value:
    """Repeat rounds until nothing changes: after t of them t ranks are right (Zheng et al. 2020)."""
    from onnx import TensorProto, helper

    body = Graph(g.opset, g.real, f"{g.scope}Loop_{len(g.nodes)}/")
    before, turn, again = (f"{body.scope}{name}" for name in ("before", "turn", "again"))
    after = _round(body, matrix, valid, body.cast(before, np.float32))
    differs = body.cast(body.op("Xor", after, before), np.float32)
    changes = body.op("ReduceSum", differs, keepdims=0)
    goes_on = body.op("Greater", changes, 0.0)
    inner = helper.make_graph(
        body.nodes,
        f"{body.scope}round",
        [
            helper.make_tensor_value_info(turn, TensorProto.INT64, []),
            helper.make_tensor_value_info(again, TensorProto.BOOL, []),
            helper.make_tensor_value_info(before, TensorProto.BOOL, [None, count]),
        ],
        [
            helper.make_tensor_value_info(goes_on, TensorProto.BOOL, []),
            helper.make_tensor_value_info(after, TensorProto.BOOL, [None, count]),
        ],
        body.initializers,
    )
    return g.op("Loop", np.int64(count), np.bool_(True), valid, body=inner)


def _rounds(g: Graph, matrix: Value, valid: Value, rounds: int, count: int) -> tuple[Value, Value]:
    """Unroll so many rounds; what ranks before the first box that the last of them changed is right."""
    keep = before = valid
    for _ in range(rounds):
        before, keep = keep, _round(g, matrix, valid, g.cast(keep, np.float32))
    ranks = np.arange(count, dtype=np.float32).reshape(1, -1)
    changed = g.op("Where", g.op("Xor", keep, before), ranks, np.float32(count))
    first = g.reduce("ReduceMin", changed, 1, keepdims=True)
    is_known = g.op("Less", ranks, first)
    return g.op("And", keep, is_known), g.op("Equal", g.squeeze(first, 1), np.float32(count))


def _by_operator(
    g: Graph,
    corners: Corners,
    labels: Value,
    valid: Value,
    iou_thresholds: NDArray[np.float32],
    class_agnostic: bool,
    count: int,
) -> Value:
    """Suppress by ``NonMaxSuppression``, one node a distinct threshold, which gets ranks as scores."""
    x1, y1, x2, y2 = corners
    has_area = g.op("And", g.op("Greater", x2, x1), g.op("Greater", y2, y1))
    # It takes a flipped box for one with an area.
    sides = [y1, x1, g.op("Where", has_area, y2, y1), g.op("Where", has_area, x2, x1)]
    boxes = g.stacked(*sides)
    ranks = np.arange(count, 0, -1, dtype=np.float32).reshape(1, -1)
    scores = g.unsqueeze(g.op("Where", valid, ranks, 0.0), 1)
    is_one_class = class_agnostic or len(iou_thresholds) == 1
    found = g.cast(valid, np.float32)
    nothing = g.op("Mul", found, 0.0)
    kept: list[Value] = []
    for limit in np.unique(iou_thresholds):
        rows = np.flatnonzero(iou_thresholds == limit).astype(np.int64)
        own_scores = scores
        if not is_one_class:
            is_own = g.op("Equal", g.unsqueeze(labels, 1), rows.reshape(1, -1, 1))
            own_scores = g.op("Where", is_own, scores, 0.0)
        if limit >= 1.0:
            of_limit = g.op("Greater", g.reduce("ReduceMax", own_scores, 1), 0.0)
        else:
            numbers = np.array([count]), np.array([limit]), np.array([0.5], np.float32)
            triples = g.op("NonMaxSuppression", boxes, own_scores, *numbers)
            pairs = g.op("Gather", triples, np.array([0, 2]), axis=1)
            ones = g.op(
                "Gather",
                g.cast(g.op("GreaterOrEqual", triples, np.int64(0)), np.float32),
                np.int64(0),
                axis=1,
            )
            of_limit = g.op("Greater", g.op("ScatterND", nothing, pairs, ones), 0.0)
        kept.append(of_limit)
    keep, *others = kept
    for other in others:
        keep = g.op("Or", keep, other)
    return keep
