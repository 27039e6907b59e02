"""Roboflow's trackers as far as the example uses them; of trackers 2.6.1, its source and
https://trackers.roboflow.com/latest/trackers/bytetrack/.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class ByteTrackTracker:
    """Gives a box the id of the nearest one of the picture before."""

    def __init__(self, track_activation_threshold: float = 0.7, high_conf_det_threshold: float = 0.6) -> None:
        self._boxes: Any = None

    def update(self, detections: Any) -> Any:
        ids = np.arange(len(detections))
        if self._boxes is not None:
            distances = np.abs(detections.xyxy[:, None] - self._boxes.xyxy).sum(axis=2)
            ids = self._boxes.tracker_id[distances.argmin(axis=1)]
        detections.tracker_id = ids
        self._boxes = detections
        return detections
