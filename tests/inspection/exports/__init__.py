"""Graphs as public packages export them, small and with random weights, and what is to be read from each.

A family of packages is a file here, with its cases; `CASES` are all of them.
"""

from __future__ import annotations

from tests.inspection.exports import (
    anchors,
    classifiers,
    darknet,
    distances,
    faces,
    finished,
    maps,
    one_box_a_cell,
    queries,
    ultralytics,
    variants,
    yolov5,
)
from tests.inspection.exports.cases import Case, Expected, Reads, Refused, Undecided

__all__ = ["CASES", "Case", "Expected", "Reads", "Refused", "Undecided"]

CASES: tuple[Case, ...] = (
    *ultralytics.CASES,
    *yolov5.CASES,
    *one_box_a_cell.CASES,
    *distances.CASES,
    *darknet.CASES,
    *queries.CASES,
    *anchors.CASES,
    *faces.CASES,
    *finished.CASES,
    *variants.CASES,
    *classifiers.CASES,
    *maps.CASES,
)
