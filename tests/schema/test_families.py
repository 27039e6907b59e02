"""The kinds of outputs and the ways of NMS that extend v0.7: their rules and their defaults."""

from __future__ import annotations

from typing import Any

import pytest

from postproc.schema import (
    Detection,
    EndToEndOutput,
    Yolov3Output,
)
from tests.kinds import KINDS, kinds_with
from tests.schema.documents import (
    DETECTION,
    PACKED,
    SEPARATE,
    SSD,
    STANDARD,
    YOLOV3,
    YOLOX,
)

COLUMNS = 'expected "box", "score" and "class" once each and "image" at most once'
FORMS = "expected either output_tensor or boxes_tensor, scores_tensor and classes_tensor"


def yolov3(**fields: Any) -> dict[str, Any]:
    return {"yolov3_output": {**YOLOV3, **fields}}


def yolox(**fields: Any) -> dict[str, Any]:
    return {"yolox_output": {**YOLOX, **fields}}


def standard(**fields: Any) -> dict[str, Any]:
    return {"standard_output": {**STANDARD, **fields}}


def packed(**fields: Any) -> dict[str, Any]:
    return {"end_to_end_output": {**PACKED, **fields}}


def ssd(**fields: Any) -> dict[str, Any]:
    return {"ssd_output": {**SSD, **fields}}


TABLES = {kind: KINDS[kind].output.dump() for kind in kinds_with("coordinates")}


def without(field: str) -> dict[str, tuple[dict[str, Any], tuple[str, ...]]]:
    """Return an output of each kind that has no such field, and what fields it has."""
    return {
        name: (kind.output.dump(), tuple(type(kind.output).model_fields))
        for name, kind in KINDS.items()
        if name not in kinds_with(field)
    }


# What decides there is whether a size is given; grids have pixels or cells, whoever exports them.
WITHOUT_COORDINATES = without("coordinates")
FORMATS = ("box_format", "anchors_format", "priors_format")
WITHOUT_FORMAT = {
    kind: found for kind, found in without("box_format").items() if not {*FORMATS} & {*found[1]}
}

REJECTED: dict[str, tuple[dict[str, Any], str]] = {
    "yolov3_no_tensors": (
        yolov3(output_tensors=[]),
        "yolov3_output.output_tensors: expected a list that is not empty, got []",
    ),
    "yolov3_tensors_text": (
        yolov3(output_tensors="a"),
        'yolov3_output.output_tensors: expected a list, got "a"',
    ),
    "yolov3_tensor_twice": (
        yolov3(output_tensors=["a", "b", "a"], anchor_masks=[[0], [1], [0]]),
        'yolov3_output.output_tensors[2]: expected unique names, got "a", the name of output_tensors[0]',
    ),
    "yolov3_anchors_odd": (
        yolov3(anchors=[1, 2, 3], output_tensors=["a"]),
        "yolov3_output.anchors: expected an even count, [w0, h0, w1, h1, ...], got 3 numbers",
    ),
    "yolov3_anchors_not_shared_evenly": (
        yolov3(anchors=[1, 2, 3, 4, 5, 6]),
        "yolov3_output.anchors: expected a count of anchors that 2 tensors share evenly, got 3; "
        "give anchor_masks",
    ),
    "yolov3_masks_count": (
        yolov3(anchor_masks=[[0, 1]]),
        "yolov3_output.anchor_masks: expected 2 lists, one per tensor, got 1",
    ),
    "yolov3_mask_empty": (
        yolov3(anchor_masks=[[0], []]),
        "yolov3_output.anchor_masks[1]: expected a list that is not empty, got []",
    ),
    "yolov3_mask_index": (
        yolov3(anchor_masks=[[0], [0, 2]]),
        "yolov3_output.anchor_masks[1][1]: expected the number of an anchor, 0 to 1, got 2",
    ),
    "yolov3_mask_negative": (
        yolov3(anchor_masks=[[-1], [0]]),
        "yolov3_output.anchor_masks[0][0]: expected an integer from 0 to 2147483647, got -1",
    ),
    "yolov3_mask_twice": (
        yolov3(anchor_masks=[[0], [1, 1]]),
        "yolov3_output.anchor_masks[1][1]: expected each anchor once, got 1 again, as at [0]",
    ),
    "yolov3_scale_count": (
        yolov3(scale_x_y=[1.1, 1.2, 1.3]),
        "yolov3_output.scale_x_y: expected 2 numbers, one per tensor, got 3",
    ),
    **{
        f"yolov3_scale_{case}": (
            yolov3(scale_x_y=value),
            "yolov3_output.scale_x_y: expected a finite number above 0, or a list of one per tensor, "
            f"got {found}",
        )
        for case, value, found in (
            ("zero", 0, "0"),
            ("in_list", [1, -1], "[1, -1]"),
            ("empty", [], "[]"),
            ("text", "1", '"1"'),
        )
    },
    "yolov5_activation": (
        {"yolov5_output": {**YOLOX, "score_activation": "sigmoid"}},
        "yolov5_output.score_activation: unknown field; known: output_tensor, coordinates, layout, "
        "box_format, confidence",
    ),
    **{
        f"yolov8_pose_{case}": ({"yolov8_pose_output": {**YOLOX, "keypoints": 17, **fields}}, message)
        for case, fields, message in (
            (
                "no_points",
                {"keypoints": 0},
                "yolov8_pose_output.keypoints: expected an integer from 1 to 1000, got 0",
            ),
            ("dimensions", {"dimensions": 4}, "yolov8_pose_output.dimensions: expected 2 or 3, got 4"),
            ("float", {"dimensions": 2.0}, "yolov8_pose_output.dimensions: expected 2 or 3, got 2.0"),
            (
                "limb_from_0",
                {"skeleton": [[1, 2], [0, 1]]},
                "yolov8_pose_output.skeleton[1]: expected the numbers of two keypoints, counted from 1, "
                "got [0, 1]",
            ),
            (
                "limb_of_three",
                {"skeleton": [[1, 2, 3]]},
                "yolov8_pose_output.skeleton[0]: expected the numbers of two keypoints, counted from 1, "
                "got [1, 2, 3]",
            ),
            (
                "limb_beyond",
                {"skeleton": [[16, 14], [17, 18]]},
                "yolov8_pose_output.skeleton[1][1]: expected the number of a keypoint, 1 to 17, got 18",
            ),
            (
                "limb_of_one",
                {"skeleton": [[16, 16]]},
                "yolov8_pose_output.skeleton[0]: expected two keypoints, got 16 twice",
            ),
            ("skeleton", {"skeleton": "coco"}, 'yolov8_pose_output.skeleton: expected a list, got "coco"'),
        )
    },
    **{
        f"yolov8_obb_{method}": (
            {"yolov8_obb_output": YOLOX, "nms_method": method},
            f'nms_method: yolov8_obb_output takes only "hard", got "{method}"',
        )
        for method in ("soft", "weighted")
    },
    **{
        f"{kind}_normalized_by_a_tensor": (
            {f"{kind}_output": {**fields, "coordinates": "normalized"}, "normalize_wrt_tensor": "size"},
            f'normalize_wrt_tensor: {kind}_output has coordinates "normalized", which are never divided; '
            "leave normalize_wrt_tensor out",
        )
        for kind, fields in TABLES.items()
    },
    "coordinates": (
        {"yolov5_output": {**YOLOX, "coordinates": "relative"}},
        'yolov5_output.coordinates: expected "pixels" or "normalized", got "relative"',
    ),
    **{
        f"{kind}_has_no_coordinates": (
            {f"{kind}_output": {**fields, "coordinates": "normalized"}},
            f"{kind}_output.coordinates: unknown field; known: {', '.join(known)}",
        )
        for kind, (fields, known) in WITHOUT_COORDINATES.items()
    },
    **{
        f"{kind}_has_no_box_format": (
            {f"{kind}_output": {**fields, "box_format": "xyxy"}},
            f"{kind}_output.box_format: unknown field; known: {', '.join(known)}",
        )
        for kind, (fields, known) in WITHOUT_FORMAT.items()
    },
    "box_format": (
        {"yolov8_pose_output": {**YOLOX, "keypoints": 17, "box_format": "cxcyhw"}},
        'yolov8_pose_output.box_format: expected "xyxy", "xywh", "cxcywh" or "yxyx", got "cxcyhw"',
    ),
    "confidence": (
        yolov3(confidence="probability"),
        'yolov3_output.confidence: expected "product" or "objectness", got "probability"',
    ),
    "yolov8_seg_one_tensor": (
        {"yolov8_seg_output": {**YOLOX, "prototypes_tensor": YOLOX["output_tensor"]}},
        "yolov8_seg_output.prototypes_tensor: expected another tensor than output_tensor, got "
        f'"{YOLOX["output_tensor"]}" for both',
    ),
    "yolov8_pose_without_keypoints": (
        {"yolov8_pose_output": YOLOX},
        "yolov8_pose_output.keypoints: required field is missing; add it",
    ),
    "yolox_no_strides": (
        yolox(strides=[]),
        "yolox_output.strides: expected a list that is not empty, got []",
    ),
    "yolox_stride": (
        yolox(strides=[8, 0]),
        "yolox_output.strides[1]: expected an integer from 1 to 2147483647, got 0",
    ),
    "yolox_activation": (
        yolox(score_activation="softmax"),
        'yolox_output.score_activation: expected "none" or "sigmoid", got "softmax"',
    ),
    "standard_without_scores": (
        {"standard_output": {"boxes_tensor": "boxes"}},
        "standard_output.scores_tensor: required field is missing; add it",
    ),
    "standard_clip": (
        standard(clip=True),
        'standard_output.clip: expected "before" or "after", got true',
    ),
    "end_to_end_no_form": (
        {"end_to_end_output": {"count_tensor": "n"}},
        f"end_to_end_output: {FORMS}, got none",
    ),
    "end_to_end_half_a_form": (
        {"end_to_end_output": {"boxes_tensor": "b", "classes_tensor": "c"}},
        f"end_to_end_output: {FORMS}, got boxes_tensor and classes_tensor",
    ),
    "end_to_end_form_and_a_half": (
        packed(scores_tensor="s"),
        f"end_to_end_output: {FORMS}, got output_tensor and scores_tensor",
    ),
    "end_to_end_column_missing": (
        packed(columns=["box", "score"]),
        f'end_to_end_output.columns: {COLUMNS}, got ["box", "score"]',
    ),
    "end_to_end_column_twice": (
        packed(columns=["box", "score", "class", "box"]),
        f'end_to_end_output.columns: {COLUMNS}, got ["box", "score", "class", "box"]',
    ),
    "end_to_end_column_unknown": (
        packed(columns=["box", "score", "label"]),
        'end_to_end_output.columns[2]: expected "image", "box", "score" or "class", got "label"',
    ),
    "end_to_end_columns_of_no_packed_tensor": (
        {"end_to_end_output": {**SEPARATE, "columns": ["class", "box", "score"]}},
        "end_to_end_output.columns: only output_tensor has columns; leave columns out",
    ),
    "end_to_end_image_and_count": (
        packed(columns=["image", "box", "score", "class"], count_tensor="n"),
        "end_to_end_output.count_tensor: each row names its image in columns; leave count_tensor out",
    ),
    "ssd_no_priors": (
        ssd(priors_tensor=None),
        "ssd_output: expected exactly one of priors_tensor, priors, got none; add one",
    ),
    "ssd_both_priors": (
        ssd(priors=[[0, 0, 1, 1]]),
        "ssd_output: expected exactly one of priors_tensor, priors, got priors_tensor and priors; keep one",
    ),
    "ssd_prior": (
        ssd(priors_tensor=None, priors=[[0, 0, 1, 1], [0, 0, 1]]),
        "ssd_output.priors[1]: expected four finite numbers that float32 holds, got [0, 0, 1]",
    ),
    "ssd_priors_empty": (
        ssd(priors_tensor=None, priors=[]),
        "ssd_output.priors: expected a list that is not empty, got []",
    ),
    "ssd_order": (
        ssd(offsets_order="yxwh"),
        'ssd_output.offsets_order: expected "xywh" or "yxhw", got "yxwh"',
    ),
    "nms_method": (
        {**DETECTION, "nms_method": "greedy"},
        'nms_method: expected "hard", "soft" or "weighted", got "greedy"',
    ),
    "soft_sigma_zero": (
        {**DETECTION, "nms_method": "soft", "soft_sigma": 0},
        "soft_sigma: expected a finite number above 0, got 0",
    ),
    "soft_sigma_of_hard": (
        {**DETECTION, "soft_sigma": 0.3},
        'soft_sigma: only nms_method "soft" takes it, got "hard"; leave it out',
    ),
    "soft_sigma_of_weighted": (
        {**DETECTION, "nms_method": "weighted", "soft_sigma": 0.3},
        'soft_sigma: only nms_method "soft" takes it, got "weighted"; leave it out',
    ),
    "weighted_off": (
        {**DETECTION, "nms_method": "weighted", "nms_threshold": 1},
        'nms_threshold: expected a number below 1, since nms_method "weighted" merges boxes that overlap '
        "more, got 1",
    ),
    "weighted_off_by_default": (
        packed() | {"nms_method": "weighted"},
        'nms_threshold: expected a number below 1, since nms_method "weighted" merges boxes that overlap '
        "more, got 1.0, the default of end_to_end_output",
    ),
}


@pytest.mark.parametrize(("document", "expected"), REJECTED.values(), ids=REJECTED)
def test_detection_broken_rule_of_an_extension_names_path_and_value(
    document: dict[str, Any], expected: str, problems_of: Any
) -> None:
    assert problems_of(Detection, document) == [expected]


def test_end_to_end_output_without_nms_threshold_does_no_nms_and_dumps_as_read() -> None:
    document = {"end_to_end_output": PACKED}
    detection = Detection.load(document)
    assert detection.nms_threshold == 1
    assert detection.dump() == document
    assert detection.dump(defaults=True)["nms_threshold"] == 1
    assert Detection.load({**document, "nms_threshold": 0.5}).nms_threshold == 0.5
    assert Detection.load(DETECTION).nms_threshold == 0.3


def test_soft_nms_with_any_nms_threshold_is_accepted() -> None:
    for threshold in (0, 0.5, 1):
        Detection.load({**DETECTION, "nms_method": "soft", "nms_threshold": threshold})


def test_extension_defaults_are_those_of_the_usual_exports() -> None:
    documents = {
        **{
            "yolov3": yolov3(),
            "yolox": yolox(),
            "standard": standard(),
            "end_to_end": packed(),
            "ssd": ssd(),
        },
        **{kind: {f"{kind}_output": YOLOX} for kind in ("yolov5", "yolov8", "yolov8_obb")},
        "yolov8_pose": {"yolov8_pose_output": {**YOLOX, "keypoints": 17}},
        "yolov8_seg": {"yolov8_seg_output": {**YOLOX, "prototypes_tensor": "prototypes"}},
    }
    defaults = {
        kind: Detection.load(document).output.dump(defaults=True) for kind, document in documents.items()
    }
    assert defaults["yolov3"] == {**YOLOV3, "scale_x_y": 1.0, "confidence": "product", "layout": "auto"}
    table = {**YOLOX, "coordinates": "pixels", "layout": "auto"}
    upright = {**table, "box_format": "cxcywh"}
    assert defaults["yolov5"] == {**upright, "confidence": "product"}
    assert defaults["yolov8"] == upright
    assert defaults["yolov8_pose"] == {**upright, "keypoints": 17, "dimensions": 3}
    assert defaults["yolov8_obb"] == table
    assert defaults["yolov8_seg"] == {**upright, "prototypes_tensor": "prototypes"}
    assert defaults["yolox"] == {
        **YOLOX,
        "strides": [8, 16, 32],
        "score_activation": "none",
        "confidence": "product",
        "layout": "auto",
    }
    assert defaults["standard"] == {
        **STANDARD,
        "box_format": "xyxy",
        "score_activation": "none",
        "background": "none",
        "clip": "after",
        "layout": "auto",
    }
    assert defaults["end_to_end"] == {
        **PACKED,
        "columns": ["box", "score", "class"],
        "box_format": "xyxy",
        "classes": "rows",
    }
    assert defaults["ssd"] == {
        **SSD,
        "priors_format": "cxcywh",
        "offsets_scale": [0.1, 0.1, 0.2, 0.2],
        "offsets_order": "xywh",
        "size_coding": "exp",
        "score_activation": "none",
        "background": "first",
        "layout": "auto",
    }


def test_kinds_that_need_a_size_are_declared_and_all_but_normalized_ones_take_one() -> None:
    outputs = {name: kind.output for name, kind in KINDS.items()}
    assert [kind for kind, output in outputs.items() if output.needs_input_size] == ["yolov3", "yolox"]
    for kind, output in outputs.items():
        if not output.boxes_are_normalized:
            document = {f"{kind}_output": output.dump()}
            Detection.load({**document, "normalize_wrt_tensor": "size"})
            Detection.load({**document, "input_size": [32, 64]})


def test_tables_declared_to_be_normalized_are_so_but_for_oriented_boxes_which_become_pixels() -> None:
    documents = {
        kind: {f"{kind}_output": {**fields, "coordinates": "normalized"}} for kind, fields in TABLES.items()
    }
    outputs = {kind: Detection.load(document).output for kind, document in documents.items()}
    assert [kind for kind, output in outputs.items() if not output.boxes_are_normalized] == ["yolov8_obb"]
    assert [kind for kind, output in outputs.items() if output.boxes_are_in_pixels] == ["yolov8_obb"]
    assert [kind for kind, output in outputs.items() if output.needs_input_size] == [
        *("yolov8_obb", "yolov8_seg")
    ]
    for document in documents.values():
        Detection.load({**document, "input_size": [32, 64]})


@pytest.mark.parametrize(("scale", "expected"), [(1.05, (1.05, 1.05)), ([1.2, 1], (1.2, 1))], ids=str)
def test_yolov3_scales_are_one_per_tensor(scale: Any, expected: tuple[float, ...]) -> None:
    assert Yolov3Output.load({**YOLOV3, "scale_x_y": scale}).scales == expected


def test_end_to_end_output_column_orders_are_accepted() -> None:
    for columns in (["image", "box", "class", "score"], ["image", "class", "score", "box"]):
        assert EndToEndOutput.load({**PACKED, "columns": columns}).columns == tuple(columns)
