"""One recogniser per family of outputs: each takes a graph and yields the proposals that fit it.

A further one is a function here, listed in `RECOGNISERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from postproc.inspection.graph import Graph
from postproc.inspection.proposal import Proposal
from postproc.inspection.recognisers.classifiers import classifier
from postproc.inspection.recognisers.finished import (
    detection_list,
    packed_rows,
    rows_and_count,
    rows_with_image,
)
from postproc.inspection.recognisers.grids import yolov2, yolov3
from postproc.inspection.recognisers.heads import dense, detr
from postproc.inspection.recognisers.offsets import anchored, blazeface, ssd
from postproc.inspection.recognisers.separate import separate, tensorflow
from postproc.inspection.recognisers.tables import yolov5, yolov8, yolox
from postproc.inspection.recognisers.unsupported import LIMITS

__all__ = ["LIMITS", "RECOGNISERS"]

# Of equally certain proposals, those of the earlier recogniser come first: the more particular the shape, the
# earlier.
RECOGNISERS: tuple[Callable[[Graph], Iterator[Proposal]], ...] = (
    tensorflow,
    rows_and_count,
    detection_list,
    rows_with_image,
    separate,
    packed_rows,
    blazeface,
    yolov8,
    yolox,
    yolov5,
    detr,
    ssd,
    anchored,
    dense,
    yolov3,
    yolov2,
    classifier,
)
