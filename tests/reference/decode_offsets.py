"""Offsets to boxes that are known beforehand: anchors and priors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.reference.activation import activated
from tests.reference.boxes import Box, rounded, to_centre, to_corners
from tests.reference.hypothesis import Call, Hypothesis, Images
from tests.reference.tensors import Floats, Tensors, as_float32, batched, scores_by_row

LARGEST_EXPONENT = math.log(1000 / 16)  # of dw and dh, as Detectron clamps them


def decode_anchored(output: dict[str, Any], tensors: Tensors, call: Call) -> Images:
    """Decode anchors, offsets and scores (Girshick et al. 2014)."""
    anchors = batched(as_float32(tensors[output["anchors_tensor"]]), 3)[:, :, -4:]
    offsets = batched(as_float32(tensors[output["offsets_tensor"]]), 3)
    labels, rows = call.labels, anchors.shape[1]
    scores = batched(as_float32(tensors[output["scores_tensor"]]), 3)
    scores = scores_by_row(scores, output.get("layout", "auto"), rows)
    values = activated(scores, output.get("score_activation", "none"))
    first = 1 if output.get("background", "first") == "first" else 0

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


def decode_ssd(output: dict[str, Any], tensors: Tensors, call: Call) -> Images:
    """Decode offsets from priors that all labels share (Liu et al. 2016; MediaPipe's linear sizes)."""
    offsets = as_float32(tensors[output["offsets_tensor"]])
    axes = offsets.ndim, tensors[output["scores_tensor"]].ndim
    if offsets.shape[-2:] == (1, 4) and (axes[0] == 4 or axes == (3, 2)):
        offsets = offsets[..., 0, :]  # TensorFlow's
    offsets = batched(offsets, 3)[:, :, :4]
    if output.get("offsets_order", "xywh") == "yxhw":
        offsets = offsets[:, :, [1, 0, 3, 2]]
    rows = offsets.shape[1]
    priors = priors_of(output, tensors, rows)
    scores = batched(as_float32(tensors[output["scores_tensor"]]), 3)
    scores = scores_by_row(scores, output.get("layout", "auto"), rows)
    values = activated(scores, output.get("score_activation", "none"))
    first = 1 if output.get("background", "first") == "first" else 0

    images: Images = []
    for image in range(len(scores)):
        found = []
        for region in range(rows):
            box = offset_box(
                priors[image if len(priors) > 1 else 0, region],
                offsets[image, region],
                output.get("priors_format", "cxcywh"),
                output.get("offsets_scale", (0.1, 0.1, 0.2, 0.2)),
                linear=output.get("size_coding", "exp") == "linear",
            )
            logits = tuple(scores[image, region])
            found += [
                Hypothesis(label, values[image, region, label + first], region, label + first, box, logits)
                for label in range(call.labels)
            ]
        images.append(found)
    return images


def priors_of(output: dict[str, Any], tensors: Tensors, rows: int) -> Floats:
    """Return ``(1, N, 4)`` or ``(B, N, 4)`` priors."""
    if output.get("priors") is not None:
        return np.array([output["priors"]], np.float32)
    priors = as_float32(tensors[output["priors_tensor"]])
    if priors.shape == (1, 2, 4 * rows):  # Caffe's; then the variances
        return priors[:, 0].reshape(1, rows, 4)
    return batched(priors, 3)


def offset_box(
    anchor: NDArray[np.float32],
    offset: NDArray[np.float32],
    anchors_format: str,
    scale: Sequence[float],
    *,
    linear: bool = False,
) -> Box:
    """Return the corners of an anchor moved and resized by dx, dy, dw, dh; float64, rounded once."""
    xa, ya, wa, ha = to_centre(anchor, anchors_format)
    dx, dy, dw, dh = (float(value) * float(factor) for value, factor in zip(offset, scale, strict=True))
    with np.errstate(all="ignore"):
        if linear:
            w, h = wa * dw, ha * dh
        else:
            # NaN > limit is false, so that NaN passes and is judged on the corners.
            w = wa * np.exp(LARGEST_EXPONENT if dw > LARGEST_EXPONENT else dw)
            h = ha * np.exp(LARGEST_EXPONENT if dh > LARGEST_EXPONENT else dh)
        return rounded(to_corners((xa + dx * wa, ya + dy * ha, w, h), "cxcywh"))
