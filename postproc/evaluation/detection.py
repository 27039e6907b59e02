"""How well things are found: COCO's numbers, and precision, recall and F1 at a version's own thresholds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.base import Evaluation
from postproc.evaluation.coco_curves import CocoCurves
from postproc.evaluation.coco_metrics import CocoMetrics, coco_metrics, is_beyond, measured_curves
from postproc.evaluation.collected import Collected
from postproc.evaluation.confusion import ConfusionMatrix, confusion_matrix
from postproc.evaluation.counts import ConfusionCounts
from postproc.evaluation.dota_metrics import DotaMetrics, dota_metrics
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.matches import IGNORED, NOTHING, Matches, match
from postproc.evaluation.measured_detections import MeasuredDetections
from postproc.evaluation.measures import MEASURES, Measure, MeasuredObjects, measures_of
from postproc.evaluation.mistakes import Mistake, false_detections, missed_objects
from postproc.evaluation.shapes import KINDS
from postproc.results import Detections, Recognitions
from postproc.results.rows import images_of_rows
from postproc.schema.problems import counted


@dataclass(frozen=True, slots=True)
class CocoLimit:
    """What COCO's limit of detections an image and label leaves out, or LVIS's of detections an image.

    Parameters
    ----------
    scheme, limited : str
        As of `CocoMetrics`.
    max_detections : int
        The limit.
    images : int
        Images with more objects, by COCO of one label, than that, so that AP and AR cannot reach 1.
    most_objects, most_image, most_label : int, str, str
        The most of such objects on an image, and which; by LVIS of no label.
    detections : int
        The version's own detections, or all without one, beyond the limit: AP and AR do not count them.
    """

    scheme: str
    limited: str
    max_detections: int
    images: int
    most_objects: int
    most_image: str
    most_label: str
    detections: int

    def remarks(self, has_version: bool = True) -> list[str]:
        """Say it, if anything is left out."""
        said = []
        limit = f"{self.scheme}'s limit of {counted(self.max_detections, 'detection')} {self.limited}"
        if self.images:
            objects, most = "objects", str(self.most_objects)
            if self.most_label:
                objects, most = "objects of a label", f"{most} of {self.most_label!r}"
            said.append(
                f"{limit} is below the {objects} in {counted(self.images, 'image')}, up to "
                f"{most} in {self.most_image}, so that AP and AR cannot "
                f"reach 1; --max-detections {self.most_objects} would take all"
            )
        if self.detections:
            said.append(
                f"{limit} cuts {self.detections} of {'the version' if has_version else 'the file'}'s own "
                "detections: AP and AR leave them out, "
                "precision, recall and F1 count them"
            )
        return said


# Where there are so many objects and detections, hardly any network finds nothing.
_NEARLY_NOTHING = 0.01
_ENOUGH = 10


@dataclass(frozen=True, eq=False, slots=True)
class DetectionEvaluation(Evaluation):
    """How well the things on the images of a data set are found.

    Parameters
    ----------
    truth : GroundTruth
    collected : Collected
        Its first output is the version's own, its second the one at lowered thresholds. Objects that cannot
        be measured, as people without a visible keypoint, are ignored.
    iou : float
        How alike a detection and the object that it takes are at least, for all but COCO's numbers.
    matches, low_matches : Matches
        Of the version's own detections, and of those at lowered thresholds.
    metrics : dict of str to CocoMetrics
        Of the detections at lowered thresholds, by the name of what is measured; what `matches` are by is
        first.
    objects : MeasuredObjects
        As they are measured.
    confusion_matrix : ConfusionMatrix
        Of the version's own detections.
    yields : str
        What the version says where things are by: ``"boxes"``, ``"keypoints"``, ``"masks"`` or ``"oriented
        boxes"``.
    """

    iou: float
    matches: Matches
    low_matches: Matches
    metrics: dict[str, CocoMetrics]
    objects: MeasuredObjects
    confusion_matrix: ConfusionMatrix
    yields: str = "boxes"

    @property
    def measure(self) -> Measure:
        """What counts, curves and `coco` are by."""
        return MEASURES[next(iter(self.metrics))]

    @property
    def coco(self) -> CocoMetrics:
        """COCO's numbers of what heads."""
        return self.metrics[self.measure.name]

    @property
    def detections(self) -> MeasuredDetections:
        """The version's own detections."""
        return cast("MeasuredDetections", self.collected.recognitions.outputs[0])

    def average_precision(self, iou: float) -> NDArray[np.float64]:
        """Average precision of each label at any threshold, (L,); NaN without objects.

        Parameters
        ----------
        iou : float
            How alike a detection and its object are at least, above 0 and at most 1.

        Raises
        ------
        TensorError
            If `iou` is out of range.
        """
        low = cast("MeasuredDetections", self.collected.recognitions.outputs[1])
        return measured_curves(
            self.truth,
            self.collected.truth,
            low,
            self.measure,
            self.objects,
            limits=[self.coco.max_detections],
            thresholds=np.array([iou], np.float64),
        ).by_label()

    def dota(self) -> DotaMetrics | None:
        """DOTA's average precision at a Jaccard index of 0.5, where oriented boxes are measured."""
        if "oriented boxes" not in self.metrics:
            return None
        low = cast("MeasuredDetections", self.collected.recognitions.outputs[1])
        return dota_metrics(self.truth, self.collected.truth, low)

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

    def metric_curves(self) -> dict[str, CocoCurves]:
        """Give the curves that average precision is the mean of, by what is measured."""
        return {name: metrics.curves for name, metrics in self.metrics.items()}

    def mistakes(self, most: int) -> tuple[list[Mistake], list[Mistake]]:
        """Give the false positives of the highest scores and the largest missed objects."""
        return false_detections(self, most), missed_objects(self, most)

    def coco_limit(self) -> CocoLimit:
        """Tell what COCO's limit of detections, or LVIS's, leaves out."""
        batch, coco, limit = self.collected.truth, self.coco, self.coco.max_detections
        names = self.detections.table.names if coco.is_by_label else ("",)
        labels = batch.labels if coco.is_by_label else np.zeros_like(batch.labels)
        objects = (images_of_rows(batch.offsets) * len(names) + labels)[~batch.ignored]
        pairs, counts = np.unique(objects, return_counts=True)
        most, image, label = 0, "", ""
        if len(pairs):
            most = int(counts.max())
            row, of_label = divmod(int(pairs[counts.argmax()]), len(names))
            image, label = self.truth.names[int(batch.images[row])], names[of_label]
        images = len(np.unique(pairs[counts > limit] // len(names)))
        beyond = int(is_beyond(self.detections, limit, coco.is_by_label).sum())
        return CocoLimit(coco.scheme, coco.limited, limit, images, most, image, label, beyond)

    def remarks(self) -> list[str]:
        """Say what a reader of the numbers has to know: what a limit cuts, is not measured, or is odd."""
        said = self.coco_limit().remarks(self.collected.has_version)
        objects, found = len(self.low_matches.objects), len(self.low_matches.score)
        share = self.coco.numbers["AP50"]
        if share is not None and 0 <= share < _NEARLY_NOTHING and min(objects, found) >= _ENOUGH:
            said.append(
                f"AP50 is {share:.3f} with {objects} objects and {found} detections: unless the network is "
                "as bad, boxes or labels do not mean the same in both; a bbox of the ground truth is [x, "
                "y, width, height] in pixels of its image, and its categories are matched to the labels"
            )
        return [*said, *self._of_measures()]

    def _of_measures(self) -> Iterator[str]:
        """Say what is measured and what is not, and why."""
        batch, name = self.collected.truth, self.measure.name
        in_truth = self.truth.shapes[batch.rows].counts()
        finder = "the version finds" if self.collected.has_version else "the detections have"
        if self.yields not in self.metrics:
            why = "the ground truth has none"
            if self.yields in in_truth:
                why = "those of the ground truth need sigmas"
            yield f"{finder} {self.yields}, and {why}: {name} are measured, {self.yields} are not"
        elif self.yields != name:
            yield f"{finder} {self.yields}: {name} head these numbers, as was asked for"
        for kind, count in in_truth.items():
            if kind not in self.metrics and kind != self.yields:
                yield f"the ground truth has {kind} of {counted(count, 'object')}, which are not used"
        yield from self.objects.notes
        if name not in KINDS:
            return
        low = cast("MeasuredDetections", self.collected.recognitions.outputs[1])
        if lacking := int((~low.shapes.has(name)).sum()):
            yield f"{counted(lacking, 'detection')} without {name} can take no object"

    def to_dict(self) -> dict[str, Any]:
        """All numbers, ready for JSON; None (null) where there is nothing to measure a number on."""
        table, coco, dota = self.detections.table, self.coco, self.dota()
        shares = {
            "AP": coco.average_precision,
            "AP50": coco.average_precision_50,
            "AP75": coco.curves.by_label(0.75),
            "AR": coco.curves.by_label(kind="recall"),
        }
        labels = [
            {
                "id": table.ids[row].item(),
                "name": table.names[row],
                "threshold": table.thresholds[row] if self.collected.has_version else None,
                **found.to_dict(),
                **{name: _number(values[row]) for name, values in shares.items()},
            }
            for row, found in enumerate(self.by_label())
        ]
        return {
            "task": "detection",
            "images": len(self.collected.truth),
            "images_without_prediction": len(self.collected.missing),
            "iou": self.iou,
            "measured": self.measure.name,
            "heading": self.measure.heading,
            "similarity": self.measure.similarity,
            "version_yields": self.yields,
            "remarks": self.remarks(),
            "coco_limit": asdict(self.coco_limit()),
            "coco": coco.numbers,
            "headlines": coco.headlines,
            "metrics": {name: metrics.numbers for name, metrics in self.metrics.items()},
            **({"dota": dota.numbers} if dota is not None else {}),
            "total": self.total().to_dict(),
            "labels": labels,
            "confusion": self.confusion_matrix.to_dict(),
        }


def evaluate_detections(
    truth: GroundTruth,
    collected: Collected,
    *,
    iou: float = 0.5,
    max_detections: int | None = None,
    yields: str = "boxes",
    measure: str | None = None,
    sigmas: Sequence[float] | None = None,
) -> DetectionEvaluation:
    """Measure detections by their ground truth: what both have, and boxes.

    COCO's numbers, or LVIS's, come from the detections at lowered thresholds, of which COCO takes the best
    `max_detections` of each image and label, LVIS those of each image; precision, recall and F1 from all of
    the version's own.

    Parameters
    ----------
    truth : GroundTruth
    collected : Collected
        Of a `MeasuringPostProcessor` with the same `max_detections`, or a higher one.
    iou : float
        How alike a detection and the object that it takes are at least, above 0 and at most 1: their Jaccard
        index, or the similarity of their keypoints (OKS).
    max_detections : int, optional
        COCO's limit, the last of its ``maxDets``, or LVIS's; by default as `most_detections` has it.
    yields : str
        As of `DetectionEvaluation`; a version's is ``post_processing.task.output.yields``. It heads, if the
        ground truth has it.
    measure : str, optional
        What heads instead: one of `MEASURES`.
    sigmas : sequence of float, optional
        Of keypoints, by how much annotations of each differ in relation to the root of the area; by default
        those of COCO's 17.

    Raises
    ------
    TensorError
        If `iou` or `max_detections` is out of range.
    SchemaError
        If `measure` cannot be measured, masks are broken, or keypoints need other sigmas.
    ImportError
        If masks are measured and the extra ``eval`` is missing.
    """
    batch = collected.truth
    own, low = (
        MeasuredDetections.of(cast("Detections", output), batch.sizes)
        for output in collected.recognitions.outputs
    )
    known = tuple(sigmas) if sigmas is not None else None
    measures = measures_of(truth, batch, low, yields, measure, known)
    objects = [one.objects(truth, batch, known) for one in measures]
    heading = objects[0]
    counted_of = replace(batch, ignored=heading.ignored)
    (of_own, _), (of_low, _) = heading.compare(own), heading.compare(low)
    matches = match(own, counted_of, iou, of_own)
    return DetectionEvaluation(
        truth,
        replace(collected, recognitions=Recognitions((own, low)), truth=counted_of),
        iou,
        matches,
        match(low, counted_of, iou, of_low),
        {
            one.name: coco_metrics(
                truth, batch, low, max_detections=max_detections, measure=one, objects=of_one
            )
            for one, of_one in zip(measures, objects, strict=True)
        },
        heading,
        confusion_matrix(own, counted_of, of_own, iou, matches.truth == IGNORED),
        yields,
    )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
