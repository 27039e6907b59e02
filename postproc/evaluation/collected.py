"""Predictions of a data set put beside its ground truth, image by image."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.ground_truth import GroundTruth, TruthBatch
from postproc.evaluation.pixels import in_pixels
from postproc.evaluation.predictions import Predictions
from postproc.evaluation.seen_images import SeenImages
from postproc.results import Recognitions

_DIFFERENCE = 0.02  # of the proportions of an image and of its ground truth: rounding when it was resized


@dataclass(frozen=True, eq=False, slots=True)
class Collected:
    """What was recognised in the images that count, in the order of the ground truth.

    Parameters
    ----------
    recognitions : Recognitions
        Of these images; those without a prediction have no rows. Detections are `MeasuredDetections`.
    truth : TruthBatch
        Ground truth of the same images.
    missing : tuple of str
        Images of the ground truth that count, but have no prediction.
    unknown : tuple of str
        Predicted images that are left out, since the ground truth does not know them.
    misshapen : tuple of str
        Images whose proportions are not those that the ground truth gives.
    notes : tuple of str
        What else a reader of the numbers has to know of the predictions.
    has_version : bool
        Whether thresholds of a version tell which detections count; else all do.
    """

    recognitions: Recognitions
    truth: TruthBatch
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    misshapen: tuple[str, ...]
    notes: tuple[str, ...] = ()
    has_version: bool = True


def collect(truth: GroundTruth, predictions: Predictions, *, only_predicted: bool = False) -> Collected:
    """Put predictions, which may come in any order, beside the ground truth of their images.

    Parameters
    ----------
    truth : GroundTruth
    predictions : iterable of (names, sizes, Recognitions)
        Batches of images: their names, the height and width of each, and what was recognised.
    only_predicted : bool
        Leave images of the ground truth out that were not predicted. Otherwise all that is on them is missed.

    Raises
    ------
    SchemaError
        If no image is known to the ground truth, or one is predicted twice.
    """
    images = SeenImages(truth)
    parts: dict[int, Recognitions] = {}
    sizes: dict[int, NDArray[np.int64]] = {}
    for names, batch_sizes, recognitions in predictions:
        recognitions = in_pixels(truth, names, batch_sizes, recognitions)
        known = zip(images.add(names), np.asarray(batch_sizes, np.int64), strict=True)
        for index, (row, size) in enumerate(known):
            if row is not None:
                parts[row], sizes[row] = recognitions[index], size
    images.check()
    rows = sorted(parts) if only_predicted else list(range(len(truth)))
    empty = _without_rows(next(iter(parts.values())))
    unsized = np.ones(2, np.int64)  # of an image that was not predicted, so that its size does not matter
    batch = truth.batch(rows, [sizes.get(row, unsized) for row in rows])
    truth.check_sizes(np.array(list(sizes)), np.array(list(sizes.values())))
    return Collected(
        Recognitions.concatenate([parts.get(row, empty) for row in rows]),
        batch,
        () if only_predicted else images.missing(),
        tuple(images.unknown),
        tuple(
            f"{truth.names[row]} ({truth.sizes[row][1]} x {truth.sizes[row][0]}, predicted as "
            f"{sizes[row][1]} x {sizes[row][0]})"
            for row in rows
            if row in sizes and differs(truth.sizes[row], sizes[row])
        ),
    )


def _without_rows(image: Recognitions) -> Recognitions:
    nothing = [output[np.zeros(len(output.labels), np.bool_)] for output in image.outputs]
    return replace(image, outputs=tuple(nothing))


def differs(of_truth: NDArray[np.int64], found: NDArray[np.int64]) -> bool:
    """Whether the proportions of an image, by its height and width, are not those of its ground truth."""
    if (of_truth < 1).any() or (found < 1).any():
        return False
    return bool(abs(of_truth[0] * found[1] / (of_truth[1] * found[0]) - 1) > _DIFFERENCE)
