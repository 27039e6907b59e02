"""Outputs of networks whose boxes are offsets from anchors: Faster R-CNN and RetinaNet."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.data.scenes import (
    Doubles,
    Floats,
    Integers,
    frequent_labels,
    grid_centres,
    jaccard,
    middles_of,
    random_objects,
    sizes_of,
)

LABELS = 80
_OBJECTS = 14


class AnchoredTensors(NamedTuple):
    """Anchors (1, N, 4), offsets (1, N, C) and logits (1, N, S) for a square image of `page` pixels."""

    anchors: Floats
    offsets: Floats
    logits: Floats
    page: int
    levels: tuple[int, ...]  # how many of the anchors each feature map has


def faster_rcnn(proposals: int, page: int = 800, image: int = 0) -> AnchoredTensors:
    """Proposals x 81 labels, the background first; offsets per label, in tenths and fifths.

    Two thirds of the proposals lie around objects, the others on the background.
    """
    rng = np.random.default_rng([proposals, image])
    objects = random_objects(rng, _OBJECTS, page, 24, 400)
    owner = rng.integers(0, _OBJECTS, proposals)
    around = objects[owner] + rng.normal(0, 0.12, (proposals, 4)) * np.tile(sizes_of(objects)[owner], 2)
    anywhere = random_objects(rng, proposals, page, 24, 400)
    anchors = np.where((rng.random(proposals) < 2 / 3)[:, None], around, anywhere)
    anchors = np.clip(anchors, 0, page)
    anchors[:, 2:] = np.maximum(anchors[:, 2:], anchors[:, :2] + 2)

    owner, overlap = _owners(anchors, objects)
    labels = frequent_labels(rng, _OBJECTS, LABELS)[owner] + 1
    rows = np.arange(proposals)
    logits = rng.normal(0, 1, (proposals, 1 + LABELS))
    logits[:, 0] += 7
    logits[rows, labels] += 14 * overlap
    offsets = rng.normal(0, 0.5, (proposals, 1 + LABELS, 4))
    offsets[rows, labels] = _offsets(anchors, objects[owner]) * (10, 10, 5, 5)
    offsets[rows, labels] += rng.normal(0, 0.3, (proposals, 4))
    return _tensors(anchors, offsets.reshape(proposals, -1), logits, page, (proposals,))


def retinanet(page: int = 736, image: int = 0) -> AnchoredTensors:
    """101,601 anchors x 80 logits of sigmoids: nine anchors a cell of five feature maps, shared offsets."""
    rng = np.random.default_rng([page, image])
    strides = (8, 16, 32, 64, 128)
    centres, spread = grid_centres(strides, page)
    sizes = np.array([2 ** (scale / 3) for scale in range(3)])[:, None] * 4 * spread[:, None, None]
    shapes = np.sqrt(np.array([0.5, 1.0, 2.0]))
    halves = np.stack([sizes / shapes, sizes * shapes], axis=-1).reshape(-1, 2) / 2
    middles = np.repeat(centres, 9, axis=0)
    anchors = np.concatenate([middles - halves, middles + halves], axis=1)

    objects = random_objects(rng, _OBJECTS, page, 24, 400)
    owner, overlap = _owners(anchors, objects)
    rows = np.flatnonzero(overlap > 0.3)
    labels = frequent_labels(rng, _OBJECTS, LABELS)[owner[rows]]
    logits = rng.normal(-8, 1, (len(anchors), LABELS))
    logits[rows, labels] = 14 * (overlap[rows] - 0.65) + rng.normal(0, 0.5, len(rows))
    offsets = rng.normal(0, 0.2, (len(anchors), 4))
    offsets[rows] = _offsets(anchors[rows], objects[owner[rows]]) + rng.normal(0, 0.05, (len(rows), 4))
    levels = tuple(int((spread == stride).sum()) * 9 for stride in strides)
    return _tensors(anchors, offsets, logits, page, levels)


def _owners(anchors: Doubles, objects: Doubles) -> tuple[Integers, Doubles]:
    """The object that each anchor overlaps most, and their Jaccard index."""
    overlaps = jaccard(anchors, objects)
    return overlaps.argmax(axis=1), overlaps.max(axis=1)


def _offsets(anchors: Doubles, boxes: Doubles) -> Doubles:
    moves = (middles_of(boxes) - middles_of(anchors)) / sizes_of(anchors)
    return np.concatenate([moves, np.log(sizes_of(boxes) / sizes_of(anchors))], axis=1)


def _tensors(
    anchors: Doubles, offsets: Doubles, logits: Doubles, page: int, levels: tuple[int, ...]
) -> AnchoredTensors:
    return AnchoredTensors(
        anchors[None].astype(np.float32),
        offsets[None].astype(np.float32),
        logits[None].astype(np.float32),
        page,
        levels,
    )
