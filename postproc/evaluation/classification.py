"""How well labels of whole images are found: top-1 and top-5, average precision, and per label."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.base import Evaluation
from postproc.evaluation.collected import Collected
from postproc.evaluation.counts import ConfusionCounts
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.mistakes import Mistake, false_labels, missed_labels
from postproc.installing import install
from postproc.results import Classifications
from postproc.results.labels import LabelTable
from postproc.results.rows import images_of_rows


@dataclass(frozen=True, eq=False, slots=True)
class ClassificationEvaluation(Evaluation):
    """How well the labels of the images of a data set are found.

    Parameters
    ----------
    truth : GroundTruth
    collected : Collected
    table : LabelTable
    actual : (I, L) bool
        Which labels are on each image.
    scores : (I, L) float32
        NaN where there is none, as of an image without a prediction.
    predicted : (I, L) bool
        Whether a score is above its label's threshold.
    top1, top5 : float or None
        Share of the images with a label of which one is that of the highest, or one of the five highest
        scores; None for labels that do not exclude each other, and without any such image.
    average_precision : tuple of float or None
        Of each label; None without examples.
    """

    table: LabelTable
    actual: NDArray[np.bool_]
    scores: NDArray[np.float32]
    predicted: NDArray[np.bool_]
    top1: float | None
    top5: float | None
    average_precision: tuple[float | None, ...]

    written = property(attrgetter("actual"))  # its older name

    @property
    def mean_average_precision(self) -> float | None:
        """Mean over the labels that have examples."""
        known = [value for value in self.average_precision if value is not None]
        return float(np.mean(known)) if known else None

    @property
    def precision(self) -> tuple[float | None, ...]:
        """That of each label at the version's thresholds."""
        return tuple(label.precision for label in self.by_label())

    @property
    def recall(self) -> tuple[float | None, ...]:
        """That of each label at the version's thresholds."""
        return tuple(label.recall for label in self.by_label())

    @property
    def f1(self) -> tuple[float | None, ...]:
        """That of each label at the version's thresholds."""
        return tuple(label.f1 for label in self.by_label())

    def by_label(self) -> list[ConfusionCounts]:
        """Count what was found of each label at the version's thresholds; objects are images."""
        kinds = (self.actual, self.predicted & self.actual, self.predicted & ~self.actual)
        return ConfusionCounts.of_labels(*(kind.sum(axis=0) for kind in kinds))

    def total(self) -> ConfusionCounts:
        """Count what was found of all labels together."""
        return ConfusionCounts.total(self.by_label())

    def curve(self, label: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Precision and recall of a label as its threshold falls, one point an image that has a score."""
        rows = np.flatnonzero(~np.isnan(self.scores[:, label]))
        rows = rows[np.argsort(-self.scores[rows, label], kind="stable")]
        tp = np.cumsum(self.actual[rows, label])
        return tp / np.arange(1, len(rows) + 1), tp / max(int(self.actual[:, label].sum()), 1)

    def label_scores(self, label: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scores of the images that have a label, and of those that do not."""
        scores, actual = self.scores[:, label], self.actual[:, label]
        known = ~np.isnan(scores)
        return scores[known & actual], scores[known & ~actual]

    def mistakes(self, most: int) -> tuple[list[Mistake], list[Mistake]]:
        """Give the false positives of the highest scores and the false negatives of the lowest."""
        return false_labels(self, most), missed_labels(self, most)

    def to_dict(self) -> dict[str, Any]:
        """All numbers, ready for JSON; None (null) where there is nothing to measure a number on."""
        labels = []
        for row, found in enumerate(self.by_label()):
            label = {"id": self.table.ids[row].item(), "name": self.table.names[row]}
            counts = {name: value for name, value in found.to_dict().items() if name != "ignored"}
            threshold = {"threshold": self.table.thresholds[row]}
            labels.append({**label, **threshold, **counts, "AP": self.average_precision[row]})
        return {
            "task": "classification",
            "images": len(self.collected.truth),
            "images_without_prediction": len(self.collected.missing),
            "top1": self.top1,
            "top5": self.top5,
            "mAP": self.mean_average_precision,
            "total": {name: value for name, value in self.total().to_dict().items() if name != "ignored"},
            "labels": labels,
        }


def evaluate_classifications(truth: GroundTruth, collected: Collected) -> ClassificationEvaluation:
    """Measure labels of whole images by their ground truth.

    Parameters
    ----------
    truth : GroundTruth
    collected : Collected
        With the discarded scores of every label: of a call with ``show_discarded=True`` and a
        `max_predictions` of at least the number of labels.

    Raises
    ------
    ImportError
        If the extra ``eval`` is missing.
    """
    found: Classifications = collected.recognitions.outputs[0]
    shape = (len(found), len(found.table.names))
    images = images_of_rows(found.offsets)
    scores = np.full(shape, np.nan, np.float32)
    scores[images, found.labels] = found.scores
    predicted = np.zeros(shape, np.bool_)
    predicted[images, found.labels] = found.predicted
    actual = np.zeros(shape, np.bool_)
    batch = collected.truth
    actual[images_of_rows(batch.offsets), batch.labels] = True
    is_exclusive = truth.table.exclusive
    return ClassificationEvaluation(
        truth=truth,
        collected=collected,
        table=found.table,
        actual=actual,
        scores=scores,
        predicted=predicted,
        top1=_top(actual, scores, 1) if is_exclusive else None,
        top5=_top(actual, scores, 5) if is_exclusive else None,
        average_precision=_average_precision(actual, scores),
    )


def _top(actual: NDArray[np.bool_], scores: NDArray[np.float32], count: int) -> float | None:
    labelled = actual.any(axis=1)
    if not labelled.any():
        return None
    best = np.argsort(-_filled(scores), axis=1, kind="stable")[:, :count]
    hits = np.take_along_axis(actual, best, axis=1) & ~np.isnan(np.take_along_axis(scores, best, axis=1))
    return float(hits[labelled].any(axis=1).mean())


def _average_precision(actual: NDArray[np.bool_], scores: NDArray[np.float32]) -> tuple[float | None, ...]:
    try:
        from sklearn import metrics
    except ImportError as error:
        raise ImportError(f"classification metrics need an extra: {install('eval')} ({error})") from error
    filled = _filled(scores)
    return tuple(
        float(metrics.average_precision_score(actual[:, label], filled[:, label]))
        if actual[:, label].any()
        else None
        for label in range(actual.shape[1])
    )


def _filled(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores with the lowest of numbers where there is none."""
    return np.where(np.isnan(scores), np.finfo(np.float32).min, scores)
