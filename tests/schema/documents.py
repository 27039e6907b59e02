"""Valid documents, by name: what each test of the schema starts from."""

from __future__ import annotations

from typing import Any

from postproc.schema import PostProcessing, Preprocessing, RecognitionSpec, RecognitionVersion

LABELS: dict[str, Any] = {
    "labels": [{"id": 0, "name": "cat"}, {"id": 7, "name": "dog"}],
    "exclusive": False,
    "roi": "BBOX",
}
SPEC: dict[str, Any] = {"outputs": [{"labels": LABELS}]}
IMAGE: dict[str, Any] = {"target_size": "64x32"}
PREPROCESSING: dict[str, Any] = {"inputs": [{"tensor_name": "data", "image": IMAGE}]}
CLASSIFICATION: dict[str, Any] = {"output_tensor": "prob"}
ANCHORED: dict[str, Any] = {"anchors_tensor": "rois", "offsets_tensor": "bbox", "scores_tensor": "prob"}
DIRECT: dict[str, Any] = {"boxes_tensor": "boxes", "scores_tensor": "scores", "classes_tensor": "classes"}
YOLO: dict[str, Any] = {"output_tensor": "grid", "anchors": [1, 2]}
YOLOV3: dict[str, Any] = {"output_tensors": ["coarse", "fine"], "anchors": [1, 2, 3, 4]}
YOLOX: dict[str, Any] = {"output_tensor": "table"}
YUNET: dict[str, Any] = {
    "scores_tensors": ["cls_8", "cls_16"],
    "objectness_tensors": ["obj_8", "obj_16"],
    "boxes_tensors": ["bbox_8", "bbox_16"],
    "landmarks_tensors": ["kps_8", "kps_16"],
    "keypoints": 5,
    "strides": [8, 16],
}
DISTANCE: dict[str, Any] = {"scores_tensors": ["s"], "distances_tensors": ["d"], "strides": [8, 16]}
STANDARD: dict[str, Any] = {"boxes_tensor": "boxes", "scores_tensor": "scores"}
PACKED: dict[str, Any] = {"output_tensor": "rows"}
SEPARATE: dict[str, Any] = {**DIRECT}
SSD: dict[str, Any] = {"offsets_tensor": "offsets", "scores_tensor": "scores", "priors_tensor": "priors"}
DETECTION: dict[str, Any] = {"anchored_output": ANCHORED}

ACCEPTED: dict[str, tuple[type[Any], dict[str, Any]]] = {
    # The first four are v0.7's own examples.
    "v07_version": (
        RecognitionVersion,
        {
            "spec_id": 42,
            "network_id": 123,
            "post_processings": [
                {
                    "classification": {
                        "output_tensor": "inception_v3/logits/predictions",
                        "thresholds": [0.025, 0.025],
                    }
                }
            ],
        },
    ),
    "v07_anchored": (
        PostProcessing,
        {
            "detection": {
                "anchored_output": {
                    "anchors_tensor": "rois",
                    "scores_tensor": "cls_prob",
                    "offsets_tensor": "bbox_pred",
                },
                "discard_threshold": 0.025,
                "nms_threshold": 0.3,
                "normalize_wrt_tensor": "im_info",
            }
        },
    ),
    "v07_direct": (
        PostProcessing,
        {
            "detection": {
                "direct_output": {
                    "boxes_tensor": "detection_boxes:0",
                    "scores_tensor": "detection_scores:0",
                    "classes_tensor": "detection_classes:0",
                },
                "discard_threshold": 0.025,
                "nms_threshold": 0.3,
                "normalize_wrt_tensor": "",
            }
        },
    ),
    "v07_yolo": (
        PostProcessing,
        {
            "detection": {
                "yolo_output": {
                    "output_tensor": "import/output:0",
                    "anchors": [
                        1.3221,
                        1.73145,
                        3.19275,
                        4.00944,
                        5.05587,
                        8.09892,
                        9.47112,
                        4.84053,
                        11.2364,
                        10.0071,
                    ],
                },
                "discard_threshold": 0.025,
                "nms_threshold": 0.3,
                "normalize_wrt_tensor": "",
            }
        },
    ),
    "version_of_a_list": (
        RecognitionVersion,
        {
            "id": 301,
            "spec_id": 201,
            "spec_name": "pets",
            "network_id": "public-net",
            "network_name": "net",
            "update_date": "2026-11-23T12:24:21.922829Z",
        },
    ),
    "version_empty": (RecognitionVersion, {}),
    "version_of_a_server": (
        RecognitionVersion,
        {"update_date": None, "post_processings": [{"classification": CLASSIFICATION}], "task_id": 900001},
    ),
    "spec_smallest": (RecognitionSpec, SPEC),
    "spec_of_a_server": (
        RecognitionSpec,
        {
            "id": 201,
            "name": "pets",
            "description": "",
            "metadata": {"made_by": {"tool": [1, 2.5, None, True]}},
            "update_date": "2026-11-23",
            "current_version_id": None,
            "outputs": [{"labels": LABELS}],
            "task_id": None,
            "tags": {"a": [[]]},
        },
    ),
    "spec_public": (RecognitionSpec, {**SPEC, "id": "imagenet-inception-v1"}),
    "spec_label_ids_at_their_limits": (
        RecognitionSpec,
        {
            "outputs": [
                {
                    "labels": {
                        "labels": [{"id": -(2**63), "name": "same"}, {"id": 2**63 - 1, "name": "same"}],
                        "exclusive": True,
                        "roi": "NONE",
                    }
                }
            ]
        },
    ),
    "classification_all_fields": (
        PostProcessing,
        {"classification": {"output_tensor": "p", "thresholds": [0, 1], "score_activation": "softmax"}},
    ),
    "one_threshold_for_all": (PostProcessing, {"classification": {"output_tensor": "p", "thresholds": 1}}),
    "nms_thresholds": (
        PostProcessing,
        {"detection": {"yolov8_output": {"output_tensor": "o"}, "nms_thresholds": [0, 1], "thresholds": 0.4}},
    ),
    "nms_thresholds_weighted": (
        PostProcessing,
        {
            "detection": {
                "end_to_end_output": {"output_tensor": "o"},
                "nms_thresholds": [0.5],
                "nms_method": "weighted",
            }
        },
    ),
    "classification_quantized": (
        PostProcessing,
        {"classification": {"output_tensor": "p", "quantization": {"p": {"scale": 1, "zero_point": -128}}}},
    ),
    "distance_quantized": (
        PostProcessing,
        {
            "detection": {
                "distance_output": {
                    **DISTANCE,
                    "quantization": {
                        "s": {"scale": [0.5, 1e-45], "zero_point": [65535, -32768]},
                        "d": {"scale": 3.4e38},
                    },
                }
            }
        },
    ),
    "quantization_null": (
        PostProcessing,
        {"detection": {"yolov8_output": {"output_tensor": "o", "quantization": None}}},
    ),
    "anchored_all_fields": (
        PostProcessing,
        {
            "detection": {
                "anchored_output": {
                    **ANCHORED,
                    "anchors_format": "xywh",
                    "offsets_scale": [0.1, 0.1, 0.2, 1],
                    "score_activation": "sigmoid",
                    "background": "none",
                    "layout": "channels_first",
                },
                "thresholds": [0.4, 0.6],
                "nms_threshold": 1,
                "discard_threshold": 0,
                "input_size": [480, 640],
                "multi_label": False,
                "class_agnostic": True,
            }
        },
    ),
    "direct_all_fields": (
        PostProcessing,
        {
            "detection": {
                "direct_output": {
                    **DIRECT,
                    "box_format": "yxyx",
                    "score_activation": "none",
                    "classes": "rows",
                    "layout": "channels_last",
                }
            }
        },
    ),
    "yolo_all_fields": (PostProcessing, {"detection": {"yolo_output": {**YOLO, "layout": "auto"}}}),
    "yolov3_all_fields": (
        PostProcessing,
        {
            "detection": {
                "yolov3_output": {
                    "output_tensors": ["a", "b", "c"],
                    "anchors": [10, 13.5, 16, 30],
                    "anchor_masks": [[1], [0, 1], [0]],
                    "scale_x_y": [1.2, 1.1, 1],
                    "confidence": "objectness",
                    "layout": "channels_first",
                },
                "input_size": [416, 608],
            }
        },
    ),
    "yolov3_tiny": (
        PostProcessing,
        {"detection": {"yolov3_output": {**YOLOV3, "scale_x_y": 1.05}, "normalize_wrt_tensor": "size"}},
    ),
    "yolov5_all_fields": (
        PostProcessing,
        {
            "detection": {
                "yolov5_output": {
                    **YOLOX,
                    "box_format": "xywh",
                    "coordinates": "normalized",
                    "confidence": "objectness",
                    "keypoints": 5,
                    "dimensions": 2,
                    "keypoints_first": True,
                    "skeleton": [[1, 2]],
                    "layout": "channels_last",
                },
                "nms_method": "soft",
            }
        },
    ),
    "yolov5_masks": (
        PostProcessing,
        {
            "detection": {
                "yolov5_output": {**YOLOX, "prototypes_tensor": "p", "keep_empty_masks": False},
                "input_size": [320, 640],
            }
        },
    ),
    "yolov8_all_fields": (
        PostProcessing,
        {
            "detection": {
                "yolov8_output": {
                    **YOLOX,
                    "box_format": "xyxy",
                    "coordinates": "normalized",
                    "layout": "auto",
                },
                "input_size": [320, 640],
            }
        },
    ),
    "yolov8_obb_all_fields": (
        PostProcessing,
        {
            "detection": {
                "yolov8_obb_output": {**YOLOX, "coordinates": "normalized", "layout": "auto"},
                "iou": "probiou",
                "suppression": "fast",
            }
        },
    ),
    "yolov8_seg_all_fields": (
        PostProcessing,
        {
            "detection": {
                "yolov8_seg_output": {
                    **YOLOX,
                    "prototypes_tensor": "p",
                    "box_format": "yxyx",
                    "coordinates": "pixels",
                    "layout": "auto",
                }
            }
        },
    ),
    "yolov8_pose_all_fields": (
        PostProcessing,
        {
            "detection": {
                "yolov8_pose_output": {
                    **YOLOX,
                    "keypoints": 17,
                    "dimensions": 2,
                    "box_format": "cxcywh",
                    "coordinates": "normalized",
                    "skeleton": [[16, 14], [14, 12]],
                    "layout": "auto",
                }
            }
        },
    ),
    "yolox_all_fields": (
        PostProcessing,
        {
            "detection": {
                "yolox_output": {
                    **YOLOX,
                    "strides": [8, 16, 32, 64],
                    "score_activation": "sigmoid",
                    "confidence": "objectness",
                    "layout": "auto",
                },
                "nms_method": "weighted",
                "nms_threshold": 0.5,
            }
        },
    ),
    "yolox_levels_all_fields": (
        PostProcessing,
        {"detection": {"yolox_output": {**YUNET, "confidence": "sqrt_product", "layout": "auto"}}},
    ),
    "ssd_landmarks": (
        PostProcessing,
        {
            "detection": {
                "ssd_output": {
                    **SSD,
                    "landmarks_tensor": "marks",
                    "keypoints": 5,
                    "skeleton": [[1, 2], [2, 3]],
                }
            }
        },
    ),
    "yolov3_of_v5": (
        PostProcessing,
        {
            "detection": {
                "yolov3_output": {**YOLOV3, "box_coding": "yolov5", "layout": "anchors_first"},
                "input_size": [320, 640],
            }
        },
    ),
    "distance_all_fields": (
        PostProcessing,
        {
            "detection": {
                "distance_output": {
                    "scores_tensors": ["s8", "s16"],
                    "distances_tensors": ["d8", "d16"],
                    "output_tensors": None,
                    "columns": ["distances", "scores"],
                    "centerness_tensors": ["c8", "c16"],
                    "landmarks_tensors": ["all"],
                    "score_sum_tensors": ["sum8", "sum16"],
                    "strides": [8, 16],
                    "anchors_per_cell": 2,
                    "cell_offset": 0,
                    "bins": 17,
                    "first_bin": -2,
                    "distance_unit": "pixels",
                    "distance_activation": "none",
                    "score_activation": "sigmoid",
                    "background": "last",
                    "confidence": "sqrt_product",
                    "keypoints": 5,
                    "skeleton": [[1, 5]],
                    "layout": "channels_first",
                },
                "input_size": [320, 640],
            }
        },
    ),
    "distance_packed": (
        PostProcessing,
        {
            "detection": {
                "distance_output": {
                    "output_tensors": ["t"],
                    "columns": ["scores", "centerness", "landmarks", "distances"],
                    "strides": [4, 8, 16, 32, 64, 128],
                    "distance_activation": "exp",
                    "keypoints": 5,
                }
            }
        },
    ),
    "standard_all_fields": (
        PostProcessing,
        {
            "detection": {
                "standard_output": {
                    **STANDARD,
                    "box_format": "cxcywh",
                    "score_activation": "softmax",
                    "background": "last",
                    "clip": "before",
                    "layout": "channels_first",
                },
                "nms_method": "soft",
                "soft_sigma": 0.3,
                "nms_threshold": 1,
            }
        },
    ),
    "end_to_end_packed": (PostProcessing, {"detection": {"end_to_end_output": PACKED}}),
    "end_to_end_packed_all_fields": (
        PostProcessing,
        {
            "detection": {
                "end_to_end_output": {
                    **PACKED,
                    "boxes_tensor": None,
                    "columns": ["class", "score", "box"],
                    "count_tensor": "count",
                    "box_format": "yxyx",
                    "classes": "ids",
                },
                "nms_threshold": 0.7,
                "nms_method": "weighted",
            }
        },
    ),
    "end_to_end_image_column": (
        PostProcessing,
        {"detection": {"end_to_end_output": {**PACKED, "columns": ["image", "class", "score", "box"]}}},
    ),
    "end_to_end_separate": (
        PostProcessing,
        {"detection": {"end_to_end_output": {**SEPARATE, "count_tensor": "count"}}},
    ),
    "end_to_end_classes_apart": (
        PostProcessing,
        {
            "detection": {
                "end_to_end_output": {**PACKED, "columns": ["box", "score"], "classes_tensor": "labels"}
            }
        },
    ),
    "end_to_end_poses": (
        PostProcessing,
        {
            "detection": {
                "end_to_end_output": {
                    **PACKED,
                    "columns": ["image", "box", "score", "class", "keypoints"],
                    "keypoints": 5,
                    "dimensions": 2,
                    "skeleton": [[1, 2], [1, 3]],
                }
            }
        },
    ),
    "end_to_end_poses_apart": (
        PostProcessing,
        {
            "detection": {
                "end_to_end_output": {
                    **SEPARATE,
                    "columns": ["box", "score", "class"],
                    "keypoints_tensor": "keypoints",
                    "keypoints": 17,
                }
            }
        },
    ),
    "end_to_end_masks": (
        PostProcessing,
        {
            "detection": {
                "end_to_end_output": {
                    **PACKED,
                    "columns": ["box", "score", "class", "coefficients"],
                    "prototypes_tensor": "prototypes",
                }
            }
        },
    ),
    "end_to_end_oriented": (
        PostProcessing,
        {
            "detection": {
                "end_to_end_output": {
                    **PACKED,
                    "columns": ["box", "score", "class", "angle"],
                    "box_format": "cxcywh",
                }
            }
        },
    ),
    "end_to_end_masks_all_fields": (
        PostProcessing,
        {
            "detection": {
                "end_to_end_output": {
                    **SEPARATE,
                    "masks_tensor": "masks",
                    "masks_cover": "image",
                    "keep_empty_masks": False,
                }
            }
        },
    ),
    "ssd_smallest": (PostProcessing, {"detection": {"ssd_output": SSD}}),
    "ssd_all_fields": (
        PostProcessing,
        {
            "detection": {
                "ssd_output": {
                    "offsets_tensor": "raw_boxes",
                    "scores_tensor": "raw_scores",
                    "priors": [[0.5, 0.5, 1, 1], [0.1, -0.5, 0.25, 2e-3]],
                    "priors_format": "yxyx",
                    "offsets_scale": [0.0078125, 0.0078125, 0.0078125, 1],
                    "offsets_order": "yxhw",
                    "size_coding": "linear",
                    "score_activation": "sigmoid",
                    "background": "none",
                    "layout": "channels_last",
                }
            }
        },
    ),
    "null_is_left_out": (PostProcessing, {"classification": CLASSIFICATION, "detection": None}),
    "preprocessing_smallest": (Preprocessing, PREPROCESSING),
    "preprocessing_faster_rcnn": (
        Preprocessing,
        {
            "inputs": [
                {
                    "tensor_name": "data",
                    "image": {
                        "dimension_order": "NCHW",
                        "resize_type": "NETWORK",
                        "target_size": "800",
                        "color_channels": "BGR",
                        "pixel_scaling": 255.0,
                        "mean_file": "means/mean.npy",
                        "data_type": "FLOAT32",
                    },
                },
                {"tensor_name": "im_info", "constant": {"shape": [3], "data": ["data.1", "data.2", 1.0]}},
            ],
            "batched_output": False,
        },
    ),
    "preprocessing_without_batch_axis": (Preprocessing, {**PREPROCESSING, "batched_input": False}),
    "preprocessing_letterbox": (
        Preprocessing,
        {
            "inputs": [
                {
                    "tensor_name": "images:0.x",
                    "image": {
                        "dimension_order": "NHWC",
                        "resize_type": "FILL",
                        "target_size": "640x480",
                        "color_channels": "RGB",
                        "pixel_scaling": 1,
                        "mean": [0.485, 0.456, 0],
                        "mean_file": "",
                        "std": [0.229, 0.224, 1],
                        "pad_value": [114, 114, 114.5],
                        "pad_align": "top_left",
                        "rounding": "half_even",
                        "data_type": "FLOAT16",
                    },
                },
                {"tensor_name": "size", "constant": {"shape": [1, 2], "data": ["images:0.x.0", 7]}},
                {"tensor_name": "scalar", "constant": {"shape": [], "data": [-1]}},
            ]
        },
    ),
    "preprocessing_grey": (
        Preprocessing,
        {
            "inputs": [
                {
                    "tensor_name": "grey",
                    "image": {
                        **IMAGE,
                        "color_channels": "L",
                        "resize_type": "FILL",
                        "mean": [1],
                        "pad_value": 0,
                    },
                }
            ]
        },
    ),
}
