"""The third parties: imported where they are installed, and the steps that several tests take with them."""

from __future__ import annotations

import os
import tempfile
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.parity.comparison import Rows


def load(name: str) -> Any:
    """Import a module of a peer, or skip the test."""
    # ultralytics writes settings on import, and asks the network for news.
    os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.gettempdir())
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_VERBOSE", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(
            name, reason=f"needs {name.split('.')[0]}, of the extra bench", exc_type=ImportError
        )


def label_wise_nms(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[Any], iou_threshold: float
) -> NDArray[np.int64]:
    """Run torchvision's NMS label by label; return the rows kept, by descending score.

    Its own batched_nms shifts labels apart by coordinates, which rounds, where boxes are few.
    """
    torch, ops = load("torch"), load("torchvision.ops")
    kept = [np.empty(0, np.int64)]
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        found = ops.nms(torch.from_numpy(boxes[rows]), torch.from_numpy(scores[rows]), iou_threshold)
        kept.append(rows[found.numpy()])
    rows = np.concatenate(kept)
    return rows[np.lexsort((rows, labels[rows], -scores[rows]))]


def candidates(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], threshold: float, multi_label: bool = True
) -> Rows:
    """Return what is above the threshold, of boxes (N, 4) and scores (N, L)."""
    limit = np.float32(threshold)
    if multi_label:
        labels, rows = np.nonzero((scores > limit).T)
    else:
        rows = np.flatnonzero(scores.max(axis=1) > limit)
        labels = scores[rows].argmax(axis=1)
    return Rows(labels, scores[rows, labels], boxes[rows])


def suppressed(found: Rows, iou_threshold: float) -> Rows:
    """Return what torchvision's NMS leaves of the candidates of an image."""
    return found.take(label_wise_nms(found.boxes, found.scores, found.labels, iou_threshold))


def clipped(found: Rows, size: tuple[int, int]) -> Rows:
    """Clip boxes to (height, width), and drop those of which nothing is left."""
    boxes = np.clip(found.boxes, 0, np.array(size[::-1] * 2, np.float32))
    seen = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return Rows(found.labels, found.scores, boxes).take(seen)


def corners(boxes: NDArray[Any]) -> NDArray[Any]:
    """Corners of boxes (..., 4), given as centre and size."""
    halves = boxes[..., 2:] / 2
    result: NDArray[Any] = np.concatenate([boxes[..., :2] - halves, boxes[..., :2] + halves], axis=-1)
    return result
