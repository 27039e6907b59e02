"""The whole post-processing of YOLO outputs, up to 300 detections an image."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.contest import OURS, Columns, Peer, by_content
from benchmarks.data.scenes import Floats
from benchmarks.data.yolo import LABELS, PAGE
from benchmarks.peers.floors import FLOORS
from benchmarks.peers.sessions import yolov8_session
from postproc import PostProcessor, YoloOutput, Yolov8Output

IOU_THRESHOLD = 0.5
MOST = 300
# Below it users want every label of a box, above it the best one: of these inputs no box has two.
_SERVING = 0.1

Run = Callable[[], Any]


class Yolov8Case(NamedTuple):
    """A tensor (B, 84, 8400), and the threshold of all labels."""

    tensor: Floats
    threshold: float


class GridCase(NamedTuple):
    """A YOLOv2 grid (1, H, W, A * (5 + L)), its anchors in cells and the threshold of all labels."""

    tensor: Floats
    anchors: tuple[float, ...]
    labels: int
    threshold: float


@cache
def our_yolov8(threshold: float, num_threads: int = 1, nms_threshold: float = IOU_THRESHOLD) -> PostProcessor:
    """Make the post-processor of a YOLOv8."""
    return PostProcessor.for_detection(
        [f"label {row}" for row in range(LABELS)],
        Yolov8Output(output_tensor="tensor"),
        thresholds=threshold,
        nms_threshold=nms_threshold,
        input_size=[PAGE, PAGE],
        num_threads=num_threads,
    )


def ours(case: Yolov8Case) -> Run:
    return partial(our_yolov8(case.threshold), {"tensor": case.tensor}, max_predictions=MOST)


def our_columns(case: Any, result: Any) -> Columns:
    """The detections of one output: image, label, score and normalized box."""
    (found,) = result.outputs
    images = np.repeat(np.arange(len(found)), np.diff(found.offsets))
    return by_content(images, found.labels, found.scores, found.boxes)


def ultralytics_nms() -> Callable[..., Any]:
    """Import its NMS, which writes settings, and asks the network for news."""
    os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.gettempdir())
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_VERBOSE", "false")
    from ultralytics.utils.nms import non_max_suppression

    run: Callable[..., Any] = non_max_suppression
    return run


def ultralytics(case: Yolov8Case) -> Run:
    """Run its NMS as it is where torchvision has been imported before."""
    import torch
    import torchvision  # noqa: F401

    return partial(
        ultralytics_nms(),
        torch.from_numpy(case.tensor),
        case.threshold,
        IOU_THRESHOLD,
        multi_label=case.threshold < _SERVING,
        max_det=MOST,
        max_time_img=60.0,
    )


def ultralytics_alone(case: Yolov8Case) -> Run:
    """Run its NMS as it is where torchvision has not been imported."""
    run = ultralytics(case)

    def without_torchvision() -> Any:
        hidden = sys.modules.pop("torchvision")
        try:
            return run()
        finally:
            sys.modules["torchvision"] = hidden

    return without_torchvision


def _ultralytics_columns(case: Yolov8Case, result: Any) -> Columns:
    images = np.repeat(np.arange(len(result)), [len(image) for image in result])
    rows = np.concatenate([image.numpy() for image in result])
    return by_content(images, rows[:, 5].astype(np.int64), rows[:, 4], _normalized(rows[:, :4]))


def onnx_graph(case: Yolov8Case) -> Run:
    session = yolov8_session(case.threshold, IOU_THRESHOLD, MOST, LABELS)
    feeds = {"tensor": case.tensor}

    def run() -> Any:
        rows, scores, corners = session.run(None, feeds)
        images = [np.flatnonzero(rows[:, 0] == image)[:MOST] for image in range(len(case.tensor))]
        return [(rows[image, 1], scores[image], corners[image]) for image in images]

    return run


def numpy_opencv(case: Yolov8Case) -> Run:
    """Run the script of most repositories: transpose, best label of every box, filter, suppress."""

    def candidates(table: Floats) -> tuple[Any, Any, Any]:
        predictions = table.T
        if case.threshold < _SERVING:
            rows, labels = np.nonzero(predictions[:, 4:] > case.threshold)
            return rows, labels, predictions[rows, 4 + labels]
        labels = np.argmax(predictions[:, 4:], axis=1)
        scores = np.max(predictions[:, 4:], axis=1)
        rows = np.flatnonzero(scores > case.threshold)
        return rows, labels[rows], scores[rows]

    return _suppressed_by_opencv(case, candidates)


def tuned_numpy_opencv(case: Yolov8Case) -> Run:
    """Run the same script as NumPy does it best: along the planes, labels of survivors only."""

    def candidates(table: Floats) -> tuple[Any, Any, Any]:
        planes = table[4:]
        if case.threshold < _SERVING:
            labels, rows = np.nonzero(planes > case.threshold)
            return rows, labels, planes[labels, rows]
        scores = planes.max(axis=0)
        rows = np.flatnonzero(scores > case.threshold)
        return rows, planes[:, rows].argmax(axis=0), scores[rows]

    return _suppressed_by_opencv(case, candidates)


def _suppressed_by_opencv(case: Yolov8Case, candidates: Callable[[Floats], tuple[Any, Any, Any]]) -> Run:
    import cv2

    def image(table: Floats) -> tuple[Any, Any, Any]:
        rows, labels, scores = candidates(table)
        boxes = table[:4, rows].T
        boxes[:, :2] -= boxes[:, 2:] / 2
        kept = cv2.dnn.NMSBoxesBatched(
            boxes.tolist(), scores.tolist(), labels.tolist(), case.threshold, IOU_THRESHOLD
        )
        kept = np.asarray(kept, np.int64)[:MOST]
        boxes = boxes[kept]
        boxes[:, 2:] += boxes[:, :2]
        return labels[kept], scores[kept], boxes

    return lambda: [image(table) for table in case.tensor]


def _columns_in_pixels(case: Yolov8Case, result: Any) -> Columns:
    labels, scores, boxes = (np.concatenate(column) for column in zip(*result, strict=True))
    images = np.repeat(np.arange(len(result)), [len(image[0]) for image in result])
    return by_content(images, labels, scores, _normalized(boxes))


def _normalized(boxes: Any) -> Any:
    return np.clip(boxes / np.float32(PAGE), 0, 1)


@cache
def _our_yolov2(anchors: tuple[float, ...], labels: int, threshold: float) -> PostProcessor:
    return PostProcessor.for_detection(
        [f"label {row}" for row in range(labels)],
        YoloOutput(output_tensor="grid", anchors=anchors),
        thresholds=threshold,
        nms_threshold=IOU_THRESHOLD,
    )


def our_grid(case: GridCase) -> Run:
    post = _our_yolov2(case.anchors, case.labels, case.threshold)
    return partial(post, {"grid": case.tensor}, max_predictions=MOST)


def grid_numpy_opencv(case: GridCase) -> Run:
    """Decode all cells in NumPy, then suppress in OpenCV."""
    import cv2

    anchors = np.array(case.anchors, np.float32).reshape(-1, 2)

    def image(grid: Floats) -> tuple[Any, Any, Any]:
        height, width = grid.shape[:2]
        grid = grid.reshape(height, width, len(anchors), -1)
        cells = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)[:, :, None]
        centres = (1 / (1 + np.exp(-grid[..., :2])) + cells) / (width, height)
        sizes = np.exp(grid[..., 2:4]) * anchors / (width, height)
        objectness = 1 / (1 + np.exp(-grid[..., 4:5]))
        exponentials = np.exp(grid[..., 5:] - grid[..., 5:].max(axis=-1, keepdims=True))
        scores = objectness * exponentials / exponentials.sum(axis=-1, keepdims=True)
        *where, labels = np.nonzero(scores > case.threshold)
        boxes = np.concatenate([centres - sizes / 2, sizes], axis=-1)[tuple(where)]
        scores = scores[(*where, labels)]
        kept = cv2.dnn.NMSBoxesBatched(
            boxes.tolist(), scores.tolist(), labels.tolist(), case.threshold, IOU_THRESHOLD
        )
        kept = np.asarray(kept, np.int64)[:MOST]
        boxes = boxes[kept]
        boxes[:, 2:] += boxes[:, :2]
        return labels[kept], scores[kept], np.clip(boxes, 0, 1)

    return lambda: [image(grid) for grid in case.tensor]


def _grid_columns(case: GridCase, result: Any) -> Columns:
    ((labels, scores, boxes),) = result
    return by_content(np.zeros(len(labels), np.int64), labels, scores, boxes)


YOLOV8 = {
    OURS: Peer(ours, our_columns),
    "ultralytics": Peer(ultralytics, _ultralytics_columns, needs=("torch", "torchvision", "ultralytics")),
    "ultralytics, no torchvision": Peer(
        ultralytics_alone, _ultralytics_columns, needs=("torch", "torchvision", "ultralytics")
    ),
    "ONNX Runtime": Peer(onnx_graph, _columns_in_pixels, needs=("onnx", "onnxruntime")),
    "NumPy + OpenCV": Peer(numpy_opencv, _columns_in_pixels, needs=("cv2",)),
    "NumPy + OpenCV, tuned": Peer(tuned_numpy_opencv, _columns_in_pixels, needs=("cv2",)),
    **FLOORS,
}
YOLOV2 = {
    OURS: Peer(our_grid, our_columns),
    "NumPy + OpenCV": Peer(grid_numpy_opencv, _grid_columns, needs=("cv2",)),
    **FLOORS,
}
