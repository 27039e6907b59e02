"""How well labels of whole images are found: top-1 and top-5, average precision, and per label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.collecting import Collected
from postproc.evaluation.detection import Found
from postproc.evaluation.ground_truth import GroundTruth
from postproc.installing import install
from postproc.results import Classifications
from postproc.results.labels import LabelTable
from postproc.results.rows import images_of_rows


@dataclass(frozen=True, eq=False, slots=True)
class ClassificationEvaluation:
    """How well the labels of the images of a data set are found.

    Parameters
    ----------
    truth : GroundTruth
    collected : Collected
    table : LabelTable
    written : (I, L) bool
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
    precision, recall, f1 : tuple of float or None
        Of each label, at the version's thresholds.
    """

    truth: GroundTruth
    collected: Collected
    table: LabelTable
    written: NDArray[np.bool_]
    scores: NDArray[np.float32]
    predicted: NDArray[np.bool_]
    top1: float | None
    top5: float | None
    average_precision: tuple[float | None, ...]
    precision: tuple[float | None, ...]
    recall: tuple[float | None, ...]
    f1: tuple[float | None, ...]

    @property
    def mean_average_precision(self) -> float | None:
        """Mean over the labels that have examples."""
        known = [value for value in self.average_precision if value is not None]
        return float(np.mean(known)) if known else None

    def by_label(self) -> list[Found]:
        """Count what was found of each label at the version's thresholds; objects are images."""
        right = (self.predicted & self.written).sum(axis=0)
        counts = (self.written.sum(axis=0), right, self.predicted.sum(axis=0) - right)
        return [Found(*map(int, row)) for row in zip(*counts, strict=True)]

    def total(self) -> Found:
        """Count what was found of all labels together."""
        right = self.predicted & self.written
        return Found(int(self.written.sum()), int(right.sum()), int((self.predicted & ~self.written).sum()))

    def curve(self, label: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Precision and recall of a label as its threshold falls, one point an image that has a score."""
        rows = np.flatnonzero(~np.isnan(self.scores[:, label]))
        rows = rows[np.argsort(-self.scores[rows, label], kind="stable")]
        right = np.cumsum(self.written[rows, label])
        return right / np.arange(1, len(rows) + 1), right / max(int(self.written[:, label].sum()), 1)

    def to_dict(self) -> dict[str, Any]:
        """All numbers, ready for JSON; None (null) where there is nothing to measure a number on."""
        labels = []
        for row, found in enumerate(self.by_label()):
            label = {"id": self.table.ids[row].item(), "name": self.table.names[row]}
            shares = {"precision": self.precision[row], "recall": self.recall[row], "f1": self.f1[row]}
            counts = {name: value for name, value in found.to_dict().items() if name != "ignored"}
            threshold = {"threshold": self.table.thresholds[row]}
            labels.append({**label, **threshold, **counts, **shares, "AP": self.average_precision[row]})
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
    written = np.zeros(shape, np.bool_)
    batch = collected.truth
    written[images_of_rows(batch.offsets), batch.labels] = True
    is_exclusive = truth.table.exclusive
    precision, recall, f1 = _shares(written, predicted)
    return ClassificationEvaluation(
        truth=truth,
        collected=collected,
        table=found.table,
        written=written,
        scores=scores,
        predicted=predicted,
        top1=_top(written, scores, 1) if is_exclusive else None,
        top5=_top(written, scores, 5) if is_exclusive else None,
        average_precision=_average_precision(written, scores),
        precision=precision,
        recall=recall,
        f1=f1,
    )


def _top(written: NDArray[np.bool_], scores: NDArray[np.float32], count: int) -> float | None:
    labelled = written.any(axis=1)
    if not labelled.any():
        return None
    best = np.argsort(-_filled(scores), axis=1, kind="stable")[:, :count]
    hits = np.take_along_axis(written, best, axis=1) & ~np.isnan(np.take_along_axis(scores, best, axis=1))
    return float(hits[labelled].any(axis=1).mean())


def _average_precision(written: NDArray[np.bool_], scores: NDArray[np.float32]) -> tuple[float | None, ...]:
    metrics = _scikit_learn()
    filled = _filled(scores)
    return tuple(
        float(metrics.average_precision_score(written[:, label], filled[:, label]))
        if written[:, label].any()
        else None
        for label in range(written.shape[1])
    )


def _shares(written: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> list[tuple[float | None, ...]]:
    """Precision, recall and F1 of each label; None where there is nothing to divide by, or no example."""
    metrics = _scikit_learn()
    labels = written.shape[1]
    # Two columns more: scikit-learn takes a single column for labels that exclude each other.
    padding = ((0, 0), (0, 2))
    shares = metrics.precision_recall_fscore_support(
        np.pad(written, padding), np.pad(predicted, padding), average=None, zero_division=np.nan
    )[:3]
    examples = written.sum(axis=0) > 0
    return [
        tuple(
            float(value) if not np.isnan(value) and (name == "precision" or examples[label]) else None
            for label, value in enumerate(values[:labels])
        )
        for name, values in zip(("precision", "recall", "f1"), shares, strict=True)
    ]


def _filled(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores with the lowest of numbers where there is none."""
    return np.where(np.isnan(scores), np.finfo(np.float32).min, scores)


def _scikit_learn() -> Any:
    try:
        from sklearn import metrics
    except ImportError as error:
        raise ImportError(f"classification metrics need an extra: {install('eval')} ({error})") from error
    return metrics
