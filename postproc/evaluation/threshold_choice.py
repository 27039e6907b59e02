"""The choice itself: one cut a label, and of several NMS thresholds the one whose cuts are best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError
from postproc.evaluation.ranked_matches import RankedMatches
from postproc.kernels.evaluation import cuts

if TYPE_CHECKING:
    from postproc.evaluation.validation import Gain

ALL = -1  # no group is left out

_KINDS = {"f1": cuts.F1, "precision": cuts.PRECISION, "false_positives": cuts.FALSE_POSITIVES}


@dataclass(frozen=True, slots=True)
class Objective:
    """What a threshold is chosen for.

    Parameters
    ----------
    kind : {"f1", "precision", "false_positives"}
        The best F1 of the label; the highest recall with at least the wanted precision; the highest recall
        with at most the wanted number of false positives of the label an image.
    wanted : float
        The precision, above 0 and at most 1, or the number of false positives, 0 or more; not used for F1.

    Raises
    ------
    SchemaError
        If `wanted` is out of range.
    """

    kind: Literal["f1", "precision", "false_positives"] = "f1"
    wanted: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise SchemaError(f"objective: expected one of {', '.join(_KINDS)}, got {self.kind!r}")
        if self.kind == "precision" and not 0 < self.wanted <= 1:
            raise SchemaError(f"precision: expected a number above 0 and at most 1, got {self.wanted!r}")
        if self.kind == "false_positives" and not 0 <= self.wanted < float("inf"):
            raise SchemaError(f"false positives an image: expected 0 or more, got {self.wanted!r}")

    def measure(self, measures: Mapping[str, Gain], labels: int) -> tuple[str, bool]:
        """Name the measure that new thresholds are to better, and whether better is less.

        Parameters
        ----------
        measures : mapping of str to Gain
            As of `Validation`.
        labels : int
            How many labels there are, each of which may have the wanted number of false positives.
        """
        if self.kind == "precision" and measures["precision"].before < self.wanted:
            return "precision", False
        if self.kind == "false_positives" and measures["false_positives"].before > self.wanted * labels:
            return "false_positives", True
        return ("macro_f1" if self.kind == "f1" else "recall"), False

    def __str__(self) -> str:
        if self.kind == "f1":
            return "best F1 of each label"
        if self.kind == "precision":
            return f"highest recall of each label with a precision of {self.wanted:g} at least"
        return f"highest recall of each label with {self.wanted:g} false positives an image at most"


@dataclass(frozen=True, eq=False, slots=True)
class Variant:
    """The matches that a version yields with one `nms_threshold`.

    Parameters
    ----------
    nms_threshold : float or None
        None for labels of whole images, and where each label has one of its own.
    ranked : RankedMatches
    """

    nms_threshold: float | None
    ranked: RankedMatches


@dataclass(frozen=True, eq=False, slots=True)
class ThresholdChoice:
    """Thresholds chosen from data.

    Parameters
    ----------
    variant : int
        Which of the variants.
    thresholds : (L,) float64
    values : (L,) float64
        What the objective comes to: F1, or how many true positives there are; 0 for labels without a cut.
    precisions : (L,) float64
        The highest precision that any threshold has.
    """

    variant: int
    thresholds: NDArray[np.float64]
    values: NDArray[np.float64]
    precisions: NDArray[np.float64]


def choose(
    variants: Sequence[Variant],
    old: NDArray[np.float64],
    floors: NDArray[np.float64],
    considered: NDArray[np.bool_],
    objective: Objective,
    folds: NDArray[np.int16] | None = None,
    left_out: int = ALL,
) -> ThresholdChoice:
    """Choose a threshold for each label, and with several variants one of them.

    The variant is the one whose labels have the highest mean F1, or for the other objectives the highest
    mean recall; a label without a cut counts as 0 there. Of equal ones the first.

    Parameters
    ----------
    variants : sequence of Variant
        That of the version itself first.
    old, floors : (L,) float64
        Thresholds of the version, which labels without a cut keep, and those that the matches were made with.
    considered : (L,) bool
        Labels that get a new threshold.
    objective : Objective
    folds : (images,) int16, optional
    left_out : int
        The images of this fold are not looked at.
    """
    first = variants[0].ranked
    if folds is None:
        folds = np.zeros(first.images, np.int16)
    objects = np.bincount(
        first.objects[folds[first.objects[:, 0]] != left_out, 1], minlength=first.labels
    ).astype(np.int64)
    images = int(np.count_nonzero(folds != left_out))
    best: ThresholdChoice | None = None
    best_mean = -1.0
    for number, variant in enumerate(variants):
        ranked = variant.ranked
        last, following, values, precisions = cuts.best_cuts(
            ranked.score, ranked.is_true_positive, folds[ranked.image], ranked.offsets, objects,
            max(images, 1), left_out, _KINDS[objective.kind], float(objective.wanted),
        )  # fmt: skip
        shares = values if objective.kind == "f1" else values / np.maximum(objects, 1)
        mean = float(shares[considered].mean()) if considered.any() else 0.0
        if best is None or mean > best_mean:
            thresholds = old.copy()
            for label in np.flatnonzero(considered & (last >= 0)).tolist():
                kept = ranked.score[last[label]]
                below = ranked.score[following[label]] if following[label] >= 0 else floors[label]
                thresholds[label] = between(np.float32(below), kept)
            best, best_mean = ThresholdChoice(number, thresholds, values, precisions), mean
    assert best is not None  # there is one variant at least
    return best


def between(below: np.float32, kept: np.float32) -> float:
    """Threshold that `kept` is above and `below` is not, as float32, in few digits near the middle.

    Both in [0, 1] but `kept`, which may be larger; `below` is less than `kept`.
    """
    middle = (float(below) + min(float(kept), 1.0)) / 2
    for digits in range(2, 10):
        threshold = round(middle, digits)
        if below <= np.float32(threshold) < kept:
            return threshold
    return float(below)
