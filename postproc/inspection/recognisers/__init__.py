"""One recogniser per family of outputs: each takes what was observed and yields the readings that fit it.

A further one is a function here, listed in `RECOGNISERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from postproc.inspection.observed import Observed
from postproc.inspection.readings import Reading
from postproc.inspection.recognisers.anchor_grids import anchor_grids
from postproc.inspection.recognisers.blazeface import blazeface
from postproc.inspection.recognisers.boxes_and_scores import boxes_and_scores
from postproc.inspection.recognisers.classifiers import classifiers
from postproc.inspection.recognisers.distances import distances
from postproc.inspection.recognisers.levels import levels
from postproc.inspection.recognisers.maps import maps
from postproc.inspection.recognisers.offsets import offsets, without_priors
from postproc.inspection.recognisers.others import chosen_indices, keypoints, texts
from postproc.inspection.recognisers.packed_rows import packed_rows
from postproc.inspection.recognisers.retinaface import retinaface
from postproc.inspection.recognisers.rows_with_more import rows_with_more
from postproc.inspection.recognisers.scored_boxes import scored_boxes
from postproc.inspection.recognisers.separate_rows import separate_rows
from postproc.inspection.recognisers.tables import tables
from postproc.inspection.recognisers.vectors import cascades, hidden_states, vectors
from postproc.inspection.recognisers.yolox_levels import yolox_levels

__all__ = ["RECOGNISERS"]

RECOGNISERS: tuple[Callable[[Observed], Iterator[Reading]], ...] = (
    tables,
    anchor_grids,
    distances,
    levels,
    packed_rows,
    rows_with_more,
    separate_rows,
    scored_boxes,
    chosen_indices,
    classifiers,
    vectors,
    cascades,
    maps,
    boxes_and_scores,
    offsets,
    without_priors,
    blazeface,
    retinaface,
    yolox_levels,
    keypoints,
    texts,
    hidden_states,
)
