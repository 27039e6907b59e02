"""What thresholds are chosen from: the scores of an output, label by label, and which are true positives."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.matches import IGNORED, Matches

_ROW = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True, eq=False, slots=True)
class RankedMatches:
    """Detections or classifications of an output at the lowest thresholds, sorted once for all of them.

    Parameters
    ----------
    image : (K,) int64
        Number of the image, below `images`.
    label : (K,) int64
        Row of the spec's label, ascending.
    score : (K,) float32
        Descending within a label.
    is_true_positive : (K,) bool
        Whether it takes an object of the ground truth; a false positive otherwise.
    offsets : (L + 1,) int64
        The rows of label l are ``offsets[l]`` to ``offsets[l + 1]``.
    objects : (G, 2) int64
        Image and label of each object that counts.
    images : int
    """

    image: NDArray[np.int64]
    label: NDArray[np.int64]
    score: NDArray[np.float32]
    is_true_positive: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    objects: NDArray[np.int64]
    images: int

    @classmethod
    def of(cls, matches: Matches, labels: int, images: NDArray[np.int64] | None = None) -> RankedMatches:
        """Sort matches. What is ignored (crowds) is left out.

        Parameters
        ----------
        matches : Matches
            Of predictions, whose scores are above a threshold and so above 0.
        labels : int
            Number of labels of the output.
        images : (I,) int64, optional
            Rows of all images in the ground truth, ascending; by default those up to ``matches.images``.
        """
        counted = np.flatnonzero(matches.truth != IGNORED)
        labelled = matches.label[counted]
        offsets = np.concatenate([[0], np.cumsum(np.bincount(labelled, minlength=labels))]).astype(np.int64)
        # By label, which 16 bits make a radix sort; then keys of a score and a row, since sorting keys is
        # several times as fast as sorting rows by them.
        small = labelled.astype(np.uint16 if labels < 1 << 16 else np.int64)
        rows = counted[np.argsort(small, kind="stable")]
        keys = _sortable(matches.score[rows]) | np.arange(len(rows), dtype=np.uint64)
        for start, stop in itertools.pairwise(offsets.tolist()):
            keys[start:stop].sort()
        rows = rows[(keys & _ROW).astype(np.int64)]
        label = matches.label[rows]
        known = np.arange(matches.images) if images is None else images
        objects = np.stack([np.searchsorted(known, matches.objects[:, 0]), matches.objects[:, 1]], axis=1)
        return cls(
            image=np.searchsorted(known, matches.image[rows]),
            label=label,
            score=matches.score[rows],
            is_true_positive=matches.truth[rows] >= 0,
            offsets=offsets,
            objects=objects,
            images=len(known),
        )

    @property
    def labels(self) -> int:
        """Number of labels."""
        return len(self.offsets) - 1

    def objects_by_label(self) -> NDArray[np.int64]:
        """Objects of each label, (L,)."""
        return np.bincount(self.objects[:, 1], minlength=self.labels).astype(np.int64)

    def above(self, thresholds: Sequence[float] | NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which rows a version with these thresholds predicts, (K,)."""
        return self.score > np.asarray(thresholds, np.float64).astype(np.float32)[self.label]

    def counts(self, kept: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Count true and false positives among the rows where `kept` (K,) holds, by label, (L,) each."""
        true_positives = np.bincount(self.label[kept & self.is_true_positive], minlength=self.labels)
        false_positives = np.bincount(self.label[kept & ~self.is_true_positive], minlength=self.labels)
        return true_positives.astype(np.int64), false_positives.astype(np.int64)


def _sortable(scores: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Keys whose upper half ascends as positive scores descend, and whose lower half is free."""
    return (~scores.view(np.uint32)).astype(np.uint64) << np.uint64(32)
