"""`ImageTransform.letterbox` and FILL's `rounding`, against ultralytics and a plain copy of its formula."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from postproc import Detections, ImageTransform, PostProcessor, TensorError, Yolov8Output
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


def letterboxed(new_shape: Size, shape: Size, stride: int) -> tuple[Size, Size, tuple[float, float]]:
    """Input size, resized size and offset by the formula of ultralytics' ``LetterBox(auto=True)``."""
    ratio = min(new_shape[0] / shape[0], new_shape[1] / shape[1])
    new_unpad = round(shape[1] * ratio), round(shape[0] * ratio)
    dw, dh = new_shape[1] - new_unpad[0], new_shape[0] - new_unpad[1]
    dw, dh = np.mod(dw, stride), np.mod(dh, stride)
    top, bottom = round(dh / 2 - 0.1), round(dh / 2 + 0.1)
    left, right = round(dw / 2 - 0.1), round(dw / 2 + 0.1)
    padded = new_unpad[1] + top + bottom, new_unpad[0] + left + right
    return padded, new_unpad[::-1], (float(left), float(top))


@given(
    shape=size, sides=st.tuples(st.integers(1, 40), st.integers(1, 40)), stride=st.sampled_from([8, 32, 64])
)
def test_letterbox_with_a_stride_is_ultralytics_of_auto(shape: Size, sides: Size, stride: int) -> None:
    target = sides[0] * stride, sides[1] * stride
    padded, resized, offset = letterboxed(target, shape, stride)
    if min(resized) == 0:  # which ultralytics cannot resize to
        return
    found = ImageTransform.letterbox(target, shape, stride=stride)
    assert (found.input_size, found.resized_size, found.offset) == (padded, resized, offset)


def test_letterbox_with_a_stride_pads_1000_x_667_to_640_x_448() -> None:
    found = ImageTransform.letterbox((640, 640), (667, 1000), stride=32)
    assert (found.input_size, found.resized_size, found.offset) == ((448, 640), (427, 640), (0.0, 10.0))


@pytest.mark.parametrize("align", ["center", "top_left"])
@pytest.mark.parametrize("image_size", [(67, 100), (100, 67), (64, 64), (1, 500)])
@pytest.mark.parametrize("resize_type", ["FILL", "NETWORK"])
def test_stride_pads_the_image_that_results_to_multiples(
    resize_type: str, image_size: Size, align: str
) -> None:
    image = {"resize_type": resize_type, "target_size": "64", "pad_value": 114, "pixel_scaling": 255}
    image |= {"stride": 32, "pad_align": align, "data_type": "UINT8"}
    made = Preprocessor({"inputs": [{"tensor_name": "a", "image": image}]})
    batch = made([np.full((*image_size, 3), 7, np.uint8)])
    tensor, transform = batch.tensors["a"][0], batch.transforms[0]
    height, width = ImageTransform.network((64, 64), image_size).input_size
    assert tensor.shape[1:] == transform.input_size == (-(-height // 32) * 32, -(-width // 32) * 32)
    left, top = map(int, transform.offset)
    free = (tensor.shape[1] - height) // 2, (tensor.shape[2] - width) // 2
    assert (top, left) == (free if align == "center" else (0, 0))
    is_image = np.zeros(tensor.shape[1:], bool)
    is_image[top : top + height, left : left + width] = True
    np.testing.assert_array_equal(tensor, np.broadcast_to(np.where(is_image, 7, 114), tensor.shape))


def test_stride_of_network_may_lead_beyond_the_target() -> None:
    assert ImageTransform.network((50, 50), (20, 50), stride=32).input_size == (32, 64)


@pytest.mark.parametrize("stride", [0, -1, 1.5, True])
def test_stride_that_is_no_positive_integer_is_an_error(stride: Any) -> None:
    with pytest.raises(TensorError, match="stride must be a positive integer"):
        ImageTransform.fill((64, 64), (3, 4), stride=stride)


def test_stride_that_does_not_divide_the_input_is_an_error() -> None:
    with pytest.raises(TensorError, match=r"multiples of the stride 32; got \(64, 50\)"):
        ImageTransform.letterbox((64, 50), (3, 4), stride=32)


def test_images_of_a_stride_run_together_where_their_inputs_have_one_shape() -> None:
    image = {"resize_type": "FILL", "target_size": "64", "stride": 32}
    made = Preprocessor({"inputs": [{"tensor_name": "a", "image": image}]})
    images = [np.zeros((*size, 3), np.uint8) for size in ((64, 30), (64, 20), (20, 64))]
    assert [batch.tensors["a"].shape for batch in made.batches(images, 8)] == [(2, 3, 64, 32), (1, 3, 32, 64)]


def test_boxes_under_a_stride_come_back_to_the_image() -> None:
    transform = ImageTransform.letterbox((640, 640), (667, 1000), stride=32)
    scale, top = 0.64, 10
    inside = np.array([[100.0, 200.0, 300.0, 400.0]])
    corners = inside * scale + np.array([0, top, 0, top])
    boxes = np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], axis=1)
    found, _ = post_processed(transform, boxes.astype(np.float32))
    np.testing.assert_allclose(found, inside, atol=0.2)  # 667 * 0.64 is 426.88, rounded to 427
