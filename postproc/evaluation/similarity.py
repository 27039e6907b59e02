"""How alike detections and objects are: by their boxes, masks, keypoints or oriented boxes.

Each function gives `Pairs`: the detections and objects of the same image and label that may be matched.
Matching knows pairs only, so that it is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.evaluation.groups import Floats, Groups, Integers
from postproc.evaluation.run_lengths import mask_tools
from postproc.kernels.core.quadrilaterals import quadrilateral_iou_matrix
from postproc.kernels.core.rectangles import rectangle_iou_matrix
from postproc.kernels.evaluation.matching import HIGHEST
from postproc.kernels.evaluation.pairs import box_pairs

# By how much annotations of the keypoints of COCO's people differ, in relation to the root of the area: nose,
# eyes, ears, shoulders, elbows, wrists, hips, knees, ankles (cocodataset.org/#keypoints-eval).
COCO_SIGMAS = tuple(
    value / 1000 for value in (26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89)
)

_LEAST = np.finfo(np.float64).tiny  # of what is divided by


@dataclass(frozen=True, eq=False, slots=True)
class Pairs:
    """Detections and objects that are alike enough to be matched at any threshold asked for.

    Parameters
    ----------
    starts : (K + 1,) int64
        The pairs of detection k of the groups are ``starts[k]`` to ``starts[k + 1]``.
    truths : (P,) int64
        Row of the object among those of the groups, ascending for each detection.
    values : (P,) float64
        How alike, from 0 to 1.
    """

    starts: Integers
    truths: Integers
    values: Floats


Similarity = Callable[[Groups, float], Pairs]
"""Gives the pairs of groups whose value is at least as high as the lowest threshold."""


def of_boxes(boxes: Floats, truths: Floats, crowd: NDArray[np.bool_]) -> Similarity:
    """Jaccard indices of boxes x, y, width, height; of crowds, the share of a detection that lies in one.

    Parameters
    ----------
    boxes : (N, 4) float64
    truths : (M, 4) float64
    crowd : (M,) bool
    """

    def pairs(groups: Groups, lowest: float) -> Pairs:
        return Pairs(
            *box_pairs(
                np.asarray(boxes[groups.rows], np.float64),
                groups.offsets,
                np.asarray(truths[groups.truths], np.float64),
                crowd[groups.truths],
                groups.truth_starts,
                groups.truth_stops,
                min(lowest, HIGHEST),
            )
        )

    return pairs


def of_rectangles(
    rectangles: NDArray[np.float32], truths: NDArray[np.float32], crowd: NDArray[np.bool_] | None = None
) -> Similarity:
    """Jaccard indices of oriented boxes; of crowds, the share of a detection that lies in one.

    Parameters
    ----------
    rectangles : (N, 5) float32
        Centre, width, height and angle in radians, from x towards y.
    truths : (M, 5) float32
    crowd : (M,) bool, optional
    """
    areas, truth_areas = (np.abs(of[:, 2].astype(float) * of[:, 3]) for of in (rectangles, truths))

    def matrix(rows: Integers, others: Integers) -> Floats:
        indices: Floats = rectangle_iou_matrix(rectangles[rows], truths[others])
        if crowd is None or not (are := crowd[others]).any():
            return indices
        shared = indices * (areas[rows, None] + truth_areas[others]) / (1 + indices)
        shares: Floats = shared / np.maximum(areas[rows, None], _LEAST)
        return np.where(are & (indices > 0), shares, indices)

    return _by_matrix(matrix)


def of_quadrilaterals(corners: Floats, truths: Floats) -> Similarity:
    """Jaccard indices of quadrilaterals, whatever their form.

    Parameters
    ----------
    corners : (N, 4, 2) float64
        x and y of the corners, which go around, either way.
    truths : (M, 4, 2) float64
    """
    return _by_matrix(lambda rows, others: quadrilateral_iou_matrix(corners[rows], truths[others]))


def of_masks(
    masks: Sequence[dict[str, Any]], truths: Sequence[dict[str, Any]], crowd: NDArray[np.bool_]
) -> Similarity:
    """Jaccard indices of masks by pycocotools; of crowds, the share of a detection that lies in one.

    Parameters
    ----------
    masks, truths : sequence of dict
        COCO's compressed RLE, ``{"size": [height, width], "counts": text}``, of N detections and M objects.
    crowd : (M,) bool

    Raises
    ------
    ImportError
        If the extra ``eval`` is missing.
    """
    iou = mask_tools().iou

    def matrix(rows: Integers, others: Integers) -> Floats:
        found = [masks[row] for row in rows]
        return np.asarray(iou(found, [truths[row] for row in others], crowd[others].astype(np.uint8)))

    return _by_matrix(matrix)


def of_keypoints(
    points: Floats, truths: Floats, boxes: Floats, areas: Floats, sigmas: Sequence[float] = COCO_SIGMAS
) -> Similarity:
    """COCO's object keypoint similarity (OKS).

    Parameters
    ----------
    points : (N, P, 2) float64
        In pixels.
    truths : (M, P, 3) float64
        With the visibility of each, 0 for those that are not annotated, which do not count. Points that lie
        within twice the box of an object without any are at no distance from it.
    boxes : (M, 4) float64
        x, y, width, height of the objects.
    areas : (M,) float64
    sigmas : sequence of P float
        By how much annotations of each point differ, in relation to the root of the area.

    Raises
    ------
    TensorError
        If the number of points is not that of `sigmas`.
    """
    variances = (np.asarray(sigmas, np.float64) * 2) ** 2
    for name, array, columns in (("points", points, 2), ("truths", truths, 3)):
        if array.ndim != 3 or array.shape[1:] != (len(variances), columns):
            raise TensorError(
                f"{name}: expected (number, {len(variances)}, {columns}), one point for each of "
                f"{len(variances)} sigmas, got {array.shape}"
            )

    def matrix(rows: Integers, others: Integers) -> Floats:
        values = np.empty((len(rows), len(others)))
        for column, row in enumerate(others):
            truth, (x, y, width, height) = truths[row], boxes[row]
            is_visible = truth[:, 2] > 0
            distances = points[rows] - truth[:, :2]
            if not is_visible.any():
                low, high = np.array([x - width, y - height]), np.array([x + width * 2, y + height * 2])
                distances = np.maximum(0, low - points[rows]) + np.maximum(0, points[rows] - high)
                is_visible[:] = True
            errors = (distances[..., 0] ** 2 + distances[..., 1] ** 2) / variances
            errors = errors / (areas[row] + np.spacing(1)) / 2
            # A row after another in memory: NumPy adds up in an order that hangs on that.
            shown = np.ascontiguousarray(errors[:, is_visible])
            values[:, column] = np.sum(np.exp(-shown), axis=1) / shown.shape[1]
        return values

    return _by_matrix(matrix)


def _by_matrix(similarity: Callable[[Integers, Integers], Floats]) -> Similarity:
    """Pair by a function that takes rows of detections and of objects, and gives how alike each two are."""

    def pairs(groups: Groups, lowest: float) -> Pairs:
        counts = np.zeros(len(groups.rows), np.int64)
        truths, values = [np.empty(0, np.int64)], [np.empty(0)]
        lowest = min(lowest, HIGHEST)
        for group in np.flatnonzero(groups.truth_starts < groups.truth_stops):
            start, stop = groups.offsets[group : group + 2]
            first, last = groups.truth_starts[group], groups.truth_stops[group]
            matrix = similarity(groups.rows[start:stop], groups.truths[first:last])
            is_pair = matrix >= lowest
            counts[start:stop] = is_pair.sum(axis=1)
            truths.append(np.nonzero(is_pair)[1] + first)
            values.append(matrix[is_pair])
        starts = np.concatenate([[0], np.cumsum(counts)])
        return Pairs(starts, np.concatenate(truths), np.concatenate(values))

    return pairs
