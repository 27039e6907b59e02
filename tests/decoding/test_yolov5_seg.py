"""`yolov5_output` with masks: the boxes of a table with an objectness, and the masks of those kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from postproc import Detections, PostProcessor, SegmentedDetections, TensorError, Yolov5Output
from tests.comparison import assert_equals_reference
from tests.decoding.test_yolov8_seg import check_masks
from tests.pipeline.test_reference import EXAMPLES
from tests.strategies import cases, near_tie, random_case

HEIGHT, WIDTH, COUNT = 32, 48, 3
SIZE = [HEIGHT, WIDTH]
LABELS = ["cat", "dog"]


def post(labels: list[str] = LABELS, size: Any = SIZE, **fields: Any) -> PostProcessor:
    fields = {"prototypes_tensor": "p", "layout": "channels_last", **fields}
    output = Yolov5Output(output_tensor="t", **fields)
    return PostProcessor.for_detection(labels, output, thresholds=0.3, nms_threshold=0.5, input_size=size)


def scene(seed: int, rows: int = 40, labels: int = 2) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, [WIDTH, HEIGHT], (2, rows, 2))
    sizes, scores = rng.uniform(2, 20, (2, rows, 2)), rng.random((2, rows, 1 + labels))
    parts = [centres, sizes, scores, rng.normal(0, 1, (2, rows, COUNT))]
    prototypes = rng.normal(0, 1, (2, COUNT, HEIGHT // 4, WIDTH // 4))
    return {"t": np.concatenate(parts, axis=2).astype(np.float32), "p": prototypes.astype(np.float32)}


def found(tensors: dict[str, Any], **options: Any) -> SegmentedDetections:
    detections = post(**options)(tensors).outputs[0]
    assert isinstance(detections, SegmentedDetections)
    return detections


@EXAMPLES
@given(case=cases("yolov5"), num_threads=st.sampled_from([1, 2]))
def test_yolov5_masks_of_a_random_case_equal_reference(case: Any, num_threads: int) -> None:
    output = case.version["post_processings"][0]["detection"]["yolov5_output"]
    assume("prototypes_tensor" in output and not near_tie(case))
    assert_equals_reference(case, num_threads)
    check_masks(case, num_threads)


def test_yolov5_masks_are_among_the_random_cases() -> None:
    covered = 0
    for seed in range(40):
        case = random_case("yolov5", seed, rows=60)
        output = case.version["post_processings"][0]["detection"]["yolov5_output"]
        if "prototypes_tensor" in output and not near_tie(case):
            assert_equals_reference(case)
            covered += check_masks(case)
    assert covered > 100


def test_yolov5_boxes_with_masks_equal_those_without() -> None:
    tensors = scene(1)
    plain = post(prototypes_tensor=None)({"t": tensors["t"][:, :, :-COUNT]}).outputs[0]
    assert len(plain.scores) > 10
    for name in Detections._columns():
        assert_array_equal(getattr(found(tensors), name), getattr(plain, name), strict=True)


def test_yolov5_coefficients_are_those_behind_the_labels() -> None:
    tensors = scene(2)
    for layout, table in (
        ("channels_last", tensors["t"]),
        ("channels_first", tensors["t"].transpose(0, 2, 1)),
    ):
        detections = found({**tensors, "t": table}, layout=layout)
        images = np.repeat([0, 1], np.diff(detections.offsets))
        assert_array_equal(detections.coefficients, tensors["t"][images, detections.regions, -COUNT:])


def test_yolov5_masks_of_objectness_alone_have_the_coefficients_behind_the_label() -> None:
    tensors = scene(3, labels=1)
    detections = found(tensors, labels=["cat"], confidence="objectness")[0]
    assert_array_equal(detections.scores, tensors["t"][0, detections.regions, 4])
    assert_array_equal(detections.coefficients, tensors["t"][0, detections.regions, -COUNT:])


def test_yolov5_empty_masks_are_left_out_where_that_is_asked_for() -> None:
    tensors = scene(4)
    tensors["t"][:, ::2, -COUNT:] = 0
    whole, kept = found(tensors)[0], found(tensors, keep_empty_masks=False)[0]
    has_mask = whole.masks(SIZE).any(axis=(1, 2))
    assert 0 < has_mask.sum() < len(has_mask)
    assert_array_equal(kept.regions, whole.regions[has_mask])


def test_yolov5_normalized_boxes_have_the_same_masks() -> None:
    tensors = scene(5)
    table = tensors["t"].copy()
    table[:, :, :4] /= np.float32([WIDTH, HEIGHT] * 2)
    normalized = found({**tensors, "t": table}, coordinates="normalized")[0]
    assert_array_equal(normalized.masks(SIZE), found(tensors)[0].masks(SIZE))
    with pytest.raises(TensorError, match="cannot be decoded without the size of the network's input"):
        post(size=None, coordinates="normalized")({**tensors, "t": table})


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("t", (2, 40, 9), r"\(B, 10, N\) or \(B, N, 10\), from 5 \+ labels \+ prototypes"),
        ("p", (1, 3, 8, 12), r"\(2, M, h, w\), as many images as 't' has"),
        ("p", (2, 3, 0, 12), r"\(B, M, h, w\)"),
    ],
)
def test_yolov5_masks_of_wrong_shapes_are_errors(name: str, shape: tuple[int, ...], expected: str) -> None:
    with pytest.raises(TensorError, match=rf"tensor '{name}' has shape.*{expected}"):
        post()({**scene(0), name: np.zeros(shape, np.float32)})


def sigmoid(values: NDArray[Any]) -> NDArray[Any]:
    return 1 / (1 + np.exp(-values.astype(np.float64)))


def enlarged(grid: NDArray[Any], factor: int) -> NDArray[Any]:
    """Interpolate between the centres of cells, as ``F.interpolate(mode="bilinear")`` does."""
    for axis in (0, 1):
        count = grid.shape[axis]
        places = np.clip((np.arange(count * factor) + 0.5) / factor - 0.5, 0, count - 1)
        before = np.minimum(places.astype(int), count - 2)
        weights = np.expand_dims(places - before, 1 - axis)
        grid = np.take(grid, before, axis) * (1 - weights) + np.take(grid, before + 1, axis) * weights
    return grid


def cropped(mask: NDArray[Any], box: NDArray[Any]) -> NDArray[Any]:
    """Zero what is outside of a box, as YOLOv5's ``crop_mask``."""
    rows, columns = np.arange(mask.shape[0])[:, np.newaxis], np.arange(mask.shape[1])
    x1, y1, x2, y2 = box
    result: NDArray[Any] = mask * ((columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2))
    return result


def test_yolov5_masks_differ_from_process_mask_by_less_than_a_cell_of_an_outline() -> None:
    # Its NMS multiplies coefficients by the objectness, too; that moves an outline between two centres.
    tensors = scene(6, rows=80)
    detections = found(tensors)[0]
    masks = detections.masks(SIZE)
    boxes = detections.boxes * np.tile([WIDTH, HEIGHT], 2)
    compared = 0
    for mask, box, region in zip(masks, boxes, detections.regions, strict=True):
        numbers = tensors["t"][0, region]
        sums = np.tensordot(numbers[4] * numbers[-COUNT:], tensors["p"][0], 1)
        cells = sigmoid(sums)
        native = cropped(enlarged(cells, 4), box) > 0.5
        before = enlarged(cropped(cells, box / 4), 4) > 0.5
        signs = enlarged(np.where(sums > 0, 1.0, -1.0), 4)
        within = np.abs(signs) == 1  # all cells around have one sign: no outline lies between them
        assert_array_equal(mask[within], native[within])
        inside = cropped(np.ones(mask.shape), [*(box[:2] + 4), *(box[2:] - 4)]) > 0
        assert_array_equal(mask[within & inside], before[within & inside])
        assert not mask[cropped(np.ones(mask.shape), box) == 0].any()
        compared += int((within & native).sum())
    assert compared > 200
