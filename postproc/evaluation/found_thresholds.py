"""Choosing thresholds from detections that are there already, in the place of one pass over tensors.

What `one_pass` shows of hard NMS label by label holds for a file as well: what a version finds at a higher
threshold is the part of the file that scores above it. What scores below the lowest score of the file is not
there, so that thresholds can rise, and never fall below what the file holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from postproc.errors import SchemaError
from postproc.evaluation.evaluating import thresholds_of
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.matches import match
from postproc.evaluation.one_pass import Passed, refuse_inexact
from postproc.evaluation.pass_matches import PassMatches
from postproc.evaluation.placed import Placed
from postproc.evaluation.ranked_matches import RankedMatches
from postproc.evaluation.seen_images import some_of
from postproc.evaluation.threshold_choice import Variant
from postproc.schema import Detection, RecognitionVersion
from postproc.schema.problems import counted

_DIGITS = 3  # that floors are rounded down to


def passed_of(
    placed: Placed, truth: GroundTruth, version: RecognitionVersion | None, output: int, lowest: float
) -> tuple[Passed, tuple[str, ...]]:
    """Describe a file as an output that was passed over, and what a reader has to know of it.

    Raises
    ------
    SchemaError
        If thresholds of the version cannot be calibrated from detections, or scores are not from 0 to 1.
    """
    scores, labels = placed.detections.scores, placed.detections.labels
    if len(scores) and (scores.min() < 0 or scores.max() > 1):
        raise SchemaError(
            f"{placed.source}: scores are from {scores.min():g} to {scores.max():g}; thresholds are chosen "
            "for scores from 0 to 1"
        )
    nms = None
    if version is not None:
        task = (version.post_processings or ())[output].task
        if isinstance(task, Detection):
            refuse_inexact(task, f"post_processings[{output}].detection")
            nms = task.nms_threshold if task.nms_thresholds is None else None
    own = thresholds_of(version, truth, output)
    lows = np.full(len(truth.table.labels), np.inf)
    np.minimum.at(lows, labels, scores.astype(np.float32))
    floors = tuple(max(lowest, below(low)) if math.isfinite(low) else lowest for low in lows.tolist())
    thresholds = own or (0.0,) * len(floors)
    notes = tuple(_notes(placed, truth, own))
    return Passed(output, truth, "detection", thresholds, floors, (nms,), 0, version is not None), notes


def matches_of(placed: Placed, truth: GroundTruth, iou: float) -> PassMatches:
    """Match all detections of a file.

    Raises
    ------
    TensorError
        If `iou` is out of range.
    """
    found = replace(placed.detections, scores=placed.detections.scores.astype(np.float32))
    ranked = RankedMatches.of(match(found, placed.batch, iou), len(truth.table.labels), placed.batch.images)
    return PassMatches(((Variant(None, ranked),),), (placed.missing,), (placed.unknown,))


def below(score: float) -> float:
    """Give the nearest number of few digits that is below a score, also as float32."""
    if score <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(score)) + 1 - _DIGITS)
    steps = math.ceil(score / step)
    while np.float32(steps * step) >= np.float32(score):
        steps -= 1
    return max(0.0, float(f"{steps * step:.{_DIGITS}g}"))


def _notes(placed: Placed, truth: GroundTruth, own: tuple[float, ...] | None) -> Iterator[str]:
    yield from placed.notes
    cut, source = placed.cut, placed.source
    if own is None:
        yield (
            f"{source} is taken for what NMS of each label by itself left, as of ultralytics without "
            "agnostic_nms: after NMS across labels or soft NMS, what is found at other thresholds cannot be "
            "read off it"
        )
        yield f"old thresholds are none: what is gained is in relation to all detections of {source}"
    if cut.floor is not None:
        yield (
            f"no threshold is chosen below the lowest score of each label in {source}, {cut.floor:.4g} over "
            "all: what scores below is not there, whether it was cut or not"
        )
        if lower := [
            label.name
            for label, threshold in zip(truth.table.labels, own or (), strict=False)
            if threshold < below(cut.floor)
        ]:
            yield (
                f"{counted(len(lower), 'label')} {'has' if len(lower) == 1 else 'have'} a threshold below "
                f"all scores of {source}, {some_of(tuple(lower))}: what the old thresholds find is measured "
                "without what lies between"
            )
    if cut.top is not None:
        yield (
            f"{counted(cut.full, 'image')} of {source} have exactly {cut.top} detections, and none has more: "
            f"the lists seem to be cut at the best {cut.top}, so that thresholds below {cut.bound:.3g} are "
            "chosen from cut lists; write them with a higher limit (ultralytics: max_det)"
        )
