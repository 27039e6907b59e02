"""What adds keypoints to the boxes that are kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from postproc.decoding.base import Extras, Sizes, rows_of
from postproc.kernels.heads.arguments import FirstImage, KeptOffsets, KeptRegions, Placement, Planar, Table
from postproc.results import Detections
from postproc.tensors import kernel_form

if TYPE_CHECKING:
    from postproc.decoding.levels import Six
    from postproc.kernels.heads.levels import AnchorsPerCell, CellOffset, InStrides, LevelTable
    from postproc.results.keypoints import KeypointDetections, Skeleton

Gather: TypeAlias = Callable[[Detections, Placement, FirstImage], NDArray[np.float32]]
"""Gives the keypoints (K, P, D) of detections of images, placed."""


def keypoints_of_table(
    table: Table,
    planar: Planar,
    first: int,
    points: int,
    dimensions: int,
    skeleton: Skeleton | None,
    firsts: NDArray[np.int64] | None = None,
) -> Extras:
    """Return what adds keypoints that are columns `first` and on of a table, decoded: see `rows_of`."""
    return with_keypoints(partial(_of_table, table, planar, first, points, dimensions, firsts), skeleton)


def with_keypoints(gather: Gather, skeleton: Skeleton | None) -> Extras:
    """Return what adds keypoints, and which of them are joined."""
    return partial(_with_keypoints, gather, skeleton)


def _of_table(
    table: Table,
    planar: Planar,
    first: int,
    points: int,
    dimensions: int,
    firsts: NDArray[np.int64] | None,
    found: Detections,
    placement: Placement,
    start: FirstImage,
) -> NDArray[np.float32]:
    # Not at the top: every import of postproc would pay for what few documents need.
    from postproc.kernels.heads.keypoints import Dimensions, FirstPoint, Points, gather_keypoints

    return gather_keypoints(
        Table(kernel_form(table)), planar, FirstPoint(first), Points(points), Dimensions(dimensions),
        rows_of(found, firsts, start), KeptOffsets(found.offsets), placement, start,
    )  # fmt: skip


def _with_keypoints(
    gather: Gather,
    skeleton: Skeleton | None,
    found: Detections,
    placement: Placement,
    sizes: Sizes,
    start: FirstImage,
) -> KeypointDetections:
    from postproc.results.keypoints import KeypointDetections, usual_skeleton

    keypoints = gather(found, placement, start)
    if skeleton is None:
        skeleton = usual_skeleton(keypoints.shape[1], found.table.names)
    return KeypointDetections.from_detections(found, keypoints=keypoints, skeleton=skeleton)


def landmarks_of_levels(
    tensors: Six,
    levels: LevelTable,
    geometry: tuple[AnchorsPerCell, CellOffset, InStrides],
    points: int,
    skeleton: Skeleton | None,
) -> Extras:
    """Return what adds landmarks that are distances from the cells of grids."""
    return with_keypoints(partial(_of_levels, tensors, levels, geometry, points), skeleton)


def _of_levels(
    tensors: Six,
    levels: LevelTable,
    geometry: tuple[AnchorsPerCell, CellOffset, InStrides],
    points: int,
    found: Detections,
    placement: Placement,
    start: FirstImage,
) -> NDArray[np.float32]:
    from postproc.kernels.heads.keypoints import Points, gather_landmarks

    kept = KeptRegions(found.regions), KeptOffsets(found.offsets)
    return gather_landmarks(*tensors, levels, *geometry, Points(points), *kept, placement, start)
