"""What metrics and calibration share: which detections take which object of the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.evaluation.found_detections import FoundDetections
from postproc.evaluation.groups import Groups, Instances
from postproc.evaluation.similarity import Similarity, of_boxes
from postproc.kernels.evaluation.matching import match_greedily
from postproc.results.rows import images_of_rows

if TYPE_CHECKING:
    from postproc.evaluation.ground_truth import TruthBatch
    from postproc.results import Detections

NOTHING = -1  # a detection that takes no object: a false positive
IGNORED = -2  # a detection of what is ignored, or not judged: neither a true nor a false positive


@dataclass(frozen=True, eq=False, slots=True)
class Matches:
    """Detections of some images of a ground truth, and the objects that they take.

    Rows stand image by image, and within one by descending score.

    Parameters
    ----------
    image : (K,) int64
        Row of the image in the ground truth.
    label : (K,) int64
        Row of the label in the spec.
    score : (K,) float32
    truth : (K,) int64
        Row of the object in the ground truth that the detection takes; -1 for none, which is a false
        positive, and -2 for one that is not counted, as in a crowd.
    objects : (G, 2) int64
        Image and label of each object that counts; crowds do not.
    images : int
        How many images were looked at, with or without detections or objects.
    """

    image: NDArray[np.int64]
    label: NDArray[np.int64]
    score: NDArray[np.float32]
    truth: NDArray[np.int64]
    objects: NDArray[np.int64]
    images: int

    written = property(attrgetter("objects"))  # its older name

    def __len__(self) -> int:
        return len(self.label)

    @classmethod
    def concatenate(cls, parts: Sequence[Matches]) -> Matches:
        """Join the matches of different images, and put them in the order of the images.

        However the images were shared out and in whatever order the parts come, the result is the same.

        Raises
        ------
        TensorError
            If there are no parts.
        """
        if not parts:
            raise TensorError("concatenate needs one part at least")
        image = np.concatenate([part.image for part in parts])
        order = np.argsort(image, kind="stable")
        objects = np.concatenate([part.objects for part in parts])
        return cls(
            image=image[order],
            label=np.concatenate([part.label for part in parts])[order],
            score=np.concatenate([part.score for part in parts])[order],
            truth=np.concatenate([part.truth for part in parts])[order],
            objects=objects[np.argsort(objects[:, 0], kind="stable")],
            images=sum(part.images for part in parts),
        )

    def objects_by_label(self, labels: int) -> NDArray[np.int64]:
        """Count the objects of each label, (labels,)."""
        return np.bincount(self.objects[:, 1], minlength=labels).astype(np.int64)


def match(
    detections: Detections, truth: TruthBatch, iou: float = 0.5, similarity: Similarity | None = None
) -> Matches:
    """Match detections to the ground truth of their images, as pycocotools does for all areas.

    Detections are met by descending score; each takes the object of its label and image, not taken yet, that
    is most like it, and at least as much as `iou`. One that takes none, but of which at least that share lies
    in a crowd of its label, is ignored, and so is one of a label that a federation does not judge.

    Parameters
    ----------
    detections : Detections
        Of the images of `truth`, in their order, without discarded ones.
    truth : TruthBatch
    iou : float
        Above 0 and at most 1.
    similarity : Similarity, optional
        How alike the two are; by default by the Jaccard index of their boxes.

    Raises
    ------
    TensorError
        If the two differ in their number of images, `iou` is out of range, or there are discarded detections.
    """
    if len(detections) != len(truth):
        raise TensorError(f"detections of {len(detections)} images, but the ground truth of {len(truth)}")
    if not 0 < iou <= 1:
        raise TensorError(f"iou: expected a number above 0 and at most 1, got {iou!r}")
    if not detections.predicted.all():
        raise TensorError(
            "detections: expected predicted ones only; match detections[detections.predicted], or lower the "
            "thresholds instead of asking for show_discarded"
        )
    if similarity is None:
        similarity = of_boxes(in_coco_pixels(detections, truth.sizes), truth.boxes, truth.crowd)
    images, owners = images_of_rows(detections.offsets), images_of_rows(truth.offsets)
    found, objects = Instances(images, detections.labels), Instances(owners, truth.labels)
    groups = Groups.of(found, objects, len(truth))
    pairs = similarity(groups, iou)
    crowd, ignored = truth.crowd[groups.truths], truth.ignored[groups.truths]
    (rows,) = match_greedily(
        pairs.starts, pairs.truths, pairs.values, crowd, ignored, np.array([iou], np.float64)
    )
    is_taken = rows >= 0
    taken = np.full(len(rows), NOTHING, np.int64)
    if truth.federation is not None:
        taken[~truth.federation.judges(found, objects)] = IGNORED
    taken[groups.rows[is_taken]] = np.where(ignored, IGNORED, truth.rows[groups.truths])[rows[is_taken]]
    return Matches(
        image=truth.images[images],
        label=detections.labels,
        score=detections.scores,
        truth=taken,
        objects=truth.counted_objects(),
        images=len(truth),
    )


def in_coco_pixels(detections: Detections, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Boxes as `Detections.to_coco` writes them: x, y, width, height in pixels, (K, 4)."""
    if isinstance(detections, FoundDetections):
        return detections.pixels
    pixels = detections.to_pixels(sizes).astype(np.float64)
    return np.hstack([pixels[:, :2], pixels[:, 2:] - pixels[:, :2]])
