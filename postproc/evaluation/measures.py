"""What detections are measured by: boxes, masks, keypoints or oriented boxes, declared once each.

A measure says how alike detections and objects are, by what areas both count as small, medium or large,
which objects need not be found, and what COCO's numbers of it are. Matching, curves and counts are the same
for all.

An object without the shape, as a person without a visible keypoint, need not be found, and what finds it
counts as neither a true nor a false positive: COCO's rule of keypoints, and here that of all. Where it is, is
told by its upright box, in which such a share of a detection lies as it would have to overlap by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError
from postproc.evaluation.coco_curves import COCO_AREAS
from postproc.evaluation.found_detections import FoundDetections
from postproc.evaluation.groups import Floats
from postproc.evaluation.matches import in_coco_pixels
from postproc.evaluation.measured_detections import MeasuredDetections
from postproc.evaluation.run_lengths import areas_of, as_run_lengths
from postproc.evaluation.sigmas import sigmas_for
from postproc.evaluation.similarity import (
    COCO_SIGMAS,
    Similarity,
    of_boxes,
    of_keypoints,
    of_masks,
    of_rectangles,
)
from postproc.results.rows import images_of_rows
from postproc.schema.problems import counted

if TYPE_CHECKING:
    from postproc.evaluation.ground_truth import GroundTruth, TruthBatch

Numbers = dict[str, tuple[str, float | None, str, int]]
"""What numbers are of, by name: precision or recall, threshold (None: the mean of all), area, limit."""

Compare = Callable[[MeasuredDetections], tuple[Similarity, Floats]]


@dataclass(frozen=True, eq=False, slots=True)
class MeasuredObjects:
    """Objects of a ground truth as a measure takes them.

    Parameters
    ----------
    areas : (G,) float64
        By which they count as small, medium or large.
    ignored : (G,) bool
        Whether they need not be found.
    compare : function
        Gives how alike detections of the same images and the objects are, and the areas of the detections.
    notes : tuple of str
        What a reader of the numbers has to know.
    """

    areas: Floats
    ignored: NDArray[np.bool_]
    compare: Compare
    notes: tuple[str, ...] = ()


ObjectsOf = Callable[["GroundTruth", "TruthBatch", "tuple[float, ...] | None"], MeasuredObjects]


@dataclass(frozen=True, eq=False, slots=True)
class Measure:
    """What detections are measured by.

    Parameters
    ----------
    name : str
        As of `Shapes.has`, or ``"boxes"``, which everything has.
    heading : str
        What its numbers are headed by, as in "mask AP".
    similarity : str
        What tells how alike two are.
    max_detections : int
        COCO's own limit of detections an image and label.
    areas : dict of str to (float, float)
        As of `coco_curves`.
    objects : function
        Gives the objects of a ground truth and some of its images; its third argument are the sigmas of
        keypoints, if any are given.
    numbers : function
        Gives COCO's numbers at a limit.
    """

    name: str
    heading: str
    similarity: str
    max_detections: int
    areas: Mapping[str, tuple[float, float]]
    objects: ObjectsOf
    numbers: Callable[[int], Numbers]


def _of_shapes(
    measure: str, batch: TruthBatch, has: NDArray[np.bool_], areas: Floats, compare: Compare, *notes: str
) -> MeasuredObjects:
    """Ignore objects that have not the shape."""
    if without := int((~has & ~batch.ignored).sum()):
        said = (
            f"{counted(without, 'object')} of the ground truth without {measure} need not be found, and what"
        )
        notes = (*notes, f"{said} finds them counts as neither right nor wrong")
    return MeasuredObjects(areas, batch.ignored | ~has, compare, notes)


def _areas(found: MeasuredDetections, of_shapes: Floats) -> Floats:
    """Give the areas by which detections count: of their shapes, unless their file has them by boxes."""
    if isinstance(found, FoundDetections) and found.areas_are_of_boxes:
        return found.pixels[:, 2] * found.pixels[:, 3]
    return of_shapes


def _boxes(truth: GroundTruth, batch: TruthBatch, _: tuple[float, ...] | None) -> MeasuredObjects:
    return MeasuredObjects(truth.areas[batch.rows], batch.ignored, partial(_compare_boxes, batch))


def _compare_boxes(batch: TruthBatch, found: MeasuredDetections) -> tuple[Similarity, Floats]:
    boxes = in_coco_pixels(found, batch.sizes)
    return of_boxes(boxes, batch.boxes, batch.crowd), boxes[:, 2] * boxes[:, 3]


def _masks(truth: GroundTruth, batch: TruthBatch, _: tuple[float, ...] | None) -> MeasuredObjects:
    shapes, owners = truth.shapes[batch.rows], images_of_rows(batch.offsets)
    has = shapes.has("masks")
    masks = shapes.masks.copy()
    for row in np.flatnonzero(~has).tolist():
        x, y, width, height = batch.boxes[row].tolist()
        masks[row] = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    # Where neither file nor prediction says how large an image is, nothing was predicted.
    is_unsized = (truth.sizes[batch.images] < 1).any(axis=1) & (batch.sizes == 1).all(axis=1)
    masks[is_unsized[owners]] = None
    names = [label.name for label in truth.table.labels]

    def name_of(row: int) -> str:
        image = truth.names[batch.images[owners[row]]]
        return f"{truth.source}: {names[batch.labels[row]]!r} on {image!r}, bbox {batch.boxes[row].tolist()}"

    encoded = as_run_lengths(masks, batch.sizes[owners], name_of)
    compare = partial(_compare_masks, truth, batch, encoded, batch.crowd | ~has)
    return _of_shapes("masks", batch, has, truth.areas[batch.rows], compare)


def _compare_masks(
    truth: GroundTruth,
    batch: TruthBatch,
    encoded: list[dict[str, Any]],
    crowd: NDArray[np.bool_],
    found: MeasuredDetections,
) -> tuple[Similarity, Floats]:
    images = images_of_rows(found.offsets)

    def name_of(row: int) -> str:
        number, image = row - found.offsets[images[row]], truth.names[batch.images[images[row]]]
        return f"detections: number {number} of {image!r}"

    masks = as_run_lengths(found.masks, batch.sizes[images], name_of)
    return of_masks(masks, encoded, crowd), _areas(found, areas_of(masks))


def _keypoints(truth: GroundTruth, batch: TruthBatch, sigmas: tuple[float, ...] | None) -> MeasuredObjects:
    shapes, areas = truth.shapes[batch.rows], truth.areas[batch.rows]
    known = sigmas_for(shapes.keypoints.shape[1], sigmas)
    compare = partial(_compare_keypoints, truth.source, shapes.keypoints, batch.boxes, areas, known)
    notes = []
    if sigmas is None and {label.name for label in truth.table.labels} != {"person"}:
        notes.append("keypoints are compared by the sigmas of COCO's people, which other labels may not fit")
    return _of_shapes("keypoints", batch, shapes.has("keypoints"), areas, compare, *notes)


def _compare_keypoints(
    source: str,
    truths: Floats,
    boxes: Floats,
    areas: Floats,
    sigmas: tuple[float, ...],
    found: MeasuredDetections,
) -> tuple[Similarity, Floats]:
    count = truths.shape[1]
    points = found.keypoints[..., :2] if len(found.keypoints) else np.empty((0, count, 2))
    if points.shape[1] != count:
        raise SchemaError(
            f"{source}: objects have {count} keypoints, and detections {points.shape[1]}: only the same ones "
            "can be compared"
        )
    extents: Floats = np.ptp(points, axis=1).prod(axis=1)
    return of_keypoints(points, truths, boxes, areas, sigmas), _areas(found, extents)


def _oriented(truth: GroundTruth, batch: TruthBatch, _: tuple[float, ...] | None) -> MeasuredObjects:
    shapes = truth.shapes[batch.rows]
    has = shapes.has("oriented boxes")
    corners, sides = batch.boxes[:, :2], batch.boxes[:, 2:]
    upright = np.hstack([corners + sides / 2, sides, np.zeros((len(sides), 1))])
    rectangles = np.where(has[:, None], shapes.rectangles, upright)

    compare = partial(_compare_rectangles, rectangles.astype(np.float32), batch.crowd | ~has)
    areas: Floats = np.abs(rectangles[:, 2:4].prod(axis=1))
    return _of_shapes("oriented boxes", batch, has, areas, compare)


def _compare_rectangles(
    rectangles: NDArray[np.float32], crowd: NDArray[np.bool_], found: MeasuredDetections
) -> tuple[Similarity, Floats]:
    areas: Floats = np.abs(found.rectangles[:, 2:4].prod(axis=1))
    return of_rectangles(found.rectangles.astype(np.float32), rectangles, crowd), areas


_FEWER = (1, 10)  # COCO's other limits, of AR only
_AREAS_OF_KEYPOINTS = {name: area for name, area in COCO_AREAS.items() if name != "small"}


def _numbers(most: int) -> Numbers:
    limits = (*(fewer for fewer in _FEWER if fewer < most), most)
    areas = tuple(COCO_AREAS)[1:]
    return {
        "AP": ("precision", None, "all", most),
        "AP50": ("precision", 0.5, "all", most),
        "AP75": ("precision", 0.75, "all", most),
        **{f"AP_{area}": ("precision", None, area, most) for area in areas},
        **{f"AR{limit}": ("recall", None, "all", limit) for limit in limits},
        **{f"AR_{area}": ("recall", None, area, most) for area in areas},
    }


def _numbers_of_keypoints(most: int) -> Numbers:
    """Ten, as COCO has them: at one limit, without small objects, and recall at thresholds too."""
    numbers: Numbers = {}
    for name, kind in (("AP", "precision"), ("AR", "recall")):
        numbers[name] = kind, None, "all", most
        for threshold in (0.5, 0.75):
            numbers[f"{name}{100 * threshold:.0f}"] = kind, threshold, "all", most
        for area in tuple(_AREAS_OF_KEYPOINTS)[1:]:
            numbers[f"{name}_{area}"] = kind, None, area, most
    return numbers


_JACCARD = "Jaccard index"
BOXES = Measure("boxes", "box", _JACCARD, 100, COCO_AREAS, _boxes, _numbers)
MASKS = Measure("masks", "mask", _JACCARD, 100, COCO_AREAS, _masks, _numbers)
KEYPOINTS = Measure(
    "keypoints", "keypoint", "OKS", 20, _AREAS_OF_KEYPOINTS, _keypoints, _numbers_of_keypoints
)
ORIENTED = Measure("oriented boxes", "oriented box", _JACCARD, 100, COCO_AREAS, _oriented, _numbers)

MEASURES = {measure.name: measure for measure in (BOXES, MASKS, KEYPOINTS, ORIENTED)}


def measures_of(
    truth: GroundTruth,
    batch: TruthBatch,
    found: MeasuredDetections,
    yields: str,
    wanted: str | None = None,
    sigmas: tuple[float, ...] | None = None,
) -> list[Measure]:
    """Choose what is measured, what heads first: what both sides have; boxes always.

    Parameters
    ----------
    truth : GroundTruth
    batch : TruthBatch
        Of the images that count.
    found : MeasuredDetections
        Of the same.
    yields : str
        What a version says where things are by.
    wanted : str, optional
        What is to head.
    sigmas : sequence of float, optional
        Of keypoints; where others head, those without known sigmas are not measured.

    Raises
    ------
    SchemaError
        If what is wanted cannot be measured.
    """
    of_truth, of_found = truth.shapes[batch.rows].counts(), found.shapes.counts()
    names = [name for name in dict.fromkeys([yields, *of_found]) if name in of_truth]
    if wanted is not None and wanted not in [*names, "boxes"]:
        if wanted not in MEASURES:
            raise SchemaError(f"measure: expected one of {', '.join(MEASURES)}, got {wanted!r}")
        lacking = "the ground truth has" if wanted not in of_truth else "the detections have"
        raise SchemaError(
            f"measure: {lacking} no {wanted}; {' and '.join([*names, 'boxes'])} can be measured"
        )
    heading = wanted or next(iter(names), "boxes")
    points = truth.shapes.keypoints.shape[1]
    if heading != "keypoints" and sigmas is None and points != len(COCO_SIGMAS):
        names = [name for name in names if name != "keypoints"]
    return [MEASURES[name] for name in dict.fromkeys([heading, *names, "boxes"])]


def check_sigmas(
    truth: GroundTruth, yields: str, wanted: str | None, sigmas: tuple[float, ...] | None
) -> None:
    """See before anything is predicted that keypoints, if they are to head, have their sigmas.

    Raises
    ------
    SchemaError
        If they have not.
    """
    if (wanted or yields) == "keypoints" and truth.shapes.has("keypoints").any():
        sigmas_for(truth.shapes.keypoints.shape[1], sigmas)
