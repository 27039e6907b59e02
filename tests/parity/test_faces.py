"""Faces and raw grids against their own packages' steps: OpenCV's YuNet, RetinaFace, YOLOv5's Detect."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from postproc import KeypointDetections, PostProcessor, SsdOutput, Yolov3Output, YoloxOutput
from tests.parity import peers

STRIDES = (8, 16, 32)


@pytest.mark.parametrize("threshold", [0.2, 0.5])
def test_yunet_equals_opencvs_face_detector(tmp_path: Path, threshold: float) -> None:
    cv2 = peers.load("cv2")
    onnxruntime = peers.load("onnxruntime")
    exports = pytest.importorskip("tests.inspection.exports.faces", reason="needs onnx, of the extra inspect")
    path = tmp_path / "yunet.onnx"
    path.write_bytes(exports.heads(exports.YUNET, (1, 1, 4, 10), True))
    side = exports.SIDE
    image = np.random.default_rng(17).integers(
        0, 2, (side, side, 3), np.uint8
    )  # of noise in [0, 1], as its layers expect
    # Without NMS, before which OpenCV cuts boxes to whole pixels.
    detector = cv2.FaceDetectorYN.create(str(path), "", (side, side), threshold, 1.0, 5000)
    _, faces = detector.detect(image)

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    fed = {"input": image.transpose(2, 0, 1)[np.newaxis].astype(np.float32)}
    tensors = dict(zip(names, session.run(None, fed), strict=True))
    output = YoloxOutput(
        scores_tensors=tuple(names[0:3]),
        objectness_tensors=tuple(names[3:6]),
        boxes_tensors=tuple(names[6:9]),
        landmarks_tensors=tuple(names[9:12]),
        keypoints=5,
        confidence="sqrt_product",
    )
    post = PostProcessor.for_detection(["face"], output, thresholds=threshold, nms_threshold=1.0)
    found = post(tensors, input_size=(side, side), max_predictions=5000).outputs[0]
    assert isinstance(found, KeypointDetections)
    assert faces is not None
    # Only we leave out faces that lie outside of the image.
    boxes = np.concatenate([faces[:, :2], faces[:, :2] + faces[:, 2:4]], axis=1)
    inside = ((boxes[:, :2] < side) & (boxes[:, 2:] > 0)).all(axis=1)
    assert 10 < inside.sum() == len(found.scores)
    assert_allclose(found.scores, faces[inside, 14], rtol=1e-5)
    assert_allclose(found.boxes * side, np.clip(boxes[inside], 0, side), atol=1e-2)
    assert_allclose(found.keypoints.reshape(-1, 10) * side, faces[inside, 4:14], atol=1e-2)


def priors_of(height: int, width: int) -> NDArray[np.float64]:
    """Make priors as Pytorch_Retinaface's PriorBox does: two a cell."""
    sizes = ((16, 32), (64, 128), (256, 512))
    return np.array(
        [
            [(j + 0.5) * step / width, (i + 0.5) * step / height, size / width, size / height]
            for step, pair in zip(STRIDES, sizes, strict=True)
            for i, j in itertools.product(range(-(-height // step)), range(-(-width // step)))
            for size in pair
        ]
    )


def test_retinaface_equals_its_decode_and_decode_landm() -> None:
    torch = peers.load("torch")
    rng = np.random.default_rng(3)
    priors = priors_of(96, 160).astype(np.float32)
    count = len(priors)
    loc, landm = rng.normal(0, 1, (count, 4)), rng.normal(0, 2, (count, 10))
    confidence = rng.dirichlet([1, 1], count)
    tensors = {
        name: values[np.newaxis].astype(np.float32)
        for name, values in (("loc", loc), ("conf", confidence), ("landms", landm))
    }
    output = SsdOutput(
        offsets_tensor="loc",
        scores_tensor="conf",
        landmarks_tensor="landms",
        keypoints=5,
        priors=tuple(map(tuple, priors.tolist())),
    )
    post = PostProcessor.for_detection(["face"], output, thresholds=0.5, nms_threshold=1.0)
    found = post(tensors, max_predictions=10_000).outputs[0]
    assert isinstance(found, KeypointDetections)

    arrays = priors, tensors["loc"][0], tensors["landms"][0]
    box, raw, marks = (torch.from_numpy(array).double() for array in arrays)
    sizes = box[:, 2:]
    boxes = torch.cat((box[:, :2] + raw[:, :2] * 0.1 * sizes, sizes * torch.exp(raw[:, 2:] * 0.2)), 1)
    boxes[:, :2] -= boxes[:, 2:] / 2
    boxes[:, 2:] += boxes[:, :2]
    points = torch.cat([box[:, :2] + marks[:, at : at + 2] * 0.1 * sizes for at in range(0, 10, 2)], 1)
    regions = found.regions
    assert len(regions) > 100
    assert_allclose(found.boxes, boxes.numpy()[regions].clip(0, 1), atol=1e-6)
    assert_allclose(found.keypoints.reshape(-1, 10), points.numpy()[regions], atol=1e-6)
    assert_allclose(found.scores, tensors["conf"][0, regions, 1], rtol=1e-7)


@pytest.mark.parametrize("labels", [1, 7])
def test_grids_of_yolov5_equal_its_detect_layer(labels: int) -> None:
    torch = peers.load("torch")
    rng = np.random.default_rng(5)
    anchors = np.array([10, 13, 16, 30, 33, 23, 30, 61, 62, 45, 59, 119, 116, 90, 156, 198, 373, 326], float)
    height, width, columns = 96, 160, 5 + labels
    tensors = {}
    for stride in STRIDES:
        shape = 2, 3 * columns, height // stride, width // stride
        tensors[f"p{stride}"] = rng.normal(0, 1.5, shape).astype(np.float32)
    rows = []
    for level, (stride, grid) in enumerate(zip(STRIDES, tensors.values(), strict=True)):
        ny, nx = grid.shape[2:]
        x = torch.from_numpy(grid).double().view(2, 3, columns, ny, nx).permute(0, 1, 3, 4, 2)
        yv, xv = torch.meshgrid(torch.arange(ny), torch.arange(nx), indexing="ij")
        cells = torch.stack((xv, yv), 2).view(1, 1, ny, nx, 2) - 0.5
        of_level = torch.from_numpy(anchors.reshape(3, 3, 2)[level]).view(1, 3, 1, 1, 2)
        xy, wh, conf = x.sigmoid().split((2, 2, columns - 4), 4)
        y = torch.cat(((xy * 2 + cells) * stride, (wh * 2) ** 2 * of_level, conf), 4)
        rows.append(y.permute(0, 2, 3, 1, 4).reshape(2, -1, columns))  # cell by cell, as our regions are
    decoded = torch.cat(rows, 1).numpy()
    output = Yolov3Output(output_tensors=tuple(tensors), anchors=tuple(anchors), box_coding="yolov5")
    names = [f"label {row}" for row in range(labels)]
    post = PostProcessor.for_detection(names, output, thresholds=0.2, nms_threshold=1.0)
    batch = post(tensors, input_size=(height, width), max_predictions=10**5).outputs[0]
    for image in range(2):
        found, table = batch[image], decoded[image]
        scores = table[:, 4:5] * table[:, 5:]
        size = np.array([width, height, width, height])
        chosen = table[found.regions]
        corners = np.concatenate([chosen[:, :2] - chosen[:, 2:4] / 2, chosen[:, :2] + chosen[:, 2:4] / 2], 1)
        assert_allclose(found.boxes * size, corners.clip(0, size), atol=1e-4)
        assert_allclose(found.scores, scores[found.regions, found.labels], rtol=1e-6)
        corners = np.concatenate([table[:, :2] - table[:, 2:4] / 2, table[:, :2] + table[:, 2:4] / 2], 1)
        inside = ((corners[:, :2] < size[:2]) & (corners[:, 2:] > 0)).all(axis=1)
        assert len(found.scores) == (scores[inside] > 0.2).sum() > 100
