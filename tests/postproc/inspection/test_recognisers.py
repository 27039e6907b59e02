"""Each family of outputs is recognised from its shapes, operators and metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto

from postproc.inspection import Certainty, inspect_model
from postproc.schema import Detection, Preprocessing, RecognitionSpec, RecognitionVersion, check_pair
from tests.postproc.inspection.networks import (
    CHOSEN,
    CONSTANT,
    DECODED,
    RAW,
    SIGMOID,
    SOFTMAX,
    Network,
    ultralytics,
)

CERTAIN, LIKELY, POSSIBLE = Certainty.CERTAIN, Certainty.LIKELY, Certainty.POSSIBLE
NHWC = {"image": (1, 320, 320, 3)}

# Network; the kind and certainty of the best proposal; its labels; fields of its output; of its detection.
CASES: dict[str, tuple[Network, str, Certainty, int, dict[str, Any], dict[str, Any]]] = {
    "yolov8 of ultralytics": (
        Network(metadata=ultralytics()).output("output0", (1, 84, 8400), "decoded+sigmoid"),
        "yolov8_output",
        CERTAIN,
        80,
        {"output_tensor": "output0"},
        {
            "nms_threshold": 0.7,
            "multi_label": False,
            "thresholds": (0.25,) * 80,
            "input_size": (640, 640),
        },
    ),
    "yolov8 without metadata": (
        Network().output("output0", (1, 6, 8400), "decoded+sigmoid"),
        "yolov8_output",
        LIKELY,
        2,
        {},
        {},
    ),
    "yolov8 of free size": (
        Network({"images": ("batch", 3, "height", "width")}, ultralytics(names={0: "cat", 1: "dog"})).output(
            "output0", ("batch", 6, "anchors"), "decoded+sigmoid"
        ),
        "yolov8_output",
        CERTAIN,
        2,
        {},
        {"input_size": (640, 640)},
    ),
    "yolov8 transposed": (
        Network(metadata=ultralytics()).output("output0", (1, 8400, 84), "decoded+sigmoid"),
        "yolov8_output",
        CERTAIN,
        80,
        {},
        {},
    ),
    "yolov5": (
        Network(metadata={"stride": "32", "names": str({row: str(row) for row in range(80)})}).output(
            "output0", (1, 25200, 85), "decoded+sigmoid"
        ),
        "yolov5_output",
        CERTAIN,
        80,
        {"output_tensor": "output0"},
        {"nms_threshold": 0.45, "input_size": (640, 640), "multi_label": False},
    ),
    "yolov6": (
        Network().output("outputs", (1, 8400, 85), "decoded+sigmoid"),
        "yolov5_output",
        LIKELY,
        80,
        {},
        {},
    ),
    "yolox": (
        Network().output("output", (1, 8400, 85), "raw+sigmoid+sigmoid"),
        "yolox_output",
        CERTAIN,
        80,
        {"strides": (8, 16, 32), "score_activation": "none"},
        {"input_size": (640, 640)},
    ),
    "yolox with four strides": (
        Network({"images": (1, 3, 512, 1024)}).output("output", (1, 10880, 15), "raw"),
        "yolox_output",
        CERTAIN,
        10,
        {"strides": (8, 16, 32, 64), "score_activation": "sigmoid"},
        {"input_size": (512, 1024)},
    ),
    "yolov3": (
        Network({"x": (1, 3, 416, 416)})
        .output("a", (1, 255, 13, 13), RAW)
        .output("b", (1, 255, 26, 26), RAW)
        .output("c", (1, 255, 52, 52), RAW),
        "yolov3_output",
        LIKELY,
        80,
        {"output_tensors": ("a", "b", "c"), "anchor_masks": None, "scale_x_y": 1.0},
        {"input_size": (416, 416)},
    ),
    "yolov3 tiny, channels last": (
        Network({"x": (1, 416, 608, 3)})
        .output("coarse", (1, 13, 19, 18), RAW)
        .output("fine", (1, 26, 38, 18), RAW),
        "yolov3_output",
        LIKELY,
        1,
        {"anchors": (10, 14, 23, 27, 37, 58, 81, 82, 135, 169, 344, 319)},
        {"input_size": (416, 608)},
    ),
    "yolov4 of rank 5": (
        Network({"x": (1, 416, 416, 3)})
        .node("Softplus")
        .output("a", (1, 52, 52, 3, 85), RAW)
        .output("b", (1, 26, 26, 3, 85), RAW)
        .output("c", (1, 13, 13, 3, 85), RAW),
        "yolov3_output",
        LIKELY,
        80,
        {"scale_x_y": (1.2, 1.1, 1.05)},
        {},
    ),
    "yolov2": (
        Network({"x": ("N", 3, 416, 416)}).output("grid", ("N", 125, 13, 13), RAW),
        "yolo_output",
        LIKELY,
        20,
        {"output_tensor": "grid"},
        {"input_size": None},
    ),
    "yolov10": (
        Network(metadata=ultralytics(end2end="True")).output("output0", (1, 300, 6), CHOSEN),
        "end_to_end_output",
        CERTAIN,
        80,
        {"output_tensor": "output0", "box_format": "xyxy", "classes": "rows"},
        {"nms_threshold": 1, "thresholds": (0.25,) * 80, "input_size": (640, 640)},
    ),
    "yolov10 without metadata": (
        Network().output("output0", (1, 300, 6), CHOSEN),
        "end_to_end_output",
        LIKELY,
        80,
        {"output_tensor": "output0"},
        {"nms_threshold": 1},
    ),
    "rt-detr of ultralytics": (
        Network(metadata=ultralytics(head="RTDETRDecoder")).output("output0", (1, 300, 6), CHOSEN),
        "end_to_end_output",
        CERTAIN,
        80,
        {"box_format": "cxcywh"},
        {"nms_threshold": 1, "input_size": None},
    ),
    "yolov7 end to end": (
        Network().node("NonMaxSuppression").output("output", ("rows", 7), DECODED),
        "end_to_end_output",
        CERTAIN,
        80,
        {"columns": ("image", "box", "class", "score")},
        {"nms_threshold": 1},
    ),
    "openvino": (
        Network().output("detection_out", (1, 1, 200, 7), DECODED),
        "end_to_end_output",
        CERTAIN,
        90,
        {"columns": ("image", "class", "score", "box"), "classes": "ids"},
        {"input_size": None},
    ),
    "efficientnms": (
        Network()
        .node("EfficientNMS_TRT", "TRT")
        .output("num_dets", (1, 1), integer=True)
        .output("det_boxes", (1, 100, 4))
        .output("det_scores", (1, 100))
        .output("det_classes", (1, 100), integer=True),
        "end_to_end_output",
        CERTAIN,
        80,
        {
            "boxes_tensor": "det_boxes",
            "scores_tensor": "det_scores",
            "classes_tensor": "det_classes",
            "count_tensor": "num_dets",
            "classes": "rows",
        },
        {"nms_threshold": 1, "input_size": (640, 640)},
    ),
    "torchvision": (
        Network({"image": (1, 3, 320, 480)})
        .node("NonMaxSuppression")
        .output("boxes", ("n", 4))
        .output("labels", ("n",), integer=True)
        .output("scores", ("n",), CHOSEN),
        "end_to_end_output",
        CERTAIN,
        90,
        {"classes": "ids", "classes_tensor": "labels", "count_tensor": None},
        {"input_size": (320, 480)},
    ),
    "paddle": (
        Network({"image": (1, 3, 640, 640), "scale_factor": (1, 2)})
        .output("rows", ("n", 6), CHOSEN)
        .output("bbox_num", ("b",), integer=True),
        "end_to_end_output",
        CERTAIN,
        80,
        {"columns": ("class", "score", "box"), "count_tensor": "bbox_num"},
        {"input_size": (640, 640)},
    ),
    "rt-detr with post-processor": (
        Network({"images": ("N", 3, 640, 640), "orig_target_sizes": ("N", 2)})
        .node("TopK")
        .output("labels", ("N", 300), integer=True)
        .output("boxes", ("N", 300, 4))
        .output("scores", ("N", 300), CHOSEN),
        "end_to_end_output",
        CERTAIN,
        80,
        {"boxes_tensor": "boxes", "scores_tensor": "scores", "classes_tensor": "labels"},
        {"input_size": (640, 640), "nms_threshold": 1},
    ),
    "rt-detr logits": (
        Network()
        .node("GridSample")
        .output("pred_boxes", (1, 300, 4), SIGMOID)
        .output("logits", (1, 300, 80), RAW),
        "standard_output",
        CERTAIN,
        80,
        {"box_format": "cxcywh", "score_activation": "sigmoid", "background": "none"},
        {"nms_threshold": 1, "input_size": None},
    ),
    "rf-detr": (
        Network({"input": (1, 3, 560, 560)})
        .node("GridSample")
        .output("dets", (1, 300, 4), DECODED)
        .output("labels", (1, 300, 91), RAW),
        "standard_output",
        CERTAIN,
        91,
        {"box_format": "cxcywh", "score_activation": "sigmoid"},
        {"nms_threshold": 1},
    ),
    "detr": (
        Network({"x": (1, 3, 800, 800)})
        .output("logits", (1, 100, 92), RAW)
        .output("pred_boxes", (1, 100, 4), SIGMOID),
        "standard_output",
        LIKELY,
        91,
        {"box_format": "cxcywh", "score_activation": "softmax", "background": "last"},
        {"nms_threshold": 1, "multi_label": False},
    ),
    "yolo-nas": (
        Network().output("boxes", (1, 8400, 4)).output("scores", (1, 8400, 80), SIGMOID),
        "standard_output",
        LIKELY,
        80,
        {"clip": "after", "background": "none", "score_activation": "none"},
        {"nms_threshold": 0.65, "input_size": (640, 640)},
    ),
    "retinanet": (
        Network({"x": (1, 3, 800, 800)})
        .output("boxes", (1, 120087, 4))
        .output("scores", (1, 120087, 80), RAW),
        "standard_output",
        LIKELY,
        80,
        {"clip": "before", "score_activation": "sigmoid"},
        {"input_size": (800, 800)},
    ),
    "ssd decoded": (
        Network({"x": (1, 3, 300, 300)})
        .output("scores", (1, 3000, 21), SOFTMAX)
        .output("boxes", (1, 3000, 4)),
        "standard_output",
        LIKELY,
        20,
        {"background": "first"},
        {"input_size": None},
    ),
    "ssd": (
        Network({"x": (1, 3, 300, 300)})
        .output("loc", (1, 8732, 4), RAW)
        .output("conf", (1, 8732, 21), SOFTMAX)
        .output("priors", (8732, 4), CONSTANT),
        "ssd_output",
        LIKELY,
        20,
        {"offsets_tensor": "loc", "scores_tensor": "conf", "priors_tensor": "priors", "background": "first"},
        {"nms_threshold": 0.45},
    ),
    "blazeface": (
        Network({"x": (1, 128, 128, 3)})
        .output("regressors", (1, 896, 16), RAW)
        .output("classificators", (1, 896, 1), RAW),
        "ssd_output",
        LIKELY,
        1,
        {"size_coding": "linear", "background": "none", "score_activation": "sigmoid"},
        {},
    ),
    "faster r-cnn of caffe": (
        Network({"data": (1, 3, 600, 800), "im_info": (1, 3)})
        .output("rois", (300, 5), CHOSEN)
        .output("bbox_pred", (300, 84), RAW)
        .output("cls_prob", (300, 21), SOFTMAX),
        "anchored_output",
        LIKELY,
        20,
        {"anchors_tensor": "rois", "offsets_tensor": "bbox_pred", "scores_tensor": "cls_prob"},
        {"normalize_wrt_tensor": "im_info", "nms_threshold": 0.3},
    ),
    "shared offsets with anchors": (
        Network()
        .output("anchors", (1, 900, 4), DECODED)
        .output("offsets", (1, 900, 4), RAW)
        .output("scores", (1, 900, 11), SOFTMAX),
        "anchored_output",
        LIKELY,
        10,
        {"anchors_tensor": "anchors", "background": "first"},
        {},
    ),
    "tensorflow": (
        Network({"image_tensor:0": (1, "h", "w", 3)}, image_type=TensorProto.UINT8)
        .output("detection_boxes:0", (1, 100, 4))
        .output("detection_scores:0", (1, 100))
        .output("detection_classes:0", (1, 100))
        .output("num_detections:0", (1,)),
        "direct_output",
        CERTAIN,
        90,
        {"box_format": "yxyx", "classes": "ids", "boxes_tensor": "detection_boxes:0"},
        {"nms_threshold": 1},
    ),
    "classifier": (
        Network({"x": ("N", 3, 224, 224)}).output("logits", ("N", 1000), RAW),
        "classification",
        LIKELY,
        1000,
        {"output_tensor": "logits", "score_activation": "softmax"},
        {},
    ),
    "tagger": (
        Network({"x": ("N", 224, 224, 3)}).output("tags", ("N", 40, 1, 1), SIGMOID),
        "classification",
        LIKELY,
        40,
        {"score_activation": "none"},
        {},
    ),
    "classifier of ultralytics": (
        Network(metadata=ultralytics("classify", {0: "cat", 1: "dog"})).output("output0", (1, 2), SOFTMAX),
        "classification",
        CERTAIN,
        2,
        {"score_activation": "none"},
        {},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_inspect_family_is_proposed_first_with_documents_that_fit(name: str, tmp_path: Path) -> None:
    network, kind, certainty, labels, output, detection = CASES[name]
    inspection = inspect_model(network.save(tmp_path / "model.onnx"))
    assert inspection.unsupported == ()
    first = inspection.proposals[0]
    assert (first.kind, first.certainty) == (kind, certainty)
    assert first.reasons
    for proposal in inspection.proposals:
        spec = RecognitionSpec.load(proposal.spec.dump_json())
        version = RecognitionVersion.load(proposal.version.dump_json())
        check_pair(spec, version)
        assert proposal.preprocessing is not None
        Preprocessing.load(proposal.preprocessing.dump_json())
    assert len(first.spec.outputs[0].labels.labels) == labels
    (post_processing,) = first.version.post_processings or ()
    task = post_processing.task
    described = task.output if isinstance(task, Detection) else task
    assert {field: getattr(described, field) for field in output} == output
    assert {field: getattr(task, field) for field in detection} == detection


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[2] is CERTAIN])
def test_inspect_certain_family_leaves_no_other_reading_as_certain(name: str, tmp_path: Path) -> None:
    inspection = inspect_model(CASES[name][0].save(tmp_path / "model.onnx"))
    assert [proposal.certainty for proposal in inspection.proposals].count(CERTAIN) == 1


def test_inspect_torchvision_without_a_batch_axis_has_no_preprocessing_and_says_so(tmp_path: Path) -> None:
    network = (
        Network({"image": (3, 320, 480)})
        .node("NonMaxSuppression")
        .output("boxes", ("n", 4))
        .output("labels", ("n",), integer=True)
        .output("scores", ("n",), CHOSEN)
    )
    (proposal,) = inspect_model(network.save(tmp_path / "model.onnx")).proposals
    assert proposal.preprocessing is None
    assert any("give its tensors to PostProcessor" in check for check in proposal.checks)
    (post_processing,) = proposal.version.post_processings or ()
    assert isinstance(post_processing.task, Detection)
    assert post_processing.task.input_size == (320, 480)


def kinds(network: Network, tmp_path: Path, **options: Any) -> list[tuple[str, Certainty]]:
    inspection = inspect_model(network.save(tmp_path / "model.onnx"), **options)
    return [(proposal.kind, proposal.certainty) for proposal in inspection.proposals]


def test_inspect_objectness_table_of_unknown_operators_lists_yolox_and_yolov5(tmp_path: Path) -> None:
    network = Network().output("output", (1, 8400, 85), "tanh")
    found = kinds(network, tmp_path)
    assert ("yolox_output", LIKELY) in found
    assert ("yolov5_output", LIKELY) in found


def test_inspect_names_tell_objectness_from_a_label(tmp_path: Path) -> None:
    for count, kind in ((4, "yolov8_output"), (3, "yolov5_output")):
        metadata = {"names": str([f"name {row}" for row in range(count)])}
        network = Network(metadata=metadata).output("output", (1, 8400, 8), "decoded+sigmoid")
        assert [found for found, _ in kinds(network, tmp_path)] == [kind]


def test_inspect_queries_of_no_evident_activation_lists_softmax_and_sigmoid(tmp_path: Path) -> None:
    network = Network().output("boxes", (1, 300, 4), SIGMOID).output("logits", (1, 300, 81), RAW)
    inspection = inspect_model(network.save(tmp_path / "model.onnx"))
    assert [proposal.kind for proposal in inspection.proposals] == ["standard_output"] * 2
    assert all("sigmoid if each label" in " ".join(proposal.checks) for proposal in inspection.proposals)


def test_inspect_grid_whose_channels_two_counts_of_anchors_divide_lists_both(tmp_path: Path) -> None:
    network = Network({"x": (1, 3, 320, 320)}).output("grid", (1, 45, 10, 10), RAW)
    assert kinds(network, tmp_path) == [("yolo_output", POSSIBLE)] * 2
    assert kinds(network, tmp_path, labels=[str(row) for row in range(10)]) == [("yolo_output", LIKELY)]


def test_inspect_separate_detections_of_unknown_origin_lists_direct_output_too(tmp_path: Path) -> None:
    network = (
        Network()
        .output("boxes", (1, 50, 4))
        .output("scores", (1, 50))
        .output("classes", (1, 50), integer=True)
    )
    assert kinds(network, tmp_path) == [("end_to_end_output", LIKELY), ("direct_output", POSSIBLE)]


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(Network().output("x", (1, 7, 13)), id="small table"),
        pytest.param(Network().output("x", (1, 64, 160, 160)).output("y", (1, 128, 80, 80)), id="features"),
        pytest.param(Network().output("depth", (1, 1, 640, 640)), id="depth"),
        pytest.param(Network({"ids": (1, 128)}).output("hidden", (1, 128, 768)), id="text"),
        pytest.param(Network().output("x", None), id="no shape"),
        pytest.param(Network().output("x", (1, 2125, 112), "raw+sigmoid"), id="nanodet"),
        pytest.param(Network().output("x", ()), id="a number"),
    ],
)
def test_inspect_nonsense_gives_no_proposal(network: Network, tmp_path: Path) -> None:
    assert kinds(network, tmp_path) == []


@pytest.mark.parametrize(
    ("network", "text"),
    [
        pytest.param(
            Network(metadata=ultralytics("obb")).output("output0", (1, 20, 8400), "decoded+sigmoid+decoded"),
            "task 'obb' (oriented boxes",
            id="obb",
        ),
        pytest.param(
            Network(metadata=ultralytics("pose", {0: "person"})).output("output0", (1, 56, 8400)),
            "task 'pose' (keypoints",
            id="pose",
        ),
        pytest.param(
            Network(metadata=ultralytics("segment"))
            .output("output0", (1, 116, 8400))
            .output("output1", (1, 32, 160, 160)),
            "task 'segment' (masks",
            id="segment",
        ),
        pytest.param(
            Network().output("output0", (1, 25200, 117)).output("output1", (1, 32, 160, 160)),
            "a YOLO of instance segmentation",
            id="segment without metadata",
        ),
        pytest.param(
            Network().node("Cos").node("Sin").output("output0", (1, 20, 8400)),
            "a YOLO of oriented boxes",
            id="obb without metadata",
        ),
        pytest.param(
            Network().output("a", (1, 3, 80, 80, 85), RAW).output("b", (1, 3, 40, 40, 85), RAW),
            "without decoding",
            id="yolov5 grids",
        ),
        pytest.param(
            Network(metadata=ultralytics()).node("GridSample").output("output0", (1, 300, 84)),
            "older releases of ultralytics",
            id="old rt-detr",
        ),
        pytest.param(
            Network().output("dets", (1, 100, 5)).output("labels", (1, 100), integer=True),
            "MMDeploy's",
            id="mmdeploy",
        ),
        pytest.param(
            Network().output("loc", (1, 8732, 4), RAW).output("conf", (1, 8732, 81), RAW),
            "whose 8732 priors are not in the file",
            id="ssd without priors",
        ),
    ],
)
def test_inspect_network_beyond_the_library_is_named_and_not_proposed(
    network: Network, text: str, tmp_path: Path
) -> None:
    inspection = inspect_model(network.save(tmp_path / "model.onnx"))
    assert inspection.proposals == ()
    assert text in inspection.unsupported[0]


@pytest.mark.parametrize(
    ("axes", "metadata", "stride"),
    [
        pytest.param(("height", "width"), {}, 32, id="free"),
        pytest.param(("height", "width"), {"stride": "64"}, 64, id="stride of P6"),
        pytest.param(("height", "width"), {"stride": "48"}, None, id="stride beside the size"),
        pytest.param((640, 640), {}, None, id="fixed"),
        pytest.param(("height", 640), {}, None, id="half fixed"),
    ],
)
def test_inspect_network_of_ultralytics_pads_to_its_stride_where_the_size_is_free(
    axes: tuple[str | int, str | int], metadata: dict[str, str], stride: int | None, tmp_path: Path
) -> None:
    network = Network(
        {"images": ("batch", 3, *axes)}, {**ultralytics(names={0: "cat", 1: "dog"}), **metadata}
    )
    network.output("output0", ("batch", 6, "anchors"), "decoded+sigmoid")
    proposal = inspect_model(network.save(tmp_path / "model.onnx")).proposals[0]
    assert proposal.preprocessing is not None
    image = proposal.preprocessing.inputs[0].image
    assert image is not None
    assert (image.resize_type, image.target_size, image.stride) == ("FILL", "640x640", stride)
