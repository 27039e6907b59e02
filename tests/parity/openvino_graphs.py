"""Small graphs of OpenVINO's operators, compiled for the CPU in full precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.parity import peers

Run = Callable[..., NDArray[np.float32]]


def compiled(shapes: Sequence[Sequence[int]], build: Callable[..., Any]) -> Run:
    """Compile what `build` makes of parameters of these shapes; takes arrays, returns the first output."""
    openvino, opset = peers.load("openvino"), peers.load("openvino.opset8")
    parameters = [opset.parameter(list(shape), np.float32) for shape in shapes]
    model = openvino.Model([build(opset, *parameters)], parameters, "graph")
    # By default it may compute in bfloat16, where the CPU can.
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": "1"}
    network = openvino.Core().compile_model(model, "CPU", options)
    return lambda *arrays: np.array(network(list(arrays))[0])


def region_yolo(shape: Sequence[int], labels: int, anchors: int, *, do_softmax: bool) -> Run:
    """RegionYolo of a grid (B, A*(5+L), H, W): activated, in the same order, but for the sizes of boxes."""

    def build(opset: Any, grid: Any) -> Any:
        return opset.region_yolo(grid, 4, labels, anchors, do_softmax, list(range(anchors)), 1, 3)

    return compiled([shape], build)


def detection_output(batch: int, priors: int, classes: int, iou_threshold: float, threshold: float) -> Run:
    """DetectionOutput of offsets (B, N*4), scores (B, N*C) and priors (1, 2, N*4): a list (1, 1, M, 7)."""
    attributes = {
        "background_label_id": 0,
        "top_k": -1,
        "keep_top_k": [priors],
        "code_type": "caffe.PriorBoxParameter.CENTER_SIZE",
        "share_location": True,
        "variance_encoded_in_target": False,
        "nms_threshold": iou_threshold,
        "confidence_threshold": threshold,
        "clip_before_nms": True,
        "normalized": True,
    }
    return compiled(
        [(batch, 4 * priors), (batch, classes * priors), (1, 2, 4 * priors)],
        lambda opset, *inputs: opset.detection_output(*inputs, attributes),
    )
