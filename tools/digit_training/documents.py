"""The documents that go with the demo's networks: specs, versions, preprocessings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

Document: TypeAlias = dict[str, Any]

INPUT_HEIGHT, INPUT_WIDTH = 240, 320
CROP_SIDE = 32
DIGITS = 10
FIRST_LABEL_ID = 100  # not 0, so that an id taken for a row shows at once

IMAGE, SIZE = "image", "im_info"
GRID = "grid"
ANCHORS, OFFSETS, ANCHOR_SCORES = "anchors", "offsets", "scores"
BOXES, BOX_SCORES, CLASSES = "boxes", "scores", "classes"
LOGITS = "logits"

_SPEC_IDS = {"detection": 10, "classification": 11}
_NETWORK_IDS = {"yolo": 1, "anchored": 2, "direct": 3, "classifier": 4}

# Digits stand side by side and hardly overlap: v0.7's default does.
_NMS_THRESHOLD = 0.3
_DISCARD_THRESHOLD = 0.025


def label_ids() -> list[int]:
    """Return the label id of each digit."""
    return [FIRST_LABEL_ID + digit for digit in range(DIGITS)]


def spec(kind: str) -> Document:
    """Return the spec of the digits: ``kind`` is "detection" or "classification"."""
    what = "on a page" if kind == "detection" else "filling a crop"
    labels = [{"id": label_id, "name": str(digit)} for digit, label_id in enumerate(label_ids())]
    roi = "BBOX" if kind == "detection" else "NONE"
    return {
        "id": _SPEC_IDS[kind],
        "name": f"handwritten digits, {kind}",
        "description": f"Handwritten digits {what}.",
        "metadata": {},
        "outputs": [{"labels": {"labels": labels, "exclusive": True, "roi": roi}}],
    }


def spec_name(kind: str) -> str:
    """Return the file name of the spec of that kind."""
    return "digits_spec.json" if kind == "detection" else "digits_classifier_spec.json"


def version(name: str, thresholds: Sequence[float], anchors: Sequence[float] = ()) -> Document:
    """Return the version of a network.

    Parameters
    ----------
    name : {"yolo", "anchored", "direct", "classifier"}
    thresholds : sequence of 10 float
        One per digit.
    anchors : sequence of float
        Of the YOLO grid: ``[w0, h0, w1, h1, ...]`` in grid cells.
    """
    if name == "classifier":
        kind = "classification"
        task: Document = {
            "output_tensor": LOGITS,
            "thresholds": list(thresholds),
            "score_activation": "softmax",
        }
    else:
        kind = "detection"
        task = {
            **_output(name, anchors),
            "thresholds": list(thresholds),
            "nms_threshold": _NMS_THRESHOLD,
            "discard_threshold": _DISCARD_THRESHOLD,
        }
    return {
        "spec_id": _SPEC_IDS[kind],
        "network_id": _NETWORK_IDS[name],
        "post_processings": [{kind: task}],
    }


def preprocessing(name: str) -> Document:
    """Return how images become the inputs of a network; ``name`` as for `version`."""
    width, height = (CROP_SIDE, CROP_SIDE) if name == "classifier" else (INPUT_WIDTH, INPUT_HEIGHT)
    image = {
        "dimension_order": "NCHW",
        "resize_type": "SQUASH",
        "target_size": f"{width}x{height}",
        "color_channels": "L",
        "pixel_scaling": 1.0,
        "mean": [0.5],
        "data_type": "FLOAT32",
    }
    inputs: list[Document] = [{"tensor_name": IMAGE, "image": image}]
    if name == "anchored":
        size = {"shape": [3], "data": [f"{IMAGE}.1", f"{IMAGE}.2", 1.0]}
        inputs.append({"tensor_name": SIZE, "constant": size})
    return {"inputs": inputs, "batched_output": True}


def write(path: Path, document: Document) -> None:
    """Write a document as JSON."""
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _output(name: str, anchors: Sequence[float]) -> Document:
    if name == "yolo":
        return {"yolo_output": {"output_tensor": GRID, "anchors": list(anchors)}}
    if name == "anchored":
        tensors = {"anchors_tensor": ANCHORS, "offsets_tensor": OFFSETS, "scores_tensor": ANCHOR_SCORES}
        return {"anchored_output": tensors, "normalize_wrt_tensor": SIZE}
    tensors = {"boxes_tensor": BOXES, "scores_tensor": BOX_SCORES, "classes_tensor": CLASSES}
    return {"direct_output": tensors}
