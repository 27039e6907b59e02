"""Detectors with anchors or priors: SSD, RetinaNet, EfficientDet, Caffe's Faster R-CNN, and faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.inspection.exports.building import Builder, Value, grid_of
from tests.inspection.exports.cases import Case, Reads, Refused, Undecided

SIDE = 320
SSD_STRIDES, PER_CELL = (16, 32, 64), 6
PRIORS = PER_CELL * sum((SIDE // stride) ** 2 for stride in SSD_STRIDES)


def priors_of(strides: Sequence[int], per_cell: int, size: tuple[int, int] = (SIDE, SIDE)) -> Any:
    """Priors (N, 4), centres and sizes in [0, 1], cell by cell."""
    centres, scales = grid_of(size, strides)
    places = np.repeat(centres[0] * scales[0] / np.float32(size[::-1]), per_cell, axis=0)
    sizes = np.tile(np.geomspace(2, 6, per_cell, dtype=np.float32), len(centres[0]))[:, None]
    extents = sizes * np.repeat(scales[0], per_cell, axis=0) / np.float32(size[::-1])
    return np.concatenate([places, extents], 1).astype(np.float32)


def offsets_and_scores(
    graph: Builder, strides: Sequence[int], per_cell: int, columns: int, background: bool = True
) -> tuple[Value, Value]:
    """Offsets (B, N, 4) and logits (B, N, columns), as SSD's layers give them."""
    layers = [graph.features(stride, "Relu") for stride in strides]
    bias = np.zeros(columns, np.float32) if background else np.full(columns, -4, np.float32)
    if background:
        bias[0] = 4

    def rows(numbers: int, gain: float, offset: Any) -> Value:
        parts = [
            x.conv(per_cell * numbers, gain=gain, bias=np.tile(offset, per_cell))
            .transpose(0, 2, 3, 1)
            .reshape(0, -1, numbers)
            for x in layers
        ]
        return graph.concat(*parts, axis=1)

    return rows(4, 1.0, np.zeros(4)), rows(columns, 2.0, bias)


def decoded(graph: Builder, offsets: Value, priors: Any, corners: bool = True) -> Value:
    """Boxes in [0, 1] with variances 0.1 and 0.2."""
    centre, size = offsets.split(2, 2)
    centre = centre * 0.1 * priors[None, :, 2:] + priors[None, :, :2]
    size = (size * 0.2).exp() * priors[None, :, 2:]
    if corners:
        centre, size = centre - size / 2.0, centre + size / 2.0
    return graph.concat(centre, size, axis=2)


def ssd_decoded(labels: int = 20, batch: int | str = 1) -> bytes:
    """pytorch-ssd: probabilities with the background first, and corners in [0, 1]."""
    graph = Builder((batch, 3, SIDE, SIDE), name="input")
    offsets, logits = offsets_and_scores(graph, SSD_STRIDES, PER_CELL, labels + 1)
    graph.output("scores", logits.softmax(2), (batch, PRIORS, labels + 1))
    graph.output("boxes", decoded(graph, offsets, priors_of(SSD_STRIDES, PER_CELL)), (batch, PRIORS, 4))
    return graph.model()


def ssd_raw(labels: int = 20, softmax: bool = False, priors: bool = False) -> bytes:
    """SSD's offsets and scores, with the priors as a third output or without."""
    graph = Builder(name="input")
    offsets, logits = offsets_and_scores(graph, SSD_STRIDES, PER_CELL, labels + 1)
    graph.output("loc", offsets, (1, PRIORS, 4))
    graph.output("conf", logits.softmax(2) if softmax else logits, (1, PRIORS, labels + 1))
    if priors:
        constant = graph.constant(priors_of(SSD_STRIDES, PER_CELL)).op("Identity")
        graph.output("priors", constant, (PRIORS, 4))
    return graph.model()


def detection_output(labels: int = 20, free: bool = False) -> bytes:
    """The list of Caffe's and OpenVINO's DetectionOutput: image, id, score and a box in [0, 1]."""
    graph = Builder(name="data")
    offsets, logits = offsets_and_scores(graph, SSD_STRIDES, PER_CELL, labels + 1)
    boxes = decoded(graph, offsets, priors_of(SSD_STRIDES, PER_CELL))
    scores = logits.softmax(2).slice(1, labels + 1, 2).transpose(0, 2, 1)
    limits = (np.array([10], np.int64), np.float32([0.45]), np.float32([0.01]))
    kept = graph.op("NonMaxSuppression", boxes, scores, *limits)
    score = scores.op("GatherND", kept)
    order = graph.ops("TopK", 2, score, np.array([50], np.int64), axis=0)[1]
    kept = kept.gather(order, axis=0)
    image, label, box = kept.split(1, 1, 1)
    columns = [image.cast(), label.cast() + 1.0, scores.op("GatherND", kept).unsqueeze(1)]
    rows = graph.concat(*columns, boxes.op("GatherND", graph.concat(image, box, axis=1)), axis=1)
    graph.output("detection_out", rows.reshape(1, 1, -1, 7), (1, 1, "rows" if free else 50, 7))
    return graph.model()


def ultraface(is_decoded: bool = True) -> bytes:
    """UltraFace, 320 x 240: as pytorch-ssd's, of one label."""
    size = (240, 320)
    graph = Builder((1, 3, *size), name="input")
    offsets, logits = offsets_and_scores(graph, (8, 16), 3, 2)
    priors = priors_of((8, 16), 3, size)
    graph.output("scores", logits.softmax(2), (1, len(priors), 2))
    graph.output("boxes", decoded(graph, offsets, priors) if is_decoded else offsets, (1, len(priors), 4))
    return graph.model()


def retinaface(names: Sequence[str], batch: int | str = 1) -> bytes:
    """RetinaFace: offsets, probabilities and landmarks of priors that are not in the file."""
    graph = Builder((batch, 3, SIDE, SIDE), name="input0")
    strides = (8, 16, 32)
    offsets, logits = offsets_and_scores(graph, strides, 2, 2)
    landmarks = offsets_and_scores(graph, strides, 2, 10)[1]
    count = 2 * sum((SIDE // stride) ** 2 for stride in strides)
    for name, value, width in zip(names, (offsets, logits.softmax(), landmarks), (4, 2, 10), strict=True):
        graph.output(name, value, (batch, count, width))
    return graph.model()


def blazeface(side: int = 128) -> bytes:
    """MediaPipe's BlazeFace: 896 rows of a box with 6 keypoints, and a logit."""
    graph = Builder((1, side, side, 3), name="input", producer="tf2onnx")
    layers = [graph.features(side // cells, "Relu") for cells in (16, 8)]

    def rows(numbers: int, bias: float) -> Value:
        parts = [
            x.conv(each * numbers, bias=bias, gain=10.0 if numbers > 1 else 2.0)
            .transpose(0, 2, 3, 1)
            .reshape(0, -1, numbers)
            for x, each in zip(layers, (2, 6), strict=True)
        ]
        return graph.concat(*parts, axis=1)

    graph.output("regressors", rows(16, 30.0), (1, 896, 16))
    graph.output("classificators", rows(1, -4.0), (1, 896, 1))
    return graph.model()


def faster_rcnn(labels: int = 20) -> bytes:
    """Caffe's Faster R-CNN: proposals in pixels after a column of 0, offsets and scores of each label."""
    graph = Builder((1, 3, "height", "width"), name="data")
    size = graph.input("im_info", (1, 3))
    x = graph.features(16, "Relu")
    scores = x.conv(1).reshape(1, -1)
    _, places = scores.topk(100)
    cells, strides = graph.cells([x], [16])
    centres = (cells * strides).transpose(0, 2, 1)
    kept = centres.gather(places.squeeze(0), axis=1).squeeze(0)
    extent = np.float32([[40, 60]])
    limit = size.slice(0, 2, 1).op("ReduceMax", keepdims=0)
    corners = graph.concat(kept - extent, kept + extent, axis=1).op("Clip", np.float32(0), limit)
    rois = corners.op("Pad", np.array([0, 1, 0, 0], np.int64))
    pixels = x.reshape(0, 12, -1).transpose(0, 2, 1).gather(places.squeeze(0), axis=1).squeeze(0)
    features = graph.noted(pixels, 12)
    offsets, logits = features.gemm(4 * (labels + 1), gain=0.3), features.gemm(labels + 1, gain=3.0)
    graph.output("rois", rois, (100, 5))
    graph.output("bbox_pred", offsets, (100, 4 * (labels + 1)))
    graph.output("cls_prob", logits.softmax(1), (100, labels + 1))
    return graph.model()


def efficientdet_raw(labels: int = 90) -> bytes:
    """effdet without its bench: logits and offsets of five levels, 9 anchors a cell."""
    graph = Builder((1, 3, 256, 256), name="input")
    strides = (8, 16, 32, 64, 128)
    layers = [graph.features(stride) for stride in strides]
    for row, (x, stride) in enumerate(zip(layers, strides, strict=True)):
        logits = x.conv(9 * labels, gain=2, bias=-4)
        graph.output(f"cls{row}", logits, (1, 9 * labels, 256 // stride, 256 // stride))
    for row, (x, stride) in enumerate(zip(layers, strides, strict=True)):
        graph.output(f"box{row}", x.conv(36), (1, 36, 256 // stride, 256 // stride))
    return graph.model()


def efficientdet_joined(labels: int = 7) -> bytes:
    """effdet's levels joined: logits (B, N, L) and offsets (B, N, 4) of anchors that are not in the file."""
    graph = Builder((1, 3, 256, 256), name="input")
    strides = (8, 16, 32, 64, 128)
    offsets, logits = offsets_and_scores(graph, strides, 9, labels, background=False)
    count = 9 * sum((256 // stride) ** 2 for stride in strides)
    graph.output("class", logits, (1, count, labels))
    graph.output("box", offsets, (1, count, 4))
    return graph.model()


def efficientdet(labels: int = 90) -> bytes:
    """effdet's DetBenchPredict: the best rows of corners, score and class, whose count begins at 1."""
    graph = Builder((1, 3, 256, 256), name="input")
    strides = (8, 16, 32, 64, 128)
    offsets, logits = offsets_and_scores(graph, strides, 9, labels, background=False)
    boxes = decoded(graph, offsets, priors_of(strides, 9, (256, 256))) * 256.0
    best, flattened = logits.reshape(0, -1).topk(500)
    count = np.array(labels, np.int64)
    row = flattened.op("Div", count)
    places = row.unsqueeze(-1).op("Expand", np.array([1, 1, 4], np.int64))
    kept = boxes.op("GatherElements", places, axis=1)
    label = (flattened - row * count).cast()
    scores = best.sigmoid()
    apart = kept + label.unsqueeze(-1) * 1000.0
    limits = (np.array([100], np.int64), np.float32([0.5]), np.float32([0.0]))
    chosen = graph.op("NonMaxSuppression", apart, scores.unsqueeze(1), *limits).slice(2, 3, 1).squeeze(1)
    columns = [kept, scores.unsqueeze(-1), (label + 1.0).unsqueeze(-1)]
    graph.output("detections", graph.concat(*columns, axis=2).gather(chosen, axis=1), (1, "detections", 6))
    return graph.model()


def efficientdet_of_google(labels: int = 90) -> bytes:
    """automl's EfficientDet: rows of image, y1, x1, y2, x2 in pixels, score, class from 1."""
    graph = Builder((1, 256, 256, 3), name="image_arrays:0", dtype=np.uint8, producer="tf2onnx")
    strides = (8, 16, 32, 64, 128)
    offsets, logits = offsets_and_scores(graph, strides, 9, labels, background=False)
    corners = decoded(graph, offsets, priors_of(strides, 9, (256, 256))) * 256.0
    boxes = corners.gather(np.array([1, 0, 3, 2]), axis=2)
    scores = logits.sigmoid().transpose(0, 2, 1)
    limits = (np.array([100], np.int64), np.float32([0.5]), np.float32([0.01]))
    kept = graph.op("NonMaxSuppression", boxes, scores, *limits)
    score = scores.op("GatherND", kept)
    order = graph.ops("TopK", 2, score, np.array([100], np.int64), axis=0)[1]
    image, label, box = kept.gather(order, axis=0).split(1, 1, 1)
    found = boxes.op("GatherND", graph.concat(image, box, axis=1))
    columns = [image.cast(), found, score.gather(order, axis=0).unsqueeze(1), label.cast() + 1.0]
    graph.output("detections:0", graph.concat(*columns, axis=1).unsqueeze(0), (1, 100, 7))
    return graph.model()


def retinanet(labels: int = 80) -> bytes:
    """RetinaNet without NMS: corners in pixels and probabilities of all anchors."""
    graph = Builder((1, 3, 256, 256), name="input")
    strides = (8, 16, 32, 64, 128)
    offsets, logits = offsets_and_scores(graph, strides, 9, labels, background=False)
    count = 9 * sum((256 // stride) ** 2 for stride in strides)
    boxes = decoded(graph, offsets, priors_of(strides, 9, (256, 256))) * 256.0
    graph.output("boxes", boxes, (1, count, 4))
    graph.output("scores", logits.sigmoid(), (1, count, labels))
    return graph.model()


SSD = Reads("standard_output", {"box_format": "xyxy", "score_activation": "none", "background": "first"}, 20)
PRIOR_SSD = Reads(
    "ssd_output", {"priors_format": "cxcywh", "background": "first", "score_activation": "none"}, 20
)
BLAZEFACE = Reads(
    "ssd_output", {"size_coding": "linear", "score_activation": "sigmoid", "background": "none"}, 1
)
ROWS_OF_IDS = Reads(
    "end_to_end_output",
    {"columns": ("image", "class", "score", "box"), "classes": "ids"},
    None,
    None,
    False,
    1,
)
GOOGLE = Reads(
    "end_to_end_output",
    {"columns": ("image", "box", "score", "class"), "box_format": "yxyx", "classes": "ids"},
    None,
    (256, 256),
    False,
    1,
    {"dimension_order": "NHWC", "data_type": "UINT8", "pixel_scaling": 255},
)

CASES = (
    Case("pytorch-ssd: decoded", ssd_decoded, SSD),
    Case(
        "pytorch-ssd: decoded, 2 labels, dynamic batch",
        lambda: ssd_decoded(2, "batch"),
        SSD.but(labels=2),
    ),
    Case("ssd: logits, priors not in the file", ssd_raw, Refused("priors")),
    Case("ssd: probabilities, priors not in the file", lambda: ssd_raw(7, True), Refused("priors")),
    Case("ssd: probabilities and priors", lambda: ssd_raw(20, True, True), PRIOR_SSD),
    Case(
        "ssd: logits and priors",
        lambda: ssd_raw(7, False, True),
        PRIOR_SSD.but(labels=7, fields={**PRIOR_SSD.fields, "score_activation": "softmax"}),
    ),
    Case("ssd: DetectionOutput", detection_output, ROWS_OF_IDS),
    Case("ssd: DetectionOutput, any number of rows", lambda: detection_output(7, True), ROWS_OF_IDS),
    Case("ultraface", ultraface, SSD.but(labels=1)),
    Case(
        "retinaface",
        lambda: retinaface(("output0", "586", "585")),
        Reads("ssd_output", {"landmarks_tensor": "585", "keypoints": 5, "background": "first"}, 1),
    ),
    Case(
        "retinaface: dynamic batch",
        lambda: retinaface(("loc", "conf", "landms"), "batch"),
        Reads("ssd_output", {"landmarks_tensor": "landms", "keypoints": 5, "background": "first"}, 1),
    ),
    Case("blazeface", blazeface, BLAZEFACE.but(fields={**BLAZEFACE.fields, "offsets_scale": (1 / 128,) * 4})),
    Case(
        "blazeface: back camera",
        lambda: blazeface(256),
        Refused(
            "BlazeFace|keypoint|priors",
            BLAZEFACE.but(fields={**BLAZEFACE.fields, "offsets_scale": (1 / 256,) * 4}),
        ),
    ),
    Case(
        "faster r-cnn of caffe",
        faster_rcnn,
        Reads("anchored_output", {"anchors_tensor": "rois", "offsets_tensor": "bbox_pred"}, 20),
    ),
    Case("effdet: raw levels", efficientdet_raw, Refused("EfficientDet|anchors")),
    Case("effdet: levels joined", efficientdet_joined, Refused("EfficientDet|anchors|priors")),
    Case(
        "effdet: DetBenchPredict",
        efficientdet,
        Undecided(
            Reads(
                "end_to_end_output",
                {"columns": ("box", "score", "class"), "classes": "ids"},
                None,
                (256, 256),
                False,
                1,
            )
        ),
    ),
    # Whether x or y comes first is only in its documentation.
    Case("efficientdet of google", efficientdet_of_google, Undecided(GOOGLE)),
    Case(
        "retinanet: decoded, without NMS",
        retinanet,
        Reads("standard_output", {"box_format": "xyxy", "score_activation": "none"}, 80, (256, 256)),
    ),
)
