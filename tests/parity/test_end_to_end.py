"""`end_to_end_output` of what others select: NonMaxSuppression in ONNX Runtime, and TensorRT's EfficientNMS.

OpenVINO's list is read in `test_ssd`, from the operator that makes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc import PostProcessor, Yolov8Output
from postproc.schema import EndToEndOutput
from tests.parity import peers
from tests.parity.comparison import Rows, assert_same, rows_of
from tests.parity.scenes import SETTINGS, THRESHOLDS, Setting, scene

IOU_THRESHOLD = 0.5
MOST = 300


def selecting_session(threshold: float) -> Any:
    """Build a graph from boxes (B, N, 4), cx, cy, w, h, and scores (B, L, N) to rows (M, 7).

    As exporters of YOLOv7 and YOLOX do: NonMaxSuppression, then gather and concat: the image, the corners,
    the label and the score.
    """
    onnxruntime, onnx = peers.load("onnxruntime"), peers.load("onnx")
    helper, floats, integers = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    node = helper.make_node
    nodes = [
        node(
            "NonMaxSuppression", ["boxes", "scores", "most", "iou", "score"], ["selected"], center_point_box=1
        ),
        node("Gather", ["selected", "of_box"], ["image_and_box"], axis=1),
        node("Gather", ["selected", "of_label"], ["labels"], axis=1),
        node("Gather", ["selected", "of_image"], ["images"], axis=1),
        node("GatherND", ["boxes", "image_and_box"], ["selected_boxes"]),
        node("MatMul", ["selected_boxes", "to_corners"], ["corners"]),
        node("GatherND", ["scores", "selected"], ["flat_scores"]),
        node("Unsqueeze", ["flat_scores", "one"], ["selected_scores"]),
        node("Cast", ["images"], ["image_column"], to=floats),
        node("Cast", ["labels"], ["label_column"], to=floats),
        node("Concat", ["image_column", "corners", "label_column", "selected_scores"], ["rows"], axis=1),
    ]
    to_corners = [1, 0, 1, 0, 0, 1, 0, 1, -0.5, 0, 0.5, 0, 0, -0.5, 0, 0.5]
    constants = [
        helper.make_tensor("most", integers, [1], [1 << 20]),
        helper.make_tensor("iou", floats, [1], [IOU_THRESHOLD]),
        helper.make_tensor("score", floats, [1], [threshold]),
        helper.make_tensor("of_box", integers, [2], [0, 2]),
        helper.make_tensor("of_label", integers, [1], [1]),
        helper.make_tensor("of_image", integers, [1], [0]),
        helper.make_tensor("one", integers, [1], [1]),
        helper.make_tensor("to_corners", floats, [4, 4], to_corners),
    ]
    inputs = [
        helper.make_tensor_value_info("boxes", floats, ["B", "N", 4]),
        helper.make_tensor_value_info("scores", floats, ["B", "L", "N"]),
    ]
    rows = helper.make_tensor_value_info("rows", floats, ["M", 7])
    graph = helper.make_graph(nodes, "selection", inputs, [rows], constants)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def post_processor(output: Any, labels: int, threshold: float, size: Any, **decision: Any) -> PostProcessor:
    return PostProcessor.for_detection(
        [str(row) for row in range(labels)], output, thresholds=threshold, input_size=size, **decision
    )


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_end_to_end_output_of_selected_rows_equals_onnx_runtime(setting: Setting, threshold: float) -> None:
    labels, batch, size, dtype = setting
    made = scene(labels, batch, size)
    boxes = made.boxes.astype(dtype).astype(np.float32)
    scores = np.ascontiguousarray(made.scores.transpose(0, 2, 1).astype(dtype)).astype(np.float32)
    (rows,) = selecting_session(threshold).run(None, {"boxes": boxes, "scores": scores})

    output = EndToEndOutput(output_tensor="rows", columns=("image", "box", "class", "score"))
    post = post_processor(output, labels, threshold, size)
    found = rows_of(
        post({"rows": rows.astype(np.float32)}, max_predictions=MOST, batch_size=batch), [size] * batch
    )
    # And from the tensor itself, as a YOLOv8 would have given it.
    table = np.concatenate([boxes.transpose(0, 2, 1), scores], axis=1)
    post = post_processor(
        Yolov8Output(output_tensor="t"), labels, threshold, size, nms_threshold=IOU_THRESHOLD
    )
    decided = rows_of(post({"t": np.ascontiguousarray(table)}, max_predictions=MOST), [size] * batch)

    left_out = 0
    for image, (one, other) in enumerate(zip(found, decided, strict=True)):
        theirs = rows[rows[:, 0] == image]
        theirs = theirs[np.argsort(-theirs[:, 6], kind="stable")]
        expected = Rows(theirs[:, 5].astype(np.int64), theirs[:, 6], theirs[:, 1:5])
        expected = peers.clipped(expected, size).take(slice(MOST))
        left_out += assert_same(one, expected, MOST, score_tolerance=0)
        assert_same(other, expected, MOST, score_tolerance=0)
    assert len(rows) > 0
    assert left_out <= (1 if dtype is np.float32 else 5) * batch


@pytest.mark.parametrize("count_shape", [(-1,), (-1, 1)], ids=["(B,)", "(B, 1)"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_end_to_end_output_of_counted_rows_equals_torchvision(
    setting: Setting, count_shape: tuple[int, ...]
) -> None:
    labels, batch, size, dtype = setting
    made = scene(labels, batch, size)
    results = [
        peers.suppressed(peers.candidates(peers.corners(boxes), scores, 0.01), IOU_THRESHOLD).take(slice(100))
        for boxes, scores in zip(made.boxes, made.scores, strict=True)
    ]
    # EfficientNMS fills up what it does not need; whatever stands there is not to be read.
    rng = np.random.default_rng(0)
    tensors: dict[str, NDArray[Any]] = {
        "num_detections": np.array(list(map(len, results)), np.int32).reshape(count_shape),
        "detection_boxes": rng.uniform(0, 99, (batch, 100, 4)).astype(dtype),
        "detection_scores": rng.uniform(0.5, 1, (batch, 100)).astype(dtype),
        "detection_classes": rng.integers(0, labels, (batch, 100), np.int32),
    }
    for image, rows in enumerate(results):
        tensors["detection_boxes"][image, : len(rows)] = rows.boxes
        tensors["detection_scores"][image, : len(rows)] = rows.scores
        tensors["detection_classes"][image, : len(rows)] = rows.labels
    output = EndToEndOutput(
        boxes_tensor="detection_boxes",
        scores_tensor="detection_scores",
        classes_tensor="detection_classes",
        count_tensor="num_detections",
    )
    post = post_processor(output, labels, 0.0, size)
    found = rows_of(post(tensors, max_predictions=100), [size] * batch)
    compared = 0
    for image, (one, rows) in enumerate(zip(found, results, strict=True)):
        written = slice(len(rows))
        expected = Rows(
            rows.labels,
            tensors["detection_scores"][image, written].astype(np.float32),
            tensors["detection_boxes"][image, written].astype(np.float32),
        )
        expected = peers.clipped(expected, size)
        assert assert_same(one, expected, 100, score_tolerance=0) <= 5
        compared += len(expected)
    assert compared > 5 * batch
