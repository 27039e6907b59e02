from __future__ import annotations

from typing import Any

import pytest

from postproc.schema import AnchoredOutput, Classification, Detection, Labels, PostProcessing, YoloOutput
from tests.schema.documents import ANCHORED, CLASSIFICATION, DETECTION, DIRECT, LABELS, YOLO

NAN, INFINITY = float("nan"), float("inf")
KINDS = ", ".join(Detection.alternatives)
UNIT = "expected a number from 0 to 1"
EACH = f"{UNIT}, or a list of them, one per label"
CORNERS = '"xyxy", "xywh", "cxcywh" or "yxyx"'


def classification(**fields: Any) -> dict[str, Any]:
    return {"classification": {**CLASSIFICATION, **fields}}


def detection(**fields: Any) -> dict[str, Any]:
    return {"detection": {**DETECTION, **fields}}


def anchored(**fields: Any) -> dict[str, Any]:
    return {"detection": {"anchored_output": {**ANCHORED, **fields}}}


def direct(**fields: Any) -> dict[str, Any]:
    return {"detection": {"direct_output": {**DIRECT, **fields}}}


def yolo(**fields: Any) -> dict[str, Any]:
    return {"detection": {"yolo_output": {**YOLO, **fields}}}


REJECTED: dict[str, tuple[dict[str, Any], str]] = {
    "no_task": ({}, "expected exactly one of classification, detection, got none; add one"),
    "null_tasks": (
        {"classification": None, "detection": None},
        "expected exactly one of classification, detection, got none; add one",
    ),
    "two_tasks": (
        {**classification(), **detection()},
        "expected exactly one of classification, detection, got classification and detection; keep one",
    ),
    "unknown_task": (
        {**classification(), "detect": {}},
        "detect: unknown field; did you mean 'detection'?",
    ),
    "task_of_wrong_type": (
        {"classification": [0.5]},
        "classification: expected an object, got [0.5]",
    ),
    "group_of_wrong_type": ({"detection": 0.5}, "detection: expected an object, got 0.5"),
    "classification_without_tensor": (
        {"classification": {}},
        "classification.output_tensor: required field is missing; add it",
    ),
    "classification_empty_tensor": (
        classification(output_tensor=""),
        'classification.output_tensor: expected text that is not empty, got ""',
    ),
    "classification_tensor_number": (
        classification(output_tensor=3),
        "classification.output_tensor: expected text that is not empty, got 3",
    ),
    "classification_activation": (
        classification(score_activation="relu"),
        'classification.score_activation: expected "none", "sigmoid" or "softmax", got "relu"',
    ),
    "classification_nms": (
        classification(nms_threshold=0.3),
        "classification.nms_threshold: unknown field; known: quantization, output_tensor, thresholds, "
        "score_activation",
    ),
    **{
        f"thresholds_{case}": (document(thresholds=value), f"{path}.thresholds: {EACH}, got {found}")
        for document, path in ((classification, "classification"), (detection, "detection"))
        for case, value, found in (
            (f"object_{path}", {"cat": 0.5}, '{"cat": 0.5}'),
            (f"text_{path}", "0.5", '"0.5"'),
            (f"above_1_{path}", 1.5, "1.5"),
            (f"negative_{path}", -1, "-1"),
            (f"nan_{path}", NAN, "NaN"),
            (f"bool_{path}", True, "true"),
        )
    },
    "nms_thresholds_number": (
        detection(nms_thresholds=0.5),
        "detection.nms_thresholds: expected a list, got 0.5",
    ),
    "nms_thresholds_item": (
        detection(nms_thresholds=[0.5, 1.5]),
        f"detection.nms_thresholds[1]: {UNIT}, got 1.5",
    ),
    "nms_thresholds_of_a_classification": (
        classification(nms_thresholds=[0.5]),
        "classification.nms_thresholds: unknown field; did you mean 'thresholds'?",
    ),
    "nms_thresholds_and_nms_threshold": (
        detection(nms_thresholds=[0.5, 0.5], nms_threshold=0.3),
        "detection.nms_thresholds: expected either nms_threshold or nms_thresholds, got both; keep one",
    ),
    "nms_thresholds_class_agnostic": (
        detection(nms_thresholds=[0.5, 0.5], class_agnostic=True),
        "detection.nms_thresholds: class_agnostic compares boxes of different labels, by one threshold; give "
        "nms_threshold instead",
    ),
    "nms_thresholds_soft": (
        detection(nms_thresholds=[0.5, 0.5], nms_method="soft"),
        'detection.nms_thresholds: nms_method "soft" uses none; leave nms_thresholds out',
    ),
    "nms_thresholds_weighted": (
        detection(nms_thresholds=[0.5, 1], nms_method="weighted"),
        'detection.nms_thresholds[1]: expected a number below 1, since nms_method "weighted" merges boxes '
        "that overlap more, got 1",
    ),
    "threshold_text": (detection(thresholds=[0.1, "0.5"]), f'detection.thresholds[1]: {UNIT}, got "0.5"'),
    "threshold_bool": (detection(thresholds=[True]), f"detection.thresholds[0]: {UNIT}, got true"),
    "threshold_null": (detection(thresholds=[None]), f"detection.thresholds[0]: {UNIT}, got null"),
    "threshold_nan": (detection(thresholds=[0.1, NAN]), f"detection.thresholds[1]: {UNIT}, got NaN"),
    "threshold_negative": (detection(thresholds=[-0.1]), f"detection.thresholds[0]: {UNIT}, got -0.1"),
    "threshold_above_1": (
        classification(thresholds=[1.5]),
        f"classification.thresholds[0]: {UNIT}, got 1.5",
    ),
    "threshold_huge_integer": (
        detection(thresholds=[10**400]),
        f"detection.thresholds[0]: {UNIT}, got 1{'0' * 56}...",
    ),
    **{
        f"{name}_{case}": (detection(**{name: value}), f"detection.{name}: {UNIT}, got {found}")
        for name in ("nms_threshold", "discard_threshold")
        for case, value, found in (
            ("nan", NAN, "NaN"),
            ("infinity", INFINITY, "Infinity"),
            ("negative", -0.5, "-0.5"),
            ("above_1", 1.5, "1.5"),
            ("text", "0.5", '"0.5"'),
            ("bool", True, "true"),
            ("null", None, "null"),
            ("list", [0.5], "[0.5]"),
        )
    },
    "detection_unknown_field": (
        detection(nms_treshold=0.5),
        "detection.nms_treshold: unknown field; did you mean 'nms_threshold'?",
    ),
    "no_output": (
        {"detection": {"nms_threshold": 0.3}},
        f"detection: expected exactly one of {KINDS}, got none; add one",
    ),
    "two_outputs": (
        detection(yolo_output=YOLO),
        f"detection: expected exactly one of {KINDS}, got anchored_output and yolo_output; keep one",
    ),
    "three_outputs": (
        detection(yolo_output=YOLO, direct_output=DIRECT),
        f"detection: expected exactly one of {KINDS}, got anchored_output and direct_output and yolo_output; "
        "keep one",
    ),
    "normalize_tensor_number": (
        detection(normalize_wrt_tensor=1),
        "detection.normalize_wrt_tensor: expected text, got 1",
    ),
    "input_size_and_tensor": (
        detection(input_size=[1, 2], normalize_wrt_tensor="im_info"),
        "detection.input_size: expected either input_size or normalize_wrt_tensor, got both; keep one",
    ),
    "yolo_with_input_size": (
        {"detection": {"yolo_output": YOLO, "input_size": [1, 2]}},
        "detection.input_size: yolo_output yields normalized boxes by construction; leave input_size out",
    ),
    "yolo_with_normalize_tensor": (
        {"detection": {"yolo_output": YOLO, "normalize_wrt_tensor": "im_info"}},
        "detection.normalize_wrt_tensor: yolo_output yields normalized boxes by construction; "
        "leave normalize_wrt_tensor out",
    ),
    **{
        f"input_size_{case}": (
            detection(input_size=value),
            f"detection.input_size: expected [height, width] in pixels, two positive integers, got {found}",
        )
        for case, value, found in (
            ("one", [480], "[480]"),
            ("three", [480, 640, 3], "[480, 640, 3]"),
            ("zero", [0, 640], "[0, 640]"),
            ("fraction", [480.0, 640], "[480.0, 640]"),
            ("bool", [True, 640], "[true, 640]"),
            ("number", 640, "640"),
            ("too_large", [2**31, 1], "[2147483648, 1]"),
        )
    },
    "multi_label_number": (detection(multi_label=1), "detection.multi_label: expected true or false, got 1"),
    "class_agnostic_text": (
        detection(class_agnostic="true"),
        'detection.class_agnostic: expected true or false, got "true"',
    ),
    **{
        f"{path.split('.')[1]}_without_{name}": (
            {"detection": {kind: {key: value for key, value in fields.items() if key != name}}},
            f"{path}.{name}: required field is missing; add it",
        )
        for kind, fields in (("anchored_output", ANCHORED), ("direct_output", DIRECT), ("yolo_output", YOLO))
        for path in [f"detection.{kind}"]
        for name in fields
    },
    **{
        f"{kind}_empty_{name}": (
            {"detection": {kind: {**fields, name: ""}}},
            f'detection.{kind}.{name}: expected text that is not empty, got ""',
        )
        for kind, fields in (("anchored_output", ANCHORED), ("direct_output", DIRECT), ("yolo_output", YOLO))
        for name in fields
        if name.endswith("_tensor")
    },
    "anchors_format": (
        anchored(anchors_format="corners"),
        f'detection.anchored_output.anchors_format: expected {CORNERS}, got "corners"',
    ),
    "background": (
        anchored(background=None),
        'detection.anchored_output.background: expected "first", "last" or "none", got null',
    ),
    **{
        f"offsets_scale_{case}": (
            anchored(offsets_scale=value),
            f"detection.anchored_output.offsets_scale: expected four finite numbers above 0, got {found}",
        )
        for case, value, found in (
            ("three", [1, 1, 1], "[1, 1, 1]"),
            ("zero", [1, 1, 1, 0], "[1, 1, 1, 0]"),
            ("negative", [1, 1, 1, -1], "[1, 1, 1, -1]"),
            ("infinite", [1, 1, 1, INFINITY], "[1, 1, 1, Infinity]"),
            ("number", 0.1, "0.1"),
        )
    },
    "anchored_unknown_field": (
        anchored(box_format="xyxy"),
        "detection.anchored_output.box_format: unknown field; known: quantization, anchors_tensor, "
        "offsets_tensor, scores_tensor, anchors_format, offsets_scale, score_activation, background, layout",
    ),
    "box_format": (
        direct(box_format=["xyxy"]),
        f'detection.direct_output.box_format: expected {CORNERS}, got ["xyxy"]',
    ),
    "classes": (
        direct(classes="names"),
        'detection.direct_output.classes: expected "ids" or "rows", got "names"',
    ),
    "layout": (
        direct(layout="NCHW"),
        'detection.direct_output.layout: expected "auto", "channels_first" or "channels_last", got "NCHW"',
    ),
    "yolo_anchors_empty": (
        yolo(anchors=[]),
        "detection.yolo_output.anchors: expected a list that is not empty, got []",
    ),
    "yolo_anchors_odd": (
        yolo(anchors=[1, 2, 3]),
        "detection.yolo_output.anchors: expected an even count, [w0, h0, w1, h1, ...], got 3 numbers",
    ),
    **{
        f"yolo_anchor_{case}": (
            yolo(anchors=[1, value]),
            f"detection.yolo_output.anchors[1]: expected a finite number above 0, got {found}",
        )
        for case, value, found in (
            ("zero", 0, "0"),
            ("negative", -2.5, "-2.5"),
            ("nan", NAN, "NaN"),
            ("pair", [1, 2], "[1, 2]"),
        )
    },
    "yolo_activation": (
        yolo(score_activation="none"),
        "detection.yolo_output.score_activation: unknown field; known: quantization, output_tensor, anchors, "
        "layout",
    ),
}


@pytest.mark.parametrize(("document", "expected"), REJECTED.values(), ids=REJECTED)
def test_post_processing_broken_rule_names_path_and_value(
    document: dict[str, Any], expected: str, problems_of: Any
) -> None:
    assert problems_of(PostProcessing, document) == [expected]


def test_post_processing_several_broken_rules_reports_all(problems_of: Any) -> None:
    document = {
        "detection": {
            "anchored_output": {**ANCHORED, "background": "middle", "layot": "auto"},
            "yolo_output": {"output_tensor": "", "anchors": [1, -1]},
            "nms_threshold": 2,
            "thresholds": [0.5, 3, "x"],
        }
    }
    assert sorted(line.partition(": ")[0] for line in problems_of(PostProcessing, document)) == [
        "detection",
        "detection.anchored_output.background",
        "detection.anchored_output.layot",
        "detection.nms_threshold",
        "detection.thresholds[1]",
        "detection.thresholds[2]",
        "detection.yolo_output.anchors[1]",
        "detection.yolo_output.output_tensor",
    ]


def test_detection_input_size_with_empty_normalize_tensor_is_accepted() -> None:
    document = {**DETECTION, "input_size": [480, 640], "normalize_wrt_tensor": ""}
    assert Detection.load(document).input_size == (480, 640)


def test_detection_defaults_keep_the_meaning_of_v07() -> None:
    assert Detection.load(DETECTION).dump(defaults=True) == {
        "anchored_output": {
            **ANCHORED,
            "anchors_format": "xyxy",
            "offsets_scale": [1, 1, 1, 1],
            "score_activation": "none",
            "background": "first",
            "layout": "auto",
        },
        "nms_threshold": 0.3,
        "nms_method": "hard",
        "soft_sigma": 0.5,
        "iou": "exact",
        "suppression": "greedy",
        "discard_threshold": 0.025,
        "normalize_wrt_tensor": "",
        "multi_label": True,
        "class_agnostic": False,
    }
    direct_output = Detection.load({"direct_output": DIRECT}).direct_output
    assert direct_output is not None
    assert (direct_output.box_format, direct_output.classes) == ("xyxy", "ids")


def test_kind_and_member_are_the_one_that_is_given() -> None:
    detector = PostProcessing.load({"detection": {"yolo_output": YOLO}})
    assert (detector.kind, detector.task) == ("detection", detector.detection)
    assert detector.detection is not None
    assert (detector.detection.kind, detector.detection.output) == ("yolo_output", YoloOutput.load(YOLO))
    assert isinstance(Detection.load(DETECTION).output, AnchoredOutput)
    classifier = PostProcessing.load(classification())
    assert (classifier.kind, classifier.task) == ("classification", classifier.classification)


def test_detection_new_output_kind_joins_the_group_by_its_field(problems_of: Any) -> None:
    class Extended(Detection):
        other_output: YoloOutput | None = None

    assert Extended.load({"other_output": YOLO}).output == YoloOutput.load(YOLO)
    assert problems_of(Extended, {}) == [f"expected exactly one of {KINDS}, other_output, got none; add one"]
    assert {"required": ["other_output"], "properties": {"other_output": {"type": "object"}}} in (
        Extended.json_schema()["oneOf"]
    )


@pytest.mark.parametrize(
    ("task", "exclusive", "expected"),
    [
        (Classification.load(CLASSIFICATION), True, (0.025, 0.025)),
        (Classification.load(CLASSIFICATION), False, (0.5, 0.5)),
        (Detection.load(DETECTION), True, (0.8, 0.8)),
        (Detection.load(DETECTION), False, (0.8, 0.8)),
        (Classification.load({**CLASSIFICATION, "thresholds": [0.1, 1]}), True, (0.1, 1)),
        (Detection.load({**DETECTION, "thresholds": [0, 0.2]}), True, (0, 0.2)),
        (Classification.load({**CLASSIFICATION, "thresholds": 0.3}), True, (0.3, 0.3)),
        (Detection.load({**DETECTION, "thresholds": 1}), True, (1, 1)),
    ],
    ids=[
        *("exclusive", "tagging", "detection", "detection_tagging", "given", "detection_given"),
        *("one", "detection_one"),
    ],
)
def test_thresholds_for_labels_are_the_given_or_the_default(
    task: Classification | Detection, exclusive: bool, expected: tuple[float, ...]
) -> None:
    assert task.thresholds_for(Labels.load({**LABELS, "exclusive": exclusive})) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (0.3, 0.3)),
        ({"nms_threshold": 0.5}, (0.5, 0.5)),
        ({"nms_threshold": 0.5, "class_agnostic": True}, (0.5,)),
        ({"nms_thresholds": [0.2, 1]}, (0.2, 1)),
        ({"nms_thresholds": None}, (0.3, 0.3)),
    ],
    ids=["default", "one", "class_agnostic", "each", "null"],
)
def test_nms_thresholds_for_labels_are_the_given_or_the_default(
    fields: dict[str, Any], expected: tuple[float, ...]
) -> None:
    assert Detection.load({**DETECTION, **fields}).nms_thresholds_for(Labels.load(LABELS)) == expected


def test_nms_threshold_beside_nms_thresholds_is_none_and_not_dumped() -> None:
    detection = Detection.load({**DETECTION, "nms_thresholds": [0.2, 1]})
    assert detection.nms_threshold is None
    filled = detection.dump(defaults=True)
    assert "nms_threshold" not in filled
    assert Detection.load(filled).nms_thresholds == (0.2, 1)
