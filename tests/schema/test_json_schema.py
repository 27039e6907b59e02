from __future__ import annotations

from typing import Any

import pytest

import postproc.schema
from postproc.errors import SchemaError
from postproc.schema import (
    Classification,
    Detection,
    PostProcessing,
    Preprocessing,
    RecognitionSpec,
    RecognitionVersion,
)
from postproc.schema.base import Document
from tests.schema.documents import (
    ACCEPTED,
    ANCHORED,
    CLASSIFICATION,
    DETECTION,
    DIRECT,
    DISTANCE,
    IMAGE,
    LABELS,
    PACKED,
    SEPARATE,
    SPEC,
    SSD,
    STANDARD,
    YOLO,
    YOLOV3,
    YOLOX,
)

DOCUMENTS = [
    kind
    for kind in (getattr(postproc.schema, name) for name in postproc.schema.__all__)
    if isinstance(kind, type) and issubclass(kind, Document)
]

REJECTED: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "no_task": (PostProcessing, {}),
    "null_task": (PostProcessing, {"classification": None}),
    "two_tasks": (PostProcessing, {"classification": CLASSIFICATION, "detection": DETECTION}),
    "two_outputs": (Detection, {"anchored_output": ANCHORED, "yolo_output": YOLO}),
    "unknown_field": (Detection, {**DETECTION, "nms": 1}),
    "number_above_1": (Detection, {**DETECTION, "nms_threshold": 1.5}),
    "threshold_above_1": (Detection, {**DETECTION, "thresholds": 1.5}),
    "threshold_of_all_text": (Classification, {**CLASSIFICATION, "thresholds": "0.5"}),
    "nms_thresholds_number": (Detection, {**DETECTION, "nms_thresholds": 0.5}),
    "nms_thresholds_above_1": (Detection, {**DETECTION, "nms_thresholds": [1.5]}),
    "nms_threshold_null": (Detection, {**DETECTION, "nms_threshold": None}),
    "threshold_text": (Detection, {**DETECTION, "thresholds": ["0.5"]}),
    "input_size_of_three": (Detection, {**DETECTION, "input_size": [1, 2, 3]}),
    "input_size_zero": (Detection, {**DETECTION, "input_size": [1, 0]}),
    "offsets_scale_zero": (Detection, {"anchored_output": {**ANCHORED, "offsets_scale": [1, 1, 1, 0]}}),
    "box_format": (Detection, {"direct_output": {**DIRECT, "box_format": "yxhw"}}),
    "anchors_empty": (Detection, {"yolo_output": {**YOLO, "anchors": []}}),
    "tensor_empty": (Detection, {"yolo_output": {**YOLO, "output_tensor": ""}}),
    "yolov3_no_tensors": (Detection, {"yolov3_output": {**YOLOV3, "output_tensors": []}}),
    "yolov3_mask_negative": (Detection, {"yolov3_output": {**YOLOV3, "anchor_masks": [[0], [-1]]}}),
    "yolov3_mask_empty": (Detection, {"yolov3_output": {**YOLOV3, "anchor_masks": [[0], []]}}),
    "yolov3_scale_zero": (Detection, {"yolov3_output": {**YOLOV3, "scale_x_y": [1, 0]}}),
    "yolox_stride_zero": (Detection, {"yolox_output": {**YOLOX, "strides": [8, 0]}}),
    "coordinates": (Detection, {"yolov8_output": {**YOLOX, "coordinates": "cells"}}),
    "coordinates_of_standard": (Detection, {"standard_output": {**STANDARD, "coordinates": "pixels"}}),
    "box_format_of_a_table": (Detection, {"yolov5_output": {**YOLOX, "box_format": "cxcyhw"}}),
    "box_format_of_oriented": (Detection, {"yolov8_obb_output": {**YOLOX, "box_format": "cxcywh"}}),
    "confidence": (Detection, {"yolov3_output": {**YOLOV3, "confidence": "class"}}),
    "confidence_of_yolov8": (Detection, {"yolov8_output": {**YOLOX, "confidence": "objectness"}}),
    "yolox_softmax": (Detection, {"yolox_output": {**YOLOX, "score_activation": "softmax"}}),
    "distance_no_strides": (Detection, {"distance_output": {**DISTANCE, "strides": []}}),
    "distance_both_forms": (Detection, {"distance_output": {**DISTANCE, "output_tensors": ["t"]}}),
    "distance_no_form": (Detection, {"distance_output": {"strides": [8], "scores_tensors": ["s"]}}),
    "distance_column_twice": (
        Detection,
        {"distance_output": {"output_tensors": ["t"], "strides": [8], "columns": ["scores", "scores"]}},
    ),
    "distance_bins": (Detection, {"distance_output": {**DISTANCE, "bins": 0}}),
    "distance_offset": (Detection, {"distance_output": {**DISTANCE, "cell_offset": 1.5}}),
    "distance_activation": (Detection, {"distance_output": {**DISTANCE, "distance_activation": "softplus"}}),
    "distance_confidence": (Detection, {"distance_output": {**DISTANCE, "confidence": "objectness"}}),
    "standard_clip": (Detection, {"standard_output": {**STANDARD, "clip": "never"}}),
    "end_to_end_no_form": (Detection, {"end_to_end_output": {"count_tensor": "n"}}),
    "end_to_end_both_forms": (Detection, {"end_to_end_output": {**PACKED, **SEPARATE}}),
    "end_to_end_form_and_a_half": (Detection, {"end_to_end_output": {**PACKED, "boxes_tensor": "b"}}),
    "end_to_end_half_a_form": (Detection, {"end_to_end_output": {"boxes_tensor": "b", "scores_tensor": "s"}}),
    "end_to_end_column_missing": (
        Detection,
        {"end_to_end_output": {**PACKED, "columns": ["image", "box", "score"]}},
    ),
    "end_to_end_column_twice": (
        Detection,
        {"end_to_end_output": {**PACKED, "columns": ["box", "score", "class", "score"]}},
    ),
    "end_to_end_class_twice": (Detection, {"end_to_end_output": {**PACKED, "classes_tensor": "c"}}),
    "end_to_end_class_column_twice": (
        Detection,
        {
            "end_to_end_output": {
                **PACKED,
                "columns": ["box", "score", "class"],
                "classes_tensor": "c",
            }
        },
    ),
    "end_to_end_keypoints_uncounted": (
        Detection,
        {"end_to_end_output": {**PACKED, "columns": ["box", "score", "class", "keypoints"]}},
    ),
    "end_to_end_no_prototypes": (
        Detection,
        {"end_to_end_output": {**PACKED, "columns": ["box", "score", "class", "coefficients"]}},
    ),
    "end_to_end_columns_of_separate": (
        Detection,
        {"end_to_end_output": {**SEPARATE, "columns": ["class", "box", "score"]}},
    ),
    "ssd_no_priors": (Detection, {"ssd_output": {**SSD, "priors_tensor": None}}),
    "ssd_both_priors": (Detection, {"ssd_output": {**SSD, "priors": [[0, 0, 1, 1]]}}),
    "ssd_prior_of_three": (
        Detection,
        {"ssd_output": {**SSD, "priors_tensor": None, "priors": [[0, 0, 1]]}},
    ),
    "nms_method": (Detection, {**DETECTION, "nms_method": "greedy"}),
    "soft_sigma_zero": (Detection, {**DETECTION, "nms_method": "soft", "soft_sigma": 0}),
    "tensor_missing": (PostProcessing, {"classification": {}}),
    "tensor_name_long": (Detection, {"yolov8_output": {"output_tensor": "t" * 1001}}),
    "anchors_many": (Detection, {"yolo_output": {**YOLO, "anchors": [1] * 2002}}),
    "keypoints_many": (Detection, {"yolov8_pose_output": {**YOLOX, "keypoints": 1001}}),
    "limb_from_0": (Detection, {"yolov8_pose_output": {**YOLOX, "keypoints": 2, "skeleton": [[0, 1]]}}),
    "spec_outputs_many": (RecognitionSpec, {"outputs": SPEC["outputs"] * 1001}),
    "version_post_processing": (RecognitionVersion, {"post_processings": [{}]}),
    "version_id": (RecognitionVersion, {"spec_id": 1.5}),
    "spec_outputs": (RecognitionSpec, {"name": "a"}),
    "spec_roi": (RecognitionSpec, {"outputs": [{"labels": {**LABELS, "roi": "bbox"}}]}),
    "spec_metadata": (RecognitionSpec, {**SPEC, "metadata": [1]}),
    "target_size": (
        Preprocessing,
        {"inputs": [{"tensor_name": "a", "image": {**IMAGE, "target_size": "0x1"}}]},
    ),
    "pad_value": (
        Preprocessing,
        {"inputs": [{"tensor_name": "a", "image": {**IMAGE, "resize_type": "FILL", "pad_value": [300]}}]},
    ),
    "image_and_constant": (
        Preprocessing,
        {"inputs": [{"tensor_name": "a", "image": IMAGE, "constant": {"shape": [], "data": [1]}}]},
    ),
}


@pytest.mark.parametrize("kind", DOCUMENTS, ids=lambda kind: kind.__name__)
def test_json_schema_is_valid_draft_2020_12(kind: type[Document]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = kind.json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(("kind", "document"), ACCEPTED.values(), ids=ACCEPTED)
def test_json_schema_accepts_what_load_accepts(kind: type[Document], document: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(kind.json_schema())
    validator.validate(document)
    validator.validate(kind.load(document).dump(defaults=True))


@pytest.mark.parametrize(("kind", "document"), REJECTED.values(), ids=REJECTED)
def test_json_schema_rejects_what_load_rejects(kind: type[Document], document: dict[str, Any]) -> None:
    with pytest.raises(SchemaError):
        kind.load(document)
    jsonschema = pytest.importorskip("jsonschema")
    assert not jsonschema.Draft202012Validator(kind.json_schema()).is_valid(document)


@pytest.mark.parametrize("kind", DOCUMENTS, ids=lambda kind: kind.__name__)
def test_json_schema_describes_every_object_and_field(kind: type[Document]) -> None:
    schema = kind.json_schema()
    for part in (schema, *schema.get("$defs", {}).values()):
        assert part["description"]
        for name, field in part["properties"].items():
            assert field.get("description"), f"{part['title']}.{name}"


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        (PostProcessing, ["classification", "detection"]),
        (Detection, list(Detection.alternatives)),
        (postproc.schema.PreprocessingInput, ["image", "constant"]),
    ],
)
def test_json_schema_group_requires_exactly_one_member(kind: type[Document], members: list[str]) -> None:
    clauses = kind.json_schema()["oneOf"]
    assert [clause["required"] for clause in clauses] == [[name] for name in members]


@pytest.mark.parametrize(
    ("kind", "forbidden"),
    [(kind, kind not in (RecognitionSpec, RecognitionVersion)) for kind in DOCUMENTS],
    ids=[kind.__name__ for kind in DOCUMENTS],
)
def test_json_schema_forbids_unknown_fields_but_in_resources(kind: type[Document], forbidden: bool) -> None:
    assert (kind.json_schema().get("additionalProperties") is False) == forbidden


@pytest.mark.parametrize("kind", DOCUMENTS, ids=lambda kind: kind.__name__)
def test_json_schema_limits_every_list_and_text(kind: type[Document]) -> None:
    def check(part: Any, path: str) -> None:
        if not isinstance(part, dict):
            return
        if part.get("type") == "array":
            assert "maxItems" in part, path
        if part.get("type") == "string" and not {"enum", "const", "pattern"} & part.keys():
            assert "maxLength" in part, path
        for name, inner in part.items():
            for row, item in enumerate(inner if isinstance(inner, list) else [inner]):
                check(item, f"{path}.{name}.{row}" if isinstance(inner, list) else f"{path}.{name}")

    schema = kind.json_schema()
    for name, definition in (("", schema), *schema.get("$defs", {}).items()):
        for field, part in definition["properties"].items():
            check(part, f"{name}.{field}")
