"""Finished detections, one per row: a box, a score and a class."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.reference.boxes import rounded, to_corners
from tests.reference.hypothesis import Call, Hypothesis, Images
from tests.reference.rectangles import turned_box
from tests.reference.tensors import Tensors, as_float32, batched, rows_of_labels

# What may come with a box, by its column or by the field of the tensor.
MORE = ("angle", "keypoints", "coefficients", "keypoints_tensor", "masks_tensor")


class Rows(NamedTuple):
    """The rows of one image."""

    boxes: NDArray[Any]  # (K, 4)
    scores: NDArray[Any]  # (K,)
    classes: NDArray[Any]  # (K,)
    more: NDArray[Any] | None  # (K, ...): the numbers of what comes with a box


def decode_end_to_end(output: dict[str, Any], tensors: Tensors, call: Call) -> Images:
    """Decode the rows of each image, in their order; an unknown class is skipped, but counted."""
    row_of = rows_of_labels(output.get("classes", "rows"), call.label_ids)
    box_format, turned = output.get("box_format", "xyxy"), "angle" in output.get("columns", ())
    images: Images = []
    for rows in finished_rows(output, tensors, call.batch_size):
        found = []
        for region, (values, score) in enumerate(zip(rows.boxes, rows.scores, strict=True)):
            label = row_of.get(rows.classes[region].item())  # 3.0 finds 3, NaN finds nothing
            if label is None:
                continue
            rectangle = None
            if turned:
                assert rows.more is not None
                rectangle, box = turned_box(*values, rows.more[region, 0])
            else:
                box = rounded(to_corners(values, box_format))
            found.append(Hypothesis(label, score, region, 0, box, (float(score),), rectangle))
        images.append(found)
    return images


def finished_rows(output: dict[str, Any], tensors: Tensors, batch_size: int | None) -> list[Rows]:
    """Return the rows of each image: in one tensor with their images or their counts, or in several."""
    read = _separate if output.get("output_tensor") is None else _packed
    table, columns = read(output, tensors)
    counts = _counts(output, tensors)
    images = columns.pop("image", None)
    if images is not None and batch_size is None and output.get("prototypes_tensor"):
        batch_size = len(batched(tensors[output["prototypes_tensor"]], 4))
    of_images = _rows_of_images(table, counts, images, batch_size)
    return [
        Rows(
            *(columns[name][rows] for name in ("box", "score", "class")),
            next((columns[name][rows] for name in MORE if name in columns), None),
        )
        for rows in of_images
    ]


def _separate(output: dict[str, Any], tensors: Tensors) -> tuple[tuple[int, ...], dict[str, NDArray[Any]]]:
    boxes = as_float32(tensors[output["boxes_tensor"]])
    shape = boxes.shape[:-1] if boxes.ndim == 3 else (1, len(boxes))
    columns = {
        "box": boxes.reshape(-1, 4),
        "score": as_float32(tensors[output["scores_tensor"]]).reshape(-1),
        "class": np.asarray(tensors[output["classes_tensor"]]).reshape(-1),
    }
    return shape, columns | _apart(output, tensors, boxes.shape[:-1])


def _packed(output: dict[str, Any], tensors: Tensors) -> tuple[tuple[int, ...], dict[str, NDArray[Any]]]:
    table = np.asarray(tensors[output["output_tensor"]])
    names = output.get("columns", ("box", "score", "class"))
    widths = {"box": 4, "keypoints": output.get("keypoints", 0) * output.get("dimensions", 3)}
    widths["coefficients"] = table.shape[-1] - sum(
        widths.get(name, 1) for name in names if name != "coefficients"
    )
    columns, start = {}, 0
    for name in names:
        stop = start + widths.get(name, 1)
        numbers = table.reshape(-1, table.shape[-1])[:, start:stop]
        if name not in ("image", "class"):
            numbers = as_float32(numbers)
        columns[name] = numbers[:, 0] if name in ("image", "score", "class") else numbers
        start = stop
    if output.get("classes_tensor") is not None:
        columns["class"] = np.asarray(tensors[output["classes_tensor"]]).reshape(-1)
    return table.shape[:-1], columns | _apart(output, tensors, table.shape[:-1])


def _apart(output: dict[str, Any], tensors: Tensors, axes: tuple[int, ...]) -> dict[str, NDArray[Any]]:
    """Return what has a tensor of its own, beside rows of such axes."""
    if output.get("masks_tensor") is not None:
        masks = as_float32(tensors[output["masks_tensor"]])
        rows, side = math.prod(axes), masks.shape[-2:]
        # One of each row or one for each label, without the axis of one image or with it.
        return {"masks_tensor": masks.reshape(rows, masks.size // max(rows * math.prod(side), 1), *side)}
    name = output.get("keypoints_tensor")
    if name is None:
        return {}
    shape = output["keypoints"], output.get("dimensions", 3)
    return {"keypoints_tensor": as_float32(tensors[name]).reshape(-1, *shape)}


def _rows_of_images(
    shape: tuple[int, ...], counts: list[int] | None, images: NDArray[Any] | None, batch_size: int | None
) -> list[list[int]]:
    """Return the numbers of the rows of each image."""
    if images is not None:
        named = images.tolist()
        named = named[: named.index(-1)] if -1 in named else named
        if batch_size is None:
            batch_size = int(max(named, default=0)) + 1
        return [[row for row, one in enumerate(named) if one == image] for image in range(batch_size)]
    if len(shape) == 2:
        batch, rows = shape
        return [
            list(range(image * rows, image * rows + (rows if counts is None else counts[image])))
            for image in range(batch)
        ]
    if counts is None:
        return [list(range(shape[0]))]
    return [list(range(sum(counts[:image]), sum(counts[: image + 1]))) for image in range(len(counts))]


def _counts(output: dict[str, Any], tensors: Tensors) -> list[int] | None:
    if output.get("count_tensor") is None:
        return None
    return [int(count) for count in np.asarray(tensors[output["count_tensor"]]).reshape(-1)]
