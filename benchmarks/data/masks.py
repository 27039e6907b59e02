"""Masks as networks give them: probabilities of Mask R-CNN, and prototypes with coefficients."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.data.scenes import Floats

SIDE = 28
PROTOTYPES = 32
_CELLS = 160


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
    return BoxMasks(height, width, boxes, (1 / (1 + np.exp(-logits))).astype(np.float32)[:, None])


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
