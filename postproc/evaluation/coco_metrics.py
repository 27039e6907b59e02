"""Average precision and recall as COCO defines them, computed by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.evaluation.matches import in_coco_pixels
from postproc.installing import install
from postproc.results.rows import images_of_rows

if TYPE_CHECKING:
    from postproc.evaluation.ground_truth import GroundTruth, TruthBatch
    from postproc.results import Detections

MAX_DETECTIONS = 100  # COCO's own limit of detections an image and label
_FEWER = (1, 10)  # its other ones, of AR only

_AREAS = ("all", "small", "medium", "large")
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
        By the names of `coco_numbers`; None where the data set has no object to measure it on.
    average_precision : (L,) float64
        Mean over the Jaccard indices 0.50 to 0.95 of each label; NaN without objects.
    average_precision_50 : (L,) float64
        At a Jaccard index of 0.5.
    max_detections : int
        Of an image and label so many detections are looked at, those of the highest scores.
    """

    numbers: dict[str, float | None]
    average_precision: NDArray[np.float64]
    average_precision_50: NDArray[np.float64]
    max_detections: int


def coco_numbers(max_detections: int = MAX_DETECTIONS) -> dict[str, tuple[str, float | None, str, int]]:
    """Give what COCO's numbers are of, twelve unless `max_detections` is 10 or less.

    By name: precision or recall, Jaccard index (None for the mean of 0.50 to 0.95), area, and most detections
    an image and label.
    """
    most = max_detections
    limits = (*(fewer for fewer in _FEWER if fewer < most), most)
    areas = _AREAS[1:]
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
    ImportError
        If the extra ``eval`` is missing.
    """
    if max_detections < 1:
        raise TensorError(f"max_detections: expected a number of 1 or more, got {max_detections}")
    labels = len(truth.table.labels)
    # pycocotools takes images in the order of their ids, which decides between equal scores.
    ids = np.argsort(np.argsort(truth.ids[batch.images]))
    images = ids[images_of_rows(detections.offsets)]
    owners = ids[images_of_rows(batch.offsets)]
    kept = np.flatnonzero(~is_beyond(detections, max_detections))
    order = kept[np.argsort(detections.labels[kept], kind="stable")]
    boxes = in_coco_pixels(detections, batch.sizes)
    ends = np.searchsorted(detections.labels[order], np.arange(labels + 1))
    named = coco_numbers(max_detections)
    limits = sorted({limit for *_, limit in named.values()})
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
        evaluated = _evaluate(len(batch), range(first, last), objects, results, limits)
        for name, parts in found.items():
            parts.append(np.asarray(evaluated[name], np.float64))
    # (indices, recalls, labels, areas, most) and (indices, labels, areas, most); -1 where there is no object.
    precision = np.concatenate(found["precision"], axis=2)
    recall = np.concatenate(found["recall"], axis=1)
    values = {"precision": precision, "recall": recall}
    numbers = {
        name: _mean(_selected(values[kind][..., limits.index(limit)], iou, area))
        for name, (kind, iou, area, limit) in named.items()
    }
    by_label = precision[:, :, :, 0, -1]
    return CocoMetrics(
        numbers,
        np.array([_mean(by_label[:, :, label]) for label in range(labels)], np.float64),
        np.array([_mean(by_label[0, :, label]) for label in range(labels)], np.float64),
        max_detections,
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
    images: int,
    labels: range,
    objects: list[dict[str, Any]],
    results: list[dict[str, Any]],
    limits: list[int],
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
    evaluation.params.maxDets = limits
    evaluation.evaluate()
    evaluation.accumulate()
    arrays: dict[str, Any] = evaluation.eval
    return arrays


def _selected(values: NDArray[np.float64], iou: float | None, area: str) -> NDArray[np.float64]:
    chosen = values[..., _AREAS.index(area)]
    return chosen if iou is None else chosen[round((iou - 0.5) / 0.05)]


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[values > -1]
    return float(np.mean(known)) if known.size else None
