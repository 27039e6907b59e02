"""Masks of detections that are there: pasted into their boxes, and as COCO's run lengths."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from benchmarks.contest import OURS, Columns, Peer
from benchmarks.data.masks import BoxMasks, PrototypeMasks
from postproc import EndToEndOutput, PastedDetections, PostProcessor, SegmentedDetections

Run = Callable[[], Any]

_SIDE = 640


@cache
def _pasting(height: int, width: int) -> PostProcessor:
    output = EndToEndOutput(
        boxes_tensor="boxes", scores_tensor="scores", classes_tensor="classes", masks_tensor="masks"
    )
    return PostProcessor.for_detection(["thing"], output, thresholds=0.05, input_size=[height, width])


def our_pasting(case: BoxMasks) -> Run:
    count = len(case.boxes)
    tensors = {
        "boxes": case.boxes,
        "scores": np.linspace(0.9, 0.1, count, dtype=np.float32),
        "classes": np.zeros(count, np.int64),
        "masks": case.masks,
    }
    (found,) = _pasting(case.height, case.width)(tensors).outputs
    assert isinstance(found, PastedDetections)
    assert len(found.labels) == count
    return partial(found.masks, (case.height, case.width))


def torchvision_pasting(case: BoxMasks) -> Run:
    import torch
    from torchvision.models.detection.roi_heads import paste_masks_in_image

    masks, boxes = torch.from_numpy(case.masks), torch.from_numpy(case.boxes)
    return lambda: (paste_masks_in_image(masks, boxes, (case.height, case.width)) > 0.5).numpy()[:, 0]


def _pixels(case: BoxMasks, found: Any) -> Columns:
    return (np.packbits(found.reshape(len(found), -1), axis=1),)


@cache
def _segmenting() -> PostProcessor:
    output = EndToEndOutput(
        output_tensor="rows",
        columns=("box", "score", "class", "coefficients"),
        prototypes_tensor="prototypes",
    )
    return PostProcessor.for_detection(["thing"], output, thresholds=0.05, input_size=[_SIDE, _SIDE])


def _segmented(case: PrototypeMasks) -> SegmentedDetections:
    count = len(case.boxes)
    scores = np.linspace(0.9, 0.1, count)[:, None]
    rows = np.concatenate([case.boxes, scores, np.zeros((count, 1)), case.coefficients], axis=1)
    tensors = {"rows": rows[None].astype(np.float32), "prototypes": case.prototypes[None]}
    (found,) = _segmenting()(tensors, max_predictions=count).outputs
    assert isinstance(found, SegmentedDetections)
    return found


def our_run_lengths(case: PrototypeMasks) -> Run:
    found = _segmented(case)
    return lambda: [one["counts"] for one in found.to_rle((_SIDE, _SIDE))]


def pycocotools_run_lengths(case: PrototypeMasks) -> Run:
    """Encode our own masks, drawn before: without the time that they take."""
    from pycocotools import mask

    drawn = np.asfortranarray(_segmented(case).masks((_SIDE, _SIDE)).transpose(1, 2, 0).astype(np.uint8))
    return lambda: [one["counts"].decode() for one in mask.encode(drawn)]


def _texts(case: PrototypeMasks, found: list[str]) -> Columns:
    return (np.array(found),)


PASTING = {
    OURS: Peer(our_pasting, _pixels),
    "torchvision": Peer(torchvision_pasting, _pixels, ("torch", "torchvision")),
}
RUN_LENGTHS = {
    OURS: Peer(our_run_lengths, _texts),
    "pycocotools, of masks drawn before": Peer(pycocotools_run_lengths, _texts, ("pycocotools",)),
}
