from __future__ import annotations

from typing import Any

from cvat_sdk.models import LabeledShapeRequest, PatchedLabelRequest


class DetectionFunctionSpec:
    def __init__(self, *, labels: list[PatchedLabelRequest]) -> None:
        self.labels = labels


class DetectionFunctionContext:
    frame_name: str
    conf_threshold: float | None
    conv_mask_to_poly: bool


def label_spec(name: str, id: int, type: str) -> PatchedLabelRequest:
    return PatchedLabelRequest(name, id, type)


def rectangle(label_id: int, points: Any, *, score: float) -> LabeledShapeRequest:
    return LabeledShapeRequest(label_id, "rectangle", 0, points, score)
