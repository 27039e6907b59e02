"""ultralytics: tables of every task, the selection of YOLOv10 and YOLO26, NMS in the graph, and RT-DETR."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.inspection.exports.building import COCO, Builder, Shape, Value, grid_of
from tests.inspection.exports.cases import Case, Reads, Refused, Undecided
from tests.inspection.exports.heads import (
    STRIDES,
    boxes_of,
    flat,
    keypoints_of,
    prototypes_of,
    scores_of,
    turned_boxes,
)

SIDE = 320
BOXES = sum((SIDE // stride) ** 2 for stride in STRIDES)
FREE: Shape = ("batch", 3, "height", "width")
LETTERBOX = {
    "resize_type": "FILL",
    "pad_value": 114,
    "pad_align": "center",
    "color_channels": "RGB",
    "pixel_scaling": 1,
}


def metadata(task: str = "detect", names: Sequence[str] = COCO, **others: Any) -> dict[str, str]:
    """What ultralytics embeds."""
    values = {
        "description": f"Ultralytics YOLO model trained on coco.yaml for {task}",
        "author": "Ultralytics",
        "version": "8.4.190",
        "stride": 32,
        "task": task,
        "batch": 1,
        "imgsz": [SIDE, SIDE],
        "names": dict(enumerate(names)),
        "args": {"batch": 1, "dynamic": False, "nms": False},
        "channels": 3,
        "end2end": False,
        **others,
    }
    return {key: str(value) for key, value in values.items()}


def table(
    labels: int = 80,
    shape: Shape = (1, 3, SIDE, SIDE),
    declared: Shape | None = None,
    extra: Callable[[Builder, Sequence[Value]], Value] | None = None,
    prototypes: bool = False,
    strides: Sequence[int] = STRIDES,
    bins: int = 16,
    **options: Any,
) -> bytes:
    """The table of `Detect`, `Segment` and `Pose`: boxes, scores, and what a task adds."""
    graph = Builder(shape, **options)
    grids = [graph.features(stride) for stride in strides]
    free = not isinstance(shape[2], int)
    parts = [boxes_of(graph, grids, free, strides=strides, bins=bins), scores_of(graph, grids, labels)]
    if extra is not None:
        parts.append(extra(graph, grids))
    if prototypes:
        parts.append(flat(graph, grids, 32))
    shape_of_table = declared or (shape[0], 4 + labels, len(grid_of(graph.size, strides)[0][0]))
    graph.output("output0", graph.concat(*parts, axis=1), shape_of_table)
    if prototypes:
        sides = (SIDE // 4,) * 2 if not free else ("mask_height", "mask_width")
        graph.output("output1", prototypes_of(graph), (shape[0], 32, *sides))
    return graph.model()


def oriented(labels: int, side: int = SIDE, **options: Any) -> bytes:
    graph = Builder((1, 3, side, side), **options)
    grids = [graph.features(stride) for stride in STRIDES]
    angle = (flat(graph, grids, 1).sigmoid() - 0.25) * np.float32(np.pi)
    parts = [turned_boxes(graph, grids, angle), scores_of(graph, grids, labels), angle]
    boxes = grid_of(graph.size, STRIDES)[0].shape[1]
    graph.output("output0", graph.concat(*parts, axis=1), (1, labels + 5, boxes))
    return graph.model()


def found_of(
    graph: Builder, labels: int, task: str, keypoints: tuple[int, int]
) -> tuple[Value, Value, list[tuple[Value, int]]]:
    """Boxes (B, 4, N) and scores (B, L, N), and what a task adds, with its columns."""
    grids = [graph.features(stride) for stride in STRIDES]
    scores = scores_of(graph, grids, labels)
    if task == "obb":
        angle = (flat(graph, grids, 1).sigmoid() - 0.25) * np.float32(np.pi)
        return turned_boxes(graph, grids, angle), scores, [(angle, 1)]
    boxes = boxes_of(graph, grids, corners=True)
    if task == "pose":
        return boxes, scores, [(keypoints_of(graph, grids, *keypoints), keypoints[0] * keypoints[1])]
    return boxes, scores, [(flat(graph, grids, 32), 32)] if task == "segment" else []


def chosen(
    labels: int = 80,
    task: str = "detect",
    shape: Shape = (1, 3, SIDE, SIDE),
    keypoints: tuple[int, int] = (17, 3),
    **options: Any,
) -> bytes:
    """The selection of YOLOv10 and YOLO26: the best 300 boxes, then the best 300 of their scores."""
    graph = Builder(shape, **options)
    boxes, scores, more = found_of(graph, labels, task, keypoints)
    widths = [columns for _, columns in more]
    rows = graph.concat(boxes, scores, *(value for value, _ in more), axis=1).transpose(0, 2, 1)
    kept, scores, *others = rows.split(4, labels, *widths)
    first = scores.reduce_max(-1).topk(300)[1].unsqueeze(-1)

    def rows_at(tensor: Value, places: Value, columns: int) -> Value:
        return tensor.op("GatherElements", places.op("Expand", np.array([1, 1, columns], np.int64)), axis=1)

    values, flat_places = rows_at(scores, first, labels).reshape(0, -1).topk(300)
    classes = flat_places.op("Mod", np.array(labels, np.int64)).unsqueeze(-1).cast(graph.real)
    places = flat_places.op("Div", np.array(labels, np.int64)).unsqueeze(-1)
    tensors = zip([kept, *others], [4, *widths], strict=True)
    box, *rest = (rows_at(rows_at(tensor, first, columns), places, columns) for tensor, columns in tensors)
    out = graph.concat(box, values.unsqueeze(-1), classes, *rest, axis=2)
    graph.output("output0", out, (shape[0], 300, 6 + sum(widths)))
    if task == "segment":
        graph.output("output1", prototypes_of(graph), (1, 32, SIDE // 4, SIDE // 4))
    return graph.model()


def suppressed(
    labels: int = 80, task: str = "detect", keypoints: tuple[int, int] = (17, 3), **options: Any
) -> bytes:
    """Exported with nms=True: NMS, then rows of zeros up to 300, written into a tensor of zeros."""
    graph = Builder(**options)
    boxes, scores, more = found_of(graph, labels, task, keypoints)
    widths = [columns for _, columns in more]
    rows = graph.concat(boxes, scores, *(value for value, _ in more), axis=1).transpose(0, 2, 1)
    boxes, scores, *others = rows.split(4, labels, *widths)
    best, classes = scores.reduce_max(-1), scores.argmax(-1).cast()
    columns = [boxes, best.unsqueeze(-1), classes.unsqueeze(-1), *others]
    kept = _kept_turned(graph, boxes, best) if task == "obb" else _kept(graph, boxes, best, classes)
    found = graph.concat(*columns, axis=2).gather(kept, axis=1)
    width = 6 + sum(widths)
    missing = (graph.constant(np.array([300], np.int64)) - found.size(1)) * np.array([width], np.int64)
    padded = found.reshape(-1).op("Pad", graph.concat(np.zeros(1, np.int64), missing, axis=0))
    places = np.array([[0]], np.int64)
    nothing = np.zeros((1, 300, width), np.float32)
    graph.output(
        "output0", graph.op("ScatterND", nothing, places, padded.reshape(1, 300, width)), (1, 300, width)
    )
    if task == "segment":
        graph.output("output1", prototypes_of(graph), (1, 32, SIDE // 4, SIDE // 4))
    return graph.model()


def _kept(graph: Builder, boxes: Value, best: Value, classes: Value) -> Value:
    """The rows that NMS keeps, of each label by itself."""
    apart = boxes + classes.unsqueeze(-1) * 1000.0
    limits = (np.array([300], np.int64), np.float32([0.7]), np.float32([0.25]))
    return graph.op("NonMaxSuppression", apart, best.unsqueeze(1), *limits).slice(2, 3, 1).squeeze(1)


def _kept_turned(graph: Builder, boxes: Value, best: Value) -> Value:
    """The rows of which no better one is near: no operator compares oriented boxes."""
    scores, places = (best * best.op("Greater", np.float32(0.25)).cast()).topk(300)
    centres = boxes.op("GatherElements", places.unsqueeze(-1).op("Expand", np.array([1, 1, 2])), axis=1)
    apart = centres.unsqueeze(2) - centres.unsqueeze(1)
    near = (apart * apart).op("ReduceSum", np.array([-1], np.int64), keepdims=0).op("Less", np.float32(64))
    is_near = near.cast().op("Trilu", np.array(1, np.int64), upper=1).reduce_max(1)
    is_kept = is_near.op("Less", scores.op("Greater", np.float32(0)).cast())
    rows = is_kept.squeeze(0).op("NonZero").squeeze(0)
    return places.squeeze(0).gather(rows, axis=0)


def rtdetr(labels: int = 80, is_new: bool = True, **options: Any) -> bytes:
    """RTDETRDecoder: normalized centres; a table of scores, or from 8.4 on the best 300."""
    graph = Builder(**options)
    values = flat(graph, [graph.features(16)], 12)
    places = np.random.default_rng(1).uniform(-0.9, 0.9, (1, 1, 300, 2)).astype(np.float32)
    sampled = (
        values.reshape(0, 12, SIDE // 16, SIDE // 16).op("GridSample", places).squeeze(2).transpose(0, 2, 1)
    )
    queries = graph.noted(sampled, 12)
    reference = np.random.default_rng(2).normal(0, 1, (1, 300, 4)).astype(np.float32) - np.float32(
        [0, 0, 2, 2]
    )
    boxes = (queries.linear(4) + reference).sigmoid()
    scores = queries.linear(labels, gain=2.0, bias=-3.0).sigmoid()
    if is_new:
        values, flat_places = scores.reshape(0, -1).topk(300)
        places_of = flat_places.op("Div", np.array(labels, np.int64)).unsqueeze(-1)
        classes = flat_places.op("Mod", np.array(labels, np.int64)).unsqueeze(-1).cast()
        kept = boxes.op("GatherElements", places_of.op("Expand", np.array([1, 1, 4], np.int64)), axis=1)
        graph.output("output0", graph.concat(kept, values.unsqueeze(-1), classes, axis=2), (1, 300, 6))
    else:
        graph.output("output0", graph.concat(boxes, scores, axis=2), (1, 300, 4 + labels))
    return graph.model()


def two_tables(labels: int) -> bytes:
    """YOLOv9's training graph: the table of the auxiliary branch comes first, the one to use second."""
    graph = Builder()
    for name in ("output0", "1598"):
        grids = [graph.features(stride) for stride in STRIDES]
        out = graph.concat(boxes_of(graph, grids), scores_of(graph, grids, labels), axis=1)
        graph.output(name, out, (1, 4 + labels, BOXES))
    return graph.model()


def one_map(channels: int, **options: Any) -> bytes:
    """The tasks depth and semantic: a map of the image's size."""
    graph = Builder(**options)
    out = graph.features(4).conv(channels)
    scales = np.float32([1, 1, 4, 4])
    out = out.op("Resize", np.zeros(0, np.float32), scales, mode="linear")
    graph.output("output0", out, (1, channels, SIDE, SIDE))
    return graph.model()


def classify(labels: int = 7, shape: Shape = (1, 3, 224, 224), **options: Any) -> bytes:
    graph = Builder(shape, **options)
    graph.output("output0", graph.pooled().gemm(labels, gain=4.0).softmax(1), (shape[0], labels))
    return graph.model()


def described(names: Sequence[str] = COCO, **others: Any) -> dict[str, Any]:
    """The options of a builder for a file with metadata."""
    return {"metadata": metadata(names=names, **others)}


SEVEN = ("car", "bus", "van", "bike", "tram", "dog", "cat")
POSE = {"task": "pose", "kpt_shape": [17, 3], "names": ("person",)}
V8 = Reads(
    "yolov8_output",
    {"output_tensor": "output0", "coordinates": "pixels", "box_format": "cxcywh"},
    COCO,
    (SIDE, SIDE),
    image=LETTERBOX,
)
FINISHED = Reads(
    "end_to_end_output",
    {"columns": ("box", "score", "class"), "box_format": "xyxy", "classes": "rows"},
    COCO,
    (SIDE, SIDE),
    False,
    image=LETTERBOX,
)
POSES_FOUND = FINISHED.but(
    fields={
        **FINISHED.fields,
        "columns": ("box", "score", "class", "keypoints"),
        "keypoints": 17,
        "dimensions": 3,
    },
    labels=("person",),
)
MASKS_FOUND = FINISHED.but(
    fields={
        **FINISHED.fields,
        "columns": ("box", "score", "class", "coefficients"),
        "prototypes_tensor": "output1",
        "keep_empty_masks": False,
    }
)
TURNED_FOUND = FINISHED.but(
    fields={
        **FINISHED.fields,
        "columns": ("box", "score", "class", "angle"),
        "box_format": "cxcywh",
    },
    labels=COCO[:15],
)
POSES = Reads("yolov8_pose_output", {"keypoints": 17, "dimensions": 3}, ("person",), (SIDE, SIDE))
MASKS = Reads(
    "yolov8_seg_output", {"prototypes_tensor": "output1", "keep_empty_masks": False}, COCO, (SIDE, SIDE)
)
TURNED = Reads(
    "yolov8_obb_output",
    labels=COCO[:15],
    input_size=(SIDE, SIDE),
    decision={"nms_threshold": 0.7, "multi_label": False, "iou": "probiou", "suppression": "fast"},
)


def _pose(count: int = 17, numbers: int = 3, labels: int = 1, **options: Any) -> bytes:
    columns = 4 + labels + count * numbers
    return table(
        labels,
        declared=(1, columns, BOXES),
        extra=lambda g, grids: keypoints_of(g, grids, count, numbers),
        **options,
    )


def _seg(labels: int, shape: Shape = (1, 3, SIDE, SIDE), boxes: int | str = BOXES, **options: Any) -> bytes:
    return table(labels, shape, (shape[0], 4 + labels + 32, boxes), prototypes=True, **options)


CASES = (
    Case("ultralytics: yolov8 of fixed size", lambda: table(**described()), V8),
    Case(
        "ultralytics: yolov8, batch, height and width free",
        lambda: table(shape=FREE, declared=("batch", 84, "anchors"), **described(args={"dynamic": True})),
        V8,
    ),
    Case(
        "ultralytics: yolo11 of 7 labels, dynamo, free axes",
        lambda: table(
            7, ("s77", 3, "s53", "s0"), ("s77", 11, "unk__12"), opset=20, ir=10, **described(SEVEN)
        ),
        V8.but(labels=SEVEN),
    ),
    Case(
        "ultralytics: yolov8 in half precision",
        lambda: table(7, dtype=np.float16, real=np.float16, **described(SEVEN, args={"half": True})),
        V8.but(labels=SEVEN, image={**LETTERBOX, "data_type": "FLOAT16"}),
    ),
    Case("ultralytics: yolov8 of 2 labels, metadata lost", lambda: table(2), V8.but(labels=2, image={})),
    Case(
        "ultralytics: yolov8 of 107 labels, metadata lost",
        lambda: table(107),
        V8.but(labels=107, image={}),
    ),
    Case(
        "ultralytics: yolov8 of one label", lambda: table(1, **described(("face",))), V8.but(labels=("face",))
    ),
    Case("ultralytics: yolov8 of one label, metadata lost", lambda: table(1), V8.but(labels=1, image={})),
    Case(
        "ultralytics: yolov8-p2, four strides",
        lambda: table(7, strides=(4, 8, 16, 32), **described(SEVEN)),
        V8.but(labels=SEVEN),
    ),
    Case(
        "ultralytics: yolov8, four images a batch",
        lambda: table(7, (4, 3, SIDE, SIDE), **described(SEVEN, batch=4)),
        V8.but(labels=SEVEN),
    ),
    Case(
        "ultralytics: yolo26 with end2end=False",
        lambda: table(7, bins=1, **described(SEVEN)),
        V8.but(labels=SEVEN),
    ),
    Case(
        "yolov9: two tables",
        lambda: two_tables(5),
        Undecided(V8.but(labels=5, fields={"output_tensor": "1598"}, image={})),
    ),
    Case(
        "ultralytics: depth", lambda: one_map(1, **described(("depth",), task="depth")), Refused("depth|map")
    ),
    Case(
        "ultralytics: semantic segmentation",
        lambda: one_map(19, **described(COCO[:19], task="semantic")),
        Refused("semantic|segment|map"),
    ),
    Case("ultralytics: yolov5nu", lambda: table(**described(head="Detect")), V8),
    Case(
        "ultralytics: yolov8s-worldv2 of 3 texts",
        lambda: table(3, **described(("red car", "dog", "tree"), head="WorldDetect")),
        V8.but(labels=3),
    ),
    Case("ultralytics: yolov8-pose", lambda: _pose(**described(**POSE)), POSES),
    Case("ultralytics: yolov8-pose, metadata lost", _pose, POSES.but(labels=1)),
    Case(
        "ultralytics: pose of 4 keypoints in the plane, 2 labels",
        lambda: _pose(4, 2, 2, **described(("page", "card"), task="pose", kpt_shape=[4, 2])),
        Reads("yolov8_pose_output", {"keypoints": 4, "dimensions": 2}, 2, (SIDE, SIDE)),
    ),
    Case(
        "yolov8-face",
        lambda: _pose(5, **described(("face",), task="pose", kpt_shape=[5, 3])),
        Reads("yolov8_pose_output", {"keypoints": 5, "dimensions": 3}, 1, (SIDE, SIDE)),
    ),
    Case("ultralytics: yolov8-seg", lambda: _seg(80, **described(task="segment")), MASKS),
    Case(
        "ultralytics: yolov8-seg, free axes",
        lambda: _seg(7, FREE, "anchors", **described(SEVEN, task="segment")),
        MASKS.but(labels=SEVEN),
    ),
    Case("ultralytics: yolov8-seg of 2 labels, metadata lost", lambda: _seg(2), MASKS.but(labels=2)),
    Case("ultralytics: yolov8-obb", lambda: oriented(15, **described(COCO[:15], task="obb")), TURNED),
    Case("ultralytics: yolov8-obb, metadata lost", lambda: oriented(15), TURNED.but(labels=15)),
    Case(
        "ultralytics: yolov8-cls",
        lambda: classify(**described(SEVEN, task="classify", imgsz=[224, 224])),
        Reads(
            "classification",
            {"score_activation": "none"},
            7,
            image={"resize_type": "CROP", "color_channels": "RGB", "pixel_scaling": 1},
        ),
    ),
    Case(
        "ultralytics: yolov8-cls, free axes",
        lambda: classify(shape=FREE, **described(SEVEN, task="classify", imgsz=[224, 224])),
        Reads("classification", {"score_activation": "none"}, SEVEN, image={"target_size": "224x224"}),
    ),
    Case("ultralytics: yolov10", lambda: chosen(**described(end2end=True)), FINISHED),
    Case(
        "ultralytics: yolo26 of 7 labels, dynamic batch",
        lambda: chosen(7, shape=("batch", 3, SIDE, SIDE), **described(SEVEN, end2end=True)),
        FINISHED.but(labels=SEVEN),
    ),
    Case("yolov10 of its own repository, no metadata", chosen, FINISHED.but(labels=None, image={})),
    Case(
        "ultralytics: yolo26-pose", lambda: chosen(1, "pose", **described(**POSE, end2end=True)), POSES_FOUND
    ),
    Case(
        "ultralytics: yolo26-pose, metadata lost",
        lambda: chosen(3, "pose"),
        POSES_FOUND.but(labels=3, image={}),
    ),
    Case(
        "ultralytics: yolo26-pose of 6 keypoints in the plane, metadata lost",
        lambda: chosen(3, "pose", keypoints=(6, 2)),
        POSES_FOUND.but(fields={**POSES_FOUND.fields, "keypoints": 6, "dimensions": 2}, labels=3, image={}),
    ),
    Case(
        "ultralytics: yolo26-seg",
        lambda: chosen(80, "segment", **described(task="segment", end2end=True)),
        MASKS_FOUND,
    ),
    Case(
        "ultralytics: yolo26-seg, metadata lost",
        lambda: chosen(80, "segment"),
        MASKS_FOUND.but(labels=80, image={}),
    ),
    Case(
        "ultralytics: yolo26-obb",
        lambda: chosen(15, "obb", **described(COCO[:15], task="obb", end2end=True)),
        TURNED_FOUND,
    ),
    Case(
        "ultralytics: yolo26-obb, metadata lost",
        lambda: chosen(15, "obb"),
        TURNED_FOUND.but(labels=15, image={}),
    ),
    Case("ultralytics: yolov8 with nms=True", lambda: suppressed(**described(args={"nms": True})), FINISHED),
    Case(
        "ultralytics: yolov8-pose with nms=True",
        lambda: suppressed(1, "pose", **described(**POSE, args={"nms": True})),
        POSES_FOUND,
    ),
    Case(
        "ultralytics: yolov8-pose with nms=True, metadata lost",
        lambda: suppressed(3, "pose"),
        POSES_FOUND.but(labels=None, image={}),
    ),
    Case(
        "ultralytics: yolov8-seg with nms=True",
        lambda: suppressed(80, "segment", **described(task="segment", args={"nms": True})),
        MASKS_FOUND,
    ),
    Case(
        "ultralytics: yolov8-seg with nms=True, metadata lost",
        lambda: suppressed(80, "segment"),
        MASKS_FOUND.but(labels=None, image={}),
    ),
    Case(
        "ultralytics: yolov8-obb with nms=True",
        lambda: suppressed(15, "obb", **described(COCO[:15], task="obb", args={"nms": True})),
        TURNED_FOUND,
    ),
    Case(
        "ultralytics: yolov8-obb with nms=True, metadata lost",
        lambda: suppressed(15, "obb"),
        TURNED_FOUND.but(labels=None, image={}),
    ),
    Case(
        "ultralytics: rt-detr of 8.4",
        lambda: rtdetr(**described(head="RTDETRDecoder")),
        FINISHED.but(
            fields={"box_format": "cxcywh", "classes": "rows"},
            input_size=None,
            image={"resize_type": "SQUASH", "pixel_scaling": 1},
        ),
    ),
    Case(
        "ultralytics: rt-detr of 8.3",
        lambda: rtdetr(is_new=False, **described(head="RTDETRDecoder")),
        Reads(
            "yolov8_output",
            {"coordinates": "normalized", "box_format": "cxcywh"},
            COCO,
            None,
            False,
            image={"resize_type": "SQUASH"},
        ),
    ),
    Case(
        "rt-detr of ultralytics 8.3, metadata lost",
        lambda: rtdetr(7, is_new=False),
        Undecided(
            Reads("yolov8_output", {"coordinates": "normalized", "box_format": "cxcywh"}, 7, None, False)
        ),
    ),
)
