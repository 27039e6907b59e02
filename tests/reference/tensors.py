"""Tensors of the layouts that DESIGN.md lists, brought into one layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Tensors = dict[str, NDArray[Any]]


def as_float32(tensor: NDArray[Any]) -> Floats:
    """Return a float16, float32 or float64 tensor as float32."""
    with np.errstate(over="ignore"):
        return np.asarray(tensor).astype(np.float32)


def batched(tensor: NDArray[Any], rank: int) -> NDArray[Any]:
    """Add the batch axis to a tensor that lacks it: ``rank`` counts the axes with it."""
    return tensor[np.newaxis] if tensor.ndim == rank - 1 else tensor


def scores_by_row(scores: NDArray[Any], layout: str, rows: int) -> NDArray[Any]:
    """Return ``(B, N, C)`` scores from ``(B, N, C)`` or ``(B, C, N)``, with N = ``rows``."""
    channels_first = layout == "channels_first" or (layout == "auto" and scores.shape[1] != rows)
    return scores.transpose(0, 2, 1) if channels_first else scores


def rows_of_labels(classes: str, label_ids: Sequence[int]) -> dict[float, int]:
    """Return the row of each label by what a class tensor calls it: its row, or its id."""
    known = range(len(label_ids)) if classes == "rows" else label_ids
    return {name: row for row, name in enumerate(known)}


def grid(tensor: NDArray[Any], anchors: int, labels: int, layout: str) -> Floats:
    """Return a ``(B, H, W, A, 5 + L)`` grid from any of the four layouts."""
    channels = anchors * (5 + labels)
    values = as_float32(tensor)
    of_anchor = (anchors, 5 + labels)
    shape = values.shape
    if values.ndim == 4 and channels not in (shape[1], shape[3]):
        is_split = of_anchor in (shape[2:], (shape[0], shape[3]))  # (H, W, A, 5 + L) or (A, H, W, 5 + L)
        values = values[np.newaxis] if is_split else values
    if values.ndim == 5 and (layout == "anchors_first" or values.shape[3:] != of_anchor):
        values = values.transpose(0, 2, 3, 1, 4)
    if values.ndim < 5:
        values = batched(values, 4)
        if layout == "channels_first" or (layout == "auto" and values.shape[3] != channels):
            values = values.transpose(0, 2, 3, 1)
    return values.reshape(*values.shape[:3], anchors, 5 + labels)


def image_size(tensor: NDArray[Any], image: int) -> tuple[float, float]:
    """Return an image's height and width from ``[height, width, ...]``, per image or once."""
    sizes = np.asarray(tensor).reshape(-1, np.asarray(tensor).shape[-1])
    row = sizes[image] if len(sizes) > 1 else sizes[0]
    return float(row[0]), float(row[1])
