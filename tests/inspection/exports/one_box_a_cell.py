"""Detectors of a decoded box a cell: YOLOX, PicoDet, PP-YOLOE, RTMDet and YOLO-NAS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.inspection.exports.building import Builder, Shape, Value, grid_of
from tests.inspection.exports.cases import Case, Reads
from tests.inspection.exports.heads import boxes_of, scores_of

SIDE, STRIDES = 320, (8, 16, 32)
CELLS = sum((SIDE // stride) ** 2 for stride in STRIDES)


def yolox(
    labels: int = 80, is_decoded: bool = False, batch: int | str = 1, free_boxes: bool = False
) -> bytes:
    """YOLOX's head: offsets, logarithms of sizes, objectness and probabilities."""
    graph = Builder((batch, 3, SIDE, SIDE))
    grids = []
    for stride in STRIDES:
        x = graph.features(stride)
        boxes = x.conv(4, gain=0.7, bias=[0.5, 0.5, 1, 1])
        objects, scores = x.conv(1, gain=2.5, bias=-4).sigmoid(), x.conv(labels, gain=2.5, bias=-2).sigmoid()
        grids.append(graph.concat(boxes, objects, scores, axis=1).reshape(0, 5 + labels, -1))
    rows = graph.concat(*grids, axis=2).transpose(0, 2, 1)
    if is_decoded:
        cells, strides = grid_of((SIDE, SIDE), STRIDES, 0.0)
        moves, sizes, scores = rows.split(2, 2, 1 + labels)
        rows = graph.concat((moves + cells) * strides, sizes.exp() * strides, scores, axis=-1)
    graph.output("output", rows, (batch, "num_boxes" if free_boxes else CELLS, 5 + labels))
    return graph.model()


def split_rows(graph: Builder, labels: int) -> tuple[Value, Value]:
    """Corners (B, N, 4) in pixels and probabilities (B, N, L)."""
    grids = [graph.features(stride) for stride in STRIDES]
    boxes = boxes_of(graph, grids, corners=True)
    return boxes.transpose(0, 2, 1), scores_of(graph, grids, labels).transpose(0, 2, 1)


def boxes_and_scores(
    names: Sequence[str],
    labels: int = 80,
    batch: int | str = 1,
    channels_first: bool = False,
    boxes_first: bool = True,
    **options: Any,
) -> bytes:
    """YOLO-NAS, RTMDet and PP-YOLOE without NMS."""
    graph = Builder((batch, 3, SIDE, SIDE), **options)
    boxes, scores = split_rows(graph, labels)
    if options.get("name") == "image":  # PaddleDetection divides by the factors (y, x) of the resizing
        factors = graph.input("scale_factor", (batch, 2))
        boxes = boxes / graph.concat(factors.slice(1, 2), factors.slice(0, 1), axis=1).op(
            "Tile", np.array([1, 2])
        ).unsqueeze(1)
    out: list[tuple[Value, Shape]] = [(boxes, (batch, CELLS, 4)), (scores, (batch, CELLS, labels))]
    if channels_first:
        out[1] = (scores.transpose(0, 2, 1), (batch, labels, CELLS))
    for name, (value, shape) in zip(names, out if boxes_first else out[::-1], strict=True):
        graph.output(name, value, shape)
    return graph.model()


def chosen_of(
    graph: Builder, labels: int, most: int = 100, batched: bool = True
) -> tuple[Value, Value, Value, Value]:
    """The rows that NMS of each label keeps, the best first: image, corners, score, class."""
    boxes, scores = split_rows(graph, labels)
    limits = (np.array([most], np.int64), np.float32([0.65]), np.float32([0.25]))
    kept = graph.op("NonMaxSuppression", boxes, scores.transpose(0, 2, 1), *limits)
    image, label, box = kept.split(1, 1, 1)
    score = scores.transpose(0, 2, 1).op("GatherND", kept)
    count = graph.concat(score.size(0), np.array([most], np.int64), axis=0).op("ReduceMin", keepdims=1)
    order = graph.ops("TopK", 2, score, count, axis=0)[1]
    found = boxes.op("GatherND", graph.concat(image, box, axis=1))
    return tuple(value.gather(order, axis=0) for value in (image, found, score, label))  # type: ignore[return-value]


def padded(graph: Builder, value: Value, most: int, columns: bool) -> Value:
    """Rows of zeros up to `most`, and the batch axis of one image."""
    missing = graph.constant(np.array([most], np.int64)) - value.size(0)
    none = np.zeros(1, np.int64)
    ends = [none, none, missing, none] if columns else [none, missing]
    return value.op("Pad", graph.concat(*ends, axis=0)).unsqueeze(0)


def mmdeploy(labels: int = 80, masks: str = "", is_turned: bool = False) -> bytes:
    """MMDeploy's dets, whose last column is the score, and labels; of MMRotate with an angle before it."""
    graph = Builder(name="input")
    _, boxes, scores, classes = chosen_of(graph, labels)
    if is_turned:
        upper, lower = boxes.split(2, 2, axis=1)
        angle = ((upper.slice(0, 1, 1) * np.float32(0.01)).op("Sin") - 0.1) * np.float32(1.5)
        boxes = graph.concat((upper + lower) / 2.0, lower - upper, angle, axis=1)
    dets = padded(graph, graph.concat(boxes, scores.unsqueeze(1), axis=1), 100, True)
    graph.output("dets", dets, (1, 100, 6 if is_turned else 5))
    graph.output("labels", padded(graph, classes.squeeze(1), 100, False), (1, 100), np.int64)
    if masks:
        found = padded(graph, scores, 100, False).reshape(0, 100, 1, 1)
        if masks == "image":  # RTMDet-Ins
            whole = (
                graph.features(8)
                .slice(0, 1, 1)
                .op("Resize", np.zeros(0, np.float32), np.float32([1, 1, 8, 8]))
            )
            graph.output("masks", (found * whole).sigmoid(), (1, 100, SIDE, SIDE))
        else:  # Mask R-CNN
            graph.output("masks", (found * np.ones((28, 28), np.float32)).sigmoid(), (1, 100, 28, 28))
    return graph.model()


def counted(names: Sequence[str], labels: int = 80, batch: int | str = 1, **options: Any) -> bytes:
    """A count, boxes, scores and classes: mmyolo's export, and YOLO-NAS' of the format batch."""
    graph = Builder((batch, 3, SIDE, SIDE), **options)
    _, boxes, scores, classes = chosen_of(graph, labels)
    graph.output(names[0], boxes.size(0).unsqueeze(0), (1, 1), np.int64)
    graph.output(names[1], padded(graph, boxes, 100, True), (1, 100, 4))
    graph.output(names[2], padded(graph, scores, 100, False), (1, 100))
    graph.output(names[3], padded(graph, classes.squeeze(1), 100, False), (1, 100), np.int64)
    return graph.model()


def nas_flat(labels: int = 80) -> bytes:
    """YOLO-NAS' format flat: rows of image, corners, score, class."""
    graph = Builder(name="input")
    image, boxes, scores, classes = chosen_of(graph, labels)
    columns = [image.cast(), boxes, scores.unsqueeze(1), classes.cast()]
    graph.output("graph2_flat_predictions", graph.concat(*columns, axis=1), ("num_detections", 7))
    return graph.model()


def paddle(labels: int = 80, batch: int | str = 1) -> bytes:
    """PaddleDetection with its NMS: rows of class, score, box, and how many an image has."""
    graph = Builder((batch, 3, SIDE, SIDE), name="image", producer="PaddlePaddle")
    factors = graph.input("scale_factor", (batch, 2))
    _, boxes, scores, classes = chosen_of(graph, labels)
    corners = graph.concat(factors.slice(1, 2), factors.slice(0, 1), axis=1).op("Tile", np.array([1, 2]))
    rows = graph.concat(classes.cast(), scores.unsqueeze(1), boxes / corners, axis=1)
    graph.output("multiclass_nms3_0.tmp_0", rows, ("p2o.DynamicDimension.0", 6))
    count = rows.size(0).cast(np.int32)
    graph.output("multiclass_nms3_0.tmp_2", count, ("p2o.DynamicDimension.1",), np.int32)
    return graph.model()


def undecided_rows(labels: int = 80, rows: int | str = CELLS) -> bytes:
    """A row a cell, x1, y1, x2, y2, score, class: the best label of each, without NMS."""
    graph = Builder()
    boxes, scores = split_rows(graph, labels)
    columns = [boxes, scores.reduce_max(-1).unsqueeze(-1), scores.argmax(-1).unsqueeze(-1).cast()]
    graph.output("output", graph.concat(*columns, axis=2), (1, rows, 6))
    return graph.model()


def flat_rows(columns: Sequence[str], labels: int = 80, fixed: bool = False, batched: bool = False) -> bytes:
    """Finished rows whose columns have an order of their own."""
    graph = Builder()
    image, boxes, scores, classes = chosen_of(graph, labels)
    parts = {"image": image.cast(), "box": boxes, "score": scores.unsqueeze(1), "class": classes.cast()}
    rows = graph.concat(*(parts[name] for name in columns), axis=1)
    width = sum(4 if name == "box" else 1 for name in columns)
    if fixed or batched:
        rows = padded(graph, rows, 100, True)
        graph.output(
            "output", rows if batched else rows.squeeze(0), (1, 100, width) if batched else (100, width)
        )
    else:
        graph.output("output", rows, ("num_dets", width))
    return graph.model()


YOLOX_IMAGE = {
    "resize_type": "FILL",
    "pad_value": 114,
    "pad_align": "top_left",
    "color_channels": "BGR",
    "pixel_scaling": 255,
}
YOLOX = Reads(
    "yolox_output", {"strides": STRIDES, "score_activation": "none"}, 80, (SIDE, SIDE), image=YOLOX_IMAGE
)
DECODED = Reads(
    "yolov5_output", {"coordinates": "pixels", "box_format": "cxcywh"}, 80, (SIDE, SIDE), image=YOLOX_IMAGE
)
DENSE = Reads(
    "standard_output",
    {"box_format": "xyxy", "score_activation": "none", "background": "none"},
    80,
    (SIDE, SIDE),
)
ROWS = Reads(
    "end_to_end_output", {"columns": ("class", "score", "box"), "classes": "rows"}, None, (SIDE, SIDE), False
)
COUNTED = Reads("end_to_end_output", {"classes": "rows", "box_format": "xyxy"}, None, (SIDE, SIDE), False)


def flat_reads(*columns: str) -> Reads:
    return Reads("end_to_end_output", {"columns": columns, "classes": "rows"}, None, (SIDE, SIDE), False)


MMDEPLOY = Reads(
    "end_to_end_output",
    {
        "output_tensor": "dets",
        "columns": ("box", "score"),
        "classes_tensor": "labels",
        "box_format": "xyxy",
        "classes": "rows",
    },
    None,
    (SIDE, SIDE),
    False,
)

CASES = (
    Case("yolox", yolox, YOLOX),
    Case("yolox: 7 labels, dynamic batch", lambda: yolox(7, batch="batch"), YOLOX.but(labels=7)),
    Case("yolox: one label", lambda: yolox(1), YOLOX.but(labels=1)),
    Case("yolox: decode_in_inference", lambda: yolox(is_decoded=True), DECODED),
    Case(
        "yolox: decode_in_inference, 7 labels, free axes",
        lambda: yolox(7, True, "batch", True),
        DECODED.but(labels=7),
    ),
    Case("picodet: with post-processing", paddle, ROWS),
    Case("ppyoloe: with NMS, 7 labels, dynamic batch", lambda: paddle(7, batch="DynamicDimension.0"), ROWS),
    Case(
        "ppyoloe: without NMS",
        lambda: boxes_and_scores(
            ("tmp_16", "concat_14.tmp_0"), channels_first=True, name="image", producer="PaddlePaddle"
        ),
        DENSE,
    ),
    Case("rtmdet: mmdeploy", mmdeploy, MMDEPLOY),
    Case(
        "rtmdet-ins: mmdeploy, with masks",
        lambda: mmdeploy(masks="image"),
        MMDEPLOY.but(fields={**MMDEPLOY.fields, "masks_tensor": "masks", "masks_cover": "image"}),
    ),
    Case(
        "mask r-cnn: mmdeploy",
        lambda: mmdeploy(masks="box"),
        MMDEPLOY.but(fields={**MMDEPLOY.fields, "masks_tensor": "masks", "masks_cover": "box"}),
    ),
    Case(
        "mmrotate: mmdeploy",
        lambda: mmdeploy(15, is_turned=True),
        MMDEPLOY.but(
            fields={**MMDEPLOY.fields, "columns": ("box", "angle", "score"), "box_format": "cxcywh"},
        ),
    ),
    Case("rtmdet: mmyolo with NMS", lambda: counted(("num_dets", "boxes", "scores", "labels")), COUNTED),
    Case(
        "rtmdet: mmyolo without NMS",
        lambda: boxes_and_scores(("boxes", "scores"), 7, "batch"),
        DENSE.but(labels=7),
    ),
    Case("yolo-nas: format flat", nas_flat, flat_reads("image", "box", "score", "class")),
    Case(
        "yolo-nas: format batch",
        lambda: counted(
            [f"graph2_{name}" for name in ("num_predictions", "pred_boxes", "pred_scores", "pred_classes")]
        ),
        COUNTED,
    ),
    Case("yolo-nas: without NMS", lambda: boxes_and_scores(("904", "913")), DENSE),
    Case(
        "yolo-nas: without NMS, scores first, 4 labels",
        lambda: boxes_and_scores(("output", "975"), 4, boxes_first=False),
        DENSE.but(labels=4, fields={**DENSE.fields, "boxes_tensor": "975"}),
    ),
    Case(
        "thousands of rows without NMS",
        undecided_rows,
        flat_reads("box", "score", "class").but(suppresses=True),
    ),
    Case(
        "rows with an image, any number",
        lambda: flat_rows(("image", "box", "class", "score")),
        flat_reads("image", "box", "class", "score"),
    ),
    Case(
        "rows with an image, 100 of them",
        lambda: flat_rows(("image", "box", "class", "score"), 7, fixed=True),
        flat_reads("image", "box", "class", "score"),
    ),
    Case(
        "rows of class, score, box, no count",
        lambda: flat_rows(("class", "score", "box"), 7),
        flat_reads("class", "score", "box"),
    ),
    Case(
        "rows of box, score, class, no batch",
        lambda: flat_rows(("box", "score", "class"), 7),
        flat_reads("box", "score", "class"),
    ),
    Case(
        "rows of box, class, score",
        lambda: flat_rows(("box", "class", "score"), 7, batched=True),
        flat_reads("box", "class", "score"),
    ),
)
