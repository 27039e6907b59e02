"""Darknet's networks: the grids of YOLOv2, v3 and v4 as they are, and the decoded ones of the model zoo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.inspection.exports.building import Builder, Shape, Value, grid_of
from tests.inspection.exports.cases import Case, Reads, Refused, Undecided

SIDE = 416
ANCHORS = np.float32([[116, 90], [156, 198], [373, 326]])


def grid_layer(
    graph: Builder, stride: int, labels: int, activation: str = "LeakyRelu", anchors: int = 3
) -> Value:
    """Offsets, objectness and labels of each anchor, as the last layer gives them."""
    bias, gain = np.zeros(5 + labels), np.full(5 + labels, 1.5)
    bias[4], gain[2:4] = -4, 0.4
    channels = anchors * (5 + labels)
    x = graph.features(stride, activation)
    return x.conv(channels, gain=np.tile(gain, anchors), bias=np.tile(bias, anchors))


def grids(
    names: Sequence[str],
    strides: Sequence[int] = (32, 16, 8),
    labels: int = 80,
    activation: str = "LeakyRelu",
    image: Shape = (1, 3, SIDE, SIDE),
    channels_last: bool = False,
    is_split: bool = False,
    **options: Any,
) -> bytes:
    """Raw grids; `is_split` gives each anchor an axis, as Keras' YOLOv3 does."""
    graph = Builder(image, **options)
    for name, stride in zip(names, strides, strict=True):
        raw, side = grid_layer(graph, stride, labels, activation), SIDE // stride
        shape: Shape = (image[0], 3 * (5 + labels), side, side)
        if channels_last:
            raw, shape = raw.transpose(0, 2, 3, 1), (image[0], side, side, 3 * (5 + labels))
        if is_split:
            raw, shape = raw.reshape(0, side, side, 3, 5 + labels), (image[0], side, side, 3, 5 + labels)
        graph.output(name, raw, shape)
    return graph.model()


def yolov2(labels: int = 20, image: Shape = ("None", 3, SIDE, SIDE), name: str = "grid") -> bytes:
    """Tiny YOLOv2 of the model zoo: one grid of 5 anchors; its images are 0 to 255, scaled in the graph."""
    graph = Builder(image, name="image", producer="OnnxMLTools")
    raw = grid_layer(graph, 32, labels, anchors=5)
    graph.output(name, raw, (image[0], 5 * (5 + labels), SIDE // 32, SIDE // 32))
    return graph.model()


def decoded_rows(graph: Builder, labels: int, strides: Sequence[int]) -> tuple[Value, Value]:
    """Corners (B, N, 4) in [0, 1] and the scores (B, N, L): objectness times label."""
    boxes, scores = [], []
    for stride in strides:
        side = SIDE // stride
        raw = grid_layer(graph, stride, labels, "Mish").reshape(0, 3, 5 + labels, side * side)
        moves, sizes, confidence, classes = raw.transpose(0, 1, 3, 2).split(2, 2, 1, labels)
        cells = grid_of((SIDE, SIDE), [stride], 0.0)[0][:, None]
        centre = (moves.sigmoid() + cells) / float(side)
        size = sizes.exp() * (ANCHORS * stride / 32 / SIDE).reshape(1, 3, 1, 2)
        corners = graph.concat(centre - size * 0.5, centre + size * 0.5, axis=-1)
        boxes.append(corners.reshape(0, -1, 4))
        scores.append((classes.sigmoid() * confidence.sigmoid()).reshape(0, -1, labels))
    return graph.concat(*boxes, axis=1), graph.concat(*scores, axis=1)


def yolov4_decoded(labels: int = 80) -> bytes:
    """pytorch-YOLOv4's export: boxes (B, N, 1, 4) in [0, 1], and confs."""
    graph = Builder((1, 3, SIDE, SIDE), name="input")
    boxes, scores = decoded_rows(graph, labels, (8, 16, 32))
    count = 3 * sum((SIDE // stride) ** 2 for stride in (8, 16, 32))
    graph.output("boxes", boxes.unsqueeze(2), (1, count, 1, 4))
    graph.output("confs", scores, (1, count, labels))
    return graph.model()


def zoo_yolov3(labels: int = 80) -> bytes:
    """YOLOv3 of the model zoo, from Keras: boxes y first in pixels of the image, scores, and NMS' indices."""
    graph = Builder(("unk__1", 3, "unk__2", "unk__3"), name="input_1", producer="OnnxMLTools")
    size = graph.input("image_shape", ("unk__1", 2))
    parts, scores = [], []
    for stride in (32, 16, 8):
        raw = grid_layer(graph, stride, labels)
        cells = graph.cells([raw], [stride])[0].transpose(0, 2, 1).unsqueeze(1)
        shape = graph.concat(raw.size(3), raw.size(2), axis=0).cast()
        rows = raw.reshape(0, 3, 5 + labels, -1).transpose(0, 1, 3, 2)
        moves, sizes, confidence, classes = rows.split(2, 2, 1, labels)
        centre = (moves.sigmoid() - 0.5 + cells) / shape
        extent = sizes.exp() * (ANCHORS * stride / 32 / SIDE).reshape(1, 3, 1, 2)
        corners = graph.concat(centre - extent * 0.5, centre + extent * 0.5, axis=-1)
        parts.append(corners.gather(np.array([1, 0, 3, 2]), axis=3).reshape(0, -1, 4))
        scores.append((classes.sigmoid() * confidence.sigmoid()).reshape(0, -1, labels))
    boxes = graph.concat(*parts, axis=1) * size.op("Tile", np.array([1, 2])).unsqueeze(1)
    by_label = graph.concat(*scores, axis=1).transpose(0, 2, 1)
    limits = (np.array([20], np.int64), np.float32([0.5]), np.float32([0.3]))
    kept = graph.op("NonMaxSuppression", boxes, by_label, *limits)
    prefix = "yolonms_layer_1"
    graph.output(f"{prefix}/ExpandDims_1:0", boxes, ("unk__570", "unk__571", 4))
    graph.output(f"{prefix}/ExpandDims_3:0", by_label, ("unk__572", labels, "unk__573"))
    graph.output(f"{prefix}/concat_2:0", kept.cast(np.int32), ("unk__574", 3), np.int32)
    return graph.model()


V3 = Reads("yolov3_output", {"scale_x_y": 1.0}, 80, (SIDE, SIDE))
NHWC: Shape = ("unk__1", SIDE, SIDE, 3)

CASES = (
    Case(
        "yolov3: raw grids, LeakyRelu",
        lambda: grids(("082_conv", "094_conv", "106_conv"), name="000_net"),
        V3,
    ),
    Case(
        "yolov3: raw grids of 7 labels, dynamic batch",
        lambda: grids(("output1", "output2", "output3"), labels=7, image=("batch", 3, SIDE, SIDE)),
        Undecided(V3.but(labels=7)),  # its anchors are its own
    ),
    Case(
        "yolov3-tiny: raw grids",
        lambda: grids(("016_convolutional", "023_convolutional"), (32, 16)),
        V3,
    ),
    Case(
        "yolov4: raw grids, Mish",
        lambda: grids(("139_conv", "150_conv", "161_conv"), (8, 16, 32), activation="Mish"),
        V3.but(fields={"scale_x_y": (1.2, 1.1, 1.05)}),
    ),
    Case(
        "yolov3: Keras, channels last, an axis for anchors",
        lambda: grids(
            ("conv2d_58", "conv2d_66", "conv2d_74"),
            image=NHWC,
            channels_last=True,
            is_split=True,
            name="input_1",
            producer="tf2onnx",
        ),
        V3,
    ),
    Case(
        "yolov2: tiny, of the model zoo",
        yolov2,
        Undecided(Reads("yolo_output", {"output_tensor": "grid"}, 20)),  # Pascal VOC's anchors
    ),
    Case(
        "yolov2: COCO, from darknet",
        lambda: yolov2(80, (1, 3, SIDE, SIDE), "conv"),
        Reads("yolo_output", {"output_tensor": "conv"}, 80),
    ),
    Case(
        "yolov4: pytorch-YOLOv4, decoded",
        yolov4_decoded,
        Reads(
            "standard_output",
            {"box_format": "xyxy", "score_activation": "none", "background": "none"},
            80,
            image={"resize_type": "SQUASH", "color_channels": "RGB", "pixel_scaling": 1},
        ),
    ),
    Case(
        "yolov3: model zoo, with NMS' indices",
        zoo_yolov3,
        Refused("indices", Reads("standard_output", {"box_format": "yxyx"}, 80, (640, 640))),
    ),
)
