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
    DISTANCE,
    PACKED,
    SEPARATE,
    SSD,
    STANDARD,
    YOLOV3,
    YOLOX,
    YUNET,
)

COLUMNS = 'expected "box", "score" and "class" once each and others at most once'
FORMS = (
    "expected either output_tensor or output_tensor and classes_tensor or boxes_tensor, scores_tensor and "
    "classes_tensor"
)


def yolov3(**fields: Any) -> dict[str, Any]:
    return {"yolov3_output": {**YOLOV3, **fields}}


def yolox(**fields: Any) -> dict[str, Any]:
    return {"yolox_output": {**YOLOX, **fields}}


def distance(**fields: Any) -> dict[str, Any]:
    return {"distance_output": {**DISTANCE, **fields}}


def packed_distances(*columns: str, **fields: Any) -> dict[str, Any]:
    return {"distance_output": {"output_tensors": ["t"], "strides": [8], "columns": list(columns), **fields}}


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
        "yolov5_output.score_activation: unknown field; known: quantization, output_tensor, coordinates, "
        "layout, box_format, prototypes_tensor, keep_empty_masks, keypoints, dimensions, keypoints_first, "
        "skeleton, confidence",
    ),
    "yolov3_scale_of_v5": (
        yolov3(box_coding="yolov5", scale_x_y=1.2),
        'yolov3_output.scale_x_y: box_coding "yolov5" has a stretch of its own; leave scale_x_y out',
    ),
    "yolov3_coding": (
        yolov3(box_coding="yolov4"),
        'yolov3_output.box_coding: expected "yolov3" or "yolov5", got "yolov4"',
    ),
    **{
        f"keypoints_missing_{kind}_{field}": (
            {kind: {**fields, field: value}},
            f"{kind}.{field}: only boxes with keypoints have it; give keypoints, or leave {field} out",
        )
        for kind, fields, field, value in (
            ("yolov5_output", YOLOX, "dimensions", 2),
            ("yolov5_output", YOLOX, "keypoints_first", True),
            ("yolov5_output", YOLOX, "skeleton", []),
            ("yolox_output", YOLOX, "skeleton", [[1, 2]]),
            ("ssd_output", SSD, "landmarks_tensor", "marks"),
            ("ssd_output", SSD, "skeleton", [[1, 2]]),
        )
    },
    **{
        f"{kind}_limb": (
            {kind: {**fields, "keypoints": 5, "skeleton": [[1, 6]]}},
            f"{kind}.skeleton[0][1]: expected the number of a keypoint, 1 to 5, got 6",
        )
        for kind, fields in (("yolov5_output", YOLOX), ("yolox_output", YUNET), ("ssd_output", SSD))
    },
    **{
        f"yolox_{case}": ({"yolox_output": fields}, f"yolox_output{message}")
        for case, fields, message in (
            (
                "no_form",
                {"strides": [8]},
                ": expected either output_tensor or scores_tensors, objectness_tensors and boxes_tensors, "
                "got none",
            ),
            (
                "both_forms",
                {**YUNET, **YOLOX},
                ": expected either output_tensor or scores_tensors, objectness_tensors and boxes_tensors, "
                "got output_tensor and scores_tensors and objectness_tensors and boxes_tensors",
            ),
            (
                "half_a_form",
                {**YUNET, "boxes_tensors": None},
                ": expected either output_tensor or scores_tensors, objectness_tensors and boxes_tensors, "
                "got scores_tensors and objectness_tensors",
            ),
            (
                "landmarks_of_one_tensor",
                {**YOLOX, "landmarks_tensors": ["marks"], "keypoints": 5, "strides": [8]},
                ".landmarks_tensors: output_tensor has no landmarks; leave landmarks_tensors out",
            ),
            (
                "landmarks_uncounted",
                {**YUNET, "keypoints": None},
                ".keypoints: expected keypoints and landmarks_tensors together, got one of them",
            ),
            (
                "landmarks_missing",
                {**YOLOX, "keypoints": 5},
                ".landmarks_tensors: expected keypoints and landmarks_tensors together, got one of them",
            ),
            (
                "levels_count",
                {**YUNET, "boxes_tensors": ["bbox"]},
                ".boxes_tensors: expected 2 names, one per stride, got 1",
            ),
            (
                "level_twice",
                {**YUNET, "landmarks_tensors": ["kps_8", "kps_8"]},
                '.landmarks_tensors[1]: expected unique names, got "kps_8", the name of landmarks_tensors[0]',
            ),
            (
                "levels_twice",
                {**YUNET, "boxes_tensors": ["bbox_8", "cls_8"]},
                '.boxes_tensors[1]: expected unique names, got "cls_8", the name of scores_tensors[0]',
            ),
        )
    },
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
        f"yolov8_{field}": (
            {"yolov8_output": YOLOX, field: value},
            f'{field}: yolov8_output yields no oriented boxes and takes only "{default}", got "{value}"; '
            f"leave {field} out",
        )
        for field, value, default in (("iou", "probiou", "exact"), ("suppression", "fast", "greedy"))
    },
    "yolov8_obb_iou": (
        {"yolov8_obb_output": YOLOX, "iou": "giou"},
        'iou: expected "exact" or "probiou", got "giou"',
    ),
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
    "yolov5_one_tensor": (
        {"yolov5_output": {**YOLOX, "prototypes_tensor": YOLOX["output_tensor"]}},
        "yolov5_output.prototypes_tensor: expected another tensor than output_tensor, got "
        f'"{YOLOX["output_tensor"]}" for both',
    ),
    "yolov5_keypoints_and_masks": (
        {"yolov5_output": {**YOLOX, "prototypes_tensor": "prototypes", "keypoints": 5}},
        "yolov5_output: expected at most one of keypoints, prototypes_tensor, got both",
    ),
    "yolov5_empty_masks_of_none": (
        {"yolov5_output": {**YOLOX, "keep_empty_masks": False}},
        "yolov5_output.keep_empty_masks: only outputs that yield masks have empty ones; leave it out",
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
        'end_to_end_output.columns[2]: expected "image", "box", "score", "class", "angle", "keypoints" or '
        '"coefficients", got "label"',
    ),
    "end_to_end_class_column_beside_classes": (
        packed(classes_tensor="c"),
        'end_to_end_output.columns: classes_tensor holds the classes; leave "class" out of columns',
    ),
    "end_to_end_column_missing_beside_classes": (
        packed(columns=["box"], classes_tensor="c"),
        'end_to_end_output.columns: expected "box" and "score" once each and others at most once, got '
        '["box"]',
    ),
    "end_to_end_two_of_one_result": (
        packed(columns=["box", "score", "class", "angle", "keypoints"], box_format="cxcywh", keypoints=1),
        "end_to_end_output: expected at most one of angle, keypoints, coefficients, keypoints_tensor, "
        "masks_tensor, got angle and keypoints",
    ),
    "end_to_end_keypoints_twice": (
        packed(columns=["box", "score", "class", "keypoints"], keypoints=1, keypoints_tensor="k"),
        "end_to_end_output: expected at most one of angle, keypoints, coefficients, keypoints_tensor, "
        "masks_tensor, got keypoints and keypoints_tensor",
    ),
    "end_to_end_masks_twice": (
        packed(columns=["box", "score", "class", "coefficients"], prototypes_tensor="p", masks_tensor="m"),
        "end_to_end_output: expected at most one of angle, keypoints, coefficients, keypoints_tensor, "
        "masks_tensor, got coefficients and masks_tensor",
    ),
    "end_to_end_keypoints_uncounted": (
        packed(columns=["box", "score", "class", "keypoints"]),
        "end_to_end_output.keypoints: expected how many keypoints a box has; add it",
    ),
    "end_to_end_keypoints_tensor_uncounted": (
        {"end_to_end_output": {**SEPARATE, "keypoints_tensor": "k"}},
        "end_to_end_output.keypoints: expected how many keypoints a box has; add it",
    ),
    "end_to_end_keypoints_of_none": (
        packed(keypoints=17),
        "end_to_end_output.keypoints: name where they are, in columns or keypoints_tensor, or leave "
        "keypoints out",
    ),
    "end_to_end_skeleton_of_none": (
        packed(skeleton=[[1, 2]]),
        "end_to_end_output.skeleton: only boxes with keypoints have it; give keypoints, or leave skeleton "
        "out",
    ),
    "end_to_end_limb_of_no_keypoint": (
        packed(columns=["box", "score", "class", "keypoints"], keypoints=2, skeleton=[[1, 3]]),
        "end_to_end_output.skeleton[0][1]: expected the number of a keypoint, 1 to 2, got 3",
    ),
    "end_to_end_coefficients_of_nothing": (
        packed(columns=["box", "score", "class", "coefficients"]),
        "end_to_end_output.prototypes_tensor: required with the column coefficients; add it",
    ),
    "end_to_end_prototypes_of_nothing": (
        packed(prototypes_tensor="p"),
        "end_to_end_output.prototypes_tensor: only the column coefficients has prototypes; leave it out",
    ),
    "end_to_end_prototypes_in_the_rows": (
        packed(columns=["box", "score", "class", "coefficients"], prototypes_tensor=PACKED["output_tensor"]),
        "end_to_end_output.prototypes_tensor: expected another tensor than output_tensor, got "
        f'"{PACKED["output_tensor"]}" for both',
    ),
    "end_to_end_corners_that_are_turned": (
        packed(columns=["box", "score", "class", "angle"]),
        'end_to_end_output.box_format: expected "cxcywh", as of boxes that have an angle, got "xyxy"',
    ),
    "end_to_end_columns_of_no_packed_tensor": (
        {"end_to_end_output": {**SEPARATE, "columns": ["class", "box", "score"]}},
        "end_to_end_output.columns: only output_tensor has columns; leave columns out",
    ),
    "end_to_end_image_and_count": (
        packed(columns=["image", "box", "score", "class"], count_tensor="n"),
        "end_to_end_output.count_tensor: each row names its image in columns; leave count_tensor out",
    ),
    "end_to_end_masks_tensor_twice": (
        {"end_to_end_output": {**SEPARATE, "masks_tensor": SEPARATE["boxes_tensor"]}},
        "end_to_end_output.masks_tensor: expected another tensor than boxes_tensor, got "
        f'"{SEPARATE["boxes_tensor"]}" for both',
    ),
    "end_to_end_keypoints_in_the_rows": (
        packed(keypoints_tensor=PACKED["output_tensor"], keypoints=17),
        "end_to_end_output.keypoints_tensor: expected another tensor than output_tensor, got "
        f'"{PACKED["output_tensor"]}" for both',
    ),
    "end_to_end_classes_in_the_rows": (
        packed(columns=["box", "score"], classes_tensor=PACKED["output_tensor"]),
        "end_to_end_output.classes_tensor: expected another tensor than output_tensor, got "
        f'"{PACKED["output_tensor"]}" for both',
    ),
    "end_to_end_scores_that_are_classes": (
        {"end_to_end_output": {**SEPARATE, "classes_tensor": SEPARATE["scores_tensor"]}},
        "end_to_end_output.classes_tensor: expected another tensor than scores_tensor, got "
        f'"{SEPARATE["scores_tensor"]}" for both',
    ),
    "end_to_end_cover_of_no_masks": (
        packed(masks_cover="image"),
        "end_to_end_output.masks_cover: only masks_tensor has masks that cover something; leave masks_cover "
        "out",
    ),
    "end_to_end_empty_masks_of_boxes": (
        packed(keep_empty_masks=False),
        "end_to_end_output.keep_empty_masks: only outputs that yield masks have empty ones; leave it out",
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
    **{
        f"ssd_{field}_that_is_{other}": (
            ssd(**{"landmarks_tensor": "marks", "keypoints": 5, field: SSD[other]}),
            f'ssd_output.{field}: expected another tensor than {other}, got "{SSD[other]}" for both',
        )
        for field, other in (
            ("landmarks_tensor", "offsets_tensor"),
            ("landmarks_tensor", "scores_tensor"),
            ("scores_tensor", "offsets_tensor"),
            ("priors_tensor", "offsets_tensor"),
        )
    },
    "ssd_order": (
        ssd(offsets_order="yxwh"),
        'ssd_output.offsets_order: expected "xywh" or "yxhw", got "yxwh"',
    ),
    "distance_no_tensors": (
        {"distance_output": {"strides": [8]}},
        "distance_output: expected either output_tensors or scores_tensors and distances_tensors, got none",
    ),
    "distance_both_forms": (
        distance(output_tensors=["t"]),
        "distance_output: expected either output_tensors or scores_tensors and distances_tensors, got "
        "output_tensors and scores_tensors and distances_tensors",
    ),
    "distance_columns_apart": (
        distance(columns=["scores", "distances"]),
        "distance_output.columns: only output_tensors have columns; leave columns out",
    ),
    "distance_column_twice": (
        packed_distances("scores", "distances", "scores"),
        'distance_output.columns[2]: expected each column once, got "scores" again, as at [0]',
    ),
    "distance_column_missing": (
        packed_distances("scores", "centerness"),
        'distance_output.columns: expected "distances" and "scores" among them, got ["scores", "centerness"]',
    ),
    "distance_column_and_tensor": (
        packed_distances("scores", "distances", "centerness", centerness_tensors=["c"]),
        'distance_output.centerness_tensors: columns has "centerness"; leave centerness_tensors out',
    ),
    "distance_count_of_names": (
        distance(strides=[8, 16, 32], scores_tensors=["s1", "s2"]),
        "distance_output.scores_tensors: expected 3 names, one per stride, or 1, got 2 names",
    ),
    "distance_name_twice": (
        distance(centerness_tensors=["c", "s"]),
        'distance_output.centerness_tensors[1]: expected unique names, got "s", the name of '
        "scores_tensors[0]",
    ),
    "distance_first_bin": (
        distance(first_bin=1),
        "distance_output.first_bin: only where bins is above 1, got 1; leave it out",
    ),
    "distance_activation_of_bins": (
        distance(bins=16, distance_activation="relu"),
        'distance_output.distance_activation: only where bins is 1, got "relu"; leave it out',
    ),
    "distance_root_of_one": (
        distance(confidence="sqrt_product"),
        'distance_output.confidence: only where there is a further factor, got "sqrt_product"; give '
        "centerness_tensors",
    ),
    "distance_sums_of_softmax": (
        distance(score_sum_tensors=["q"], score_activation="softmax"),
        'distance_output.score_sum_tensors: a "softmax" has no use for them; leave score_sum_tensors out',
    ),
    "distance_landmarks_uncounted": (
        distance(landmarks_tensors=["p"]),
        "distance_output.keypoints: expected how many landmarks a box has; add it",
    ),
    "distance_keypoints_of_nothing": (
        distance(keypoints=5),
        "distance_output.keypoints: there are no landmarks; give landmarks_tensors or leave keypoints out",
    ),
    "distance_limb": (
        packed_distances("scores", "distances", "landmarks", keypoints=2, skeleton=[[1, 3]]),
        "distance_output.skeleton[0][1]: expected the number of a keypoint, 1 to 2, got 3",
    ),
    "distance_objectness": (
        distance(confidence="objectness"),
        'distance_output.confidence: expected "product" or "sqrt_product", got "objectness"',
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
    assert defaults["yolov3"] == {
        **YOLOV3,
        "scale_x_y": 1.0,
        "box_coding": "yolov3",
        "confidence": "product",
        "layout": "auto",
    }
    table = {**YOLOX, "coordinates": "pixels", "layout": "auto"}
    upright = {**table, "box_format": "cxcywh"}
    without_more = {"dimensions": 3, "keypoints_first": False, "keep_empty_masks": True}
    assert defaults["yolov5"] == {**upright, **without_more, "confidence": "product"}
    assert defaults["yolov8"] == upright
    assert defaults["yolov8_pose"] == {**upright, "keypoints": 17, "dimensions": 3}
    assert defaults["yolov8_obb"] == table
    masks = {"prototypes_tensor": "prototypes", "keep_empty_masks": True}
    assert defaults["yolov8_seg"] == {**upright, **masks}
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
        "dimensions": 3,
        "box_format": "xyxy",
        "classes": "rows",
        "masks_cover": "box",
        "keep_empty_masks": True,
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
    assert [kind for kind, output in outputs.items() if output.needs_input_size] == [
        *("yolov3", "yolox", "distance")
    ]
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


@pytest.mark.parametrize(
    ("fields", "yields"),
    [
        ({}, "boxes"),
        ({"columns": ["box", "score"], "classes_tensor": "labels"}, "boxes"),
        ({"columns": ["score", "keypoints", "box", "class"], "keypoints": 5, "dimensions": 2}, "keypoints"),
        ({"keypoints_tensor": "points", "keypoints": 17}, "keypoints"),
        ({"columns": ["box", "score", "class", "coefficients"], "prototypes_tensor": "protos"}, "masks"),
        ({"columns": ["box", "score", "class", "angle"], "box_format": "cxcywh"}, "oriented boxes"),
    ],
    ids=str,
)
def test_end_to_end_output_yields_what_its_columns_hold(fields: dict[str, Any], yields: str) -> None:
    output = EndToEndOutput.load({**PACKED, **fields})
    assert output.yields == yields
    assert output.nms_methods == (("hard",) if "angle" in output.columns else ("hard", "soft", "weighted"))
