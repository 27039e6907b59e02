"""What the detection heads are trained to do."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from digit_training.boxes import decode_grid, decode_offsets, generalized_jaccard, pairwise_jaccard
from digit_training.networks import STRIDE

_BOX_WEIGHT = 2.0
_FOCUS = 2.0  # Lin et al. 2017
_SMOOTHING = 0.02


def grid_loss(grid: Tensor, sizes: Tensor, boxes: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of the YOLOv2 head.

    The cell of a digit's centre answers for it, with every anchor whose size fits (Jaccard index
    above 0.5) and with the best one in any case. Elsewhere objectness is background, but where the
    decoded box meets a digit by more than 0.5 it is left alone.

    Parameters
    ----------
    grid : (B, H, W, A * 15)
    sizes : (A, 2)
        Of the anchors, in pixels.
    boxes, labels : (B, K, 4) xyxy pixels, (B, K)
        The digits; labels of -1 are none.
    """
    decoded, objectness, logits = decode_grid(grid, sizes / STRIDE)
    decoded = decoded * STRIDE
    target = _responsible(sizes, boxes, labels, grid.shape[1], grid.shape[2])
    positive = target >= 0
    with torch.no_grad():
        meets = (pairwise_jaccard(decoded, boxes) * (labels >= 0)[:, None]).amax(dim=2) > 0.5
        counted = (positive | ~meets).float()
        wanted = positive.float()
        weight = counted * (objectness.sigmoid() - wanted).abs() ** _FOCUS
    image = torch.nonzero(positive)[:, 0]
    digit = target[positive]
    count = max(1, len(digit))
    presence = functional.binary_cross_entropy_with_logits(objectness, wanted, weight, reduction="sum")
    return (
        2 * presence
        + _BOX_WEIGHT * (1 - generalized_jaccard(decoded[positive], boxes[image, digit])).sum()
        + functional.cross_entropy(
            logits[positive], labels[image, digit], reduction="sum", label_smoothing=_SMOOTHING
        )
    ) / count


def anchored_loss(offsets: Tensor, logits: Tensor, anchors: Tensor, boxes: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of the anchored head.

    An anchor answers for the digit it meets most, from a Jaccard index of 0.45 on, and each digit's
    best anchor for it in any case; anchors between 0.35 and 0.45 are left alone, and the others are
    background (label row 0), whose loss is focal (Lin et al. 2017).

    Parameters
    ----------
    offsets, logits : (B, N, 4), (B, N, 11)
    anchors : (N, 4)
        xyxy pixels.
    boxes, labels : (B, K, 4) xyxy pixels, (B, K)
        The digits; labels of -1 are none.
    """
    present = labels >= 0
    jaccard = pairwise_jaccard(anchors.expand(len(boxes), -1, -1), boxes) * present[:, None]
    best, digit = jaccard.max(dim=2)
    image, row = torch.nonzero(present, as_tuple=True)
    own = jaccard.argmax(dim=1)[image, row]
    best[image, own], digit[image, own] = 1.0, row
    positive = best >= 0.45
    image = torch.nonzero(positive)[:, 0]
    digit = digit[positive]
    target = torch.zeros_like(best, dtype=torch.int64)
    target[positive] = labels[image, digit] + 1
    counted = positive | (best < 0.35)
    log_likelihood = logits.log_softmax(dim=2).gather(2, target[..., None])[..., 0]
    easy = torch.where(positive, 1.0, (1 - log_likelihood.exp()) ** _FOCUS)
    unlikely = -easy * log_likelihood * counted
    decoded = decode_offsets(anchors.expand(len(boxes), -1, -1)[positive], offsets[positive])
    misplaced = (1 - generalized_jaccard(decoded, boxes[image, digit])).sum()
    return (unlikely.sum() + _BOX_WEIGHT * misplaced) / max(1, len(digit))


def _responsible(sizes: Tensor, boxes: Tensor, labels: Tensor, height: int, width: int) -> Tensor:
    """Return which digit each cell and anchor answers for, ``(B, H * W * A)``; -1 is none."""
    extent = boxes[..., 2:] - boxes[..., :2]
    common = torch.minimum(extent[:, :, None], sizes).prod(dim=-1)
    fit = common / (extent.prod(dim=-1)[..., None] + sizes.prod(dim=-1) - common)
    fits = (fit > 0.5) | (fit == fit.amax(dim=-1, keepdim=True))
    image, digit, anchor = torch.nonzero(fits & (labels >= 0)[..., None], as_tuple=True)
    centre = ((boxes[..., :2] + boxes[..., 2:]) / 2 / STRIDE)[image, digit].long()
    target = torch.full((len(boxes), height, width, len(sizes)), -1, dtype=torch.int64)
    target[image, centre[:, 1].clamp(max=height - 1), centre[:, 0].clamp(max=width - 1), anchor] = digit
    return target.reshape(len(boxes), -1)
