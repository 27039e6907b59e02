"""The workloads: what the benchmarks measure, small ones first."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

from benchmarks.contest import INPUTS, OURS, Columns, Workload, check_equal, use_one_thread
from benchmarks.data.anchored import faster_rcnn, retinanet
from benchmarks.data.candidates import PATTERNS, Candidates, nms_candidates
from benchmarks.data.distances import distance_maps
from benchmarks.data.evaluation import EvaluationCase, coco_like
from benchmarks.data.masks import BoxMasks, PrototypeMasks, box_masks, prototype_masks
from benchmarks.data.narrow import NARROW_CASES
from benchmarks.data.oriented import OrientedCandidates, oriented_candidates
from benchmarks.data.others import direct_boxes, finished_rows, softmax_scores
from benchmarks.data.yolo import yolov2_grid, yolov8_tensor
from benchmarks.peers import PEERS
from benchmarks.peers.anchored import AnchoredCase
from benchmarks.peers.distances import DistanceCase
from benchmarks.peers.others import ClassificationCase, DirectCase
from benchmarks.peers.rows import RowsCase
from benchmarks.peers.yolo import GridCase, Yolov8Case
from benchmarks.timing import Turning

SIZES = (100, 300, 1_000, 3_000, 10_000, 100_000)
ORIENTED_SIZES = (100, 300, 1_000, 3_000)
# How long each peer's results are compared with ours, input by input: the first one always.
_CHECK_SECONDS = 1.0
BEHIND = "behind a network"
_VOC_ANCHORS = (1.3221, 1.73145, 3.19275, 4.00944, 5.05587, 8.09892, 9.47112, 4.84053, 11.2364, 10.0071)
_COCO_ANCHORS = (0.57273, 0.677385, 1.87446, 2.06253, 3.33843, 5.47434, 7.88282, 3.52778, 9.77052, 9.16828)


def _nms(pattern: str, count: int, labels: int, image: int) -> Candidates:
    return nms_candidates(pattern, count, labels, image)


def _oriented(pattern: str, count: int, image: int) -> OrientedCandidates:
    return oriented_candidates(pattern, count, image)


def _yolov8(batch: int, threshold: float, number: int) -> Yolov8Case:
    return Yolov8Case(yolov8_tensor(batch, number * batch), threshold)


def _yolov2(side: int, anchors: tuple[float, ...], labels: int, image: int) -> GridCase:
    return GridCase(yolov2_grid(side, len(anchors) // 2, labels, image), anchors, labels, 0.25)


def _faster_rcnn(proposals: int, image: int) -> AnchoredCase:
    return AnchoredCase(faster_rcnn(proposals, image=image))


def _coco_like(images: int, detections: int, number: int) -> EvaluationCase:
    return coco_like(images, detections, number)


def _retinanet(image: int) -> AnchoredCase:
    return AnchoredCase(retinanet(image=image))


def _distances(is_empty: bool, image: int) -> DistanceCase:
    return DistanceCase(*distance_maps(image, is_empty=is_empty))


def _finished_rows(above: int, image: int) -> RowsCase:
    return RowsCase(finished_rows(above, image))


def _direct(count: int, image: int) -> DirectCase:
    return DirectCase(direct_boxes(count, image=image), 80, 0.05)


def _classification(labels: int, image: int) -> ClassificationCase:
    return ClassificationCase(softmax_scores(64, labels, image), 0.025)


def _box_masks(height: int, width: int, image: int) -> BoxMasks:
    return box_masks(height, width, 100, image)


def _prototype_masks(count: int, image: int) -> PrototypeMasks:
    return prototype_masks(count, image)


def warm_and_cold(
    kind: str, case: str, make: Callable[[int], Any], count: int = INPUTS
) -> Iterator[Workload]:
    """The same inputs, which all together exceed the last-level cache, read before each call and not."""
    yield Workload(kind, case, make, count, is_warm=True)
    yield Workload(kind, f"{case}, cold", make, count)


def hot_and_behind(kind: str, case: str, make: Callable[[int], Any]) -> Iterator[Workload]:
    """The same small inputs, call after call, and each behind a network."""
    yield Workload(kind, case, make)
    yield behind(kind, case, make)


def behind(kind: str, case: str, make: Callable[[int], Any]) -> Workload:
    """Inputs of which each comes right behind a network."""
    return Workload(kind, f"{case}, {BEHIND}", make, count=16, is_behind=True)


WORKLOADS = (
    *(
        Workload(
            kind,
            f"{pattern}, N = {count:,}",
            partial(_nms, pattern, count, labels),
            count=8 if count > 10_000 else INPUTS,
            is_warm=count > 3_000,
            is_large=count > 1_000,
        )
        for kind, labels in (("NMS, one label", 1), ("NMS, 80 labels", 80))
        for pattern in PATTERNS
        for count in SIZES
    ),
    *(
        Workload(
            "NMS, oriented boxes",
            f"{pattern}, N = {count:,}",
            partial(_oriented, pattern, count),
            count=16 if count > 1_000 else INPUTS,
            is_large=count > 1_000,
        )
        for pattern in PATTERNS
        for count in ORIENTED_SIZES
    ),
    *(
        work
        for threshold in (0.25, 0.001)
        for work in warm_and_cold("YOLOv8", f"batch 1, threshold {threshold}", partial(_yolov8, 1, threshold))
    ),
    behind("YOLOv8", "batch 1, threshold 0.25", partial(_yolov8, 1, 0.25)),
    *(
        Workload(
            "YOLOv8",
            f"batch 16, threshold {threshold}, cold",
            partial(_yolov8, 16, threshold),
            count=8,
            is_large=True,
        )
        for threshold in (0.25, 0.001)
    ),
    Workload("YOLOv2", "13 x 13 x 5 x (5 + 20)", partial(_yolov2, 13, _VOC_ANCHORS, 20)),
    Workload("YOLOv2", "19 x 19 x 5 x (5 + 80)", partial(_yolov2, 19, _COCO_ANCHORS, 80), is_warm=True),
    *(
        work
        for case, is_empty in (("16 bins, threshold 0.25", False), ("16 bins, nothing passes", True))
        for work in warm_and_cold("distances", case, partial(_distances, is_empty))
    ),
    Workload("Faster R-CNN", "300 x 81", partial(_faster_rcnn, 300), is_warm=True),
    *warm_and_cold("Faster R-CNN", "1,000 x 81", partial(_faster_rcnn, 1_000)),
    *warm_and_cold("RetinaNet", "101,601 x 80", _retinanet, count=16),
    *hot_and_behind("finished rows", "20 of 300", partial(_finished_rows, 20)),
    *hot_and_behind("direct", "100 boxes", partial(_direct, 100)),
    *hot_and_behind("to_supervision", "20 boxes", partial(_finished_rows, 20)),
    *(Workload("narrow numbers", case, make, count=32, is_warm=True) for case, make in NARROW_CASES.items()),
    Workload("classification", "64 x 1,000", partial(_classification, 1_000)),
    *warm_and_cold("classification", "64 x 21,000", partial(_classification, 21_000)),
    *(
        Workload(
            "masks in boxes",
            f"100 of 28 x 28 into {height} x {width}",
            partial(_box_masks, height, width),
            count=8,
            is_large=True,
        )
        for height, width in ((640, 640), (1080, 1920))
    ),
    # As few as there is memory for what pycocotools takes.
    Workload("masks as RLE", "300 of 640 x 640", partial(_prototype_masks, 300), count=4, is_large=True),
    Workload("evaluation", "100 images, 3,000 detections", partial(_coco_like, 100, 3_000), count=4),
    Workload(
        "evaluation",
        "5,000 images, 147,000 detections",
        partial(_coco_like, 5_000, 147_000),
        count=1,
        is_large=True,
    ),
)


def workload(kind: str, case: str) -> Workload:
    """Find a workload by its names."""
    (found,) = (one for one in WORKLOADS if (one.kind, one.case) == (kind, case))
    return found


def contestants(
    work: Workload, names: Collection[str] | None = None, most: int = sys.maxsize
) -> dict[str, Turning]:
    """Set up the peers of a workload that are installed (or those of `names`), and check that they agree.

    All turn through the same inputs, `most` at most, in the same order.
    """
    peers = {
        name: peer
        for name, peer in PEERS[work.kind].items()
        if not peer.missing and (names is None or name in names)
    }
    inputs = work.inputs(most)
    calls = {name: [peer.setup(case) for case in inputs] for name, peer in peers.items()}
    use_one_thread()
    expected: list[Columns] = []
    for name, peer in peers.items():  # ours is the first
        begin = time.perf_counter()
        for number, (case, call) in enumerate(zip(inputs, calls[name], strict=True)):
            result = call()
            if peer.columns is not None:
                columns = peer.columns(case, result)
                if number == len(expected):
                    expected.append(columns)
                check_equal(columns, expected[number], f"{work.kind}, {work.case}, input {number}: {name}")
            if name != OURS and time.perf_counter() - begin > _CHECK_SECONDS:
                break
    read = inputs if work.is_warm or work.is_behind else ()
    return {name: Turning(calls[name], read, work.is_behind) for name in peers}
