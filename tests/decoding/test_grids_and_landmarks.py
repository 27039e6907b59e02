"""Grids of YOLOv5, landmarks in tables, beside priors and in levels: by hand, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from postproc import (
    Detections,
    KeypointDetections,
    PostProcessor,
    SsdOutput,
    TensorError,
    Yolov3Output,
    Yolov5Output,
    YoloxOutput,
)

SIDE = 64
RNG = np.random.default_rng(17)


def found(output: Any, tensors: dict[str, Any], labels: int = 2, size: Any = (SIDE, SIDE)) -> Detections:
    """Return what is detected of tensors, at low thresholds."""
    names = [f"label {row}" for row in range(labels)]
    post = PostProcessor.for_detection(names, output, thresholds=0.1, nms_threshold=1.0)
    return post(tensors, input_size=size).outputs[0]


def assert_same_rows(one: Detections, other: Detections) -> None:
    assert len(one.scores) > 3
    for name in one._columns():
        column = getattr(one, name)
        if isinstance(column, np.ndarray):
            assert_array_equal(column, getattr(other, name), err_msg=name)


def sigmoid(value: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(value, np.float64)))


# Grids

GRID = {"output_tensors": ("grid",), "anchors": (10.0, 13.0, 16.0, 30.0), "box_coding": "yolov5"}


def test_yolov5_grid_is_decoded_as_its_detect_layer_does() -> None:
    grid = np.full((1, 2, 8, 8, 7), -9, np.float32)
    grid[0, 1, 3, 5] = [0.5, -1, 0.25, 1, 2, 3, -3]
    detections = found(Yolov3Output(**GRID), {"grid": grid})
    s = sigmoid(grid[0, 1, 3, 5])
    center = (2 * s[0] - 0.5 + 5) * 8, (2 * s[1] - 0.5 + 3) * 8
    size = (2 * s[2]) ** 2 * 16, (2 * s[3]) ** 2 * 30
    box = [center[0] - size[0] / 2, center[1] - size[1] / 2, center[0] + size[0] / 2, center[1] + size[1] / 2]
    assert_allclose(detections.boxes, np.clip([box], 0, SIDE) / SIDE, rtol=1e-6)
    assert_allclose(detections.scores, s[4] * s[5], rtol=1e-6)
    assert detections.regions.tolist() == [(3 * 8 + 5) * 2 + 1]


def test_grid_with_anchors_first_equals_other_layouts() -> None:
    cells = RNG.normal(0, 1, (2, 8, 8, 2, 7)).astype(np.float32)
    first = found(Yolov3Output(**GRID), {"grid": cells.transpose(0, 3, 1, 2, 4)})
    assert_same_rows(first, found(Yolov3Output(**GRID), {"grid": cells}))
    channels_first = cells.reshape(2, 8, 8, 14).transpose(0, 3, 1, 2)
    assert_same_rows(first, found(Yolov3Output(**GRID), {"grid": channels_first}))
    one = found(Yolov3Output(**GRID), {"grid": cells[0].transpose(2, 0, 1, 3)})
    assert_same_rows(one, found(Yolov3Output(**GRID), {"grid": cells[0]}))


def test_grid_of_as_many_rows_as_anchors_names_layout() -> None:
    cells = RNG.normal(0, 1, (1, 2, 8, 2, 7)).astype(np.float32)
    message = (
        r"tensor 'grid' has shape \(1, 2, 8, 2, 7\), whose 2 anchors may come first or last; declare layout: "
        '"anchors_first" or "channels_last"'
    )
    with pytest.raises(TensorError, match=message):
        found(Yolov3Output(**GRID), {"grid": cells})
    first = found(Yolov3Output(**GRID, layout="anchors_first"), {"grid": cells.transpose(0, 3, 2, 1, 4)})
    last = found(Yolov3Output(**GRID, layout="channels_last"), {"grid": cells.transpose(0, 2, 1, 3, 4)})
    assert_same_rows(first, last)


def test_grid_with_anchors_first_is_refused_where_another_layout_is_declared() -> None:
    with pytest.raises(TensorError, match=r"expected \(B, H, W, 14\) or \(B, H, W, 2, 7\), from 2 anchors"):
        found(Yolov3Output(**GRID, layout="channels_last"), {"grid": np.zeros((1, 2, 8, 9, 7), np.float32)})


# Tables

BOX, POINTS = [32.0, 16.0, 20.0, 10.0], [30.0, 14.0, 0.5, 80.0, 20.0, 0.25]


def test_yolov5_keypoints_before_and_behind_the_labels_are_the_same() -> None:
    rows = [[*BOX, 0.9], [0.75, 0.25], POINTS]
    behind = np.array([[[*rows[0], *rows[1], *rows[2]]]], np.float32)
    before = np.array([[[*rows[0], *rows[2], *rows[1]]]], np.float32)
    described = {"output_tensor": "t", "keypoints": 2, "skeleton": ((1, 2),), "layout": "channels_last"}
    one = found(Yolov5Output(**described), {"t": behind})
    other = found(Yolov5Output(**described, keypoints_first=True), {"t": before})
    for detections in (one, other):
        assert isinstance(detections, KeypointDetections)
        assert detections.skeleton == ((1, 2),)
        points = np.array(POINTS, np.float32).reshape(2, 3) / np.array([SIDE, SIDE, 1], np.float32)
        assert_array_equal(detections.keypoints[0], points)
        assert_array_equal(detections.scores, np.float32([0.9]) * np.float32([0.75, 0.25]))


def test_yolov5_keypoints_of_a_table_too_narrow_say_what_makes_up_the_channels() -> None:
    with pytest.raises(TensorError, match=r"\(B, 13, N\) or \(B, N, 13\), from 5 \+ labels \+ keypoints"):
        found(Yolov5Output(output_tensor="t", keypoints=2), {"t": np.zeros((1, 4, 7), np.float32)})


# Beside priors

PRIORS = RNG.uniform(0.2, 0.8, (6, 4)).astype(np.float32)
PLAIN = {
    "offsets_tensor": "offsets",
    "scores_tensor": "scores",
    "priors_tensor": "priors",
    "background": "none",
}


def ssd_tensors() -> dict[str, Any]:
    return {
        "offsets": RNG.normal(0, 1, (1, 6, 4)).astype(np.float32),
        "scores": RNG.uniform(0.2, 1, (1, 6, 2)).astype(np.float32),
        "priors": PRIORS,
    }


def test_ssd_landmarks_are_coded_as_centres_are() -> None:
    tensors = ssd_tensors()
    marks = RNG.normal(0, 2, (1, 6, 4)).astype(np.float32)
    output = SsdOutput(**PLAIN, landmarks_tensor="marks", keypoints=2)
    detections = found(output, {**tensors, "marks": marks}, size=None)
    assert isinstance(detections, KeypointDetections)
    assert len(detections.labels) == 12
    for row, region in enumerate(detections.regions):
        prior = PRIORS[region].astype(np.float64)
        expected = prior[:2] + 0.1 * marks[0, region].reshape(2, 2) * prior[2:]
        assert_allclose(detections.keypoints[row], expected, rtol=1e-6)


@pytest.mark.parametrize("order", ["xywh", "yxhw"])
def test_ssd_keypoints_behind_the_offsets_equal_those_of_a_tensor(order: Any) -> None:
    tensors = ssd_tensors()
    marks = RNG.normal(0, 2, (1, 6, 4)).astype(np.float32)
    apart = SsdOutput(**PLAIN, landmarks_tensor="marks", keypoints=2, offsets_order=order)
    behind = SsdOutput(**PLAIN, keypoints=2, offsets_order=order)
    together = {**tensors, "offsets": np.concatenate([tensors["offsets"], marks], axis=2)}
    one = found(apart, {**tensors, "marks": marks}, size=None)
    assert_same_rows(one, found(behind, together, size=None))


def test_ssd_offsets_of_tensorflow_have_a_further_axis() -> None:
    tensors = ssd_tensors()
    plain = found(SsdOutput(**PLAIN), tensors, size=None)
    offsets = tensors["offsets"][:, :, np.newaxis]
    assert_same_rows(plain, found(SsdOutput(**PLAIN), {**tensors, "offsets": offsets}, size=None))
    one = {**tensors, "offsets": offsets[0], "scores": tensors["scores"][0]}
    assert_same_rows(plain, found(SsdOutput(**PLAIN), one, size=None))


@pytest.mark.parametrize(
    ("fields", "tensors", "message"),
    [
        ({"keypoints": 2}, {}, r"'offsets' has shape \(1, 6, 4\); expected \(B, N, 8\), from 4 \+ keypoints"),
        (
            {"keypoints": 2, "landmarks_tensor": "marks"},
            {"marks": np.zeros((1, 6, 6), np.float32)},
            r"'marks' has shape \(1, 6, 6\); expected \(1, 6, 4\), keypoints \* 2",
        ),
        ({"keypoints": 2, "landmarks_tensor": "marks"}, {}, "'marks'"),
    ],
    ids=["behind", "shape", "missing"],
)
def test_ssd_landmarks_that_do_not_fit_are_refused(fields: Any, tensors: Any, message: str) -> None:
    with pytest.raises(TensorError, match=message):
        found(SsdOutput(**PLAIN, **fields), {**ssd_tensors(), **tensors}, size=None)


# Levels

STRIDES = (8, 16)
ROLES = {"scores_tensors": 2, "objectness_tensors": 1, "boxes_tensors": 4}
LEVELS = {role: tuple(f"{role}_{stride}" for stride in STRIDES) for role in ROLES}


def levels(height: int = SIDE, width: int = SIDE, roles: Any = ROLES) -> dict[str, Any]:
    """Return tensors (1, H, W, C) of two levels."""
    made = {}
    for role, channels in roles.items():
        for stride in STRIDES:
            shape = 1, -(-height // stride), -(-width // stride), channels
            is_box = role == "boxes_tensors"
            numbers = RNG.normal(0, 0.5, shape) if is_box else RNG.uniform(0.3, 1, shape)
            made[f"{role}_{stride}"] = numbers.astype(np.float32)
    return made


def in_rows(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name: tensor.reshape(1, -1, tensor.shape[-1]) for name, tensor in tensors.items()}


def test_levels_equal_one_tensor_in_every_layout() -> None:
    tensors = levels()
    rows = in_rows(tensors)
    columns = ("boxes_tensors", "objectness_tensors", "scores_tensors")
    table = np.concatenate(
        [np.concatenate([rows[f"{role}_{stride}"] for role in columns], axis=2) for stride in STRIDES], axis=1
    )
    expected = found(YoloxOutput(output_tensor="t", strides=STRIDES), {"t": table})
    output = YoloxOutput(**LEVELS, strides=STRIDES)
    channels_first = {name: tensor.transpose(0, 3, 1, 2) for name, tensor in tensors.items()}
    planes = {name: tensor.transpose(0, 2, 1) for name, tensor in rows.items()}
    boxes_in_rows = {name: rows[name] for name in LEVELS["boxes_tensors"]}
    for same in (tensors, rows, channels_first, planes, {**tensors, **boxes_in_rows}):
        assert_same_rows(expected, found(output, same))


def test_levels_of_an_input_that_is_no_multiple_are_rounded_up_or_down() -> None:
    output = YoloxOutput(**LEVELS, strides=STRIDES)
    up = levels(60, 90)
    assert_same_rows(found(output, up, size=(60, 90)), found(output, in_rows(up), size=(60, 90)))
    down = levels(56, 88)
    assert_same_rows(found(output, down, size=(60, 90)), found(output, in_rows(down), size=(60, 90)))
    message = r"'objectness_tensors_8' has 8 x 8 cells; stride 8 of an input of 60 x 90 pixels"
    with pytest.raises(TensorError, match=message):
        found(output, levels(), size=(60, 90))
    with pytest.raises(
        TensorError, match=r"has 64 boxes an image; .* has 8 x 12 or 7 x 11 cells: check input_size"
    ):
        found(output, in_rows(levels()), size=(60, 90))


def test_levels_of_four_cells_a_side_name_layout() -> None:
    roles = {"scores_tensors": 4, "objectness_tensors": 1, "boxes_tensors": 4}
    output = {**{role: (f"{role}_16",) for role in roles}, "strides": (16,)}
    tensors = {name: tensor for name, tensor in levels(roles=roles).items() if name.endswith("16")}
    message = r"tensor 'scores_tensors_16' has shape \(1, 4, 4, 4\), .*; declare layout"
    with pytest.raises(TensorError, match=message):
        found(YoloxOutput(**output), tensors, labels=4)
    last = found(YoloxOutput(**output, layout="channels_last"), tensors, labels=4)
    first = {name: tensor.transpose(0, 3, 1, 2) for name, tensor in tensors.items()}
    assert_same_rows(last, found(YoloxOutput(**output, layout="channels_first"), first, labels=4))


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("boxes_tensors_16", (1, 4, 4, 5), r"come first in some and last in others: .*\(1, 4, 4, 5\)"),
        ("boxes_tensors_16", (1, 3, 5, 5), r"'boxes_tensors_16' has shape .*expected \(B, 4, H, W\), .* or"),
        ("boxes_tensors_16", (1, 4, 5, 4), r"'boxes_tensors_16' has 4 x 5 cells; .* has 4 x 4 cells: check"),
        ("scores_tensors_8", (1, 63, 2), r"'scores_tensors_8' has 63 boxes an image; .* 8 x 8 cells: check"),
        ("scores_tensors_8", (2, 8, 8, 2), r"'scores_tensors_8' has 2 images; expected 1, as 'objectness"),
        ("scores_tensors_8", (8, 8), r"'scores_tensors_8' has shape \(1, 8, 8\); expected \(B, 2, H, W\)"),
    ],
    ids=str,
)
def test_levels_that_do_not_fit_name_the_tensor(name: str, shape: Any, message: str) -> None:
    with pytest.raises(TensorError, match=message):
        found(YoloxOutput(**LEVELS, strides=STRIDES), {**levels(), name: np.zeros(shape, np.float32)})


def test_square_root_of_the_product_limits_both_factors_and_drops_what_is_not_finite() -> None:
    roles = {"scores_tensors": 1, "objectness_tensors": 1, "boxes_tensors": 4}
    output = {**{role: (f"{role}_16",) for role in roles}, "strides": (16,)}
    tensors = {name: tensor for name, tensor in levels(roles=roles).items() if name.endswith("16")}
    tensors["boxes_tensors_16"][:] = 0
    objectness, scores = np.zeros((1, 16, 1), np.float32), np.zeros((1, 16, 1), np.float32)
    objectness[0, :7, 0] = [0.25, 1.5, -0.5, np.inf, np.nan, 0.5, 0.5]
    scores[0, :7, 0] = [0.64, 0.25, -0.5, 0.5, 0.5, np.inf, np.nan]
    detections = found(
        YoloxOutput(**output, confidence="sqrt_product", layout="channels_last"),
        {**tensors, "objectness_tensors_16": objectness, "scores_tensors_16": scores},
        labels=1,
    )
    assert_array_equal(detections.scores, np.sqrt(np.float32([0.25, 0.25]) * np.float32([1.0, 0.64])))
    assert detections.regions.tolist() == [1, 0]
