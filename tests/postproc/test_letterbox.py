"""`ImageTransform.letterbox` and FILL's `rounding`, against ultralytics and a plain copy of its formula."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from postproc import Detections, ImageTransform, PostProcessor, Yolov8Output
from postproc.images import Preprocessor

side = st.integers(1, 6000)
size = st.tuples(side, side)
Size = tuple[int, int]

# Sides whose exact halves round to even, thin images, images smaller and larger than the input.
SIZES = [
    ((640, 640), (427, 640)),
    ((640, 640), (1080, 1920)),
    ((640, 640), (375, 500)),
    ((384, 640), (720, 1281)),
    ((416, 608), (99, 1000)),
    ((5, 5), (1, 2)),
    ((7, 7), (1, 2)),
    ((640, 640), (3000, 1)),
    ((640, 480), (33, 21)),
    ((480, 640), (4000, 3000)),
]


def scaled_boxes(input_size: Size, boxes: NDArray[np.float64], image_size: Size) -> NDArray[np.float64]:
    """Lead boxes in pixels of the input back to the image: the formula of ultralytics' scale_boxes."""
    gain = min(input_size[0] / image_size[0], input_size[1] / image_size[1])
    height, width = (max(round(side * gain), 1) for side in image_size)
    left, top = round((input_size[1] - width) / 2 - 0.1), round((input_size[0] - height) / 2 - 0.1)
    gains = np.array([width / image_size[1], height / image_size[0]] * 2)
    limits = np.array(image_size[::-1] * 2, np.float64)
    scaled: NDArray[np.float64] = (boxes - np.array([left, top] * 2)) / gains
    return np.minimum(np.maximum(scaled, 0), limits)


def random_boxes(input_size: Size, count: int = 40) -> NDArray[np.float64]:
    """Return boxes (N, 4), cx, cy, w, h, in and around an input."""
    rng = np.random.default_rng(0)
    limits = np.array(input_size[::-1])
    return np.concatenate(
        [rng.uniform(-0.1, 1.1, (count, 2)) * limits, rng.uniform(0.01, 0.6, (count, 2)) * limits], axis=1
    ).astype(np.float32)


def post_processed(transform: ImageTransform, boxes: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the boxes that a call yields, in pixels of the image, and the rows that they come from."""
    post = PostProcessor.for_detection(
        ["a"], Yolov8Output(output_tensor="t"), thresholds=0.0, nms_threshold=1.0
    )
    scores = np.linspace(0.9, 0.1, len(boxes))[:, np.newaxis]
    tensor = np.concatenate([boxes, scores], axis=1).T[np.newaxis].astype(np.float32)
    found = post({"t": tensor}, transforms=[transform]).outputs[0]
    assert isinstance(found, Detections)
    return found.to_pixels([transform.image_size]), found.regions


@pytest.mark.parametrize(("input_size", "image_size"), SIZES, ids=str)
def test_letterbox_boxes_of_a_call_equal_the_formula(input_size: Size, image_size: Size) -> None:
    transform = ImageTransform.letterbox(input_size, image_size)
    boxes = random_boxes(input_size)
    corners = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
    expected = scaled_boxes(input_size, corners, image_size)
    found, rows = post_processed(transform, boxes)
    np.testing.assert_allclose(found, expected[rows], rtol=0, atol=1e-3)
    dropped = np.delete(expected, rows, axis=0)
    assert (dropped[:, :2] >= dropped[:, 2:] - 1e-3).any(axis=1).all()  # nothing of them is in the image


@pytest.mark.parametrize(("input_size", "image_size"), SIZES, ids=str)
def test_letterbox_boxes_of_a_call_equal_ultralytics(input_size: Size, image_size: Size) -> None:
    boxes = random_boxes(input_size)
    corners = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
    expected = ultralytics("utils.ops").scale_boxes(input_size, corners.copy(), image_size)
    found, rows = post_processed(ImageTransform.letterbox(input_size, image_size), boxes)
    np.testing.assert_allclose(found, expected[rows], rtol=0, atol=1e-3)


@pytest.mark.parametrize("center", [True, False], ids=["center", "top_left"])
@pytest.mark.parametrize("scale_up", [True, False], ids=["scale up", "as it is"])
@pytest.mark.parametrize(("input_size", "image_size"), SIZES, ids=str)
def test_letterbox_places_the_image_as_ultralytics_does(
    input_size: Size, image_size: Size, scale_up: bool, center: bool
) -> None:
    augment = ultralytics("data.augment")
    params = augment.LetterBox(input_size, scaleup=scale_up, center=center).get_params(
        {"img": np.broadcast_to(np.uint8(0), (*image_size, 3))}
    )
    transform = ImageTransform.letterbox(input_size, image_size, "center" if center else "top_left", scale_up)
    assert transform.resized_size == params["new_unpad"][::-1]
    assert transform.offset == (params["left"], params["top"])


def ultralytics(name: str) -> Any:
    """Import a module of ultralytics, or skip the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(
            f"ultralytics.{name}", reason="needs ultralytics, of the extra bench", exc_type=ImportError
        )


@given(input_size=size, image_size=size)
def test_letterbox_any_sizes_rounds_the_product_to_even(input_size: Size, image_size: Size) -> None:
    made = ImageTransform.letterbox(input_size, image_size)
    ratio = min(input_size[0] / image_size[0], input_size[1] / image_size[1])
    assert made.resized_size == tuple(max(1, round(side * ratio)) for side in image_size)
    for axis in (0, 1):
        spare = input_size[axis] - made.resized_size[axis]
        assert spare >= 0
        assert made.offset[1 - axis] == round(spare / 2 - 0.1)
    assert ImageTransform.letterbox(input_size, image_size, "top_left").offset == (0, 0)


def test_letterbox_half_rounds_to_even_where_fill_rounds_up() -> None:
    # 2 x 1 into 5 x 5 and into 7 x 7: heights of 2.5 and 3.5.
    assert [ImageTransform.letterbox((side, side), (1, 2)).resized_size[0] for side in (5, 7)] == [2, 4]
    assert [ImageTransform.fill((side, side), (1, 2)).resized_size[0] for side in (5, 7)] == [3, 4]


def test_letterbox_without_scale_up_pads_a_small_image() -> None:
    made = ImageTransform.letterbox((10, 8), (3, 4), scale_up=False)
    assert (made.scale, made.offset, made.resized_size) == ((1, 1), (2, 3), (3, 4))
    assert ImageTransform.letterbox((10, 8), (30, 40), scale_up=False).resized_size == (6, 8)


@pytest.mark.parametrize(("rounding", "rows"), [("half_even", 2), ("half_up", 3)])
@pytest.mark.parametrize("align", ["center", "top_left"])
def test_fill_rounding_tells_how_many_rows_the_image_has(rounding: str, rows: int, align: str) -> None:
    image = {
        "resize_type": "FILL",
        "target_size": "5",
        "pad_value": 114,
        "pad_align": align,
        "rounding": rounding,
        "dimension_order": "NHWC",
    }
    batch = Preprocessor({"inputs": [{"tensor_name": "data", "image": image}]})(
        [np.full((1, 2, 3), 7, np.uint8)]
    )
    tensor = batch.tensors["data"][0]
    top = (5 - rows) // 2 if align == "center" else 0
    expected = np.full((5, 5, 3), 114)
    expected[top : top + rows] = 7
    np.testing.assert_array_equal(tensor, expected)
    make = ImageTransform.letterbox if rounding == "half_even" else ImageTransform.fill
    assert batch.transforms == (make((5, 5), (1, 2), align),)  # type: ignore[arg-type]
