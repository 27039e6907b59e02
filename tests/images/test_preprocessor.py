"""Several inputs, constants, batches, and the guess for a network without a document."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from postproc.errors import ImageError, SchemaError, TensorError
from postproc.images import Preprocessor, default_preprocessing
from postproc.schema import Preprocessing

Pixels = NDArray[np.uint8]
COLOR = np.array([[[51, 102, 204]]], np.uint8)  # a fifth, two fifths, four fifths


def document(**image: Any) -> dict[str, Any]:
    return {"inputs": [{"tensor_name": "data", "image": {"target_size": "3x2", **image}}]}


def photo(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


FASTER_RCNN = {
    "inputs": [
        {"tensor_name": "im_info", "constant": {"shape": [3], "data": ["data.1", "data.2", 1.5]}},
        {"tensor_name": "data", "image": {"resize_type": "NETWORK", "target_size": "40"}},
    ]
}
TWO_IMAGES = {
    "inputs": [
        {"tensor_name": "left", "image": {"target_size": "4x2"}},
        {"tensor_name": "grid", "constant": {"shape": [2, 2], "data": [1.0, 2.0, "right.0", "right.2"]}},
        {
            "tensor_name": "right",
            "image": {"target_size": "6x8", "dimension_order": "NHWC", "color_channels": "L"},
        },
    ]
}


class TestInputs:
    """Several inputs, constants and batches."""

    def test_constant_is_resolved_from_the_image_and_repeated_per_image(self) -> None:
        batch = Preprocessor(FASTER_RCNN)([photo(50, 100), photo(100, 200)])
        assert list(batch.tensors) == ["im_info", "data"]
        assert batch.tensors["data"].shape == (2, 3, 20, 40)
        assert batch.tensors["im_info"].dtype == np.float32
        np.testing.assert_array_equal(batch.tensors["im_info"], [[20, 40, 1.5], [20, 40, 1.5]])
        assert [transform.image_size for transform in batch.transforms] == [(50, 100), (100, 200)]

    def test_several_image_inputs_take_an_image_each_and_the_first_gives_the_transform(self) -> None:
        left, right = photo(10, 20), photo(30, 40)
        batch = Preprocessor(TWO_IMAGES)([(left, right), [right, left]])
        assert {name: tensor.shape for name, tensor in batch.tensors.items()} == {
            "left": (2, 3, 2, 4),
            "grid": (2, 2, 2),
            "right": (2, 8, 6, 1),
        }
        np.testing.assert_array_equal(batch.tensors["grid"][1], [[1, 2], [8, 1]])
        assert [transform.image_size for transform in batch.transforms] == [(10, 20), (30, 40)]
        assert batch.transforms[0].input_size == (2, 4)

    @pytest.mark.parametrize(
        ("item", "found"),
        [(COLOR, 1), ([COLOR], 1), ((COLOR, COLOR, COLOR), 3)],
        ids=["one", "list", "three"],
    )
    def test_wrong_number_of_images_is_an_error_that_names_both_numbers(self, item: Any, found: int) -> None:
        with pytest.raises(ImageError, match=rf"2 image inputs \(left, right\), got {found} images"):
            Preprocessor(TWO_IMAGES)([item])

    def test_batch_rows_equal_the_images_one_by_one(self) -> None:
        preprocessor = Preprocessor(document(resize_type="FILL", target_size="9x7", pixel_scaling=1.0))
        images = [photo(5, 8, 1), photo(50, 3, 2), photo(7, 9, 3)]
        batch = preprocessor(images)
        assert len(batch) == 3
        for index, image in enumerate(images):
            alone = preprocessor([image])
            np.testing.assert_array_equal(batch.tensors["data"][index], alone.tensors["data"][0])
            assert batch.transforms[index] == alone.transforms[0]

    @pytest.mark.parametrize(
        "images",
        [b"bytes", "path.png", Path("path.png"), Image.new("RGB", (1, 1)), COLOR, iter([COLOR])],
        ids=["bytes", "text", "path", "image", "array", "iterator"],
    )
    def test_call_with_a_single_image_is_an_error_that_says_so(self, images: Any) -> None:
        with pytest.raises(
            ImageError, match=r"expected a list of images, got .*; put a single image into a list"
        ):
            Preprocessor(document())(images)

    def test_call_without_images_is_an_error(self) -> None:
        with pytest.raises(ImageError, match="expected at least one image, got none"):
            Preprocessor(document())([])

    def test_call_with_images_of_different_input_shapes_is_an_error_that_names_batches(self) -> None:
        with pytest.raises(
            ImageError, match=r"images 0 and 2 give inputs of different shapes, .*batches\(\)"
        ):
            Preprocessor(FASTER_RCNN)([photo(50, 100), photo(25, 50), photo(60, 50)])

    @pytest.mark.parametrize("field", ["batched_input", "batched_output"])
    def test_call_with_several_images_of_a_network_that_takes_one_is_an_error(self, field: str) -> None:
        with pytest.raises(ImageError, match=rf"^{field} is false: .* got 2; use batches\(\)"):
            Preprocessor({**document(), field: False})([COLOR, COLOR])

    def test_document_that_breaks_a_rule_is_a_schema_error(self) -> None:
        with pytest.raises(SchemaError, match=r"inputs\[0\]\.image\.target_size"):
            Preprocessor(document(target_size="big"))

    def test_constant_beyond_float32_is_an_error_before_any_image(self) -> None:
        inputs = [
            *document()["inputs"],
            {"tensor_name": "c", "constant": {"shape": [2], "data": [0.0, -1e60]}},
        ]
        with pytest.raises(
            SchemaError, match=r"^inputs\[1\]\.constant\.data\[1\]: expected a number that float32"
        ):
            Preprocessor({"inputs": inputs})

    def test_preprocessor_in_many_threads_gives_the_same_as_alone(self) -> None:
        preprocessor = Preprocessor(document(resize_type="CROP", target_size="32", pixel_scaling=1.0))
        images = [photo(40 + seed, 60, seed) for seed in range(32)]
        with ThreadPoolExecutor(8) as pool:
            threaded = list(pool.map(lambda image: preprocessor([image]).tensors["data"], images))
        for image, tensor in zip(images, threaded, strict=True):
            np.testing.assert_array_equal(preprocessor([image]).tensors["data"], tensor)


class TestBatches:
    """Images run together where they can."""

    @pytest.mark.parametrize(
        ("extra", "size", "expected"),
        [
            ({}, 2, [2, 2, 1]),
            ({}, 5, [5]),
            ({}, 100, [5]),
            ({}, 1, [1] * 5),
            ({"batched_output": False}, 4, [1] * 5),
            ({"batched_input": False}, 4, [1] * 5),
        ],
        ids=["split", "exact", "fewer", "one", "not-batched", "no-batch-axis"],
    )
    def test_batches_hold_at_most_size_images_in_order(
        self, extra: dict[str, Any], size: int, expected: list[int]
    ) -> None:
        images = [np.full((2, 3, 3), level, np.uint8) for level in range(5)]
        batches = list(Preprocessor({**document(), **extra}).batches(images, size))
        assert [len(batch) for batch in batches] == expected
        levels = np.concatenate([batch.tensors["data"][:, 0, 0, 0] for batch in batches])
        np.testing.assert_array_equal(levels, range(5))

    def test_batches_end_where_the_shape_changes(self) -> None:
        wide, high = photo(50, 100), photo(100, 50)
        batches = list(Preprocessor(FASTER_RCNN).batches([wide, wide, wide, high, high, wide], 2))
        assert [batch.tensors["data"].shape for batch in batches] == [
            (2, 3, 20, 40),
            (1, 3, 20, 40),
            (2, 3, 40, 20),
            (1, 3, 20, 40),
        ]

    def test_batches_take_images_only_as_they_are_needed(self) -> None:
        taken = []

        def images() -> Iterator[Pixels]:
            for index in range(100):
                taken.append(index)
                yield COLOR

        batches = Preprocessor(document()).batches(images(), 3)
        assert taken == []
        next(batches)
        assert taken == [0, 1, 2]

    def test_batches_of_no_images_are_none(self) -> None:
        assert list(Preprocessor(document()).batches([], 3)) == []

    @pytest.mark.parametrize("size", [0, -1, 1.5, None])
    def test_batches_bad_size_is_an_error_at_once(self, size: Any) -> None:
        with pytest.raises(ImageError, match="size must be a positive integer"):
            Preprocessor(document()).batches([COLOR], size)

    def test_batches_unreadable_image_is_an_error_that_names_it(self) -> None:
        with pytest.raises(ImageError, match=r"image 'missing\.png'"):
            list(Preprocessor(document()).batches([COLOR, "missing.png"], 2))


class TestDefaultPreprocessing:
    """The guess for a network without a document."""

    @pytest.mark.parametrize(("shape", "order"), [((3, 20, 30), "NCHW"), ((20, 30, 3), "NHWC")])
    def test_default_for_one_image_without_a_batch_axis_says_so(
        self, shape: tuple[int, ...], order: str
    ) -> None:
        default = default_preprocessing("image", shape, np.float32)
        assert (default.batched_input, default.batched_output) == (False, False)
        image = default.inputs[0].image
        assert image is not None
        assert (image.dimension_order, image.target_size) == (order, "30x20")
        assert Preprocessor(default)([COLOR]).tensors["image"][0].shape == shape

    @pytest.mark.parametrize(
        ("shape", "dtype", "expected"),
        [
            (
                [1, 3, 480, 640],
                np.float32,
                {"dimension_order": "NCHW", "target_size": "640x480", "color_channels": "RGB"},
            ),
            (
                ["batch", 1, 28, 20],
                np.float16,
                {"target_size": "20x28", "color_channels": "L", "data_type": "FLOAT16"},
            ),
            (
                (None, 300, 200, 3),
                "uint8",
                {
                    "dimension_order": "NHWC",
                    "target_size": "200x300",
                    "pixel_scaling": 255.0,
                    "data_type": "UINT8",
                },
            ),
            (
                (None, 28, 20, 1),
                np.dtype("float32"),
                {"dimension_order": "NHWC", "color_channels": "L", "pixel_scaling": 1.0},
            ),
        ],
        ids=["nchw", "nchw-grey-half", "nhwc-bytes", "nhwc-grey"],
    )
    def test_default_fits_the_input(self, shape: Any, dtype: Any, expected: dict[str, Any]) -> None:
        default = default_preprocessing("images", shape, dtype)
        assert isinstance(default, Preprocessing)
        image = default.inputs[0].image
        assert image is not None
        assert image.resize_type == "SQUASH"
        assert {name: getattr(image, name) for name in expected} == expected
        tensor = Preprocessor(default)([np.full((50, 100, 3), 255, np.uint8)]).tensors["images"]
        assert tensor.shape[1:] == tuple(shape[1:])
        assert tensor.dtype == np.dtype(dtype)
        assert (tensor == (255 if tensor.dtype == np.uint8 else 1)).all()

    @pytest.mark.parametrize(
        ("shape", "dtype", "message"),
        [
            (["b", 3, "height", "width"], np.float32, "has no fixed height and width"),
            ([1, None, None, 3], np.float32, "has no fixed height and width"),
            ([1, 3, 0, 5], np.float32, "has no fixed height and width"),
            (["b", "c", 224, 224], np.float32, "is no batch of images with 1 or 3 channels"),
            ([1, 4, 224, 224], np.float32, "is no batch of images with 1 or 3 channels"),
            ([1, 10], np.float32, "is no batch of images"),
            ([1, 224, 224], np.float32, r"nor one image with 3, \(C, H, W\)"),
            (["n", 224, 3], np.float32, "has no fixed height and width"),
            ([1, 3, 224, 224], np.int64, "float32, float16, uint8"),
            ([1, 3, 224, 224], np.float64, "float32, float16, uint8"),
        ],
        ids=str,
    )
    def test_default_for_another_input_is_an_error_that_asks_for_a_document(
        self, shape: Any, dtype: Any, message: str
    ) -> None:
        with pytest.raises(
            TensorError, match=r"^input 'x' of shape .*" + message + ".*preprocessing document"
        ):
            default_preprocessing("x", shape, dtype)
