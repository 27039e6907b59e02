"""Boxes in a tensor of their own or beside their scores."""

from __future__ import annotations

from typing import NamedTuple, NewType

import numpy as np
from numpy.typing import NDArray

from .._jit import pasted
from ..core.boxes import decode_boxes
from ..core.collector import Collector
from ..core.numbers import image_of
from ..core.scores import scan_scores
from .arguments import Activation, Boxes, BoxFormat, FirstScore, Planar, PlanarBoxes, Rule, Scores
from .driver import detector

RowsARegion = NewType("RowsARegion", int)
FirstRow = NewType("FirstRow", int)


class ScoredBoxes(NamedTuple):
    """Scores (B, N, S), or (B, S, N) if `planar`, and boxes: see `scan_scores` and `decode_boxes`."""

    scores: Scores
    planar: Planar
    first: FirstScore
    activation: Activation
    boxes: Boxes
    boxes_planar: PlanarBoxes
    box_format: BoxFormat
    rows_a_region: RowsARegion
    first_row: FirstRow


@pasted
def _scan(head: ScoredBoxes, image: int, boxes: int, rule: Rule, room: int, collector: Collector) -> int:
    return scan_scores(
        image_of(head.scores, image), head.planar, head.first, rule.thresholds, rule.discard, head.activation,
        rule.multi_label, room, collector,
    )  # fmt: skip


@pasted
def _decode(
    head: ScoredBoxes,
    image: int,
    boxes: int,
    keys: NDArray[np.uint64],
    count: int,
    corners: NDArray[np.float32],
) -> None:
    decode_boxes(
        keys, count, image_of(head.boxes, image), head.boxes_planar, 0, head.box_format, boxes, 1,
        head.rows_a_region, head.first_row, corners,
    )  # fmt: skip


detect_scored_boxes = detector(ScoredBoxes, _scan, _decode)
