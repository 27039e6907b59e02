"""The worst mistakes of an evaluation, and what each of them is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from postproc import ops
from postproc.evaluation.matches import NOTHING
from postproc.results.rows import images_of_rows

if TYPE_CHECKING:
    from postproc.evaluation.classification import ClassificationEvaluation
    from postproc.evaluation.detection import DetectionEvaluation

_NEAR = 0.1  # Jaccard index from which on a wrong detection counts as near an object

Corners = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong in an image.

    Parameters
    ----------
    image : int
        Row of the image among those that count.
    title, explanation : str
        What it is, and why it counts as wrong.
    box : tuple of float, optional
        What it is about: xmin, ymin, xmax, ymax in [0, 1] of the image; None for the whole image.
    is_object : bool
        Whether `box` is an object that was missed, or else a detection.
    others : list of tuple
        Boxes of the objects, or else of the detections, that the explanation is about.
    """

    image: int
    title: str
    explanation: str
    box: Corners | None = None
    is_object: bool = False
    others: list[Corners] = field(default_factory=list)


def false_detections(evaluation: DetectionEvaluation, most: int) -> list[Mistake]:
    """Give the wrong detections of the highest scores."""
    found, batch = evaluation.detections, evaluation.collected.truth
    images = images_of_rows(found.offsets)
    rows = np.flatnonzero(evaluation.matches.truth == NOTHING)
    rows = rows[np.argsort(-found.scores[rows], kind="stable")][:most]
    names = found.table.names
    mistakes = []
    for row in rows.tolist():
        image, label, box = int(images[row]), int(found.labels[row]), found.boxes[row]
        objects = slice(batch.offsets[image], batch.offsets[image + 1])
        corners = object_corners(evaluation, image)
        overlaps = ops.box_iou(box[None], corners)[0]
        alike = batch.labels[objects] == label
        other, others = _nearest(overlaps, ~alike), []
        same = _nearest(overlaps, alike)
        if same is not None and overlaps[same] >= evaluation.iou:
            explanation, others = "found twice: a better scored detection has this object", [same]
        elif other is not None and overlaps[other] >= evaluation.iou:
            explanation = f"wrong label: it is {names[batch.labels[objects][other]]}"
            others = [other]
        elif same is not None and overlaps[same] >= _NEAR:
            explanation = f"badly placed: its Jaccard index with the object is {overlaps[same]:.2f}"
            others = [same]
        else:
            explanation = "nothing like it is there"
        mistakes.append(
            Mistake(
                image,
                f"{names[label]}, score {found.scores[row]:.3f}",
                explanation,
                _as_box(box),
                others=[_as_box(corners[row]) for row in others],
            )
        )
    return mistakes


def missed_objects(evaluation: DetectionEvaluation, most: int) -> list[Mistake]:
    """Give the missed objects that take the largest share of their images."""
    found, batch, low = evaluation.detections, evaluation.collected.truth, evaluation.low_matches
    names, thresholds = found.table.names, found.table.thresholds
    missed = np.flatnonzero(~batch.crowd & ~np.isin(batch.rows, evaluation.matches.truth))
    images = images_of_rows(batch.offsets)
    shares = batch.boxes[:, 2] * batch.boxes[:, 3] / batch.sizes[images].prod(axis=1)
    missed = missed[np.argsort(-shares[missed], kind="stable")][:most]
    scores = {
        truth: score
        for truth, score in zip(low.truth.tolist(), low.score.tolist(), strict=True)
        if truth >= 0
    }
    mistakes = []
    for row in missed.tolist():
        image, label = int(images[row]), int(batch.labels[row])
        box = object_corners(evaluation, image)[row - batch.offsets[image]]
        own = slice(found.offsets[image], found.offsets[image + 1])
        overlaps = ops.box_iou(box[None], found.boxes[own])[0]
        nearest = _nearest(overlaps, found.labels[own] != label)
        score = scores.get(int(batch.rows[row]))
        others = []
        if nearest is not None and overlaps[nearest] >= evaluation.iou:
            wrong = found.labels[own][nearest]
            explanation = f"found as {names[wrong]}, score {found.scores[own][nearest]:.3f}"
            others = [_as_box(found.boxes[own][nearest])]
        elif score is not None and score <= thresholds[label]:
            explanation = f"its best score is {score:.3f}, the threshold {thresholds[label]:g}"
        else:
            explanation = "not found at any score"
        mistakes.append(Mistake(image, names[label], explanation, _as_box(box), True, others))
    return mistakes


def false_labels(evaluation: ClassificationEvaluation, most: int) -> list[Mistake]:
    """Give the predicted labels of the highest scores that are not on their images."""
    images, labels = np.nonzero(evaluation.predicted & ~evaluation.actual)
    scores = evaluation.scores[images, labels]
    return [
        Mistake(
            int(images[row]),
            f"{evaluation.table.names[labels[row]]}, score {scores[row]:.3f}",
            _really(evaluation, int(images[row])),
        )
        for row in np.argsort(-scores, kind="stable")[:most]
    ]


def missed_labels(evaluation: ClassificationEvaluation, most: int) -> list[Mistake]:
    """Give the labels that are on their images, but not predicted, of the lowest scores."""
    images, labels = np.nonzero(~evaluation.predicted & evaluation.actual)
    scores = np.nan_to_num(evaluation.scores[images, labels], nan=-np.inf)
    mistakes = []
    for row in np.argsort(scores, kind="stable")[:most].tolist():
        threshold = evaluation.table.thresholds[labels[row]]
        explanation = "without a score"
        if np.isfinite(scores[row]):
            explanation = f"its score is {scores[row]:.3f}, the threshold {threshold:g}"
        mistakes.append(Mistake(int(images[row]), evaluation.table.names[labels[row]], explanation))
    return mistakes


def object_corners(evaluation: DetectionEvaluation, image: int) -> NDArray[np.float32]:
    """Boxes of the objects of an image, xyxy in [0, 1]."""
    batch = evaluation.collected.truth
    boxes = batch.boxes[batch.offsets[image] : batch.offsets[image + 1]]
    height, width = batch.sizes[image]
    corners = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]) / [width, height, width, height]
    return np.asarray(corners, np.float32)


def _really(evaluation: ClassificationEvaluation, image: int) -> str:
    names = [evaluation.table.names[label] for label in np.flatnonzero(evaluation.actual[image])]
    return f"it is {', '.join(names)}" if names else "it has no label"


def _nearest(overlaps: NDArray[np.float32], among: NDArray[np.bool_]) -> int | None:
    rows = np.flatnonzero(among)
    return int(rows[np.argmax(overlaps[rows])]) if rows.size else None


def _as_box(corners: NDArray[np.float32]) -> Corners:
    xmin, ymin, xmax, ymax = corners.tolist()
    return xmin, ymin, xmax, ymax
