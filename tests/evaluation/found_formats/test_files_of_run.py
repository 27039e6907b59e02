"""What ``postproc run`` writes, and other tools, is read back from every format as what it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from postproc import PostProcessor, Recognitions, RecognitionSpec, SchemaError
from postproc.evaluation import DetectionEvaluation, GroundTruth, evaluate
from postproc.evaluation.found_formats import read_found
from postproc.evaluation.measured_detections import rectangles_of
from postproc.evaluation.placed import Placed
from postproc.exports import open_writer
from tests.evaluation.noisy_boxes import SIDE, boxes_and_truth, names_and_sizes, spec_of, version_of

TENSORS, TRUTH = boxes_and_truth(4, images=12)
SPEC, VERSION = spec_of(3), version_of(thresholds=[0.2, 0.3, 0.4])
POSE = {"yolov8_pose_output": {"output_tensor": "out", "keypoints": 2}, "input_size": [SIDE, SIDE]}
OBB = {"yolov8_obb_output": {"output_tensor": "out"}, "input_size": [SIDE, SIDE]}
SEG = {
    "yolov8_seg_output": {"output_tensor": "out", "prototypes_tensor": "protos"},
    "input_size": [SIDE, SIDE],
}


def found_by_run() -> Recognitions:
    return PostProcessor(SPEC, VERSION)(TENSORS, show_discarded=True)


def written(path: Path, format: str, recognitions: Recognitions, side: int = SIDE, **options: Any) -> Path:
    names, sizes = names_and_sizes(len(recognitions))
    sizes[:] = side
    target = path / f"found.{format}"
    if format == "coco":
        options["image_ids"] = {name: row + 1 for row, name in enumerate(names)}
    with open_writer(format, target, RecognitionSpec.load(SPEC), **options) as writer:
        writer.write(names, sizes, recognitions)
    return target


@pytest.mark.parametrize(
    ("format", "options", "tolerance"),
    [
        ("jsonl", {}, 1e-5),
        ("coco", {}, 1e-5),
        ("parquet", {"discarded": True}, 1e-5),
        ("voc", {"discarded": True}, 1.01),
        ("yolo", {"scores": True}, 1e-5),
    ],
)
def test_every_format_of_run_is_read_back(
    format: str, options: dict[str, Any], tolerance: float, tmp_path: Path
) -> None:
    recognitions = found_by_run()
    expected = recognitions.outputs[0]
    expected = expected[expected.predicted]
    assert 20 < len(expected.labels) < len(recognitions.outputs[0].labels)
    truth = GroundTruth.load(TRUTH, SPEC)
    placed = Placed.of(read_found(written(tmp_path, format, recognitions, **options)), truth)
    found = placed.detections
    assert found.offsets.tolist() == expected.offsets.tolist()
    assert np.array_equal(found.labels, expected.labels)
    assert np.allclose(found.scores, expected.scores, rtol=1e-7)
    boxes = expected.to_pixels((SIDE, SIDE))  # type: ignore[union-attr]
    corners = np.hstack([found.pixels[:, :2], found.pixels[:, :2] + found.pixels[:, 2:]])
    assert np.abs(corners - boxes).max() < tolerance
    left_out = format in ("jsonl", "parquet", "voc")
    assert any("discarded candidates of" in note for note in placed.notes) == left_out
    assert placed.missing == () or format in (
        "coco",
        "parquet",
    )  # which have no entry of an image without finds


def _ring() -> Any:
    """Make a prototype that is inside of a ring around the middle, (64, 64)."""
    distance = np.hypot(*(np.mgrid[:64, :64] - 31.5))
    return (4 - np.abs(distance - 12)).astype(np.float32)


@pytest.mark.parametrize("format", ["jsonl", "parquet", "coco", "yolo"])
@pytest.mark.parametrize("kind", ["keypoints", "masks", "oriented boxes"])
def test_shapes_are_read_back_in_pixels(format: str, kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = {"keypoints": 4 + 3 + 6, "masks": 4 + 3 + 4, "oriented boxes": 4 + 3 + 1}[kind]
    table = np.zeros((2, rows, 3), np.float32)
    table[:, :2] = rng.uniform(24, 40, (2, 2, 3))
    table[:, 2:4] = rng.uniform(14, 24, (2, 2, 3))
    table[:, 4:7] = np.eye(3) * 0.75 + 0.01
    tensors = {"out": table}
    if kind == "keypoints":
        table[:, 7:] = rng.uniform(10, 50, (2, 6, 3))
        table[:, [9, 12]] = 0.5
    elif kind == "masks":
        tensors["protos"] = np.tile(_ring(), (2, 4, 1, 1))
        table[:, 7:] = 0.25
        table[:, :4] = [[[32], [32], [48], [48]]]
        table[:, 2] = [48, 20, 48]  # so that the outline of one is another
    else:
        table[:, 7] = rng.uniform(0, 1, (2, 3))
    described = {"keypoints": POSE, "masks": SEG, "oriented boxes": OBB}[kind]
    recognitions = PostProcessor(
        SPEC, {"post_processings": [{"detection": {**described, "thresholds": 0.5}}]}
    )(tensors)
    detections: Any = recognitions.outputs[0]
    assert len(detections.labels) == 6
    side = 8 * SIDE  # where outlines of masks and the masks themselves are nearly the same
    document = {
        **TRUTH,
        "images": [{**image, "width": side, "height": side} for image in TRUTH["images"][:2]],
    }
    document["annotations"] = [
        {
            "id": row + 1,
            "image_id": 1,
            "category_id": 1,
            "bbox": [1, 1, 9, 9],
            "keypoints": [3, 3, 2, 4, 4, 2],
            "segmentation": [[1, 1, 9, 1, 9, 9]],
        }
        for row in range(2)
    ]
    truth = GroundTruth.load(document, SPEC)
    path = written(tmp_path, format, recognitions, side, **({"scores": True} if format == "yolo" else {}))
    placed = Placed.of(read_found(path), truth)
    shapes, found = placed.detections.shapes, placed.detections
    assert found.labels.tolist() == detections.labels.tolist()
    if kind == "keypoints":
        points = detections.keypoints_to_pixels((side, side))[..., :2]
        assert np.abs(shapes.keypoints[..., :2] - points).max() < 1e-3
        assert (shapes.keypoints[..., 2] == 1).all()
        assert placed.yields(truth) == "keypoints"
    elif kind == "oriented boxes":
        expected = rectangles_of(detections.polygons_to_pixels((side, side)).astype(np.float64))
        assert np.abs(shapes.rectangles - expected).max() < 0.1
    else:
        assert shapes.has("masks").all()
        assert placed.yields(truth) == "masks"
        masks = pytest.importorskip("pycocotools.mask")
        rle = [
            mask if isinstance(mask, dict) else masks.merge(masks.frPyObjects(mask, side, side))
            for mask in shapes.masks
        ]
        overlap = [
            masks.iou([one], [other], [0])[0, 0]
            for one, other in zip(rle, detections.to_rle((side, side)), strict=True)
        ]
        assert min(overlap) > (0.999 if format in ("coco", "parquet") else 0.85)


def test_yolo_of_ultralytics_without_names_takes_classes_for_rows_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "0.txt").write_text("2 0.5 0.5 0.25 0.5 0.75\r\n")
    (tmp_path / "labels" / "1.txt").write_text("")
    found = read_found(tmp_path)
    assert found.images == ("0", "1")
    truth = GroundTruth.load(TRUTH, SPEC)
    placed = Placed.of(found, truth)
    assert placed.detections.pixels.tolist() == [[24, 16, 16, 32]]
    assert placed.detections.label_names == ["label 2"]
    assert any("classes of" in note and "0 for 'label 0'" in note for note in placed.notes)
    (tmp_path / "data.yaml").write_text("path: x\nnames: ['label 1', \"label 2\", label 0]\nnc: 3\n")
    assert Placed.of(read_found(tmp_path), truth).detections.label_names == ["label 0"]
    (tmp_path / "data.yaml").write_text("names:\n  0: label 1\n  2: 'label 1'\n")
    assert Placed.of(read_found(tmp_path), truth).detections.label_names == ["label 1"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.txt",
            "0 0.5 0.5 0.2 0.2\n",
            "a.txt, line 1: expected a confidence after cx cy w h",
        ),
        ("a.txt", "0 0.5 0.5 0.2 0.2 0.9\nx y\n", r'line 2: expected a class and numbers, got "x y"'),
        ("a.txt", "0.5 0.5 0.5 0.2 0.2 0.9\n", "expected a whole number as class"),
        ("a.txt", "0 0.5 0.5\n", "expected class, cx, cy, w, h and confidence, got 3 numbers"),
        ("a.txt", "0 0 0 0 1 1 1 1 0\n" * 2, "neither boxes nor outlines"),
        ("a.txt", "0 0 0 0 1 1 1 1 0 1 0.5 0.9\n" * 2, "may be keypoints or an outline"),
        ("a.xml", "<annotation><object>", "expected Pascal VOC's XML"),
        ("a.xml", "<a/>", "expected <annotation>, got <a>"),
        ("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', "it declares entities"),
        (
            "a.xml",
            "<annotation><object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax>"
            "<ymax>5</ymax></bndbox></object></annotation>",
            r"object\[0\]: expected a score",
        ),
        (
            "a.xml",
            "<annotation><object><name>cat</name></object></annotation>",
            "expected a name and a bnd",
        ),
        (
            "a.jsonl",
            '{"location": "a", "outputs": []}\n',
            "line 1: expected a result with location",
        ),
        (
            "a.jsonl",
            '{"location": "a", "outputs": [{"labels": {"predicted": [], "discarded": 2}}]}',
            "expected a name as location, and lists",
        ),
        (
            "a.jsonl",
            '{"location": "a", "outputs": [{"labels": {"predicted": [{"label_id": 1}]}}]}\n{"location',
            "predicted\\[0\\]: expected label_id and label_name",
        ),
        (
            "a.jsonl",
            '{"location": "a", "outputs": [{"labels": {"predicted": [{"label_id": 1, "label_name": "a", '
            '"score": 0.5}]}}]}\n',
            "labels of whole images are measured from their tensors",
        ),
    ],
)
def test_broken_files_are_named_by_their_lines(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SchemaError, match=message):
        read_found(tmp_path / name if name.endswith("jsonl") else tmp_path)


def test_thresholds_of_a_version_count(tmp_path: Path) -> None:
    path = written(tmp_path, "jsonl", found_by_run())
    low = evaluate(path, TRUTH)
    own = evaluate(path, TRUTH, spec=SPEC, version=version_of(thresholds=[0.6, 0.6, 0.6]))
    assert isinstance(low, DetectionEvaluation)
    assert isinstance(own, DetectionEvaluation)
    assert low.coco.numbers == own.coco.numbers
    assert own.detections.scores.min() > 0.6 > low.detections.scores.min()
    assert [label["threshold"] for label in own.to_dict()["labels"]] == [0.6] * 3
