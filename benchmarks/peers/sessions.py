"""ONNX Runtime sessions of graphs around NonMaxSuppression, on one thread of the CPU."""

from __future__ import annotations

from functools import cache
from typing import Any


def _session(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any]) -> Any:
    import onnxruntime
    from onnx import helper

    graph = helper.make_graph(nodes, "post-processing", inputs, outputs, constants)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


@cache
def nms_session(iou_threshold: float, most: int) -> Any:
    """NonMaxSuppression alone: of boxes (B, N, 4) and scores (B, L, N)."""
    from onnx import TensorProto, helper

    return _session(
        [helper.make_node("NonMaxSuppression", ["boxes", "scores", "most", "iou", "score"], ["selected"])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["B", "N", 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["B", "L", "N"]),
        ],
        [helper.make_tensor_value_info("selected", TensorProto.INT64, ["K", 3])],
        [
            helper.make_tensor("most", TensorProto.INT64, [1], [most]),
            helper.make_tensor("iou", TensorProto.FLOAT, [1], [iou_threshold]),
            helper.make_tensor("score", TensorProto.FLOAT, [1], [0.0]),
        ],
    )


@cache
def yolov8_session(threshold: float, iou_threshold: float, most: int, labels: int) -> Any:
    """YOLOv8's tensor to image, label and box numbers, scores and corners, by falling score.

    The graph that exporters append: split, transpose, NonMaxSuppression per label, gather, convert, sort.
    """
    from onnx import TensorProto, helper

    node = helper.make_node
    nodes = [
        node("Split", ["tensor", "parts"], ["planes", "scores"], axis=1),
        node("Transpose", ["planes"], ["boxes"], perm=[0, 2, 1]),
        node(
            "NonMaxSuppression",
            ["boxes", "scores", "most", "iou", "score"],
            ["selected"],
            center_point_box=1,
        ),
        node("GatherND", ["scores", "selected"], ["gathered_scores"]),
        node("Shape", ["gathered_scores"], ["count"]),
        node("TopK", ["gathered_scores", "count"], ["best_scores", "order"]),
        node("Gather", ["selected", "order"], ["best"], axis=0),
        node("Gather", ["best", "image_and_box"], ["best_rows"], axis=1),
        node("GatherND", ["boxes", "best_rows"], ["best_boxes"]),
        node("MatMul", ["best_boxes", "to_corners"], ["corners"]),
    ]
    return _session(
        nodes,
        [helper.make_tensor_value_info("tensor", TensorProto.FLOAT, ["B", 4 + labels, "N"])],
        [
            helper.make_tensor_value_info("best", TensorProto.INT64, ["K", 3]),
            helper.make_tensor_value_info("best_scores", TensorProto.FLOAT, ["K"]),
            helper.make_tensor_value_info("corners", TensorProto.FLOAT, ["K", 4]),
        ],
        [
            helper.make_tensor("parts", TensorProto.INT64, [2], [4, labels]),
            helper.make_tensor("most", TensorProto.INT64, [1], [most]),
            helper.make_tensor("iou", TensorProto.FLOAT, [1], [iou_threshold]),
            helper.make_tensor("score", TensorProto.FLOAT, [1], [threshold]),
            helper.make_tensor("image_and_box", TensorProto.INT64, [2], [0, 2]),
            # cx, cy, w, h times this matrix: the corners.
            helper.make_tensor(
                "to_corners",
                TensorProto.FLOAT,
                [4, 4],
                [1, 0, 1, 0, 0, 1, 0, 1, -0.5, 0, 0.5, 0, 0, -0.5, 0, 0.5],
            ),
        ],
    )
