"""Cases of decoding: one or two boxes of each family of networks, by their papers' formulas."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from tests.conformance.make.documents import batch, detection, direct, rows, standard
from tests.conformance.make.writing import Draft

WHOLE: list[float] = [0, 0, 1, 1]
OFF = -40.0  # a logit whose score is below every threshold here
LOG2, LOG3 = math.log(2), math.log(3)


def decode(
    id: str,
    rule: int,
    title: str,
    document: dict[str, Any],
    inputs: dict[str, Any],
    expected: dict[str, Any],
    why: str,
    *,
    exact: bool = False,
    oracle: str = "float64",
    **more: Any,
) -> Draft:
    """A case by hand, exact in float32, or by the same formula in float64 within 1e-6."""
    oracle = "by hand" if exact else oracle
    tolerance = 1e-6 if oracle == "float64" else None
    return Draft(
        "decoding", f"decode-{id}", rule, title, "decode", inputs, expected, oracle, why, document=document,
        tolerance=tolerance, **more,
    )  # fmt: skip


def centred(cx: float, cy: float, width: float, height: float) -> list[float]:
    """Corners of a box."""
    return [cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2]


def drafts() -> Iterator[Draft]:
    yield from chain(_anchored(), _priors(), _yolo_grids(), _yolo_tables(), _lists())


def _anchored() -> Iterator[Draft]:
    names = {"anchors_tensor": "anchors", "offsets_tensor": "offsets", "scores_tensor": "scores"}
    names["layout"] = "channels_last"
    anchor = [0.25, 0.25, 0.75, 0.5]  # centre 0.5, 0.375, sides 0.5, 0.25
    one = {"anchors": batch([anchor]), "scores": batch([[0.25, 0.75]])}

    def anchored(**output: Any) -> dict[str, Any]:
        return detection("anchored_output", {**names, **output}, ["a"], nms_threshold=1.0)

    yield decode(
        "anchored-shift", 56, "The centre moves by parts of the anchor's sides.", anchored(),
        {**one, "offsets": batch([[0.25, -0.5, 0, 0]])}, rows([(0.75, 0, [0.375, 0.125, 0.875, 0.375], 0)]),
        "cx = 0.5 + 0.25 * 0.5, cy = 0.375 - 0.5 * 0.25.", exact=True,
    )  # fmt: skip
    yield decode(
        "anchored-size", 56, "The sides are multiplied by exponentials.", anchored(),
        {**one, "offsets": batch([[0, 0, -LOG2, LOG2]])},
        rows([(0.75, 0, centred(0.5, 0.375, 0.25, 0.5), 0)]),
        "0.5 / 2 and 0.25 * 2.",
    )  # fmt: skip
    yield decode(
        "anchored-of-each-label", 56, "Each label has its offsets, the background's come first.",
        detection("anchored_output", names, ["a", "b"], nms_threshold=1.0, thresholds=[0.25, 0.25]),
        {
            "anchors": batch([anchor]),
            "scores": batch([[0.125, 0.5, 0.375]]),
            "offsets": batch([[9, 9, 9, 9, 0.25, 0, 0, 0, -0.25, 0, 0, 0]]),
        },
        rows([(0.5, 0, [0.375, 0.25, 0.875, 0.5], 0), (0.375, 1, [0.125, 0.25, 0.625, 0.5], 0)]),
        "a moves by 0.125 to the right, b to the left.", exact=True,
    )  # fmt: skip
    yield decode(
        "anchored-of-five", 56, "The first of five columns of proposals is an image number, and ignored.",
        anchored(),
        {**one, "anchors": np.array([[0, *anchor]], np.float32), "offsets": batch([[0, 0, 0, 0]])},
        rows([(0.75, 0, anchor, 0)]), "Caffe's rois.", exact=True,
    )  # fmt: skip
    yield decode(
        "anchored-by-size", 56, "Anchors may be given as corner and size.", anchored(anchors_format="xywh"),
        {**one, "anchors": batch([[0.25, 0.25, 0.5, 0.25]]), "offsets": batch([[0, 0, 0, 0]])},
        rows([(0.75, 0, anchor, 0)]), "It is the same anchor.", exact=True,
    )  # fmt: skip
    small = centred(0.5, 0.5, 1 / 128, 1 / 128)
    yield decode(
        "clamped", 57, "Exponents are limited, so that a side grows by 62.5 at most.", anchored(),
        {**one, "anchors": batch([small]), "offsets": batch([[0, 0, 10, -1]])},
        rows([(0.75, 0, centred(0.5, 0.5, 62.5 / 128, math.exp(-1) / 128), 0)]),
        "exp(10) is 22026, 1000 / 16 is 62.5; below there is no limit.",
    )  # fmt: skip
    yield decode(
        "clamped-after-scaling", 57, "The limit is that of the scaled exponent.",
        anchored(offsets_scale=[0.1, 0.1, 0.2, 0.2]),
        {**one, "anchors": batch([small]), "offsets": batch([[0, 0, 10, 25]])},
        rows([(0.75, 0, centred(0.5, 0.5, math.exp(2) / 128, 62.5 / 128), 0)]),
        "10 * 0.2 = 2 stays, 25 * 0.2 = 5 is more than log(62.5) = 4.135.",
    )  # fmt: skip


def _priors() -> Iterator[Draft]:
    names = {"offsets_tensor": "offsets", "scores_tensor": "scores", "priors_tensor": "priors"}
    names["layout"] = "channels_last"
    inputs = {"priors": np.array([[0.5, 0.375, 0.5, 0.25]], np.float32), "scores": batch([[0.25, 0.75]])}
    yield decode(
        "ssd", 63, "Offsets from priors are scaled by the variances.",
        detection("ssd_output", names, ["a"], nms_threshold=1.0),
        {**inputs, "offsets": batch([[1.25, -2.5, 5 * LOG2, -5 * LOG2]])},
        rows([(0.75, 0, [0.0625, 0.25, 1.0, 0.375], 0)]),
        "cx = 0.5 + 0.1 * 1.25 * 0.5, w = 0.5 * exp(0.2 * 5 log 2); xmax 1.0625 is clipped.",
    )  # fmt: skip
    yield decode(
        "ssd-without-variances", 63, "With factors of 1 offsets are taken as they are.",
        detection("ssd_output", {**names, "offsets_scale": [1.0] * 4}, ["a"], nms_threshold=1.0),
        {**inputs, "offsets": batch([[0.125, -0.25, 0, 0]])},
        rows([(0.75, 0, centred(0.5625, 0.3125, 0.5, 0.25), 0)]),
        "cx = 0.5 + 0.125 * 0.5, cy = 0.375 - 0.25 * 0.25.",
        exact=True,
    )  # fmt: skip
    cell = {"strides": [8], "layout": "channels_first"}
    apart = {"scores_tensors": ["scores"], "distances_tensors": ["distances"]}

    def distances(**output: Any) -> dict[str, Any]:
        task = {**apart, **cell, **output}
        return detection("distance_output", task, ["a"], nms_threshold=1.0, input_size=[16, 16])

    scores = np.full((1, 1, 2, 2), 0.25, np.float32)
    scores[0, 0, 1, 0] = 0.75
    sides = np.zeros((1, 4, 2, 2), np.float32)
    sides[0, :, 1, 0] = [0.25, 0.5, 1, 0.5]
    yield decode(
        "distances", 64, "Four distances from the centre of a cell, in strides.", distances(),
        {"scores": scores, "distances": sides}, rows([(0.75, 0, [2 / 16, 8 / 16, 12 / 16, 1], 2)]),
        "Centre (4, 12): 4 - 2, 12 - 4, 4 + 8, 12 + 4, of 16 pixels.", exact=True,
    )  # fmt: skip
    yield decode(
        "distances-from-the-corner", 64, "Distances in pixels, from the corner of a cell.",
        distances(cell_offset=0.0, distance_unit="pixels"),
        {"scores": scores, "distances": sides * np.float32(8)},
        rows([(0.75, 0, [0, 4 / 16, 8 / 16, 12 / 16], 2)]),
        "Corner (0, 8): 0 - 2, clipped, 8 - 4, 0 + 8, 8 + 4.", exact=True,
    )  # fmt: skip
    logits = np.zeros((1, 16, 2, 2), np.float32)
    logits[0, 0:4, 1, 0] = [0, 0, -100, -100]  # l: a half
    logits[0, 4:8, 1, 0] = [-100, 100, -100, -100]  # t: one
    logits[0, 8:12, 1, 0] = 7  # r: all alike, one and a half
    logits[0, 12:16, 1, 0] = [LOG3, 0, -100, -100]  # b: a quarter
    yield decode(
        "distribution", 65, "A side is the expectation of its bins.", distances(bins=4),
        {"scores": scores, "distances": logits}, rows([(0.75, 0, [0, 4 / 16, 1, 14 / 16], 2)]),
        "Of bins 0, 1, 2, 3: 0.5, 1, 1.5, 0.25 strides of 8 from (4, 12).",
    )  # fmt: skip
    factor = np.full((1, 1, 2, 2), 0.5, np.float32)
    for id, confidence, score in (("product", "product", 0.375), ("root", "sqrt_product", math.sqrt(0.375))):
        yield decode(
            f"centerness-{id}", 70, "The score is that of the label times centerness, or its root.",
            detection("distance_output", {**apart, **cell, "centerness_tensors": ["centerness"],
                                          "confidence": confidence},
                      ["a"], nms_threshold=1.0, input_size=[16, 16],
                      thresholds=[0.3125 if id == "product" else 0.5]),
            {"scores": scores, "distances": sides, "centerness": factor},
            rows([(score, 0, [2 / 16, 8 / 16, 12 / 16, 1], 2)]),
            "0.75 * 0.5; the other cells have 0.25 * 0.5.",
        )  # fmt: skip


def _yolo_grids() -> Iterator[Draft]:
    grid = np.zeros((1, 2, 2, 1, 7), np.float32)
    grid[..., 4] = OFF
    grid[0, 1, 0, 0] = [0, LOG3, LOG2, 0, LOG3, LOG3, 0]
    output = {"output_tensor": "grid", "anchors": [0.5, 1.0]}
    yield decode(
        "yolov2", 58, "A cell of a grid of 2 x 2.",
        detection("yolo_output", output, nms_threshold=1.0, thresholds=[0.5, 0.125]), {"grid": grid},
        rows([(0.5625, 0, [0, 0.625, 0.5, 1], 2), (0.1875, 1, [0, 0.625, 0.5, 1], 2)]),
        "cx = (0.5 + 0) / 2, cy = (0.75 + 1) / 2, w = 0.5 * 2 / 2, h = 1 / 2; 0.75 * 0.75 and 0.75 * 0.25. "
        "ymax 1.125 is clipped.",
    )  # fmt: skip
    two = np.zeros((1, 2, 2, 2, 6), np.float32)
    two[..., 4] = OFF
    two[0, 0, 1, 1, 4] = LOG3
    yield decode(
        "yolov2-second-anchor", 58, "The second anchor of the second cell.",
        detection("yolo_output", {"output_tensor": "grid", "anchors": [0.5, 0.5, 1.0, 0.5]}, ["a"],
                  nms_threshold=1.0),
        {"grid": two}, rows([(0.75, 0, [0.5, 0.125, 1, 0.375], 3)]),
        "Candidate (0 * 2 + 1) * 2 + 1; centre 0.75, 0.25, sides 1 / 2 and 0.5 / 2; one label's softmax is "
        "1.",
    )  # fmt: skip
    for id, coding, box, why in (
        ("yolov3", "yolov3", centred(16, 56, 20, 20),
         "cx = (0.5 + 0) * 32, cy = (0.75 + 1) * 32, w = 10 * 2, h = 20."),
        ("yolov5-grid", "yolov5", centred(16, 64, 10 * (4 / 3) ** 2, 20),
         "cx = (2 * 0.5 - 0.5) * 32, cy = (2 * 0.75 - 0.5 + 1) * 32, w = 10 * (2 * 2 / 3)^2, h = 20."),
    ):  # fmt: skip
        clipped = [max(0.0, min(64.0, side)) / 64 for side in box]
        yield decode(
            id, 59, "A cell of a grid of 2 x 2, of an input of 64 x 64 pixels.",
            detection("yolov3_output", {"output_tensors": ["grid"], "anchors": [10.0, 20.0],
                                        "box_coding": coding, "layout": "channels_last"},
                      nms_threshold=1.0, thresholds=[0.5, 0.25], input_size=[64, 64]),
            {"grid": grid.reshape(1, 2, 2, 7)}, rows([(0.5625, 0, clipped, 2), (0.375, 1, clipped, 2)]),
            why + " Scores 0.75 * 0.75 and 0.75 * 0.5.",
        )  # fmt: skip


def _yolo_tables() -> Iterator[Draft]:
    last = {"output_tensor": "table", "layout": "channels_last"}
    off: dict[str, Any] = {"nms_threshold": 1.0}
    table = np.zeros((1, 5, 6), np.float32)
    table[0, 3] = [0.5, 0.25, LOG2, 0, 0.75, 1.0]  # row 1, column 1 of stride 8
    table[0, 4] = [0.5, 0.5, 0, -LOG2, 1.0, 0.625]  # the only cell of stride 16
    yield decode(
        "yolox", 60, "The last cell of stride 8 and the only one of stride 16, of 16 x 16 pixels.",
        detection("yolox_output", {**last, "strides": [8, 16]}, ["a"], input_size=[16, 16], **off),
        {"table": table},
        rows([(0.75, 0, [4 / 16, 6 / 16, 1, 14 / 16], 3), (0.625, 0, [0, 4 / 16, 1, 12 / 16], 4)]),
        "(0.5 + 1) * 8 = 12, (0.25 + 1) * 8 = 10, 2 * 8, 1 * 8; xmax 20 is clipped. 0.5 * 16 = 8, 16, 8.",
    )  # fmt: skip
    pixels: dict[str, Any] = {**off, "input_size": [64, 128]}
    box, found = [32, 16, 32, 16], [16 / 128, 8 / 64, 48 / 128, 24 / 64]
    yield decode(
        "yolov5-rows", 61, "The product of objectness and class is compared with the threshold.",
        detection("yolov5_output", last, thresholds=[0.375, 0.375], **pixels),
        {"table": batch([[*box, 0.5, 1.0, 0.75], [*box, 1.0, 0.25, 0.5]])},
        rows([(0.5, 0, found, 0), (0.5, 1, found, 1)]), "0.5, 0.375, 0.25, 0.5: 0.375 is not above 0.375.",
        exact=True,
    )  # fmt: skip
    product = np.float32(0.7) * np.float32(0.9)
    limit = float(str(product))
    yield decode(
        "yolov5-product-at-threshold", 61,
        "The product is rounded to float32, and equal to a threshold of that.",
        detection("yolov5_output", last, ["a"], thresholds=[limit], **pixels),
        {"table": batch([[*box, 0.7, 0.9], [*box, 0.9, 0.7], [*box, 1.0, 0.875]])},
        rows([(0.875, 0, found, 2)]), f"float32(0.7) * float32(0.9) is {limit} in float32.",
        oracle="float32, in the stated order",
    )  # fmt: skip
    columns = np.array([[*box, 0.75, 0.5], [*box[:3], 32, 0.25, 0.625]], np.float32)
    expected = rows([(0.75, 0, found, 0), (0.625, 1, [found[0], 0, found[2], 0.5], 1)])
    for id, layout, tensor in (("columns", "channels_first", columns.T), ("rows", "channels_last", columns)):
        yield decode(
            f"yolov8-{id}", 62, f"Two boxes as {id}: centre, size, and a score for each label.",
            detection("yolov8_output", {"output_tensor": "table", "layout": layout}, **pixels),
            {"table": batch(tensor)}, expected, "32 - 16, 16 - 8, of 128 x 64 pixels; 0.5 is not above 0.5.",
            exact=True,
        )  # fmt: skip
    yield decode(
        "yolov8-normalized", 62, "Boxes that the export has normalized are not divided.",
        detection("yolov8_output", {**last, "coordinates": "normalized"}, **off),
        {"table": batch([[0.25, 0.25, 0.25, 0.25, 0.75, 0.5]])},
        rows([(0.75, 0, [0.125, 0.125, 0.375, 0.375], 0)]),
        "TFLite's exports.", exact=True,
    )  # fmt: skip


def _lists() -> Iterator[Draft]:
    queries = [[0.5, 0.5, 0.5, 0.25], [0.25, 0.75, 0.5, 0.5]]
    found = [[0.25, 0.375, 0.75, 0.625], [0, 0.5, 0.5, 1]]
    yield decode(
        "detr-softmax", 66, "Queries with a softmax over labels and no-object, which comes last.",
        standard(output={"box_format": "cxcywh", "score_activation": "softmax", "background": "last"},
                 nms_threshold=1.0),
        {"boxes": batch(queries), "scores": batch([[0, LOG3, OFF], [OFF, 0, LOG3]])},
        rows([(0.75, 1, found[0], 0)]), "1 / 4, 3 / 4, 0; the second query is no object by 3 / 4.",
    )  # fmt: skip
    yield decode(
        "detr-sigmoid", 66, "Queries with a sigmoid for each label: one box may have two.",
        standard(output={"box_format": "cxcywh", "score_activation": "sigmoid"}, nms_threshold=1.0),
        {"boxes": batch(queries), "scores": batch([[LOG3, LOG2], [0, -1]])},
        rows([(0.75, 0, found[0], 0), (2 / 3, 1, found[0], 0)]),
        "sigmoid(log 3) = 3 / 4, sigmoid(log 2) = 2 / 3.",
    )  # fmt: skip
    yield decode(
        "finished-rows", 67, "Finished rows pass their label's threshold, and are not suppressed again.",
        detection("end_to_end_output", {"output_tensor": "rows"}, thresholds=[0.5, 0.75]),
        {"rows": batch([[*WHOLE, 0.875, 0], [*WHOLE, 0.75, 0], [*WHOLE, 0.75, 1], [*WHOLE, 0.5, 0]])},
        rows([(0.875, 0, WHOLE, 0), (0.75, 0, WHOLE, 1)]),
        "Equal boxes stay; 0.75 is not above 0.75, nor 0.5 above 0.5.",
        exact=True,
    )  # fmt: skip
    yield decode(
        "class-ids", 68, "Classes are ids of labels, and one that there is not is skipped.",
        direct(nms_threshold=1.0),
        {
            "boxes": batch([WHOLE] * 4),
            "scores": batch([0.875, 0.75, 0.625, 0.9375]),
            "classes": np.array([[20, 10, 0, 30]]),
        },
        rows([(0.875, 1, WHOLE, 0), (0.75, 0, WHOLE, 1)]), "Ids are 10 and 20; 0 and 30 are none.",
        exact=True,
    )  # fmt: skip
    yield decode(
        "class-ids-as-floats", 68, "Ids may be whole floats.",
        direct(nms_threshold=1.0),
        {"boxes": batch([WHOLE] * 2), "scores": batch([0.875, 0.75]), "classes": batch([20, 15])},
        rows([(0.875, 1, WHOLE, 0)]), "15 is no id.", exact=True,
    )  # fmt: skip
    yield decode(
        "class-rows", 68, "Where classes are said to be rows, they are.",
        direct({"classes": "rows"}, nms_threshold=1.0),
        {"boxes": batch([WHOLE] * 3), "scores": batch([0.875, 0.75, 0.625]), "classes": batch([1, 0, 2])},
        rows([(0.875, 1, WHOLE, 0), (0.75, 0, WHOLE, 1)]), "There are rows 0 and 1.", exact=True,
    )  # fmt: skip
    many = direct(nms_threshold=1.0)
    for row, label in enumerate(many["spec"]["outputs"][0]["labels"]["labels"]):
        label["id"] = 2**24 + row
    yield decode(
        "class-ids-beyond-float32", 68, "Ids 16777216 and 16777217 are two labels.", many,
        {"boxes": batch([WHOLE] * 2), "scores": batch([0.875, 0.75]), "classes": 2**24 + np.array([[1, 0]])},
        rows([(0.875, 1, WHOLE, 0), (0.75, 0, WHOLE, 1)]), "As float32 they are one number.", exact=True,
    )  # fmt: skip
    yield decode(
        "coco-boxes", 19, "COCO's boxes are corner and size.",
        direct({"box_format": "xywh"}, nms_threshold=1.0),
        {"boxes": batch([[0.25, 0.125, 0.5, 0.25]]), "scores": batch([0.75]), "classes": np.array([[10]])},
        rows([(0.75, 0, [0.25, 0.125, 0.75, 0.375], 0)]), "xmin, ymin, width, height.", exact=True,
    )  # fmt: skip
    yield decode(
        "tensorflow-boxes", 19, "TensorFlow's boxes have y first.",
        direct({"box_format": "yxyx"}, nms_threshold=1.0),
        {"boxes": batch([[0.125, 0.25, 0.375, 0.75]]), "scores": batch([0.75]), "classes": np.array([[10]])},
        rows([(0.75, 0, [0.25, 0.125, 0.75, 0.375], 0)]), "ymin, xmin, ymax, xmax.", exact=True,
    )  # fmt: skip
