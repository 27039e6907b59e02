"""Heads that give distances from the cells of grids: FCOS (Tian et al. 2019), GFL (Li et al. 2020)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.reference.activation import activated, sigmoid64, softmax64
from tests.reference.boxes import Box, rounded
from tests.reference.hypothesis import Call, Hypothesis, Images, Size
from tests.reference.levels import of_levels
from tests.reference.tensors import Floats, Tensors

Cell = tuple[int, int, int]  # row, column, stride


def decode_distance(output: dict[str, Any], tensors: Tensors, call: Call) -> Images:
    """Decode the cells of all levels; the sums of scores have no say."""
    background = output.get("background", "none")
    scores, levels = columns_of(output, tensors, "scores", call.labels)
    distances, _ = columns_of(output, tensors, "distances", call.labels)
    factors = None
    if output.get("centerness_tensors") or "centerness" in output.get("columns", ()):
        factors, _ = columns_of(output, tensors, "centerness", call.labels)
    first = int(background == "first")
    images: Images = []
    for image in range(len(scores)):
        cells = cells_of(output, levels, call.sized(image))
        found = []
        for region, cell in enumerate(cells):
            logits = scores[image, region]
            factor = None if factors is None else factors[image, region, 0]
            values = _scores(output, logits, factor)[first:][: call.labels]
            box = _box(output, distances[image, region], cell)
            found += [
                Hypothesis(label, value, region, label, box, tuple(logits))
                for label, value in enumerate(values)
            ]
        images.append(found)
    return images


def landmarks(
    output: dict[str, Any], tensors: Tensors, labels: int, image: int, region: int, size: Size
) -> NDArray[np.float32]:
    """Return the (P, 2) landmarks of a region in pixels of the input."""
    found, levels = columns_of(output, tensors, "landmarks", labels)
    row, column, stride = cells_of(output, levels, size)[region]
    offset = output.get("cell_offset", 0.5)
    unit = stride if output.get("distance_unit", "strides") == "strides" else 1
    steps = found[image, region].reshape(-1, 2).astype(np.float64)
    return rounded(np.array([(column + offset) * stride, (row + offset) * stride]) + steps * unit)


def columns_of(
    output: dict[str, Any], tensors: Tensors, name: str, labels: int
) -> tuple[Floats, list[tuple[int, ...]]]:
    """Return columns ``(B, N, C)`` of all boxes, and of each tensor the grid, or how many boxes it has."""
    widths = {
        "distances": 4 * output.get("bins", 1),
        "scores": labels + (output.get("background", "none") != "none"),
        "centerness": 1,
        "landmarks": 2 * (output.get("keypoints") or 0),
    }
    names, first, channels = output.get(f"{name}_tensors"), 0, widths[name]
    if names is None:
        packed = output.get("columns", ("distances", "scores"))
        first = sum(widths[other] for other in packed[: list(packed).index(name)])
        names, channels = output["output_tensors"], sum(widths[other] for other in packed)
    table, levels = of_levels(output, tensors, names, channels)
    return table[:, :, first : first + widths[name]], levels


def cells_of(output: dict[str, Any], levels: list[tuple[int, ...]], size: Size) -> list[Cell]:
    """Return the cell of each box: grids that tensors have, or that have as many boxes as they do."""
    strides, anchors = output["strides"], output.get("anchors_per_cell", 1)
    grids = [[(side(size[0] / s), side(size[1] / s)) for s in strides] for side in (math.ceil, math.floor)]
    if len(levels) == len(strides):
        chosen = [
            level if len(level) == 2 else next(
                pair for pair in (up, down) if pair[0] * pair[1] * anchors == level[0]
            )
            for level, up, down in zip(levels, *grids, strict=True)
        ]  # fmt: skip
    else:
        chosen = next(
            pairs
            for pairs in grids
            if sum(rows * columns for rows, columns in pairs) * anchors == levels[0][0]
        )
    return [
        (row, column, stride)
        for (rows, columns), stride in zip(chosen, strides, strict=True)
        for row in range(rows)
        for column in range(columns)
        for _ in range(anchors)
    ]


def _scores(output: dict[str, Any], logits: Floats, factor: np.float32 | None) -> Floats:
    activation = output.get("score_activation", "none")
    if factor is None:
        return activated(logits, activation)
    with np.errstate(all="ignore"):
        values = sigmoid64(logits) if activation == "sigmoid" else activated(logits, activation)
        certainty = float(factor) if activation == "none" else float(sigmoid64(factor))
        product = values.astype(np.float64) * (1.0 if certainty > 1 else certainty)
        return rounded(np.sqrt(product) if output.get("confidence") == "sqrt_product" else product)


def _box(output: dict[str, Any], numbers: Floats, cell: Cell) -> Box:
    row, column, stride = cell
    bins, activation = output.get("bins", 1), output.get("distance_activation", "none")
    with np.errstate(all="ignore"):
        if bins > 1:
            steps = output.get("first_bin", 0) + np.arange(bins)
            sides = rounded((softmax64(numbers.reshape(4, bins)) * steps).sum(axis=1))
        elif activation == "exp":
            sides = rounded(np.exp(numbers.astype(np.float64)))
        else:
            sides = np.where(numbers < 0, np.float32(0), numbers) if activation == "relu" else numbers
        unit = stride if output.get("distance_unit", "strides") == "strides" else 1
        left, top, right, bottom = sides.astype(np.float64) * unit
        x, y = (np.array([column, row]) + output.get("cell_offset", 0.5)) * stride
        return rounded([x - left, y - top, x + right, y + bottom])
