"""YOLO's tables after other tools had them: corners, fractions, 8 bits; and heads of further packages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.inspection.exports import one_box_a_cell, yolov5
from tests.inspection.exports.building import Builder, Shape, Value, grid_of
from tests.inspection.exports.cases import Case, Reads, Refused, Undecided
from tests.inspection.exports.heads import STRIDES, boxes_of, flat, scores_of
from tests.inspection.exports.ultralytics import SEVEN, metadata

SIDE = 320
CELLS = sum((SIDE // stride) ** 2 for stride in STRIDES)


def quantized(value: Value, scale: float) -> Value:
    """Through 8 bits and back."""
    steps, zero = np.float32(scale), np.array(0, np.uint8)
    return value.op("QuantizeLinear", steps, zero).op("DequantizeLinear", steps, zero)


def table(
    labels: int = 7,
    *,
    corners: bool = False,
    y_first: bool = False,
    fractions: bool = False,
    objectness: bool = False,
    rows: bool = False,
    each: Callable[[Value, float], Value] | None = None,
    image: Shape = (1, 3, SIDE, SIDE),
    name: str = "output0",
    **options: Any,
) -> bytes:
    """A table of boxes and scores: channels first unless it has `rows`; `each` changes boxes and scores."""
    graph = Builder(image, **options)
    grids = [graph.features(stride) for stride in STRIDES]
    boxes, scores = boxes_of(graph, grids, corners=corners), scores_of(graph, grids, labels)
    if fractions:
        boxes = boxes / np.float32([graph.size[1], graph.size[0]] * 2).reshape(1, 4, 1)
    if y_first:
        boxes = boxes.gather(np.array([1, 0, 3, 2]), axis=1)
    if each is not None:
        boxes, scores = each(boxes, 2.0), each(scores, 1 / 255)
    parts = [boxes, flat(graph, grids, 1, gain=2.5, bias=-4.0).sigmoid(), scores]
    out = graph.concat(*(parts if objectness else parts[::2]), axis=1)
    columns, count = 4 + objectness + labels, len(grid_of(graph.size, STRIDES)[0][0])
    shape = (image[0], count, columns) if rows else (image[0], columns, count)
    graph.output(name, out.transpose(0, 2, 1) if rows else out, shape)
    return graph.model()


def half_inside() -> bytes:
    """Half precision in the graph, floats at its ends, as onnxconverter's keep_io_types leaves it."""
    graph = Builder(metadata=metadata(names=SEVEN), real=np.float16)
    graph.image = graph.noted(graph.image.cast(np.float16), 3)
    grids = [graph.features(stride) for stride in STRIDES]
    out = graph.concat(boxes_of(graph, grids), scores_of(graph, grids, 7), axis=1)
    graph.output("output0", out.cast(np.float32), (1, 11, CELLS), np.float32)
    return graph.model()


def selected_indices() -> bytes:
    """A table's boxes and scores with what ONNX's NMS selects: image, label and box of each."""
    graph = Builder()
    boxes, scores = one_box_a_cell.split_rows(graph, 7)
    by_label = scores.transpose(0, 2, 1)
    limits = (np.array([100], np.int64), np.float32([0.45]), np.float32([0.25]))
    kept = graph.op("NonMaxSuppression", boxes, by_label, *limits)
    graph.output("selected_indices", kept, ("num_selected", 3), np.int64)
    return graph.model()


def driving() -> bytes:
    """YOLOP: a table of cars, and two maps."""
    graph = Builder()
    graph.output("det_out", yolov5.rows_of(graph, 6, class_bias=11.0), (1, 3 * CELLS, 6))
    for name in ("drive_area_seg", "lane_line_seg"):
        small = graph.features(4).conv(2)
        scales = np.float32([1, 1, 4, 4])
        maps = small.op("Resize", np.zeros(0, np.float32), scales, mode="linear").sigmoid()
        graph.output(name, maps, (1, 2, SIDE, SIDE))
    return graph.model()


def raw_levels(centerness: bool) -> bytes:
    """MMDetection's FCOS and RetinaNet heads: logits and offsets of five levels."""
    graph = Builder((1, 3, 256, 256), name="input")
    levels = [graph.features(stride, "Relu") for stride in (8, 16, 32, 64, 128)]
    anchors = 1 if centerness else 9
    for kind, channels in (("cls_score", 80 * anchors), ("bbox_pred", 4 * anchors), ("score_factor", 1)):
        if kind == "score_factor" and not centerness:
            continue
        for row, x in enumerate(levels):
            side = 32 >> row
            graph.output(f"{kind}_{row}", x.conv(channels, gain=2, bias=-1), (1, channels, side, side))
    return graph.model()


def raw_yolox() -> bytes:
    """MMDetection's YOLOX head: logits, boxes and objectness of three levels."""
    graph = Builder((1, 3, 256, 256), name="input")
    levels = [graph.features(stride) for stride in (8, 16, 32)]
    for channels in (7, 4, 1):
        for row, x in enumerate(levels):
            side = 32 >> row
            graph.output(f"{channels}_{row}", x.conv(channels, gain=2, bias=-1), (1, channels, side, side))
    return graph.model()


def places_along_axes() -> bytes:
    """RTMPose: for each of 17 keypoints a score for each column, and for each row."""
    graph = Builder((1, 3, 256, 192), name="input")
    x = graph.noted(graph.pooled(), 32)
    for name, size in (("simcc_x", 384), ("simcc_y", 512)):
        graph.output(name, x.gemm(17 * size, gain=4.0).reshape(0, 17, size), (1, 17, size))
    return graph.model()


def movenet() -> bytes:
    """MoveNet: y, x and a score of 17 keypoints of one person."""
    graph = Builder((1, 192, 192, 3), name="input", dtype=np.uint8, producer="tf2onnx")
    graph.output("output_0", graph.pooled().gemm(51, gain=2.0).sigmoid().reshape(0, 1, 17, 3), (1, 1, 17, 3))
    return graph.model()


YOLOX_LEVELS = Reads(
    "yolox_output",
    {
        "scores_tensors": ("7_0", "7_1", "7_2"),
        "objectness_tensors": ("1_0", "1_1", "1_2"),
        "boxes_tensors": ("4_0", "4_1", "4_2"),
        "strides": (8, 16, 32),
        "score_activation": "sigmoid",
        "confidence": "product",
    },
    7,
    (256, 256),
)
V8 = Reads("yolov8_output", {"coordinates": "pixels", "box_format": "cxcywh"}, 7, (SIDE, SIDE))
CORNERS = {"coordinates": "pixels", "box_format": "xyxy"}
FRACTIONS = V8.but(fields={"coordinates": "normalized", "box_format": "cxcywh"}, input_size=None)
WIDE: Shape = (1, 3, 256, 384)
NHWC: Shape = (1, SIDE, SIDE, 3)

CASES = (
    Case("a table with corners", lambda: table(corners=True), V8.but(fields=CORNERS)),
    Case("a table with corners, in rows", lambda: table(corners=True, rows=True), V8.but(fields=CORNERS)),
    Case(
        "a table with corners and objectness",
        lambda: table(80, corners=True, objectness=True, rows=True),
        V8.but(kind="yolov5_output", labels=80, fields=CORNERS),
    ),
    Case(
        "a table in fractions, of onnx2tf and back",
        lambda: table(fractions=True, image=NHWC, name="Identity", producer="tf2onnx"),
        FRACTIONS,
    ),
    Case(
        "a table in fractions, 80 labels",
        lambda: table(80, fractions=True, rows=True),
        FRACTIONS.but(labels=80),
    ),
    Case(
        "a table in fractions with corners",
        lambda: table(fractions=True, corners=True),
        FRACTIONS.but(fields={"coordinates": "normalized", "box_format": "xyxy"}),
    ),
    Case(
        "yolov4 of tensorflow: fractions with corners, y first",
        lambda: table(
            80, fractions=True, corners=True, y_first=True, rows=True, name="tf_op_layer_concat_18"
        ),
        Undecided(FRACTIONS.but(labels=80, fields={"coordinates": "normalized", "box_format": "yxyx"})),
    ),
    Case("a table in rows, metadata lost", lambda: table(rows=True), V8),
    Case(
        "a table of a wide image",
        lambda: table(image=WIDE, metadata=metadata(names=SEVEN, imgsz=[256, 384])),
        V8.but(labels=SEVEN, input_size=(256, 384)),
    ),
    Case("a table of a wide image, metadata lost", lambda: table(image=WIDE), V8.but(input_size=(256, 384))),
    Case(
        "a table of a grey image",
        lambda: table(image=(1, 1, SIDE, SIDE), metadata=metadata(names=SEVEN, channels=1)),
        V8.but(labels=SEVEN, image={"color_channels": "L"}),
    ),
    Case(
        "a table in 8 bits",
        lambda: table(each=quantized, metadata=metadata(names=SEVEN)),
        V8.but(labels=SEVEN),
    ),
    Case("a table in 8 bits, metadata lost", lambda: table(each=quantized), V8),
    Case("a table in half precision between floats", half_inside, V8),
    Case("indices of NMS alone", selected_indices, Refused("indices")),
    Case(
        "yolop",
        driving,
        Refused("segment|map", Reads("yolov5_output", {"coordinates": "pixels"}, 1, (SIDE, SIDE))),
    ),
    Case(
        "mmdetection: fcos' levels before their activation",
        lambda: raw_levels(True),
        Undecided(
            Reads(
                "distance_output",
                {
                    "cell_offset": 0.5,
                    "distance_unit": "pixels",
                    "distance_activation": "exp",
                    "confidence": "product",
                },
                80,
                (256, 256),
            )
        ),
    ),
    Case(
        "mmdetection: retinanet's levels",
        lambda: raw_levels(False),
        Refused("levels|undecoded|without decoding"),
    ),
    Case("mmdetection: yolox' levels", raw_yolox, YOLOX_LEVELS),
    Case("rtmpose", places_along_axes, Refused("keypoint|simcc")),
    Case("movenet", movenet, Refused("keypoint")),
)
