"""What the documents of finished rows with more give for a run, beside what the rows themselves hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from postproc import PostProcessor
from postproc.inspection import Proposal, inspect_model
from tests.inspection.exports import CASES
from tests.inspection.test_exports import fed

BY_NAME = {case.name: case for case in CASES}
SIDE, MOST = 320, 300


def ran(name: str, folder: Path) -> tuple[Proposal, dict[str, NDArray[Any]]]:
    """Inspect an export, and run it on another image."""
    path = BY_NAME[name].save(folder)
    found = inspect_model(path)
    proposal = found.proposals[0] if found.decided is None else found.decided
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    images = {info.name: fed(info, 5) for info in onnx.load(path).graph.input}
    names = [output.name for output in session.get_outputs()]
    return proposal, dict(zip(names, session.run(None, images), strict=True))


def answer_of(proposal: Proposal, tensors: Mapping[str, NDArray[Any]]) -> Any:
    """Give what the documents make of tensors."""
    post = PostProcessor(proposal.spec, proposal.version)
    return post({name: tensors[name] for name in post.tensor_names}, max_predictions=MOST).outputs[0]


def answered(name: str, folder: Path) -> tuple[dict[str, NDArray[Any]], Any]:
    """Give the tensors of a run, and what the documents make of them."""
    proposal, tensors = ran(name, folder)
    return tensors, answer_of(proposal, tensors)


def best_first(rows: NDArray[Any], scores: NDArray[Any], labels: NDArray[Any], threshold: float) -> Any:
    """The rows above the threshold: by score, then by label, then by row."""
    kept = np.flatnonzero(scores > np.float32(threshold))
    return rows[kept[np.lexsort((kept, labels[kept], -scores[kept]))]]


def boxes_of(corners: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Corners in pixels as parts of the image, clipped, and which of them have an area."""
    boxes = np.clip(corners / np.float32(SIDE), 0, 1)
    return boxes, (boxes[:, 2:] > boxes[:, :2]).all(axis=1)


def corners_of_turned(rows: NDArray[Any], angles: NDArray[Any]) -> NDArray[Any]:
    """The corners (N, 4, 2) of oriented boxes, in pixels."""
    cos, sin = np.cos(angles.astype(np.float64)), np.sin(angles.astype(np.float64))
    right, down = np.stack([cos, sin], axis=1), np.stack([-sin, cos], axis=1)
    right, down = right * rows[:, 2:3] / 2, down * rows[:, 3:4] / 2
    return np.stack(
        [rows[:, :2] + x * right + y * down for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))], axis=1
    )


FROM_ULTRALYTICS = ("ultralytics: yolo26-{}", "ultralytics: yolov8-{} with nms=True")
LOST = ("ultralytics: yolo26-{}, metadata lost", "ultralytics: yolov8-{} with nms=True, metadata lost")


@pytest.mark.parametrize("name", [*FROM_ULTRALYTICS, *LOST])
def test_rows_with_keypoints_answer_with_those_of_the_rows(name: str, tmp_path: Path) -> None:
    tensors, found = answered(name.format("pose"), tmp_path)
    rows = tensors["output0"][0]
    rows = best_first(rows, rows[:, 4], rows[:, 5], 0.25)
    boxes, seen = boxes_of(rows[:, :4])
    np.testing.assert_allclose(found.boxes, boxes[seen], atol=1e-6)
    np.testing.assert_array_equal(found.scores, rows[seen, 4])
    np.testing.assert_array_equal(found.labels, rows[seen, 5])
    keypoints = rows[seen, 6:].reshape(-1, 17, 3) / np.float32([SIDE, SIDE, 1])
    np.testing.assert_allclose(found.keypoints, keypoints, rtol=1e-5, atol=1e-6)
    assert len(keypoints) > 5


@pytest.mark.parametrize("name", [*FROM_ULTRALYTICS, *LOST])
def test_rows_with_an_angle_answer_with_oriented_boxes(name: str, tmp_path: Path) -> None:
    tensors, found = answered(name.format("obb"), tmp_path)
    rows = tensors["output0"][0]
    rows = best_first(rows, rows[:, 4], rows[:, 5], 0.25)
    corners = corners_of_turned(rows, rows[:, 6]) / SIDE
    _, seen = boxes_of(np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1) * SIDE)
    np.testing.assert_array_equal(found.scores, rows[seen, 4])
    right, own = (np.sort(each.reshape(len(each), -1), axis=1) for each in (corners[seen], found.polygons))
    np.testing.assert_allclose(own, right, rtol=1e-4, atol=1e-5)
    assert len(right) > 5


@pytest.mark.parametrize("name", [*FROM_ULTRALYTICS, *LOST])
def test_rows_with_coefficients_answer_with_masks_that_are_not_empty(name: str, tmp_path: Path) -> None:
    proposal, tensors = ran(name.format("seg"), tmp_path)
    rows, prototypes = tensors["output0"][0], tensors["output1"][0]
    prototypes[0] = 1
    rows[::3, 6:] = np.eye(1, 32) * -1  # nothing of it is in the mask
    found = answer_of(proposal, tensors)
    rows = best_first(rows, rows[:, 4], rows[:, 5], 0.25)
    boxes, seen = boxes_of(rows[:, :4])
    rows, boxes = rows[seen], boxes[seen]
    values = np.einsum("nm,mhw->nhw", rows[:, 6:], prototypes)
    # In the resolution of the prototypes a mask that is mostly inside or outside is so in the input's too.
    are_found = {(*box, score) for box, score in zip(found.boxes, found.scores, strict=True)}
    side = prototypes.shape[-1]
    for box, score, value in zip(boxes, rows[:, 4], values, strict=True):
        x1, y1, x2, y2 = (box * side).round().astype(int)
        inside = value[y1:y2, x1:x2] > 0
        around = value[max(y1 - 1, 0) : y2 + 1, max(x1 - 1, 0) : x2 + 1] > 0
        if inside.size > 30 and (inside.mean() > 0.5 or not around.any()):
            assert ((*box, score) in are_found) == around.any()
    assert 5 < len(found.boxes) < len(rows)
    masks = found[0].masks((SIDE, SIDE))
    assert masks.any(axis=(1, 2)).all()


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("torchvision: mask r-cnn", {"masks": "masks"}),
        ("torchvision: mask r-cnn, numbers for names", {"boxes": "2771", "scores": "2772", "masks": "3355"}),
        ("torchvision: keypoint r-cnn", {}),
    ],
)
def test_separate_rows_answer_with_what_lies_beside_them(
    name: str, names: Mapping[str, str], tmp_path: Path
) -> None:
    tensors, found = answered(name, tmp_path)
    boxes, scores = (tensors[names.get(each, each)] for each in ("boxes", "scores"))
    threshold = 0.5
    kept = np.flatnonzero(scores > threshold)
    corners, seen = boxes_of(boxes[kept])
    np.testing.assert_allclose(np.sort(found.scores)[::-1], np.sort(scores[kept][seen])[::-1])
    assert sorted(map(tuple, found.boxes.round(5))) == sorted(map(tuple, corners[seen].round(5)))
    if "masks" in names:
        own = found[0].masks((SIDE, SIDE))
        masks = tensors[names["masks"]][kept][seen][:, 0] > 0.5
        assert sorted(own.sum(axis=(1, 2))) == sorted(masks.sum(axis=(1, 2)))
    else:
        keypoints = tensors["keypoints"][kept][seen] / np.float32([SIDE, SIDE, 1])
        np.testing.assert_allclose(np.sort(found.keypoints, axis=0), np.sort(keypoints, axis=0), rtol=1e-5)


@pytest.mark.parametrize(
    "name", ["rtmdet: mmdeploy", "mask r-cnn: mmdeploy", "rtmdet-ins: mmdeploy, with masks"]
)
def test_boxes_with_their_score_answer_with_their_own_classes(name: str, tmp_path: Path) -> None:
    tensors, found = answered(name, tmp_path)
    dets, labels = tensors["dets"][0], tensors["labels"][0]
    rows = np.concatenate([dets, labels[:, None]], axis=1)
    rows = best_first(rows, dets[:, 4], labels, 0.5)
    boxes, seen = boxes_of(rows[:, :4].astype(np.float32))
    np.testing.assert_allclose(found.boxes, boxes[seen], atol=1e-6)
    np.testing.assert_array_equal(found.labels, rows[seen, 5])
    assert len(found.boxes)
