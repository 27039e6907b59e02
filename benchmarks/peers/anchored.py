"""The whole post-processing of Faster R-CNN and RetinaNet outputs, up to 100 detections an image."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from benchmarks.contest import OURS, Columns, Peer, by_content
from benchmarks.data.anchored import LABELS, AnchoredTensors
from benchmarks.data.scenes import Floats
from benchmarks.peers.floors import FLOORS
from benchmarks.peers.yolo import our_columns
from postproc import AnchoredOutput, PostProcessor

THRESHOLD = 0.05
IOU_THRESHOLD = 0.5
MOST = 100

Run = Callable[[], Any]


class AnchoredCase(NamedTuple):
    """The tensors of a network, of which the floors read the scores."""

    tensors: AnchoredTensors

    @property
    def tensor(self) -> Floats:
        """The largest of the tensors that must be read in full."""
        return self.tensors.logits


def _ours(output: AnchoredOutput) -> Callable[[AnchoredCase], Run]:
    @cache
    def made(page: int) -> PostProcessor:
        return PostProcessor.for_detection(
            [f"label {row}" for row in range(LABELS)],
            output,
            thresholds=THRESHOLD,
            nms_threshold=IOU_THRESHOLD,
            input_size=[page, page],
        )

    def setup(case: AnchoredCase) -> Run:
        post = made(case.tensors.page)
        tensors = {
            "anchors": case.tensors.anchors,
            "offsets": case.tensors.offsets,
            "logits": case.tensors.logits,
        }
        return partial(post, tensors, max_predictions=MOST)

    return setup


_output = partial(AnchoredOutput, anchors_tensor="anchors", offsets_tensor="offsets", scores_tensor="logits")
our_faster_rcnn = _ours(_output(score_activation="softmax", offsets_scale=(0.1, 0.1, 0.2, 0.2)))
our_retinanet = _ours(_output(score_activation="sigmoid", background="none"))


def torchvision_faster_rcnn(case: AnchoredCase) -> Run:
    """Run the method that torchvision's Faster R-CNN ends in, with its defaults."""
    import torch
    from torchvision.models.detection._utils import BoxCoder
    from torchvision.models.detection.roi_heads import RoIHeads

    heads = SimpleNamespace(
        box_coder=BoxCoder((10.0, 10.0, 5.0, 5.0)),
        score_thresh=THRESHOLD,
        nms_thresh=IOU_THRESHOLD,
        detections_per_img=MOST,
    )
    anchors, offsets, logits, page, _ = case.tensors
    return partial(
        RoIHeads.postprocess_detections,
        heads,
        torch.from_numpy(logits[0]),
        torch.from_numpy(offsets[0]),
        [torch.from_numpy(anchors[0])],
        [(page, page)],
    )


def torchvision_retinanet(case: AnchoredCase) -> Run:
    """Run the method that torchvision's RetinaNet ends in, with its defaults."""
    import torch
    from torchvision.models.detection._utils import BoxCoder
    from torchvision.models.detection.retinanet import RetinaNet

    network = SimpleNamespace(
        box_coder=BoxCoder((1.0, 1.0, 1.0, 1.0)),
        score_thresh=THRESHOLD,
        nms_thresh=IOU_THRESHOLD,
        detections_per_img=MOST,
        topk_candidates=1000,
    )
    anchors, offsets, logits, page, levels = case.tensors
    anchor_levels = [torch.from_numpy(level) for level in _split(anchors[0], levels)]
    outputs = {
        "cls_logits": [torch.from_numpy(level[None]) for level in _split(logits[0], levels)],
        "bbox_regression": [torch.from_numpy(level[None]) for level in _split(offsets[0], levels)],
    }
    return partial(RetinaNet.postprocess_detections, network, outputs, [anchor_levels], [(page, page)])


def _split(array: Floats, levels: tuple[int, ...]) -> list[Floats]:
    return np.split(array, np.cumsum(levels)[:-1])


def _faster_rcnn_columns(case: AnchoredCase, result: Any) -> Columns:
    (boxes,), (scores,), (labels,) = result
    return _columns(case, boxes.numpy(), scores.numpy(), labels.numpy() - 1)


def _retinanet_columns(case: AnchoredCase, result: Any) -> Columns:
    (image,) = result
    return _columns(case, *(image[name].numpy() for name in ("boxes", "scores", "labels")))


def _columns(case: AnchoredCase, boxes: Any, scores: Any, labels: Any) -> Columns:
    return by_content(np.zeros(len(labels), np.int64), labels, scores, boxes / case.tensors.page)


FASTER_RCNN = {
    OURS: Peer(our_faster_rcnn, our_columns),
    "torchvision": Peer(torchvision_faster_rcnn, _faster_rcnn_columns, needs=("torch", "torchvision")),
    **FLOORS,
}
RETINANET = {
    OURS: Peer(our_retinanet, our_columns),
    "torchvision": Peer(torchvision_retinanet, _retinanet_columns, needs=("torch", "torchvision")),
    **FLOORS,
}
