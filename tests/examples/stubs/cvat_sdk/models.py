from __future__ import annotations

from typing import Any, NamedTuple


class PatchedLabelRequest(NamedTuple):
    name: str
    id: int
    type: str


class LabeledShapeRequest:
    def __init__(self, label_id: int, type: str, frame: int, points: Any, score: float) -> None:
        self.label_id, self.type, self.frame, self.points, self.score = label_id, type, frame, points, score
