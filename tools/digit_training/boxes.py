"""Boxes as tensors: decoding as DESIGN.md has it, Jaccard index, matching."""

from __future__ import annotations

import torch
from torch import Tensor

from digit_training.documents import DIGITS

_EPSILON = 1e-7


def decode_grid(grid: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Decode a YOLOv2 grid (Redmon & Farhadi 2017), boxes in grid cells.

    Parameters
    ----------
    grid : (B, H, W, A * 15)
        tx, ty, tw, th, to and class logits per anchor.
    sizes : (A, 2)
        Width and height of the anchors, in grid cells.

    Returns
    -------
    boxes : (B, H * W * A, 4)
        xyxy in grid cells.
    objectness, logits : (B, H * W * A), (B, H * W * A, 10)
        Before sigmoid and softmax.
    """
    height, width, anchors = grid.shape[1], grid.shape[2], sizes.shape[0]
    cells = grid.reshape(-1, height, width, anchors, 5 + DIGITS)
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    corner = torch.stack([column, row], dim=-1)[:, :, None].to(grid.dtype)
    centre = cells[..., 0:2].sigmoid() + corner
    half = sizes * cells[..., 2:4].clamp(max=4).exp() / 2
    boxes = torch.cat([centre - half, centre + half], dim=-1)
    count = height * width * anchors
    return (
        boxes.reshape(-1, count, 4),
        cells[..., 4].reshape(-1, count),
        cells[..., 5:].reshape(-1, count, DIGITS),
    )


def decode_offsets(anchors: Tensor, offsets: Tensor) -> Tensor:
    """Decode offsets ``(..., N, 4)`` to anchors ``(N, 4)`` xyxy (Girshick et al. 2014)."""
    size = anchors[..., 2:] - anchors[..., :2]
    centre = anchors[..., :2] + size / 2 + offsets[..., :2] * size
    half = size * offsets[..., 2:].clamp(max=4).exp() / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def pairwise_jaccard(first: Tensor, second: Tensor) -> Tensor:
    """Return the Jaccard index of boxes ``(..., N, 4)`` and ``(..., K, 4)``: ``(..., N, K)``."""
    return _jaccard(first[..., :, None, :], second[..., None, :, :])[0]


def generalized_jaccard(first: Tensor, second: Tensor) -> Tensor:
    """Return the generalized Jaccard index (Rezatofighi et al. 2019) box by box, ``(N,)``."""
    jaccard, union = _jaccard(first, second)
    low, high = torch.minimum(first[..., :2], second[..., :2]), torch.maximum(first[..., 2:], second[..., 2:])
    hull = (high - low).prod(dim=-1)
    return jaccard - (hull - union) / (hull + _EPSILON)


def _jaccard(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    low, high = torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:])
    common = (high - low).clamp(min=0).prod(dim=-1)
    area = (first[..., 2:] - first[..., :2]).prod(dim=-1) + (second[..., 2:] - second[..., :2]).prod(dim=-1)
    union = area - common
    return common / (union + _EPSILON), union
