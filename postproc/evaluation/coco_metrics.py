"""Average precision and recall as COCO defines them, for the detections of a version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.evaluation.coco_curves import CocoCurves, coco_curves
from postproc.evaluation.federation import LVIS_MAX_DETECTIONS, Federation, federated, lvis_numbers
from postproc.evaluation.groups import FoundInstances, TrueInstances, ranks_of
from postproc.evaluation.measured_detections import MeasuredDetections
from postproc.evaluation.measures import BOXES, Measure, MeasuredObjects, Numbers
from postproc.results.rows import images_of_rows
from postproc.schema.problems import describe

if TYPE_CHECKING:
    from postproc.evaluation.ground_truth import GroundTruth, TruthBatch
    from postproc.results import Detections

MAX_DETECTIONS = BOXES.max_detections


@dataclass(frozen=True, eq=False, slots=True)
class CocoMetrics:
    """COCO's numbers of a data set, or LVIS's.

    Parameters
    ----------
    numbers : dict
        By the names of `Measure.numbers` or of `federation.lvis_numbers`; None where the data set has no
        object to measure it on.
    average_precision : (L,) float64
        Mean over the thresholds 0.50 to 0.95 of each label; NaN without objects.
    average_precision_50 : (L,) float64
        At a threshold of 0.5.
    max_detections : int
        Of an image and label, by LVIS of an image, so many detections are looked at, those of the highest
        scores.
    curves : CocoCurves
        What they are means of: pycocotools' precision, recall and scores.
    scheme : {"COCO", "LVIS"}
        Whose rules they are by.
    """

    numbers: dict[str, float | None]
    average_precision: NDArray[np.float64]
    average_precision_50: NDArray[np.float64]
    max_detections: int
    curves: CocoCurves
    scheme: str = "COCO"

    @property
    def is_by_label(self) -> bool:
        """Whether detections are limited label by label."""
        return self.scheme == "COCO"

    @property
    def headlines(self) -> list[str]:
        """Names of the numbers that sum up the others."""
        recalls = (f"AR{self.max_detections}", "AR", f"AR@{self.max_detections}")  # boxes, keypoints, LVIS
        return [name for name in ("AP", "AP50", *recalls) if name in self.numbers]

    @property
    def limited(self) -> str:
        """What `max_detections` is of, in words."""
        return "an image and label" if self.is_by_label else "an image"


def most_detections(measure: Measure = BOXES, federation: Federation | None = None) -> int:
    """How many detections COCO looks at of an image and label, or LVIS, with a federation, of an image."""
    return measure.max_detections if federation is None else LVIS_MAX_DETECTIONS


def check_limit(max_detections: int | None) -> None:
    """See that a limit of detections, if there is one, is a whole number of 1 or more.

    Raises
    ------
    TensorError
        If not.
    """
    if max_detections is None:
        return
    is_whole = isinstance(max_detections, Integral) and not isinstance(max_detections, bool)
    if not is_whole or max_detections < 1:
        raise TensorError(
            f"max_detections: expected a whole number of 1 or more, got {describe(max_detections)}"
        )


def coco_numbers(max_detections: int = MAX_DETECTIONS) -> Numbers:
    """Give what COCO's numbers of boxes are of, twelve unless `max_detections` is 10 or less.

    By name: precision or recall, Jaccard index (None for the mean of 0.50 to 0.95), area, and most detections
    an image and label.
    """
    return BOXES.numbers(max_detections)


def coco_metrics(
    truth: GroundTruth,
    batch: TruthBatch,
    detections: Detections,
    *,
    max_detections: int | None = None,
    measure: Measure = BOXES,
    objects: MeasuredObjects | None = None,
) -> CocoMetrics:
    """Compute COCO's numbers, as pycocotools does; with a federation LVIS's, as lvis-api does.

    Parameters
    ----------
    truth : GroundTruth
    batch : TruthBatch
        Of the images that count.
    detections : Detections
        Of the same images, in their order, at thresholds so low that all of interest are there.
    max_detections : int, optional
        The last of COCO's ``maxDets``: how many detections of an image and label are looked at, or with a
        federation of an image; by default as `most_detections`.
    measure : Measure
    objects : MeasuredObjects, optional
        Of the measure, the ground truth and its images, where they are known already.

    Raises
    ------
    TensorError
        If `max_detections` is no whole number of 1 or more.
    SchemaError
        As of the measure: masks that are broken, keypoints of other numbers.
    """
    federation = batch.federation
    limit = most_detections(measure, federation) if max_detections is None else max_detections
    check_limit(limit)
    named = measure.numbers(limit)
    objects = objects or measure.objects(truth, batch, None)
    limits = sorted({most for *_, most in named.values()}) if federation is None else [limit]
    curves = measured_curves(truth, batch, detections, measure, objects, limits=limits)
    if federation is None:
        numbers = {name: curves.number(*which) for name, which in named.items()}
    else:
        numbers = lvis_numbers(curves, federation)
    return CocoMetrics(
        numbers,
        curves.by_label(),
        curves.by_label(0.5),
        limit,
        curves,
        "COCO" if federation is None else "LVIS",
    )


def measured_curves(
    truth: GroundTruth,
    batch: TruthBatch,
    detections: Detections,
    measure: Measure,
    objects: MeasuredObjects,
    *,
    limits: Sequence[int],
    **options: Any,
) -> CocoCurves:
    """Compute COCO's curves, with the options of `coco_curves`, or LVIS's, whose only limit is the last."""
    measured = MeasuredDetections.of(detections, batch.sizes)
    # pycocotools takes images in the order of their ids, which decides between equal scores.
    order = np.argsort(truth.ids[batch.images])
    ids = np.argsort(order)
    similarity, areas = objects.compare(measured)
    found = FoundInstances(ids[images_of_rows(measured.offsets)], measured.labels, measured.scores, areas)
    true = TrueInstances(
        ids[images_of_rows(batch.offsets)], batch.labels, objects.areas, batch.crowd, objects.ignored
    )
    if batch.federation is not None:
        found, true = federated(found, true, batch.federation.take(order), limits[-1])
    return coco_curves(
        found,
        true,
        similarity,
        images=len(batch),
        labels=len(truth.table.labels),
        areas=measure.areas,
        limits=limits,
        **options,
    )


def is_beyond(detections: Detections, max_detections: int, by_label: bool = True) -> NDArray[np.bool_]:
    """Which rows are not among the best `max_detections` of their image and label, or image, (K,)."""
    if not len(detections) or np.diff(detections.offsets).max() <= max_detections:
        return np.zeros(len(detections.labels), np.bool_)
    images = images_of_rows(detections.offsets)
    if by_label:
        return ranks_of(images * len(detections.table.ids) + detections.labels) >= max_detections
    is_cut = np.empty(len(images), np.bool_)
    order = np.argsort(-detections.scores, kind="stable")
    is_cut[order] = ranks_of(images[order]) >= max_detections
    return is_cut
