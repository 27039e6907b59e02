"""Keypoints, masks and corners beside those of ultralytics, where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from postproc import (
    ImageTransform,
    KeypointDetections,
    OrientedDetections,
    PostProcessor,
    SegmentedDetections,
    Yolov8ObbOutput,
    Yolov8PoseOutput,
    Yolov8SegOutput,
)
from tests.images.test_letterbox import ultralytics

HEIGHT, WIDTH = 256, 320
IMAGE = (200, 300)


def boxes(rng: np.random.Generator, count: int = 12) -> Any:
    """Return boxes (count, 4) as cx, cy, w, h in the middle of the input, with scores of one label."""
    centres = rng.uniform([60, 70], [260, 190], (count, 2))
    sizes = rng.uniform(20, 90, (count, 2))
    return np.concatenate([centres, sizes, rng.uniform(0.5, 1, (count, 1))], axis=1)


def detect(output: Any, rows: Any, transforms: Any = None, **tensors: Any) -> Any:
    post = PostProcessor.for_detection(
        ["a"], output, thresholds=0.2, nms_threshold=1.0, input_size=[HEIGHT, WIDTH]
    )
    return post({"t": rows[np.newaxis].astype(np.float32), **tensors}, transforms=transforms).outputs[0]


def test_yolov8_pose_keypoints_equal_scale_coords() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    points = rng.uniform([20, 40, 0], [300, 220, 1], (12, 5, 3))
    output = Yolov8PoseOutput(output_tensor="t", keypoints=5, layout="channels_last")
    rows = np.concatenate([boxes(rng), points.reshape(12, 15)], axis=1)
    found = detect(output, rows, [ImageTransform.letterbox((HEIGHT, WIDTH), IMAGE)])
    assert isinstance(found, KeypointDetections)
    expected = (
        ultralytics("utils.ops")
        .scale_coords((HEIGHT, WIDTH), torch.tensor(points[found.regions], dtype=torch.float32), IMAGE)
        .numpy()
    )
    pixels = found.keypoints_to_pixels(IMAGE)
    pixels[..., :2] = np.clip(pixels[..., :2], 0, IMAGE[::-1])
    assert_allclose(pixels, expected, atol=1e-3)


def test_yolov8_obb_corners_equal_xywhr2xyxyxyxy() -> None:
    rng = np.random.default_rng(1)
    rows = np.concatenate([boxes(rng), rng.uniform(-2, 2, (12, 1))], axis=1)
    found = detect(Yolov8ObbOutput(output_tensor="t", layout="channels_last"), rows)
    assert isinstance(found, OrientedDetections)
    expected = ultralytics("utils.ops").xywhr2xyxyxyxy(rows[found.regions][:, [0, 1, 2, 3, 5]])
    assert_allclose(found.polygons_to_pixels((HEIGHT, WIDTH)), expected, atol=1e-3)


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (HEIGHT // 4, WIDTH // 4)], ids=["input", "prototypes"])
def test_yolov8_seg_masks_equal_process_mask(size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    rows = np.concatenate([boxes(rng), rng.normal(0, 1, (12, 8))], axis=1).astype(np.float32)
    coarse = torch.tensor(rng.normal(0, 1, (1, 8, 8, 10)), dtype=torch.float32)
    prototypes = torch.nn.functional.interpolate(coarse, (HEIGHT // 4, WIDTH // 4), mode="bicubic")
    output = Yolov8SegOutput(output_tensor="t", prototypes_tensor="p", layout="channels_last")
    found = detect(output, rows, p=prototypes.numpy())
    assert isinstance(found, SegmentedDetections)
    upsampled = size == (HEIGHT, WIDTH)
    expected = (
        ultralytics("utils.ops")
        .process_mask(
            prototypes[0],
            torch.tensor(found.coefficients),
            torch.tensor(found.to_pixels((HEIGHT, WIDTH))),
            (HEIGHT, WIDTH),
            upsample=upsampled,
        )
        .numpy()
    )
    masks = found.masks(size)
    assert masks.any(axis=(1, 2)).all()
    # What lies on the edge of a mask to the last bit may fall either way.
    assert (masks != expected.astype(bool)).mean() < 1e-4
