"""`yolo_output` (v2) and `yolov3_output` against OpenVINO's RegionYolo, decoded as its demos do in NumPy."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc import PostProcessor, YoloOutput
from postproc.schema import Yolov3Output
from tests.parity import openvino_graphs, peers
from tests.parity.comparison import Rows, assert_same, near_ties, rows_of
from tests.parity.scenes import Size

IOU_THRESHOLD = 0.45
MOST = 100
# Its softmax adds up in float32: off by 2e-6 of a score for 365 labels and more, ours by 1e-7 (measured).
SOFTMAX_TOLERANCE = 3e-6
MARGIN = 2e-6  # RegionYolo's sigmoids are float32's, and move a centre by some 1e-6 of a cell

V2_ANCHORS = np.array([[1.3221, 1.73145], [3.19275, 4.00944], [5.05587, 8.09892], [9.47112, 4.84053]])
V3_ANCHORS = np.array(
    [[10, 13], [16, 30], [33, 23], [30, 61], [62, 45], [59, 119], [116, 90], [156, 198], [373, 326]]
)
V4_SCALES = (1.2, 1.1, 1.05)


class Case(NamedTuple):
    """Labels, images, and (height, width) of the input, of which a cell of the coarsest grid has 32."""

    labels: int
    batch: int
    size: Size


CASES = [
    pytest.param(case, id=f"{case.labels} labels, batch {case.batch}, {case.size[0]}x{case.size[1]}")
    for case in (
        Case(1, 3, (384, 640)),
        Case(2, 3, (640, 384)),
        Case(20, 32, (96, 160)),
        Case(80, 3, (416, 416)),
        Case(80, 3, (384, 640)),
        Case(365, 3, (192, 320)),
        Case(1203, 3, (160, 96)),
    )
]
LAYOUTS = ["channels_first", "channels_last"]


def grid(case: Case, stride: int, anchors: int, seed: int = 0) -> NDArray[np.float32]:
    """Logits (B, A*(5+L), H, W): few sure cells with some neighbours of the same label, over a tail."""
    labels, batch, size = case
    rng = np.random.default_rng([seed, labels, batch, stride, *size])
    height, width = size[0] // stride, size[1] // stride
    made = rng.normal(0, 1, (batch, anchors, 5 + labels, height, width))
    made[:, :, 2:4] *= 0.3
    made[:, :, 4] = rng.normal(-6, 1.5, (batch, anchors, height, width))
    made[:, :, 5:] -= 5
    for image in made:
        for _ in range(max(2, height * width // 20)):
            row, column = rng.integers(0, height), rng.integers(0, width)
            near = image[rng.integers(0, anchors), :, row : row + 2, column : column + 2]
            near[4] = rng.normal(1.5, 1, near.shape[1:])
            near[5 + int(labels * rng.random() ** 2)] += 8
    return made.reshape(batch, -1, height, width).astype(np.float32)


def decoded(
    activated: NDArray[np.float32], anchors: NDArray[Any], labels: int, size: Size, scale: float = 1.0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Corners (B, N, 4) and scores (B, N, L) of an activated grid; anchors in pixels.

    As of OpenVINO's demos: x = (column + x) / columns, w = exp(w) * anchor, score = objectness * probability.
    """
    batch, _, height, width = activated.shape
    cells = activated.reshape(batch, len(anchors), 5 + labels, height, width).transpose(0, 3, 4, 1, 2)
    cells = cells.astype(np.float64)
    rows, columns = np.mgrid[:height, :width]
    offsets = cells[..., :2] * scale - (scale - 1) / 2
    centres = (offsets + np.stack([columns, rows], axis=-1)[:, :, None]) / (width, height) * size[::-1]
    boxes = peers.corners(np.concatenate([centres, np.exp(cells[..., 2:4]) * anchors], axis=-1))
    scores = cells[..., 4:5] * cells[..., 5:]
    return (
        boxes.reshape(batch, -1, 4).astype(np.float32),
        scores.reshape(batch, -1, labels).astype(np.float32),
    )


def compare(found: list[Rows], boxes: Any, scores: Any, case: Case, threshold: float, **given: Any) -> None:
    images = compared = left_out = 0
    for one, *image in zip(found, boxes, scores, strict=True):
        listed = peers.candidates(*image, threshold)
        if near_ties(listed, IOU_THRESHOLD, MARGIN, threshold):
            continue
        expected = peers.clipped(peers.suppressed(listed, IOU_THRESHOLD), case.size).take(slice(MOST))
        left_out += assert_same(one, expected, MOST, **given)
        images, compared = images + 1, compared + len(expected)
    assert images >= 0.6 * case.batch
    assert compared >= 2 * images
    assert left_out <= 2 * images


def names(labels: int) -> list[str]:
    return [str(row) for row in range(labels)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("threshold", [0.05, 0.3])
@pytest.mark.parametrize("case", CASES)
def test_yolo_output_equals_region_yolo(case: Case, threshold: float, layout: str) -> None:
    tensor = grid(case, 32, len(V2_ANCHORS))
    run = openvino_graphs.region_yolo(tensor.shape, case.labels, len(V2_ANCHORS), do_softmax=True)
    activated = run(tensor).reshape(tensor.shape)  # which it flattens, from the axis of its softmax on
    boxes, scores = decoded(activated, V2_ANCHORS * 32, case.labels, case.size)

    output = YoloOutput(output_tensor="grid", anchors=tuple(V2_ANCHORS.ravel().tolist()), layout=layout)
    post = PostProcessor.for_detection(
        names(case.labels), output, thresholds=threshold, nms_threshold=IOU_THRESHOLD
    )
    if layout == "channels_last":
        tensor = np.ascontiguousarray(tensor.transpose(0, 2, 3, 1))
    found = rows_of(post({"grid": tensor}, max_predictions=MOST), [case.size] * case.batch)
    compare(found, boxes, scores, case, threshold, score_tolerance=SOFTMAX_TOLERANCE)


@pytest.mark.parametrize("scales", [(1.0, 1.0, 1.0), V4_SCALES], ids=["v3", "v4"])
@pytest.mark.parametrize("threshold", [0.05, 0.3])
@pytest.mark.parametrize("case", CASES)
def test_yolov3_output_equals_region_yolo(case: Case, threshold: float, scales: tuple[float, ...]) -> None:
    masks = ((6, 7, 8), (3, 4, 5), (0, 1, 2))  # the coarsest grid first, as darknet has them
    tensors, boxes, scores = {}, [], []
    for stride, mask, scale in zip((32, 16, 8), masks, scales, strict=True):
        tensor = tensors[f"grid {stride}"] = grid(case, stride, len(mask))
        run = openvino_graphs.region_yolo(tensor.shape, case.labels, len(mask), do_softmax=False)
        of_grid = decoded(run(tensor), V3_ANCHORS[list(mask)], case.labels, case.size, scale)
        boxes.append(of_grid[0])
        scores.append(of_grid[1])

    output = Yolov3Output(
        output_tensors=tuple(tensors),
        anchors=tuple(V3_ANCHORS.astype(float).ravel().tolist()),
        anchor_masks=masks,
        scale_x_y=scales,
        layout="channels_first",
    )
    post = PostProcessor.for_detection(
        names(case.labels), output, thresholds=threshold, nms_threshold=IOU_THRESHOLD, input_size=case.size
    )
    found = rows_of(post(tensors, max_predictions=MOST), [case.size] * case.batch)
    compare(found, np.concatenate(boxes, axis=1), np.concatenate(scores, axis=1), case, threshold)
