"""Network outputs to hypotheses: every label of every region, before any rule drops one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.reference.activation import activated, sigmoid64, softmax64
from tests.reference.boxes import Box, rounded, to_centre, to_corners
from tests.reference.tensors import Tensors, as_float32, batched, grid, scores_by_row

LARGEST_EXPONENT = math.log(1000 / 16)  # of dw and dh, as Detectron clamps them


@dataclass(frozen=True)
class Hypothesis:
    """One label at one region of the network, in the coordinates that the decoder yields."""

    label: int  # row of the spec
    score: np.float32
    region: int
    column: int  # of the score tensor
    box: Box | None  # corners, float32; None for a classification
    logits: tuple[float, ...]  # what the score was computed from


Images = list[list[Hypothesis]]


def decode_classification(output: dict[str, Any], tensors: Tensors, labels: int) -> Images:
    """Decode ``(B, L)`` scores; trailing axes of size 1 are accepted."""
    scores = as_float32(tensors[output["output_tensor"]])
    while scores.ndim > 2 and scores.shape[-1] == 1:
        scores = scores[..., 0]
    scores = batched(scores, 2)
    values = activated(scores, output.get("score_activation", "none"))
    return [
        [Hypothesis(i, values[image, i], 0, i, None, tuple(scores[image])) for i in range(labels)]
        for image in range(len(scores))
    ]


def decode_anchored(output: dict[str, Any], tensors: Tensors, labels: int) -> Images:
    """Decode anchors, offsets and scores (Girshick et al. 2014)."""
    anchors = batched(as_float32(tensors[output["anchors_tensor"]]), 3)[:, :, -4:]
    offsets = batched(as_float32(tensors[output["offsets_tensor"]]), 3)
    background = output.get("background", "first")
    rows = anchors.shape[1]
    scores = batched(as_float32(tensors[output["scores_tensor"]]), 3)
    scores = scores_by_row(scores, output.get("layout", "auto"), rows)
    values = activated(scores, output.get("score_activation", "none"))
    first = 1 if background == "first" else 0

    def offset_column(label: int) -> int:
        if offsets.shape[2] == 4:  # shared by all labels
            return 0
        return label if offsets.shape[2] == 4 * labels else label + first

    images: Images = []
    for image in range(len(scores)):
        found = []
        for region, label in itertools.product(range(rows), range(labels)):
            anchor = anchors[image if len(anchors) > 1 else 0, region]
            start = 4 * offset_column(label)
            box = offset_box(
                anchor,
                offsets[image, region, start : start + 4],
                output.get("anchors_format", "xyxy"),
                output.get("offsets_scale", (1.0, 1.0, 1.0, 1.0)),
            )
            column = label + first
            logits = tuple(scores[image, region])
            found.append(Hypothesis(label, values[image, region, column], region, column, box, logits))
        images.append(found)
    return images


def offset_box(
    anchor: NDArray[np.float32], offset: NDArray[np.float32], anchors_format: str, scale: Sequence[float]
) -> Box:
    """Return the corners of an anchor moved and resized by dx, dy, dw, dh; float64, rounded once."""
    xa, ya, wa, ha = to_centre(anchor, anchors_format)
    dx, dy, dw, dh = (float(value) * float(factor) for value, factor in zip(offset, scale, strict=True))
    # NaN > limit is false, so that NaN passes and is judged on the corners.
    dw = LARGEST_EXPONENT if dw > LARGEST_EXPONENT else dw
    dh = LARGEST_EXPONENT if dh > LARGEST_EXPONENT else dh
    with np.errstate(all="ignore"):
        w, h = wa * np.exp(dw), ha * np.exp(dh)
        return rounded(to_corners((xa + dx * wa, ya + dy * ha, w, h), "cxcywh"))


def decode_direct(output: dict[str, Any], tensors: Tensors, label_ids: Sequence[int]) -> Images:
    """Decode finished boxes with their scores and classes; an unknown class is skipped."""
    boxes = as_float32(tensors[output["boxes_tensor"]])
    scores = as_float32(tensors[output["scores_tensor"]])
    classes = np.asarray(tensors[output["classes_tensor"]])
    if boxes.ndim == 2:
        boxes, scores, classes = boxes[np.newaxis], scores[np.newaxis], classes[np.newaxis]
    if scores.ndim == 2:
        scores, classes = scores[:, :, np.newaxis], classes[:, :, np.newaxis]
    else:
        layout = output.get("layout", "auto")
        scores = scores_by_row(scores, layout, boxes.shape[1])
        classes = scores_by_row(classes, layout, boxes.shape[1])
    values = activated(scores, output.get("score_activation", "none"))
    known = range(len(label_ids)) if output.get("classes", "ids") == "rows" else label_ids
    row_of = {name: row for row, name in enumerate(known)}

    images: Images = []
    for image in range(len(scores)):
        found = []
        for region, column in itertools.product(*map(range, scores.shape[1:])):
            label = row_of.get(classes[image, region, column].item())  # 3.0 finds 3, NaN finds nothing
            if label is None:
                continue
            corners = boxes[image, region] if boxes.ndim == 3 else boxes[image, region, column]
            box = rounded(to_corners(corners, output.get("box_format", "xyxy")))
            logits = tuple(scores[image, region])
            found.append(Hypothesis(label, values[image, region, column], region, column, box, logits))
        images.append(found)
    return images


def decode_yolo(output: dict[str, Any], tensors: Tensors, labels: int) -> Images:
    """Decode a YOLOv2 grid (Redmon & Farhadi 2017)."""
    sizes = output["anchors"]
    cells = grid(tensors[output["output_tensor"]], len(sizes) // 2, labels, output.get("layout", "auto"))
    batch, height, width, anchors, _ = cells.shape

    images: Images = []
    for image in range(batch):
        found = []
        for row, col, a in itertools.product(range(height), range(width), range(anchors)):
            cell = cells[image, row, col, a].astype(np.float64)
            tx, ty, tw, th, to = cell[:5]
            with np.errstate(all="ignore"):
                box = rounded(
                    to_corners(
                        (
                            (sigmoid64(tx) + col) / width,
                            (sigmoid64(ty) + row) / height,
                            sizes[2 * a] * np.exp(tw) / width,
                            sizes[2 * a + 1] * np.exp(th) / height,
                        ),
                        "cxcywh",
                    )
                )
            values = rounded(sigmoid64(to) * softmax64(cell[5:]))
            region = (row * width + col) * anchors + a
            logits = tuple(cell[4:])
            found += [Hypothesis(i, values[i], region, i, box, logits) for i in range(labels)]
        images.append(found)
    return images
