"""Boxes that the network has decoded itself, each with several scores."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from tests.reference.activation import activated
from tests.reference.boxes import rounded, to_corners
from tests.reference.hypothesis import Call, Hypothesis, Images
from tests.reference.tensors import Tensors, as_float32, batched, rows_of_labels, scores_by_row


def decode_direct(output: dict[str, Any], tensors: Tensors, call: Call) -> Images:
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
    row_of = rows_of_labels(output.get("classes", "ids"), call.label_ids)

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


def decode_standard(output: dict[str, Any], tensors: Tensors, call: Call) -> Images:
    """Decode boxes, shared or per label, with a score per label, and perhaps one for the background."""
    boxes = batched(as_float32(tensors[output["boxes_tensor"]]), 3)
    scores = batched(as_float32(tensors[output["scores_tensor"]]), 3)
    scores = scores_by_row(scores, output.get("layout", "auto"), boxes.shape[1])
    values = activated(scores, output.get("score_activation", "none"))
    first = 1 if output.get("background", "none") == "first" else 0
    boxes = boxes[:, :, np.newaxis] if boxes.ndim == 3 else boxes  # (B, N, 1, 4): shared

    images: Images = []
    for image in range(len(scores)):
        found = []
        for region, label in itertools.product(range(boxes.shape[1]), range(call.labels)):
            column = label + first
            place = {1: 0, call.labels: label}.get(boxes.shape[2], column)
            box = rounded(to_corners(boxes[image, region, place], output.get("box_format", "xyxy")))
            logits = tuple(scores[image, region])
            found.append(Hypothesis(label, values[image, region, column], region, column, box, logits))
        images.append(found)
    return images
