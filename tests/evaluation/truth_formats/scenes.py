"""One truth of two images, as COCO's document and in the forms of other data sets."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from postproc.evaluation.ground_truth import GroundTruth

SIZES = {"a.jpg": (48, 64), "b.png": (32, 80), "c.jpg": (20, 20)}  # height, width
NAMES = ("cat", "dog")
# Image, label row, x, y, width, height: quarters of pixels, which fractions of the sides keep.
OBJECTS = (
    ("b.png", 1, 8.0, 4.0, 16.0, 8.0),
    ("a.jpg", 0, 0.0, 6.0, 32.0, 12.0),
    ("b.png", 0, 40.0, 0.0, 40.0, 32.0),
)


def coco(**others: list[Any]) -> dict[str, Any]:
    """Return COCO's document; others are columns of annotations, such as ``iscrowd``."""
    names = list(SIZES)
    annotations = []
    for row, (name, label, *box) in enumerate(OBJECTS):
        extra = {key: values[row] for key, values in others.items() if values[row] is not None}
        ids = {"id": row + 1, "image_id": names.index(name), "category_id": label}
        annotations.append({**ids, "bbox": box, **copy.deepcopy(extra)})
    return {
        "images": [
            {"id": row, "file_name": name, "height": height, "width": width}
            for row, (name, (height, width)) in enumerate(SIZES.items())
        ],
        "categories": [{"id": row, "name": name} for row, name in enumerate(NAMES)],
        "annotations": annotations,
    }


def write_images(folder: Path) -> None:
    """Write empty images of the sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (height, width) in SIZES.items():
        Image.new("L", (width, height)).save(folder / name)


def of_image(name: str) -> list[tuple[int, list[float]]]:
    """Return label row and box of the objects of an image."""
    return [(label, box) for image, label, *box in OBJECTS if image == name]


def check_equal(found: GroundTruth, document: dict[str, Any], *, atol: float = 0) -> None:
    """Fail unless a truth has the images, objects and labels of a COCO document."""
    expected = GroundTruth.load(document)
    assert [label.name for label in found.table.labels] == [label.name for label in expected.table.labels]
    order = [found.find(name) for name in expected.names]
    assert sorted(order) == list(range(len(found)))  # type: ignore[type-var]
    theirs, ours = expected.batch(range(len(expected))), found.batch(order)  # type: ignore[arg-type]
    for name in ("sizes", "offsets", "labels", "crowd", "ignored"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), strict=True, err_msg=name)
    np.testing.assert_allclose(ours.boxes, theirs.boxes, rtol=0, atol=atol)
    np.testing.assert_allclose(found.areas[ours.rows], expected.areas, rtol=1e-12, atol=40 * atol)
    mine, own = found.shapes[ours.rows], expected.shapes
    assert mine.counts().keys() - {"oriented boxes"} == own.counts().keys()
    np.testing.assert_allclose(mine.keypoints, own.keypoints, rtol=0, atol=1e-9)
    for one, other in zip(mine.masks, own.masks, strict=True):
        np.testing.assert_allclose(np.asarray(one, float), np.asarray(other, float), rtol=0, atol=1e-9)
