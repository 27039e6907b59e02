"""COCO results, read by pycocotools."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from pycocotools.coco import COCO

from postproc.errors import ExportError
from postproc.exports import open_writer
from postproc.exports.coco import read_image_ids
from tests.exports.results import BOX_KINDS, IDS, IMAGES, SIZES, detections, images_of, made, pixels


def document() -> dict[str, Any]:
    images = [
        {"id": number, "file_name": name, "height": height, "width": width}
        for number, name, (height, width) in zip(IDS, IMAGES, SIZES, strict=True)
    ]
    _, found = made("standard")
    categories = [{"id": number, "name": str(number)} for number in found.outputs[0].table.ids.tolist()]
    return {"info": {}, "images": images, "categories": categories, "annotations": []}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
@pytest.mark.parametrize("kind", BOX_KINDS)
def test_coco_results_read_by_pycocotools_are_what_was_found(kind: str, tmp_path: Path) -> None:
    post, found = made(kind)
    path = tmp_path / "found.json"
    with open_writer("coco", path, post.spec) as writer:
        writer.check(IMAGES)
        for image in range(3):
            writer.write(IMAGES[image : image + 1], [SIZES[image]], found[image])
    assert json.loads(path.read_text()) == found.outputs[0].to_coco(IDS, SIZES)  # type: ignore[union-attr]
    truth = COCO()
    truth.dataset = document()
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        loaded = truth.loadRes(str(path))
    expected = detections(found)
    read = loaded.loadAnns(range(1, len(expected.labels) + 1))
    boxes = np.array([item["bbox"] for item in read])
    if kind != "yolov8_pose":  # of which pycocotools takes the box around the points
        assert_array_equal(np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]), pixels(expected))
    assert_array_equal([item["score"] for item in read], expected.scores.astype(float))
    assert_array_equal([item["category_id"] for item in read], expected.label_ids)
    assert_array_equal([item["image_id"] for item in read], np.array(IDS)[images_of(expected)])
    if kind == "yolov8_seg":
        masks = detections(found)[2].masks(SIZES[2])  # type: ignore[attr-defined]
        for item, mask in zip(read[::-1], masks[::-1], strict=False):
            assert_array_equal(loaded.annToMask(item), mask)


def test_coco_without_results_is_an_empty_list(tmp_path: Path) -> None:
    post, _ = made("standard")
    with open_writer("coco", tmp_path / "found.json", post.spec):
        pass
    assert json.loads((tmp_path / "found.json").read_text()) == []


def test_coco_image_ids_come_from_a_coco_file_by_path_or_name(tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text(
        json.dumps({"images": [{"id": 40, "file_name": "a.jpg"}, {"id": 2, "file_name": "x/b.jpg"}]})
    )
    ids = read_image_ids(tmp_path / "truth.json")
    post, found = made("standard")
    path = tmp_path / "found.json"
    with open_writer("coco", path, post.spec, image_ids=ids) as writer:
        writer.write(["photos/a.jpg", "x/b.jpg"], SIZES[:2], found[:2])
    assert {item["image_id"] for item in json.loads(path.read_text())} == {40, 2}


@pytest.mark.parametrize(
    ("images", "ids", "message"),
    [
        (
            ["cat.jpg"],
            None,
            "'cat.jpg': COCO knows images by ids, and this name is no number; give image_ids "
            r"\(--image-ids COCO\.json",
        ),
        (["a/7.jpg", "b/007.png"], None, "the same image id, 7; .*--image-ids"),
        (["7.jpg"], {"8.jpg": 8}, "image '7.jpg': no image id is given for it; .*--image-ids"),
        (["a/7.jpg", "b/7.jpg"], {"7.jpg": 1}, "have the same image id, 1$"),
        (["\u0663.jpg"], None, "this name is no number"),
    ],
    ids=["word", "same-number", "unknown", "same-name", "digit-of-another-script"],
)
def test_coco_check_tells_images_that_have_no_id_of_their_own(
    images: list[str], ids: dict[str, int] | None, message: str, tmp_path: Path
) -> None:
    post, _ = made("standard")
    writer = open_writer("coco", tmp_path / "found.json", post.spec, image_ids=ids)
    with pytest.raises(ExportError, match=message):
        writer.check(images)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"images": [{"id": 1}]}',
        '{"images": [{"id": "1", "file_name": "a"}]}',
        '{"images": [{"id": 1, "file_name": "a"}, {"id": 2, "file_name": "a"}]}',
    ],
    ids=["list", "no-json", "no-name", "text-id", "two-ids"],
)
def test_coco_image_ids_of_another_file_raise(text: str, tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text(text)
    with pytest.raises(ExportError, match=r"truth\.json: "):
        read_image_ids(tmp_path / "truth.json")


def test_coco_without_sizes_raises(tmp_path: Path) -> None:
    post, found = made("standard")
    with (
        pytest.raises(ExportError, match=r"size of image 'street/000000000007\.jpg' .*postproc dump"),
        open_writer("coco", tmp_path / "found.json", post.spec) as writer,
    ):
        writer.write(IMAGES, None, found)
