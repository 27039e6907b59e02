"""Pascal VOC and YOLO text, read by supervision and by the rules of the formats."""

from __future__ import annotations

import warnings
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from postproc import Detections
from postproc.exports import open_writer
from postproc.exports.voc import to_voc
from postproc.exports.yolo import one_ring, to_yolo
from postproc.results.labels import LabelTable
from tests.exports.results import BOX_KINDS, IMAGES, SIZES, detections, made
from tests.pipelines import LABELS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # supervision warns where OpenCV is missing
    import supervision

HOSTILE = [
    *("../../up", "a\nb", "<name>&\"'</name>", "\x00\x07 bell", "\ud800", "tab\tend\r", "\u2028line\x85"),
    "日本 🦉",
]


def write_images(folder: Path) -> list[Path]:
    folder.mkdir()
    paths = [folder / Path(name).name for name in IMAGES]
    for path, (height, width) in zip(paths, SIZES, strict=True):
        Image.new("RGB", (width, height)).save(path)
    return paths


def box(*corners: float, name: str = "cat", score: float = 0.75, predicted: bool = True) -> Detections:
    """Give the result of an image with one box."""
    return Detections(
        np.array([score], np.float32),
        np.zeros(1, np.int64),
        np.array([predicted]),
        np.array([0, 1]),
        LabelTable(np.array([5]), (name,), (0.5,)),
        np.array([corners], np.float32),
        np.zeros(1, np.int64),
        is_cut=np.array([False]),
    )


def voc_box(document: str) -> list[int]:
    found = ET.fromstring(document).find("object/bndbox")
    assert found is not None
    return [int(found.findtext(side) or "") for side in ("xmin", "ymin", "xmax", "ymax")]


@pytest.mark.parametrize("kind", BOX_KINDS)
def test_voc_read_by_supervision_is_what_was_found_to_half_a_pixel(kind: str, tmp_path: Path) -> None:
    post, found = made(kind)
    write_images(tmp_path / "images")
    with open_writer("voc", tmp_path / "voc", post.spec) as writer:
        writer.check(IMAGES)
        writer.write(IMAGES, SIZES, found)
    data = supervision.DetectionDataset.from_pascal_voc(
        str(tmp_path / "images"), str(tmp_path / "voc"), show_progress=False
    )
    for row, (path, size) in enumerate(zip(IMAGES, SIZES, strict=True)):
        expected = detections(found)[row]
        read = data.annotations[str(tmp_path / "images" / Path(path).name)]
        assert [data.classes[label] for label in read.class_id] == expected.label_names
        assert np.abs(read.xyxy - expected.to_pixels(size)).max() <= (1 if kind != "standard" else 0.5001)


@pytest.mark.parametrize(
    ("corners", "expected"),
    [
        ((0, 0, 1, 1), [1, 1, 20, 10]),
        ((0.5, 0.5, 1, 1), [11, 6, 20, 10]),
        ((0.1, 0.1, 0.15, 0.2), [3, 2, 3, 2]),  # the third pixel of the second row
        ((0.501, 0.501, 0.502, 0.502), [11, 6, 11, 6]),
        ((0.999, 0.999, 1, 1), [20, 10, 20, 10]),
    ],
    ids=["whole", "quarter", "one-pixel", "less-than-a-pixel", "at-the-edge"],
)
def test_voc_counts_pixels_from_1_and_the_last_is_inside(corners: Any, expected: list[int]) -> None:
    assert voc_box(to_voc(box(*corners), "a.jpg", (10, 20))) == expected


def test_voc_says_what_is_known_of_image_and_object() -> None:
    root = ET.fromstring(to_voc(box(0, 0, 1, 1), "photos/street/a.jpg", (10, 20)))
    told = {path: root.findtext(path) for path in ("folder", "filename", "size/width", "size/height")}
    assert told == {"folder": "street", "filename": "a.jpg", "size/width": "20", "size/height": "10"}
    told = {name: root.findtext(f"object/{name}") for name in ("name", "difficult", "truncated", "score")}
    assert told == {"name": "cat", "difficult": "0", "truncated": "0", "score": "0.75"}


def test_voc_writes_discarded_as_difficult_when_asked_to() -> None:
    discarded = box(0, 0, 1, 1, predicted=False)
    assert ET.fromstring(to_voc(discarded, "a.jpg", (10, 20))).find("object") is None
    root = ET.fromstring(to_voc(discarded, "a.jpg", (10, 20), discarded=True))
    assert root.findtext("object/difficult") == "1"


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_voc_of_a_hostile_label_name_is_read_back_as_far_as_xml_goes(name: str) -> None:
    document = to_voc(box(0, 0, 1, 1, name=name), "a<b>\n.jpg", (10, 20)).encode("utf-8")
    root = ET.fromstring(document)
    possible = name.replace("\x00", "\ufffd").replace("\x07", "\ufffd").replace("\ud800", "\ufffd")
    assert root.findtext("object/name") == possible
    assert root.findtext("filename") == "a<b>\n.jpg"
    assert len(root.findall("object")) == 1


@pytest.mark.parametrize("scores", [False, True], ids=["labels", "scores"])
def test_yolo_boxes_read_by_supervision_are_what_was_found(scores: bool, tmp_path: Path) -> None:
    post, found = made("standard")
    write_images(tmp_path / "images")
    with open_writer("yolo", tmp_path / "yolo", post.spec, scores=scores) as writer:
        writer.write(IMAGES, None, found)
    data = supervision.DetectionDataset.from_yolo(
        str(tmp_path / "images"), str(tmp_path / "yolo/labels"), str(tmp_path / "yolo/data.yaml"),
        show_progress=False,
    )  # fmt: skip
    assert data.classes == LABELS
    assert (tmp_path / "yolo/classes.txt").read_text().splitlines() == LABELS
    for row, (path, size) in enumerate(zip(IMAGES, SIZES, strict=True)):
        expected = detections(found)[row]
        read = data.annotations[str(tmp_path / "images" / Path(path).name)]
        assert_array_equal(read.class_id, expected.labels)
        assert_allclose(read.xyxy, expected.to_pixels(size), rtol=0, atol=1e-4)
        if scores:
            lines = (tmp_path / f"yolo/labels/{Path(path).stem}.txt").read_text().splitlines()
            assert_array_equal([np.float32(line.split()[5]) for line in lines], expected.scores)


def test_yolo_corners_read_by_supervision_are_what_was_found(tmp_path: Path) -> None:
    post, found = made("yolov8_obb")
    paths = write_images(tmp_path / "images")
    with open_writer("yolo", tmp_path / "yolo", post.spec) as writer:
        writer.write(IMAGES, SIZES, found)
    data = supervision.DetectionDataset.from_yolo(
        str(tmp_path / "images"), str(tmp_path / "yolo/labels"), str(tmp_path / "yolo/data.yaml"),
        is_obb=True, show_progress=False,
    )  # fmt: skip
    for row, (path, size) in enumerate(zip(paths, SIZES, strict=True)):
        expected: Any = detections(found)[row]
        corners = expected.polygons_to_pixels(size).clip(0, [size[1], size[0]])
        assert_allclose(data.annotations[str(path)].data["xyxyxyxy"], corners, rtol=0, atol=1e-4)


def test_yolo_keypoints_follow_the_box_and_the_shape_is_told(tmp_path: Path) -> None:
    post, found = made("yolov8_pose")
    with open_writer("yolo", tmp_path / "yolo", post.spec) as writer:
        writer.write(IMAGES, SIZES, found)
    assert yaml.safe_load((tmp_path / "yolo/data.yaml").read_text())["kpt_shape"] == [2, 3]
    expected: Any = detections(found)[0]
    rows = np.loadtxt(tmp_path / "yolo/labels/000000000007.txt")
    centre = (expected.boxes[:, :2] + expected.boxes[:, 2:]) / 2
    assert_allclose(rows[:, 1:3], centre, atol=1e-7)
    points = expected.keypoints.copy()
    points[..., :2] = points[..., :2].clip(0, 1)
    assert_array_equal(rows[:, 5:].astype(np.float32).reshape(points.shape), points)


def filled(rings: list[Any], height: int, width: int) -> Any:
    """Fill rings in pixels by the even-odd rule, at the centres of pixels."""
    ys, xs = np.mgrid[:height, :width] + 0.5
    inside = np.zeros((height, width), np.bool_)
    for ring in rings:
        for (x1, y1), (x2, y2) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if y1 != y2:
                crosses = (y1 > ys) != (y2 > ys)
                inside ^= crosses & (xs < x1 + (ys - y1) / (y2 - y1) * (x2 - x1))
    return inside


def test_yolo_outline_of_a_mask_with_a_hole_and_islands_fills_the_same_area() -> None:
    def square(low: float, high: float, turned: bool = False) -> Any:
        ring = np.array([[low, low], [high, low], [high, high], [low, high]])
        return ring[::-1] if turned else ring

    rings = [square(20, 160), square(50, 130, True), square(70, 110), square(180, 195)]
    apart = filled(rings, 200, 200)
    assert apart.sum() == 140**2 - 80**2 + 40**2 + 15**2
    assert_array_equal(filled([one_ring(rings)], 200, 200), apart)


def test_yolo_masks_fill_what_their_rings_fill(tmp_path: Path) -> None:
    post, found = made("yolov8_seg")
    with open_writer("yolo", tmp_path / "yolo", post.spec) as writer:
        writer.write(IMAGES, SIZES, found)
    expected: Any = detections(found)[2]
    lines = (tmp_path / "yolo/labels/000000000011.txt").read_text().splitlines()
    size = [SIZES[2][1], SIZES[2][0]]
    several = 0
    for line, rings, corners in zip(lines, expected.mask_polygons(), expected.boxes, strict=True):
        ring = np.array(line.split()[1:], np.float32).reshape(-1, 2)
        several += len(rings) > 1
        if rings:
            outlines = [outline * size for outline in rings]
            assert_array_equal(filled([ring * size], *SIZES[2]), filled(outlines, *SIZES[2]))
        else:
            assert_array_equal(ring[[0, 2]].reshape(-1), corners)
    assert several > 3


def test_yolo_of_an_image_with_nothing_is_an_empty_file(tmp_path: Path) -> None:
    post, found = made("standard")
    nothing = found.outputs[0][np.zeros(len(found.outputs[0].labels), np.bool_)]
    with open_writer("yolo", tmp_path / "yolo", post.spec) as writer:
        writer.write(IMAGES, None, replace(found, outputs=(nothing,)))
    assert [path.read_text() for path in (tmp_path / "yolo/labels").iterdir()] == ["", "", ""]


def test_yolo_names_of_hostile_labels_are_read_back_by_a_yaml_parser(tmp_path: Path) -> None:
    post, _ = made("standard")
    document = post.spec.dump()
    document["outputs"][0]["labels"]["labels"] = [
        {"id": row, "name": name} for row, name in enumerate(HOSTILE) if name != "\ud800"
    ]
    names = [label["name"] for label in document["outputs"][0]["labels"]["labels"]]
    with open_writer("yolo", tmp_path / "yolo", type(post.spec).load(document)):
        pass
    read = yaml.safe_load((tmp_path / "yolo/data.yaml").read_text("utf-8"))
    assert list(read["names"].values()) == names
    assert len((tmp_path / "yolo/classes.txt").read_text("utf-8").split("\n")[:-1]) == len(names)
    assert len((tmp_path / "yolo/classes.txt").read_text("utf-8").splitlines()) == len(names)


def test_yolo_of_discarded_writes_nothing() -> None:
    assert to_yolo(box(0, 0, 1, 1, predicted=False)) == ""
