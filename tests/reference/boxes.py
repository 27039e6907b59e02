"""Boxes: conversion, area, Jaccard index and clipping, one box at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Box = NDArray[np.float32]  # (4,): xmin, ymin, xmax, ymax
ZERO: np.float32 = np.float32(0)


def area(box: Box) -> np.float32:
    """Return width * height in float32; 0 for a box with x2 < x1 or y2 < y1."""
    x1, y1, x2, y2 = box
    if x2 < x1 or y2 < y1:
        return ZERO
    with np.errstate(over="ignore", under="ignore"):
        product: np.float32 = (x2 - x1) * (y2 - y1)
    return product


def iou(a: Box, b: Box) -> np.float32:
    """Return inter / (a + b - inter), every step in float32; 0 where the union is not positive."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        width = min(a[2], b[2]) - max(a[0], b[0])
        height = min(a[3], b[3]) - max(a[1], b[1])
        if not (width > 0 and height > 0):
            return ZERO
        inter = width * height
        union = (area(a) + area(b)) - inter
        ratio: np.float32 = inter / union if union > 0 else ZERO
    return ratio


def box_iou(a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:
    """Return the (N, M) Jaccard indices of N boxes with M boxes."""
    rows, columns = as_boxes(a), as_boxes(b)
    table = np.zeros((len(rows), len(columns)), np.float32)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            table[i, j] = iou(row, column)
    return table


def to_corners(values: Sequence[float] | Box, box_format: str) -> tuple[float, float, float, float]:
    """Return x1, y1, x2, y2 in float64 of four float32 numbers in any format."""
    a, b, c, d = (float(value) for value in values)
    if box_format == "xyxy":
        return a, b, c, d
    if box_format == "yxyx":
        return b, a, d, c
    if box_format == "xywh":
        return a, b, a + c, b + d
    if box_format == "cxcywh":
        return a - c / 2, b - d / 2, a + c / 2, b + d / 2
    raise ValueError(box_format)


def to_centre(values: Sequence[float] | Box, box_format: str) -> tuple[float, float, float, float]:
    """Return centre x, centre y, width, height in float64 of four float32 numbers in any format."""
    if box_format == "cxcywh":
        cx, cy, w, h = (float(value) for value in values)
        return cx, cy, w, h
    x1, y1, x2, y2 = to_corners(values, box_format)
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def box_convert(boxes: ArrayLike, in_fmt: str, out_fmt: str) -> NDArray[np.float32]:
    """Convert (N, 4) boxes in float64, rounded once to float32."""
    source = as_boxes(boxes)
    if in_fmt == out_fmt:
        return np.array(source)
    converted = np.empty((len(source), 4), np.float64)
    for i, values in enumerate(source):
        x1, y1, x2, y2 = to_corners(values, in_fmt)
        converted[i] = {
            "xyxy": (x1, y1, x2, y2),
            "yxyx": (y1, x1, y2, x2),
            "xywh": (x1, y1, x2 - x1, y2 - y1),
            "cxcywh": to_centre(values, in_fmt),
        }[out_fmt]
    return rounded(converted)


def clip(box: Box, width: float, height: float) -> Box:
    """Clip the corners to [0, width] x [0, height] in float32."""
    limits = np.array([width, height, width, height], np.float32)
    clipped: Box = np.minimum(np.maximum(box, ZERO), limits)
    return clipped


def clip_boxes(boxes: ArrayLike, size: tuple[float, float]) -> NDArray[np.float32]:
    """Clip (N, 4) boxes to an image of ``size`` (height, width)."""
    height, width = size
    return as_boxes([clip(box, width, height) for box in as_boxes(boxes)])


def rounded(values: ArrayLike) -> NDArray[np.float32]:
    """Round float64 numbers once to float32; what is too large becomes infinite."""
    with np.errstate(over="ignore"):
        once: NDArray[np.float32] = np.asarray(values, np.float64).astype(np.float32)
    return once


def as_boxes(boxes: ArrayLike) -> NDArray[np.float32]:
    """Return (N, 4) float32 boxes."""
    return np.asarray(boxes, np.float32).reshape(-1, 4)
