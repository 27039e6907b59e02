"""Average precision and recall of boxes as COCO defines them, for the detections of a version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.evaluation.coco_curves import COCO_AREAS, CocoCurves, coco_curves
from postproc.evaluation.groups import FoundInstances, TrueInstances
from postproc.evaluation.matches import in_coco_pixels
from postproc.evaluation.similarity import of_boxes
from postproc.results.rows import images_of_rows

if TYPE_CHECKING:
    from postproc.evaluation.ground_truth import GroundTruth, TruthBatch
    from postproc.results import Detections

MAX_DETECTIONS = 100  # COCO's own limit of detections an image and label
_FEWER = (1, 10)  # its other ones, of AR only


@dataclass(frozen=True, eq=False, slots=True)
class CocoMetrics:
    """COCO's numbers of a data set.

    Parameters
    ----------
    numbers : dict
        By the names of `coco_numbers`; None where the data set has no object to measure it on.
    average_precision : (L,) float64
        Mean over the Jaccard indices 0.50 to 0.95 of each label; NaN without objects.
    average_precision_50 : (L,) float64
        At a Jaccard index of 0.5.
    max_detections : int
        Of an image and label so many detections are looked at, those of the highest scores.
    curves : CocoCurves
        What they are means of: pycocotools' precision, recall and scores.
    """

    numbers: dict[str, float | None]
    average_precision: NDArray[np.float64]
    average_precision_50: NDArray[np.float64]
    max_detections: int
    curves: CocoCurves


def coco_numbers(max_detections: int = MAX_DETECTIONS) -> dict[str, tuple[str, float | None, str, int]]:
    """Give what COCO's numbers are of, twelve unless `max_detections` is 10 or less.

    By name: precision or recall, Jaccard index (None for the mean of 0.50 to 0.95), area, and most detections
    an image and label.
    """
    most = max_detections
    limits = (*(fewer for fewer in _FEWER if fewer < most), most)
    areas = tuple(COCO_AREAS)[1:]
    return {
        "AP": ("precision", None, "all", most),
        "AP50": ("precision", 0.5, "all", most),
        "AP75": ("precision", 0.75, "all", most),
        **{f"AP_{area}": ("precision", None, area, most) for area in areas},
        **{f"AR{limit}": ("recall", None, "all", limit) for limit in limits},
        **{f"AR_{area}": ("recall", None, area, most) for area in areas},
    }


def coco_metrics(
    truth: GroundTruth, batch: TruthBatch, detections: Detections, *, max_detections: int = MAX_DETECTIONS
) -> CocoMetrics:
    """Compute COCO's numbers, as pycocotools does for boxes.

    Parameters
    ----------
    truth : GroundTruth
    batch : TruthBatch
        Of the images that count.
    detections : Detections
        Of the same images, in their order, at thresholds so low that all of interest are there.
    max_detections : int
        The last of COCO's ``maxDets``: how many detections of an image and label are looked at.

    Raises
    ------
    TensorError
        If `max_detections` is below 1.
    """
    if max_detections < 1:
        raise TensorError(f"max_detections: expected a number of 1 or more, got {max_detections}")
    # pycocotools takes images in the order of their ids, which decides between equal scores.
    ids = np.argsort(np.argsort(truth.ids[batch.images]))
    boxes = in_coco_pixels(detections, batch.sizes)
    named = coco_numbers(max_detections)
    curves = coco_curves(
        FoundInstances(
            ids[images_of_rows(detections.offsets)],
            detections.labels,
            detections.scores,
            boxes[:, 2] * boxes[:, 3],
        ),
        TrueInstances(
            ids[images_of_rows(batch.offsets)],
            batch.labels,
            truth.areas[batch.rows],
            batch.crowd,
            ignored=batch.ignored,
        ),
        of_boxes(boxes, batch.boxes, batch.crowd),
        images=len(batch),
        labels=len(truth.table.labels),
        limits=sorted({limit for *_, limit in named.values()}),
    )
    return CocoMetrics(
        {name: curves.number(*which) for name, which in named.items()},
        curves.by_label(),
        curves.by_label(0.5),
        max_detections,
        curves,
    )


def is_beyond(detections: Detections, max_detections: int) -> NDArray[np.bool_]:
    """Which rows are not among the best `max_detections` of their image and label, (K,)."""
    if not len(detections) or np.diff(detections.offsets).max() <= max_detections:
        return np.zeros(len(detections.labels), np.bool_)
    groups = images_of_rows(detections.offsets) * len(detections.table.ids) + detections.labels
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - np.repeat(starts, np.diff(starts, append=len(groups)))
    return ranks >= max_detections
