"""Finished detections, one per row: a box, a score and a class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.reference.boxes import rounded, to_corners
from tests.reference.hypothesis import Call, Hypothesis, Images
from tests.reference.tensors import Tensors, as_float32, rows_of_labels

Rows = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]  # of one image: boxes (K, 4), scores, classes (K,)


def decode_end_to_end(output: dict[str, Any], tensors: Tensors, call: Call) -> Images:
    """Decode the rows of each image, in their order; an unknown class is skipped, but counted."""
    packed = output.get("output_tensor") is not None
    row_of = rows_of_labels(output.get("classes", "rows"), call.label_ids)
    images: Images = []
    for boxes, scores, classes in (_packed if packed else _separate)(output, tensors, call):
        found = []
        for region, (values, score) in enumerate(zip(as_float32(boxes), as_float32(scores), strict=True)):
            label = row_of.get(classes[region].item())  # 3.0 finds 3, NaN finds nothing
            if label is not None:
                box = rounded(to_corners(values, output.get("box_format", "xyxy")))
                found.append(Hypothesis(label, score, region, 0, box, (float(score),)))
        images.append(found)
    return images


def _separate(output: dict[str, Any], tensors: Tensors, _: Call) -> Iterator[Rows]:
    boxes, scores, classes = (
        np.asarray(tensors[output[name]]) for name in ("boxes_tensor", "scores_tensor", "classes_tensor")
    )
    if boxes.ndim == 2:
        boxes, scores, classes = boxes[np.newaxis], scores[np.newaxis], classes[np.newaxis]
    counts = _counts(output, tensors)
    for image in range(len(boxes)):
        stop = boxes.shape[1] if counts is None else counts[image]
        yield boxes[image, :stop], scores[image, :stop], classes[image, :stop]


def _packed(output: dict[str, Any], tensors: Tensors, call: Call) -> Iterator[Rows]:
    table = np.asarray(tensors[output["output_tensor"]])
    counts = _counts(output, tensors)
    start_of = {}
    width = 0
    for name in output.get("columns", ("box", "score", "class")):
        start_of[name] = width
        width += 4 if name == "box" else 1
    for rows in _rows_of_images(table, counts, start_of.get("image"), call.batch_size):
        boxes = rows[:, start_of["box"] : start_of["box"] + 4]
        yield boxes, rows[:, start_of["score"]], rows[:, start_of["class"]]


def _rows_of_images(
    table: NDArray[Any], counts: list[int] | None, image_column: int | None, batch_size: int | None
) -> list[NDArray[Any]]:
    if image_column is not None:
        rows = table.reshape(-1, table.shape[-1])
        ends = np.flatnonzero(rows[:, image_column] == -1)
        rows = rows[: ends[0]] if len(ends) else rows
        named = rows[:, image_column].astype(np.int64)
        if batch_size is None:
            batch_size = max(named, default=0) + 1
        return [rows[named == image] for image in range(batch_size)]
    if table.ndim == 3:
        return [rows[: len(rows) if counts is None else counts[image]] for image, rows in enumerate(table)]
    if counts is None:
        return [table]
    return np.split(table, np.cumsum(counts))[: len(counts)]


def _counts(output: dict[str, Any], tensors: Tensors) -> list[int] | None:
    if output.get("count_tensor") is None:
        return None
    return [int(count) for count in np.asarray(tensors[output["count_tensor"]]).reshape(-1)]
