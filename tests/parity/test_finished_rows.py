"""`end_to_end_output` of rows that ultralytics selects, against the results it makes of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from postproc import EndToEndOutput, ImageTransform, PostProcessor
from tests.parity import peers

INPUT, IMAGE = (256, 320), (120, 300)  # (height, width); both sides are scaled by just the same
LABELS = ["a", "b", "c"]
MOST, POINTS, COEFFICIENTS = 60, 5, 8
THRESHOLD = 0.3
COLUMNS: tuple[Any, ...] = ("box", "score", "class")


def table(more: NDArray[Any], turned: bool, seed: int = 0) -> NDArray[np.float32]:
    """Return what a head decodes of 200 cells: boxes, a score for each label, and more."""
    rng = np.random.default_rng(seed)
    centres, sizes = rng.uniform([40, 60], [280, 200], (200, 2)), rng.uniform(20, 70, (200, 2))
    boxes = [centres, sizes] if turned else [centres - sizes / 2, centres + sizes / 2]
    return np.concatenate([*boxes, rng.random((200, len(LABELS))), more], axis=1)[None].astype(np.float32)


def selected(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the finished rows that an end to end head of ultralytics selects."""
    torch, head = peers.load("torch"), peers.load("ultralytics.nn.modules.head")
    detect = head.Detect(nc=len(LABELS), ch=(16,))
    detect.max_det = MOST
    rows: NDArray[np.float32] = detect.postprocess(torch.from_numpy(numbers)).numpy()
    return rows


def theirs(task: str, predictor: str, rows: NDArray[np.float32], *further: Any) -> Any:
    """Return the results that a predictor of ultralytics makes of the rows above the threshold."""
    torch = peers.load("torch")
    kind = getattr(peers.load(f"ultralytics.models.yolo.{task}.predict"), predictor)
    made = object.__new__(kind)
    made.model = SimpleNamespace(names=dict(enumerate(LABELS)), kpt_shape=(POINTS, 3))
    made.args = SimpleNamespace(retina_masks=False)
    chosen = torch.from_numpy(rows[0][rows[0, :, 4] > THRESHOLD])
    image = np.zeros((*IMAGE, 3), np.uint8)
    return made.construct_result(chosen, torch.zeros((1, 3, *INPUT)), image, "image", *further)


def ours(output: EndToEndOutput, letterboxed: bool = True, **tensors: NDArray[Any]) -> Any:
    post = PostProcessor.for_detection(LABELS, output, thresholds=THRESHOLD, input_size=list(INPUT))
    transforms = [ImageTransform.letterbox(INPUT, IMAGE)] if letterboxed else None
    return post(tensors, transforms=transforms).outputs[0]


def same_order(found: Any, boxes: Any) -> Any:
    """Check labels and scores, whose ties ultralytics may list in another order, of which there are none."""
    assert_array_equal(found.scores, boxes.conf.numpy())
    assert_array_equal(found.labels, boxes.cls.numpy())
    assert len(found.labels) > 20
    return found


def test_end_to_end_poses_equal_ultralytics() -> None:
    rng = np.random.default_rng(1)
    points = rng.uniform([20, 40, 0], [300, 220, 1], (200, POINTS, 3)).reshape(200, -1)
    rows = selected(table(points, turned=False))
    output = EndToEndOutput(output_tensor="rows", columns=(*COLUMNS, "keypoints"), keypoints=POINTS)
    expected = theirs("pose", "PosePredictor", rows)
    found = same_order(ours(output, rows=rows), expected.boxes)
    assert_allclose(found.to_pixels(IMAGE), expected.boxes.xyxy.numpy(), atol=1e-3)
    pixels = found.keypoints_to_pixels(IMAGE)
    pixels[..., :2] = np.clip(pixels[..., :2], 0, IMAGE[::-1])
    assert_allclose(pixels, expected.keypoints.data.numpy(), atol=1e-3)


def test_end_to_end_oriented_boxes_equal_ultralytics() -> None:
    angles = np.random.default_rng(2).uniform(-0.7, 2.3, (200, 1))
    rows = selected(table(angles, turned=True))
    output = EndToEndOutput(output_tensor="rows", columns=(*COLUMNS, "angle"), box_format="cxcywh")
    expected = theirs("obb", "OBBPredictor", rows)
    found = same_order(ours(output, rows=rows), expected.obb)
    assert_allclose(found.angles, rows[0, found.regions, 6])
    assert_allclose(found.polygons_to_pixels(IMAGE), expected.obb.xyxyxyxy.numpy(), atol=1e-3)


def test_end_to_end_masks_equal_ultralytics() -> None:
    torch = peers.load("torch")
    rng = np.random.default_rng(3)
    rows = selected(table(rng.normal(-0.1, 1, (200, COEFFICIENTS)), turned=False))
    coarse = torch.tensor(rng.normal(0, 1, (1, COEFFICIENTS, 8, 10)), dtype=torch.float32)
    prototypes = torch.nn.functional.interpolate(coarse, (INPUT[0] // 4, INPUT[1] // 4), mode="bicubic")
    prototypes[..., :40] = -prototypes[..., :40].abs()
    rows[:, ::3, 6:] = np.abs(rows[:, ::3, 6:])  # on the left nothing is inside of these
    output = EndToEndOutput(
        output_tensor="rows", columns=(*COLUMNS, "coefficients"), prototypes_tensor="prototypes",
        keep_empty_masks=False,
    )  # fmt: skip
    found = ours(output, letterboxed=False, rows=rows, prototypes=prototypes.numpy())
    expected = theirs("segment", "SegmentationPredictor", rows, prototypes[0])
    same_order(found, expected.boxes)
    assert len(found.labels) < (rows[0, :, 4] > THRESHOLD).sum()
    masks = found[0].masks(INPUT)
    # What lies on the edge of a mask to the last bit may fall either way.
    assert (masks != expected.masks.data.numpy().astype(bool)).mean() < 1e-4


@pytest.mark.parametrize("dimensions", [2, 3])
def test_keypoints_beside_boxes_are_those_of_torchvision(dimensions: int) -> None:
    """Keypoint R-CNN's third number says that a keypoint is there: 1 for each."""
    torch, roi_heads = peers.load("torch"), peers.load("torchvision.models.detection.roi_heads")
    rng = np.random.default_rng(4)
    low = rng.uniform(10, 120, (9, 2))
    boxes = np.concatenate([low, low + rng.uniform(20, 80, (9, 2))], axis=1).astype(np.float32)
    maps = torch.tensor(rng.normal(0, 1, (9, 17, 56, 56)), dtype=torch.float32)
    (keypoints,), _ = roi_heads.keypointrcnn_inference(maps, [torch.from_numpy(boxes)])
    keypoints = keypoints[..., :dimensions].numpy()
    output = EndToEndOutput(
        boxes_tensor="boxes", scores_tensor="scores", classes_tensor="labels", classes="ids",
        keypoints_tensor="keypoints", keypoints=17, dimensions=dimensions,
    )  # fmt: skip
    post = PostProcessor.for_detection(
        ["person"], output, thresholds=0.0, label_ids=[1], input_size=[256, 256]
    )
    tensors = {
        "boxes": boxes,
        "scores": np.linspace(0.9, 0.5, 9, dtype=np.float32),
        "labels": np.ones(9, np.int64),
        "keypoints": keypoints,
    }
    (found,) = post(tensors).outputs
    assert found.skeleton
    assert_allclose(found.keypoints_to_pixels((256, 256)), keypoints, rtol=1e-5)
