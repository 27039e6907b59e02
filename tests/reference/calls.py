"""Calls of the reference written short: documents around tensors that are given as lists."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tests import reference
from tests.reference import Row


def run(
    post: dict[str, Any],
    tensors: dict[str, ArrayLike],
    ids: tuple[int, ...] = (7,),
    exclusive: bool = True,
    **options: Any,
) -> list[list[Row]]:
    """Return the rows of every image of a spec with one output, whose tensors are given as lists."""
    labels = [{"id": name, "name": str(name)} for name in ids]
    spec = {"outputs": [{"labels": {"labels": labels, "exclusive": exclusive}}]}
    arrays = {
        name: np.asarray(tensor, None if name == "classes" else np.float32)
        for name, tensor in tensors.items()
    }
    return reference.run(spec, {"post_processings": [post]}, arrays, **options)[0]


def classify(scores: ArrayLike, fields: dict[str, Any] | None = None, **options: Any) -> list[list[Row]]:
    return run(
        {"classification": {"output_tensor": "scores", **(fields or {})}}, {"scores": scores}, **options
    )


def direct(
    boxes: ArrayLike, scores: ArrayLike, classes: ArrayLike, *, thresholds: list[float], **rules: Any
) -> dict[str, Any]:
    """Return the arguments of `run` for a direct output."""
    output = {"boxes_tensor": "boxes", "scores_tensor": "scores", "classes_tensor": "classes"}
    output |= rules.pop("output", {})
    return {
        "post": {"detection": {"direct_output": output, "thresholds": thresholds, **rules}},
        "tensors": {"boxes": boxes, "scores": scores, "classes": classes},
    }


def one_label(boxes: Any, scores: list[float], threshold: float = 0.1, **rules: Any) -> dict[str, Any]:
    """Return the arguments of `run` for a direct output of one image whose boxes are all of label 7."""
    return direct([boxes], [scores], [[7] * len(scores)], thresholds=[threshold], **rules)


def anchored(
    anchors: ArrayLike, offsets: ArrayLike, scores: ArrayLike, *, thresholds: list[float], **rules: Any
) -> dict[str, Any]:
    """Return the arguments of `run` for an anchored output."""
    output = {"anchors_tensor": "anchors", "offsets_tensor": "offsets", "scores_tensor": "scores"}
    output |= rules.pop("output", {"background": "none"})
    return {
        "post": {"detection": {"anchored_output": output, "thresholds": thresholds, **rules}},
        "tensors": {"anchors": anchors, "offsets": offsets, "scores": scores},
    }


def yolo(grid: ArrayLike, anchors: list[float], thresholds: list[float], **output: Any) -> dict[str, Any]:
    """Return the arguments of `run` for a YOLO grid."""
    described = {"output_tensor": "grid", "anchors": anchors, **output}
    return {
        "post": {"detection": {"yolo_output": described, "thresholds": thresholds}},
        "tensors": {"grid": grid},
    }


def regions(rows: list[Row]) -> list[int]:
    return [row.region for row in rows]


def boxes_of(rows: list[Row]) -> list[list[float]]:
    return [row.box.tolist() for row in rows if row.box is not None]


def detect(
    kind: str, output: dict[str, Any], tensors: dict[str, ArrayLike], thresholds: list[float], **rules: Any
) -> dict[str, Any]:
    """Return the arguments of `run` for any kind of output."""
    return {
        "post": {"detection": {f"{kind}_output": output, "thresholds": thresholds, **rules}},
        "tensors": tensors,
    }
