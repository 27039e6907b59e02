"""`yolov8_output` and `yolov5_output` against ultralytics: non_max_suppression, then scale_boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc import ImageTransform, PostProcessor, Yolov8Output
from postproc.schema import DetectionOutput, Yolov5Output
from tests.parity import peers
from tests.parity.comparison import Rows, assert_same, near_ties, rows_of
from tests.parity.scenes import SETTINGS, THRESHOLDS, Setting, Size, scene

IOU_THRESHOLD = 0.7
MOST = 300

# (height, width) of the input and of the image: letterboxed to the sides, above and below, not at all.
LETTERBOXES = [
    ((384, 640), (427, 640)),
    ((384, 640), (1080, 1920)),
    ((640, 384), (375, 500)),
    ((640, 384), (1281, 720)),
    ((416, 416), (99, 1000)),
    ((320, 320), (33, 21)),
]
DECISIONS = [
    pytest.param({"multi_label": True}, id="multi_label"),
    pytest.param({"multi_label": False}, id="best label"),
    pytest.param({"multi_label": False, "class_agnostic": True}, id="best label, class_agnostic"),
    pytest.param({"multi_label": True, "class_agnostic": True}, id="multi_label, class_agnostic"),
]


def ours(
    output: DetectionOutput,
    tensor: NDArray[Any],
    labels: int,
    threshold: float,
    transforms: Sequence[ImageTransform],
    **decision: Any,
) -> list[Rows]:
    post = PostProcessor.for_detection(
        [str(row) for row in range(labels)],
        output,
        thresholds=threshold,
        nms_threshold=IOU_THRESHOLD,
        **decision,
    )
    found = post({"t": tensor}, max_predictions=MOST, transforms=transforms)
    return rows_of(found, [transform.image_size for transform in transforms])


def ultralytics(
    table: NDArray[np.float32],
    threshold: float,
    transforms: Sequence[ImageTransform],
    multi_label: bool = True,
    class_agnostic: bool = False,
) -> list[Rows]:
    """Run its steps on tables (B, 4 + L, N), and drop boxes of which nothing is in the image.

    It returns these, too, and counts them; so it is asked for more, and its results are cut here.
    """
    torch, nms, ops = (
        peers.load(name) for name in ("torch", "ultralytics.utils.nms", "ultralytics.utils.ops")
    )
    peers.load("torchvision")  # which it uses if something has imported it
    found = nms.non_max_suppression(
        torch.from_numpy(table.copy()),
        threshold,
        IOU_THRESHOLD,
        agnostic=class_agnostic,
        multi_label=multi_label,
        max_det=4 * MOST,
        max_time_img=60.0,
        # It shifts labels apart by this. Beyond 546 labels its default of 7680 would leave float32 no
        # quarters of a pixel, and its NMS would compare rounded boxes.
        max_wh=7680 if table.shape[1] < 500 else 2048,
    )
    results = []
    for image, transform in zip(found, transforms, strict=True):
        boxes = ops.scale_boxes(transform.input_size, image[:, :4].clone(), transform.image_size).numpy()
        sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1)
        assert not ((sides > 0) & (sides < 1e-3)).any()  # whether a sliver is in the image is a near tie
        rows = Rows(image[:, 5].numpy().astype(np.int64), image[:, 4].numpy(), boxes)
        results.append(rows.take(np.flatnonzero(sides > 0)[:MOST]))
    return results


def assert_all_same(found: list[Rows], expected: list[Rows], most_left_out: int = 1) -> None:
    assert sum(map(len, expected)) > 0
    left_out = sum(
        assert_same(one, other, MOST, score_tolerance=0) for one, other in zip(found, expected, strict=True)
    )
    assert left_out <= most_left_out * len(found)


def unplaced(size: Size, batch: int) -> list[ImageTransform]:
    """Return transforms of images as large as the input."""
    return [ImageTransform.letterbox(size, size)] * batch


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_yolov8_output_any_setting_equals_ultralytics(setting: Setting, threshold: float) -> None:
    labels, batch, size, dtype = setting
    table = scene(labels, batch, size).table(dtype)
    transforms = unplaced(size, batch)
    found = ours(Yolov8Output(output_tensor="t"), table, labels, threshold, transforms)
    expected = ultralytics(table.astype(np.float32), threshold, transforms)
    # Among the thousands of candidates of a float16 tensor some have the score at which results are cut.
    assert_all_same(found, expected, 1 if dtype is np.float32 else 5)


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_yolov5_output_any_setting_equals_ultralytics(setting: Setting, threshold: float) -> None:
    labels, batch, size, dtype = setting
    made = scene(labels, batch, size)
    tensor = np.concatenate([made.boxes, *made.factors()], axis=2).astype(dtype)
    transforms = unplaced(size, batch)
    found = ours(Yolov5Output(output_tensor="t"), tensor, labels, threshold, transforms)
    # YOLOv5's own NMS begins with this product (x[:, 5:] *= x[:, 4:5]); ultralytics 8 is without it.
    torch = peers.load("torch")
    rows = torch.from_numpy(tensor).float()
    rows = torch.cat((rows[..., :4], rows[..., 5:] * rows[..., 4:5]), dim=2)
    expected = ultralytics(rows.transpose(1, 2).contiguous().numpy(), threshold, transforms)
    assert_all_same(found, expected, 5)  # products of different factors may be equal


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize(("input_size", "image_size"), LETTERBOXES, ids=str)
def test_yolov8_output_letterboxed_equals_ultralytics(
    input_size: Size, image_size: Size, threshold: float, decision: dict[str, bool]
) -> None:
    table = scene(20, 2, input_size, seed=1).table()
    transforms = [ImageTransform.letterbox(input_size, image_size)] * 2
    found = ours(Yolov8Output(output_tensor="t"), table, 20, threshold, transforms, **decision)
    assert_all_same(found, ultralytics(table, threshold, transforms, **decision))


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_yolov5_output_letterboxed_equals_ultralytics(threshold: float, decision: dict[str, bool]) -> None:
    made = scene(20, 2, (384, 640), seed=2)
    tensor = np.concatenate([made.boxes, *made.factors()], axis=2)
    transforms = [ImageTransform.letterbox((384, 640), image) for image in ((427, 640), (1080, 607))]
    found = ours(Yolov5Output(output_tensor="t"), tensor, 20, threshold, transforms, **decision)
    torch = peers.load("torch")
    rows = torch.from_numpy(tensor)
    rows = torch.cat((rows[..., :4], rows[..., 5:] * rows[..., 4:5]), dim=2)
    expected = ultralytics(rows.transpose(1, 2).contiguous().numpy(), threshold, transforms, **decision)
    assert_all_same(found, expected, 5)


def test_yolov8_output_boxes_off_the_quarters_equal_ultralytics() -> None:
    # One label: it shifts nothing, so that its Jaccard indices are rounded as ours are.
    batch, size, threshold = 16, (384, 640), 0.01
    table = scene(1, batch, size, seed=3, on_quarters=False).table()
    transforms = unplaced(size, batch)
    found = ours(Yolov8Output(output_tensor="t"), table, 1, threshold, transforms)
    expected = ultralytics(table, threshold, transforms)
    rows = table.transpose(0, 2, 1)
    clear = [
        not near_ties(peers.candidates(peers.corners(image[:, :4]), image[:, 4:], threshold), IOU_THRESHOLD)
        for image in rows
    ]
    assert sum(clear) >= batch - 2
    assert_all_same(
        *([one for one, keep in zip(every, clear, strict=True) if keep] for every in (found, expected))
    )
