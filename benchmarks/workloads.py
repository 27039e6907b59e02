"""The workloads: what the benchmarks measure, small ones first."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from benchmarks.contest import Workload, check_equal, use_one_thread
from benchmarks.data.anchored import faster_rcnn, retinanet
from benchmarks.data.candidates import PATTERNS, nms_candidates
from benchmarks.data.others import direct_boxes, softmax_scores
from benchmarks.data.yolo import yolov2_grid, yolov8_tensor
from benchmarks.peers import PEERS
from benchmarks.peers.anchored import AnchoredCase
from benchmarks.peers.others import ClassificationCase, DirectCase
from benchmarks.peers.yolo import GridCase, Yolov8Case

SIZES = (100, 1_000, 10_000, 100_000)
_VOC_ANCHORS = (1.3221, 1.73145, 3.19275, 4.00944, 5.05587, 8.09892, 9.47112, 4.84053, 11.2364, 10.0071)
_COCO_ANCHORS = (0.57273, 0.677385, 1.87446, 2.06253, 3.33843, 5.47434, 7.88282, 3.52778, 9.77052, 9.16828)


def _yolov8(batch: int, threshold: float) -> Yolov8Case:
    return Yolov8Case(yolov8_tensor(batch), threshold)


def _yolov2(side: int, anchors: tuple[float, ...], labels: int) -> GridCase:
    return GridCase(yolov2_grid(side, len(anchors) // 2, labels), anchors, labels, 0.25)


def _faster_rcnn(proposals: int) -> AnchoredCase:
    return AnchoredCase(faster_rcnn(proposals))


def _classification(labels: int) -> ClassificationCase:
    return ClassificationCase(softmax_scores(64, labels), 0.025)


WORKLOADS = (
    *(
        Workload(
            kind, f"{pattern}, N = {count:,}", partial(nms_candidates, pattern, count, labels), count > 1_000
        )
        for kind, labels in (("NMS, one label", 1), ("NMS, 80 labels", 80))
        for pattern in PATTERNS
        for count in SIZES
    ),
    *(
        Workload(
            "YOLOv8", f"batch {batch}, threshold {threshold}", partial(_yolov8, batch, threshold), batch > 1
        )
        for batch in (1, 16)
        for threshold in (0.25, 0.001)
    ),
    Workload("YOLOv2", "13 x 13 x 5 x (5 + 20)", partial(_yolov2, 13, _VOC_ANCHORS, 20)),
    Workload("YOLOv2", "19 x 19 x 5 x (5 + 80)", partial(_yolov2, 19, _COCO_ANCHORS, 80)),
    *(
        Workload("Faster R-CNN", f"{proposals:,} x 81", partial(_faster_rcnn, proposals))
        for proposals in (300, 1_000)
    ),
    Workload("RetinaNet", "101,601 x 80", lambda: AnchoredCase(retinanet())),
    Workload("direct", "100 boxes", lambda: DirectCase(direct_boxes(100), 80, 0.05)),
    *(
        Workload("classification", f"64 x {labels:,}", partial(_classification, labels))
        for labels in (1_000, 21_000)
    ),
)


def workload(kind: str, case: str) -> Workload:
    """Find a workload by its names."""
    (found,) = (one for one in WORKLOADS if (one.kind, one.case) == (kind, case))
    return found


def contestants(work: Workload, names: Collection[str] | None = None) -> dict[str, Callable[[], Any]]:
    """Set up the peers of a workload that are installed (or those of `names`), and check that they agree."""
    peers = {
        name: peer
        for name, peer in PEERS[work.kind].items()
        if not peer.missing and (names is None or name in names)
    }
    runs = {name: peer.setup(work.input) for name, peer in peers.items()}
    use_one_thread()
    expected = None
    for name, peer in peers.items():  # ours is the first
        if peer.columns is None:
            continue
        columns = peer.columns(work.input, runs[name]())
        expected = expected or columns
        check_equal(columns, expected, f"{work.kind}, {work.case}: {name}")
    return runs
