"""Random detections and ground truths, and pycocotools' evaluation of them."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.ground_truth import GroundTruth, TruthBatch
from postproc.evaluation.matches import in_coco_pixels
from postproc.results import Detections
from postproc.results.labels import LabelTable

Array = NDArray[Any]
IMAGE_SIDE = 400


@dataclass(frozen=True, eq=False)
class Scene:
    """Detections by image and by descending score, ground truths by image; boxes x, y, width, height."""

    count: int
    images: Array
    labels: Array
    scores: Array
    boxes: Array
    truth_images: Array
    truth_labels: Array
    truths: Array
    crowd: Array

    @classmethod
    def of_one_image(cls, boxes: Array, truths: Array, **columns: Any) -> Scene:
        """Make a scene of one label."""
        labels = np.array(columns.get("truth_labels", [0] * len(truths)), np.int64)
        crowd = np.array(columns.get("crowd", [False] * len(truths)), np.bool_)
        none = np.zeros(len(boxes), np.int64)
        scores = np.linspace(1, 0.1, len(boxes), dtype=np.float32)
        return cls(
            1, none, none, scores, boxes.astype(float), 0 * labels, labels, truths.astype(float), crowd
        )

    def truth_document(self) -> dict[str, Any]:
        """Write the ground truth as COCO does: ids are rows and 1."""
        return {
            "info": {},
            "images": [
                {"id": row + 1, "file_name": f"{row}.png", "width": IMAGE_SIDE, "height": IMAGE_SIDE}
                for row in range(self.count)
            ],
            "categories": [{"id": row + 1, "name": f"label {row}"} for row in range(5)],
            "annotations": [
                {
                    "id": row + 1,
                    "image_id": int(self.truth_images[row]) + 1,
                    "category_id": int(self.truth_labels[row]) + 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": int(self.crowd[row]),
                }
                for row, box in enumerate(self.truths.tolist())
            ],
        }

    def results(self) -> list[dict[str, Any]]:
        """Write the detections as COCO results."""
        return [
            {
                "image_id": int(self.images[row]) + 1,
                "category_id": int(self.labels[row]) + 1,
                "bbox": box,
                "score": float(self.scores[row]),
            }
            for row, box in enumerate(self.boxes.tolist())
        ]


def random_scene(seed: int, images: int = 8, labels: int = 3, detections: int = 30) -> Scene:
    """Make crowds, ties of scores and overlaps, small and large areas, images with nothing found or nothing
    to find."""
    rng = np.random.default_rng(seed)
    objects = 6 * images
    truth_images = np.sort(rng.integers(1, images, objects))  # image 0 is empty
    truths = np.hstack([rng.integers(0, 300, (objects, 2)), rng.choice([8, 30, 60, 100], (objects, 2))])
    truths[1] = truths[0]
    truth_labels = rng.integers(0, labels, objects)
    truth_labels[1] = truth_labels[0]
    found = detections * images
    source = rng.integers(0, objects, found)
    boxes = truths[source] + rng.choice([0, 0, 1, -2, 5, 15], (found, 4)) * (rng.random((found, 4)) < 0.6)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 1)
    images_of = np.where(rng.random(found) < 0.9, truth_images[source], rng.integers(0, images - 1, found))
    images_of[images_of == images - 1] = 0  # the last image has objects, but no detections
    right = rng.random(found) < 0.8
    labels_of = np.where(right, truth_labels[source], rng.integers(0, labels, found))
    scores = rng.integers(1, 40, found).astype(np.float32) / 40
    order = np.lexsort([-scores, images_of])
    return Scene(
        images,
        images_of[order],
        labels_of[order],
        scores[order],
        boxes[order].astype(float),
        truth_images,
        truth_labels,
        truths.astype(float),
        rng.random(objects) < 0.15,
    )


def coco_evaluation(scene: Scene) -> Any:
    """Open pycocotools' evaluation, with room for all detections of an image."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO()
    truth.dataset = scene.truth_document()
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(scene.results()), "bbox")
    return evaluation


def spec_of(labels: int = 5) -> dict[str, Any]:
    """Write a spec whose label ids are those of `Scene.truth_document`."""
    items = [{"id": row + 1, "name": f"label {row}"} for row in range(labels)]
    return {"outputs": [{"labels": {"labels": items, "exclusive": False, "roi": "BBOX"}}]}


def detections_of(scene: Scene) -> Detections:
    """Give the detections as a post-processor does, which rounds boxes to float32."""
    corners = np.hstack([scene.boxes[:, :2], scene.boxes[:, :2] + scene.boxes[:, 2:]])
    labels = len(spec_of()["outputs"][0]["labels"]["labels"])
    return Detections(
        scene.scores,
        scene.labels,
        np.ones(len(scene.labels), np.bool_),
        np.searchsorted(scene.images, np.arange(scene.count + 1)),
        LabelTable(np.arange(labels) + 1, tuple(map(str, range(labels))), (0.5,) * labels),
        (corners / IMAGE_SIDE).astype(np.float32),
        np.arange(len(scene.labels)),
        is_cut=np.zeros(scene.count, np.bool_),
    )


def truth_of(scene: Scene) -> GroundTruth:
    """Load the ground truth."""
    return GroundTruth.load(scene.truth_document(), spec_of())


def all_of(truth: GroundTruth) -> TruthBatch:
    """Give the ground truth of all images."""
    return truth.batch(range(len(truth)))


def with_boxes_of(scene: Scene, detections: Detections) -> Scene:
    """Give the scene the very boxes that its detections stand for."""
    sizes = np.full((scene.count, 2), IMAGE_SIDE)
    return replace(scene, boxes=in_coco_pixels(detections, sizes))
