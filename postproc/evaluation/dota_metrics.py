"""Average precision as DOTA defines it: PASCAL VOC's, of oriented boxes.

That is another rule than COCO's: each detection is compared with the object alone that it overlaps most, and
where a better detection has taken that one, it is a false positive (Everingham et al. 2010; Xia et al. 2018,
arXiv:1711.10398). The numbers are those of ``dota_evaluation_task1.py`` of DOTA's development kit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.coco_curves import check_matched
from postproc.evaluation.groups import Floats, FoundInstances, Groups, Integers, TrueInstances, sorted_by
from postproc.evaluation.matches import in_coco_pixels
from postproc.evaluation.measured_detections import corners_of
from postproc.evaluation.similarity import Pairs, Similarity, of_quadrilaterals
from postproc.results.rows import images_of_rows

if TYPE_CHECKING:
    from postproc.evaluation.ground_truth import GroundTruth, TruthBatch
    from postproc.evaluation.measured_detections import MeasuredDetections

_RECALLS = np.arange(0.0, 1.1, 0.1)  # as VOC's own code has them: some are a little above the tenths


@dataclass(frozen=True, eq=False, slots=True)
class DotaMetrics:
    """Average precision of L labels at T Jaccard indices.

    Parameters
    ----------
    thresholds : (T,) float64
        A detection takes an object that it overlaps by more.
    average_precision : (T, L) float64
        Mean of the highest precisions at 11 recalls or above, as VOC had it until 2007 and as DOTA's script
        prints it; NaN without objects.
    average_precision_area : (T, L) float64
        Area under the curve, as VOC has had it since 2010 and as the script's function has by default.
    """

    thresholds: Floats
    average_precision: Floats
    average_precision_area: Floats

    @property
    def numbers(self) -> dict[str, float | None]:
        """Means over the labels that have objects, ``mAP50`` and ``mAP50_area`` at 0.5; None without any."""
        kinds = {"": self.average_precision, "_area": self.average_precision_area}
        return {
            f"mAP{100 * threshold:g}{name}": _mean(values[row])
            for row, threshold in enumerate(self.thresholds.tolist())
            for name, values in kinds.items()
        }


def dota_metrics(
    truth: GroundTruth,
    batch: TruthBatch,
    detections: MeasuredDetections,
    *,
    thresholds: Sequence[float] = (0.5,),
) -> DotaMetrics:
    """Measure the oriented boxes of detections; what has none is taken by its upright box.

    DOTA sets no limit of detections: all that are given are looked at.

    Parameters
    ----------
    truth : GroundTruth
    batch : TruthBatch
        Of the images that count.
    detections : MeasuredDetections
        Of the same images, in their order, at thresholds so low that all of interest are there.
    thresholds : sequence of float
        Jaccard indices: above 0 and at most 1.

    Raises
    ------
    TensorError
        If a threshold is out of range.
    """
    corners = _corners(detections.rectangles, in_coco_pixels(detections, batch.sizes))
    truths = _corners(truth.shapes.rectangles[batch.rows], batch.boxes)
    return voc_metrics(
        FoundInstances(
            images_of_rows(detections.offsets), detections.labels, detections.scores, np.zeros(len(corners))
        ),
        TrueInstances(
            images_of_rows(batch.offsets), batch.labels, np.zeros(len(truths)), batch.crowd, batch.ignored
        ),
        of_quadrilaterals(corners, truths),
        images=len(batch),
        labels=len(truth.table.labels),
        thresholds=thresholds,
    )


def voc_metrics(
    found: FoundInstances,
    truth: TrueInstances,
    similarity: Similarity,
    *,
    images: int,
    labels: int,
    thresholds: Sequence[float] = (0.5,),
) -> DotaMetrics:
    """Match detections to objects by VOC's rule, and average precision.

    A detection whose best object is ignored, as difficult ones are, counts as neither true nor false.

    Parameters
    ----------
    found, truth : FoundInstances, TrueInstances
        In any order, by which equal scores, and of equally good objects the first, are taken. Areas do not
        matter.
    similarity : Similarity
        What tells how alike they are: `similarity.of_quadrilaterals` and its like.
    images, labels : int
        How many there are.
    thresholds : sequence of float
        A detection takes an object that is more alike: above 0 and at most 1.

    Raises
    ------
    TensorError
        If a row of an image or label, a score or a threshold is out of range.
    """
    check_matched(found, truth, labels, thresholds)
    known = np.flatnonzero((found.images >= 0) & (found.labels >= 0))
    order = known[np.argsort(-found.scores[known], kind="stable")]
    groups = Groups.of(found, truth, images, order)
    places = np.empty(len(found), np.int64)
    places[groups.rows] = np.arange(len(groups.rows))
    by_score = places[sorted_by(found.labels, order)]
    best, values = (of_each[by_score] for of_each in _best(similarity(groups, min(thresholds))))
    ignored = np.append(
        (truth.ignored | truth.crowd)[groups.truths], False
    )  # -1, of no object, reads the last
    objects = np.bincount(groups.truth_labels[~ignored[:-1]], minlength=labels)
    offsets = np.searchsorted(groups.labels, np.arange(labels + 1))
    precisions = np.full((2, len(thresholds), labels), np.nan)
    for row, threshold in enumerate(thresholds):
        is_alike = values > threshold
        is_true = np.zeros(len(best), np.bool_)
        takers = np.flatnonzero(is_alike & ~ignored[best])
        is_true[takers[np.unique(best[takers], return_index=True)[1]]] = True
        is_false = ~is_true & ~(is_alike & ignored[best])
        for label in np.flatnonzero(objects):
            of_label = slice(offsets[label], offsets[label + 1])
            precisions[:, row, label] = _average_precision(
                np.cumsum(is_true[of_label]), np.cumsum(is_false[of_label]), int(objects[label])
            )
    return DotaMetrics(np.asarray(thresholds, np.float64), *precisions)


def _best(pairs: Pairs) -> tuple[Integers, Floats]:
    """Row of the object that each detection is most like, the first of equals, and how much; -1 if none."""
    counts = np.diff(pairs.starts)
    owners = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((pairs.truths, -pairs.values, owners))
    firsts = order[pairs.starts[:-1][counts > 0]]
    best, values = np.full(len(counts), -1), np.full(len(counts), -1.0)
    best[counts > 0], values[counts > 0] = pairs.truths[firsts], pairs.values[firsts]
    return best, values


def _average_precision(true: Integers, false: Integers, objects: int) -> tuple[float, float]:
    """By 11 points, and as an area, of counts by descending score: each step as VOC's own code has it."""
    recall = true / objects
    precision = true / np.maximum(true + false, np.finfo(np.float64).eps)
    by_points = 0.0
    for wanted in _RECALLS:
        by_points += float(np.max(precision[recall >= wanted], initial=0.0)) / 11.0
    recall, precision = np.concatenate([[0.0], recall, [1.0]]), np.concatenate([[0.0], precision, [0.0]])
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    rises = np.flatnonzero(recall[1:] != recall[:-1])
    return by_points, float(np.sum((recall[rises + 1] - recall[rises]) * highest[rises + 1]))


def _corners(rectangles: NDArray[np.float64], boxes: Floats) -> Floats:
    """Corners of oriented boxes, or of upright ones x, y, width, height where there are none, (N, 4, 2)."""
    upright = np.column_stack([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:], np.zeros(len(boxes))])
    return corners_of(np.where(np.isnan(rectangles).any(axis=1, keepdims=True), upright, rectangles))


def _mean(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
