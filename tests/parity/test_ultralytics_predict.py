"""Whole `predict` of ultralytics' oriented networks beside the documents that `inspect` writes for them."""

from __future__ import annotations

import warnings
from functools import partial
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
# (height, width): letterboxed as they are, down and up to whole sides; then to sides that are rounded, by
# which the two gains differ.
SIZES = [(160, 256), (256, 256), (480, 640), (128, 96), (101, 77), (250, 33)]
# The options of its export: `nms=False` leaves the choice to the head that is trained for it.
NETWORKS = [("yolov8n-obb", {}), ("yolo11n-obb", {}), ("yolo26n-obb", {}), ("yolo26n-obb", {"nms": False})]


def picture(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Make squares of any colours, 16 pixels wide in the input: untrained layers see little else."""
    side = round(16 * max(size) / SIDE)
    squares = rng.integers(0, 256, (size[0] // side + 1, size[1] // side + 1, 3), np.uint8)
    return np.ascontiguousarray(squares.repeat(side, 0).repeat(side, 1)[: size[0], : size[1]])


def spread(layer: Any, arguments: tuple[Any, ...]) -> None:
    """Give a last layer weights by which its numbers differ by 1.5 or so."""
    (features,) = arguments
    layer.weight.normal_(0, 1.5 / float(features.square().mean() * features.shape[1]) ** 0.5)


def exported(name: str, options: dict[str, Any]) -> Path:
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
        return Path(network.export(format="onnx", imgsz=SIDE, simplify=False, verbose=False, **options))


@pytest.mark.parametrize(("name", "options"), NETWORKS, ids=lambda value: str(value))
def test_oriented_document_of_inspect_equals_predict(
    name: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch = peers.load("torch")
    path = exported(name, options)
    decided = inspect_model(path).decided
    assert decided is not None
    post = PostProcessor(decided.spec, decided.version)
    model = peers.load("ultralytics").YOLO(path, task="obb")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    # Its own is not stable: of boxes whose scores are equal, any would suppress the others.
    monkeypatch.setattr(torch, "argsort", partial(torch.argsort, stable=True))
    rng, compared, below = np.random.default_rng(0), [], 0
    for size in SIZES:
        image = picture(rng, size)
        (result,) = model.predict(image, imgsz=SIDE, verbose=False, max_det=MOST)
        tensor = model.predictor.preprocess([image]).numpy()
        (table,) = session.run(None, {session.get_inputs()[0].name: tensor})
        transform = ImageTransform.letterbox((SIDE, SIDE), size)
        (found,) = post({"output0": table}, max_predictions=MOST, transforms=[transform]).outputs
        assert isinstance(found, OrientedDetections)
        compared.append(assert_same(found, result.obb, transform))
        below += int((result.obb.xywhr[:, 2:4] < 0).any(dim=1).sum())
    assert sum(compared) > 400, compared
    assert np.count_nonzero(compared) >= 5, compared
    assert (below > 0) == (name == "yolo26n-obb")  # its distances have no bins, and may be below 0


def assert_same(found: OrientedDetections, theirs: Any, transform: ImageTransform) -> int:
    """Compare scores, labels and corners; boxes of which nothing is in the image are left out."""
    size = transform.image_size
    corners = placed_corners(theirs.xywhr.numpy().astype(np.float64), transform)
    low, high = corners.min(axis=1), corners.max(axis=1)
    is_inside = ((np.minimum(high, size[::-1]) - np.maximum(low, 0)) > 0).all(axis=1)
    scores, labels = theirs.conf.numpy(), theirs.cls.numpy()
    order = np.lexsort((labels, -scores))  # of equal ones the lower label is first, then the box
    rows = order[is_inside[order]]
    assert_array_equal(found.scores, scores[rows])
    assert_array_equal(found.labels, labels[rows])
    polygons = found.polygons_to_pixels(size)
    assert_allclose(polygons, corners[rows], rtol=1e-4, atol=5e-3)
    # What it scales in another way is no more than the gains are apart, of half of the other side.
    of_x, of_y = transform.scale
    sides = np.abs(theirs.xywhr.numpy()[rows, 2:4]) / 2
    apart = sides[:, ::-1] * [abs(1 - of_y / of_x), abs(1 - of_x / of_y)]
    gaps = np.abs(polygons - theirs.xyxyxyxy.numpy()[rows]).max(axis=1)
    assert (gaps <= apart + 5e-3 + 1e-4 * np.abs(polygons).max(axis=1)).all()
    return len(found.scores)


def placed_corners(boxes: NDArray[np.float64], transform: ImageTransform) -> NDArray[np.float64]:
    """Corners (N, 4, 2) in the image of boxes that ultralytics 8.4.190 scaled back.

    Its `scale_boxes` divides widths by the gain of x and heights by that of y, however a box is turned;
    corners are where they were in the network's input if x is divided by the one, and y by the other.
    """
    gains = np.array(transform.scale)
    halves, angles = boxes[:, 2:4] * gains / 2, boxes[:, 4]
    cos, sin = np.cos(angles), np.sin(angles)
    along = np.stack([cos, sin], axis=1) * halves[:, :1]
    across = np.stack([-sin, cos], axis=1) * halves[:, 1:]
    around = np.stack([along + across, along - across, -along - across, across - along], axis=1)
    corners: NDArray[np.float64] = boxes[:, None, :2] + around / gains
    return corners
