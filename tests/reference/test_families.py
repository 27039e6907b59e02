"""The decoders of the extensions of v0.7 on examples worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import ArrayLike, NDArray

from postproc.transforms import ImageTransform
from tests.reference.calls import boxes_of, detect, regions, run

UNIT = [0.0, 0.0, 1.0, 1.0]
LEFT, RIGHT = [0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]
LOG2, LOG3, LOG4 = math.log(2), math.log(3), math.log(4)


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
    # 16 x 28: a grid of 2 x 3 cells of 8 pixels, then one of 1 x 1 of 16; the last 4 columns have no cell.
    table = np.zeros((1, 7, 6))
    table[0, 4] = [0.5, 0.25, math.log(0.5), math.log(1.5), 0.5, 0.75]
    table[0, 6] = [0.5, 0.5, 0, -LOG2, 0.5, 0.5]
    (rows,) = run(**yolox(table, [16, 28], strides=[8, 16]))
    assert [(row.region, row.score) for row in rows] == [(4, 0.375), (6, 0.25)]
    # Centre (1.5*8, 1.25*8), size 4 x 12; centre (8, 8), size 16 x 8.
    expected = [[10 / 28, 4 / 16, 14 / 28, 1], [0, 4 / 16, 16 / 28, 12 / 16]]
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


def standard(boxes: ArrayLike, scores: ArrayLike, labels: int = 2, **fields: Any) -> dict[str, Any]:
    rules = {"nms_threshold": fields.pop("nms_threshold", 1.0)}
    output = {"boxes_tensor": "boxes", "scores_tensor": "scores", **fields}
    return detect("standard", output, {"boxes": boxes, "scores": scores}, [0.1] * labels, **rules)


@pytest.mark.parametrize(
    ("background", "boxes", "expected"),
    [
        ("none", [[LEFT, RIGHT]], [LEFT, LEFT]),
        ("none", [[[LEFT], [RIGHT]]], [LEFT, LEFT]),
        ("none", [[[LEFT, RIGHT], [UNIT, UNIT]]], [RIGHT, LEFT]),
        ("first", [[LEFT, UNIT]], [LEFT, LEFT]),
        ("first", [[[LEFT, RIGHT], [UNIT, UNIT]]], [RIGHT, LEFT]),
        ("first", [[[UNIT, LEFT, RIGHT], [UNIT] * 3]], [RIGHT, LEFT]),
        ("last", [[[LEFT, RIGHT, UNIT], [UNIT] * 3]], [RIGHT, LEFT]),
    ],
    ids=[
        *("shared", "shared of 1", "per label", "shared, background first", "per label, background first"),
        *("per label and background", "per label and background last"),
    ],
)
def test_standard_box_of_each_label(background: str, boxes: ArrayLike, expected: list[Any]) -> None:
    scores = {"none": [0.3, 0.6], "first": [0.99, 0.3, 0.6], "last": [0.3, 0.6, 0.99]}[background]
    nothing = [0.0] * len(scores)
    (rows,) = run(**standard(boxes, [[scores, nothing]], background=background), ids=(1, 2))
    assert [(row.label, row.region) for row in rows] == [(1, 0), (0, 0)]
    assert boxes_of(rows) == expected


@pytest.mark.parametrize("layout", ["auto", "channels_first"])
def test_standard_scores_channels_first_are_transposed(layout: str) -> None:
    scores = [[[0.9, 0.0, 0.0], [0.0, 0.0, 0.8]]]  # (1, L, N)
    (rows,) = run(**standard([[UNIT] * 3], scores, layout=layout), ids=(1, 2))
    assert [(row.label, row.region) for row in rows] == [(0, 0), (1, 2)]


def test_standard_background_takes_part_in_the_softmax() -> None:
    scores = [[[0, 0, LOG2]]]
    (rows,) = run(**standard([[UNIT]], scores, background="last", score_activation="softmax"), ids=(1, 2))
    assert_allclose([row.score for row in rows], [0.25, 0.25], rtol=1e-6)


def test_standard_clip_before_changes_what_overlaps() -> None:
    boxes = [[UNIT, [0.0, 0.0, 1.0, 3.0]]]  # IoU 1/3, and 1 once clipped
    scores = [[[0.9], [0.8]]]
    (after,) = run(**standard(boxes, scores, 1, nms_threshold=0.5))
    (before,) = run(**standard(boxes, scores, 1, nms_threshold=0.5, clip="before"))
    assert (boxes_of(after), boxes_of(before)) == ([UNIT, UNIT], [UNIT])


def test_standard_box_format_of_detr_is_a_centre() -> None:
    (rows,) = run(**standard([[0.25, 0.5, 0.5, 1.0]], [[0.9]], 1, box_format="cxcywh"))
    assert boxes_of(rows) == [LEFT]


def end_to_end(
    tensors: dict[str, ArrayLike], thresholds: tuple[float, ...] = (0.1, 0.1), **fields: Any
) -> dict[str, Any]:
    names = {"rows": "output_tensor"}
    output = {names.get(name, f"{name}_tensor"): name for name in tensors}
    return detect("end_to_end", {**output, **fields}, tensors, list(thresholds))


def found(arguments: dict[str, Any], **options: Any) -> list[list[tuple[int, int]]]:
    """Return label and region of the rows of each image."""
    images = run(**arguments, ids=(5, 7), **options)
    return [[(row.label, row.region) for row in rows] for rows in images]


ROWS = [[*UNIT, 0.9, 1], [*LEFT, 0.8, 0], [*UNIT, 0.7, 2], [*UNIT, 0.6, 1], [*UNIT, 0.05, 1]]
FOUND = [(1, 0), (0, 1), (1, 3)]  # no label is of row 2, the last scores too little; nothing is merged


@pytest.mark.parametrize("batch", [False, True], ids=["(N,6)", "(1,N,6)"])
def test_end_to_end_packed_rows_are_boxes_scores_and_label_rows(batch: bool) -> None:
    arguments = end_to_end({"rows": [ROWS] if batch else ROWS})
    assert found(arguments) == [FOUND]
    assert boxes_of(run(**arguments, ids=(5, 7))[0]) == [UNIT, LEFT, UNIT]


def test_end_to_end_nms_threshold_given_merges() -> None:
    arguments = end_to_end({"rows": ROWS})
    arguments["post"]["detection"]["nms_threshold"] = 0.5
    assert found(arguments) == [[(1, 0), (0, 1)]]


def test_end_to_end_columns_tell_the_order_and_classes_the_meaning() -> None:
    rows = [[7, 0.9, 0.0, 0.5, 1.0, 1.0], [1, 0.8, *UNIT]]
    arguments = end_to_end(
        {"rows": [rows]}, columns=["class", "score", "box"], classes="ids", box_format="yxyx"
    )
    assert found(arguments) == [[(1, 0)]]
    assert boxes_of(run(**arguments, ids=(5, 7))[0]) == [RIGHT]


@pytest.mark.parametrize("counts", [[2, 0], [[2], [0]]], ids=["(B,)", "(B,1)"])
def test_end_to_end_count_tells_the_first_rows_that_are_valid(counts: ArrayLike) -> None:
    arguments = end_to_end({"rows": [ROWS, ROWS], "count": counts})
    assert found(arguments) == [FOUND[:2], []]


def test_end_to_end_count_of_one_list_divides_it_among_the_images() -> None:
    arguments = end_to_end({"rows": ROWS, "count": [1, 0, 3]})
    assert found(arguments) == [[(1, 0)], [], [(0, 0), (1, 2)]]


@pytest.mark.parametrize("axes", [0, 1, 2], ids=["(M,7)", "(1,M,7)", "(1,1,M,7)"])
def test_end_to_end_image_column_names_the_image_until_minus_1(axes: int) -> None:
    rows = [
        [2, 1, 0.9, *UNIT],
        [0, 0, 0.8, *UNIT],
        [2, 0, 0.7, *LEFT],
        [-1, 0, 0.9, *UNIT],
        [5, 0, 0.9, *UNIT],
    ]
    table = np.reshape(rows, (*[1] * axes, 5, 7))
    arguments = end_to_end({"rows": table}, columns=["image", "class", "score", "box"])
    assert found(arguments) == [[(0, 0)], [], [(1, 0), (0, 1)]]
    assert found(arguments, batch_size=4) == [[(0, 0)], [], [(1, 0), (0, 1)], []]
    transform = ImageTransform((1, 1), (0, 0), (8, 8), (8, 8))
    assert len(found(arguments, transforms=[transform] * 3)) == 3


def test_end_to_end_image_column_without_rows_is_one_image() -> None:
    arguments = end_to_end({"rows": np.zeros((0, 7))}, columns=["image", "box", "class", "score"])
    assert found(arguments) == [[]]
    assert found(arguments, batch_size=2) == [[], []]


@pytest.mark.parametrize("batch", [False, True], ids=["(N,)", "(B,N)"])
def test_end_to_end_separate_tensors(batch: bool) -> None:
    tensors = {
        "boxes": [row[:4] for row in ROWS],
        "scores": [row[4] for row in ROWS],
        "classes": [int(row[5]) for row in ROWS],
    }
    tensors = {name: [tensor] if batch else tensor for name, tensor in tensors.items()}
    assert found(end_to_end({**tensors})) == [FOUND]
    assert found(end_to_end({**tensors, "count": [2]})) == [FOUND[:2]]
    assert found(end_to_end({**tensors}, classes="ids")) == [[]]


def ssd(
    offsets: ArrayLike, scores: ArrayLike, tensor: ArrayLike | None, labels: int = 1, **fields: Any
) -> dict[str, Any]:
    output = {"offsets_tensor": "offsets", "scores_tensor": "scores", **fields}
    tensors = {"offsets": offsets, "scores": scores}
    if tensor is not None:
        output["priors_tensor"], tensors["priors"] = "priors", tensor
    return detect("ssd", output, tensors, [0.1] * labels, nms_threshold=1.0)


@pytest.mark.parametrize(
    ("fields", "offset", "expected"),
    [
        # A prior at (0.5, 0.5) of 0.2 x 0.4.
        pytest.param({}, [0, 0, 0, 0], [0.4, 0.3, 0.6, 0.7], id="none"),
        # dx 2.5*0.1*0.2, dy -1*0.1*0.4, w 0.2*exp(5*log(2)/5), h 0.4*exp(0).
        pytest.param({}, [2.5, -1, 5 * LOG2, 0], [0.35, 0.26, 0.75, 0.66], id="moved and resized"),
        pytest.param(
            {"offsets_order": "yxhw"}, [-1, 2.5, 0, 5 * LOG2], [0.35, 0.26, 0.75, 0.66], id="y before x"
        ),
        pytest.param(
            {"size_coding": "linear"}, [2.5, -1, 10, 2.5], [0.35, 0.36, 0.75, 0.56], id="linear sizes"
        ),
        pytest.param(
            {"size_coding": "linear", "offsets_scale": [1, 1, 1, 1]}, [0, 0, 1, -1], None, id="negative size"
        ),
        pytest.param(
            {"offsets_scale": [1, 1, 0.5, 1]}, [0, 0, 2 * LOG2, 0], [0.3, 0.3, 0.7, 0.7], id="scale"
        ),
        pytest.param({}, [0, 0, 1e4, 0], [0, 0.3, 1, 0.7], id="clamped and clipped"),
    ],
)
def test_ssd_offset_moves_and_resizes_the_prior(
    fields: dict[str, Any], offset: list[float], expected: list[float] | None
) -> None:
    (rows,) = run(**ssd([[offset]], [[[0.1, 0.9]]], [[0.5, 0.5, 0.2, 0.4]], **fields))
    boxes = np.reshape(boxes_of(rows), (-1, 4))
    assert_allclose(boxes, np.reshape(expected or [], (-1, 4)), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("form", ["(N,4)", "(1,N,4)", "(B,N,4)", "Caffe", "document"])
def test_ssd_priors_in_each_form(form: str) -> None:
    priors = np.array([LEFT, RIGHT])
    variances = np.full(8, 0.1)
    tensors: dict[str, NDArray[Any] | None] = {
        "(N,4)": priors,
        "(1,N,4)": priors[np.newaxis],
        "(B,N,4)": np.stack([priors, priors[::-1]]),
        "Caffe": np.stack([priors.ravel(), variances])[np.newaxis],
        "document": None,
    }
    fields = {"priors": priors.tolist()} if form == "document" else {}
    scores = np.zeros((2, 2, 2))
    scores[:, :, 1] = 0.9, 0.8
    arguments = ssd(np.zeros((2, 2, 7)), scores, tensors[form], priors_format="xyxy", **fields)
    one, other = map(boxes_of, run(**arguments))
    assert one == [LEFT, RIGHT]
    assert other == ([RIGHT, LEFT] if form == "(B,N,4)" else [LEFT, RIGHT])


def test_ssd_prior_of_the_document_is_read_as_float32() -> None:
    fields = {"priors": [[0.1, 0.1, 0.3, 0.7]], "priors_format": "xyxy"}
    (rows,) = run(**ssd([[[0, 0, 0, 0]]], [[[0.1, 0.9]]], None, **fields))
    assert_allclose(boxes_of(rows), np.array([[0.1, 0.1, 0.3, 0.7]], np.float32), rtol=2e-7)


@pytest.mark.parametrize(
    ("background", "scores"),
    [("first", [0.9, 0.2, 0.7]), ("last", [0.2, 0.7, 0.9]), ("none", [0.2, 0.7])],
)
def test_ssd_background_is_no_label(background: str, scores: list[float]) -> None:
    arguments = ssd([[[0, 0, 0, 0]]], [[scores]], [[0.5, 0.5, 1, 1]], 2, background=background)
    (rows,) = run(**arguments, ids=(1, 2))
    assert [(row.label, row.score) for row in rows] == [(1, np.float32(0.7)), (0, np.float32(0.2))]


def test_ssd_is_clipped_before_boxes_are_compared() -> None:
    priors = [[0.5, 0.5, 1, 1], [0.5, 1.5, 1, 3]]  # IoU 1/3, and 1 once clipped
    arguments = ssd(np.zeros((1, 2, 4)), [[[0, 0.9], [0, 0.8]]], priors)
    arguments["post"]["detection"]["nms_threshold"] = 0.5
    assert regions(run(**arguments)[0]) == [0]


def test_ssd_pixels_are_of_the_declared_size() -> None:
    arguments = ssd([[[0, 0, 0, 0]]], [[[0, 0.9]]], [[64, 32, 64, 32]])
    arguments["post"]["detection"]["input_size"] = [64, 128]
    assert_array_equal(boxes_of(run(**arguments)[0]), [[0.25, 0.25, 0.75, 0.75]])
