"""Masks pasted as torchvision does it, and those left out that ultralytics' predict leaves out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from postproc import EndToEndOutput, PastedDetections, PostProcessor, SegmentedDetections, Yolov8SegOutput
from tests.parity import peers

SIZES = [(64, 96), (333, 250)]
SIDE = 28


def boxes_of(name: str, rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    low = rng.uniform(0, 0.9, (12, 2))
    sizes = {
        "usual": rng.uniform(0.02, 0.6, (12, 2)),
        "tiny": rng.uniform(1e-4, 0.02, (12, 2)),
        "beyond": rng.uniform(0.3, 2, (12, 2)),
        "huge": rng.uniform(5, 20, (12, 2)),
        "whole": rng.uniform(0.1, 0.6, (12, 2)),
    }[name]
    if name in ("beyond", "huge"):
        low -= sizes / 2
    boxes = np.concatenate([low, low + sizes], axis=1) * [width, height, width, height]
    return (np.round(boxes) if name == "whole" else boxes).astype(np.float32)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", ["usual", "tiny", "beyond", "huge", "whole"])
def test_masks_are_pasted_as_by_torchvision(name: str, size: tuple[int, int]) -> None:
    torch, heads = peers.load("torch"), peers.load("torchvision.models.detection.roi_heads")
    rng = np.random.default_rng(len(name))
    boxes = boxes_of(name, rng, *size)
    if name == "whole":
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    # Smooth, as networks give them, and without any structure.
    masks = rng.random((12, 1, SIDE, SIDE), np.float32)
    masks[::2] = torch.nn.functional.interpolate(
        torch.from_numpy(masks[::2, :, :4, :4]), size=(SIDE, SIDE), mode="bicubic"
    ).numpy()
    output = EndToEndOutput(
        boxes_tensor="boxes", scores_tensor="scores", classes_tensor="labels", masks_tensor="masks"
    )
    post = PostProcessor.for_detection(["thing"], output, thresholds=0.05, input_size=list(size))
    scores = np.linspace(0.9, 0.1, 12, dtype=np.float32)
    tensors = {"boxes": boxes, "scores": scores, "labels": np.zeros(12, np.int64), "masks": masks}
    (found,) = post(tensors).outputs
    assert isinstance(found, PastedDetections)
    assert len(found.regions) >= 11
    rows = torch.from_numpy(found.regions)
    expected = heads.paste_masks_in_image(
        torch.from_numpy(masks)[rows], torch.from_numpy(boxes)[rows], size
    ).numpy()[:, 0]
    actual = found.masks(size)
    differs = actual != (expected > 0.5)
    assert actual.any()
    assert (np.abs(expected[differs] - 0.5) < 1e-5).all()
    assert differs.sum() <= 1e-4 * actual.sum()


@pytest.mark.parametrize("seed", range(6))
def test_detections_without_a_mask_are_left_out_as_by_ultralytics(seed: int) -> None:
    torch = peers.load("torch")
    segment = peers.load("ultralytics.models.yolo.segment.predict")
    rng = np.random.default_rng(seed)
    size, image = (64, 96), (128, 192)
    count, prototypes = 60, rng.normal(0, 1, (4, 16, 24)).astype(np.float32)
    centres, sides = rng.uniform(0, 1, (count, 2)), rng.uniform(0.002, 0.1, (count, 2))
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1) * [96, 64, 96, 64]
    numbers = {
        "boxes": boxes,
        "scores": np.linspace(0.95, 0.3, count)[:, np.newaxis],
        "classes": np.zeros((count, 1)),
        "coefficients": rng.normal(0, 1, (count, 4)),
    }
    rows = np.concatenate([*numbers.values()], axis=1).astype(np.float32)

    predictor = segment.SegmentationPredictor.__new__(segment.SegmentationPredictor)
    predictor.args = SimpleNamespace(retina_masks=False)
    predictor.model = SimpleNamespace(names={0: "thing"})
    result = predictor.construct_result(
        torch.from_numpy(rows.copy()),
        torch.zeros(1, 3, *size),
        np.zeros((*image, 3), np.uint8),
        "image.jpg",
        torch.from_numpy(prototypes),
    )
    expected = result.boxes.conf.numpy()
    assert 5 < len(expected) < count - 5

    finished = EndToEndOutput.load(
        {
            "output_tensor": "rows",
            "columns": ["box", "score", "class", "coefficients"],
            "prototypes_tensor": "prototypes",
            "keep_empty_masks": False,
        }
    )
    table = Yolov8SegOutput(
        output_tensor="rows",
        prototypes_tensor="prototypes",
        box_format="xyxy",
        layout="channels_last",
        keep_empty_masks=False,
    )
    without_classes = np.delete(rows, 5, axis=1)
    tensors: list[tuple[Any, NDArray[np.float32]]] = [(finished, rows), (table, without_classes)]
    for output, given in tensors:
        post = PostProcessor.for_detection(
            ["thing"], output, thresholds=0.25, nms_threshold=1, input_size=list(size)
        )
        (found,) = post({"rows": given[np.newaxis], "prototypes": prototypes[np.newaxis]}).outputs
        assert isinstance(found, SegmentedDetections)
        assert_array_equal(found.scores, expected)
