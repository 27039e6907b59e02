"""Precision and recall as COCO accumulates them, of whatever is matched: bit for bit those of pycocotools."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.evaluation.groups import Floats, FoundInstances, Groups, Integers, TrueInstances, sorted_by
from postproc.evaluation.ranking import Ranking
from postproc.evaluation.similarity import Similarity
from postproc.kernels.evaluation.curves import precision_recall

COCO_THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)
COCO_RECALLS: Floats = np.linspace(0.0, 1.0, 101)
_MOST = 1e5**2
COCO_AREAS: Mapping[str, tuple[float, float]] = {
    "all": (0, _MOST), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, _MOST)
}  # fmt: skip
COCO_LIMITS = (1, 10, 100)

_LEAST_OF_A_THREAD = 10_000  # detections


@dataclass(frozen=True, eq=False, slots=True)
class CocoCurves:
    """Precision and recall at T thresholds, of L labels, A ranges of areas and M limits.

    Parameters
    ----------
    precision : (T, R, L, A, M) float64
        Highest precision at each recall or above; -1 where a label has no object to find.
    recall : (T, L, A, M) float64
        That is reached; -1 as before.
    scores : (T, R, L, A, M) float64
        Of the last detection that is taken for each recall; 0 where it is not reached, -1 as before.
    thresholds : (T,) float64
        How alike a detection and its object are at least.
    areas : tuple of str
    limits : tuple of int
        Detections of an image and label that are looked at.
    ranking : Ranking
        What the curves are read off of.
    """

    precision: Floats
    recall: Floats
    scores: Floats
    thresholds: Floats
    areas: tuple[str, ...]
    limits: tuple[int, ...]
    ranking: Ranking

    def number(
        self,
        kind: str,
        threshold: float | None,
        area: str,
        limit: int,
        labels: NDArray[np.bool_] | None = None,
    ) -> float | None:
        """Mean precision or recall of all labels that have objects; None where none has.

        Parameters
        ----------
        kind : {"precision", "recall"}
        threshold : float or None
            One of `thresholds`; None for the mean of all.
        area : str
        limit : int
        labels : (L,) bool, optional
            Which are taken.
        """
        values = self.precision if kind == "precision" else self.recall
        chosen = values[..., self.areas.index(area), self.limits.index(limit)]
        chosen = chosen if labels is None else chosen[..., labels]
        return _mean(chosen if threshold is None else chosen[self._at(threshold)])

    def by_label(self, threshold: float | None = None, kind: str = "precision") -> Floats:
        """Mean precision or recall of each label, of all areas, at the last limit, (L,); NaN without objects.

        Parameters
        ----------
        threshold, kind
            As of `number`.
        """
        values = self.precision if kind == "precision" else self.recall
        chosen = values[..., self.areas.index("all"), -1]
        chosen = chosen if threshold is None else chosen[self._at(threshold)]
        return np.array([_mean(chosen[..., label]) for label in range(chosen.shape[-1])], np.float64)

    def mean_precision(self, threshold: float | None = None) -> Floats:
        """Mean precision of all labels that have objects by recall, (R,); NaN where none has.

        Of all areas, at the last limit, and of `threshold`, or else the mean of all thresholds.
        """
        chosen = self.precision[..., self.areas.index("all"), -1]
        chosen = chosen if threshold is None else chosen[self._at(threshold)]
        known = chosen[..., (chosen > -1).all(axis=(0, 1))]
        if not known.size:
            return np.full(chosen.shape[1], np.nan)
        return np.asarray(known.mean(axis=(0, 2)))

    def _at(self, threshold: float) -> NDArray[np.int64]:
        found = np.flatnonzero(np.isclose(self.thresholds, threshold, rtol=0, atol=1e-9))
        if not len(found):
            raise TensorError(f"threshold: expected one of {self.thresholds.tolist()}, got {threshold}")
        return found


def coco_curves(
    found: FoundInstances,
    truth: TrueInstances,
    similarity: Similarity,
    *,
    images: int,
    labels: int,
    thresholds: Floats = COCO_THRESHOLDS,
    areas: Mapping[str, tuple[float, float]] = COCO_AREAS,
    limits: Sequence[int] = COCO_LIMITS,
) -> CocoCurves:
    """Match detections to objects and accumulate, as pycocotools' ``evaluate`` and ``accumulate`` do.

    Parameters
    ----------
    found, truth : FoundInstances, TrueInstances
        In any order. Equal scores are met by ascending row of their images, and as they are given within one.
    similarity : Similarity
        What tells how alike they are: `similarity.of_boxes` and its like.
    images, labels : int
        How many there are.
    thresholds : (T,) float64
        How alike two are at least: above 0 and at most 1.
    areas : dict of str to (float, float)
        Least and largest areas; objects beyond are ignored.
    limits : sequence of int
        How many detections of an image and label are looked at; ascending.

    Raises
    ------
    TensorError
        If a row of an image or label, a score, a threshold or a limit is out of range.
    """
    check_matched(found, truth, labels, thresholds)
    if not len(limits) or limits[0] < 1 or list(limits) != sorted(set(limits)):
        raise TensorError(f"limits: expected ascending numbers of 1 or more, got {list(limits)}")
    known = np.flatnonzero((found.images >= 0) & (found.labels >= 0))
    order = sorted_by(found.images, known)
    order = order[np.argsort(-found.scores[order], kind="stable")]
    groups = Groups.of(found, truth, images, order, limits[-1])
    places = np.full(len(found), -1)
    places[groups.rows] = np.arange(len(groups.rows))
    by_score = places[sorted_by(found.labels, order)]
    pairs = similarity(groups, float(min(thresholds)))
    edges, ranges, crowd = np.arange(labels + 1), list(areas.values()), truth.crowd[groups.truths]
    offsets, truth_offsets = (np.searchsorted(of, edges) for of in (groups.labels, groups.truth_labels))
    values, by_score = found.scores[groups.rows].astype(np.float64), by_score[by_score >= 0]
    is_beyond = _beyond(found.areas[groups.rows], ranges)
    if found.unmatched_ignored is not None:
        is_beyond |= found.unmatched_ignored[groups.rows]
    ignored = crowd | truth.ignored[groups.truths] | _beyond(truth.areas[groups.truths], ranges)
    levels, most = np.asarray(thresholds, np.float64), np.asarray(limits, np.int64)

    def of_labels(first: int, last: int) -> tuple[Floats, ...]:
        return precision_recall(
            pairs.starts, pairs.truths, pairs.values, offsets[first : last + 1], values, groups.ranks,
            by_score, is_beyond, truth_offsets[first : last + 1], crowd, ignored, levels, COCO_RECALLS, most,
        )  # fmt: skip

    precision, recall, scores = _in_threads(of_labels, offsets)
    # To pycocotools' order of axes.
    return CocoCurves(
        precision.transpose(3, 4, 0, 1, 2),
        recall.transpose(3, 0, 1, 2),
        scores.transpose(3, 4, 0, 1, 2),
        levels,
        tuple(areas),
        tuple(limits),
        Ranking(
            pairs, offsets, truth_offsets, values, groups.ranks, by_score, is_beyond, crowd, ignored,
            found.images[groups.rows], truth.images[groups.truths], levels, most,
        ),
    )  # fmt: skip


def _in_threads(of_labels: Callable[[int, int], tuple[Floats, ...]], offsets: Integers) -> list[Floats]:
    """Join the results of runs of labels, which do not know each other: as many as there are processors."""
    count, labels = offsets[-1], len(offsets) - 1
    parts = max(1, min(os.cpu_count() or 1, int(count) // _LEAST_OF_A_THREAD))
    shares = np.linspace(0, count, parts + 1)[1:-1]
    bounds = [0, *np.searchsorted(offsets[1:], shares).tolist(), labels]
    with ThreadPoolExecutor(parts) as pool:
        found = list(pool.map(of_labels, bounds[:-1], bounds[1:]))
    return [np.concatenate(arrays) for arrays in zip(*found, strict=True)]


def check_matched(
    found: FoundInstances, truth: TrueInstances, labels: int, thresholds: Sequence[float] | Floats
) -> None:
    """Check what is to be matched: rows of labels, scores, and thresholds.

    Raises
    ------
    TensorError
        If one is out of range.
    """
    for instances in (found, truth):
        if len(instances) and instances.labels.max() >= labels:
            raise TensorError(
                f"labels: expected rows below {labels}, the number of labels, got {instances.labels.max()}"
            )
    if (wrong := np.flatnonzero(np.isnan(found.scores))).size:
        raise TensorError(f"scores: expected numbers, got NaN in row {wrong[0]}")
    if not len(thresholds) or not all(0 < value <= 1 for value in thresholds):
        raise TensorError(f"thresholds: expected numbers above 0 and at most 1, got {list(thresholds)}")


def _beyond(areas: Floats, ranges: Sequence[tuple[float, float]]) -> NDArray[np.bool_]:
    """Whether an area is out of each range, (A, N)."""
    low, high = np.array(ranges, np.float64).reshape(-1, 2, 1).transpose(1, 0, 2)
    return (areas < low) | (areas > high)


def _mean(values: Floats) -> float | None:
    known = values[values > -1]
    return float(np.mean(known)) if known.size else None
