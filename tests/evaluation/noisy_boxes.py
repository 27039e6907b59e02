"""A made-up network: tensors of random boxes, ground truth for some of them, and its documents."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.ground_truth import GroundTruth
from postproc.schema import RecognitionSpec

SIDE = 64
Array = NDArray[Any]


def spec_of(labels: int, roi: str = "BBOX", exclusive: bool = False) -> dict[str, Any]:
    items = [{"id": row + 1, "name": f"label {row}"} for row in range(labels)]
    return {"id": 5, "outputs": [{"labels": {"labels": items, "exclusive": exclusive, "roi": roi}}]}


def version_of(**decision: Any) -> dict[str, Any]:
    task = {"yolov8_output": {"output_tensor": "out"}, "input_size": [SIDE, SIDE], **decision}
    return {"post_processings": [{"detection": task}]}


def boxes_and_truth(
    seed: int, images: int = 30, boxes: int = 40, labels: int = 3
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Make a tensor (images, 4 + labels, boxes) in which objects score higher than the rest, and COCO JSON.

    Scores are of few values, so that there are ties, and boxes crowd around objects.
    """
    rng = np.random.default_rng(seed)
    table = np.zeros((images, 4 + labels, boxes), np.float32)
    annotations = []
    for image in range(images):
        objects = rng.integers(0, 5)
        corners = rng.integers(0, 40, (objects, 2)).astype(float)
        sizes = rng.integers(8, 24, (objects, 2)).astype(float)
        kinds = rng.integers(0, labels, objects)
        for corner, size, kind in zip(corners, sizes, kinds, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image + 1,
                    "category_id": int(kind) + 1,
                    "bbox": [*corner.tolist(), *size.tolist()],
                }
            )
        table[image, :2] = rng.uniform(4, 60, (2, boxes))
        table[image, 2:4] = rng.uniform(6, 20, (2, boxes))
        table[image, 4:] = rng.beta(1, 4, (labels, boxes))
        if objects:
            near = rng.integers(0, objects, boxes // 2)
            shift = rng.normal(0, 1.5, (2, boxes // 2))
            table[image, :2, : boxes // 2] = (corners + sizes / 2)[near].T + shift
            table[image, 2:4, : boxes // 2] = sizes[near].T
            table[image, 4 + kinds[near], np.arange(boxes // 2)] = rng.beta(3, 2, boxes // 2)
    table[:, 4:] = np.round(table[:, 4:] * 50) / 50
    document = {
        "images": [
            {"id": row + 1, "file_name": f"{row}.png", "width": SIDE, "height": SIDE} for row in range(images)
        ],
        "categories": [{"id": row + 1, "name": f"label {row}"} for row in range(labels)],
        "annotations": annotations,
    }
    return {"out": table}, document


def truth_of(document: dict[str, Any], spec: dict[str, Any]) -> GroundTruth:
    return GroundTruth.load(document, RecognitionSpec.load(spec))


def names_and_sizes(images: int) -> tuple[list[str], Array]:
    return [f"{row}.png" for row in range(images)], np.full((images, 2), SIDE)
