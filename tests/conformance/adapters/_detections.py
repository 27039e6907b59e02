"""What `detect` and `decode` ask beside the arithmetic of a library: what passes, in which order."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.conformance.adapters import Answer, NotOfferedError


def decision(document: Any) -> tuple[str, Any, Any]:
    """Return the kind of output of a document, its fields, and those of the decision about it."""
    (processing,) = document["version"]["post_processings"]
    detection = processing["detection"]
    (kind,) = (name for name in detection if name.endswith("_output"))
    return kind, detection[kind], detection


def passing(boxes: Any, scores: Any, detection: Any) -> Answer:
    """Return the answer for one image: boxes (N, 4) or (N, L, 4) in pixels or [0, 1], scores (N, L)."""
    if boxes.ndim == 2:
        boxes = np.repeat(boxes[:, np.newaxis], scores.shape[1], axis=1)
    labels, rows = np.nonzero(np.array(detection["thresholds"], np.float32)[:, np.newaxis] < scores.T)
    order = np.lexsort((rows, labels, -scores[rows, labels]))
    return detections(boxes[rows, labels], scores[rows, labels], labels, rows, detection, order)


def detections(
    boxes: Any, scores: Any, labels: Any, rows: Any, detection: Any, order: Any = slice(None)
) -> Answer:
    """Return rows of one image, relative to the network's input and clipped to it."""
    height, width = detection.get("input_size", (1, 1))
    placed = np.clip(boxes / np.array([width, height, width, height], np.float32), 0, 1)
    return {
        "offsets": np.array([0, len(rows)]),
        "boxes": placed[order],
        "scores": scores[order],
        "labels": labels[order],
        "regions": rows[order],
    }


def single_threshold(detection: Any) -> float:
    """Return the threshold of all labels."""
    if len(set(detection["thresholds"])) != 1:
        raise NotOfferedError("one threshold for all labels")
    return float(detection["thresholds"][0])
