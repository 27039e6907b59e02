"""Heads before decoding: distances from cells, in bins or as they are, of each level or of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.inspection.exports.building import Builder, Shape, Value
from tests.inspection.exports.cases import Case, Reads, Undecided
from tests.inspection.exports.ultralytics import metadata

SIDE, STRIDES = 320, (8, 16, 32)
FOUR, FIVE = (8, 16, 32, 64), (8, 16, 32, 64, 128)


def cells_of(strides: Sequence[int], side: int = SIDE) -> int:
    return sum((-(-side // stride)) ** 2 for stride in strides)


def nanodet(labels: int, side: int = 384, strides: Sequence[int] = FOUR) -> bytes:
    """NanoDet-Plus, and NanoDet of 2020: probabilities, then eight bins for each of four sides."""
    graph = Builder((1, 3, side, side), name="data")
    parts = []
    for stride in strides:
        x = graph.features(stride, "LeakyRelu")
        scores = x.conv(labels, gain=2.5, bias=-4).sigmoid()
        parts.append(graph.concat(scores, x.conv(32, gain=2), axis=1).reshape(0, labels + 32, -1))
    rows = graph.concat(*parts, axis=2).transpose(0, 2, 1)
    graph.output("output", rows, (1, cells_of(strides, side), labels + 32))
    return graph.model()


def rows_of_levels(
    names: Sequence[str],
    labels: int,
    bins: int,
    strides: Sequence[int],
    activation: str,
    producer: str = "PaddlePaddle",
) -> bytes:
    """PaddleDetection without its post-processing: (B, N, C) of each level, scores first."""
    graph = Builder(name="image", producer=producer)
    layers = [graph.features(stride, activation) for stride in strides]
    for row, (x, stride) in enumerate(zip(layers, strides, strict=True)):
        first, second = x.conv(labels, gain=2.5, bias=-2).sigmoid(), x.conv(labels, gain=0.5).sigmoid()
        scores = (first * second).op("Sqrt").reshape(0, labels, -1).transpose(0, 2, 1)
        graph.output(names[row], scores, (1, (SIDE // stride) ** 2, labels))
    for row, (x, stride) in enumerate(zip(layers, strides, strict=True)):
        raw = x.conv(4 * bins, gain=2).reshape(0, 4 * bins, -1).transpose(0, 2, 1)
        graph.output(names[len(strides) + row], raw, (1, (SIDE // stride) ** 2, 4 * bins))
    return graph.model()


def last_layers(
    bins: int = 16,
    labels: int = 80,
    apart: bool = False,
    sigmoid: bool = False,
    sums: bool = False,
    activation: str = "SiLU",
    batch: int | str = 1,
    **options: Any,
) -> bytes:
    """The last layers of a YOLOv8, 11 or 26, level by level: together, apart, and as RKNN's forks do."""
    graph = Builder((batch, 3, SIDE, SIDE), **options)
    number = 318
    for row, stride in enumerate(STRIDES):
        x, side = graph.features(stride, activation), SIDE // stride
        bias = np.tile(-0.5 * np.arange(bins), 4) if bins > 1 else 1.0
        boxes, scores = x.conv(4 * bins, bias=bias), x.conv(labels, gain=2.5, bias=-5)
        if not apart:
            joined = graph.concat(boxes, scores, axis=1)
            graph.output(f"output{row}", joined, (batch, 4 * bins + labels, side, side))
            continue
        scores = scores.sigmoid() if sigmoid else scores
        found: list[tuple[Value, int]] = [(boxes, 4 * bins), (scores, labels)]
        if sums:
            axes = np.array([1], np.int64)
            found.append((graph.op("ReduceSum", scores, axes, keepdims=1).op("Clip", 0.0, 1.0), 1))
        for value, channels in found:
            graph.output(str(number), value, (batch, channels, side, side))
            number += 7
    return graph.model()


def all_levels(bins: int = 16, labels: int = 80, packed: bool = False) -> bytes:
    """ultralytics' raw boxes and scores, (B, C, N): in two tensors, or in one."""
    graph = Builder()
    boxes, scores = [], []
    for stride in STRIDES:
        x = graph.features(stride)
        bias = np.tile(-0.5 * np.arange(bins), 4)
        boxes.append(x.conv(4 * bins, bias=bias))
        scores.append(x.conv(labels, gain=2.5, bias=-5))
    count = cells_of(STRIDES)
    if packed:
        levels = [graph.concat(*pair, axis=1) for pair in zip(boxes, scores, strict=True)]
        width = 4 * bins + labels
        rows = graph.concat(*(level.reshape(0, width, -1) for level in levels), axis=2)
        graph.output("output0", rows, (1, width, count))
        return graph.model()
    for name, parts, width in (("boxes", boxes, 4 * bins), ("scores", scores, labels)):
        rows = graph.concat(*(part.reshape(0, width, -1) for part in parts), axis=2)
        graph.output(name, rows, (1, width, count))
    return graph.model()


def in_order(
    kinds: Sequence[tuple[str, int]], strides: Sequence[int], side: int = 256, activation: str = "Relu"
) -> bytes:
    """Heads of the MMLab: all levels of scores, then of distances, and of centredness."""
    graph = Builder((1, 3, side, side), name="input")
    layers = [graph.features(stride, activation) for stride in strides]
    number = 700
    for kind, channels in kinds:
        for x, stride in zip(layers, strides, strict=True):
            value = x.conv(channels, gain=2, bias=-1)
            if kind == "times stride":
                value = value * float(stride)
            elif kind == "exp":
                value = (value * 1.25).exp()
            elif kind == "relu times stride":
                value = value.op("Clip", 0.0) * float(stride)
            cells = -(-side // stride)
            graph.output(str(number), value, (1, channels, cells, cells))
            number += 11
    return graph.model()


def fcos(names: Sequence[str], labels: int = 91, side: int = 256, rectified: bool = True) -> bytes:
    """torchvision's FCOS: the outputs of its head, (B, N, C) of all levels."""
    graph = Builder((1, 3, side, side), name="images")
    layers = [graph.features(stride, "Relu") for stride in FIVE]
    for name, channels in zip(names, (labels, 4, 1), strict=True):
        parts = []
        for x in layers:
            value = x.conv(channels, gain=2, bias=-1 if channels != 4 else 1)
            if channels == 4 and rectified:
                value = value.op("Relu")
            parts.append(value.reshape(0, -1, channels, 1).transpose(0, 3, 1, 2).reshape(0, -1, channels))
        rows = graph.concat(*parts, axis=1)
        shape: Shape = (1, cells_of(FIVE, side), channels)
        graph.output(name, rows, shape)
    return graph.model()


BINS = Reads(
    "distance_output",
    {
        "bins": 16,
        "cell_offset": 0.5,
        "strides": STRIDES,
        "distance_unit": "strides",
        "distance_activation": "none",
        "score_activation": "sigmoid",
        "anchors_per_cell": 1,
    },
    80,
    (SIDE, SIDE),
)
PLUS = BINS.but(
    fields={
        **BINS.fields,
        "bins": 8,
        "cell_offset": 0,
        "strides": FOUR,
        "columns": ("scores", "distances"),
        "score_activation": "none",
    },
    input_size=(384, 384),
    image={"resize_type": "SQUASH", "color_channels": "BGR"},
)


def reads(base: Reads = BINS, labels: int = 80, side: int = SIDE, **fields: Any) -> Reads:
    return base.but(labels=labels, input_size=(side, side), fields={**base.fields, **fields})


RKNN = {
    "scores_tensors": ("325", "346", "367"),
    "distances_tensors": ("318", "339", "360"),
    "score_sum_tensors": ("332", "353", "374"),
    "score_activation": "none",
}
PICODET = reads(bins=8, strides=FOUR, score_activation="none")
TORCHVISION = {
    "bins": 1,
    "strides": FIVE,
    "cell_offset": 0,
    "confidence": "sqrt_product",
    "scores_tensors": ("cls_logits",),
    "distances_tensors": ("bbox_regression",),
    "centerness_tensors": ("bbox_ctrness",),
}
CENTERED = {"bins": 1, "strides": FIVE, "distance_unit": "pixels"}
NAMES_OF_FCOS = ("cls_logits", "bbox_regression", "bbox_ctrness")

CASES = (
    Case("nanodet-plus", lambda: nanodet(80), PLUS),
    Case("nanodet-plus: 7 labels, 320", lambda: nanodet(7, 320), reads(PLUS, 7, 320)),
    Case("nanodet-plus: one label", lambda: nanodet(1), reads(PLUS, 1, 384)),
    Case(
        "nanodet: of 2020",
        lambda: nanodet(80, 320, STRIDES),
        reads(PLUS, 80, cell_offset=0.5, strides=STRIDES),
    ),
    Case(
        "picodet: without post-processing",
        lambda: rows_of_levels(
            [f"transpose_{row}.tmp_0" for row in (0, 2, 4, 6, 1, 3, 5, 7)], 80, 8, FOUR, "HardSwish"
        ),
        PICODET,
    ),
    Case(
        "picodet: without post-processing, 7 labels, paddle2onnx 2",
        lambda: rows_of_levels([f"fetch_name_{row}" for row in range(8)], 7, 8, FOUR, "HardSwish", " "),
        reads(PICODET, 7),
    ),
    Case(
        "ppyoloe: without post-processing",
        lambda: rows_of_levels([f"fetch_name_{row}" for row in range(6)], 5, 17, STRIDES, "SiLU", " "),
        reads(labels=5, bins=17, score_activation="none"),
    ),
    Case("yolov8's last layers together", last_layers, reads(columns=("distances", "scores"))),
    Case("yolov8's last layers together, 7 labels", lambda: last_layers(labels=7), reads(labels=7)),
    Case("yolov8's last layers together, one label", lambda: last_layers(labels=1), reads(labels=1)),
    Case(
        "yolov8's last layers together, with metadata",
        lambda: last_layers(metadata=metadata(), batch="batch"),
        reads(),
    ),
    Case("yolov8's last layers apart", lambda: last_layers(labels=7, apart=True), reads(labels=7)),
    Case(
        "yolov8's last layers apart, with sigmoids",
        lambda: last_layers(apart=True, sigmoid=True),
        reads(score_activation="none"),
    ),
    Case(
        "yolov8's last layers for rknn",
        lambda: last_layers(apart=True, sigmoid=True, sums=True, activation="Relu"),
        reads(**RKNN),
    ),
    Case(
        "yolov8's last layers for rknn, one label",
        lambda: last_layers(labels=1, apart=True, sigmoid=True, sums=True),
        reads(labels=1, **RKNN),
    ),
    Case(
        "yolov8's raw boxes and scores",
        all_levels,
        reads(scores_tensors=("scores",), distances_tensors=("boxes",)),
    ),
    Case(
        "yolo26's raw boxes and scores",
        lambda: all_levels(1),
        reads(bins=1, scores_tensors=("scores",), distances_tensors=("boxes",)),
    ),
    Case("yolov8's raw table", lambda: all_levels(packed=True), reads(output_tensors=("output0",))),
    Case("yolov8's raw table, 7 labels", lambda: all_levels(labels=7, packed=True), reads(labels=7)),
    Case("yolo26's last layers together", lambda: last_layers(1), reads(bins=1)),
    Case("yolo26's last layers together, 7 labels", lambda: last_layers(1, 7), reads(labels=7, bins=1)),
    Case("yolo26's last layers apart", lambda: last_layers(1, 7, True), reads(labels=7, bins=1)),
    Case(
        "yolo26's last layers for rknn",
        lambda: last_layers(1, apart=True, sigmoid=True, sums=True),
        reads(bins=1, **RKNN),
    ),
    Case(
        "yolov6's distances of 17 bins apart",  # or DAMO-YOLO's, whose cells are at their corner
        lambda: last_layers(17, 7, True, True),
        Undecided(reads(labels=7, bins=17, score_activation="none")),
    ),
    Case(
        "gfl: mmdetection",
        lambda: in_order((("scores", 80), ("bins", 68)), FIVE),
        reads(side=256, bins=17, cell_offset=0, strides=FIVE),
    ),
    Case(
        "rtmdet: mmdetection's head",
        lambda: in_order((("scores", 7), ("times stride", 4)), STRIDES, activation="SiLU"),
        reads(labels=7, side=256, bins=1, cell_offset=0, distance_unit="pixels"),
    ),
    Case(
        "rtmdet: mmyolo's head",
        lambda: in_order((("scores", 7), ("distances", 4)), STRIDES, activation="SiLU"),
        reads(labels=7, side=256, bins=1, cell_offset=0),
    ),
    Case("fcos: torchvision's head", lambda: fcos(NAMES_OF_FCOS), reads(labels=91, side=256, **TORCHVISION)),
    Case(
        "fcos: torchvision's head before its Relu",
        lambda: fcos(NAMES_OF_FCOS, 7, rectified=False),
        Undecided(reads(labels=7, side=256, **{**TORCHVISION, "distance_activation": "relu"})),
    ),
    Case(
        "fcos: mmdetection's head, numbers for names",
        lambda: in_order((("scores", 80), ("exp", 4), ("factor", 1)), FIVE),
        Undecided(reads(side=256, **CENTERED)),
    ),
    Case(
        "fcos: mmdetection's head with norm_on_bbox",
        lambda: in_order((("scores", 80), ("relu times stride", 4), ("factor", 1)), FIVE),
        reads(side=256, **CENTERED),
    ),
)
