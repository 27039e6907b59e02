"""How often random oriented boxes meet two of the faults of docs/conformance.md; run for reports upstream.

``python -m tests.conformance.how_often`` needs OpenVINO and supervision.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from tests.conformance import adapters

PAIRS = 2000


def parallel_pairs(span: float, turn: float = 0.0) -> tuple[Any, Any]:
    """Return boxes of 20 by 4, and the same 1 along their length, turned a bit; their IoU is about 0.9."""
    rng = np.random.default_rng(0)
    centres, angles = rng.uniform(0, span, (PAIRS, 2)), rng.uniform(-np.pi / 2, np.pi / 2, PAIRS)
    sides = np.full((PAIRS, 2), (20, 4))
    along = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    first = np.column_stack([centres, sides, angles]).astype(np.float32)
    return first, np.column_stack([centres + along, sides, angles + turn]).astype(np.float32)


def same_boxes() -> tuple[Any, Any]:
    """Return boxes, and the same with sides exchanged and a quarter turn more."""
    rng = np.random.default_rng(0)
    first = rng.uniform([0, 0, 5, 5, -3], [500, 500, 100, 100, 3], (PAIRS, 5)).astype(np.float32)
    quarter = np.full(PAIRS, np.pi / 2, np.float32)
    return first, np.column_stack([first[:, :2], first[:, 3:1:-1], first[:, 4] + quarter])


def kept_by_openvino(first: Any, second: Any) -> int:
    """Count the pairs of which NMSRotated keeps both at a threshold of 0.5; each has a label of its own."""
    boxes = np.stack([first, second], axis=1).reshape(-1, 5)
    scores, labels = np.tile(np.array([0.9, 0.8], np.float32), PAIRS), np.repeat(np.arange(PAIRS), 2)
    kept = adapters.load("openvino").oriented_nms(boxes, scores, labels, 0.5, "exact")["kept"]
    return len(kept) - PAIRS


def low_in_supervision(first: Any, second: Any) -> int:
    """Count the pairs whose IoU is below 0.9."""
    of = adapters.load("supervision").oriented_iou
    return sum(
        of(a[np.newaxis], b[np.newaxis], "exact")["iou"][0, 0] < 0.9
        for a, b in zip(first, second, strict=True)
    )


if __name__ == "__main__":
    for span in (100, 640):
        for turn in (0.0, 0.05):
            both = kept_by_openvino(*parallel_pairs(span, turn))
            sys.stdout.write(
                f"NMSRotated, within {span}, angles {turn} apart: {both} of {PAIRS} pairs are both kept\n"
            )
    low = low_in_supervision(*same_boxes())
    sys.stdout.write(f"oriented_box_iou_batch of a box with itself: below 0.9 for {low} of {PAIRS}\n")
