"""What the writers of `postproc run` write is read back as truth: every prediction is an object."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from postproc import Detections
from postproc.errors import SchemaError
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.measured_detections import MeasuredDetections
from postproc.exports import open_writer
from postproc.results.masked import MaskedDetections
from tests.exports.results import IDS, IMAGES, SIZES, made

KINDS = ("standard", "yolov8_pose", "yolov8_obb", "yolov8_seg")
# Options of the writer, and how far numbers may be off, in pixels.
FORMATS = {
    "jsonl": ({}, 1e-3),
    "coco": ({}, 1e-3),
    "parquet": ({"discarded": True}, 1e-3),
    "voc": ({"discarded": False}, 0.51),
    "yolo": ({"scores": True}, 1e-3),
}


def written(folder: Path, kind: str, format: str, **options: object) -> tuple[MeasuredDetections, Path]:
    """Return what is predicted on three images, and where it is written; the images lie in ``street``."""
    post, found = made(kind)
    path = folder / f"found{'' if format in ('voc', 'yolo') else '.' + format}"
    with open_writer(format, path, post.spec, **options) as writer:
        writer.write(IMAGES, SIZES, found)
    for name, (height, width) in zip(IMAGES, SIZES, strict=True):
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (width, height)).save(folder / "images" / name)
    output = found.outputs[0]
    assert isinstance(output, Detections)
    return MeasuredDetections.of(output[output.predicted], np.array(SIZES)), path


def sorted_rows(boxes: np.ndarray, labels: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    return np.lexsort((*np.round(boxes.T, 0), labels))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read_back(tmp_path: Path, kind: str, format: str) -> None:
    options, atol = FORMATS[format]
    found, path = written(tmp_path, kind, format, **options)  # type: ignore[arg-type]
    post, _ = made(kind)
    truth = GroundTruth.load(path, post.spec, images=tmp_path / "images")
    assert "what was found counts as truth" in " ".join(truth.notes) or format == "jsonl"
    rows = [truth.find(name) for name in IMAGES]
    batch = truth.batch(rows, SIZES)  # type: ignore[arg-type]
    np.testing.assert_array_equal(batch.sizes, SIZES)
    np.testing.assert_array_equal(batch.offsets, found.offsets)
    np.testing.assert_array_equal(batch.labels, found.labels)
    corners = found.to_pixels(np.array(SIZES)).astype(float)
    boxes = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
    shapes = truth.shapes[batch.rows]
    around = {"yolov8_obb", "yolov8_seg"} if format == "yolo" else set()
    if kind not in around:  # there the box is that around the corners or the outline
        np.testing.assert_allclose(batch.boxes, boxes, rtol=0, atol=2 * atol)
    if format == "voc":  # boxes alone
        return
    if kind == "yolov8_pose":
        points = found.keypoints
        if format == "yolo":  # which moves points to the edge of the image
            sides = np.repeat(np.array(SIZES)[:, ::-1], np.diff(found.offsets), axis=0)[:, np.newaxis]
            points = np.concatenate([points[..., :2].clip(0, sides), points[..., 2:]], axis=2)
        np.testing.assert_allclose(shapes.keypoints[..., :2], points[..., :2], rtol=0, atol=1e-2)
        assert (shapes.keypoints[..., 2] > 0).all()
    elif kind == "yolov8_obb" and format in ("jsonl", "parquet"):
        np.testing.assert_allclose(shapes.rectangles, found.rectangles, rtol=0, atol=1e-2)
    elif kind == "yolov8_obb":
        assert (
            shapes.counts() == {"coco": {"masks": len(boxes)}, "yolo": {"oriented boxes": len(boxes)}}[format]
        )
    elif kind == "yolov8_seg":
        output = made(kind)[1].outputs[0]
        assert isinstance(output, MaskedDetections)
        outlines, compared = output[output.predicted].mask_polygons(), 0
        sizes = np.repeat(SIZES, np.diff(found.offsets), axis=0).tolist()
        columns = (shapes.masks, found.masks, sizes, outlines)
        for own, expected, (height, width), rings in zip(*columns, strict=True):
            if format in ("coco", "parquet"):
                assert own == expected
            elif len(rings) == 1:
                np.testing.assert_allclose(own[0], (rings[0] * [width, height]).reshape(-1), atol=1e-2)
                compared += 1
        assert compared > 3 or format in ("coco", "parquet")


def test_coco_results_know_images_by_their_numbers(tmp_path: Path) -> None:
    _, path = written(tmp_path, "standard", "coco")
    truth = GroundTruth.load(path)
    assert sorted(truth.ids.tolist()) == sorted(IDS)
    assert truth.names[truth.find("elsewhere/007.png")] == "7"  # type: ignore[index]
    assert truth.find("seven.png") is None


def test_whole_images_are_read_back_from_lines_and_parquet(tmp_path: Path) -> None:
    post, found = made("classification")
    expected = found.outputs[0][found.outputs[0].predicted]
    for format in ("jsonl", "parquet"):
        path = tmp_path / f"found.{format}"
        with open_writer(format, path, post.spec) as writer:
            writer.write(IMAGES, SIZES, found)
        truth = GroundTruth.load(path, post.spec)
        order = [truth.find(name) for name in IMAGES]
        batch = truth.batch([row for row in order if row is not None])
        assert sorted(batch.labels.tolist()) == sorted(expected.labels.tolist())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: is not JSON"),
        ("[]", "line 2: expected an object with location"),
        ('{"location": "a.jpg"}', r"line 2: expected outputs\[0\].labels.predicted, a list, got null"),
        (
            '{"location": "000000000011.jpg", "outputs": [{"labels": {"predicted": [{"label_id": 1}]}}]}',
            r"line 2: outputs\[0\].labels.predicted\[0\]: expected label_id, an integer, and label_name",
        ),
        (
            '{"location": "000000000011.jpg", "outputs": [{"labels": {"predicted": '
            '[{"label_id": 1, "label_name": "a", "roi": {"bbox": {"xmin": NaN}}}]}}]}',
            r"predicted\[0\]: roi.bbox: expected the numbers xmin, ymin, xmax and ymax",
        ),
    ],
)
def test_broken_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    _, path = written(tmp_path, "standard", "jsonl")
    first = path.read_text().splitlines()[0]
    assert json.loads(first)["outputs"]
    path.write_text(f"{first}\n{line}\n")
    with pytest.raises(SchemaError, match=message):
        GroundTruth.load(path, images=tmp_path / "images")
