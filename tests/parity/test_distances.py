"""`distance_output` against torchvision's FCOS, ultralytics' own decoding, and the formulas of others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc import Detections, DistanceOutput, PostProcessor
from postproc.results.keypoints import KeypointDetections
from tests.parity import peers
from tests.parity.comparison import Rows, assert_same, near_ties, rows_of

Array = NDArray[Any]
Size = tuple[int, int]

SIZE: Size = (256, 384)
IOU_THRESHOLD = 0.6
MOST = 2000
YOLO = (8, 16, 32)
FCOS = (8, 16, 32, 64, 128)


def cells_of(size: Size, strides: Sequence[int], offset: float, per_cell: int = 1) -> Array:
    """x and y of each place in pixels, and its stride: level after level, row by row, (N, 3)."""
    levels = []
    for stride in strides:
        rows, columns = np.mgrid[: -(-size[0] // stride), : -(-size[1] // stride)]
        places = [(columns.ravel() + offset) * stride, (rows.ravel() + offset) * stride]
        levels.append(np.repeat(np.stack([*places, np.full(rows.size, stride)], 1), per_cell, axis=0))
    return np.concatenate(levels).astype(np.float64)


def sides_in(cells: Array, size: Size, rng: np.random.Generator, batch: int) -> Array:
    """Distances of boxes within the image, in pixels, (B, N, 4); few of them overlap much."""
    reach = np.stack([cells[:, 0], cells[:, 1], size[1] - cells[:, 0], size[0] - cells[:, 1]], axis=1)
    wanted = rng.uniform(0.2, 4, (batch, len(cells), 4)) * cells[:, 2:]
    return np.minimum(wanted, np.maximum(reach, 0)).astype(np.float32)


def logits_of(rng: np.random.Generator, *shape: int, mean: float = -4.0) -> Array:
    return rng.normal(mean, 2, shape).astype(np.float32)


def sigmoid(values: Array) -> Array:
    return 1 / (1 + np.exp(-values.astype(np.float64)))


def expectation(logits: Array, first: int = 0) -> Array:
    """The mean of a softmax over the last axis, rounded to float32."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    numbers = np.arange(logits.shape[-1]) + first
    return ((powers * numbers).sum(axis=-1) / powers.sum(axis=-1)).astype(np.float32)


def levels_of(rows: Array, size: Size, strides: Sequence[int], per_cell: int = 1) -> list[Array]:
    """Cut (B, N, C) into its levels."""
    counts = [per_cell * (-(-size[0] // stride)) * -(-size[1] // stride) for stride in strides]
    return np.split(rows, np.cumsum(counts)[:-1], axis=1)


def as_map(level: Array, size: Size, stride: int) -> Array:
    """(B, H*W, C) of a level as (B, C, H, W)."""
    grid = -(-size[0] // stride), -(-size[1] // stride)
    return np.ascontiguousarray(level.reshape(len(level), *grid, -1).transpose(0, 3, 1, 2))


def processor(
    output: Mapping[str, Any], labels: int, size: Size, nms: float, threshold: float = 0.25
) -> PostProcessor:
    return PostProcessor.for_detection(
        [str(row) for row in range(labels)],
        DistanceOutput.load(dict(output)),
        thresholds=threshold,
        nms_threshold=nms,
        input_size=size,
    )


# torchvision's FCOS


@pytest.mark.parametrize("nms", [1.0, IOU_THRESHOLD], ids=["before NMS", "after NMS"])
@pytest.mark.parametrize(("labels", "batch", "size"), [(91, 2, SIZE), (1, 3, (384, 256)), (5, 1, (128, 128))])
def test_distance_output_equals_torchvisions_fcos(labels: int, batch: int, size: Size, nms: float) -> None:
    torch, fcos = peers.load("torch"), peers.load("torchvision.models.detection.fcos")
    anchors = peers.load("torchvision.models.detection.anchor_utils")
    images = peers.load("torchvision.models.detection.image_list")
    coders = peers.load("torchvision.models.detection._utils")
    rng = np.random.default_rng([labels, batch, *size])
    cells = cells_of(size, FCOS, 0)
    made = {
        "cls_logits": logits_of(rng, batch, len(cells), labels, mean=-5),
        "bbox_regression": (sides_in(cells, size, rng, batch) / cells[:, 2:]).astype(np.float32),
        "bbox_ctrness": logits_of(rng, batch, len(cells), 1, mean=0),
    }
    split = {
        name: [torch.from_numpy(np.ascontiguousarray(one)) for one in levels_of(rows, size, FCOS)]
        for name, rows in made.items()
    }
    maker = anchors.AnchorGenerator(tuple((stride,) for stride in FCOS), ((1.0,),) * len(FCOS))
    features = [torch.zeros(batch, 1, -(-size[0] // stride), -(-size[1] // stride)) for stride in FCOS]
    listed = images.ImageList(torch.zeros(batch, 3, *size), [size] * batch)
    counts = [level.shape[1] for level in split["cls_logits"]]
    places = [list(one.split(counts)) for one in maker(listed, features)]
    settings = SimpleNamespace(
        box_coder=coders.BoxLinearCoder(normalize_by_size=True),
        score_thresh=0.25,
        topk_candidates=10**6,
        nms_thresh=nms,
        detections_per_img=MOST,
    )
    expected = fcos.FCOS.postprocess_detections(settings, split, places, [size] * batch)
    post = processor(
        {
            "scores_tensors": ["cls_logits"],
            "distances_tensors": ["bbox_regression"],
            "centerness_tensors": ["bbox_ctrness"],
            "strides": list(FCOS),
            "cell_offset": 0,
            "distance_activation": "relu",
            "score_activation": "sigmoid",
            "confidence": "sqrt_product",
        },
        labels,
        size,
        nms,
    )
    found = rows_of(post(made, max_predictions=MOST), [size] * batch)
    compared = 0
    for image, (one, other) in enumerate(zip(found, expected, strict=True)):
        rows = Rows(*(other[name].numpy() for name in ("labels", "scores", "boxes")))
        has_area = (rows.boxes[:, 2:] > rows.boxes[:, :2]).all(axis=1)
        if nms < 1 and near_ties(_candidates(made, cells, image), IOU_THRESHOLD, threshold=0.25):
            continue
        assert_same(one, rows.take(has_area), MOST)
        compared += len(one)
    assert compared > 20


def _candidates(made: Mapping[str, Array], cells: Array, image: int) -> Rows:
    """What is above the threshold in an image of FCOS."""
    factor = sigmoid(made["bbox_ctrness"][image])
    scores = np.sqrt(sigmoid(made["cls_logits"][image]) * factor).astype(np.float32)
    return peers.candidates(_corners(cells, made["bbox_regression"][image]), scores, 0.25)


def _corners(cells: Array, sides: Array) -> Array:
    """Corners of distances (N, 4) in strides."""
    sides = sides.astype(np.float64) * cells[:, 2:]
    return np.concatenate([cells[:, :2] - sides[:, :2], cells[:, :2] + sides[:, 2:]], axis=1).astype(
        np.float32
    )


# ultralytics' heads, whose raw boxes and scores are (B, C, N)


def _apart(boxes: Array, scores: Array, size: Size) -> tuple[dict[str, Any], dict[str, Array]]:
    made = {
        f"{what}{stride}": as_map(level, size, stride)
        for what, rows in (("box", boxes), ("cls", scores))
        for stride, level in zip(YOLO, levels_of(rows.transpose(0, 2, 1), size, YOLO), strict=True)
    }
    names = {what: [f"{what}{stride}" for stride in YOLO] for what in ("box", "cls")}
    return {"scores_tensors": names["cls"], "distances_tensors": names["box"]}, made


def _packed(boxes: Array, scores: Array, size: Size) -> tuple[dict[str, Any], dict[str, Array]]:
    rows = np.concatenate([boxes, scores], axis=1).transpose(0, 2, 1)
    made = {
        f"p{stride}": as_map(level, size, stride)
        for stride, level in zip(YOLO, levels_of(rows, size, YOLO), strict=True)
    }
    return {"output_tensors": [*made]}, made


def _whole(boxes: Array, scores: Array, size: Size) -> tuple[dict[str, Any], dict[str, Array]]:
    return {"scores_tensors": ["scores"], "distances_tensors": ["boxes"]}, {"boxes": boxes, "scores": scores}


@pytest.mark.parametrize("form", [_apart, _packed, _whole], ids=["apart", "packed", "all levels"])
@pytest.mark.parametrize(("reg_max", "labels", "batch"), [(16, 80, 2), (16, 1, 1), (1, 80, 1), (1, 3, 3)])
def test_distance_output_equals_ultralytics_own_decoding(
    form: Callable[..., tuple[dict[str, Any], dict[str, Array]]], reg_max: int, labels: int, batch: int
) -> None:
    torch, tal = peers.load("torch"), peers.load("ultralytics.utils.tal")
    block = peers.load("ultralytics.nn.modules.block")
    rng = np.random.default_rng([reg_max, labels, batch])
    cells = cells_of(SIZE, YOLO, 0.5)
    boxes = rng.normal(0, 3, (batch, 4 * reg_max, len(cells))).astype(np.float32)
    scores = logits_of(rng, batch, labels, len(cells), mean=-6 if labels > 3 else -3)
    maps = [torch.zeros(1, 1, SIZE[0] // stride, SIZE[1] // stride) for stride in YOLO]
    places, strides = (one.transpose(0, 1) for one in tal.make_anchors(maps, torch.tensor(YOLO), 0.5))
    raw = torch.from_numpy(boxes)
    sides = block.DFL(reg_max)(raw).detach() if reg_max > 1 else raw
    corners = (tal.dist2bbox(sides, places.unsqueeze(0), xywh=False, dim=1) * strides).numpy()
    chances = torch.from_numpy(scores).sigmoid().numpy()
    written, made = form(boxes, scores, SIZE)
    written |= {"strides": list(YOLO), "bins": reg_max, "score_activation": "sigmoid"}
    for nms in (1.0, IOU_THRESHOLD):
        post = processor(written, labels, SIZE, nms)
        found = rows_of(post(made, max_predictions=10**6), [SIZE] * batch)
        compared = 0
        for image, one in enumerate(found):
            listed = peers.candidates(corners[image].T, chances[image].T, 0.25)
            if near_ties(listed, IOU_THRESHOLD, threshold=0.25) and nms < 1:
                continue
            kept = peers.suppressed(listed, nms) if nms < 1 else _in_order(listed)
            assert_same(one, peers.clipped(kept, SIZE))
            compared += len(one)
        assert compared > 10


def _in_order(found: Rows) -> Rows:
    return found.take(np.lexsort((np.arange(len(found)), found.labels, -found.scores)))


# The formulas of others, from their papers and configurations


def _check(
    written: Mapping[str, Any], made: Mapping[str, Array], boxes: Array, scores: Array, size: Size = SIZE
) -> Detections:
    """Compare all candidates with boxes (B, N, 4) in pixels and scores (B, N, L), each at its own index."""
    labels = scores.shape[2]
    post = processor(written, labels, size, 1.0, 0.3)
    (found,) = post(made, max_predictions=10**6).outputs
    assert isinstance(found, Detections)
    limits = np.array(size[::-1] * 2, np.float64)
    total = 0
    for image in range(len(scores)):
        clipped = np.clip(boxes[image], 0, limits)
        is_seen = (clipped[:, 2:] > clipped[:, :2]).all(axis=1)
        rounded = scores[image].astype(np.float32)
        expected = {
            (int(row), int(label)) for row, label in zip(*np.nonzero(rounded > np.float32(0.3)), strict=True)
        }
        expected = {pair for pair in expected if is_seen[pair[0]]}
        rows = slice(found.offsets[image], found.offsets[image + 1])
        pairs = list(zip(found.regions[rows].tolist(), found.labels[rows].tolist(), strict=True))
        assert set(pairs) == expected
        assert len(pairs) == len(expected)
        own = np.array([pair[0] for pair in pairs], np.int64)
        np.testing.assert_allclose(found.boxes[rows] * limits, clipped[own], rtol=0, atol=1e-3)
        np.testing.assert_allclose(found.scores[rows], rounded[own, found.labels[rows]], rtol=0, atol=1e-6)
        total += len(pairs)
    assert total > 20
    return found


@pytest.mark.parametrize(
    ("strides", "offset"), [((8, 16, 32, 64), 0.0), (YOLO, 0.5)], ids=["NanoDet-Plus", "NanoDet of 2020"]
)
@pytest.mark.parametrize("size", [SIZE, (416, 320)])
def test_distance_output_equals_nanodets_formula(strides: tuple[int, ...], offset: float, size: Size) -> None:
    """Probabilities, then 4 x 8 bins, in one table; levels are rounded up (nanodet_plus_head, gfl_head)."""
    rng = np.random.default_rng(1)
    cells = cells_of(size, strides, offset)
    scores = sigmoid(logits_of(rng, 2, len(cells), 7)).astype(np.float32)
    bins = rng.normal(0, 2, (2, len(cells), 4, 8)).astype(np.float32)
    sides = expectation(bins) * cells[:, 2:]
    boxes = np.concatenate([cells[:, :2] - sides[..., :2], cells[:, :2] + sides[..., 2:]], axis=2)
    table = np.concatenate([scores, bins.reshape(2, len(cells), 32)], axis=2)
    written = {
        "output_tensors": ["output"],
        "columns": ["scores", "distances"],
        "strides": list(strides),
        "bins": 8,
        "cell_offset": offset,
    }
    _check(written, {"output": table}, boxes, scores, size)


@pytest.mark.parametrize(
    ("bins", "first", "strides"),
    [(8, 0, (8, 16, 32, 64)), (17, 0, YOLO), (19, -2, YOLO)],
    ids=["PicoDet", "PP-YOLOE", "PP-YOLOE of reg_range [-2, 17]"],
)
def test_distance_output_equals_paddledetections_formula(
    bins: int, first: int, strides: tuple[int, ...]
) -> None:
    """(B, N, L) and (B, N, 4 * bins) a level, cells at their middle (pico_head, ppyoloe_head)."""
    rng = np.random.default_rng(bins)
    cells = cells_of(SIZE, strides, 0.5)
    scores = np.sqrt(sigmoid(logits_of(rng, 2, len(cells), 5))).astype(np.float32)
    logits = rng.normal(0, 2, (2, len(cells), 4, bins)).astype(np.float32)
    sides = expectation(logits, first) * cells[:, 2:]
    boxes = np.concatenate([cells[:, :2] - sides[..., :2], cells[:, :2] + sides[..., 2:]], axis=2)
    made = {
        f"{name}{row}": np.ascontiguousarray(level)
        for name, rows in (("s", scores), ("d", logits.reshape(2, len(cells), -1)))
        for row, level in enumerate(levels_of(rows, SIZE, strides))
    }
    written = {
        "scores_tensors": [f"s{row}" for row in range(len(strides))],
        "distances_tensors": [f"d{row}" for row in range(len(strides))],
        "strides": list(strides),
        "bins": bins,
        "first_bin": first,
    }
    _check(written, made, boxes, scores)


@pytest.mark.parametrize("batched", [True, False])
def test_distance_output_equals_scrfds_formula(batched: bool) -> None:
    """Two anchors a cell at its corner; points are distances too, and both are in strides (scrfd.py)."""
    rng = np.random.default_rng(3)
    cells = cells_of(SIZE, YOLO, 0, 2)
    scores = sigmoid(logits_of(rng, 1, len(cells), 1, mean=-2)).astype(np.float32)
    raw = rng.uniform(-0.5, 4, (1, len(cells), 4)).astype(np.float32)
    points = rng.normal(0, 2, (1, len(cells), 5, 2)).astype(np.float32)
    sides = raw * cells[:, 2:]
    boxes = np.concatenate([cells[:, :2] - sides[..., :2], cells[:, :2] + sides[..., 2:]], axis=2)
    places = cells[:, None, :2] + points * cells[:, None, 2:]
    made = {
        f"{name}_{stride}": np.ascontiguousarray(level if batched else level[0])
        for name, rows in (("score", scores), ("bbox", raw), ("kps", points.reshape(1, len(cells), 10)))
        for stride, level in zip(YOLO, levels_of(rows, SIZE, YOLO, 2), strict=True)
    }
    names = {
        field: [f"{name}_{stride}" for stride in YOLO]
        for field, name in (("scores", "score"), ("distances", "bbox"), ("landmarks", "kps"))
    }
    written = {f"{field}_tensors": value for field, value in names.items()}
    written |= {"strides": list(YOLO), "anchors_per_cell": 2, "cell_offset": 0, "keypoints": 5}
    found = _check(written, made, boxes, scores)
    assert isinstance(found, KeypointDetections)
    in_pixels = found.keypoints[..., :2] * np.array(SIZE[::-1])
    np.testing.assert_allclose(in_pixels, places[0, found.regions], rtol=0, atol=1e-3)


def test_distance_output_equals_rtmdets_formula() -> None:
    """Logits, and distances in pixels from the corner of a cell (rtmdet_head, its offset 0)."""
    rng = np.random.default_rng(4)
    cells = cells_of(SIZE, YOLO, 0)
    logits = logits_of(rng, 2, len(cells), 7)
    sides = (rng.uniform(-0.5, 4, (2, len(cells), 4)) * cells[:, 2:]).astype(np.float32)
    boxes = np.concatenate([cells[:, :2] - sides[..., :2], cells[:, :2] + sides[..., 2:]], axis=2)
    made = {
        f"{name}{stride}": as_map(level, SIZE, stride)
        for name, rows in (("s", logits), ("d", sides))
        for stride, level in zip(YOLO, levels_of(rows, SIZE, YOLO), strict=True)
    }
    written = {
        "scores_tensors": [f"s{stride}" for stride in YOLO],
        "distances_tensors": [f"d{stride}" for stride in YOLO],
        "strides": list(YOLO),
        "cell_offset": 0,
        "distance_unit": "pixels",
        "score_activation": "sigmoid",
    }
    _check(written, made, boxes, sigmoid(logits))
