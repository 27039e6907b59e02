"""Suppression of oriented boxes as of ultralytics: probiou, by all that are better."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from benchmarks.contest import OURS, Columns, Peer
from benchmarks.data.oriented import IOU_THRESHOLD, THRESHOLD, OrientedCandidates
from benchmarks.peers.yolo import ultralytics_nms
from postproc import PostProcessor, Yolov8ObbOutput

Run = Callable[[], Any]


@cache
def _suppressing(page: int) -> PostProcessor:
    return PostProcessor.for_detection(
        ["thing"],
        Yolov8ObbOutput(output_tensor="tensor"),
        thresholds=THRESHOLD,
        nms_threshold=IOU_THRESHOLD,
        iou="probiou",
        suppression="fast",
        input_size=[page, page],
    )


def ours(case: OrientedCandidates) -> Run:
    """Keep as many as there are: the peer compares all before it counts."""
    post = _suppressing(case.page)
    return partial(post, {"tensor": case.tensor}, max_predictions=case.tensor.shape[2])


def _our_rows(case: OrientedCandidates, result: Any) -> Columns:
    return (np.sort(result.outputs[0].regions),)


def ultralytics(case: OrientedCandidates) -> Run:
    import torch

    return partial(
        ultralytics_nms(),
        torch.from_numpy(case.tensor),
        THRESHOLD,
        IOU_THRESHOLD,
        nc=1,
        max_det=case.tensor.shape[2],
        max_time_img=60.0,
        rotated=True,
    )


def _rows(case: OrientedCandidates, result: Any) -> Columns:
    """The rows by their scores, none of which are equal."""
    return (np.flatnonzero(np.isin(case.tensor[0, 4], result[0][:, 4].numpy())),)


ORIENTED = {
    OURS: Peer(ours, _our_rows),
    "ultralytics": Peer(ultralytics, _rows, ("torch", "ultralytics")),
}
