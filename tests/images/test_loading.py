"""Images of every kind, and files that are broken or hostile."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from postproc.errors import ImageError
from postproc.images import load_image
from postproc.images.loading import EncodedImage
from postproc.images.png_data import ends_early
from postproc.installing import install

Pixels = NDArray[np.uint8]
RED, GREEN, BLUE, WHITE, BLACK, GREY = (
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 255),
    (0, 0, 0),
    (128, 128, 128),
)
UPRIGHT = np.array([[RED, GREEN, BLUE], [WHITE, BLACK, GREY]], np.uint8)


def encoded(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def photo(height: int, width: int, seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def png_of(
    data: bytes, width: int, height: int, *, depth: int = 8, color: int = 2, interlaced: bool = False
) -> bytes:
    """Return a PNG file whose rows are `data`, each with its filter in front, in two chunks."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    packed = zlib.compress(data)
    palette = chunk(b"PLTE", bytes(768)) if color == 3 else b""
    halves = packed[: len(packed) // 2], packed[len(packed) // 2 :]
    pixels = b"".join(chunk(b"IDAT", half) for half in halves)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + pixels + chunk(b"IEND", b"")


def png_claiming(width: int, height: int) -> bytes:
    """Return a PNG file of a few bytes whose header claims a size."""
    return png_of(b"\0", width, height)


def pixel(image: Image.Image) -> Any:
    assert image.mode == "RGB"
    return image.getpixel((0, 0))


@pytest.mark.parametrize(
    "wrap",
    [str, Path, Path.read_bytes, lambda path: bytearray(path.read_bytes()), Image.open, np.array],
    ids=["text", "path", "bytes", "bytearray", "image", "array"],
)
def test_load_image_from_each_kind_of_source_gives_the_pixels(
    tmp_path: Path, wrap: Callable[..., Any]
) -> None:
    path = tmp_path / "straße.png"
    path.write_bytes(encoded(Image.fromarray(UPRIGHT)))
    loaded = load_image(UPRIGHT if wrap is np.array else wrap(path))
    assert loaded.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(loaded), UPRIGHT)


# How a viewer must turn the stored pixels, by EXIF's definition of each value.
TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_load_image_with_exif_orientation_is_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(UPRIGHT), exif=exif.tobytes())
    loaded = load_image(data)
    np.testing.assert_array_equal(np.asarray(loaded), TURNS[orientation](UPRIGHT))
    np.testing.assert_array_equal(np.asarray(load_image(loaded)), np.asarray(loaded), "turned twice")


def test_load_image_exif_orientation_of_a_jpeg_photo_swaps_its_sides() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert load_image(encoded(photo(20, 30), "JPEG", exif=exif.tobytes())).size == (20, 30)


@pytest.mark.parametrize("exif", [b"Exif\0\0not a TIFF file", b"Exif\0\0II*\0\xff\xff\xff\xff", b"\0"])
def test_load_image_broken_exif_is_ignored(exif: bytes) -> None:
    np.testing.assert_array_equal(
        np.asarray(load_image(encoded(Image.fromarray(UPRIGHT), exif=exif))), UPRIGHT
    )


def palette_image(transparency: int | None) -> bytes:
    image = Image.new("P", (1, 1), 1)
    image.putpalette([*RED, *GREEN])
    options = {} if transparency is None else {"transparency": transparency}
    return encoded(image, "PNG", **options)


def gif_of_two_frames() -> bytes:
    frames = [Image.new("RGB", (4, 4), color) for color in (RED, BLUE)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def as_array(values: Any, dtype: Any) -> Image.Image:
    return Image.fromarray(np.array([[values]], dtype))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (Image.new("RGBA", (1, 1), (0, 0, 0, 51)), (204, 204, 204)),  # a fifth of black on white
        (encoded(Image.new("RGBA", (1, 1), (9, 9, 9, 0))), WHITE),
        (Image.new("LA", (1, 1), (0, 0)), WHITE),
        (palette_image(None), GREEN),
        (palette_image(0), GREEN),
        (palette_image(1), WHITE),
        (encoded(Image.new("RGB", (1, 1), RED), transparency=RED), WHITE),
        (Image.new("L", (1, 1), 77), (77, 77, 77)),
        (Image.new("1", (1, 1), 1), WHITE),
        (encoded(Image.new("CMYK", (1, 1), (0, 0, 0, 0)), "TIFF"), WHITE),
        (encoded(Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "TIFF"), RED),
        (encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 255)), "JPEG"), BLACK),
        (Image.new("YCbCr", (1, 1), (128, 128, 128)), GREY),
        (Image.new("HSV", (1, 1), (0, 255, 255)), RED),
        (encoded(as_array(65535, np.uint16)), WHITE),
        (encoded(as_array(257 * 7, np.uint16)), (7, 7, 7)),
        (encoded(as_array(129, np.uint16)), (1, 1, 1)),  # 129 / 257 rounds up
        (encoded(as_array(128, np.uint16)), BLACK),
        (encoded(as_array(257 * 7, np.uint16), "TIFF"), (7, 7, 7)),
        (as_array(257 * 7, np.int32), (7, 7, 7)),
        (gif_of_two_frames(), RED),
        (np.full((1, 1), 5, np.uint8), (5, 5, 5)),
        (np.full((1, 1, 1), 5, np.uint8), (5, 5, 5)),
        (np.array([[[1, 2, 3]]], np.uint8), (1, 2, 3)),
        (np.array([[[0, 0, 0, 51]]], np.uint8), (204, 204, 204)),
        (np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)[:, ::-1], (4, 5, 6)),
    ],
    ids=[
        *("rgba", "rgba-clear", "grey-alpha", "palette", "palette-other-clear", "palette-clear", "rgb-key"),
        *("grey", "one-bit", "cmyk-white", "cmyk-red", "cmyk-jpeg", "ycbcr", "hsv", "16-bit-white", "16-bit"),
        *("16-bit-up", "16-bit-down", "16-bit-tiff", "32-bit-of-16", "animation", "array-hw", "array-hw1"),
        *("array-rgb", "array-rgba", "array-strided"),
    ],
)
def test_load_image_of_each_mode_gives_the_rgb_that_is_seen(source: Any, expected: tuple[int, ...]) -> None:
    assert pixel(load_image(source)) == expected


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_load_image_of_an_image_leaves_it_as_it_was(mode: str) -> None:
    image = Image.fromarray(UPRIGHT).convert(mode)
    image.getexif()[0x0112] = 6
    before, info = image.tobytes(), dict(image.info)
    assert load_image(image).size == (2, 3)
    assert (image.mode, image.size, image.tobytes(), image.info) == (mode, (3, 2), before, info)


def test_load_image_of_several_megabytes_gives_all_pixels() -> None:
    data = encoded(photo(1500, 2500), "BMP")
    assert len(data) > 10_000_000
    np.testing.assert_array_equal(np.asarray(load_image(data)), np.asarray(photo(1500, 2500)))


@pytest.mark.parametrize("side", [10_000, 60_000], ids=["pillow-warns", "pillow-refuses"])
@pytest.mark.parametrize("warned", ["error", "ignore"])
def test_load_image_decompression_bomb_is_an_error(side: int, warned: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter(warned)
        with pytest.raises(ImageError, match=r"image: too large .*MAX_IMAGE_PIXELS"):
            load_image(png_claiming(side, side))


def test_load_image_pixel_limit_of_a_call_is_judged_before_decoding() -> None:
    content = encoded(photo(4, 5))
    assert load_image(content, max_pixels=20).size == (5, 4)
    with pytest.raises(ImageError, match=r"too large \(5x4, more than 19 pixels\)$"):
        load_image(content, max_pixels=19)
    with pytest.raises(ImageError, match=r"too large \(9000x9000, more than 50,000,000 pixels\)$"):
        load_image(png_claiming(9000, 9000), max_pixels=50_000_000)


def test_load_image_of_a_format_that_is_left_out_is_an_error() -> None:
    gif = encoded(photo(2, 2), "GIF")
    assert load_image(gif, formats=["PNG", "GIF"]).size == (2, 2)
    with pytest.raises(ImageError, match=r"not an image, or not of the formats PNG, JPEG$"):
        load_image(gif, formats=["PNG", "JPEG"])


def test_load_image_pixel_limit_is_pillows_own(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.new("RGB", (10, 10))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 99)
    with pytest.raises(ImageError, match=r"too large \(10x10, more than 99 pixels\)"):
        load_image(image)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert load_image(image).size == (10, 10)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", "^image: not an image, or not of a format that Pillow reads$"),
        (b"<svg></svg>", "^image: not an image"),
        (Image.new("RGB", (0, 5)), "^image: expected at least one pixel, got 0x5$"),
        (
            np.zeros((0, 5, 3), np.uint8),
            r"^image: expected at least one pixel, got an array of shape \(0, 5, 3\)",
        ),
        (np.zeros((4, 4, 3), np.float32), r"^image: expected a uint8 array .* got float32 \(4, 4, 3\)$"),
        (np.zeros((3, 4, 4), np.uint8)[..., :2], r"got uint8 \(3, 4, 2\)$"),
        (np.zeros((1, 4, 4, 3), np.uint8), r"got uint8 \(1, 4, 4, 3\)$"),
        (np.zeros(4, np.uint8), r"got uint8 \(4,\)$"),
        (Image.new("F", (1, 1)), "^image: expected 8 or 16 bits a channel, got 32-bit floats"),
        (as_array(70000, np.int32), r"expected grey values of 16 bits, 0..65535, got 70000..70000"),
        (as_array(-1, np.int32), r"got -1..-1"),
        (0, "^image: expected a path, bytes, a PIL image or an array of uint8, got int$"),
        (None, "got NoneType$"),
    ],
    ids=[
        *(
            "empty",
            "svg",
            "zero-size",
            "array-empty",
            "array-float",
            "array-2-channels",
            "array-batch",
            "array-1d",
        ),
        *("float", "too-bright", "negative", "number", "none"),
    ],
)
def test_load_image_bad_source_is_an_error_that_says_what_is_wrong(source: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        load_image(source)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.png", None, "No such file"),
        ("folder", "", "directory|denied"),
        ("notes.png", b"just text", "not an image"),
        ("cut.png", encoded(photo(50, 50))[:3000], "cannot be decoded"),
        ("cut.jpg", encoded(photo(50, 50), "JPEG")[:1000], "cannot be decoded .*truncated"),
    ],
    ids=["missing", "folder", "text", "cut-png", "cut-jpeg"],
)
def test_load_image_unreadable_file_is_an_error_that_names_its_path(
    tmp_path: Path, name: str, content: Any, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.mkdir() if content == "" else path.write_bytes(content)
    with pytest.raises(ImageError, match=message) as caught:
        load_image(path)
    assert str(caught.value).startswith(f"image {str(path)!r}: ")


# Options, bytes of a row with its filter, and of all rows of a picture of 8 x 8 pixels. Adam7's passes are of
# 1x1, 1x1, 2x1, 2x2, 4x2, 4x4 and 8x4 pixels.
PNG_KINDS = {
    "grey": ({"color": 0}, 9, 72),
    "grey of 16 bits": ({"color": 0, "depth": 16}, 17, 136),
    "rgb": ({"color": 2}, 25, 200),
    "palette of four bits": ({"color": 3, "depth": 4}, 5, 40),
    "grey and alpha": ({"color": 4}, 17, 136),
    "rgba": ({"color": 6}, 33, 264),
    "interlaced grey": ({"color": 0, "interlaced": True}, 9, 2 + 2 + 3 + 2 * 3 + 2 * 5 + 4 * 5 + 4 * 9),
    "interlaced rgb": ({"color": 2, "interlaced": True}, 25, 4 + 4 + 7 + 2 * 7 + 2 * 13 + 4 * 13 + 4 * 25),
}


@pytest.mark.parametrize("kind", PNG_KINDS)
@pytest.mark.parametrize("wrap", [Path, Path.read_bytes, Image.open], ids=["path", "bytes", "image"])
def test_load_image_png_whose_data_ends_early_is_an_error(
    kind: str, wrap: Callable[[Path], Any], tmp_path: Path
) -> None:
    options, row, length = PNG_KINDS[kind]
    path = tmp_path / "a.png"
    path.write_bytes(png_of(bytes(length), 8, 8, **options))
    assert load_image(wrap(path)).size == (8, 8), "black to its last row"
    for missing in (1, 2, 3):
        path.write_bytes(png_of(bytes(length - missing * row), 8, 8, **options))
        with pytest.raises(ImageError, match="its pixels end before its last row"):
            load_image(wrap(path))


def test_load_image_black_png_of_many_rows_is_inflated_in_bounded_memory() -> None:
    files = [io.BytesIO(png_of(bytes(9000 * 3001 - missing), 1000, 9000)) for missing in (0, 1)]
    tracemalloc.start()
    assert [ends_early(file) for file in files] == [False, True]
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


CUT = {
    "png": ("PNG", {}),
    "jpeg": ("JPEG", {}),
    "progressive jpeg": ("JPEG", {"progressive": True}),
    "gif": ("GIF", {}),
    "webp": ("WEBP", {}),
    "lossless webp": ("WEBP", {"lossless": True}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "deflated tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "ppm": ("PPM", {}),
}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")
@pytest.mark.parametrize("kind", CUT)
def test_load_image_cut_anywhere_is_an_error_or_the_whole_image(kind: str) -> None:
    file_format, options = CUT[kind]
    data = encoded(photo(40, 40), file_format, **options)
    whole = np.asarray(load_image(data))
    errors = 0
    for length in range(0, len(data), max(1, len(data) // 60)):
        try:
            found = load_image(data[:length])
        except ImageError:
            errors += 1
        else:
            np.testing.assert_array_equal(np.asarray(found), whole)
    assert errors >= 55


def test_load_image_null_character_in_a_path_is_an_error() -> None:
    with pytest.raises(ImageError, match=r"a\\x00b"):
        load_image("a\0b")


def test_load_image_of_eps_is_an_error_before_anything_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import EpsImagePlugin

    def ghostscript(*args: object, **options: object) -> None:
        raise AssertionError("was run")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", ghostscript)
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(ImageError, match="EPS is a program"):
        load_image(content)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "ICO", "PPM"])
def test_load_image_of_broken_bytes_gives_an_image_or_an_image_error(file_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = encoded(photo(24, 24), file_format, **({"exif": exif} if file_format in ("JPEG", "TIFF") else {}))
    rng = np.random.default_rng(7)
    outcomes = set()
    for _ in range(150):
        data = np.frombuffer(whole, np.uint8).copy()
        # Headers are where the damage is: half of the hits lie in the first 64 bytes.
        reach = min(64, len(data)) if rng.random() < 0.5 else len(data)
        data[rng.integers(0, reach, 4)] = rng.integers(0, 256, 4)
        length = len(data) if rng.random() < 0.7 else int(rng.integers(0, len(data)))
        try:
            assert EncodedImage(data[:length].tobytes()).decoding_memory() > 0
            outcomes.add(load_image(data[:length].tobytes()).mode)
        except ImageError:
            outcomes.add("error")
    assert outcomes <= {"RGB", "error"}
    assert "error" in outcomes


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGBA", {}),
        ("LA", {}),
        ("L", {"transparency": 3}),
        ("RGB", {"transparency": (3, 3, 3)}),
        ("P", {"transparency": 3}),
        ("P", {}),
        ("1", {}),
        ("I;16", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "plain",
)
def test_load_image_in_bands_gives_the_pixels_of_the_whole(
    mode: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).integers(0, 8, (97, 31, 4), dtype=np.uint8) * 30 + 3
    image = Image.fromarray(pixels).convert("RGBA" if mode in ("RGBA", "LA") else "RGB")
    image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 255) if mode == "I;16" else image.convert(mode)
    data = encoded(image, "PNG", **options)
    whole = load_image(data)
    monkeypatch.setattr("postproc.images.loading.BAND_PIXELS", 10 * 31)
    np.testing.assert_array_equal(np.asarray(load_image(data)), np.asarray(whole))


@pytest.mark.parametrize("module", ["postproc.images", "postproc.images.drawing"])
def test_import_without_pillow_names_the_extra(module: str) -> None:
    code = f"import sys; sys.modules['PIL'] = None; import {module}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert f"ImportError: postproc.images needs Pillow: {install('images')}" in run.stderr


def test_import_of_transforms_does_not_load_pillow() -> None:
    code = "import sys, postproc.transforms; sys.exit('PIL' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
