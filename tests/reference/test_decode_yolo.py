"""The decoders of the YOLO families on examples worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import ArrayLike, NDArray

from postproc.transforms import ImageTransform
from tests.reference.calls import boxes_of, detect, regions, run

LOG2, LOG3 = math.log(2), math.log(3)


def yolov3(grids: dict[str, NDArray[Any]], thresholds: list[float], **fields: Any) -> dict[str, Any]:
    rules = {"input_size": fields.pop("input_size", [64, 128]), "nms_threshold": 1.0}
    return detect("yolov3", {"output_tensors": list(grids), **fields}, {**grids}, thresholds, **rules)


def empty_grid(height: int, width: int, anchors: int, labels: int = 1) -> NDArray[Any]:
    return np.full((1, height, width, anchors, 5 + labels), -20.0)


def test_yolov3_cell_becomes_a_box_in_pixels() -> None:
    grid = empty_grid(1, 2, 1, labels=2)
    grid[0, 0, 1, 0] = [0, LOG3, LOG2, -LOG2, LOG3, LOG3, 0]
    (rows,) = run(**yolov3({"grid": grid}, [0.5, 0.3], anchors=[10, 30]), ids=(1, 2))
    # Centre (0.5 + 1)*128/2, 0.75*64/1; size 10*2, 30/2; scores 0.75*0.75, 0.75*0.5.
    assert [(row.label, row.region) for row in rows] == [(0, 1), (1, 1)]
    assert_allclose([row.score for row in rows], [0.5625, 0.375], rtol=1e-6)
    assert_allclose(boxes_of(rows)[0], [86 / 128, 40.5 / 64, 106 / 128, 55.5 / 64], rtol=1e-6)


@pytest.mark.parametrize(("scale", "centre"), [(1, 0.75), (2, 1.0), ([2], 1.0), (1.2, 0.8)], ids=str)
def test_yolov3_scale_x_y_stretches_the_offset_around_the_middle(scale: Any, centre: float) -> None:
    grid = empty_grid(1, 1, 1)
    grid[0, 0, 0, 0] = [LOG3, 0, 0, 0, 20, 20]
    arguments = yolov3({"grid": grid}, [0.5], anchors=[64, 64], scale_x_y=scale, input_size=[256, 256])
    (rows,) = run(**arguments)
    assert_allclose(boxes_of(rows)[0], [centre - 0.125, 0.375, min(centre + 0.125, 1), 0.625], rtol=1e-6)


def sides(grids: dict[str, NDArray[Any]], **fields: Any) -> list[tuple[int, float]]:
    """Return the region and the width in pixels of each box."""
    (rows,) = run(**yolov3(grids, [0.4], input_size=[640, 640], **fields))
    widths = [float(box[2] - box[0]) * 640 for box in boxes_of(rows)]
    return sorted((row.region, round(width)) for row, width in zip(rows, widths, strict=True))


def centred(height: int, width: int, anchors: int) -> NDArray[Any]:
    """Return a grid whose last cell has a box for every anchor."""
    grid = empty_grid(height, width, anchors)
    grid[0, -1, -1, :] = [0, 0, 0, 0, 20, 20]
    return grid


def test_yolov3_finest_grid_takes_the_first_anchors() -> None:
    anchors = [10, 10, 20, 20, 30, 30, 40, 40, 50, 50, 60, 60]
    grids = {"coarse": centred(1, 1, 2), "fine": centred(2, 4, 2), "middle": centred(1, 2, 2)}
    # Regions: 0, 1 of the coarse grid, 2 to 17 of the fine one, 18 to 21 of the one between.
    assert sides(grids, anchors=anchors) == [(0, 50), (1, 60), (16, 10), (17, 20), (20, 30), (21, 40)]


def test_yolov3_anchor_masks_tell_the_anchors_of_each_tensor() -> None:
    grids = {"one": centred(1, 1, 1), "other": centred(1, 1, 2)}
    assert sides(grids, anchors=[10, 10, 20, 20, 30, 30], anchor_masks=[[2], [1, 0]]) == [
        (0, 30),
        (1, 20),
        (2, 10),
    ]


@pytest.mark.parametrize("layout", ["(B,H,W,C)", "(B,H,W,A,5+L)", "(B,C,H,W)"])
def test_yolov3_region_counts_rows_columns_anchors_in_any_layout(layout: str) -> None:
    cells = empty_grid(2, 3, 2)
    cells[0, 1, 2, 0] = 0
    flat = cells.reshape(1, 2, 3, 12)
    grid = {"(B,H,W,C)": flat, "(B,H,W,A,5+L)": cells, "(B,C,H,W)": flat.transpose(0, 3, 1, 2)}[layout]
    (rows,) = run(**yolov3({"grid": grid}, [0.2], anchors=[1, 1, 1, 1]))
    assert regions(rows) == [(1 * 3 + 2) * 2 + 0]


def test_yolov3_takes_the_size_of_each_images_input() -> None:
    grid = np.repeat(centred(1, 1, 1), 2, axis=0)
    arguments = detect(
        "yolov3",
        {"output_tensors": ["grid"], "anchors": [16, 16]},
        {"grid": grid, "size": [[32, 64], [64, 32]]},
        [0.4],
        normalize_wrt_tensor="size",
    )
    (one,), (other,) = map(boxes_of, run(**arguments))
    assert_allclose([one, other], [[0.375, 0.25, 0.625, 0.75], [0.25, 0.375, 0.75, 0.625]], rtol=1e-6)


@pytest.mark.parametrize("planes", [False, True], ids=["(B,N,5+L)", "(B,5+L,N)"])
def test_yolov5_score_is_the_float32_product(planes: bool) -> None:
    table = np.zeros((1, 3, 7))
    table[0, 1] = [32, 16, 16, 8, 0.3, 0.7, 0.9]
    tensor = table.transpose(0, 2, 1) if planes else table
    arguments = detect("yolov5", {"output_tensor": "t"}, {"t": tensor}, [0.1, 0.1], input_size=[32, 64])
    (rows,) = run(**arguments, ids=(1, 2))
    scores = [np.float32(0.3) * np.float32(0.9), np.float32(0.3) * np.float32(0.7)]
    assert [(row.label, row.region, row.score) for row in rows] == [(1, 1, scores[0]), (0, 1, scores[1])]
    assert boxes_of(rows)[0] == [24 / 64, 12 / 32, 40 / 64, 20 / 32]


def test_yolov8_row_is_a_box_and_its_scores() -> None:
    table = [[[32, 16, 16, 8, 0.1, 0.9]] * 4]
    arguments = detect("yolov8", {"output_tensor": "t"}, {"t": table}, [0.5, 0.5], input_size=[32, 64])
    (rows,) = run(**arguments, ids=(1, 2))
    assert [(row.label, row.region, row.score) for row in rows] == [(1, 0, np.float32(0.9))]
    assert boxes_of(rows) == [[24 / 64, 12 / 32, 40 / 64, 20 / 32]]


def yolox(table: ArrayLike, input_size: list[int], **fields: Any) -> dict[str, Any]:
    output = {"output_tensor": "t", **fields}
    return detect("yolox", output, {"t": table}, [0.1], input_size=input_size, nms_threshold=1.0)


def test_yolox_cells_of_all_strides_row_by_row() -> None:
    # 20 x 28: a grid of 2 x 3 cells of 8 pixels, then one of 1 x 1 of 16; what is left over has no cell.
    table = np.zeros((1, 7, 6))
    table[0, 4] = [0.5, 0.25, math.log(0.5), math.log(1.5), 0.5, 0.75]
    table[0, 6] = [0.5, 0.5, 0, -LOG2, 0.5, 0.5]
    (rows,) = run(**yolox(table, [20, 28], strides=[8, 16]))
    assert [(row.region, float(row.score)) for row in rows] == [(4, 0.375), (6, 0.25)]
    # Centre (1.5*8, 1.25*8), size 4 x 12; centre (8, 8), size 16 x 8.
    expected = [[10 / 28, 4 / 20, 14 / 28, 16 / 20], [0, 4 / 20, 16 / 28, 12 / 20]]
    assert_allclose(boxes_of(rows), expected, rtol=1e-6)


def test_yolox_default_strides_are_8_16_32() -> None:
    table = np.zeros((1, 2 * 16 + 2 * 4 + 2, 6))
    table[0, 40] = [0.5, 0.5, -LOG2, -LOG2, 1, 1]
    (rows,) = run(**yolox(table, [32, 64]))
    assert boxes_of(rows) == [[0.125, 0.25, 0.375, 0.75]]


def test_yolox_sigmoids_are_rounded_before_their_product() -> None:
    table = [[[0.5, 0.5, 0, 0, 0.3, 1.7]]]
    (rows,) = run(**yolox(table, [8, 8], strides=[8], score_activation="sigmoid"))
    one, other = (np.float32(1 / (1 + math.exp(-float(np.float32(x))))) for x in (0.3, 1.7))
    assert [row.score for row in rows] == [one * other]


def test_yolox_input_of_a_call_may_lie_on_its_side() -> None:
    table = np.zeros((2, 2, 6))
    table[:, 1] = [0.5, 0.5, -LOG2, 0, 1, 1]
    sizes = [(8, 16), (16, 8)]
    transforms = [ImageTransform((1, 1), (0, 0), size, size) for size in sizes]
    arguments = yolox(table, [8, 16], strides=[8])
    (one,), (other,) = map(boxes_of, run(**arguments, transforms=transforms))
    assert_allclose([one, other], [[10 / 16, 0, 14 / 16, 1], [0.25, 0.5, 0.75, 1]], rtol=1e-6)
