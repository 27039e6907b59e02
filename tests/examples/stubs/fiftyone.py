"""FiftyOne's labels as far as the example uses them; of fiftyone 1.22.1, its source and
https://docs.voxel51.com/user_guide/using_datasets.html#labels.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class Dataset:
    @classmethod
    def from_dir(cls, **_: Any) -> Dataset:
        raise NotImplementedError


Detection = Detections = Keypoint = Keypoints = SimpleNamespace
