"""`yolox_output` against YOLOX's own steps: demo_postprocess in torch, then torchvision's NMS."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc import PostProcessor
from postproc.schema import YoloxOutput
from tests.parity import peers
from tests.parity.comparison import Rows, assert_same, near_ties, rows_of
from tests.parity.scenes import SETTINGS, STRIDES, THRESHOLDS, Scene, Setting, Size, cells_of, scene

IOU_THRESHOLD = 0.45
MOST = 300


def raw(made: Scene, size: Size) -> NDArray[np.float32]:
    """Return the tensor (B, N, 5 + L) that decodes to a scene."""
    cells = cells_of(size)
    spread = cells[:, 2:]
    moves, sizes = made.boxes[..., :2] / spread - cells[:, :2], np.log(made.boxes[..., 2:] / spread)
    return np.concatenate([moves, sizes, *made.factors()], axis=2).astype(np.float32)


def demo_postprocess(outputs: Any, size: Size) -> Any:
    """Decode as YOLOX's demo_postprocess does (arXiv:2107.08430), with its grids and expanded strides.

    In doubles, so that what is left to differ is our rounding alone.
    """
    torch = peers.load("torch")
    grids, expanded = [], []
    for stride in STRIDES:
        height, width = size[0] // stride, size[1] // stride
        yv, xv = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        grids.append(torch.stack((xv, yv), 2).view(1, -1, 2))
        expanded.append(torch.full((1, height * width, 1), stride))
    grid, stride = torch.cat(grids, 1), torch.cat(expanded, 1)
    centres = (outputs[..., :2].double() + grid) * stride
    halves = outputs[..., 2:4].double().exp() * stride / 2
    return torch.cat((centres - halves, centres + halves), dim=2)


def expected_of(tensor: NDArray[Any], size: Size, threshold: float, multi_label: bool = True) -> list[Rows]:
    """Return the candidates of each image."""
    torch = peers.load("torch")
    outputs = torch.from_numpy(tensor).float()
    boxes = demo_postprocess(outputs, size).float().numpy()
    scores = (outputs[..., 4:5] * outputs[..., 5:]).numpy()
    return [peers.candidates(*image, threshold, multi_label) for image in zip(boxes, scores, strict=True)]


def compare(
    tensor: NDArray[Any], size: Size, labels: int, threshold: float, multi_label: bool = True
) -> None:
    post = PostProcessor.for_detection(
        [str(row) for row in range(labels)],
        YoloxOutput(output_tensor="t"),
        thresholds=threshold,
        nms_threshold=IOU_THRESHOLD,
        input_size=size,
        multi_label=multi_label,
    )
    batch = len(tensor)
    found = rows_of(post({"t": tensor}, max_predictions=MOST), [size] * batch)
    images = compared = left_out = 0
    for one, listed in zip(found, expected_of(tensor, size, threshold, multi_label), strict=True):
        if near_ties(listed, IOU_THRESHOLD):
            continue
        expected = peers.clipped(peers.suppressed(listed, IOU_THRESHOLD), size)
        expected = expected.take(slice(MOST))
        left_out += assert_same(one, expected, MOST, score_tolerance=0)
        images, compared = images + 1, compared + len(expected)
    assert images >= 0.9 * batch
    assert compared > 0
    assert left_out <= 5 * batch


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_yolox_output_any_setting_equals_its_own_steps(setting: Setting, threshold: float) -> None:
    labels, batch, size, dtype = setting
    tensor = raw(scene(labels, batch, size), size).astype(dtype)
    compare(tensor, size, labels, threshold)


@pytest.mark.parametrize("multi_label", [True, False], ids=["multi_label", "best label"])
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_yolox_output_of_a_square_input_equals_its_own_steps(threshold: float, multi_label: bool) -> None:
    tensor = raw(scene(80, 2, (416, 416), seed=1), (416, 416))
    compare(tensor, (416, 416), 80, threshold, multi_label)
