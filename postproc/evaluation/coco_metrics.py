"""Average precision and recall as COCO defines them, computed by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.matches import in_coco_pixels
from postproc.installing import install
from postproc.results import images_of_rows

if TYPE_CHECKING:
    from postproc.evaluation.ground_truth import GroundTruth, TruthBatch
    from postproc.results import Detections

# COCO's twelve numbers: precision or recall, Jaccard index (None for the mean of 0.50 to 0.95), area, and
# most detections an image and label.
COCO_NUMBERS: dict[str, tuple[str, float | None, str, int]] = {
    "AP": ("precision", None, "all", 100),
    "AP50": ("precision", 0.5, "all", 100),
    "AP75": ("precision", 0.75, "all", 100),
    "AP_small": ("precision", None, "small", 100),
    "AP_medium": ("precision", None, "medium", 100),
    "AP_large": ("precision", None, "large", 100),
    "AR1": ("recall", None, "all", 1),
    "AR10": ("recall", None, "all", 10),
    "AR100": ("recall", None, "all", 100),
    "AR_small": ("recall", None, "small", 100),
    "AR_medium": ("recall", None, "medium", 100),
    "AR_large": ("recall", None, "large", 100),
}
_AREAS = ("all", "small", "medium", "large")
_MOST_DETECTIONS = (1, 10, 100)
# A detection is a dict of Python objects to faster-coco-eval, half a kilobyte: labels, of which each is
# evaluated on its own, are handed over in groups.
_DETECTIONS_AT_ONCE = 200_000
_PAIRS_AT_ONCE = 1_000_000


@dataclass(frozen=True, eq=False, slots=True)
class CocoMetrics:
    """COCO's numbers of a data set.

    Parameters
    ----------
    numbers : dict
        By the names of `COCO_NUMBERS`; None where the data set has no object to measure it on.
    average_precision : (L,) float64
        Mean over the Jaccard indices 0.50 to 0.95 of each label; NaN without objects.
    average_precision_50 : (L,) float64
        At a Jaccard index of 0.5.
    """

    numbers: dict[str, float | None]
    average_precision: NDArray[np.float64]
    average_precision_50: NDArray[np.float64]


def coco_metrics(truth: GroundTruth, batch: TruthBatch, detections: Detections) -> CocoMetrics:
    """Compute COCO's twelve numbers, as pycocotools does for boxes.

    Parameters
    ----------
    truth : GroundTruth
    batch : TruthBatch
        Of the images that count.
    detections : Detections
        Of the same images, in their order, at thresholds so low that all of interest are there.

    Raises
    ------
    ImportError
        If the extra ``eval`` is missing.
    """
    labels = len(truth.table.labels)
    images = images_of_rows(detections.offsets)
    owners = images_of_rows(batch.offsets)
    # COCO takes the first 100 of an image and label, which is all that it keeps in memory here.
    kept = np.flatnonzero(_rank_in_group(images * labels + detections.labels) < _MOST_DETECTIONS[-1])
    order = kept[np.argsort(detections.labels[kept], kind="stable")]
    boxes = in_coco_pixels(detections, batch.sizes)
    ends = np.searchsorted(detections.labels[order], np.arange(labels + 1))
    found: dict[str, list[NDArray[np.float64]]] = {"precision": [], "recall": []}
    for first, last in _groups(np.diff(ends), len(batch)):
        rows = order[ends[first] : ends[last]]
        of_group = np.flatnonzero((batch.labels >= first) & (batch.labels < last))
        results = _annotations(images[rows], detections.labels[rows], boxes[rows])
        for result, score in zip(results, detections.scores[rows].tolist(), strict=True):
            result["score"] = score
        objects = _annotations(owners[of_group], batch.labels[of_group], batch.boxes[of_group])
        areas, crowd = truth.areas[batch.rows[of_group]].tolist(), batch.crowd[of_group].tolist()
        for item, area, is_crowd in zip(objects, areas, crowd, strict=True):
            item.update(area=area, iscrowd=int(is_crowd))
        evaluated = _evaluate(len(batch), range(first, last), objects, results)
        for name, parts in found.items():
            parts.append(np.asarray(evaluated[name], np.float64))
    # (indices, recalls, labels, areas, most) and (indices, labels, areas, most); -1 where there is no object.
    precision = np.concatenate(found["precision"], axis=2)
    recall = np.concatenate(found["recall"], axis=1)
    values = {"precision": precision, "recall": recall}
    numbers = {
        name: _mean(_selected(values[kind], iou, area, most))
        for name, (kind, iou, area, most) in COCO_NUMBERS.items()
    }
    by_label = precision[:, :, :, 0, -1]
    return CocoMetrics(
        numbers,
        np.array([_mean(by_label[:, :, label]) for label in range(labels)], np.float64),
        np.array([_mean(by_label[0, :, label]) for label in range(labels)], np.float64),
    )


def _rank_in_group(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many rows of the same group come before each."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - np.repeat(starts, np.diff(starts, append=len(groups)))
    return ranks


def _groups(counts: NDArray[np.int64], images: int) -> Iterator[tuple[int, int]]:
    """Split the labels into runs that are evaluated at once."""
    first = total = 0
    for label, count in enumerate(counts.tolist()):
        pairs = (label - first + 1) * images
        if label > first and (total + count > _DETECTIONS_AT_ONCE or pairs > _PAIRS_AT_ONCE):
            yield first, label
            first, total = label, 0
        total += count
    yield first, len(counts)


def _annotations(
    images: NDArray[np.int64], labels: NDArray[np.int64], boxes: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """COCO's annotations, ids from 1 on: 0 would stand for no match."""
    columns = (images.tolist(), labels.tolist(), boxes.tolist(), (boxes[:, 2] * boxes[:, 3]).tolist())
    return [
        {"id": row, "image_id": image, "category_id": label, "bbox": box, "area": area, "iscrowd": 0}
        for row, (image, label, box, area) in enumerate(zip(*columns, strict=True), start=1)
    ]


def _evaluate(
    images: int, labels: range, objects: list[dict[str, Any]], results: list[dict[str, Any]]
) -> dict[str, Any]:
    """Give COCO's precision and recall arrays of some labels."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError as error:
        raise ImportError(f"COCO metrics need an extra: {install('eval')} ({error})") from error

    described = {
        "images": [{"id": row} for row in range(images)],
        "categories": [{"id": row, "name": str(row)} for row in labels],
    }
    evaluation = COCOeval_faster(
        COCO({**described, "annotations": objects}), COCO({**described, "annotations": results}), "bbox"
    )
    evaluation.params.catIds = list(labels)
    evaluation.params.maxDets = list(_MOST_DETECTIONS)
    evaluation.evaluate()
    evaluation.accumulate()
    arrays: dict[str, Any] = evaluation.eval
    return arrays


def _selected(values: NDArray[np.float64], iou: float | None, area: str, most: int) -> NDArray[np.float64]:
    chosen = values[..., _AREAS.index(area), _MOST_DETECTIONS.index(most)]
    return chosen if iou is None else chosen[round((iou - 0.5) / 0.05)]


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[values > -1]
    return float(np.mean(known)) if known.size else None
