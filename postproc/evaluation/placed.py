"""Detections of a file put beside the ground truth of their images."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError
from postproc.evaluation.collected import Collected, differs
from postproc.evaluation.cut_lists import CutLists
from postproc.evaluation.found_detections import FoundDetections
from postproc.evaluation.found_formats.found_file import FoundFile
from postproc.evaluation.found_images import UNKNOWN, find_images
from postproc.evaluation.found_labels import find_labels
from postproc.evaluation.ground_truth import GroundTruth, TruthBatch
from postproc.evaluation.measured_detections import rectangles_of
from postproc.evaluation.shapes import Shapes
from postproc.evaluation.units import check_units
from postproc.installing import install
from postproc.results import Recognitions
from postproc.results.labels import LabelTable
from postproc.schema.problems import counted


@dataclass(frozen=True, eq=False, slots=True)
class Placed:
    """Detections of a file, and the images of a ground truth that they are of.

    Parameters
    ----------
    source : str
    detections : FoundDetections
        Of all images of the ground truth, in their order; those of an image by descending score.
    batch : TruthBatch
        Of all images.
    missing : tuple of str
        Images of which the file has no entry.
    unknown : tuple of str
        Images of the file that the ground truth does not know, which are left out.
    misshapen : tuple of str
        Images whose proportions are not those that the ground truth gives.
    cut : CutLists
    notes : tuple of str
    """

    source: str
    detections: FoundDetections
    batch: TruthBatch
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    misshapen: tuple[str, ...]
    cut: CutLists
    notes: tuple[str, ...]

    @classmethod
    def of(cls, found: FoundFile, truth: GroundTruth) -> Placed:
        """Find images and labels of the detections; what has none is left out.

        Raises
        ------
        SchemaError
            If no image or no label is known, or boxes are not in pixels of their images.
        """
        images, notes = find_images(found, truth)
        labels, more = find_labels(found, truth)
        notes = [*found.notes, *notes, *more]
        batch = truth.batch(np.arange(len(truth)), _sizes(found, images, truth))
        image_of_each = images[found.image_of_each]
        label_of_each = labels[found.category_of_each] if len(labels) else np.zeros(0, np.int64)
        boxes, shapes = _in_pixels(found, batch.sizes[image_of_each], truth, notes)
        is_known = (image_of_each != UNKNOWN) & (label_of_each != UNKNOWN)
        is_right = _is_right(found, boxes, notes)
        rows = np.flatnonzero(is_known & is_right)
        if not found.is_relative:
            check_units(
                boxes[rows],
                truth.sizes[image_of_each[rows]],
                found.source,
                lambda row: truth.names[image_of_each[rows[row]]],
                of="detections",
            )
        cut = CutLists.of(found.image_of_each[is_right], found.scores[is_right])
        rows = rows[np.argsort(-found.scores[rows], kind="stable")]
        rows = rows[np.argsort(image_of_each[rows], kind="stable")]
        seen = np.zeros(len(truth), np.bool_)
        seen[images[images != UNKNOWN]] = True
        return cls(
            found.source,
            _detections(rows, image_of_each, label_of_each, boxes, shapes, found, batch, truth),
            batch,
            tuple(truth.names[row] for row in np.flatnonzero(~seen)),
            tuple(str(found.images[row]) for row in np.flatnonzero(images == UNKNOWN)),
            tuple(_misshapen(found, images, truth)),
            cut,
            tuple(notes),
        )

    def collected(self, truth: GroundTruth, thresholds: Sequence[float] | None) -> Collected:
        """Give what is measured: what scores above these thresholds, and all; without any, all twice."""
        low = own = self.detections
        if thresholds is not None:
            table = low.table.replaced(tuple(thresholds))
            low = replace(low, table=table)
            own = low[low.scores.astype(np.float32) > np.asarray(thresholds, np.float32)[low.labels]]
        notes = (*self.notes, *self.cut.notes(self.source))
        if thresholds is None:
            notes += (
                f"precision, recall and F1 are of every detection of {self.source}: there are no thresholds",
            )
        return Collected(
            Recognitions((own, low)), self.batch, self.missing, self.unknown, self.misshapen, notes
        )

    def yields(self, truth: GroundTruth) -> str:
        """Name what it finds things by that the ground truth has, too, as `Shapes` does; or ``"boxes"``."""
        of_both = self.detections.shapes.counts().keys() & truth.shapes.counts().keys()
        kinds = ("oriented boxes", "keypoints", "masks")
        return next((kind for kind in kinds if kind in of_both), "boxes")


def _sizes(found: FoundFile, images: NDArray[np.int64], truth: GroundTruth) -> NDArray[np.int64]:
    """Height and width of each image of the ground truth by the file, which it may not say itself."""
    sizes = np.zeros((len(truth), 2), np.int64)
    known = images != UNKNOWN
    sizes[images[known]] = found.sizes[known]
    has_entry = np.zeros(len(truth), np.bool_)
    has_entry[images[known]] = True
    sizes[~has_entry] = 1  # nothing was found there, so that it does not matter
    return sizes


def _in_pixels(
    found: FoundFile, sizes: NDArray[np.int64], truth: GroundTruth, notes: list[str]
) -> tuple[NDArray[np.float64], Shapes]:
    sides = sizes[:, ::-1].astype(np.float64) if found.is_relative else np.ones((len(found), 2))
    masks = found.masks
    if found.is_relative:
        masks = masks.copy()
        for row, mask in enumerate(masks):
            if isinstance(mask, list):
                rings = [(np.reshape(ring, (-1, 2)) * sides[row]).ravel().tolist() for ring in mask]
                masks[row] = rings if len(rings) == 1 else _even_odd(rings, *sizes[row].tolist())
    rectangles = np.full((len(found), 5), np.nan)
    has_corners = np.isfinite(found.corners).all(axis=(1, 2))
    rectangles[has_corners] = rectangles_of(found.corners[has_corners] * sides[has_corners, np.newaxis])
    return found.boxes * np.tile(sides, 2), Shapes(masks, _points(found, sides, truth, notes), rectangles)


def _even_odd(rings: list[list[float]], height: int, width: int) -> dict[str, Any]:
    """Run lengths of a mask by its outlines, some of which are of holes: COCO's polygons have none."""
    try:
        from pycocotools import mask as masks
    except ImportError as error:
        raise ImportError(f"outlines with holes need an extra: {install('eval')} ({error})") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of NumPy 2, about how pycocotools gives arrays
        filled = masks.decode(masks.frPyObjects(rings, height, width))
    is_inside = np.asfortranarray(np.bitwise_xor.reduce(filled, axis=2))
    encoded = masks.encode(is_inside)
    return {"size": [height, width], "counts": encoded["counts"].decode()}


def _points(
    found: FoundFile, sides: NDArray[np.float64], truth: GroundTruth, notes: list[str]
) -> NDArray[np.float64]:
    """Points of each, all of them there: metrics take them whatever their scores are."""
    values, expected = found.keypoints.shape[1], truth.shapes.keypoints.shape[1]
    numbers = 2 if values == 2 * expected else 3
    if not values or values != numbers * (expected or values // 3):
        if values and expected:
            notes.append(
                f"keypoints of {found.source} are {values} numbers a detection, those of {truth.source} "
                f"{expected} points: they are not measured"
            )
        return np.zeros((len(found), 0, 3))
    points = found.keypoints.reshape(len(found), values // numbers, numbers)
    shown = np.repeat((points != 0).any(axis=(1, 2))[:, np.newaxis], points.shape[1], axis=1)
    return np.concatenate([points[..., :2] * sides[:, np.newaxis], shown[..., np.newaxis]], axis=2)


def _is_right(found: FoundFile, boxes: NDArray[np.float64], notes: list[str]) -> NDArray[np.bool_]:
    """Which have a score and a box that are numbers; of the others it is said that they are left out."""
    is_finite = np.isfinite(found.scores) & np.isfinite(found.boxes).all(axis=1)
    has_sides = ~is_finite | (found.boxes[:, 2:] >= 0).all(axis=1)
    for is_right, text in (
        (is_finite, "whose score or box is infinite or not a number"),
        (has_sides, "whose box has a side below 0"),
    ):
        if wrong := np.flatnonzero(~is_right).tolist():
            if len(wrong) == len(found):
                raise SchemaError(f"{found.source}: all detections are such {text}, {found.where(0)} for one")
            notes.append(
                f"left out: {counted(len(wrong), 'detection')} of {found.source} {text}, "
                f"{found.where(wrong[0])} for one"
            )
    if (outside := (found.scores < 0) | (found.scores > 1)).any():
        row = int(np.argmax(outside))
        notes.append(
            f"{counted(int(outside.sum()), 'score')} of {found.source} are not from 0 to 1, such as "
            f"{found.scores[row]:g} at {found.where(row)}"
        )
    return is_finite & has_sides


def _detections(
    rows: NDArray[np.int64],
    images: NDArray[np.int64],
    labels: NDArray[np.int64],
    boxes: NDArray[np.float64],
    shapes: Shapes,
    found: FoundFile,
    batch: TruthBatch,
    truth: GroundTruth,
) -> FoundDetections:
    counts = np.bincount(images[rows], minlength=len(batch))
    pixels, kept = boxes[rows], shapes[rows]
    sides = np.tile(batch.sizes[images[rows]][:, ::-1], 2)
    corners = np.hstack([pixels[:, :2], pixels[:, :2] + pixels[:, 2:]])
    labels_of = truth.table.labels
    table = LabelTable(
        np.array([label.id for label in labels_of], np.int64),
        tuple(label.name for label in labels_of),
        (0.0,) * len(labels_of),
    )
    return FoundDetections(
        scores=found.scores[rows] + 0.0,  # type: ignore[arg-type]  # as the file has them; no -0
        labels=labels[rows],
        predicted=np.ones(len(rows), np.bool_),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        table=table,
        boxes=(corners / sides).astype(np.float32),
        regions=np.arange(len(rows)),
        masks=kept.masks,
        keypoints=kept.keypoints,
        rectangles=kept.rectangles,
        pixels=pixels,
        areas_are_of_boxes=found.areas_are_of_boxes,
    )


def _misshapen(found: FoundFile, images: NDArray[np.int64], truth: GroundTruth) -> Iterator[str]:
    for size, row in zip(found.sizes, images, strict=True):
        if row != UNKNOWN and differs(truth.sizes[row], size):
            yield (
                f"{truth.names[row]} ({truth.sizes[row][1]} x {truth.sizes[row][0]}, predicted as {size[1]} "
                f"x {size[0]})"
            )
