"""The outputs of the YOLO families."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.reference.activation import activated, sigmoid64, softmax64
from tests.reference.boxes import Box, rounded, to_corners
from tests.reference.decode_distances import cells_of as level_cells
from tests.reference.hypothesis import Call, Hypothesis, Images
from tests.reference.levels import of_levels
from tests.reference.rectangles import turned_box
from tests.reference.tensors import Floats, Tensors, as_float32, batched, grid, scores_by_row


def decode_yolo(output: dict[str, Any], tensors: Tensors, call: Call) -> Images:
    """Decode a YOLOv2 grid (Redmon & Farhadi 2017)."""
    sizes = output["anchors"]
    layout = output.get("layout", "auto")
    cells = grid(tensors[output["output_tensor"]], len(sizes) // 2, call.labels, layout)
    batch, height, width, anchors, _ = cells.shape

    images: Images = []
    for image in range(batch):
        found = []
        for row, col, a in itertools.product(range(height), range(width), range(anchors)):
            cell = cells[image, row, col, a].astype(np.float64)
            tx, ty, tw, th, to = cell[:5]
            with np.errstate(all="ignore"):
                box = _box(
                    (sigmoid64(tx) + col) / width,
                    (sigmoid64(ty) + row) / height,
                    sizes[2 * a] * np.exp(tw) / width,
                    sizes[2 * a + 1] * np.exp(th) / height,
                )
            values = rounded(sigmoid64(to) * softmax64(cell[5:]))
            region = (row * width + col) * anchors + a
            found += _hypotheses(values, region, box, cell[4:])
        images.append(found)
    return images


def decode_yolov3(output: dict[str, Any], tensors: Tensors, call: Call) -> Images:
    """Decode the grids of YOLOv3 (Redmon & Farhadi 2018), v4 (Bochkovskiy et al. 2020) and v5 (Jocher)."""
    names = output["output_tensors"]
    sizes = list(zip(output["anchors"][::2], output["anchors"][1::2], strict=True))
    masks = output.get("anchor_masks")
    counts = [len(mask) for mask in masks] if masks else [len(sizes) // len(names)] * len(names)
    layout = output.get("layout", "auto")
    grids = [grid(tensors[name], n, call.labels, layout) for name, n in zip(names, counts, strict=True)]
    if masks is None:
        order = sorted(range(len(grids)), key=lambda k: -grids[k].shape[1] * grids[k].shape[2])
        firsts = [order.index(k) * counts[0] for k in range(len(grids))]  # the finest grid takes the first
        masks = [range(first, first + counts[0]) for first in firsts]
    scale = output.get("scale_x_y", 1.0)
    scales = scale if isinstance(scale, list) else [scale] * len(grids)

    images: Images = []
    for image in range(len(grids[0])):
        found: list[Hypothesis] = []
        first = 0
        for cells, mask, s in zip(grids, masks, scales, strict=True):
            pairs = [sizes[index] for index in mask]
            found += _grid_of_pixels(cells[image], pairs, s, call.sized(image), first, output)
            first += cells[0, ..., 0].size
        images.append(found)
    return images


def _grid_of_pixels(
    cells: Floats,
    sizes: Sequence[tuple[float, float]],
    s: float,
    input_size: tuple[float, float],
    first: int,
    output: dict[str, Any],
) -> Iterator[Hypothesis]:
    height, width = cells.shape[:2]
    region = first
    is_v5 = output.get("box_coding") == "yolov5"
    for row, col, a in itertools.product(*map(range, cells.shape[:3])):
        cell = cells[row, col, a].astype(np.float64)
        tx, ty, tw, th, to = cell[:5]
        with np.errstate(all="ignore"):
            if is_v5:
                x, y = 2 * sigmoid64(tx) - 0.5, 2 * sigmoid64(ty) - 0.5
                grown = (2 * sigmoid64(tw)) ** 2, (2 * sigmoid64(th)) ** 2
            else:
                x, y = sigmoid64(tx) * s - (s - 1) / 2, sigmoid64(ty) * s - (s - 1) / 2
                grown = np.exp(tw), np.exp(th)
            box = _box(
                (x + col) * input_size[1] / width,
                (y + row) * input_size[0] / height,
                sizes[a][0] * grown[0],
                sizes[a][1] * grown[1],
            )
        values = rounded(sigmoid64(to) * (1.0 if alone(output) else sigmoid64(cell[5:])))
        yield from _hypotheses(np.atleast_1d(values), region, box, cell[4:])
        region += 1


def decode_yolov5(output: dict[str, Any], tensors: Tensors, call: Call) -> Images:
    """Decode boxes, objectness and probabilities: one float32 product per label, or objectness alone."""
    more = (output.get("keypoints") or 0) * output.get("dimensions", 3) + prototypes_of(output, tensors)
    first = 5 + (more if output.get("keypoints_first") else 0)
    images: Images = []
    for lines in table_of(output, tensors, 5 + call.labels + more):
        found = []
        for region, line in enumerate(lines):
            factors = np.concatenate([line[4:5], line[first : first + call.labels]])
            found += _hypotheses(_confidence(output, factors), region, _box_of(output, line), factors)
        images.append(found)
    return images


def decode_yolov8(output: dict[str, Any], tensors: Tensors, call: Call) -> Images:
    """Decode boxes and probabilities."""
    return [
        [
            one
            for region, line in enumerate(lines)
            for one in _hypotheses(line[4:], region, _box_of(output, line), line[4:])
        ]
        for lines in table_of(output, tensors, 4 + call.labels)
    ]


def decode_yolov8_pose(output: dict[str, Any], tensors: Tensors, call: Call) -> Images:
    """Decode boxes and probabilities; the keypoints behind them are read when boxes are kept."""
    return _decode_first(output, tensors, call, output["keypoints"] * output.get("dimensions", 3))


def decode_yolov8_seg(output: dict[str, Any], tensors: Tensors, call: Call) -> Images:
    """Decode boxes and probabilities; the coefficients behind them are read when boxes are kept."""
    return _decode_first(output, tensors, call, prototypes_of(output, tensors))


def prototypes_of(output: dict[str, Any], tensors: Tensors) -> int:
    """Return how many prototypes of masks there are, and so coefficients at the end of a line."""
    name = output.get("prototypes_tensor")
    return 0 if name is None else int(batched(tensors[name], 4).shape[1])


def _decode_first(output: dict[str, Any], tensors: Tensors, call: Call, more: int) -> Images:
    return [
        [
            one
            for region, line in enumerate(lines)
            for one in _hypotheses(line[4 : 4 + call.labels], region, _box_of(output, line), line[4:])
        ]
        for lines in table_of(output, tensors, 4 + call.labels + more)
    ]


def decode_yolov8_obb(output: dict[str, Any], tensors: Tensors, call: Call) -> Images:
    """Decode oriented boxes in pixels."""
    images: Images = []
    for image, lines in enumerate(table_of(output, tensors, 4 + call.labels + 1)):
        height, width = call.sized(image) if output.get("coordinates") == "normalized" else (1, 1)
        found = []
        for region, line in enumerate(lines):
            cx, cy, w, h, angle = (float(value) for value in (*line[:4], line[-1]))
            cx, cy, w, h = cx * width, cy * height, w * width, h * height
            rectangle, box = turned_box(cx, cy, w, h, angle)
            found += [
                replace(one, rectangle=rectangle)
                for one in _hypotheses(line[4 : 4 + call.labels], region, box, line[4:])
            ]
        images.append(found)
    return images


def decode_yolox(output: dict[str, Any], tensors: Tensors, call: Call) -> Images:
    """Decode the cells of all strides (Ge et al. 2021)."""
    activation = output.get("score_activation", "none")
    images: Images = []
    for image, lines in enumerate(cells_of(output, tensors, call.labels)):
        height, width = call.sized(image)
        places = places_of(output, tensors, height, width)
        found = []
        for region, (line, (row, col, stride)) in enumerate(zip(lines, places, strict=True)):
            x, y, tw, th = line[:4].astype(np.float64)
            with np.errstate(all="ignore"):
                box = _box((x + col) * stride, (y + row) * stride, np.exp(tw) * stride, np.exp(th) * stride)
            values = _confidence(output, activated(line[4:], activation))
            found += _hypotheses(values, region, box, line[4:])
        images.append(found)
    return images


def cells_of(output: dict[str, Any], tensors: Tensors, labels: int) -> Floats:
    """Return the (B, N, 5 + L) numbers of the cells of all levels."""
    if output.get("output_tensor") is not None:
        return table_of(output, tensors, 5 + labels)
    roles = (("boxes_tensors", 4), ("objectness_tensors", 1), ("scores_tensors", labels))
    return np.concatenate(
        [of_levels(output, tensors, output[field], channels)[0] for field, channels in roles], axis=2
    )


def places_of(
    output: dict[str, Any], tensors: Tensors, height: float, width: float
) -> list[tuple[int, int, int]]:
    """Return row, column and stride of each cell: sides rounded up for levels that have as many cells."""
    strides = output.get("strides", (8, 16, 32))
    if output.get("output_tensor") is None:
        _, levels = of_levels(output, tensors, output["objectness_tensors"], 1)
        return level_cells({"strides": strides}, levels, (height, width))
    return [
        (row, col, stride)
        for stride in strides
        for row in range(int(height // stride))
        for col in range(int(width // stride))
    ]


def table_of(output: dict[str, Any], tensors: Tensors, channels: int) -> Floats:
    """Return ``(B, N, channels)`` from either layout."""
    table = batched(as_float32(tensors[output["output_tensor"]]), 3)
    layout = output.get("layout", "auto")
    rows = table.shape[1] if table.shape[2] == channels else table.shape[2]
    return scores_by_row(table, layout, rows)


def alone(output: dict[str, Any]) -> bool:
    """Say whether the score of the only label is the objectness."""
    return bool(output.get("confidence") == "objectness")


def _confidence(output: dict[str, Any], values: Floats) -> Floats:
    """Return the scores of labels from objectness and their probabilities."""
    with np.errstate(all="ignore"):
        if output.get("confidence") == "sqrt_product":
            finite = np.where(np.isfinite(values), values, np.float32(np.nan))
            limited = np.clip(finite, np.float32(0), np.float32(1))  # as OpenCV's FaceDetectorYN
            root: Floats = np.sqrt(limited[0] * limited[1:])
            return root
        if alone(output):
            return values[:1]
        # No probability is below 0: two such make no score.
        return values[0] * values[1:] if not values[0] < 0 else np.full(len(values) - 1, -1, np.float32)


def _box_of(output: dict[str, Any], line: Floats) -> Box:
    """Return the corners of the box that a line of a table begins with."""
    with np.errstate(all="ignore"):
        return rounded(to_corners(line[:4], output.get("box_format", "cxcywh")))


def _box(cx: Any, cy: Any, w: Any, h: Any) -> Box:
    """Return the corners of a centre and a size: float64, rounded once."""
    with np.errstate(all="ignore"):
        return rounded(to_corners((cx, cy, w, h), "cxcywh"))


def _hypotheses(values: Floats, region: int, box: Box, logits: NDArray[Any]) -> list[Hypothesis]:
    return [Hypothesis(i, value, region, i, box, tuple(logits)) for i, value in enumerate(values)]
