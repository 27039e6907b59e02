"""NMS of boxes, scores and labels; each peer gets the form of input that it is fastest with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.contest import OURS, Columns, Peer
from benchmarks.data.candidates import Candidates
from benchmarks.data.scenes import sizes_of
from benchmarks.peers.sessions import nms_session
from postproc import ops

IOU_THRESHOLD = 0.5

Run = Callable[[], Any]


def _kept(case: Candidates, kept: Any) -> Columns:
    return (np.sort(np.asarray(kept, np.int64)),)


def _kept_of_onnx(case: Candidates, outputs: Any) -> Columns:
    return _kept(case, outputs[0][:, 2])


def ours(case: Candidates) -> Run:
    return partial(ops.nms, case.boxes, case.scores, IOU_THRESHOLD)


def ours_batched(case: Candidates) -> Run:
    return partial(ops.batched_nms, case.boxes, case.scores, case.labels, IOU_THRESHOLD)


def torchvision(case: Candidates) -> Run:
    import torch
    from torchvision.ops import nms

    return partial(nms, torch.from_numpy(case.boxes), torch.from_numpy(case.scores), IOU_THRESHOLD)


def torchvision_batched(case: Candidates) -> Run:
    import torch
    from torchvision.ops import batched_nms

    return partial(batched_nms, *map(torch.from_numpy, case), IOU_THRESHOLD)


def corners_and_sizes(case: Candidates) -> list[list[float]]:
    """Boxes as OpenCV wants them, in a list: its binding reads lists faster than arrays."""
    boxes: list[list[float]] = np.concatenate([case.boxes[:, :2], sizes_of(case.boxes)], axis=1).tolist()
    return boxes


def opencv(case: Candidates) -> Run:
    import cv2

    return partial(cv2.dnn.NMSBoxes, corners_and_sizes(case), case.scores.tolist(), 0.0, IOU_THRESHOLD)


def opencv_batched(case: Candidates) -> Run:
    import cv2

    lists = corners_and_sizes(case), case.scores.tolist(), case.labels.tolist()
    return partial(cv2.dnn.NMSBoxesBatched, *lists, 0.0, IOU_THRESHOLD)


def onnxruntime(case: Candidates) -> Run:
    """Run its NonMaxSuppression, which wants a score per label and box: zero where the label is another."""
    labels = int(case.labels.max()) + 1
    scores = np.zeros((1, labels, len(case.scores)), np.float32)
    scores[0, case.labels, np.arange(len(case.scores))] = case.scores
    feeds = {"boxes": case.boxes[None], "scores": scores}
    return partial(nms_session(IOU_THRESHOLD, len(case.scores)).run, None, feeds)


def powerboxes(case: Candidates) -> Run:
    from powerboxes import nms

    return partial(nms, case.boxes, case.scores.astype(np.float64), IOU_THRESHOLD, 0.0)


def powerboxes_tree(case: Candidates) -> Run:
    from powerboxes import rtree_nms

    return partial(rtree_nms, case.boxes, case.scores.astype(np.float64), IOU_THRESHOLD, 0.0)


def lsnms(case: Candidates) -> Run:
    from lsnms import nms

    return partial(nms, case.boxes, case.scores, IOU_THRESHOLD)


def lsnms_batched(case: Candidates) -> Run:
    from lsnms import nms

    return partial(nms, case.boxes, case.scores, IOU_THRESHOLD, class_ids=case.labels)


ONE_LABEL = {
    OURS: Peer(ours, _kept),
    "torchvision": Peer(torchvision, _kept, needs=("torch", "torchvision")),
    "OpenCV": Peer(opencv, _kept, needs=("cv2",)),
    "ONNX Runtime": Peer(onnxruntime, _kept_of_onnx, needs=("onnx", "onnxruntime")),
    "powerboxes": Peer(powerboxes, _kept, needs=("powerboxes",)),
    "powerboxes, R-tree": Peer(powerboxes_tree, _kept, needs=("powerboxes",)),
    "lsnms": Peer(lsnms, _kept, needs=("lsnms",)),
}
MANY_LABELS = {
    OURS: Peer(ours_batched, _kept),
    "torchvision": Peer(torchvision_batched, _kept, needs=("torch", "torchvision")),
    "OpenCV": Peer(opencv_batched, _kept, needs=("cv2",)),
    "ONNX Runtime": Peer(onnxruntime, _kept_of_onnx, needs=("onnx", "onnxruntime")),
    "lsnms": Peer(lsnms_batched, _kept, needs=("lsnms",)),
}
