"""Signs that tensors hold something else than a document says: logged once an output, whatever they are.

None has any effect on results.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from postproc.tensors import QUANTISED_ADVICE

if TYPE_CHECKING:
    from postproc.results.keypoints import KeypointDetections

logger = logging.getLogger("postproc.signs")  # documented: it stays where modules move

# Half precision and 8 bits round a probability to 256/255 at most, and to as much below 0.
_MARGIN = 0.01
HIGHEST_PROBABILITY = 1.0 + _MARGIN
# A tensor of nothing but zeros, of an empty image, says nothing: the next one is looked at, but not for ever.
_LOOKS = 10
# Some networks leave an angle as it comes, but seldom beyond a turn, in radians.
_TURN = 2 * np.pi
# COCO's visibility is 0, 1 or 2; a probability is less.
_HIGHEST_VISIBILITY = 2.0 + _MARGIN
# In fewer boxes all keypoints may lie elsewhere by chance.
_ENOUGH_BOXES = 4
# A part of a person may be outside of its box. Points of three numbers, read in pairs, are to two thirds.
_MOST_KEYPOINTS_FAR = 0.5
# In fewer rows scores of 0 and 1 may be chance, or somebody's test.
_ENOUGH_ROWS = 50
_SAMPLED_ROWS = 64


class ScoreSigns:
    """What the scores of an output look like, and whether that has been said.

    Parameters
    ----------
    name : str
        The tensor that holds the scores.
    kind : str
        The kind of output that it is read as.
    has_activation : bool
        Whether that kind has a `score_activation` to declare.
    labels : tuple of str
        Names of the labels.
    classes_name, keypoints_name : str, optional
        The tensors that hold classes and keypoints, where they are others.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        has_activation: bool,
        labels: tuple[str, ...],
        classes_name: str | None = None,
        keypoints_name: str | None = None,
    ) -> None:
        self._name = name
        self._classes_name = classes_name or name
        self._keypoints_name = keypoints_name or name
        self._kind = kind
        self._remedy = (
            "declare score_activation"
            if has_activation
            else f"{kind} takes probabilities: export the network with its sigmoid"
        )
        self._labels = labels
        self._said: dict[str, object] = {}
        self.looks_left = _LOOKS
        self.looks_at_keypoints_left = _LOOKS

    def see_highest(self, score: float) -> None:
        """Warn of a score above 1 that has been found."""
        self._warn(f"scores in tensor {self._name!r} reach up to {score:.4g}; {self._causes}")

    def look(self, scores: NDArray[np.float32]) -> None:
        """Look at all scores of a call, (B, N, L) of labels or of another shape, before any threshold.

        Warns if some are below 0, or if those of a label look like the classes of finished rows. To be called
        while there are `looks_left`.
        """
        if scores.size == 0:
            return
        with np.errstate(all="ignore"):
            lowest, highest = float(scores.min()), float(scores.max())
            if lowest == highest == 0.0:
                self.looks_left -= 1
                return
            self.looks_left = 0
            if not lowest >= -_MARGIN:  # or NaN; -inf may mask a score
                finite = scores[np.isfinite(scores)]
                if not finite.size:
                    return
                lowest, highest = float(finite.min()), float(finite.max())
            if lowest < -_MARGIN:
                reach = f"reach from {lowest:.4g} to {highest:.4g}"
                self._warn(f"scores in tensor {self._name!r} {reach}; {self._causes}")
                return
            column = _class_column(scores) if scores.ndim == 3 else None
        if column is not None:
            self._warn(
                f"tensor {self._name!r}: what is read as scores of the label {self._labels[column]!r} are "
                f"whole numbers in each of {scores.shape[0] * scores.shape[1]} rows, as classes are: is it a "
                f"table of finished detections, or of another kind than {self._kind}?"
            )

    def see_odd_class(self, number: float) -> None:
        """Warn of a class that is no whole number, even after another sign: its boxes are skipped."""
        own = object()
        if self._said.setdefault("class", own) is own:
            self._said.setdefault("", own)
            logger.warning(
                "tensor %r holds %.4g where a class is read, which is a whole number, and its box is "
                "skipped: %s",
                *(self._classes_name, number, self._another_kind),
            )

    def look_at_angles(self, angles: NDArray[np.float32]) -> None:
        """Look at all angles of a call: warns if most of them are more than a turn."""
        given = np.abs(angles[np.isfinite(angles) & (angles != 0.0)])
        if len(given) and (usual := float(np.median(given))) > _TURN:
            self._warn(
                f"tensor {self._name!r} holds numbers of about {usual:.4g} where angles in radians are read: "
                f"if they are degrees, convert them; else, {self._another_kind}"
            )

    def look_at_keypoints(self, found: KeypointDetections) -> None:
        """Look at the keypoints of boxes that are found, while there are `looks_at_keypoints_left`.

        Warns if their third number is no probability, or if most of them lie far from their boxes.
        """
        keypoints = found.keypoints
        there = (keypoints != 0.0).any(axis=2)
        boxes = int(there.any(axis=1).sum())
        if not boxes:
            return
        enough = boxes >= _ENOUGH_BOXES
        self.looks_at_keypoints_left = 0 if enough else self.looks_at_keypoints_left - 1
        if keypoints.shape[2] == 3 and (highest := float(keypoints[:, :, 2].max())) > _HIGHEST_VISIBILITY:
            self._warn(
                f"keypoints in tensor {self._keypoints_name!r} have a third number of up to {highest:.4g}, "
                "which is to be a probability: if they are x and y only, declare dimensions 2; else, "
                f"{self._another_kind}"
            )
        elif enough:
            low, high = found.boxes[:, None, :2], found.boxes[:, None, 2:]
            points, reach = keypoints[:, :, :2], (high - low) / 2
            near = ((points >= low - reach) & (points <= high + reach)).all(axis=2)
            far = 1 - (near & there).sum() / there.sum()
            if far > _MOST_KEYPOINTS_FAR:
                self._warn(
                    f"keypoints in tensor {self._keypoints_name!r} are far from their boxes, {far:.0%} of "
                    f"them in {boxes} boxes: {self._another_kind}"
                )

    @property
    def _another_kind(self) -> str:
        return f"are its columns in another order, or is it of another kind than {self._kind}?"

    @property
    def _causes(self) -> str:
        return (
            f"probabilities are 0 to 1. If they are logits, {self._remedy}; {QUANTISED_ADVICE}; else the "
            f"tensor may be of another kind than {self._kind}"
        )

    def _warn(self, message: str) -> None:
        own = object()
        if self._said.setdefault("", own) is own:  # of several threads one
            logger.warning(message)


def _class_column(scores: NDArray[np.float32]) -> int | None:
    """Label whose scores look like classes, if there is one.

    They are whole, not all 0, and each that is not 0 has a fraction beside it, the score of its row: in
    one-hot scores none has.
    """
    images, rows, labels = scores.shape
    if labels < 2 or images * rows < _ENOUGH_ROWS:
        return None
    columns = np.flatnonzero(_is_whole(scores[:, :: rows // _SAMPLED_ROWS + 1]).all(axis=(0, 1)))
    columns = columns[_is_whole(scores[:, :, columns]).all(axis=(0, 1))]  # of few, as a rule of none
    for column in columns.tolist():
        named = scores[scores[:, :, column] != 0.0]
        if len(named) and not _is_whole(named).all(axis=1).any():
            return int(column)
    return None


def _is_whole(numbers: NDArray[Any]) -> NDArray[np.bool_]:
    whole: NDArray[np.bool_] = np.trunc(numbers) == numbers
    return whole
