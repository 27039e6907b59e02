"""Who does what: the one registry that benchmarks, checks of equality and checks of ratios share."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.contest import Peer
from benchmarks.peers import anchored, distances, evaluation, masks, narrow, nms, oriented, others, rows, yolo

PEERS: Mapping[str, Mapping[str, Peer]] = {
    "NMS, one label": nms.ONE_LABEL,
    "NMS, 80 labels": nms.MANY_LABELS,
    "NMS, oriented boxes": oriented.ORIENTED,
    "YOLOv8": yolo.YOLOV8,
    "YOLOv2": yolo.YOLOV2,
    "distances": distances.DISTANCES,
    "Faster R-CNN": anchored.FASTER_RCNN,
    "RetinaNet": anchored.RETINANET,
    "finished rows": rows.ROWS,
    "direct": others.DIRECT,
    "to_supervision": rows.OBJECTS,
    "narrow numbers": narrow.NARROW,
    "classification": others.CLASSIFICATION,
    "masks in boxes": masks.PASTING,
    "masks as RLE": masks.RUN_LENGTHS,
    "evaluation": evaluation.EVALUATION,
}
"""Kind of workload -> name of the peer -> peer; "postproc" is ours."""
