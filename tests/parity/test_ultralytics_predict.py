"""Whole `predict` of ultralytics' oriented networks beside the documents that `inspect` writes for them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from postproc import ImageTransform, OrientedDetections, PostProcessor
from postproc.inspection import inspect_model
from tests.parity import peers

SIDE, MOST = 256, 3000
# (height, width): letterboxed without scaling, and scaled down, to whole sides: where sides are rounded,
# ultralytics 8.4.190 scales back by one gain an axis, and `ImageTransform.letterbox` by one for both.
SIZES = [(160, 256), (480, 640)]
NETWORKS = ("yolov8n-obb", "yolo11n-obb")


def picture(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Make squares of any colours, 16 pixels wide in the input: untrained layers see little else."""
    side = round(16 * max(size) / SIDE)
    squares = rng.integers(0, 256, (size[0] // side + 1, size[1] // side + 1, 3), np.uint8)
    return np.ascontiguousarray(squares.repeat(side, 0).repeat(side, 1)[: size[0], : size[1]])


def spread(layer: Any, arguments: tuple[Any, ...]) -> None:
    """Give a last layer weights by which its numbers differ by 1.5 or so."""
    (features,) = arguments
    layer.weight.normal_(0, 1.5 / float(features.square().mean() * features.shape[1]) ** 0.5)


def exported(name: str) -> Path:
    """Export a network of random weights, whose scores are spread and whose boxes overlap, to this folder."""
    torch, ultralytics = peers.load("torch"), peers.load("ultralytics")
    torch.manual_seed(3)
    rng = np.random.default_rng(3)
    network = ultralytics.YOLO(f"{name}.yaml", task="obb")
    model = network.model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # an average: signals of untrained layers would vanish
    head = model.model[-1]
    branches = ("cv2", "cv3", "cv4", "one2one_cv2", "one2one_cv3", "one2one_cv4")
    last = [layers[-1] for branch in branches for layers in getattr(head, branch, None) or ()]
    with torch.no_grad():
        images = np.stack([picture(rng, (SIDE, SIDE)) for _ in range(4)]).transpose(0, 3, 1, 2) / 255
        model(torch.from_numpy(images).float())
        hooks = [layer.register_forward_pre_hook(spread) for layer in last]
        model.eval()(torch.from_numpy(images).float())
        for hook in hooks:
            hook.remove()
        for layer in last:
            if layer.out_channels == head.nc:
                layer.bias.fill_(-6.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch says of the export that ultralytics chooses
        return Path(network.export(format="onnx", imgsz=SIDE, simplify=False, verbose=False))


@pytest.mark.parametrize("name", NETWORKS)
def test_oriented_document_of_inspect_equals_predict(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = exported(name)
    decided = inspect_model(path).decided
    assert decided is not None
    post = PostProcessor(decided.spec, decided.version)
    model = peers.load("ultralytics").YOLO(path, task="obb")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    rng, compared = np.random.default_rng(0), 0
    for size in SIZES:
        image = picture(rng, size)
        (expected,) = model.predict(image, imgsz=SIDE, verbose=False, max_det=MOST)
        tensor = model.predictor.preprocess([image]).numpy()
        (table,) = session.run(None, {session.get_inputs()[0].name: tensor})
        best = table[0, 4:-1].max(axis=0)
        if (np.unique(best[best > 0.25], return_counts=True)[1] > 1).any():
            continue  # its order of equal scores is any
        transform = ImageTransform.letterbox((SIDE, SIDE), size)
        (found,) = post({"output0": table}, max_predictions=MOST, transforms=[transform]).outputs
        assert isinstance(found, OrientedDetections)
        compared += assert_same(found, expected.obb, size)
    assert compared > 50


def assert_same(found: OrientedDetections, theirs: Any, size: tuple[int, int]) -> int:
    """Compare scores, labels and corners; boxes of which nothing is in the image are left out."""
    corners: NDArray[np.float32] = theirs.xyxyxyxy.numpy()
    low, high = corners.min(axis=1), corners.max(axis=1)
    is_inside = ((np.minimum(high, size[::-1]) - np.maximum(low, 0)) > 0).all(axis=1)
    scores, labels = theirs.conf.numpy(), theirs.cls.numpy()
    rows = np.flatnonzero(is_inside)
    assert_array_equal(found.scores, scores[rows])
    assert_array_equal(found.labels, labels[rows])
    assert_allclose(found.polygons_to_pixels(size), corners[rows], rtol=1e-4, atol=5e-3)
    return len(found.scores)
