"""One image to one tensor: where its pixels land, and what numbers they become."""

from __future__ import annotations

import os
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from postproc.errors import SchemaError
from postproc.images import Preprocessor
from postproc.images.input_tensors import place
from postproc.transforms import ImageTransform

Pixels = NDArray[np.uint8]
COLOR = np.array([[[51, 102, 204]]], np.uint8)  # a fifth, two fifths, four fifths
# Two by three pixels, all different, in every channel.
PIXELS = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 14


def document(**image: Any) -> dict[str, Any]:
    return {"inputs": [{"tensor_name": "data", "image": {"target_size": "3x2", **image}}]}


def prepared(pixels: Pixels, **image: Any) -> NDArray[Any]:
    """Return the tensor of one image, without its batch axis."""
    tensor = Preprocessor(document(**image))([pixels]).tensors["data"]
    assert tensor.shape[0] == 1
    assert tensor.flags["C_CONTIGUOUS"]
    return np.asarray(tensor[0])


def photo(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


class TestGeometry:
    """Pixels land where the transform says."""

    @pytest.mark.parametrize("resize_type", ["SQUASH", "CROP", "FILL", "NETWORK"])
    @pytest.mark.parametrize(
        ("size", "target"),
        [
            ((100, 150), "64x64"),
            ((97, 53), "33x65"),
            ((41, 203), "101x37"),
            ((11, 13), "224x224"),  # enlarged
            ((13, 11), "97x41"),
            ((1, 400), "50x50"),
            ((400, 1), "50x31"),
            ((3, 90_001), "64x48"),  # beyond the sides whose resize box float32 holds
            ((90_001, 3), "48x64"),
            ((700, 1100), "7x5"),
            ((1500, 2500), "64x64"),
        ],
        ids=str,
    )
    def test_bright_square_is_found_where_the_transform_says(
        self, resize_type: str, size: tuple[int, int], target: str
    ) -> None:
        height, width = size
        # Off the centre by a tenth of the sides; CROP keeps a square of the shortest side at least.
        kept = (min(size),) * 2 if resize_type == "CROP" else size
        rows, columns = (
            slice(max(0, middle - half), middle + half)
            for middle, half in (
                (height // 2 - kept[0] // 10, max(1, kept[0] // 6)),
                (width // 2 + kept[1] // 10, max(1, kept[1] // 6)),
            )
        )
        pixels = np.zeros((*size, 3), np.uint8)
        pixels[rows, columns] = 255
        padding = {"pad_value": 0.0} if resize_type == "FILL" else {}
        preprocessor = Preprocessor(
            document(
                resize_type=resize_type, target_size=target, color_channels="L", pixel_scaling=1.0, **padding
            )
        )
        batch = preprocessor([pixels])
        light, transform = batch.tensors["data"][0, 0].astype(np.float64), batch.transforms[0]

        assert light.shape == transform.input_size
        assert transform.image_size == size
        found = [
            (light.sum(axis=1 - axis) * (np.arange(light.shape[axis]) + 0.5)).sum() / light.sum()
            for axis in (0, 1)
        ]
        for axis, part in ((0, rows), (1, columns)):
            start, stop = (
                np.clip(transform.scale[1 - axis] * edge + transform.offset[1 - axis], 0, light.shape[axis])
                for edge in (part.start, min(part.stop, size[axis]))
            )
            assert found[axis] == pytest.approx((start + stop) / 2, abs=0.5)

    @pytest.mark.parametrize(
        ("resize_type", "target", "resized", "offset"),
        [
            ("SQUASH", "40x60", (60, 40), (0, 0)),
            ("SQUASH", "40", (40, 40), (0, 0)),
            ("CROP", "40x60", (60, 120), (0, -40)),
            ("CROP", "40", (40, 80), (0, -20)),
            ("FILL", "40x60", (20, 40), (20, 0)),
            ("FILL", "40", (20, 40), (10, 0)),
            ("NETWORK", "40x60", (20, 40), (0, 0)),
            ("NETWORK", "40", (20, 40), (0, 0)),
        ],
        ids=lambda value: str(value),
    )
    def test_pixels_equal_pillows_bilinear_resized_then_placed(
        self, resize_type: str, target: str, resized: tuple[int, int], offset: tuple[int, int]
    ) -> None:
        pixels = photo(50, 100)
        tensor = prepared(pixels, resize_type=resize_type, target_size=target, dimension_order="NHWC")
        whole = np.asarray(
            Image.fromarray(pixels).resize((resized[1], resized[0]), Image.Resampling.BILINEAR), np.float32
        )
        if resize_type == "NETWORK":
            assert tensor.shape == whole.shape
        top, left = offset
        expected = np.full_like(tensor, 255)
        visible = whole[max(0, -top) :, max(0, -left) :][: tensor.shape[0], : tensor.shape[1]]
        expected[max(0, top) :, max(0, left) :][: visible.shape[0], : visible.shape[1]] = visible
        # A crop resizes the part that is seen, whose filter may round one level the other way.
        np.testing.assert_allclose(tensor, expected, rtol=0, atol=1 if resize_type == "CROP" else 0)

    @pytest.mark.parametrize(
        ("extra", "rows"),
        [
            ({}, [255, 7, 255]),
            ({"pad_value": 114.0}, [114, 7, 114]),
            ({"pad_value": 113.5}, [114, 7, 114]),
            ({"pad_value": 114.0, "pad_align": "top_left"}, [7, 114, 114]),
        ],
        ids=["white", "grey", "half-up", "top-left"],
    )
    def test_fill_pads_around_the_image(self, extra: dict[str, Any], rows: list[int]) -> None:
        tensor = prepared(np.full((1, 3, 3), 7, np.uint8), resize_type="FILL", target_size="3", **extra)
        np.testing.assert_array_equal(tensor, np.broadcast_to(np.array(rows)[:, None], (3, 3, 3)))

    @pytest.mark.parametrize("channels", ["RGB", "BGR"])
    def test_fill_pad_value_per_channel_is_in_the_order_of_the_channels(self, channels: str) -> None:
        tensor = prepared(
            PIXELS, resize_type="FILL", target_size="3", color_channels=channels, pad_value=[10.0, 20.0, 30.0]
        )
        np.testing.assert_array_equal(tensor[:, 2, 0], [10, 20, 30])

    def test_fill_grey_network_pads_with_one_value(self) -> None:
        tensor = prepared(PIXELS, resize_type="FILL", target_size="3", color_channels="L", pad_value=[114.0])
        assert tensor.shape == (1, 3, 3)
        np.testing.assert_array_equal(tensor[0, 2], [114, 114, 114])

    def test_crop_of_an_extremely_long_image_needs_little_memory(self) -> None:
        # Resized as a whole it would have 2,240 x 22,400,000 pixels.
        batch = Preprocessor(document(resize_type="CROP", target_size="2240"))(
            [np.full((1, 10_000), 9, np.uint8)]
        )
        assert batch.transforms[0].resized_size == (2240, 22_400_000)
        assert (batch.tensors["data"] == 9).all()

    def test_crop_of_a_side_beyond_float32_takes_the_centre(self) -> None:
        # The edges of the one pixel in the middle, 9,999,999.5 and 10,000,000.5, have no float32.
        image = Image.new("L", (20_000_000, 1))
        image.paste(255, (10_000_000, 0, 20_000_000, 1))
        values = np.asarray(place(image, ImageTransform.crop((16, 16), (1, 20_000_000)), (0,)))
        ramp = (np.arange(16) + 0.5) / 16 * 255  # from the centre of a black pixel to that of a white one
        np.testing.assert_allclose(values, np.broadcast_to(ramp, (16, 16)), atol=0.5)

    def test_exif_orientation_is_honoured_before_resizing(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (30, 10)).save(tmp_path / "a.jpg", exif=exif)
        batch = Preprocessor(document(resize_type="NETWORK", target_size="60"))([tmp_path / "a.jpg"])
        assert batch.tensors["data"].shape == (1, 3, 60, 20)
        assert batch.transforms[0].image_size == (30, 10)


class TestValues:
    """From pixels to the numbers of the tensor."""

    @pytest.mark.parametrize(
        ("extra", "expected"),
        [
            ({}, [51, 102, 204]),
            ({"pixel_scaling": 1.0}, [0.2, 0.4, 0.8]),
            ({"pixel_scaling": 2.0}, [0.4, 0.8, 1.6]),
            ({"color_channels": "BGR"}, [204, 102, 51]),
            ({"color_channels": "L"}, [98]),  # 0.299 * 51 + 0.587 * 102 + 0.114 * 204 = 98.4
            ({"mean": [1.0, 2.0, 3.0]}, [50, 100, 201]),
            ({"mean": [1.0, 2.0, 3.0], "color_channels": "BGR"}, [203, 100, 48]),
            ({"pixel_scaling": 1.0, "mean": [0.5, 0.25, -0.2]}, [-0.3, 0.15, 1.0]),
            ({"std": [2.0, 4.0, 0.5]}, [25.5, 25.5, 408]),
            ({"pixel_scaling": 1.0, "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.1, 2.0]}, [0.2, 2.0, 0.25]),
            ({"color_channels": "L", "mean": [48.0], "std": [10.0]}, [5.0]),
        ],
        ids=lambda value: None if isinstance(value, list) else "-".join(value) or "plain",
    )
    def test_values_equal_hand_computed(self, extra: dict[str, Any], expected: list[float]) -> None:
        tensor = prepared(COLOR, target_size="1", **extra)
        assert tensor.dtype == np.float32
        np.testing.assert_allclose(tensor[:, 0, 0], expected, rtol=1e-6)

    def test_scaling_to_one_is_the_pixel_divided_by_255_correctly_rounded(self) -> None:
        levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
        tensor = prepared(levels, target_size="16", color_channels="L", pixel_scaling=1.0)
        np.testing.assert_array_equal(tensor[0], (levels / 255.0).astype(np.float32))

    @pytest.mark.parametrize(
        ("order", "axes"),
        [("NCHW", (2, 0, 1)), ("NCWH", (2, 1, 0)), ("NHWC", (0, 1, 2)), ("NWHC", (1, 0, 2))],
    )
    @pytest.mark.parametrize("data_type", ["FLOAT32", "FLOAT16", "UINT8"])
    def test_dimension_order_arranges_the_axes(
        self, order: str, axes: tuple[int, int, int], data_type: str
    ) -> None:
        tensor = prepared(PIXELS, dimension_order=order, data_type=data_type)
        assert tensor.dtype == np.dtype(data_type.lower())
        np.testing.assert_array_equal(tensor, PIXELS.transpose(axes))

    @pytest.mark.parametrize("order", ["NCHW", "NCWH", "NHWC", "NWHC"])
    def test_mean_and_std_follow_the_channel_axis(self, order: str) -> None:
        tensor = prepared(PIXELS, dimension_order=order, mean=[1.0, 2.0, 3.0], std=[1.0, 2.0, 4.0])
        plain = (PIXELS - np.array([1.0, 2.0, 3.0])) / np.array([1.0, 2.0, 4.0])
        axes = tuple("HWC".index(letter) for letter in order[1:])
        np.testing.assert_allclose(tensor, plain.transpose(axes), rtol=1e-6)

    def test_float16_is_rounded_once_from_float32(self) -> None:
        tensor = prepared(COLOR, target_size="1", pixel_scaling=1.0, data_type="FLOAT16")
        assert tensor.dtype == np.float16
        np.testing.assert_array_equal(tensor[:, 0, 0], np.array([0.2, 0.4, 0.8], np.float16))

    def test_uint8_is_rounded_half_up(self) -> None:
        # 51 / 2 = 25.5, 102 / 2 = 51, 204 / 2 = 102
        tensor = prepared(COLOR, target_size="1", std=[2.0, 2.0, 2.0], data_type="UINT8")
        assert tensor.dtype == np.uint8
        np.testing.assert_array_equal(tensor[:, 0, 0], [26, 51, 102])

    @pytest.mark.parametrize(
        "extra",
        [
            {"data_type": "UINT8", "mean": [1.0, 0.0, 0.0]},
            {"data_type": "UINT8", "pixel_scaling": 256.0},
            {"data_type": "FLOAT16", "pixel_scaling": 70_000.0},
            {"data_type": "FLOAT16", "pixel_scaling": 1.0, "std": [1.0, 1.0, 1e-6]},
            {"pixel_scaling": 1e300},
            {"std": [1.0, 1.0, 1e-60]},
            {"mean": [0.0, 0.0, 1e60]},
        ],
        ids=str,
    )
    def test_values_beyond_the_data_type_are_an_error_before_any_image(self, extra: dict[str, Any]) -> None:
        message = (
            r"^inputs\[0\]\.image\.data_type: \w+ cannot hold the values that .* give: pixels of (0|255)"
        )
        with pytest.raises(SchemaError, match=message):
            Preprocessor(document(**extra))

    def test_target_beyond_pillows_pixel_limit_is_an_error_before_any_image(self) -> None:
        with pytest.raises(SchemaError, match=r"^inputs\[0\]\.image\.target_size: expected at most"):
            Preprocessor(document(target_size="99999x99999"))


class TestMeanFile:
    """An .npy array beside the document."""

    FULL = np.arange(18, dtype=np.float64).reshape(2, 3, 3)

    @pytest.mark.parametrize(
        ("mean", "expected"),
        [
            (np.array([1, 2, 3]), np.array([1, 2, 3])),
            (np.array([1, 2, 3], ">f4").reshape(3, 1, 1), np.array([1, 2, 3])),
            (np.array([1, 2, 3], np.uint8).reshape(1, 1, 3), np.array([1, 2, 3])),
            (FULL, FULL),
            (FULL.transpose(2, 0, 1), FULL),
        ],
        ids=["channels", "channels-first", "channels-last", "full-hwc", "full-chw"],
    )
    @pytest.mark.parametrize("order", ["NCHW", "NWHC"])
    def test_mean_file_of_each_shape_is_subtracted(
        self, tmp_path: Path, order: str, mean: NDArray[Any], expected: NDArray[Any]
    ) -> None:
        np.save(tmp_path / "mean.npy", mean)
        preprocessor = Preprocessor(document(mean_file="mean.npy", dimension_order=order), tmp_path)
        tensor = preprocessor([PIXELS]).tensors["data"][0]
        axes = tuple("HWC".index(letter) for letter in order[1:])
        np.testing.assert_allclose(tensor, (PIXELS - expected).transpose(axes))

    def test_mean_file_in_a_folder_below_is_found_and_released(self, tmp_path: Path) -> None:
        (tmp_path / "sub").mkdir()
        np.save(tmp_path / "sub" / "mean.npy", np.full(3, 5.0))
        preprocessor = Preprocessor(document(mean_file="sub/mean.npy"), str(tmp_path))
        (tmp_path / "sub" / "mean.npy").unlink()
        np.testing.assert_array_equal(preprocessor([COLOR]).tensors["data"][0, :, 0, 0], [46, 97, 199])

    def test_mean_file_that_a_link_leads_out_of_the_folder_is_an_error(self, tmp_path: Path) -> None:
        np.save(tmp_path / "secret.npy", np.full(3, 5.0))
        folder = tmp_path / "documents"
        (folder / "data").mkdir(parents=True)
        (folder / "mean.npy").symlink_to(tmp_path / "secret.npy")
        (folder / "up").symlink_to(tmp_path)
        for name in ("mean.npy", "up/secret.npy"):
            with pytest.raises(SchemaError, match=r"mean_file: expected a file in .*, got a link out of it"):
                Preprocessor(document(mean_file=name), folder)
        # As Kubernetes mounts the files of a folder.
        np.save(folder / "data" / "mean.npy", np.full(3, 5.0))
        (folder / "inside.npy").symlink_to(Path("data") / "mean.npy")
        Preprocessor(document(mean_file="inside.npy"), folder)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
    def test_mean_file_that_is_a_pipe_is_an_error_at_once(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "mean.npy")
        with pytest.raises(SchemaError, match=r"mean_file: expected .* a file, got a folder, pipe or device"):
            Preprocessor(document(mean_file="mean.npy"), tmp_path)

    @pytest.mark.parametrize(
        ("content", "extra", "message"),
        [
            (None, {}, "cannot read .*mean.npy.* as an .npy array"),
            (b"", {}, "cannot read"),
            (b"\x93NUMPY\x01\x00\x05\x00{'a'}", {}, "cannot read"),
            (pickle.dumps([1, 2, 3]), {}, "cannot read"),
            (np.array([{}]), {}, "cannot read"),
            (np.array([1j, 2, 3]), {}, "expected an array of numbers .* got complex128"),
            (np.array(["a"]), {}, "expected an array of numbers"),
            (np.zeros(4), {}, r"expected an array of shape \(3,\), \(3, 2, 3\) or \(2, 3, 3\), got \(4,\)"),
            (np.float64(1), {}, r"got \(\)"),
            (np.zeros((3, 3, 2)), {}, r"got \(3, 3, 2\)"),
            (np.zeros((3, 2, 3)), {"resize_type": "NETWORK"}, r"shape \(3,\), since inputs vary in size"),
            (np.zeros(3), {"color_channels": "L"}, r"expected an array of shape \(1,\)"),
            (np.array([1, np.nan, 3]), {}, "expected finite numbers"),
            (np.array([1, 1e60, 3]), {}, "expected finite numbers"),
        ],
        ids=[
            *(
                "missing",
                "empty",
                "broken-header",
                "pickle",
                "objects",
                "complex",
                "texts",
                "count",
                "scalar",
            ),
            *("full-shape", "network-full", "grey", "nan", "beyond-float32"),
        ],
    )
    def test_mean_file_bad_is_an_error_that_names_it(
        self, tmp_path: Path, content: Any, extra: dict[str, Any], message: str
    ) -> None:
        path = tmp_path / "mean.npy"
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            np.save(path, content, allow_pickle=True)
        with pytest.raises(SchemaError, match=r"^inputs\[0\]\.image\.mean_file: .*" + message):
            Preprocessor(document(mean_file="mean.npy", **extra), tmp_path)

    def test_mean_file_archive_is_an_error(self, tmp_path: Path) -> None:
        with (tmp_path / "mean.npy").open("wb") as file:
            np.savez(file, mean=np.zeros(3))
        with pytest.raises(SchemaError, match="got an archive of arrays"):
            Preprocessor(document(mean_file="mean.npy"), tmp_path)

    def test_mean_file_that_claims_more_than_it_holds_is_an_error_before_memory_is_taken(
        self, tmp_path: Path
    ) -> None:
        with (tmp_path / "mean.npy").open("wb") as file:
            header = {"descr": "<f8", "fortran_order": False, "shape": (10**7, 3)}
            np.lib.format.write_array_header_1_0(file, header)
            file.write(bytes(24))
        tracemalloc.start()
        with pytest.raises(SchemaError, match=r"mean_file: cannot read"):
            Preprocessor(document(mean_file="mean.npy"), tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1_000_000

    def test_mean_file_without_a_directory_is_an_error(self) -> None:
        with pytest.raises(SchemaError, match=r"mean_file: found 'mean.npy', .* pass directory="):
            Preprocessor(document(mean_file="mean.npy"))

    def test_mean_file_empty_means_none(self) -> None:
        np.testing.assert_array_equal(prepared(PIXELS, mean_file=""), PIXELS.transpose(2, 0, 1))
