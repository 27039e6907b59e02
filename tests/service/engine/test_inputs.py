"""Inference inputs: what a request may hold, and the tensors and transforms that come of it."""

from __future__ import annotations

import asyncio
import base64
import gc
import gzip
import io
import struct
import threading
import time
import weakref
import zlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from postproc import PostProcessor
from postproc.demo import model_path, preprocessing_path, spec_path, version_path
from postproc.demo.pages import make_page
from postproc.images import Preprocessor
from postproc.images.loading import EncodedImage, Picture
from postproc.onnx_runner import OnnxRunner
from postproc.onnx_runner.session import CPU
from postproc.service.engine.inputs import InputReader, PreparedInputs
from postproc.service.errors import InputError
from postproc.service.settings import ServiceSettings

PLAIN = {"dimension_order": "NHWC", "target_size": "8x4", "data_type": "UINT8"}
ONE = Preprocessor({"inputs": [{"tensor_name": "a", "image": PLAIN}]})
TWO = Preprocessor({"inputs": [{"tensor_name": name, "image": PLAIN} for name in "ab"]})


def encoded(pixels: NDArray[np.uint8], file_format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, file_format, **options)
    return file.getvalue()


NOISE = np.random.default_rng(0).integers(0, 256, (4, 8, 3), dtype=np.uint8)
PNG = encoded(NOISE)
HEIC = bytes(3) + b"\x18ftypheic" + bytes(4) + b"mif1heic"
PLUSES = base64.b64encode(PNG).decode()
assert "+" in PLUSES


def fetched(url: str, field: str) -> bytes:
    assert (url, field) == ("https://example.com/a.png", "inputs[0].image.source")
    return PNG


def reader(**limits: Any) -> InputReader:
    settings = ServiceSettings(data=Path("unused"), **limits)
    return InputReader(settings, fetched, lambda stage: nullcontext())


def read(inputs: Any, preprocessor: Preprocessor = ONE, **limits: Any) -> PreparedInputs:
    made = reader(**limits)
    try:
        return asyncio.run(made.prepare("a", made.open(preprocessor, inputs)))
    finally:
        made.close()


def image(source: Any = PNG, **fields: Any) -> dict[str, Any]:
    return {"image": {"source": source, **fields}}


def box(xmin: Any = 0, ymin: Any = 0, xmax: Any = 1, ymax: Any = 1) -> dict[str, Any]:
    return {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax}


def points(*pairs: tuple[Any, Any]) -> list[dict[str, Any]]:
    return [{"x": x, "y": y} for x, y in pairs]


# --- sources


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(PNG, id="bytes"),
        pytest.param(base64.b64encode(PNG).decode(), id="base64"),
        pytest.param(base64.encodebytes(PNG).decode(), id="base64 in lines"),
        pytest.param(base64.encodebytes(PNG).decode().replace("\n", " "), id="base64 in lines of a form"),
        pytest.param("data:image/png;base64," + base64.b64encode(PNG).decode(), id="data URI"),
        pytest.param("DATA:;charset=x;BASE64," + base64.b64encode(PNG).decode(), id="data URI, odd"),
        pytest.param("https://example.com/a.png", id="URL"),
    ],
)
def test_read_source_of_each_kind_gives_the_same_tensor(source: Any) -> None:
    prepared = read([image(source, crop_uniform_background="False")])
    np.testing.assert_array_equal(prepared.tensors["a"], NOISE[None])
    assert prepared.nbytes == NOISE.nbytes
    assert prepared.transform.image_size == (4, 8)


def test_read_several_images_feeds_them_in_order() -> None:
    other = encoded(NOISE[::-1].copy())
    prepared = read([image(), image(other, bbox=box(xmax=0.5))], TWO)
    np.testing.assert_array_equal(prepared.tensors["a"], NOISE[None])
    assert prepared.transform.offset == (0, 0)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_read_another_number_of_inputs_names_both(count: int) -> None:
    with pytest.raises(InputError, match=rf"^inputs: expected 2, .*, got {count}$") as raised:
        read([image()] * count, TWO)
    assert (raised.value.status, raised.value.field) == (400, "inputs")


@pytest.mark.parametrize(
    ("item", "field", "message"),
    [
        pytest.param(3, "inputs[0]", "expected an object with an image", id="number"),
        pytest.param({}, "inputs[0].image", "missing", id="nothing"),
        pytest.param({"image": "x"}, "inputs[0].image", "object with a source", id="text"),
        pytest.param({"video": {"source": PNG}}, "inputs[0].video", "videos are not supported", id="video"),
        pytest.param({**image(), "text": 1}, "inputs[0].text", "unknown field", id="kind"),
        pytest.param(image(depth=1), "inputs[0].image.depth", "unknown field", id="field"),
        pytest.param({"image": {}}, "inputs[0].image.source", "missing", id="no source"),
        pytest.param(image(7), "inputs[0].image.source", "got int", id="number as source"),
        pytest.param(image([PNG]), "inputs[0].image.source", "got list", id="list as source"),
        pytest.param(image(b""), "inputs[0].image.source", "got nothing", id="empty"),
        pytest.param(image("/etc/passwd"), "inputs[0].image.source", "expected a URL", id="path"),
        pytest.param(image("ftp://a/b"), "inputs[0].image.source", "expected a URL", id="ftp"),
        pytest.param(image("file:///etc/passwd"), "inputs[0].image.source", "expected a URL", id="file URL"),
        pytest.param(image("AAA"), "inputs[0].image.source", "or base64", id="padding"),
        pytest.param(image("\xe9AAA"), "inputs[0].image.source", "or base64", id="not ASCII"),
        pytest.param(image("data:image/png,abc"), "inputs[0].image.source", "with base64", id="percent"),
        pytest.param(image("data:;base64,?"), "inputs[0].image.source", "behind the comma", id="data URI"),
        pytest.param(image(HEIC), "inputs[0].image.source", "HEIC, .*convert it to JPEG", id="HEIC"),
        pytest.param(image(gzip.compress(PNG)), "inputs[0].image.source", "compressed with gzip", id="gzip"),
        pytest.param(
            image(PLUSES.replace("+", " ")), "inputs[0].image.source", "send '\\+' as %2B", id="form"
        ),
        pytest.param(
            image("data:image/png;base64," + PLUSES.replace("+", " ")),
            "inputs[0].image.source",
            "base64 behind the comma .*; every '\\+' of it seems to have become a space",
            id="form of a data URI",
        ),
        pytest.param(image(b"GIF89a"), "inputs[0].image.source", "(?i)image", id="broken"),
        pytest.param(image(PNG[:-30]), "inputs[0].image.source", "cannot be decoded", id="truncated"),
        pytest.param(
            image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
            "inputs[0].image.source",
            "not an image, or not of the formats JPEG, PNG, WEBP, BMP, GIF, TIFF",
            id="EPS",
        ),
        pytest.param(
            image(b"\xff\xd8" + b"\xff\xda" * 101), "inputs[0].image.source", "100 scans", id="scan bomb"
        ),
    ],
)
def test_read_wrong_input_names_the_field(item: Any, field: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        read([item])
    assert raised.value.field == field
    assert str(raised.value).startswith(field)


@pytest.mark.parametrize("value", ["inputs", {"image": {}}, None, b"x"])
def test_read_inputs_that_are_no_list_is_an_error(value: Any) -> None:
    with pytest.raises(InputError, match=r"^inputs: expected a list of 1"):
        read(value)


# --- limits


def png(width: int, height: int, *chunks: tuple[bytes, bytes], data: bytes = b"\0") -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = b"".join(chunk(*item) for item in chunks) + chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")


def test_read_image_of_too_many_pixels_is_refused_before_decoding() -> None:
    assert read([image()], max_image_pixels=32).transform.image_size == (4, 8)
    for source, limit in ((PNG, 31), (png(30_000, 30_000), 50_000_000)):
        with pytest.raises(InputError, match=rf"too large .*{limit:,} pixels|too large") as raised:
            read([image(source)], max_image_pixels=limit)
        assert raised.value.field == "inputs[0].image.source"


def test_read_image_of_too_many_bytes_is_refused() -> None:
    with pytest.raises(InputError, match=rf"at most {len(PNG) - 1} bytes"):
        read([image(PNG)], max_body=len(PNG) - 1)


def test_read_png_whose_text_is_a_bomb_is_refused() -> None:
    bomb = b"key\0\0" + zlib.compress(b"a" * (PngImagePlugin.MAX_TEXT_CHUNK + 1))
    with pytest.raises(InputError, match="cannot be decoded"):
        read([image(png(2, 2, (b"zTXt", bomb), data=b"\0" * 14))])


def test_read_animation_takes_its_first_frame() -> None:
    frames = [Image.fromarray(np.full((4, 8, 3), shade, np.uint8)) for shade in (0, 100, 200)]
    for file_format in ("GIF", "PNG", "WEBP"):
        file = io.BytesIO()
        frames[0].save(file, file_format, save_all=True, append_images=frames[1:])
        assert read([image(file.getvalue())]).tensors["a"].max() == 0


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_read_each_format_is_taken(file_format: str) -> None:
    prepared = read([image(encoded(np.full((4, 8, 3), 200, np.uint8), file_format))])
    assert np.abs(prepared.tensors["a"].astype(int) - 200).max() <= 2


# --- boxes and polygons


@pytest.mark.parametrize(
    ("bbox", "rows", "columns"),
    [
        pytest.param(box(0.25, 0, 0.5, 1), slice(0, 4), slice(2, 4), id="columns"),
        pytest.param(box("0.25", "0", "0.5", "1e0"), slice(0, 4), slice(2, 4), id="texts"),
        pytest.param(box(0.26, 0.3, 0.49, 0.45), slice(1, 2), slice(2, 4), id="grown to whole pixels"),
        pytest.param(box(0.999, 0.999, 1, 1), slice(3, 4), slice(7, 8), id="last pixel"),
        pytest.param(box(0.5, 0.5, 0.5000001, 0.50000001), slice(2, 3), slice(4, 5), id="tiny"),
    ],
)
def test_read_bbox_feeds_the_pixels_that_it_touches(bbox: Any, rows: slice, columns: slice) -> None:
    prepared = read([image(bbox=bbox)])
    expected = read([image(encoded(np.ascontiguousarray(NOISE[rows, columns])))])
    np.testing.assert_array_equal(prepared.tensors["a"], expected.tensors["a"])
    transform = prepared.transform
    assert transform.image_size == (4, 8)
    assert transform.scale == expected.transform.scale
    left_top = [transform.scale[0] * columns.start + transform.offset[0]]
    left_top.append(transform.scale[1] * rows.start + transform.offset[1])
    np.testing.assert_allclose(left_top, 0, atol=1e-9)


def test_read_bbox_of_tenths_has_no_pixel_too_many() -> None:
    wide = encoded(np.zeros((1, 100, 3), np.uint8))
    assert 0.29 * 100 < 29
    assert 0.55 * 100 > 55
    transform = read([image(wide, bbox=box(0.29, 0, 0.55, 1))]).transform
    np.testing.assert_allclose((transform.scale[0], transform.offset[0]), (8 / 26, -29 * 8 / 26))


def test_read_polygon_feeds_its_box_and_whitens_the_rest_only_if_asked() -> None:
    dark = encoded(np.zeros((40, 80, 3), np.uint8))
    triangle = points((0.5, 0.5), (1, 0.5), ("0.5", "1"))
    plain, uniform = (
        read([image(dark, polygon=triangle, crop_uniform_background=flag)]) for flag in (False, "True")
    )
    assert plain.tensors["a"].max() == 0
    assert plain.transform == uniform.transform == read([image(dark, bbox=box(0.5, 0.5))]).transform
    corner, opposite = uniform.tensors["a"][0, 0, 0], uniform.tensors["a"][0, -1, -1]
    assert corner.tolist() == [0, 0, 0]
    assert opposite.tolist() == [255, 255, 255]
    assert np.mean(uniform.tensors["a"]) == pytest.approx(127.5, abs=10)


def test_read_bbox_refers_to_the_upright_image() -> None:
    pixels = np.zeros((8, 4, 3), np.uint8)  # as stored: 4 wide; upright 8 wide, turned clockwise
    pixels[6:] = 255  # the bottom becomes the left
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(pixels, "PNG", exif=exif)
    prepared = read([image(turned, bbox=box(xmax=0.25))])
    assert prepared.transform.image_size == (4, 8)
    assert prepared.tensors["a"].min() == 255


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        pytest.param({"bbox": [0, 0, 1, 1]}, "bbox", "object with xmin", id="list"),
        pytest.param({"bbox": {"xmin": 0}}, "bbox.ymin", "missing", id="missing"),
        pytest.param({"bbox": {**box(), "w": 1}}, "bbox.w", "unknown", id="unknown"),
        pytest.param({"bbox": box(xmin=True)}, "bbox.xmin", "got true or false", id="bool"),
        pytest.param({"bbox": box(xmin="True")}, "bbox.xmin", "text 'True'", id="bool as text"),
        pytest.param({"bbox": box(xmin=float("nan"))}, "bbox.xmin", "got nan", id="nan"),
        pytest.param({"bbox": box(xmin="nan")}, "bbox.xmin", "text 'nan'", id="nan as text"),
        pytest.param({"bbox": box(xmax="1_0")}, "bbox.xmax", "text '1_0'", id="underscore"),
        pytest.param({"bbox": box(xmax="1e999")}, "bbox.xmax", "got inf", id="infinite text"),
        pytest.param({"bbox": box(ymax=b"12345678")}, "bbox.ymax", "got 8 bytes", id="bytes"),
        pytest.param({"bbox": box(ymax=None)}, "bbox.ymax", "got null", id="null"),
        pytest.param({"bbox": box(ymin=-0.1)}, "bbox.ymin", "got -0.1", id="negative"),
        pytest.param({"bbox": box(ymax=1.01)}, "bbox.ymax", "got 1.01", id="above 1"),
        pytest.param({"bbox": box(xmin=0.5, xmax=0.5)}, "bbox.xmax", "more than xmin", id="no width"),
        pytest.param({"bbox": box(ymin=0.6, ymax=0.5)}, "bbox.ymax", "more than ymin", id="turned"),
        pytest.param(
            {"bbox": box(), "polygon": points((0, 0), (1, 0), (1, 1))}, "polygon", "got both", id="both"
        ),
        pytest.param({"polygon": box()}, "polygon", "list of points", id="polygon object"),
        pytest.param({"polygon": points((0, 0), (1, 1))}, "polygon", "got 2", id="two points"),
        pytest.param({"polygon": points((0, 0)) * 1001}, "polygon", "got 1001", id="many points"),
        pytest.param({"polygon": [0, 0, 0]}, "polygon[0]", "object with x, y", id="numbers"),
        pytest.param(
            {"polygon": points((0, 0), (1, 0), (1, 2))}, "polygon[2].y", "from 0 to 1", id="outside"
        ),
        pytest.param(
            {"polygon": points((0, 0.5), (1, 0.5), (0.5, 0.5))}, "polygon", "one line", id="one line"
        ),
        pytest.param({"crop_uniform_background": "maybe"}, "crop_uniform_background", "true", id="flag"),
        pytest.param({"crop_uniform_background": 1}, "crop_uniform_background", "true", id="one"),
    ],
)
def test_read_wrong_region_names_the_field(fields: Any, field: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        read([image(**fields)])
    assert raised.value.field == f"inputs[0].image.{field}"


@pytest.fixture(scope="module")
def runner() -> OnnxRunner:
    return OnnxRunner(model_path("yolo"), PostProcessor(spec_path("yolo"), version_path("yolo")), [CPU])


REGIONS = {
    # Of the page: the right 3/4 and lower 3/4, so that a crop of 480x360 is seen at 3/4 of the scale.
    "bbox": {"bbox": box(0.25, 0.25)},
    "polygon": {"polygon": points((0.25, 0.25), (1, 0.25), (1, 1), (0.25, 1))},
    "uniform": {
        "polygon": points((0.25, 0.25), (1, 0.25), (1, 1), (0.25, 1)),
        "crop_uniform_background": True,
    },
}


@pytest.mark.parametrize("fields", REGIONS.values(), ids=REGIONS)
def test_boxes_of_a_region_are_relative_to_the_original_image(fields: Any, runner: OnnxRunner) -> None:
    page = make_page(3)
    preprocessor = Preprocessor(preprocessing_path("yolo"))
    source = encoded(page.image)

    def detect(**region: Any) -> Any:
        prepared = read([image(source, **region)], preprocessor)
        found = runner(prepared.tensors, transforms=[prepared.transform]).outputs[0][0]
        return found[found.predicted]

    whole, part = detect(), detect(**fields)
    size = np.array([640, 480, 640, 480])
    truth = page.boxes / size
    inside = (truth[:, :2] > 0.27).all(axis=1)
    assert inside.sum() >= 4
    matched = 0
    for found, label in zip(truth[inside], page.labels[inside], strict=True):
        both = []
        for result in (whole, part):
            same = result.boxes[result.labels == label]
            distances = np.abs(same - found).max(axis=1)
            both.append(same[distances.argmin()] if len(same) and distances.min() < 0.03 else None)
        if both[0] is not None and both[1] is not None:
            matched += 1
            np.testing.assert_allclose(both[0] * size, both[1] * size, atol=8)
    assert matched >= 0.7 * inside.sum()


# --- memory of decoding


async def until(is_there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_there():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


class Decoding:
    """Holds images that are being decoded until they are let go, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.now = self.most = 0
        self._lock = threading.Lock()
        decode = EncodedImage.decode

        def held(encoded: EncodedImage, reduction: int = 1) -> Picture:
            with self._lock:
                self.now += 1
                self.most = max(self.most, self.now)
            assert self.go.wait(20)
            try:
                return decode(encoded, reduction)
            finally:
                with self._lock:
                    self.now -= 1

        monkeypatch.setattr(EncodedImage, "decode", held)


@pytest.fixture
def decoding(monkeypatch: pytest.MonkeyPatch) -> Iterator[Decoding]:
    monkeypatch.setattr("postproc.service.engine.inputs.available_cores", lambda: 4)
    held = Decoding(monkeypatch)
    yield held
    held.go.set()


@pytest.mark.parametrize(
    ("budget", "let_in", "most"),
    [
        pytest.param(1 << 30, 8, 4, id="as many as there are cores, and as many more to go on with"),
        pytest.param(5 * 24_000_000, 2, 2, id="as many as there is memory for"),
        pytest.param(1, 1, 1, id="one that is larger than all, alone"),
    ],
)
def test_images_are_decoded_within_the_memory_and_those_that_wait_take_no_thread(
    budget: int, let_in: int, most: int, decoding: Decoding
) -> None:
    made = reader(decode_memory=budget)
    large = encoded(np.zeros((1500, 2000, 3), np.uint8))
    [(_, size)] = made.open(ONE, [image(large)]).sizes(False)
    assert 24_000_000 < size < 36_000_000  # of two images of 4 bytes a pixel, since it might be turned

    async def many() -> None:
        before = threading.active_count()
        tasks = [asyncio.create_task(made.prepare("a", made.open(ONE, [image(large)]))) for _ in range(12)]
        await until(lambda: decoding.now == most and made._memory.waiting == 12 - let_in)
        assert made._memory.used <= max(budget, 1)
        assert threading.active_count() - before <= most
        decoding.go.set()
        await asyncio.gather(*tasks)
        assert made._memory.used == 0

    asyncio.run(many())
    made.close()
    assert decoding.most == most


def test_next_image_is_that_of_the_tenant_that_decodes_least(decoding: Decoding) -> None:
    made, order = reader(decode_memory=1), []

    async def one(tenant: str) -> None:
        await made.prepare(tenant, made.open(ONE, [image()]))
        order.append(tenant)

    async def many() -> None:
        tasks = [asyncio.create_task(one(tenant)) for tenant in "aaaaaab"]
        await until(lambda: decoding.now == 1 and made._memory.waiting == 6)
        decoding.go.set()
        await asyncio.gather(*tasks)

    asyncio.run(many())
    made.close()
    assert order.index("b") == 1


def test_images_of_a_request_are_held_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"i{row}" for row in range(5)]
    five = Preprocessor({"inputs": [{"tensor_name": name, "image": PLAIN} for name in names]})
    held: list[weakref.ref[Image.Image]] = []
    decode = EncodedImage.decode

    def counted(one: EncodedImage, reduction: int = 1) -> Picture:
        gc.collect()
        assert not any(image() is not None for image in held), "the one before is still there"
        picture = decode(one, reduction)
        held.append(weakref.ref(picture.image))
        return picture

    monkeypatch.setattr(EncodedImage, "decode", counted)
    region = {"bbox": box(0.25, 0.25)}
    assert len(read([image(), image(**region), image(), image(**region), image()], five).tensors) == 5
    made, large = reader(), encoded(np.zeros((600, 800, 3), np.uint8))
    alone = made.open(ONE, [image(large)]).sizes(False)
    assert made.open(five, [image(large)] * 5).sizes(False) == alone * 5


def test_images_of_a_request_take_turns_with_those_of_others(decoding: Decoding) -> None:
    five = Preprocessor({"inputs": [{"tensor_name": f"i{row}", "image": PLAIN} for row in range(5)]})
    made, counts = reader(decode_memory=1), {}
    decoding.go.set()
    prepare = made._tensor
    done: list[int] = []

    def counted(*arguments: Any) -> Any:
        done.append(1)
        return prepare(*arguments)

    made._tensor = counted  # type: ignore[method-assign]

    async def one(tenant: str, opened: Any) -> None:
        await made.prepare(tenant, opened)
        counts[tenant] = len(done)

    async def both() -> None:
        await asyncio.gather(one("a", made.open(five, [image()] * 5)), one("b", made.open(ONE, [image()])))

    asyncio.run(both())
    made.close()
    assert (made._memory.used, made._tensors.used) == (0, 0)
    assert counts["b"] <= 2
    assert counts["a"] == 6


def test_url_is_fetched_without_memory_to_decode_it(decoding: Decoding) -> None:
    fetching = threading.Event()

    def fetch(url: str, field: str) -> bytes:
        assert fetching.wait(20)
        return PNG

    decoding.go.set()
    made = InputReader(
        ServiceSettings(data=Path("unused"), decode_memory=1), fetch, lambda stage: nullcontext()
    )

    async def both() -> None:
        slow = [
            asyncio.create_task(made.prepare("a", made.open(ONE, [image("http://a/b")]))) for _ in range(20)
        ]
        await until(lambda: made._fetching.used == 12)  # and leaves some to others
        await made.prepare("a", made.open(ONE, [image()]))
        fetching.set()
        await made.prepare("b", made.open(ONE, [image("http://a/b")]))
        await asyncio.gather(*slow)

    asyncio.run(both())
    made.close()


def test_memory_is_held_until_a_decoder_ends_whose_request_was_cancelled(decoding: Decoding) -> None:
    made = reader()

    async def cancelled() -> None:
        task = asyncio.create_task(made.prepare("a", made.open(ONE, [image()])))
        await until(lambda: decoding.now == 1)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        assert made._memory.used > 0
        decoding.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (made._memory.used, decoding.now) == (0, 0)

    asyncio.run(cancelled())
    made.close()


# --- reduced decoding


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"bbox": box(0.3, 0.1, 0.8, 0.9)},
        {"polygon": points((0.3, 0.1), (0.8, 0.2), (0.7, 0.9)), "crop_uniform_background": True},
    ],
    ids=["whole", "bbox", "polygon"],
)
@pytest.mark.parametrize("kind", ["SQUASH", "CROP", "FILL", "NETWORK"])
def test_reduced_jpeg_is_fed_at_the_same_place(kind: str, fields: Any, orientation: int) -> None:
    rows, columns = np.mgrid[0:653, 0:901]
    waves = [np.abs(where * 4 % 510 - 255) for where in (columns, rows, columns + rows)]
    pixels = np.stack(waves, axis=-1).astype(np.uint8)  # a pixel further, it is 4 more or less
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = image(encoded(pixels, "JPEG", quality=98, subsampling=0, exif=exif.tobytes()), **fields)
    document = {"dimension_order": "NHWC", "resize_type": kind, "target_size": "48x32", "data_type": "UINT8"}
    preprocessor = Preprocessor({"inputs": [{"tensor_name": "a", "image": document}]})
    made = reader(reduced_jpeg=True)
    opened = made.open(preprocessor, [source])
    assert opened.images[0].reduction(preprocessor.image_tensors[0]) in (2, 4, 8)
    assert opened.sizes(True)[0][1] < opened.sizes(False)[0][1]
    reduced, whole = asyncio.run(made.prepare("a", opened)), read([source], preprocessor)
    made.close()
    assert reduced.transform == whole.transform
    distances = np.abs(reduced.tensors["a"].astype(int) - whole.tensors["a"])
    assert np.median(distances) <= 1
