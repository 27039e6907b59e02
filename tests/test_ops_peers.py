"""NMS of `postproc.ops` against ONNX Runtime, torchvision and the conformance data of ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import assume, given
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from onnx.backend.test.case import node as onnx_cases
from onnx.backend.test.case.node import nonmaxsuppression as _registers_its_cases  # noqa: F401

from postproc import ops
from tests import reference
from tests.shares import examples
from tests.strategies import CandidateSet, candidate_sets

EXAMPLES = examples(100)
CONFORMANCE = [case for case in onnx_cases._NodeTestCases if case.name.startswith("test_nonmaxsuppression")]


def in_order(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put flipped corners in order: peers do so themselves, or count a negative area."""
    first, second = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=-1)


@pytest.fixture(scope="module")
def onnx_nms() -> onnxruntime.InferenceSession:
    """ONNX Runtime's NonMaxSuppression; of boxes ``(B, N, 4)`` and scores ``(B, C, N)``."""
    inputs = [
        onnx.helper.make_tensor_value_info("boxes", onnx.TensorProto.FLOAT, ["B", "N", 4]),
        onnx.helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["B", "C", "N"]),
        onnx.helper.make_tensor_value_info("max_output_boxes_per_class", onnx.TensorProto.INT64, [1]),
        onnx.helper.make_tensor_value_info("iou_threshold", onnx.TensorProto.FLOAT, [1]),
        onnx.helper.make_tensor_value_info("score_threshold", onnx.TensorProto.FLOAT, [1]),
    ]
    selected = onnx.helper.make_tensor_value_info("selected", onnx.TensorProto.INT64, ["K", 3])
    node = onnx.helper.make_node("NonMaxSuppression", [one.name for one in inputs], ["selected"])
    graph = onnx.helper.make_graph([node], "nms", inputs, [selected])
    model = onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 17)])
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@EXAMPLES
@given(candidates=candidate_sets())
def test_batched_nms_equals_onnx_runtime(
    candidates: CandidateSet, onnx_nms: onnxruntime.InferenceSession
) -> None:
    boxes, scores, idxs = in_order(candidates.boxes), candidates.scores, candidates.idxs
    labels = np.arange(3)
    # ONNX Runtime knows a score per class and box: those of other labels go below its threshold.
    per_label = np.where(labels[:, np.newaxis] == idxs, scores, np.float32(-2))
    feeds = {
        "boxes": boxes[np.newaxis],
        "scores": per_label[np.newaxis],
        "max_output_boxes_per_class": np.array([len(boxes)], np.int64),
        "iou_threshold": np.array([candidates.iou_threshold], np.float32),
        "score_threshold": np.array([-1], np.float32),
    }
    selected = onnx_nms.run(None, feeds)[0]
    kept = ops.batched_nms(boxes, scores, idxs, candidates.iou_threshold)
    for label in labels:
        theirs = selected[selected[:, 1] == label, 2]
        assert_array_equal(kept[idxs[kept] == label], theirs)
        rows = np.flatnonzero(idxs == label)
        assert_array_equal(rows[ops.nms(boxes[rows], scores[rows], candidates.iou_threshold)], theirs)


def test_onnx_package_ships_conformance_cases() -> None:
    assert len(CONFORMANCE) >= 9  # as of onnx 1.16


@pytest.mark.parametrize(
    "case", CONFORMANCE, ids=lambda case: case.name.removeprefix("test_nonmaxsuppression_")
)
def test_nms_onnx_conformance_case_selects_the_same(case: Any) -> None:
    ((inputs, (expected,)),) = case.data_sets
    boxes, scores, (limit,), (iou_threshold,), (score_threshold,) = inputs
    centred = any(
        attribute.name == "center_point_box" and attribute.i
        for attribute in case.model.graph.node[0].attribute
    )
    selected = []
    for image, label in np.ndindex(scores.shape[:2]):
        corners = ops.box_convert(boxes[image], "cxcywh", "xyxy") if centred else in_order(boxes[image])
        rows = np.flatnonzero(scores[image, label] > score_threshold)
        kept = rows[ops.nms(corners[rows], scores[image, label, rows], float(iou_threshold))][:limit]
        selected += [[image, label, row] for row in kept.tolist()]
    assert selected == expected.tolist()


@pytest.fixture(scope="module")
def torchvision_nms() -> Callable[..., NDArray[np.int64]]:
    torch = pytest.importorskip("torch")
    torchvision_ops = pytest.importorskip("torchvision.ops")

    def nms(boxes: Any, scores: Any, iou_threshold: float) -> Any:
        return torchvision_ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), iou_threshold).numpy()

    return nms


@EXAMPLES
@given(candidates=candidate_sets())
def test_batched_nms_equals_torchvision(
    candidates: CandidateSet, torchvision_nms: Callable[..., NDArray[np.int64]]
) -> None:
    boxes, scores, idxs = in_order(candidates.boxes), candidates.scores, candidates.idxs
    threshold = candidates.iou_threshold
    # torchvision compares the float32 Jaccard index with the threshold in double.
    between = threshold != float(np.float32(threshold))
    assume(not (between and (reference.box_iou(boxes, boxes) == np.float32(threshold)).any()))
    kept = ops.batched_nms(boxes, scores, idxs, threshold)
    for label in range(3):  # its own batched_nms shifts labels apart by coordinates and rounds
        rows = np.flatnonzero(idxs == label)
        theirs = torchvision_nms(boxes[rows], scores[rows], threshold)
        assert_array_equal(kept[idxs[kept] == label], rows[theirs])
