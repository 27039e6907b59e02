"""What one pass over the images yields: its matches, batch after batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.evaluation.ground_truth import TruthBatch
from postproc.evaluation.matches import NOTHING, Matches, match
from postproc.evaluation.one_pass import OnePass, Passed
from postproc.evaluation.predictions import Predictions
from postproc.evaluation.ranked_matches import RankedMatches
from postproc.evaluation.seen_images import SeenImages
from postproc.evaluation.threshold_choice import Variant
from postproc.results import Classifications, Detections
from postproc.results.rows import images_of_rows


@dataclass(frozen=True, eq=False, slots=True)
class PassMatches:
    """What one pass yields.

    Parameters
    ----------
    variants : tuple of tuple of Variant
        Of each output of the pass, that of the version's own NMS threshold first.
    missing, unknown : tuple of tuple of str
        Of each output, images of the ground truth that were not predicted, all of whose objects count as
        missed, and predicted ones that the ground truth does not know, which are left out.
    """

    variants: tuple[tuple[Variant, ...], ...]
    missing: tuple[tuple[str, ...], ...]
    unknown: tuple[tuple[str, ...], ...]


def gather(
    plan: OnePass, predictions: Predictions, *, iou: float = 0.5, only_predicted: bool = False
) -> PassMatches:
    """Match the predictions of a pass to the ground truth, batch after batch; only matches are kept.

    Parameters
    ----------
    plan : OnePass
    predictions : iterable of (names, sizes, Recognitions)
        By a `PostProcessor` of the plan's documents with `max_predictions` of `PASS_PREDICTIONS`.
    iou : float
        Jaccard index from which on a detection takes an object, above 0 and at most 1.
    only_predicted : bool
        Leave out images of the ground truth that were not predicted.

    Raises
    ------
    TensorError
        If an image has more detections than `PASS_PREDICTIONS`.
    SchemaError
        If no image is known to the ground truth, or one is predicted twice.
    """
    outputs = [_OutputMatches(passed, iou) for passed in plan.outputs]
    for names, sizes, recognitions in predictions:
        for output in outputs:
            passed = output.passed
            results = recognitions.outputs[passed.first : passed.first + len(passed.nms_thresholds)]
            output.add([str(name) for name in names], np.asarray(sizes, np.int64), results)
    return PassMatches(
        tuple(output.variants(only_predicted) for output in outputs),
        tuple(() if only_predicted else output.images.missing() for output in outputs),
        tuple(tuple(output.images.unknown) for output in outputs),
    )


class _OutputMatches:
    """Matches of one output, a list for each variant."""

    def __init__(self, passed: Passed, iou: float) -> None:
        self.passed = passed
        self.images = SeenImages(passed.truth)
        self._iou = iou
        self._sizes = np.zeros((len(passed.truth), 2), np.int64)
        self._parts: list[list[Matches]] = [[] for _ in passed.nms_thresholds]

    def add(
        self, names: list[str], sizes: NDArray[np.int64], results: Sequence[Classifications | Detections]
    ) -> None:
        truth = self.passed.truth
        rows = self.images.add(names)
        known = [index for index, row in enumerate(rows) if row is not None]
        if not known:
            return
        images = np.array([row for row in rows if row is not None], np.int64)
        batch = truth.batch(images, sizes[known])
        self._sizes[images] = batch.sizes
        for parts, result in zip(self._parts, results, strict=True):
            counts = np.diff(result.offsets)
            if (full := np.flatnonzero(result.is_cut)).size:
                raise TensorError(
                    f"{names[full[0]]}: {counts[full[0]]} predictions, and more were cut off; "
                    "calibrate with higher lowest thresholds (--lowest)"
                )
            found = result[result.predicted]
            if len(known) < len(names):
                found = type(found).concatenate([found[index] for index in known])
            parts.append(
                match(found, batch, self._iou) if isinstance(found, Detections) else _by_image(found, batch)
            )

    def variants(self, only_predicted: bool) -> tuple[Variant, ...]:
        truth, labels = self.passed.truth, len(self.passed.truth.table.labels)
        self.images.check()
        seen = np.flatnonzero(self.images.seen)
        truth.check_sizes(seen, self._sizes[seen])
        unseen = np.flatnonzero(~self.images.seen)
        if only_predicted or not unseen.size:
            unseen = unseen[:0]
        batch = truth.batch(unseen, np.ones((len(unseen), 2), np.int64))
        missed = Matches(
            *(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64)),
            objects=batch.counted_objects(),
            images=len(unseen),
        )
        images = seen if only_predicted else np.arange(len(truth))
        return tuple(
            Variant(value, RankedMatches.of(Matches.concatenate([*parts, missed]), labels, images))
            for value, parts in zip(self.passed.nms_thresholds, self._parts, strict=True)
        )


def _by_image(found: Classifications, truth: TruthBatch) -> Matches:
    """Match labels of whole images: a label is a true positive if the image has it."""
    object_of = np.full((len(truth), len(found.table.ids)), NOTHING, np.int64)
    object_of[images_of_rows(truth.offsets), truth.labels] = truth.rows
    images = images_of_rows(found.offsets)
    return Matches(
        image=truth.images[images],
        label=found.labels,
        score=found.scores,
        truth=object_of[images, found.labels],
        objects=np.stack([truth.image_of_each(), truth.labels], axis=1),
        images=len(truth),
    )
