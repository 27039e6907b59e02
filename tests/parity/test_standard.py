"""`standard_output` against torchvision's RetinaNet, and against the steps of DETR and RT-DETR in torch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc import PostProcessor
from postproc.schema import StandardOutput
from tests.parity import peers
from tests.parity.comparison import Rows, assert_same, near_ties, rows_of
from tests.parity.scenes import SETTINGS, Setting, Size, distinct_halves, scene

MOST = 300


def post_processor(
    labels: int, threshold: float, nms_threshold: float, size: Size, **given: Any
) -> PostProcessor:
    multi_label = given.pop("multi_label", True)
    return PostProcessor.for_detection(
        [str(row) for row in range(labels)],
        StandardOutput(boxes_tensor="boxes", scores_tensor="scores", **given),
        thresholds=threshold,
        nms_threshold=nms_threshold,
        input_size=size,
        multi_label=multi_label,
    )


def logits_of(scores: NDArray[np.float32], dtype: Any) -> NDArray[Any]:
    """Logits whose sigmoids are (about) these scores; in float16 no two above 0.01 are equal."""
    values = scores.astype(np.float64)
    logits = np.log(values / (1 - values)).astype(dtype)
    if dtype is np.float16:
        for image in logits:
            high = image > -4.6
            image[high] = distinct_halves(image[high])
    return logits


def queries(labels: int, batch: int, size: Size, dtype: Any) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Boxes (B, 300, 4) of queries, cx, cy, w, h in [0, 1], and scores (B, 300, L): cells of a scene."""
    made = scene(labels, batch, size)
    rows = np.argsort(-made.scores.max(axis=2), axis=1)[:, :300, None]
    boxes = np.take_along_axis(made.boxes, rows, axis=1) / np.array(size[::-1] * 2, np.float32)
    return boxes.astype(dtype), np.take_along_axis(made.scores, rows, axis=1)


@pytest.mark.parametrize("threshold", [0.05, 0.3])
@pytest.mark.parametrize("setting", SETTINGS)
def test_standard_output_of_a_retinanet_equals_torchvision(setting: Setting, threshold: float) -> None:
    labels, batch, size, dtype = setting
    made = scene(labels, batch, size)
    boxes = peers.corners(made.boxes).astype(dtype)
    logits = logits_of(made.scores, dtype)
    post = post_processor(labels, threshold, 0.5, size, score_activation="sigmoid", clip="before")
    found = rows_of(post({"boxes": boxes, "scores": logits}, max_predictions=MOST), [size] * batch)

    torch, retinanet = peers.load("torch"), peers.load("torchvision.models.detection.retinanet")
    coder = peers.load("torchvision.models.detection._utils").BoxCoder((1.0, 1.0, 1.0, 1.0))
    network = SimpleNamespace(
        box_coder=coder,
        score_thresh=threshold,
        nms_thresh=0.5,
        detections_per_img=MOST,
        topk_candidates=1 << 20,  # an export has all of them
    )
    anchors, scores = torch.from_numpy(boxes).float(), torch.from_numpy(logits).float()
    # Boxes as anchors that do not move: corners on quarters of a pixel stay there.
    outputs = {"cls_logits": [scores], "bbox_regression": [torch.zeros_like(anchors)]}
    theirs = retinanet.RetinaNet.postprocess_detections(
        network, outputs, [[image] for image in anchors], [size] * batch
    )
    images = compared = left_out = 0
    activated = scores.sigmoid().numpy()
    for row, (one, image) in enumerate(zip(found, theirs, strict=True)):
        listed = peers.candidates(boxes[row].astype(np.float32), activated[row], threshold)
        # Of corners on quarters of a pixel no Jaccard index hangs on the arithmetic; scores do.
        if near_ties(peers.clipped(listed, size), 0.5, margin=0, threshold=threshold):
            continue
        expected = Rows(image["labels"].numpy(), image["scores"].numpy(), image["boxes"].numpy())
        expected = peers.clipped(expected, size)
        left_out += assert_same(one, expected, MOST)
        images, compared = images + 1, compared + len(expected)
    assert images >= 0.9 * batch
    assert compared > 0
    assert left_out <= 5 * batch


@pytest.mark.parametrize("setting", SETTINGS)
def test_standard_output_of_a_detr_equals_torch(setting: Setting) -> None:
    labels, batch, size, dtype = setting
    boxes, scores = queries(labels, batch, size, np.float32)
    background = np.maximum(1 - scores.sum(axis=2, keepdims=True), 0.05)
    logits = np.log(np.concatenate([scores, background], axis=2)).astype(dtype)
    threshold = 0.2
    given = {"box_format": "cxcywh", "score_activation": "softmax", "background": "last"}
    post = PostProcessor.for_detection(
        [str(row) for row in range(labels)],
        StandardOutput(boxes_tensor="boxes", scores_tensor="scores", **given),
        thresholds=threshold,
        nms_threshold=1.0,
        multi_label=False,
    )
    found = rows_of(post({"boxes": boxes, "scores": logits}, max_predictions=MOST), [size] * batch)

    # DETR's own post-processing: softmax, the background left off, the best label of each query.
    torch = peers.load("torch")
    best, names = torch.from_numpy(logits).float().softmax(-1)[..., :-1].max(-1)
    images = compared = 0
    for one, image, score, label in zip(found, boxes, best.numpy(), names.numpy(), strict=True):
        if (np.abs(score - threshold) < 1e-6).any():
            continue
        rows = np.flatnonzero(score > threshold)
        rows = rows[np.argsort(-score[rows], kind="stable")]
        corners = peers.corners(image[rows]) * np.array(size[::-1] * 2, np.float32)
        expected = peers.clipped(Rows(label[rows], score[rows], corners), size)
        assert assert_same(one, expected, MOST) == 0
        images, compared = images + 1, compared + len(expected)
    assert images >= 0.9 * batch
    assert compared > 0


@pytest.mark.parametrize("setting", SETTINGS)
def test_standard_output_of_an_rt_detr_equals_torch(setting: Setting) -> None:
    labels, batch, size, dtype = setting
    boxes, scores = queries(labels, batch, size, np.float32)
    logits = logits_of(scores, dtype)
    post = PostProcessor.for_detection(
        [str(row) for row in range(labels)],
        StandardOutput(
            boxes_tensor="boxes", scores_tensor="scores", box_format="cxcywh", score_activation="sigmoid"
        ),
        thresholds=0.0,
        nms_threshold=1.0,
    )
    found = rows_of(post({"boxes": boxes, "scores": logits}, max_predictions=MOST), [size] * batch)

    # RT-DETR's own post-processing: the best 300 of all labels of all queries. Of those of a box that lies
    # outside of the image ours returns none, so that more are taken, and what is left is cut.
    torch = peers.load("torch")
    activated = torch.from_numpy(logits).float().sigmoid().flatten(1)
    best, index = activated.topk(min(activated.shape[1], 2 * MOST))
    queries_of, names = (index // labels).numpy(), (index % labels).numpy()
    compared = left_out = 0
    for one, image, score, row, label in zip(found, boxes, best.numpy(), queries_of, names, strict=True):
        corners = peers.corners(image[row]) * np.array(size[::-1] * 2, np.float32)
        expected = peers.clipped(Rows(label, score, corners), size).take(slice(MOST))
        left_out += assert_same(one, expected, MOST)
        compared += len(expected)
    assert compared >= 0.9 * min(MOST, 300 * labels) * batch
    assert left_out <= (5 if dtype is np.float32 else 20) * batch
