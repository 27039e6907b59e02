"""Detections with keypoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from postproc.results.arguments import SizeLike, SizesLike, require_one_image
from postproc.results.detections import Detections
from postproc.results.rows import as_finite

if TYPE_CHECKING:
    import supervision

Skeleton = tuple[tuple[int, int], ...]
"""Which keypoints are joined: pairs of their numbers, counted from 1 as COCO and supervision do."""

COCO_SKELETON: Skeleton = (
    *((16, 14), (14, 12), (17, 15), (15, 13)),  # ankles, knees, hips
    *((12, 13), (6, 12), (7, 13), (6, 7)),  # hips, shoulders
    *((6, 8), (7, 9), (8, 10), (9, 11)),  # shoulders, elbows, wrists
    *((2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7)),  # nose, eyes, ears, shoulders
)
"""That of the 17 keypoints of COCO's category person."""


def usual_skeleton(keypoints: int, label_names: tuple[str, ...]) -> Skeleton:
    """Give the skeleton of a document that has none: COCO's if two things speak for it, else an empty one.

    Their count is not enough: AP-10K's animals and Human3.6M's people have 17 keypoints too.
    """
    return COCO_SKELETON if keypoints == 17 and label_names == ("person",) else ()


@dataclass(frozen=True, eq=False, slots=True)
class KeypointDetections(Detections):
    """Boxes with keypoints of a batch of images; see `Classifications` for order and indexing.

    Parameters
    ----------
    keypoints : (K, P, D) float32
        The P points of each row: x and y relative to what boxes are relative to, and if D is 3 the
        probability that the point is visible. A point may lie outside of the image (ultralytics clips them:
        ``np.clip(keypoints[..., :2], 0, 1)``). One that has a number which is not finite is all zeros.
    skeleton : tuple of (int, int)
        Which points a drawing joins: their numbers, counted from 1; the document's ``skeleton``.
    """

    _OF_ALL: ClassVar[tuple[str, ...]] = (*Detections._OF_ALL, "skeleton")

    keypoints: NDArray[np.float32]
    skeleton: Skeleton

    def _arrow_columns(self, sizes: NDArray[np.float64] | None) -> Iterator[tuple[str, Any]]:
        yield from super(KeypointDetections, self)._arrow_columns(sizes)
        yield "keypoints", self.keypoints

    def _row_dicts(self) -> list[dict[str, Any]]:
        rows = super(KeypointDetections, self)._row_dicts()
        names = ("x", "y", "score")[: self.keypoints.shape[2]]
        for row, points in zip(rows, self.keypoints.tolist(), strict=True):
            row["roi"]["keypoints"] = [dict(zip(names, point, strict=True)) for point in points]
        return rows

    def keypoints_to_pixels(self, sizes: SizesLike) -> NDArray[np.float32]:
        """Keypoints in pixels.

        Parameters
        ----------
        sizes : (2,) or (B, 2)
            Height and width of all images, or of each.

        Returns
        -------
        (K, P, D) float32
            x and y in pixels; scores as they are.

        Raises
        ------
        TensorError
            If there is not one size, or one per image.
        """
        pixels = self.keypoints.copy()
        pixels[:, :, :2] = as_finite(
            self.keypoints[:, :, :2] * self._widths_and_heights(sizes)[:, np.newaxis]
        )
        return pixels

    def _coco_columns(self, sizes: SizesLike) -> Iterator[tuple[str, list[Any]]]:
        points = np.ones((len(self.keypoints), self.keypoints.shape[1], 3), np.float64)
        points[:, :, : self.keypoints.shape[2]] = self.keypoints_to_pixels(sizes)
        yield "keypoints", points.reshape(len(points), 3 * points.shape[1])[self.predicted].tolist()

    def to_supervision(self, size: SizeLike) -> supervision.Detections:
        """`supervision.Detections` as of `Detections`, with (K, P, D) ``data["keypoints"]`` in pixels.

        Its annotators draw boxes; those of poses take what `to_supervision_keypoints` gives.

        Raises
        ------
        TensorError
            If these are the boxes of several images: index one first.
        """
        made = super(KeypointDetections, self).to_supervision(size)
        made.data["keypoints"] = self._predicted_rows().keypoints_to_pixels(size)
        return made

    def to_supervision_keypoints(self, size: SizeLike) -> supervision.KeyPoints:
        """`supervision.KeyPoints` of the predicted rows of one image, in pixels of `size` (height, width).

        ``class_id`` holds label ids, ``data["class_name"]`` their names. What points score, if they do, is
        ``keypoint_confidence`` (``confidence`` before supervision 0.29), and the score of the box
        ``detection_confidence``, which supervision has from 0.29 on. ``sv.EdgeAnnotator(edges=skeleton)``
        joins them by the `skeleton` of these detections; supervision's own choice goes by their count.

        Raises
        ------
        TensorError
            If these are the boxes of several images: index one first.
        """
        require_one_image(self, "to_supervision_keypoints")
        import supervision

        found = self._predicted_rows()
        if not len(found.labels):
            return supervision.KeyPoints.empty()  # which alone it takes for empty
        points = found.keypoints_to_pixels(size)
        scores = np.ascontiguousarray(points[:, :, 2]) if points.shape[2] == 3 else None
        if "keypoint_confidence" in signature(supervision.KeyPoints).parameters:
            confidences: dict[str, Any] = {
                "keypoint_confidence": scores,
                "detection_confidence": found.scores,
            }
        else:
            confidences = {"confidence": scores}
        return supervision.KeyPoints(
            xy=np.ascontiguousarray(points[:, :, :2]),
            class_id=found.label_ids,
            data={"class_name": np.array(found.label_names, dtype=str)},
            **confidences,
        )
