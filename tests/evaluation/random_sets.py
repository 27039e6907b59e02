"""Random ground truths and detections with everything odd in them, as arrays and for pycocotools."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.groups import FoundInstances, TrueInstances
from postproc.evaluation.similarity import Similarity, of_boxes, of_keypoints, of_masks

Array = NDArray[Any]
SIDE = 128
LABELS = 4
KINDS = ("bbox", "segm", "keypoints")


@dataclass(frozen=True, eq=False)
class RandomSet:
    """Detections and objects; rows of images stand in the order of their ids."""

    kind: str  # pycocotools' iouType
    ids: Array  # of the images, ascending
    found: FoundInstances
    truth: TrueInstances
    boxes: Array
    truth_boxes: Array
    shapes: list[Any]  # masks as RLE, or keypoints (17, 3)
    truth_shapes: list[Any]
    thresholds: Array
    limits: list[int]

    def similarity(self) -> Similarity:
        if self.kind == "bbox":
            return of_boxes(self.boxes, self.truth_boxes, self.truth.crowd)
        if self.kind == "segm":
            return of_masks(self.shapes, self.truth_shapes, self.truth.crowd)
        points = np.array(self.shapes, float).reshape(-1, 17, 3)[..., :2]
        truths = np.array(self.truth_shapes, float).reshape(-1, 17, 3)
        return of_keypoints(points, truths, self.truth_boxes, self.truth.areas)

    def by_pycocotools(self, rng: np.random.Generator) -> Any:
        """Evaluate; annotations, images and categories are given in any order of images."""
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": int(key), "height": SIDE, "width": SIDE} for key in rng.permutation(self.ids)],
            "categories": [{"id": int(label) + 1, "name": "x"} for label in rng.permutation(LABELS)],
            "annotations": [self._annotation(row) for row in range(len(self.truth))],
        }
        known = (self.found.images >= 0) & (self.found.labels >= 0)
        results = [self._result(row) for row in np.flatnonzero(known)]
        with contextlib.redirect_stdout(io.StringIO()):
            truth.createIndex()
            found = truth.loadRes(results) if results else COCO()
            evaluation = COCOeval(truth, found, self.kind)
            evaluation.params.iouThrs, evaluation.params.maxDets = self.thresholds, self.limits
            evaluation.evaluate()
            evaluation.accumulate()
        return evaluation

    def _annotation(self, row: int) -> dict[str, Any]:
        annotation = {
            "id": row + 1,
            "image_id": int(self.ids[self.truth.images[row]]),
            "category_id": int(self.truth.labels[row]) + 1,
            "bbox": self.truth_boxes[row].tolist(),
            "area": float(self.truth.areas[row]),
            "iscrowd": int(self.truth.crowd[row]),
        }
        return {**annotation, **self._shape(self.truth_shapes, row)}

    def _result(self, row: int) -> dict[str, Any]:
        result = {
            "image_id": int(self.ids[self.found.images[row]]),
            "category_id": int(self.found.labels[row]) + 1,
            "score": float(self.found.scores[row]),
        }
        return {**result, **({"bbox": self.boxes[row].tolist()} if self.kind == "bbox" else {}),
                **self._shape(self.shapes, row)}  # fmt: skip

    def _shape(self, shapes: list[Any], row: int) -> dict[str, Any]:
        if self.kind == "segm":
            return {"segmentation": shapes[row]}
        if self.kind == "keypoints":
            points = shapes[row]
            return {"keypoints": points.reshape(-1).tolist(), "num_keypoints": int((points[:, 2] > 0).sum())}
        return {}


def random_set(kind: str, seed: int) -> RandomSet:
    """Make a set with crowds, ties, equal boxes, boxes without area, areas on the limits, labels and images
    without detections or objects, and unknown images and labels.

    In every tenth there are more than 100 of a label on an image.
    """
    rng = np.random.default_rng(seed)
    is_crowded = seed % 10 == 0
    images, objects, count = (2, 220, 420) if is_crowded else rng.integers((1, 0, 0), (8, 40, 160)).tolist()
    ids = np.sort(rng.choice(1000, images, replace=False))
    # The last label has no object, the last image none either, if there are more.
    truth_images, truth_labels = rng.integers(0, max(images - 1, 1), objects), rng.integers(0, 3, objects)
    truth_labels[rng.random(objects) < (0.9 if is_crowded else 0.3)] = 0
    sides = rng.choice([0, 3, 16, 32, 40, 64, 96, 100], (objects, 2))
    truths = np.hstack([rng.integers(0, SIDE - 10, (objects, 2)), sides]).astype(float)
    truths[: objects // 8] = truths[objects // 8 : objects // 8 * 2]
    source = rng.integers(0, max(objects, 1), count)
    boxes = np.full((count, 4), 20.0)
    found_images, found_labels = rng.integers(0, images, count), rng.integers(0, LABELS, count)
    if objects:
        shift = rng.choice([0, 0, 1, -2, 5, 0.37], (count, 4)) * (rng.random((count, 4)) < 0.6)
        boxes = truths[source] + shift
        is_near = rng.random(count) < 0.85
        found_images[is_near], found_labels[is_near] = (
            truth_images[source][is_near],
            truth_labels[source][is_near],
        )
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 0)
    if seed % 3:
        found_images[rng.random(count) < 0.05] = -1
        found_labels[rng.random(count) < 0.05] = -1
    crowd = rng.random(objects) < 0.15
    areas = truths[:, 2] * truths[:, 3] * rng.choice([1, 1, 0.6], objects)
    found_areas, ignored = boxes[:, 2] * boxes[:, 3], np.zeros(objects, np.bool_)
    shapes, truth_shapes = [], []
    if kind == "segm":
        shapes, truth_shapes = _masks(boxes), _masks(truths)
        from pycocotools import mask

        found_areas = np.array(
            [float(mask.area(shape)) for shape in shapes]
        )  # it refuses more than 255 at once
    elif kind == "keypoints":
        at = rng.random((max(objects, 1), 17, 2))
        near = at[source] + rng.normal(0, 0.03, (count, 17, 2)) * rng.choice([0, 1, 4], (count, 1, 1))
        shapes, truth_shapes = _points(rng, boxes, near), _points(rng, truths, at[:objects])
        ignored = np.array([not (points[:, 2] > 0).any() for points in truth_shapes], np.bool_)
        corners = [(points[:, :2].min(axis=0), points[:, :2].max(axis=0)) for points in shapes]
        found_areas = np.array([(high[0] - low[0]) * (high[1] - low[1]) for low, high in corners], float)
    thresholds = np.linspace(0.5, 0.95, 10) if seed % 4 else np.array([0.3, 0.5, 1.0])
    limits = [[1, 10, 100], [1, 10, 100], [20], [3, 300]][seed % 4]
    scores = rng.integers(0, 30, count).astype(np.float32) / 30
    return RandomSet(
        kind,
        ids,
        FoundInstances(found_images, found_labels, scores, found_areas),
        TrueInstances(truth_images, truth_labels, areas, crowd, ignored),
        boxes,
        truths,
        shapes,
        truth_shapes,
        thresholds,
        limits,
    )


def _masks(boxes: Array) -> list[Any]:
    """Ellipses in boxes, as RLE."""
    from pycocotools import mask

    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    drawn = []
    for left, top, width, height in boxes.tolist():
        a, b = max(width, 0.1) / 2, max(height, 0.1) / 2
        inside = ((x - left - a) / a) ** 2 + ((y - top - b) / b) ** 2 < 1
        drawn.append(mask.encode(np.asfortranarray(inside.astype(np.uint8))))
    return drawn


def _points(rng: np.random.Generator, boxes: Array, places: Array) -> list[Any]:
    """Points at places in boxes, some not visible, and sometimes none."""
    visible = rng.integers(0, 3, places.shape[:2]) * (rng.random((len(places), 1)) < 0.85)
    points = boxes[:, None, :2] + places * boxes[:, None, 2:]
    return list(np.concatenate([points, visible[..., None]], axis=2))
