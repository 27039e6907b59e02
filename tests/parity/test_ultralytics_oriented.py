"""`yolov8_obb_output` against ultralytics: batch_probiou, and non_max_suppression of rotated boxes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc import PostProcessor, Yolov8ObbOutput, ops
from tests.parity import peers

SIDE = 1024
MOST = 500
PROBIOU = {"iou": "probiou", "suppression": "fast"}


def boxes_of(rng: np.random.Generator, count: int, is_clustered: bool, longest: float) -> NDArray[np.float32]:
    """Make boxes (N, 5), all of them in the image in part."""
    objects = max(count // 10, 1) if is_clustered else count
    sizes = np.exp(rng.uniform(math.log(8), math.log(150), (objects, 1)))
    shapes = np.exp(rng.uniform(0, math.log(longest), (objects, 1)))
    made = np.concatenate(
        [
            rng.uniform(100, SIDE - 100, (objects, 2)),
            sizes,
            np.maximum(sizes / shapes, 2),
            rng.uniform(-math.pi / 4, 3 * math.pi / 4, (objects, 1)),
        ],
        axis=1,
    )
    if is_clustered:
        made = made[rng.integers(0, objects, count)]
        made[:, :2] += rng.normal(0, 0.06, (count, 2)) * made[:, 3:4]
        made[:, 2:4] *= rng.lognormal(0, 0.08, (count, 2))
        made[:, 4] += rng.normal(0, 0.05, count)
    return made.astype(np.float32)


def indices(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    torch, metrics = peers.load("torch"), peers.load("ultralytics.utils.metrics")
    found = torch.from_numpy(boxes)
    result: NDArray[np.float32] = metrics.batch_probiou(found, found).numpy()
    return result


@pytest.mark.parametrize("is_clustered", [False, True], ids=["scattered", "clustered"])
@pytest.mark.parametrize("longest", [2, 8, 60])
def test_probiou_equals_ultralytics(longest: float, is_clustered: bool) -> None:
    boxes = boxes_of(np.random.default_rng(0), 600, is_clustered, longest)
    expected = indices(boxes)
    found = ops.oriented_box_iou(boxes, boxes, iou="probiou")
    # Sines of one last bit more or less: what the determinants of long boxes make of it, before the root.
    squares = (1 - found) ** 2, (1 - expected.astype(np.float64)) ** 2
    np.testing.assert_allclose(*squares, rtol=0, atol=5e-7 * max(1, longest**2 / 16))
    assert (np.abs(found - expected) < 2e-7).mean() > 0.9


@pytest.mark.parametrize("iou_threshold", [0.05, 0.2, 0.45, 0.7, 0.95])
@pytest.mark.parametrize("is_clustered", [False, True], ids=["scattered", "clustered"])
@pytest.mark.parametrize("labels", [1, 3])
def test_yolov8_obb_output_equals_ultralytics(labels: int, is_clustered: bool, iou_threshold: float) -> None:
    torch, nms = peers.load("torch"), peers.load("ultralytics.utils.nms")
    compared = rows = 0
    for seed in range(12):
        rng = np.random.default_rng([seed, labels])
        count = int(rng.choice([30, 120, 300]))
        boxes = boxes_of(rng, count, is_clustered, float(rng.choice([2, 8, 30])))
        scores = rng.permutation(count * labels).reshape(count, labels).astype(np.float32) / (count * labels)
        agnostic, multi_label = bool(seed % 2), bool(seed // 2 % 2)
        # It shifts labels apart, which rounds centres: so does this, by pixels that float32 has.
        boxes[:, :2] = np.round(boxes[:, :2] * 64) / 64
        overlaps = indices(boxes).astype(np.float64)
        if (np.abs(np.triu(overlaps, 1) - iou_threshold) < 1e-5).any():
            continue  # the last bits of a sine decide
        table = np.concatenate([boxes[:, :4], scores, boxes[:, 4:]], axis=1)
        (expected,), (kept,) = nms.non_max_suppression(
            torch.from_numpy(table.T[None].copy()), 0.1, iou_threshold, agnostic=agnostic,
            multi_label=multi_label, max_det=MOST, nc=labels, max_time_img=60.0, rotated=True,
            return_idxs=True,
        )  # fmt: skip
        post = PostProcessor.for_detection(
            [str(row) for row in range(labels)], Yolov8ObbOutput(output_tensor="t", layout="channels_last"),
            thresholds=0.1, nms_threshold=iou_threshold, class_agnostic=agnostic, multi_label=multi_label,
            input_size=[SIDE, SIDE], **PROBIOU,
        )  # fmt: skip
        found: Any = post({"t": table[None]}, max_predictions=MOST).outputs[0]
        np.testing.assert_array_equal(found.regions, kept.numpy().reshape(-1))
        np.testing.assert_array_equal(found.labels, expected[:, 5].numpy().astype(np.int64))
        np.testing.assert_array_equal(found.scores, expected[:, 4].numpy())
        compared += 1
        rows += len(found.scores)
    assert compared >= 8
    assert rows > 60
