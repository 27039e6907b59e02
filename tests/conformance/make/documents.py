"""Documents and answers of whole pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.conformance.make.oracles import Box, nearest

Row = tuple[float, int, Box, int]  # score, label, box, region
LABELS = ("a", "b")


def detection(
    kind: str, output: dict[str, Any], labels: Sequence[str] = LABELS, **decision: Any
) -> dict[str, Any]:
    """Spec and version of one detection output; label ids are 10, 20, ..."""
    thresholds = decision.pop("thresholds", [0.5] * len(labels))
    task = {kind: output, "thresholds": thresholds, **decision}
    return {
        "spec": _spec(labels, "BBOX", exclusive=True),
        "version": {"post_processings": [{"detection": task}]},
    }


def standard(
    labels: Sequence[str] = LABELS, output: dict[str, Any] | None = None, **decision: Any
) -> dict[str, Any]:
    """Boxes and a score for each label."""
    tensors = {"boxes_tensor": "boxes", "scores_tensor": "scores", "layout": "channels_last"}
    return detection("standard_output", {**tensors, **(output or {})}, labels, **decision)


def direct(output: dict[str, Any] | None = None, **decision: Any) -> dict[str, Any]:
    """Boxes with a score and a class each."""
    tensors = {"boxes_tensor": "boxes", "scores_tensor": "scores", "classes_tensor": "classes"}
    return detection("direct_output", {**tensors, **(output or {})}, **decision)


def classification(labels: Sequence[str], *, exclusive: bool, **task: Any) -> dict[str, Any]:
    """Spec and version of one classification output."""
    version = {"post_processings": [{"classification": {"output_tensor": "scores", **task}}]}
    return {"spec": _spec(labels, "NONE", exclusive), "version": version}


def rows(*images: Sequence[Row], predicted: Sequence[bool] | None = None) -> dict[str, Any]:
    """The expected answer, image after image."""
    found = [row for image in images for row in image]
    boxes: Any = [[nearest(side) for side in row[2]] for row in found] or np.empty((0, 4), np.float32)
    expected = {
        "offsets": [0, *np.cumsum([len(image) for image in images]).tolist()],
        "boxes": boxes,
        "scores": [nearest(row[0]) for row in found],
        "labels": [row[1] for row in found],
        "regions": [row[3] for row in found],
    }
    return expected if predicted is None else {**expected, "predicted": list(predicted)}


def batch(*images: Any) -> NDArray[np.float32]:
    """Tensors of images, one behind the other."""
    return np.stack([np.asarray(image, np.float32) for image in images])


def _spec(labels: Sequence[str], roi: str, exclusive: bool) -> dict[str, Any]:
    named = [{"id": 10 * (row + 1), "name": name} for row, name in enumerate(labels)]
    return {"outputs": [{"labels": {"labels": named, "exclusive": exclusive, "roi": roi}}]}
