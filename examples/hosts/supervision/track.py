"""Digits on a video, with boxes, names and the ways they went: supervision draws, its trackers follow.

Trackers have thresholds of their own; they are off here, since what comes in is above its label's.

Needs: pip install "postproc[cpu,demo]" supervision trackers
Start: python examples/hosts/supervision/track.py IN.mp4 OUT.mp4
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import numpy as np
import supervision as sv
from trackers import ByteTrackTracker

from postproc import PostProcessor
from postproc.demo import model_path, preprocessing_path, spec_path, version_path
from postproc.images import Preprocessor
from postproc.onnx_runner import OnnxRunner

PREPARE = Preprocessor(preprocessing_path("yolo"))
RUNNER = OnnxRunner(model_path("yolo"), PostProcessor(spec_path("yolo"), version_path("yolo")))


def find(picture: Any) -> sv.Detections:
    """Return what is on a picture of OpenCV's, whose colours are blue, green, red."""
    prepared = PREPARE([np.ascontiguousarray(picture[:, :, ::-1])])
    batch = RUNNER(prepared.tensors, transforms=prepared.transforms)
    return batch.outputs[0][0].to_supervision(picture.shape[:2])


def track(source: str, target: str) -> Counter[tuple[int, str]]:
    """Write the video anew, drawn on; return in how many pictures each track had which label."""
    tracker = ByteTrackTracker(track_activation_threshold=0, high_conf_det_threshold=0)
    boxes, ways = sv.BoxAnnotator(), sv.TraceAnnotator()
    names = sv.LabelAnnotator(text_scale=0.4, text_padding=4)
    seen: Counter[tuple[int, str]] = Counter()

    def draw(picture: Any, number: int) -> Any:
        found = tracker.update(find(picture))
        found = found[found.tracker_id >= 0]  # what was seen once is no track yet
        labels = [str(name) for name in found.data["class_name"]]
        seen.update(zip(found.tracker_id.tolist(), labels, strict=True))
        texts = [f"{label} #{track}" for track, label in zip(found.tracker_id, labels, strict=True)]
        picture = ways.annotate(boxes.annotate(picture, found), found)
        return names.annotate(picture, found, texts)

    sv.process_video(source, target, draw)
    return seen


if __name__ == "__main__":
    for (number, label), pictures in sorted(track(*sys.argv[1:]).items()):
        print(f"track {number}: {label} in {pictures} pictures")
