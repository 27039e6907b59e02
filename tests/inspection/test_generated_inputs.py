"""What a network is run on: an image with shapes and noise, and known inputs beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from postproc.errors import InspectionError
from postproc.inspection.generated_inputs import generated_inputs
from postproc.inspection.graph_file import read_graph
from tests.inspection.networks import Network
from tests.models import Shape, network

SIZE = (96, 128)
IMAGE: dict[str, tuple[DTypeLike, Shape]] = {"image": (np.float32, ("N", 3, "H", "W"))}


def generated(
    folder: Path, inputs: dict[str, tuple[DTypeLike, Shape]], size: tuple[int, int] = SIZE
) -> dict[str, NDArray[Any]]:
    """Generate the inputs of a network that uses none of them."""
    path = folder / "net.onnx"
    path.write_bytes(network([], inputs, {"out": (np.float32, (1,))}, {"out": np.ones(1, np.float32)}))
    found = generated_inputs(read_graph(path, None), size)
    return {name: generated.array() for name, generated in found.items()}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        pytest.param(("N", 3, "H", "W"), (1, 3, 96, 128), id="free"),
        pytest.param(("N", "C", "H", "W"), (1, 3, 96, 128), id="all free"),
        pytest.param((None, None, None, 3), (1, 96, 128, 3), id="NHWC"),
        pytest.param((1, 1, 40, 50), (1, 1, 40, 50), id="fixed, grey"),
        pytest.param((2, 3, 40, "W"), (2, 3, 40, 128), id="fixed in part"),
        pytest.param((3, "H", "W"), (3, 96, 128), id="no batch axis"),
        pytest.param((40, 50, 3), (40, 50, 3), id="no batch axis, channels last"),
    ],
)
def test_generated_image_fills_the_axes_that_are_free(
    shape: Shape, expected: tuple[int, ...], tmp_path: Path
) -> None:
    assert generated(tmp_path, {"image": (np.float32, shape)})["image"].shape == expected


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        pytest.param((1, 3, 96, 128), (2, 3, 1), id="NCHW"),
        pytest.param((1, 96, 128, 3), (1, 2, 3), id="NHWC"),
        pytest.param((3, 96, 128), (1, 2, 0), id="CHW"),
        pytest.param((96, 128, 3), (0, 1, 2), id="HWC"),
    ],
)
def test_generated_image_is_the_same_picture_in_every_order(
    shape: Shape, axes: tuple[int, int, int], tmp_path: Path
) -> None:
    image = generated(tmp_path, {"image": (np.float32, shape)})["image"]
    reference = generated(tmp_path, {"image": (np.float32, (1, 96, 128, 3))})["image"]
    order = [axis for axis in range(image.ndim) if axis not in axes] + list(axes)
    np.testing.assert_array_equal(image.transpose(order).reshape(1, 96, 128, 3), reference)


def test_generated_image_has_shapes_and_noise(tmp_path: Path) -> None:
    image = generated(tmp_path, IMAGE)["image"]
    assert image.dtype == np.float32
    assert 0 <= image.min() < 0.1
    assert 0.9 < image.max() <= 1
    assert np.unique(image).size > image.size // 2
    steps = np.abs(np.diff(image, axis=3))
    assert np.median(steps) < 0.1 < image.std()  # neighbours are alike, but for noise,
    assert (steps > 0.3).sum() > 50  # and there are edges
    assert not np.array_equal(image[0, 0], image[0, 1])


def test_generated_batch_has_different_images(tmp_path: Path) -> None:
    images = generated(tmp_path, {"image": (np.float32, (2, 3, 96, 128))})["image"]
    assert not np.array_equal(images[0], images[1])


@pytest.mark.parametrize(
    ("dtype", "lowest", "highest"),
    [
        pytest.param(np.float16, 0, 1, id="float16"),
        pytest.param(np.float64, 0, 1, id="float64"),
        pytest.param(np.uint8, 0, 255, id="uint8"),
        pytest.param(np.int8, -128, 127, id="int8"),
        pytest.param(np.int32, 0, 255, id="int32"),
    ],
)
def test_generated_image_uses_the_range_of_its_type(
    dtype: DTypeLike, lowest: int, highest: int, tmp_path: Path
) -> None:
    image = generated(tmp_path, {"image": (dtype, (1, 96, 128, 3))})["image"]
    assert image.dtype == dtype
    assert (image.min(), image.max()) == (lowest, highest)


def test_generated_image_of_int8_is_that_of_uint8_less_128(tmp_path: Path) -> None:
    signed, plain = (
        generated(tmp_path, {"image": (dtype, (1, 96, 128, 3))})["image"].astype(np.int64)
        for dtype in (np.int8, np.uint8)
    )
    np.testing.assert_array_equal(signed, plain - 128)


@pytest.mark.parametrize(
    ("name", "dtype", "shape", "expected"),
    [
        pytest.param("im_shape", np.float32, ("N", 2), [[96, 128]], id="im_shape"),
        pytest.param("im_info", np.float32, (1, 3), [[96, 128, 1]], id="im_info"),
        pytest.param("IM_INFO:0", np.float32, (3,), [96, 128, 1], id="im_info of TensorFlow"),
        pytest.param("scale_factor", np.float32, ("N", 2), [[1, 1]], id="scale_factor"),
        pytest.param("orig_target_sizes", np.int64, ("N", 2), [[128, 96]], id="orig_target_sizes"),
        pytest.param("pixel_mask", np.int64, ("N", "H", "W"), np.ones((1, *SIZE)), id="pixel_mask"),
        pytest.param("pixel_mask", np.bool_, (1, 96, 128), np.ones((1, *SIZE)), id="pixel_mask of bools"),
        pytest.param("score_threshold", np.float32, (), 0, id="score_threshold"),
        pytest.param("conf_thres", np.float32, (1,), [0], id="confidence"),
        pytest.param("iou_threshold", np.float32, (1,), [0.5], id="iou_threshold"),
        pytest.param("nms_threshold", np.float32, (1, 1), [[0.5]], id="nms_threshold"),
        pytest.param("max_output_boxes_per_class", np.int64, ("K",), [100], id="boxes"),
    ],
)
def test_generated_input_beside_the_image_is_known_by_its_name(
    name: str, dtype: DTypeLike, shape: Shape, expected: Any, tmp_path: Path
) -> None:
    array = generated(tmp_path, {**IMAGE, name: (dtype, shape)})[name]
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, expected)


def test_generated_sizes_are_those_of_the_image_that_the_file_fixes(tmp_path: Path) -> None:
    inputs = {"image": (np.float32, (2, 40, 50, 3)), "im_shape": (np.float32, ("N", 2))}
    np.testing.assert_array_equal(generated(tmp_path, inputs)["im_shape"], [[40, 50]] * 2)


@pytest.mark.parametrize(
    ("name", "dtype", "shape"),
    [
        pytest.param("prompt", np.float32, (1, 4), id="name"),
        pytest.param("threshold", np.float32, (1,), id="any threshold"),
        pytest.param("im_info", np.float32, (1, 5), id="length"),
        pytest.param("pixel_mask", np.int64, (1, 64, 64), id="size"),
        pytest.param("score_threshold", np.float32, (80,), id="one a label"),
        pytest.param("score_threshold", np.int64, (1,), id="type"),
    ],
)
def test_generated_input_that_nobody_knows_is_named(
    name: str, dtype: DTypeLike, shape: Any, tmp_path: Path
) -> None:
    with pytest.raises(InspectionError, match=rf"unknown what its input {name} (float32|int64) \("):
        generated(tmp_path, {**IMAGE, name: (dtype, shape)})


@pytest.mark.parametrize("shape", [(1, 128), ("N", "words", "features"), (1, 3, 4, 32, 32)])
def test_generated_inputs_without_an_image_say_what_is_expected(shape: Shape, tmp_path: Path) -> None:
    with pytest.raises(InspectionError, match=r"no input takes images of 1 or 3 channels, \(N, C, H, W\)"):
        generated(tmp_path, {"rows": (np.float32, shape)})


def test_generated_input_that_is_no_array_is_named(tmp_path: Path) -> None:
    from onnx import TensorProto

    path = Network(image_type=TensorProto.BFLOAT16).output("y", (1, 10)).save(tmp_path / "net.onnx")
    with pytest.raises(InspectionError, match=r"input images is tensor\(bfloat16\), and no array"):
        generated_inputs(read_graph(path), SIZE)
