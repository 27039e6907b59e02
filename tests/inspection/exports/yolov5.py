"""YOLOv5, v6 and v7 and what descends from them: tables with an objectness, raw grids, faces and poses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.inspection.exports.building import COCO, Builder, Shape, Value, grid_of
from tests.inspection.exports.cases import Case, Reads, Refused, Undecided
from tests.inspection.exports.heads import boxes_of, flat, prototypes_of
from tests.inspection.exports.ultralytics import LETTERBOX

SIDE, STRIDES = 320, (8, 16, 32)
CELLS = sum((SIDE // stride) ** 2 for stride in STRIDES)
ROWS = 3 * CELLS
ANCHORS = np.float32(
    [
        [[10, 13], [16, 30], [33, 23]],
        [[30, 61], [62, 45], [59, 119]],
        [[116, 90], [156, 198], [373, 326]],
    ]
)
FREE: Shape = ("batch", 3, "height", "width")


def head(graph: Builder, stride: int, columns: int, class_bias: float = -2.0) -> Value:
    """The raw grid of a scale (B, 3 * columns, H, W); few cells hold an object."""
    bias, gain = np.zeros(columns), np.full(columns, 2.0)
    bias[4], bias[5:] = -4, class_bias
    if columns == 6:  # the column of a lone label is never trained: its logit is the bias that it began with
        gain[5] = 0.05
    return graph.features(stride).conv(3 * columns, gain=np.tile(gain, 3), bias=np.tile(bias, 3))


def rows_of(
    graph: Builder,
    columns: int,
    free: bool = False,
    landmarks: int = 0,
    class_bias: float = -2.0,
    coefficients: int = 0,
) -> Value:
    """The rows of all scales (B, N, columns): box, objectness, then probabilities or landmarks.

    `landmarks` numbers after the objectness are places of landmarks, scaled by the anchors as yolov5-face
    does; `coefficients` at the end are as the layer gives them.
    """
    parts = []
    for anchors, stride in zip(ANCHORS, STRIDES, strict=True):
        raw, side = head(graph, stride, columns, class_bias), SIDE // stride
        grid: Any
        if free:
            grid = graph.cells([raw], [stride], 0.0)[0].transpose(0, 2, 1).unsqueeze(0)
            cells = raw.reshape(0, 3, columns, -1).transpose(0, 1, 3, 2)
        else:
            grid = grid_of((SIDE, SIDE), [stride], 0.0)[0].reshape(1, 1, side, side, 2)
            cells = raw.reshape(0, 3, columns, side, side).transpose(0, 1, 3, 4, 2)
        sizes = anchors.reshape(1, 3, *(() if free else (1,)), 1, 2)
        sizes_of = [2, 2, columns - 4]
        if landmarks:
            numbers = np.tile(sizes, landmarks // 2)
            first, marks, last = cells.split(5, landmarks, columns - 5 - landmarks)
            box, extent, score = first.sigmoid().split(2, 2, 1)
            places = np.tile(np.asarray(grid) * stride, landmarks // 2)
            others = [score, marks * 0.3 * numbers + places, last.sigmoid()]
        elif coefficients:
            box, extent, scores, last = cells.split(2, 2, columns - 4 - coefficients, coefficients)
            box, extent, others = box.sigmoid(), extent.sigmoid(), [scores.sigmoid(), last]
        else:
            box, extent, scores = cells.sigmoid().split(*sizes_of)
            others = [scores]
        centre = ((box * 2.0 - 0.5) + grid) * float(stride)
        size = (extent * 2.0) ** 2.0 * sizes
        parts.append(graph.concat(centre, size, *others, axis=-1).reshape(0, -1, columns))
    return graph.concat(*parts, axis=1)


def table(
    labels: int = 80,
    shape: Shape = (1, 3, SIDE, SIDE),
    declared: Shape | None = None,
    name: str = "output0",
    transposed: bool = False,
    class_bias: float = -2.0,
    **options: Any,
) -> bytes:
    """The decoded table of YOLOv5's and v7's export."""
    graph = Builder(shape, **options)
    rows = rows_of(graph, 5 + labels, not isinstance(shape[2], int), class_bias=class_bias)
    columns = 5 + labels
    if transposed:
        graph.output(name, rows.transpose(0, 2, 1), (1, columns, ROWS))
    else:
        graph.output(name, rows, declared or (1, ROWS, columns))
    return graph.model()


def segmenting(
    labels: int,
    shape: Shape = (1, 3, SIDE, SIDE),
    declared: tuple[Shape, Shape] | None = None,
    names: tuple[str, str] = ("output0", "output1"),
    class_bias: float = -2.0,
    **options: Any,
) -> bytes:
    """The table and the prototypes of the segmenting heads of YOLOv5 and v7."""
    graph, columns = Builder(shape, **options), 5 + labels + 32
    is_free = not isinstance(shape[2], int)
    rows = rows_of(graph, columns, is_free, class_bias=class_bias, coefficients=32)
    table_shape, prototypes_shape = declared or ((1, ROWS, columns), (1, 32, SIDE // 4, SIDE // 4))
    graph.output(names[0], rows, table_shape)
    graph.output(names[1], prototypes_of(graph), prototypes_shape)
    return graph.model()


def raw_grids(
    names: Sequence[str], labels: int = 80, rank: int = 4, sigmoid: bool = False, halves: bool = False
) -> bytes:
    """The grids as the last layers give them: of rank 5 where the head was asked for training's output.

    With `halves` a layer is halved by MaxPool, as between the stages of YOLOv7.
    """
    graph = Builder()
    columns = 5 + labels
    if halves:
        graph.features(4).op("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    for name, stride in zip(names, STRIDES, strict=True):
        raw, side = head(graph, stride, columns), SIDE // stride
        if rank == 5:
            raw = raw.reshape(0, 3, columns, side, side).transpose(0, 1, 3, 4, 2)
        shape = (1, 3, side, side, columns) if rank == 5 else (1, 3 * columns, side, side)
        graph.output(name, raw.sigmoid() if sigmoid else raw, shape)
    return graph.model()


def yolov6(labels: int = 80, batch: int | str = 1) -> bytes:
    """YOLOv6's table: a box a cell, whose objectness is the constant 1."""
    graph = Builder((batch, 3, SIDE, SIDE))
    grids = [graph.features(stride, "Relu") for stride in STRIDES]
    boxes = boxes_of(graph, grids).transpose(0, 2, 1)
    scores = flat(graph, grids, labels, gain=2.5, bias=-5.0).sigmoid().transpose(0, 2, 1)
    out = graph.concat(boxes, boxes.slice(0, 1) * 0.0 + 1.0, scores, axis=-1)
    graph.output("outputs", out, (batch, CELLS, 5 + labels))
    return graph.model()


def end_to_end(labels: int = 80, batch: int | str = 1) -> bytes:
    """YOLOv7's ``--end2end`` for ONNX Runtime: rows of image, corners, class and score."""
    graph = Builder((batch, 3, SIDE, SIDE))
    rows = rows_of(graph, 5 + labels)
    centre, size, objectness, classes = rows.split(2, 2, 1, labels)
    half = size * 0.5
    boxes = graph.concat(centre - half, centre + half, axis=2)
    scores = classes * objectness
    best = scores.reduce_max(2)
    apart = boxes + scores.argmax(2).unsqueeze(2).cast() * 640.0
    limits = (np.array([100], np.int64), np.float32([0.45]), np.float32([0.25]))
    kept = graph.op("NonMaxSuppression", apart, best.unsqueeze(1), *limits)
    places = graph.concat(kept.slice(0, 1, 1), kept.slice(2, 3, 1), axis=1)
    columns = [kept.slice(0, 1, 1).cast(), boxes.op("GatherND", places)]
    columns += [tensor.op("GatherND", places).unsqueeze(1) for tensor in (scores.argmax(2).cast(), best)]
    graph.output("output", graph.concat(*columns, axis=1), ("Concatoutput_dim_0", 7))
    return graph.model()


def tensorrt(labels: int = 80, batch: int | str = 1) -> bytes:
    """YOLOv7's ``--end2end`` for TensorRT, whose operator ONNX Runtime lacks."""
    graph = Builder((batch, 3, SIDE, SIDE))
    boxes, objectness, classes = rows_of(graph, 5 + labels).split(4, 1, labels)
    found = graph.ops(
        *("EfficientNMS_TRT", 4, boxes, classes * objectness),
        domain="TRT",
        background_class=-1,
        box_coding=1,
        iou_threshold=0.45,
        max_output_boxes=100,
        plugin_version="1",
        score_activation=0,
        score_threshold=0.25,
    )
    shapes: dict[str, Shape] = {
        "num_dets": (batch, 1),
        "det_boxes": (batch, 100, 4),
        "det_scores": (batch, 100),
        "det_classes": (batch, 100),
    }
    for value, (name, shape) in zip(found, shapes.items(), strict=True):
        graph.output(name, value, shape, np.int32 if name in ("num_dets", "det_classes") else None)
    return graph.model()


def people_or_faces(columns: int, landmarks: int, name: str, numbers: int = 2) -> bytes:
    """Box, objectness, class, then landmarks of 3 numbers (v7's poses and faces); or the class last."""
    graph = Builder()
    if numbers == 2:
        rows = rows_of(graph, columns, landmarks=landmarks)
    else:
        table, marks = rows_of(graph, columns).split(6, landmarks)
        places = marks.reshape(0, ROWS, landmarks // 3, 3)
        moved = places.slice(0, 2) * 40.0 + table.slice(0, 2).unsqueeze(2)
        marks = graph.concat(moved, places.slice(2, 3), axis=3).reshape(0, ROWS, landmarks)
        rows = graph.concat(table, marks, axis=2)
    graph.output(name, rows, (1, ROWS, columns))
    return graph.model()


def named(names: Sequence[str]) -> dict[str, Any]:
    """What YOLOv5's export.py embeds, as the options of a builder."""
    return {"metadata": {"stride": "32", "names": str(dict(enumerate(names)))}}


SEVEN = ("car", "bus", "van", "bike", "tram", "dog", "cat")
V5 = Reads(
    "yolov5_output", {"coordinates": "pixels", "box_format": "cxcywh"}, 80, (SIDE, SIDE), image=LETTERBOX
)
V5_MASKS = V5.but(
    fields={**V5.fields, "prototypes_tensor": "output1", "keep_empty_masks": True},
    decision={"nms_threshold": 0.45, "multi_label": False},
)
V5_GRIDS = Reads(
    "yolov3_output",
    {"box_coding": "yolov5", "anchors": tuple(ANCHORS.ravel().tolist()), "scale_x_y": 1.0},
    80,
    (SIDE, SIDE),
    image=LETTERBOX,
)
V7_ANCHORS = (12, 16, 19, 36, 40, 28, 36, 75, 76, 55, 72, 146, 142, 110, 192, 243, 459, 401)
V7_ROWS = Reads(
    "end_to_end_output",
    {"columns": ("image", "box", "class", "score"), "classes": "rows"},
    None,
    (SIDE, SIDE),
    False,
)
TRT_ROWS = Reads(
    "end_to_end_output",
    {"boxes_tensor": "det_boxes", "count_tensor": "num_dets", "classes": "rows", "box_format": "xyxy"},
    None,
    (SIDE, SIDE),
    False,
)

CASES = (
    Case("yolov5: fixed size", lambda: table(**named(COCO)), V5.but(labels=COCO)),
    Case(
        "yolov5: free axes",
        lambda: table(7, FREE, ("batch", "anchors", "Concatoutput0_dim_2"), **named(SEVEN)),
        V5.but(labels=SEVEN, input_size=(640, 640)),
    ),
    Case("yolov5: one label", lambda: table(1, class_bias=11.0, **named(["face"])), V5.but(labels=("face",))),
    Case("yolov5: one label, metadata lost", lambda: table(1, class_bias=11.0), V5.but(labels=1)),
    Case("yolov5: 107 labels, metadata lost", lambda: table(107), V5.but(labels=107)),
    Case("yolov5: transposed", lambda: table(7, transposed=True, **named(SEVEN)), V5.but(labels=SEVEN)),
    Case("yolov5: transposed, metadata lost", lambda: table(7, transposed=True), V5.but(labels=7)),
    Case("yolov5-seg", lambda: segmenting(80, **named(COCO)), V5_MASKS),
    Case(
        "yolov5-seg: free axes",
        lambda: segmenting(
            7,
            FREE,
            (
                ("batch", "anchors", "Concatoutput0_dim_2"),
                ("batch", 32, "mask_height", "mask_width"),
            ),
            **named(SEVEN),
        ),
        V5_MASKS.but(labels=SEVEN, input_size=(640, 640)),
    ),
    Case("yolov5-seg: metadata lost", lambda: segmenting(7), V5_MASKS.but(labels=7)),
    Case(
        "yolov5-seg: one label, whose column says 0.5, metadata lost",
        lambda: segmenting(1, class_bias=0.0),
        Undecided(V5_MASKS.but(labels=1)),
    ),
    Case(
        "yolov7-seg, as its u7 branch names outputs",
        lambda: segmenting(7, names=("output", "517"), **named(SEVEN)),
        V5_MASKS.but(fields={**V5_MASKS.fields, "prototypes_tensor": "517"}, labels=SEVEN),
    ),
    Case("yolov5: grids of training's output", lambda: raw_grids(("output", "345", "403"), rank=5), V5_GRIDS),
    Case("yolov5: raw grids of rank 4", lambda: raw_grids(("345", "403", "461")), V5_GRIDS),
    Case(
        "yolov5: raw grids of 7 labels with sigmoids, for RKNN",
        lambda: raw_grids(("output0", "output1", "output2"), 7, sigmoid=True),
        Refused("YOLOv5.*export"),
    ),
    Case("yolov6", yolov6, V5),
    Case("yolov6: 7 labels, dynamic batch", lambda: yolov6(7, "batch"), V5.but(labels=7)),
    Case("yolov7: --grid", lambda: table(name="output"), V5),
    Case(
        "yolov7: --grid, dynamic batch",
        lambda: table(7, ("batch", 3, SIDE, SIDE), ("batch", "Concatoutput_dim_1", 12), name="output"),
        V5.but(labels=7),
    ),
    Case(
        "yolov7: one label, whose column says 0.5",
        lambda: table(1, name="output", class_bias=0.0),
        Undecided(V5.but(labels=1, fields={**V5.fields, "confidence": "objectness"})),
    ),
    Case(
        "yolov7: without --grid",
        lambda: raw_grids(("output", "516", "528"), rank=5, halves=True),
        V5_GRIDS.but(fields={**V5_GRIDS.fields, "anchors": V7_ANCHORS}),
    ),
    Case(
        "yolov7: without --grid, 7 labels",
        lambda: raw_grids(("output", "516", "528"), 7, rank=5),
        Undecided(V5_GRIDS.but(labels=7)),  # its anchors may be its own
    ),
    Case("yolov7: --end2end", end_to_end, V7_ROWS),
    Case("yolov7: --end2end, dynamic batch", lambda: end_to_end(7, "batch"), V7_ROWS),
    Case("yolov7: --end2end for TensorRT", tensorrt, TRT_ROWS, runs=False),
    Case("yolov7: --end2end for TensorRT, dynamic batch", lambda: tensorrt(7, "batch"), TRT_ROWS, runs=False),
    Case(
        "yolov5-face",
        lambda: people_or_faces(16, 10, "output"),
        Reads("yolov5_output", {"keypoints": 5, "dimensions": 2, "keypoints_first": True}, 1, (SIDE, SIDE)),
    ),
    Case(
        "yolov7-face",
        lambda: people_or_faces(21, 15, "output", 3),
        Reads("yolov5_output", {"keypoints": 5, "dimensions": 3, "keypoints_first": False}, 1, (SIDE, SIDE)),
    ),
    Case(
        "yolov7-w6-pose",
        lambda: people_or_faces(57, 51, "output", 3),
        Reads("yolov5_output", {"keypoints": 17, "dimensions": 3, "keypoints_first": False}, 1, (SIDE, SIDE)),
    ),
)
