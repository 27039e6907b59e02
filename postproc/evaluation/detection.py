"""How well boxes are found: COCO's numbers, and precision, recall and F1 at a version's own thresholds."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.base import Evaluation
from postproc.evaluation.coco_metrics import MAX_DETECTIONS, CocoMetrics, coco_metrics, is_beyond
from postproc.evaluation.collected import Collected
from postproc.evaluation.counts import ConfusionCounts
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.matches import IGNORED, NOTHING, Matches, match
from postproc.evaluation.mistakes import Mistake, false_detections, missed_objects
from postproc.results import Detections
from postproc.results.rows import images_of_rows
from postproc.schema.problems import counted


@dataclass(frozen=True, slots=True)
class CocoLimit:
    """What COCO's limit of detections an image and label leaves out.

    Parameters
    ----------
    max_detections : int
        The limit.
    images : int
        Images with more objects of a label than that, so that AP and AR cannot reach 1.
    most_objects, most_image, most_label : int, str, str
        The most objects of a label on an image, and which.
    detections : int
        The version's own detections that lie beyond the limit, which AP and AR do not count.
    """

    max_detections: int
    images: int
    most_objects: int
    most_image: str
    most_label: str
    detections: int

    def remarks(self) -> list[str]:
        """Say it, if anything is left out."""
        said = []
        limit = f"COCO's limit of {counted(self.max_detections, 'detection')} an image and label"
        if self.images:
            said.append(
                f"{limit} is below the objects of a label in {counted(self.images, 'image')}, up to "
                f"{self.most_objects} of {self.most_label!r} in {self.most_image}, so that AP and AR cannot "
                f"reach 1; --max-detections {self.most_objects} would take all"
            )
        if self.detections:
            said.append(
                f"{limit} cuts {self.detections} of the version's own detections: AP and AR leave them out, "
                "precision, recall and F1 count them"
            )
        return said


# Where there are so many objects and detections, hardly any network finds nothing.
_NEARLY_NOTHING = 0.01
_ENOUGH = 10


@dataclass(frozen=True, eq=False, slots=True)
class DetectionEvaluation(Evaluation):
    """How well the boxes of a data set are found.

    Parameters
    ----------
    truth : GroundTruth
    collected : Collected
        Its first output is the version's own, its second the one at lowered thresholds.
    iou : float
        Jaccard index from which on a detection takes an object, for all but COCO's numbers.
    matches, low_matches : Matches
        Of the version's own detections, and of those at lowered thresholds.
    coco : CocoMetrics
        Of the detections at lowered thresholds.
    yields : str
        What the version says where things are by: ``"boxes"``, ``"keypoints"``, ``"masks"`` or ``"oriented
        boxes"``. Upright boxes are what is measured, whatever it is.
    """

    iou: float
    matches: Matches
    low_matches: Matches
    coco: CocoMetrics
    yields: str = "boxes"

    @property
    def detections(self) -> Detections:
        """The version's own detections."""
        return cast("Detections", self.collected.recognitions.outputs[0])

    def by_label(self) -> list[ConfusionCounts]:
        """Count what was found of each label at the version's thresholds, in the order of the spec."""
        labels = len(self.truth.table.labels)
        objects = self.matches.objects_by_label(labels)
        kinds = [self.matches.truth >= 0, self.matches.truth == NOTHING, self.matches.truth == IGNORED]
        counts = [np.bincount(self.matches.label[kind], minlength=labels) for kind in kinds]
        return ConfusionCounts.of_labels(objects, *counts)

    def total(self) -> ConfusionCounts:
        """Count what was found of all labels together."""
        return ConfusionCounts.total(self.by_label())

    def curve(self, label: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Precision and recall of a label as its threshold falls, one point a detection that counts."""
        matches = self.low_matches
        rows = np.flatnonzero((matches.label == label) & (matches.truth != IGNORED))
        rows = rows[np.argsort(-matches.score[rows], kind="stable")]
        tp = np.cumsum(matches.truth[rows] >= 0)
        objects = int((matches.objects[:, 1] == label).sum())
        return tp / np.arange(1, len(rows) + 1), tp / max(objects, 1)

    def label_scores(self, label: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scores of a label's true and false positives as its threshold falls to the lowest."""
        matches, of_label = self.low_matches, self.low_matches.label == label
        true, false = matches.truth >= 0, matches.truth == NOTHING
        return matches.score[of_label & true], matches.score[of_label & false]

    def mistakes(self, most: int) -> tuple[list[Mistake], list[Mistake]]:
        """Give the false positives of the highest scores and the largest missed objects."""
        return false_detections(self, most), missed_objects(self, most)

    def coco_limit(self) -> CocoLimit:
        """Tell what COCO's limit of detections an image and label leaves out."""
        batch, limit = self.collected.truth, self.coco.max_detections
        names = self.detections.table.names
        objects = images_of_rows(batch.offsets)[~batch.ignored] * len(names) + batch.labels[~batch.ignored]
        pairs, counts = np.unique(objects, return_counts=True)
        most, image, label = 0, "", ""
        if len(pairs):
            most = int(counts.max())
            row, of_label = divmod(int(pairs[counts.argmax()]), len(names))
            image, label = self.truth.names[int(batch.images[row])], names[of_label]
        images = len(np.unique(pairs[counts > limit] // len(names)))
        return CocoLimit(limit, images, most, image, label, int(is_beyond(self.detections, limit).sum()))

    def remarks(self) -> list[str]:
        """Say what a reader of the numbers has to know: what a limit cuts, is not measured, or is odd."""
        said = self.coco_limit().remarks()
        objects, found = len(self.low_matches.objects), len(self.low_matches.score)
        share = self.coco.numbers["AP50"]
        if share is not None and 0 <= share < _NEARLY_NOTHING and min(objects, found) >= _ENOUGH:
            said.append(
                f"AP50 is {share:.3f} with {objects} objects and {found} detections: unless the network is "
                "as bad, boxes or labels do not mean the same in both; a bbox of the ground truth is [x, "
                "y, width, height] in pixels of its image, and its categories are matched to the labels"
            )
        if self.yields == "oriented boxes":
            said.append("the upright boxes around the oriented ones that the version finds are measured")
        elif self.yields != "boxes":
            said.append(
                f"the version finds {self.yields} as well: its boxes are measured, the {self.yields} are not"
            )
        if unused := self.truth.shapes.counts():
            parts = (f"{kind} of {counted(count, 'object')}" for kind, count in unused.items())
            said.append(f"the ground truth has {' and '.join(parts)} besides their boxes, which are not used")
        return said

    def to_dict(self) -> dict[str, Any]:
        """All numbers, ready for JSON; None (null) where there is nothing to measure a number on."""
        table = self.detections.table
        labels = [
            {
                "id": table.ids[row].item(),
                "name": table.names[row],
                "threshold": table.thresholds[row],
                **found.to_dict(),
                "AP": _number(self.coco.average_precision[row]),
                "AP50": _number(self.coco.average_precision_50[row]),
            }
            for row, found in enumerate(self.by_label())
        ]
        return {
            "task": "detection",
            "images": len(self.collected.truth),
            "images_without_prediction": len(self.collected.missing),
            "iou": self.iou,
            "measured": "boxes",
            "version_yields": self.yields,
            "remarks": self.remarks(),
            "coco_limit": asdict(self.coco_limit()),
            "coco": self.coco.numbers,
            "total": self.total().to_dict(),
            "labels": labels,
        }


def evaluate_detections(
    truth: GroundTruth,
    collected: Collected,
    *,
    iou: float = 0.5,
    max_detections: int = MAX_DETECTIONS,
    yields: str = "boxes",
) -> DetectionEvaluation:
    """Measure detections by their ground truth.

    COCO's numbers come from the detections at lowered thresholds, of which COCO takes the best
    `max_detections` of each image and label; precision, recall and F1 from all of the version's own.

    Parameters
    ----------
    truth : GroundTruth
    collected : Collected
        Of a `MeasuringPostProcessor` with the same `max_detections`, or a higher one.
    iou : float
        Jaccard index from which on a detection takes an object, above 0 and at most 1.
    max_detections : int
        COCO's limit, the last of its ``maxDets``.
    yields : str
        As of `DetectionEvaluation`; a version's is ``post_processing.task.output.yields``.

    Raises
    ------
    TensorError
        If `iou` or `max_detections` is out of range.
    """
    own, low = cast("tuple[Detections, Detections]", collected.recognitions.outputs)
    return DetectionEvaluation(
        truth,
        collected,
        iou,
        match(own, collected.truth, iou),
        match(low, collected.truth, iou),
        coco_metrics(truth, collected.truth, low, max_detections=max_detections),
        yields,
    )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
