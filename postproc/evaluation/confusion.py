"""Which labels are taken for which: detections matched to objects whatever the labels of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.groups import Groups, Instances
from postproc.evaluation.similarity import Similarity
from postproc.results import LabelTable
from postproc.results.rows import images_of_rows

if TYPE_CHECKING:
    from postproc.evaluation.ground_truth import TruthBatch
    from postproc.results import Detections


@dataclass(frozen=True, eq=False, slots=True)
class ConfusionMatrix:
    """How often objects of a label are found as another.

    Parameters
    ----------
    counts : (L + 1, L + 1) int64
        By the label of the object, a row, and that of the detection, a column. The last column counts objects
        that no detection is at, the last row detections that are at no object.
    table : LabelTable
        Of the L labels.
    """

    counts: NDArray[np.int64]
    table: LabelTable

    def confused(self) -> list[tuple[int, int, int]]:
        """Give rows of the labels of object and detection that differ, and how often, most often first."""
        labels = len(self.table.ids)
        between = self.counts[:labels, :labels].copy()
        np.fill_diagonal(between, 0)
        truths, found = np.nonzero(between)
        counts = between[truths, found]
        order = np.argsort(-counts, kind="stable")
        columns = (truths[order].tolist(), found[order].tolist(), counts[order].tolist())
        return list(zip(*columns, strict=True))

    def to_dict(self) -> list[dict[str, Any]]:
        """Give what is not 0, ready for JSON: ids of the labels of object and detection, None for nothing."""
        ids = [*self.table.ids.tolist(), None]
        truths, found = np.nonzero(self.counts)
        columns = (truths.tolist(), found.tolist(), self.counts[truths, found].tolist())
        return [
            {"object": ids[truth], "detection": ids[label], "count": count}
            for truth, label, count in zip(*columns, strict=True)
        ]


def confusion_matrix(
    detections: Detections,
    truth: TruthBatch,
    similarity: Similarity,
    iou: float,
    left_out: NDArray[np.bool_],
) -> ConfusionMatrix:
    """Match detections to objects whatever their labels, and count.

    As supervision does (`supervision.metrics.ConfusionMatrix`): pairs that are alike by `iou` at least are
    met by whether their labels agree, then by how alike they are, then in the order of the rows, and each
    detection and object is taken once. So an object that is found as what it is counts as nothing else.
    ultralytics' matrix does not ask for labels first: a second detection of another label may take the object
    from the right one there. In the counts by label, detections are met by their scores instead, and
    only meet objects of their own label.

    Parameters
    ----------
    detections : Detections
        Of the images of `truth`, in their order.
    truth : TruthBatch
        Objects that are ignored are left out.
    similarity : Similarity
    iou : float
    left_out : (K,) bool
        Detections that are left out, as those of what is ignored.
    """
    images, owners = images_of_rows(detections.offsets), images_of_rows(truth.offsets)
    found = Instances(np.where(left_out, -1, images), np.zeros(len(images), np.int64))
    objects = Instances(np.where(truth.ignored, -1, owners), np.zeros(len(owners), np.int64))
    groups = Groups.of(found, objects, len(truth))
    pairs = similarity(groups, iou)
    rows = groups.rows[np.repeat(np.arange(len(groups.rows)), np.diff(pairs.starts))]
    others = groups.truths[pairs.truths]
    is_other_label = detections.labels[rows] != truth.labels[others]
    order = np.lexsort((others, rows, -pairs.values, is_other_label))
    object_of: dict[int, int] = {}
    taken: set[int] = set()
    for row, other in zip(rows[order].tolist(), others[order].tolist(), strict=True):
        if row not in object_of and other not in taken:
            object_of[row] = other
            taken.add(other)
    rows, others = (np.array(list(side), np.int64) for side in (object_of.keys(), object_of.values()))
    unmatched, missed = np.setdiff1d(groups.rows, rows), np.setdiff1d(groups.truths, others)
    nothing = len(detections.table.ids)
    of_objects = [truth.labels[others], np.full(len(unmatched), nothing), truth.labels[missed]]
    of_found = [detections.labels[rows], detections.labels[unmatched], np.full(len(missed), nothing)]
    places = np.concatenate(of_objects) * (nothing + 1) + np.concatenate(of_found)
    counts = np.bincount(places, minlength=(nothing + 1) ** 2).astype(np.int64)
    return ConfusionMatrix(counts.reshape(nothing + 1, nothing + 1), detections.table)
