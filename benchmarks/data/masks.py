"""Masks as networks give them: probabilities of Mask R-CNN, and prototypes with coefficients.

No pixel of a mask in its box is so near to one half that the last bit of a peer's arithmetic decides on it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.data.scenes import Doubles, Floats

SIDE = 28
PROTOTYPES = 32
_CELLS = 160
# Wider than what float32 makes of a probability between cells, however it is computed.
_TIE = 1e-5


class BoxMasks(NamedTuple):
    """Boxes (N, 4) in pixels of a page, and probabilities (N, 1, 28, 28) in them."""

    height: int
    width: int
    boxes: Floats
    masks: Floats


class PrototypeMasks(NamedTuple):
    """Boxes (N, 4) in pixels of 640 x 640, coefficients (N, 32), and prototypes (32, 160, 160)."""

    boxes: Floats
    coefficients: Floats
    prototypes: Floats


def box_masks(height: int, width: int, count: int, image: int) -> BoxMasks:
    """Round shapes with ragged borders in boxes from a fortieth to three fifths of the image."""
    rng = np.random.default_rng((height, width, image))
    boxes = (_boxes(rng, count) * ([width, height] * 2)).astype(np.float32)
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) * 2 - 1
    centres, radii = rng.uniform(-0.3, 0.3, (2, count, 1, 1)), rng.uniform(0.4, 0.9, (count, 1, 1))
    logits = 8 * (radii - np.hypot(x - centres[0], y - centres[1]))
    logits += rng.normal(0, 0.3, logits.shape)
    masks = (1 / (1 + np.exp(-logits))).astype(np.float32)
    for mask, box in zip(masks, boxes, strict=True):
        pasted = _pasted(mask, box)
        near, factor = pasted[(pasted > 0.4) & (pasted < 0.6)], 1.0
        while np.any(np.abs(near * factor - 0.5) < _TIE):
            factor *= 0.999
        mask *= np.float32(factor)
    return BoxMasks(height, width, boxes, masks[:, None])


def _pasted(mask: Floats, box: Floats) -> Doubles:
    """Probabilities of the pixels of a box, as torchvision's ``paste_masks_in_image`` interpolates them."""
    columns, rows = (_weights(*box[axis::2].tolist()) for axis in (0, 1))
    return rows @ np.pad(mask.astype(np.float64), 1) @ columns.T


def _weights(low: float, high: float) -> Doubles:
    """Weight (pixels, cells) of each cell in each pixel along an axis, with a cell more on each side."""
    cells = SIDE + 2
    half = (high - low) / 2 * cells / SIDE
    first, last = int((high + low) / 2 - half), int((high + low) / 2 + half)
    pixels = max(last - first + 1, 1)
    places = np.clip((np.arange(pixels) + 0.5) * cells / pixels - 0.5, 0, cells - 1)
    return np.maximum(1 - np.abs(places[:, None] - np.arange(cells)), 0)


def prototype_masks(count: int, image: int) -> PrototypeMasks:
    """Prototypes that vary slowly, each mask any sum of them."""
    rng = np.random.default_rng((count, image))
    coarse = rng.normal(0, 1, (PROTOTYPES, _CELLS // 8 + 1, _CELLS // 8 + 1))
    places = (np.arange(_CELLS) + 0.5) / 8
    before, weight = places.astype(int), places % 1
    rows = coarse[:, before] * (1 - weight)[:, None] + coarse[:, before + 1] * weight[:, None]
    prototypes = rows[:, :, before] * (1 - weight) + rows[:, :, before + 1] * weight
    coefficients = rng.normal(0, 1, (count, PROTOTYPES))
    return PrototypeMasks(
        (_boxes(rng, count) * 640).astype(np.float32),
        coefficients.astype(np.float32),
        np.ascontiguousarray(prototypes, np.float32),
    )


def _boxes(rng: np.random.Generator, count: int) -> Floats:
    centres = rng.uniform(0, 1, (count, 2))
    sides = np.exp(rng.uniform(np.log(1 / 40), np.log(0.6), (count, 2)))
    return np.clip(np.concatenate([centres - sides / 2, centres + sides / 2], axis=1), 0, 1)
