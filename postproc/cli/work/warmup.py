"""What ``postproc warmup`` compiles where it is told of no version: every kernel there is."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from postproc import ops
from postproc.decoding import decoder_class
from postproc.evaluation.coco_curves import COCO_RECALLS, coco_curves
from postproc.evaluation.groups import FoundInstances, TrueInstances
from postproc.evaluation.ranking import resample
from postproc.evaluation.similarity import of_boxes
from postproc.kernels.core.quadrilaterals import quadrilateral_iou_matrix
from postproc.kernels.evaluation.cuts import best_cuts
from postproc.kernels.evaluation.matching import match_greedily
from postproc.kernels.evaluation.resampling import resampled_counts
from postproc.kernels.masks.lengths import run_length_totals
from postproc.pipeline import PostProcessor
from postproc.schema import (
    Classification,
    Detection,
    DetectionOutput,
    DistanceOutput,
    EndToEndOutput,
    SsdOutput,
    YoloxOutput,
)

# One of each kind: what else a document says is passed to the kernels as values, which compile nothing.
DETECTION_OUTPUTS: tuple[DetectionOutput, ...] = tuple(
    decoder_class(kind).sample for kind in Detection.alternatives
)

# Forms of them with kernels of their own.
_FORMS: tuple[DetectionOutput, ...] = (
    YoloxOutput(
        scores_tensors=("scores",),
        objectness_tensors=("objectness",),
        boxes_tensors=("boxes",),
        landmarks_tensors=("landmarks",),
        keypoints=1,
        strides=(8,),
    ),
    SsdOutput(offsets_tensor="offsets", scores_tensor="scores", priors_tensor="priors", keypoints=1),
    DistanceOutput(
        scores_tensors=("scores",),
        distances_tensors=("distances",),
        landmarks_tensors=("landmarks",),
        keypoints=1,
        strides=(8,),
    ),
    EndToEndOutput(output_tensor="rows", columns=("box", "score", "class", "angle"), box_format="cxcywh"),
    EndToEndOutput(output_tensor="rows", masks_tensor="masks", keep_empty_masks=False),
)


def warm_up_everything(dtypes: Collection[str]) -> None:
    """Compile or load every kernel: of each kind of output, for such data types, and of `postproc.ops`."""
    PostProcessor.for_classification(["label"], Classification(output_tensor="scores")).warmup(dtypes)
    for output in (*DETECTION_OUTPUTS, *_FORMS):
        PostProcessor.for_detection(["label"], output).warmup(dtypes)
    for method in ("soft", "weighted"):
        PostProcessor.for_detection(
            ["label"], DETECTION_OUTPUTS[0], nms_method=method, nms_threshold=0.5
        ).warmup(dtypes)
    boxes, scores = np.array([[0, 0, 1, 1]], np.float32), np.ones(1, np.float32)
    ops.nms(boxes, scores, 0.5)
    ops.batched_nms(boxes, scores, np.zeros(1, np.int64), 0.5)
    ops.box_iou(boxes, boxes)
    for index in ("exact", "probiou"):
        ops.oriented_box_iou(np.ones((1, 5), np.float32), np.ones((1, 5), np.float32), iou=index)
    ops.box_area(boxes)
    ops.box_convert(boxes, "xyxy", "xywh")
    ops.clip_boxes(boxes, (1, 1))
    corners, rows, offsets = boxes.astype(np.float64), np.zeros(1, np.int64), np.array([0, 1])
    flags, folds, areas = np.ones(1, np.bool_), np.zeros(1, np.int16), np.ones(1)
    found, truth = FoundInstances(rows, rows, scores, areas), TrueInstances(rows, rows, areas, ~flags, ~flags)
    curves = coco_curves(found, truth, of_boxes(corners, corners, ~flags), images=1, labels=1)
    resample(curves.ranking, COCO_RECALLS, np.ones((1, 1), np.uint16), [(0, 0)])
    quadrilateral_iou_matrix(np.ones((1, 4, 2)), np.ones((1, 4, 2)))
    match_greedily(offsets, rows, areas, ~flags, ~flags, areas)
    run_length_totals(np.zeros(1, np.uint8), offsets)
    best_cuts(scores, flags, folds, offsets, np.ones(1, np.int64), 1, -1, 0, 0.0)
    resampled_counts(rows, rows, flags, np.ones((1, 1), np.uint8), 1)
