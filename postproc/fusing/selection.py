"""The best candidates of each image, in the order of their ranks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from postproc.fusing.graph import Graph, Operand, Value
from postproc.fusing.heads.decoded import Scored

NO_SCORE = -1.0


@dataclass(frozen=True)
class Selected:
    """The K best of each image: values (B, K), the best first.

    Parameters
    ----------
    count : int
        K.
    scores : Value
        -1 where there is no candidate, or it is not sure which of equals it is.
    labels, boxes : Value
        Row of the label and number of the box, int64; of no candidate any that exist.
    passing : Value
        How many candidates the image has, (B,) float32.
    """

    count: int
    scores: Value
    labels: Value
    boxes: Value
    passing: Value


def select(g: Graph, scored: Scored, thresholds: Operand, multi_label: bool, most: int) -> Selected:
    """Select at most `most` candidates an image: scores above the threshold (L,) of their label."""
    if scored.labels is None:
        scores = _masked(g, scored, thresholds, multi_label)
        size = scored.label_count * scored.per_label
        flat = g.op("Reshape", scores, [0, size])
    else:
        flat, size = _listed(g, scored, thresholds), scored.per_label
    count = min(most, size)
    passing = g.reduce("ReduceSum", g.cast(g.op("Greater", flat, 0.0), np.float32), 1)
    values, places = g.ops("TopK", flat, [count], names=[None, None], axis=1, largest=1, sorted=1)
    if scored.labels is None:
        orders = places
    else:
        orders = g.op("Add", g.op("Mul", g.take(scored.labels, places), np.int64(scored.per_label)), places)
    at = ranked(g, values, orders, count)
    scores, orders = g.take(values, at), g.take(orders, at)
    if count < size:
        scores = _without_open_ties(g, flat, scores, count)
    if scored.labels is not None:  # of no label: any
        orders = g.op("Max", orders, np.int64(0))
    labels = g.op("Div", orders, np.int64(scored.per_label))
    boxes = g.op("Sub", orders, g.op("Mul", labels, np.int64(scored.per_label)))
    return Selected(count, scores, labels, boxes, passing)


def _without_open_ties(g: Graph, flat: Value, scores: Value, count: int) -> Value:
    """Scores (B, K) without those of the last one's, if candidates that were not selected have it, too.

    Which of equals a TopK selects is the runtime's choice, if it is not stable.
    """
    last = g.slice(scores, 1, count - 1, count)
    reaching = g.cast(g.op("GreaterOrEqual", flat, last), np.float32)
    is_open = g.op("Greater", g.reduce("ReduceSum", reaching, 1, keepdims=True), np.float32(count))
    is_last = g.op("Equal", scores, last)
    return g.op("Where", g.op("And", is_open, is_last), NO_SCORE, scores)


def _masked(g: Graph, scored: Scored, thresholds: Operand, multi_label: bool) -> Value:
    """Scores (B, L, N), -1 where they do not make a candidate."""
    scores = scored.scores
    passes = _passes(g, scores, g.op("Reshape", thresholds, [1, -1, 1]))
    if not multi_label and scored.label_count > 1:
        lowest = np.float32(-np.inf)
        finite = g.op("Where", g.op("Less", g.op("Abs", scores), np.float32(np.inf)), scores, lowest)
        best = g.op("ArgMax", finite, axis=1, keepdims=1)
        rows = np.arange(scored.label_count, dtype=np.int64).reshape(1, -1, 1)
        passes = g.op("And", passes, g.op("Equal", best, rows))
    return g.op("Where", passes, scores, NO_SCORE)


def _listed(g: Graph, scored: Scored, thresholds: Operand) -> Value:
    """Scores (B, N) of a list whose boxes name their labels, -1 where they do not make a candidate."""
    assert scored.labels is not None
    known = g.op("Max", scored.labels, np.int64(0))
    passes = _passes(g, scored.scores, g.op("Gather", thresholds, known, axis=0))
    has_label = g.op("GreaterOrEqual", scored.labels, np.int64(0))
    return g.op("Where", g.op("And", passes, has_label), scored.scores, NO_SCORE)


def _passes(g: Graph, scores: Value, thresholds: Operand) -> Value:
    return g.op("And", g.op("Greater", scores, thresholds), g.op("Less", scores, np.float32(np.inf)))


def ranked(g: Graph, scores: Value, orders: Value, count: int) -> Value:
    """Places (B, K) of candidates by score, ties by their order: a runtime's TopK may not be stable."""
    if count == 1:
        return g.op("Mul", orders, np.int64(0))
    own, other = g.unsqueeze(scores, 2), g.unsqueeze(scores, 1)
    is_tie = g.op(
        "And", g.op("Equal", other, own), g.op("Less", g.unsqueeze(orders, 1), g.unsqueeze(orders, 2))
    )
    is_before = g.op("Or", g.op("Greater", other, own), is_tie)
    ranks = g.reduce("ReduceSum", g.cast(is_before, np.float32), 2)
    # All differ, so that any TopK sorts them.
    return g.ops("TopK", g.op("Neg", ranks), [count], names=[None, None], axis=1, largest=1, sorted=1)[1]
