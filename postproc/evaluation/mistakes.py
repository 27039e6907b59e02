"""The worst mistakes of an evaluation, and what each of them is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.groups import Groups, Instances
from postproc.evaluation.matches import NOTHING
from postproc.evaluation.outlines import Outline, outline_detections, outline_objects
from postproc.results.rows import images_of_rows

if TYPE_CHECKING:
    from postproc.evaluation.classification import ClassificationEvaluation
    from postproc.evaluation.detection import DetectionEvaluation

_NEAR = 0.1  # how alike a wrong detection and an object are from which on it counts as near that
_LEAST = 1e-6


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong in an image.

    Parameters
    ----------
    image : int
        Row of the image among those that count.
    title, explanation : str
        What it is, and why it counts as wrong.
    about : Outline, optional
        What it is about; None for the whole image.
    is_object : bool
        Whether that is an object that was missed, or else a detection.
    others : list of Outline
        The objects, or else the detections, that the explanation is about.
    """

    image: int
    title: str
    explanation: str
    about: Outline | None = None
    is_object: bool = False
    others: list[Outline] = field(default_factory=list)


def false_detections(evaluation: DetectionEvaluation, most: int) -> list[Mistake]:
    """Give the wrong detections of the highest scores."""
    found, batch = evaluation.detections, evaluation.collected.truth
    images = images_of_rows(found.offsets)
    rows = np.flatnonzero(evaluation.matches.truth == NOTHING)
    rows = rows[np.argsort(-found.scores[rows], kind="stable")][:most]
    names, alikeness = found.table.names, _alikeness(evaluation)
    mistakes = []
    for row in rows.tolist():
        image, label = int(images[row]), int(found.labels[row])
        objects = slice(batch.offsets[image], batch.offsets[image + 1])
        overlaps = alikeness(image)[row - found.offsets[image]]
        alike = batch.labels[objects] == label
        other, others = _nearest(overlaps, ~alike), []
        same = _nearest(overlaps, alike)
        if same is not None and overlaps[same] >= evaluation.iou:
            explanation, others = "found twice: a better scored detection has this object", [same]
        elif other is not None and overlaps[other] >= evaluation.iou:
            explanation = f"wrong label: it is {names[batch.labels[objects][other]]}"
            others = [other]
        elif same is not None and overlaps[same] >= _NEAR:
            explanation = (
                f"badly placed: its {evaluation.measure.similarity} with the object is {overlaps[same]:.2f}"
            )
            others = [same]
        else:
            explanation = "nothing like it is there"
        mistakes.append(
            Mistake(
                image,
                f"{names[label]}, score {found.scores[row]:.3f}",
                explanation,
                outline_detections(evaluation, [row])[0],
                others=outline_objects(evaluation, [objects.start + other for other in others]),
            )
        )
    return mistakes


def missed_objects(evaluation: DetectionEvaluation, most: int) -> list[Mistake]:
    """Give the missed objects that take the largest share of their images."""
    found, batch, low = evaluation.detections, evaluation.collected.truth, evaluation.low_matches
    names, thresholds, alikeness = found.table.names, found.table.thresholds, _alikeness(evaluation)
    missed = np.flatnonzero(~batch.ignored & ~np.isin(batch.rows, evaluation.matches.truth))
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
        own = slice(found.offsets[image], found.offsets[image + 1])
        overlaps = alikeness(image)[:, row - batch.offsets[image]]
        nearest = _nearest(overlaps, found.labels[own] != label)
        score = scores.get(int(batch.rows[row]))
        others = []
        if nearest is not None and overlaps[nearest] >= evaluation.iou:
            wrong = found.labels[own][nearest]
            explanation = f"found as {names[wrong]}, score {found.scores[own][nearest]:.3f}"
            others = outline_detections(evaluation, [own.start + nearest])
        elif score is not None and score <= thresholds[label]:
            explanation = f"its best score is {score:.3f}, the threshold {thresholds[label]:g}"
        else:
            explanation = "not found at any score"
        about = outline_objects(evaluation, [row])[0]
        mistakes.append(Mistake(image, names[label], explanation, about, True, others))
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


def _alikeness(evaluation: DetectionEvaluation) -> Callable[[int], NDArray[np.float64]]:
    """Tell how alike the detections of an image, rows, and its objects are, by what is measured."""
    found, batch = evaluation.detections, evaluation.collected.truth
    similarity, _ = evaluation.objects.compare(found)
    images, owners = images_of_rows(found.offsets), images_of_rows(batch.offsets)

    def of_image(image: int) -> NDArray[np.float64]:
        rows, objects = (
            Instances(np.where(of == image, 0, -1), np.zeros(len(of), np.int64)) for of in (images, owners)
        )
        groups = Groups.of(rows, objects, 1)
        pairs = similarity(groups, _LEAST)
        values = np.zeros(
            (found.offsets[image + 1] - found.offsets[image], batch.offsets[image + 1] - batch.offsets[image])
        )
        of_pairs = np.repeat(groups.rows, np.diff(pairs.starts)) - found.offsets[image]
        values[of_pairs, groups.truths[pairs.truths] - batch.offsets[image]] = pairs.values
        return values

    return of_image


def _really(evaluation: ClassificationEvaluation, image: int) -> str:
    names = [evaluation.table.names[label] for label in np.flatnonzero(evaluation.actual[image])]
    return f"it is {', '.join(names)}" if names else "it has no label"


def _nearest(overlaps: NDArray[np.float64], among: NDArray[np.bool_]) -> int | None:
    rows = np.flatnonzero(among)
    return int(rows[np.argmax(overlaps[rows])]) if rows.size else None
