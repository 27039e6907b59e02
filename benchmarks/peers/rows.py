"""Finished rows, of which those above a threshold are taken, and results as objects of supervision."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.contest import OURS, Columns, Peer, by_content
from benchmarks.data.scenes import Floats
from benchmarks.data.yolo import LABELS, PAGE
from benchmarks.peers.yolo import our_columns
from postproc import Detections, EndToEndOutput, PostProcessor

LINES = "NumPy, three lines"
READY = "supervision, of ready arrays"
_THRESHOLD = 0.25
_IMAGE = (480, 640)

Run = Callable[[], Any]


class RowsCase(NamedTuple):
    """Rows (1, N, 6): corners in pixels, score and class."""

    tensor: Floats


@cache
def our_rows() -> PostProcessor:
    """Make the post-processor of such rows."""
    return PostProcessor.for_detection(
        [f"label {row}" for row in range(LABELS)],
        EndToEndOutput(output_tensor="rows"),
        thresholds=_THRESHOLD,
        input_size=[PAGE, PAGE],
    )


def ours(case: RowsCase) -> Run:
    return partial(our_rows(), {"rows": case.tensor})


def three_lines(case: RowsCase) -> Run:
    """Mask, divide and index, as users write it."""

    def run() -> tuple[Any, Any, Any]:
        (rows,) = case.tensor
        rows = rows[rows[:, 4] > _THRESHOLD]
        return rows[:, 5].astype(np.int64), rows[:, 4], rows[:, :4] / PAGE

    return run


def _columns(case: RowsCase, result: Any) -> Columns:
    labels, scores, boxes = result
    return by_content(np.zeros(len(labels), np.int64), labels, scores, boxes)


def _found(case: RowsCase) -> Detections:
    (found,) = our_rows()({"rows": case.tensor}).outputs
    assert isinstance(found, Detections)
    return found


def our_objects(case: RowsCase) -> Run:
    return partial(_found(case).to_supervision, _IMAGE)


def ready_objects(case: RowsCase) -> Run:
    import supervision

    made = _found(case).to_supervision(_IMAGE)
    assert made.confidence is not None
    assert made.class_id is not None
    boxes, scores, labels = made.xyxy.copy(), made.confidence.copy(), made.class_id.copy()
    names = np.array(made.data["class_name"])
    return lambda: supervision.Detections(
        xyxy=boxes, confidence=scores, class_id=labels, data={"class_name": names}
    )


def _objects(case: RowsCase, made: Any) -> Columns:
    return made.class_id, made.data["class_name"], made.confidence, made.xyxy


ROWS = {OURS: Peer(ours, our_columns), LINES: Peer(three_lines, _columns)}
OBJECTS = {
    OURS: Peer(our_objects, _objects, ("supervision",)),
    READY: Peer(ready_objects, _objects, ("supervision",)),
}
