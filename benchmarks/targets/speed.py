"""Times beside those of peers and of `numpy.max`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from benchmarks.contest import INPUTS, OURS
from benchmarks.data.narrow import NARROW_CASES
from benchmarks.data.scenes import Floats
from benchmarks.data.yolo import yolov8_tensor
from benchmarks.peers.distances import SCAN
from benchmarks.peers.floors import READ
from benchmarks.peers.narrow import FLOATS
from benchmarks.peers.rows import LINES, READY
from benchmarks.peers.yolo import MOST, our_yolov8
from benchmarks.targets.result import Result, readable
from benchmarks.timing import Call, Timing, Turning, race
from benchmarks.workloads import BEHIND, contestants, workload
from postproc import AnchoredOutput, DirectOutput, PostProcessor, YoloOutput

NMS_KINDS = ("NMS, one label", "NMS, 80 labels")
_NMS_LIMIT = 10.0
_NMS_MOST = 10_000  # torchvision takes seconds for more


def _ratio(
    name: str, over: Timing, under: Timing, limit: float, at_least: bool = False, of: str = ""
) -> Result:
    detail = f"{of}{readable(over.median)} / {readable(under.median)}"
    return Result(name, over.median / under.median, limit, at_least, detail)


def _race(calls: Mapping[str, Call], seconds: float = 0.5) -> dict[str, Timing]:
    for call in calls.values():
        call()
    return race(calls, seconds)


def _beside_peers(kind: str, case: str, limits: Mapping[str, float]) -> Iterator[Result]:
    timings = race(contestants(workload(kind, case), {OURS, *limits}))
    for peer, limit in limits.items():
        if peer in timings:
            yield _ratio(f"{kind}, {case}: {peer} / ours", timings[peer], timings[OURS], limit, True)


def _over(kind: str, case: str, limits: Mapping[str, float]) -> Iterator[Result]:
    """How many times longer than peers ours takes."""
    calls = contestants(workload(kind, case), {OURS, *limits})
    if len(calls) > 1:
        timings = race(calls)
        for peer, limit in limits.items():
            if peer in timings:
                yield _ratio(f"{kind}, {case}: ours / {peer}", timings[OURS], timings[peer], limit)


def nms_beside_peers(kind: str, pattern: str, count: int) -> Iterator[Result]:
    """NMS against torchvision, and against whoever is the fastest."""
    case = f"{pattern}, N = {count:,}"
    timings = race(contestants(workload(kind, case)))
    ours = timings.pop(OURS)
    if kind == NMS_KINDS[0] and count <= _NMS_MOST and "torchvision" in timings:
        name = f"{kind}, {case}: torchvision / ours"
        yield _ratio(name, timings["torchvision"], ours, _NMS_LIMIT, True)
    if timings:
        best = min(timings, key=lambda peer: timings[peer].median)
        yield _ratio(f"{kind}, {case}: fastest peer / ours", timings[best], ours, 1.0, True, f"{best} ")


def oriented_nms_beside_peers(pattern: str, count: int) -> Iterator[Result]:
    """Suppression of oriented boxes, a whole call of a document, against that of ultralytics."""
    case = f"{pattern}, N = {count:,}"
    yield from _beside_peers("NMS, oriented boxes", case, {"ultralytics": _NMS_LIMIT})


def nms_growth(pattern: str) -> Iterator[Result]:
    """Time of ten times more boxes at the same density.

    10,000 stay in the caches, 100,000 do not, and take one and a half times as long a box.
    """
    few, many = (
        contestants(workload(NMS_KINDS[0], f"{pattern}, N = {count:,}"), {OURS})[OURS]
        for count in (10_000, 100_000)
    )
    timings = race({"few": few, "many": many})
    name = f"{NMS_KINDS[0]}, {pattern}: N = 100,000 / N = 10,000"
    yield _ratio(name, timings["many"], timings["few"], 15.0)


def networks_beside_peers() -> Iterator[Result]:
    """Whole post-processing against what users have today."""
    limits = {
        "ONNX Runtime": 2.5,
        "NumPy + OpenCV": 5.0,
        "ultralytics": 5.0,
        "ultralytics, no torchvision": 12.0,
    }
    yield from _beside_peers("YOLOv8", "batch 1, threshold 0.25", limits)
    yield from _beside_peers("Faster R-CNN", "1,000 x 81", {"torchvision": 10.0})
    yield from _beside_peers("YOLOv2", "13 x 13 x 5 x (5 + 20)", {"NumPy + OpenCV": 10.0})


def masks_beside_peers() -> Iterator[Result]:
    """Masks pasted into boxes, and as run lengths, which pycocotools makes of masks that are drawn."""
    for size in ("640 x 640", "1080 x 1920"):
        yield from _beside_peers("masks in boxes", f"100 of 28 x 28 into {size}", {"torchvision": 10.0})
    limits = {"pycocotools, of masks drawn before": 3.0}
    yield from _beside_peers("masks as RLE", "300 of 640 x 640", limits)


def evaluation_beside_peers() -> Iterator[Result]:
    """COCO's numbers of boxes, from arrays; ours and others' on all processors, faster-coco-eval's on one."""
    limits = {"hotcoco": 1.0, "ultrafast-pycocotools": 1.0, "faster-coco-eval": 0.1}
    yield from _over("evaluation", "5,000 images, 147,000 detections", limits)


def yolov8_beside_one_read() -> Iterator[Result]:
    """Whole calls in units of one `numpy.max` over the float32 tensor 84 x 8400."""
    tensors = [yolov8_tensor(1, image) for image in range(INPUTS)]
    serving, everything = our_yolov8(0.25), our_yolov8(0.0)
    hundreds = [our_yolov8(0.001)({"tensor": tensor}, max_predictions=100) for tensor in tensors]
    assert all(len(hundred.outputs[0].scores) == 100 for hundred in hundreds)
    calls: dict[str, tuple[float, Call]] = {
        "threshold 0.25": (3.5, _warm_yolov8(serving, tensors)),
        "all 672,000 candidates pass": (20.0, _warm_yolov8(everything, tensors)),
        "to_dicts() of 100 detections": (6.0, Turning([hundred.to_dicts for hundred in hundreds])),
        **{f"empty image, {kind}": (0.8, call) for kind, call in _empty_calls().items()},
    }
    read = Turning([partial(np.max, tensor) for tensor in tensors], warm=tensors)
    timings = _race({READ: read, **{name: call for name, (_, call) in calls.items()}})
    for name, (limit, _) in calls.items():
        yield _ratio(f"YOLOv8 84 x 8400, {name}: ours / {READ}", timings[name], timings[READ], limit)


def _warm_yolov8(post: PostProcessor, tensors: list[Any]) -> Turning:
    calls = [partial(post, {"tensor": tensor}, max_predictions=MOST) for tensor in tensors]
    return Turning(calls, warm=tensors)


def _empty_calls() -> dict[str, Call]:
    """Calls on the tiny tensors of an image with nothing in it, for each kind of output."""
    zeros = partial(np.zeros, dtype=np.float32)
    anchored = AnchoredOutput(anchors_tensor="a", offsets_tensor="o", scores_tensor="s")
    direct = DirectOutput(boxes_tensor="b", scores_tensor="s", classes_tensor="c", classes="rows")
    kinds = {
        "anchored": (anchored, {"a": zeros((1, 2, 4)), "o": zeros((1, 2, 324)), "s": zeros((1, 2, 81))}),
        "direct": (direct, {"b": zeros((1, 2, 4)), "s": zeros((1, 2)), "c": zeros((1, 2))}),
        "yolo": (YoloOutput(output_tensor="g", anchors=(1.0, 1.0)), {"g": zeros((1, 1, 1, 85)) - 20}),
    }
    labels = [f"label {row}" for row in range(80)]
    calls: dict[str, Call] = {"yolov8": partial(our_yolov8(0.25), {"tensor": zeros((1, 84, 1))})}
    for kind, (output, tensors) in kinds.items():
        calls[kind] = partial(PostProcessor.for_detection(labels, output, thresholds=0.25), tensors)
    return calls


def cold_beside_one_read() -> Iterator[Result]:
    """Tensors that come from memory, in units of one `numpy.max` over the scores."""
    for kind, case, limit in (
        ("YOLOv8", "batch 1, threshold 0.25, cold", 2.0),
        ("RetinaNet", "101,601 x 80", 3.0),
        ("RetinaNet", "101,601 x 80, cold", 2.0),
    ):
        timings = race(contestants(workload(kind, case), {OURS, READ}))
        yield _ratio(f"{kind}, {case}: ours / {READ}", timings[OURS], timings[READ], limit)


def distances_beside_a_scan() -> Iterator[Result]:
    """Heads of bins, in units of one scan of their scores alone, and against NumPy."""
    kind = "distances"
    for case, limit in (
        ("16 bins, nothing passes", 1.2),
        ("16 bins, nothing passes, cold", 1.2),
        ("16 bins, threshold 0.25", 3.0),
        ("16 bins, threshold 0.25, cold", 3.0),
    ):
        timings = race(contestants(workload(kind, case)))
        yield _ratio(f"{kind}, {case}: ours / {SCAN}", timings[OURS], timings[SCAN], limit)
        if "cold" not in case:
            yield _ratio(f"{kind}, {case}: NumPy / ours", timings["NumPy"], timings[OURS], 10.0, True)


def narrow_beside_float32() -> Iterator[Result]:
    """Tensors in fewer bytes, in units of the call on the same numbers in float32."""
    for case in NARROW_CASES:
        limit = 0.6 if case.startswith("uint8") else 1.0
        yield from _over("narrow numbers", case, {FLOATS: limit})


def small_calls() -> Iterator[Result]:
    """Calls that scan next to nothing, beside what users write without."""
    yield from _over("finished rows", "20 of 300", {LINES: 4.0})
    yield from _over("direct", "100 boxes", {"NumPy + OpenCV": 1.0})
    yield from _over("to_supervision", "20 boxes", {READY: 3.0})


def behind_a_network() -> Iterator[Result]:
    """Calls where a network has emptied the caches: half of what was first measured.

    Of YOLOv8 half of what it takes beyond one read of its tensor.
    """
    for kind, case, peer, limit in (
        ("finished rows", "20 of 300", LINES, 1.8),
        ("direct", "100 boxes", "NumPy + OpenCV", 0.6),
        ("to_supervision", "20 boxes", READY, 2.1),
        ("YOLOv8", "batch 1, threshold 0.25", READ, 1.8),
    ):
        yield from _over(kind, f"{case}, {BEHIND}", {peer: limit})


def two_threads() -> Iterator[Result]:
    """What a second thread gains on batches of 16, beside what it gains on one read of the same halves."""
    tensors = [yolov8_tensor(16, first) for first in (0, 16, 32, 48)]
    with ThreadPoolExecutor(1) as pool:

        def read_on_two(tensor: Floats) -> None:
            other = pool.submit(np.max, tensor[8:])
            np.max(tensor[:8])
            other.result()

        timings = _race(
            {
                "read 1": Turning([partial(_read_halves, tensor) for tensor in tensors]),
                "read 2": Turning([partial(read_on_two, tensor) for tensor in tensors]),
                **{
                    f"ours {count}": Turning(
                        [
                            partial(our_yolov8(0.25, count), {"tensor": tensor}, max_predictions=MOST)
                            for tensor in tensors
                        ]
                    )
                    for count in (1, 2)
                },
            },
            seconds=2.0,
        )
    gains = {name: timings[f"{name} 1"].median / timings[f"{name} 2"].median for name in ("ours", "read")}
    detail = f"gain {gains['ours']:.2f} / {gains['read']:.2f}"
    name = "YOLOv8, batch 16, num_threads=2: our gain / that of numpy.max"
    yield Result(name, gains["ours"] / gains["read"], 0.9, True, detail)


def _read_halves(tensor: Floats) -> None:
    np.max(tensor[:8])
    np.max(tensor[8:])
