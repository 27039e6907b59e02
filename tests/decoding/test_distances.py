"""`distance_output`: distances from the cells of grids, of every form that tensors have."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from postproc import (
    Detections,
    DistanceOutput,
    PostProcessor,
    StandardOutput,
    TensorError,
)
from tests.comparison import assert_equals_reference
from tests.decoding.test_yolov8_pose import check_keypoints
from tests.pipeline.test_reference import EXAMPLES
from tests.reference.activation import sigmoid64, softmax64
from tests.strategies import Case, cases, near_tie, random_case

Array = NDArray[Any]

LABELS = [f"label {row}" for row in range(80)]
SIDE = 640
STRIDES = (8, 16, 32)
SIDES = tuple(SIDE // stride for stride in STRIDES)
BINS = 16
APART = {
    "scores_tensors": tuple(f"scores {side}" for side in SIDES),
    "distances_tensors": tuple(f"distances {side}" for side in SIDES),
}


def post(labels: int = 80, size: tuple[int, int] = (SIDE, SIDE), **output: Any) -> PostProcessor:
    described = DistanceOutput(**{"strides": STRIDES, **output})
    return PostProcessor.for_detection(
        LABELS[:labels], described, thresholds=0.25, nms_threshold=0.6, input_size=size
    )


def numbers(seed: int = 0, hits: int = 300) -> tuple[Array, Array]:
    """Make logits (1, N, 80) of scores, and (1, N, 64) of bins."""
    rng = np.random.default_rng(seed)
    boxes = sum(side**2 for side in SIDES)
    scores = rng.normal(-7, 1, (1, boxes, len(LABELS))).clip(-12, -2)
    scores[0, rng.integers(0, boxes, hits), rng.integers(0, len(LABELS), hits)] = rng.normal(0, 1, hits)
    return scores.astype(np.float32), rng.normal(0, 2, (1, boxes, 4 * BINS)).astype(np.float32)


def as_maps(name: str, table: Array, *, first: bool) -> dict[str, Array]:
    """Return numbers of boxes as a grid a level."""
    maps, start = {}, 0
    for side in SIDES:
        grid = table[:, start : start + side**2].reshape(len(table), side, side, -1)
        maps[f"{name} {side}"] = np.ascontiguousarray(grid.transpose(0, 3, 1, 2) if first else grid)
        start += side**2
    return maps


def decoded(bins: Array, offset: float = 0.5) -> Array:
    """Return corners (1, N, 4), all boxes at once."""
    steps = (softmax64(bins.reshape(*bins.shape[:2], 4, -1)) * np.arange(BINS)).sum(axis=3)
    distances = steps.astype(np.float32).astype(np.float64)
    cells = [
        ((column + offset) * stride, (row + offset) * stride, stride)
        for stride, side in zip(STRIDES, SIDES, strict=True)
        for row in range(side)
        for column in range(side)
    ]
    x, y, stride = np.array(cells).T
    left, top, right, bottom = np.moveaxis(distances * stride[:, np.newaxis], 2, 0)
    return np.stack([x - left, y - top, x + right, y + bottom], axis=2).astype(np.float32)


def assert_same_rows(found: Detections, expected: Detections) -> None:
    assert len(expected.labels)
    for name in ("labels", "scores", "regions", "boxes", "predicted", "is_cut"):
        assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def check_landmarks(case: Case, num_threads: int = 1) -> int:
    """Compare the keypoints of a case, if it has any; return how many boxes have them."""
    detection = case.version["post_processings"][0]["detection"]
    return check_keypoints(case, num_threads) if "keypoints" in detection["distance_output"] else 0


@EXAMPLES
@given(case=cases("distance"), num_threads=st.sampled_from([1, 2]))
def test_distances_random_case_equals_reference(case: Case, num_threads: int) -> None:
    assume(not near_tie(case))
    assert_equals_reference(case, num_threads)
    check_landmarks(case, num_threads)


def test_distances_landmarks_equal_reference() -> None:
    made = [random_case("distance", seed) for seed in range(60)]
    assert sum(check_landmarks(case) for case in made if not near_tie(case)) > 50


@pytest.mark.parametrize("threshold", [0.25, 0.001])
@pytest.mark.parametrize("most", [300, 20])
def test_distances_of_bins_equal_boxes_decoded_before(threshold: float, most: int) -> None:
    """Only what suppression reaches is decoded, and what comes of it is the same."""
    scores, bins = numbers()
    found = post(**APART, bins=BINS, score_activation="sigmoid").replace(thresholds=threshold)(
        {**as_maps("scores", scores, first=True), **as_maps("distances", bins, first=True)},
        max_predictions=most,
    )
    plain = StandardOutput(boxes_tensor="boxes", scores_tensor="scores", score_activation="sigmoid")
    expected = PostProcessor.for_detection(
        LABELS, plain, thresholds=threshold, nms_threshold=0.6, input_size=(SIDE, SIDE)
    )({"boxes": decoded(bins), "scores": scores}, max_predictions=most)
    assert_same_rows(found.outputs[0], expected.outputs[0])


@pytest.mark.parametrize("form", ["last", "rows", "planes", "all", "all planes", "packed", "packed last"])
def test_distances_of_any_form_agree(form: str) -> None:
    scores, bins = numbers()
    settings: dict[str, Any] = {"bins": BINS, "score_activation": "sigmoid"}
    maps = {**as_maps("scores", scores, first=True), **as_maps("distances", bins, first=True)}
    expected = post(**APART, **settings)(maps).outputs[0]
    one_each = {"scores_tensors": ("scores",), "distances_tensors": ("distances",)}
    packed = np.concatenate([scores, bins], axis=2)
    names = tuple(f"packed {side}" for side in SIDES)
    rows = {name: tensor.reshape(1, tensor.shape[1], -1).transpose(0, 2, 1) for name, tensor in maps.items()}
    output, tensors = {
        "last": (
            APART,
            {**as_maps("scores", scores, first=False), **as_maps("distances", bins, first=False)},
        ),
        "rows": (APART, rows),
        "planes": (APART, {name: tensor.transpose(0, 2, 1) for name, tensor in rows.items()}),
        "all": (one_each, {"scores": scores, "distances": bins}),
        "all planes": (one_each, {"scores": scores.transpose(0, 2, 1), "distances": bins.transpose(0, 2, 1)}),
        "packed": (
            {"output_tensors": names, "columns": ("scores", "distances")},
            as_maps("packed", packed, first=True),
        ),
        "packed last": (
            {"output_tensors": ("packed",), "columns": ("scores", "distances")},
            {"packed": packed},
        ),
    }[form]
    assert_same_rows(post(**output, **settings)(tensors).outputs[0], expected)


def one_cell(distances: list[float], score: float = 0.9, **output: Any) -> Detections:
    """Find what a cell of row 1 and column 2 of a grid of 4 x 4 holds."""
    fields = {
        "scores_tensors": ("s",),
        "distances_tensors": ("d",),
        "strides": (8,),
        "layout": "channels_last",
        **output,
    }
    table = np.full((1, 16, len(distances)), 1, np.float32)
    table[0, 6] = distances
    scores = np.zeros((1, 16, 1), np.float32)
    scores[0, 6] = score
    tensors = {"s": scores, "d": table}
    if "centerness_tensors" in fields:
        tensors["c"] = np.full((1, 16, 1), 0.5, np.float32)
    (found,) = post(1, (32, 32), **fields)(tensors).outputs
    return found


@pytest.mark.parametrize(
    ("distances", "output", "box"),
    [
        ([1, 0.5, 1, 2], {}, [12, 8, 28, 28]),
        ([1, 0.5, 0.5, 2], {"cell_offset": 0}, [8, 4, 20, 24]),
        ([4, 2, 8, 6], {"distance_unit": "pixels"}, [16, 10, 28, 18]),
        ([-1, 1, 1, 1], {"distance_activation": "relu"}, [20, 4, 28, 20]),
        ([0, 0, -np.inf, 0], {"distance_activation": "exp"}, [12, 4, 20, 20]),
        ([0, 9, 9, 0, 0, 9, 0, 0, 0, 0, 9, 0, 1, 1, 1, 1], {"bins": 4}, [8, 4, 32, 24]),
        (
            [99, 0, 0, 0, 0, 0, 99, 0, 0, 0, 0, 99, 0, 0, 99, 0],
            {"bins": 4, "first_bin": -1, "cell_offset": 0},
            [24, 0, 32, 16],
        ),
    ],
)
def test_distances_are_those_of_the_formula(
    distances: list[float], output: dict[str, Any], box: list[float]
) -> None:
    found = one_cell(distances, **output)
    assert_allclose(found.boxes[0] * 32, box, atol=0.02)
    assert found.regions.tolist() == [6]


@pytest.mark.parametrize("distance", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("bins", [1, 4])
def test_distance_that_is_not_finite_drops_the_box(distance: float, bins: int) -> None:
    logits = [1.0] * (4 * bins)
    logits[-1] = distance
    found = one_cell(logits, bins=bins)
    masked = bins == 4 and distance == -np.inf  # as a mask of a bin
    assert len(found.labels) == int(masked)


def test_distances_whose_bins_are_all_masked_are_dropped() -> None:
    assert len(one_cell([1.0] * 12 + [-np.inf] * 4, bins=4).labels) == 0


@pytest.mark.parametrize(("confidence", "expected"), [("product", 0.45), ("sqrt_product", np.sqrt(0.45))])
def test_score_with_centerness_is_as_confidence_says(confidence: str, expected: float) -> None:
    found = one_cell([1] * 4, centerness_tensors=("c",), confidence=confidence)
    assert_allclose(found.scores, [expected], rtol=1e-6)


def test_centerness_above_1_counts_as_1() -> None:
    tensors = {
        "s": np.full((1, 1, 1), 0.3, np.float32),
        "d": np.ones((1, 1, 4), np.float32),
        "c": np.full((1, 1, 1), 4, np.float32),
    }
    fields = {"scores_tensors": ("s",), "distances_tensors": ("d",), "centerness_tensors": ("c",)}
    found = post(1, (8, 8), strides=(8,), **fields)(tensors).outputs[0]
    assert_array_equal(found.scores, np.float32([0.3]))


@pytest.mark.parametrize("multi_label", [True, False])
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_score_with_centerness_many_boxes_equal_products(layout: str, multi_label: bool) -> None:
    scores, bins = numbers()
    rng = np.random.default_rng(1)
    centerness = rng.normal(1, 2, (*scores.shape[:2], 1)).astype(np.float32)
    is_first = layout == "channels_first"
    maps = {
        **as_maps("scores", scores, first=is_first),
        **as_maps("distances", bins, first=is_first),
        **as_maps("centerness", centerness, first=is_first),
    }
    output = DistanceOutput(
        **APART, strides=STRIDES, bins=BINS, score_activation="sigmoid", confidence="sqrt_product",
        centerness_tensors=tuple(f"centerness {side}" for side in SIDES), layout=layout,
    )  # fmt: skip
    decision: dict[str, Any] = {
        "thresholds": 0.05, "nms_threshold": 0.6, "input_size": (SIDE, SIDE), "multi_label": multi_label,
    }  # fmt: skip
    found = PostProcessor.for_detection(LABELS, output, **decision)(maps).outputs[0]
    product = np.sqrt(sigmoid64(scores) * sigmoid64(centerness)).astype(np.float32)
    plain = StandardOutput(boxes_tensor="boxes", scores_tensor="scores")
    expected = PostProcessor.for_detection(LABELS, plain, **decision)(
        {"boxes": decoded(bins), "scores": product}
    )
    assert_same_rows(found, expected.outputs[0])


def with_sums(sums_of: Any = None) -> tuple[PostProcessor, dict[str, Array], Detections]:
    """Make a head with sums of scores, what it takes, and what it finds without them."""
    logits, bins = numbers()
    scores = sigmoid64(logits).astype(np.float32)
    sums = np.clip(scores.sum(axis=2, keepdims=True), 0, 1) if sums_of is None else sums_of(scores)
    tensors = {
        **as_maps("scores", scores, first=True),
        **as_maps("distances", bins, first=True),
        **as_maps("sums", sums.astype(np.float32), first=True),
    }
    expected = post(**APART, bins=BINS)(tensors).outputs[0]
    return post(**APART, bins=BINS, score_sum_tensors=tuple(f"sums {s}" for s in SIDES)), tensors, expected


def test_score_sums_change_nothing() -> None:
    made, tensors, expected = with_sums()
    for _ in range(2):
        assert_same_rows(made(tensors).outputs[0], expected)


def test_score_sums_rounded_as_quantised_networks_have_them_change_nothing() -> None:
    made, tensors, expected = with_sums(
        lambda scores: np.floor(scores.max(axis=2, keepdims=True) * 255) / 255
    )
    assert_same_rows(made(tensors).outputs[0], expected)


def test_score_sums_are_used_to_pass_over_cells() -> None:
    made, tensors, _ = with_sums()
    made(tensors)
    nothing = {name: np.zeros_like(tensor) for name, tensor in tensors.items() if name.startswith("sums")}
    assert len(made({**tensors, **nothing}).outputs[0].labels) == 0


def test_score_sums_that_are_none_are_not_used(caplog: pytest.LogCaptureFixture) -> None:
    made, tensors, expected = with_sums(lambda scores: scores.min(axis=2, keepdims=True))
    with caplog.at_level(logging.WARNING, "postproc"):
        for _ in range(2):
            assert_same_rows(made(tensors).outputs[0], expected)
    (message,) = caplog.messages
    assert message.startswith("tensors ('sums 80', 'sums 40', 'sums 20') hold less than the scores that")


def test_score_sums_are_not_trusted_because_of_an_image_without_anything() -> None:
    made = post(
        1,
        (128, 128),
        strides=(8,),
        scores_tensors=("scores",),
        distances_tensors=("distances",),
        score_sum_tensors=("sums",),
        layout="channels_last",
    )
    tensors = {
        "scores": np.zeros((1, 16, 16, 1), np.float32),
        "distances": np.ones((1, 16, 16, 4), np.float32),
        "sums": np.zeros((1, 16, 16, 1), np.float32),
    }
    assert not len(made(tensors).outputs[0].labels)
    tensors["scores"][0, 3, 3] = 0.9
    assert len(made(tensors).outputs[0].labels) == 1


def test_score_sum_that_is_not_a_number_passes_over_nothing() -> None:
    made, tensors, expected = with_sums()
    made(tensors)
    unknown = {name: np.full_like(tensor, np.nan) for name, tensor in tensors.items() if "sums" in name}
    assert_same_rows(made({**tensors, **unknown}).outputs[0], expected)


@pytest.mark.parametrize("is_up", [True, False])
def test_cells_are_rounded_up_or_down_as_tensors_have_them(is_up: bool) -> None:
    rows, columns = (3, 6) if is_up else (2, 5)
    cells = rows * columns
    scores, distances = np.zeros((1, cells, 1), np.float32), np.ones((1, cells, 4), np.float32)
    scores[0, columns] = 1
    fields: dict[str, Any] = {"scores_tensors": ("s",), "distances_tensors": ("d",), "strides": (8,)}
    made = post(1, (20, 44), **fields, layout="channels_last", cell_offset=1)
    found = made({"s": scores, "d": distances}).outputs[0]
    assert_allclose(found.boxes * [44, 20, 44, 20], [[0, 8, 16, 20]], rtol=1e-6)


def maps_of(*sides: int, channels: int = 4, first: bool = True) -> list[Array]:
    return [
        np.zeros((1, channels, side, side) if first else (1, side, side, channels), np.float32)
        for side in sides
    ]


TWO: dict[str, Any] = {"scores_tensors": ("a", "b"), "distances_tensors": ("c", "d"), "strides": (8, 16)}
SCORES = dict(zip("ab", maps_of(8, 4, channels=2), strict=True))
DISTANCES = dict(zip("cd", maps_of(8, 4, channels=64), strict=True))
WRONG: dict[str, tuple[dict[str, Any], dict[str, Array], str]] = {
    "order": (
        {**TWO, "scores_tensors": ("b", "a")},
        {**SCORES, **DISTANCES},
        r"tensor 'b' has 4 x 4 cells; stride 8 of an input of 64 x 64 pixels \(height x width\) has 8 x 8 "
        "cells: check input_size, and that scores_tensors and strides are in the same order",
    ),
    "order_of_rows": (
        {**TWO, "strides": (16, 8)},
        {name: tensor.reshape(1, tensor.shape[1], -1) for name, tensor in {**SCORES, **DISTANCES}.items()},
        "tensor 'a' has 64 boxes an image; stride 16 of an input of 64 x 64 pixels",
    ),
    "channels": (
        TWO,
        {**SCORES, **DISTANCES, "b": np.zeros((1, 5, 4, 4), np.float32)},
        r"tensor 'b' has shape \(1, 5, 4, 4\); expected \(B, 2, H, W\), \(B, 2, N\), \(B, H, W, 2\) or "
        r"\(B, N, 2\)",
    ),
    "mixed": (
        TWO,
        {**SCORES, **DISTANCES, "b": np.zeros((1, 4, 4, 2), np.float32)},
        r"channels of scores_tensors come first in some and last in others: 'a' \(1, 2, 8, 8\), 'b'",
    ),
    "unclear": (
        {**TWO, "bins": 1},
        {**SCORES, "c": maps_of(8)[0], "d": maps_of(4)[0], "a": maps_of(2, channels=2)[0]}
        | {"b": maps_of(2, channels=2)[0]},
        r"tensor 'a' has shape \(1, 2, 2, 2\), whose 2 channels may come first or last; declare layout",
    ),
    "images": (
        TWO,
        {**SCORES, **DISTANCES, "d": np.zeros((3, 64, 4, 4), np.float32)},
        "tensor 'd' has 3 images; expected 1, as 'a' has",
    ),
    "one_grid_of_all": (
        {**TWO, "scores_tensors": ("a",)},
        {**SCORES, **DISTANCES},
        r"tensor 'a' is one grid of 8 x 8 cells, but there are 2 strides; give scores_tensors one a stride, "
        r"or one \(B, N, 2\) of all",
    ),
    "count_of_all": (
        {**TWO, "scores_tensors": ("a",)},
        {"a": np.zeros((1, 81, 2), np.float32), **DISTANCES},
        r"tensor 'a' has 81 boxes an image; an input of 64 x 64 pixels \(height x width\) has 80 with "
        r"strides \[8, 16\]: check input_size and strides",
    ),
}


@pytest.mark.parametrize(("output", "tensors", "message"), WRONG.values(), ids=WRONG)
def test_distances_of_a_wrong_shape_are_a_tensor_error(
    output: dict[str, Any], tensors: dict[str, Array], message: str
) -> None:
    with pytest.raises(TensorError, match=message):
        post(2, (64, 64), **{"bins": 16, **output})(tensors)


def test_as_many_channels_as_cells_are_told_apart_by_another_level() -> None:
    """80 labels on 80 x 80 cells, as every COCO network of 640 x 640 has at stride 8."""
    scores, bins = numbers()
    for first in (True, False):
        maps = {**as_maps("scores", scores, first=first), **as_maps("distances", bins, first=first)}
        assert maps["scores 80"].shape == (1, 80, 80, 80)
        assert len(post(**APART, bins=BINS, score_activation="sigmoid")(maps).outputs[0].labels)


def test_distances_without_an_input_size_are_a_tensor_error() -> None:
    made = PostProcessor.for_detection(LABELS[:2], DistanceOutput(**TWO, bins=16))
    with pytest.raises(TensorError, match="cannot be decoded without the size of the network's input"):
        made({**SCORES, **DISTANCES})
