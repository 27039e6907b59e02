"""Small built-in cases, one or more of each kind of output, whose right answers come with the package.

Their tensors are made of exact steps only, so that they have the same bits on every machine. The answers
(``answers.json``) are computed by the slow reference in ``tests/reference``, which shares no code with this
package: ``python -m tests.doctor_answers`` writes them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.pipeline import PostProcessor

Tensors = dict[str, NDArray[Any]]

LABELS = 3
IMAGES = 2
BOXES = 150  # more than two blocks of the kernels' loops, and no multiple of them
MOST = 10
MASK_SIDE = 16
_SIDE = 64  # of the input, in pixels
_IDS = (7, 3, 11)

ANSWERS = "answers.json"


@dataclass(frozen=True, eq=False, slots=True)
class Case:
    """A call whose answer is known.

    Parameters
    ----------
    name : str
        Kind of output, and what is special about the case.
    task : dict
        The post-processing, as in a version: ``{"detection": {...}}``.
    tensors : dict of array
        What the network returned.
    options : dict
        Of the call.
    """

    name: str
    task: dict[str, Any]
    tensors: Tensors
    options: dict[str, Any] = field(default_factory=lambda: {"max_predictions": MOST})

    @property
    def spec(self) -> dict[str, Any]:
        """The spec of three labels."""
        labels = [{"id": id_, "name": f"label {row}"} for row, id_ in enumerate(_IDS)]
        roi = "NONE" if "classification" in self.task else "BBOX"
        return {"outputs": [{"labels": {"labels": labels, "exclusive": True, "roi": roi}}]}

    @property
    def version(self) -> dict[str, Any]:
        """The version of one post-processing."""
        return {"post_processings": [self.task]}

    def post_processor(self) -> PostProcessor:
        """Compile the documents."""
        return PostProcessor(self.spec, self.version)


def load_answers() -> dict[str, Any]:
    """Read the answers: a list of images for each case, of rows as `tests.doctor_answers` writes them."""
    answers: dict[str, Any] = json.loads((files(__package__) / ANSWERS).read_text("utf-8"))
    return answers


def uniform(seed: int, *shape: int) -> NDArray[np.float32]:
    """Give numbers in [0, 1) that depend on nothing but the seed: 24 bits of a multiplied counter."""
    state = np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64) + np.uint64(seed * 1_000_003)
    for factor in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):  # those of splitmix64
        state = (state ^ (state >> np.uint64(30))) * np.uint64(factor)
    top = (state ^ (state >> np.uint64(31))) >> np.uint64(40)
    return (top.astype(np.float32) / np.float32(2**24)).reshape(shape)


def all_cases() -> list[Case]:
    """Build every case."""
    corners = _corners(1)
    scores = uniform(2, IMAGES, BOXES, LABELS)
    four = uniform(3, IMAGES, BOXES, LABELS + 1)
    centres = (uniform(4, IMAGES, BOXES, 2) * np.float32(0.8) + np.float32(0.1)) * np.float32(_SIDE)
    sizes = (uniform(5, IMAGES, BOXES, 2) * np.float32(0.25) + np.float32(0.05)) * np.float32(_SIDE)
    table = np.concatenate([centres, sizes, scores], axis=2)
    parts = uniform(14, IMAGES, BOXES, 2), uniform(23, IMAGES, BOXES, 2)
    points = [centres + sizes * (part - np.float32(0.5)) for part in parts]
    objectness = uniform(6, IMAGES, BOXES, 1)
    offsets = _logits(7, 2, IMAGES, BOXES, 4)
    classes = np.asarray(_IDS, np.int64)[(uniform(8, IMAGES, BOXES) * LABELS).astype(np.int64)]
    rows = (uniform(9, IMAGES, BOXES, 1) * LABELS).astype(np.int64).astype(np.float32)
    angles = _logits(15, 3, IMAGES, BOXES, 1)
    coefficients = _logits(16, 2, IMAGES, BOXES, 4)
    prototypes = _logits(17, 2, IMAGES, 4, 12, 12)
    channels = 5 + LABELS
    standard = {"boxes": corners, "scores": scores}
    levels = {"fine": (8, 8), "coarse": (4, 4)}
    discarded = {"max_predictions": MOST, "show_discarded": True}
    high = {"thresholds": [0.97, 0.98, 0.99], "discard_threshold": 0.6}  # so that some of them are discarded

    def columns_first(*parts: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.ascontiguousarray(np.concatenate(parts, axis=2).transpose(0, 2, 1))

    return [
        Case(
            "classification",
            {"classification": {"output_tensor": "scores", "thresholds": [0.4] * LABELS}},
            {"scores": scores[:, 0]},
        ),
        Case(
            "classification, softmax",
            {"classification": {"output_tensor": "logits", "score_activation": "softmax"}},
            {"logits": _logits(10, 6, IMAGES, LABELS)},
        ),
        Case(
            "anchored_output",
            _detection(
                "anchored_output", anchors_tensor="anchors", offsets_tensor="offsets", scores_tensor="scores"
            ),
            {"anchors": corners, "offsets": offsets, "scores": four},
        ),
        Case(
            "direct_output",
            _detection(
                "direct_output",
                boxes_tensor="boxes",
                scores_tensor="scores",
                classes_tensor="classes",
                decision=high,
            ),
            {"boxes": corners, "scores": scores[:, :, 0].copy(), "classes": classes},
            discarded,
        ),
        Case(
            "yolo_output",
            _detection("yolo_output", output_tensor="grid", anchors=[1.0, 2.0, 2.5, 1.5]),
            {"grid": _logits(11, 8, IMAGES, 7, 9, 2 * channels)},
        ),
        Case(
            "yolov3_output",
            _detection(
                "yolov3_output",
                output_tensors=["fine", "coarse"],
                anchors=[5.0, 9.0, 20.0, 14.0],
                layout="channels_last",
                pixels=True,
            ),
            {
                "fine": _logits(12, 8, IMAGES, 8, 8, channels),
                "coarse": _logits(13, 8, IMAGES, 4, 4, channels),
            },
        ),
        Case(
            "yolov3_output, YOLOv5's grid",
            _detection(
                "yolov3_output",
                output_tensors=["grid"],
                anchors=[5.0, 9.0, 20.0, 14.0],
                box_coding="yolov5",
                pixels=True,
            ),
            {"grid": _logits(22, 8, IMAGES, 2, 8, 8, channels)},
        ),
        Case(
            "yolov5_output",
            _detection("yolov5_output", output_tensor="table", pixels=True),
            {"table": np.concatenate([centres, sizes, objectness, scores], axis=2)},
        ),
        Case(
            "yolov5_output, landmarks",
            _detection(
                "yolov5_output",
                output_tensor="table",
                keypoints=2,
                dimensions=2,
                keypoints_first=True,
                pixels=True,
            ),
            {"table": np.concatenate([centres, sizes, objectness, *points, scores], axis=2)},
        ),
        Case(
            "yolov5_output, masks",
            _detection("yolov5_output", output_tensor="table", prototypes_tensor="masks", pixels=True),
            {
                "table": np.concatenate([centres, sizes, objectness, scores, coefficients], axis=2),
                "masks": prototypes,
            },
        ),
        Case(
            "yolov8_output",
            _detection("yolov8_output", output_tensor="table", pixels=True, decision=high),
            {"table": columns_first(table)},
            discarded,
        ),
        Case(
            "yolov8_output, float16",
            _detection("yolov8_output", output_tensor="table", pixels=True, decision=high),
            {"table": columns_first(table).astype(np.float16)},
            discarded,
        ),
        Case(
            "yolov8_output, uint16",
            _detection(
                "yolov8_output",
                output_tensor="table",
                quantization={"table": {"scale": 1 / 1024, "zero_point": 100}},
                pixels=True,
                decision=high,
            ),
            {"table": (columns_first(table) * np.float32(1024)).astype(np.uint16) + np.uint16(100)},
            discarded,
        ),
        Case(
            "yolov8_pose_output",
            _detection("yolov8_pose_output", output_tensor="table", keypoints=2, pixels=True),
            {"table": columns_first(table, points[0], parts[1][:, :, :1], points[1], parts[0][:, :, :1])},
        ),
        Case(
            "yolov8_obb_output",
            _detection("yolov8_obb_output", output_tensor="table", pixels=True),
            {"table": columns_first(table, angles)},
        ),
        Case(
            "yolov8_obb_output, as ultralytics",
            _detection(
                "yolov8_obb_output",
                output_tensor="table",
                pixels=True,
                decision={"iou": "probiou", "suppression": "fast"},
            ),
            {"table": columns_first(table, angles)},
            discarded,
        ),
        Case(
            "yolov8_seg_output",
            _detection("yolov8_seg_output", output_tensor="table", prototypes_tensor="masks", pixels=True),
            {"table": columns_first(table, coefficients), "masks": prototypes},
        ),
        Case(
            "yolox_output",
            _detection("yolox_output", output_tensor="table", strides=[8, 16], pixels=True),
            {
                "table": np.concatenate(
                    [_logits(18, 2, IMAGES, 80, 4), uniform(19, IMAGES, 80, 1 + LABELS)], axis=2
                )
            },
        ),
        Case(
            "yolox_output, YuNet's levels",
            _detection(
                "yolox_output",
                scores_tensors=["cls_8", "cls_16"],
                objectness_tensors=["obj_8", "obj_16"],
                boxes_tensors=["bbox_8", "bbox_16"],
                landmarks_tensors=["kps_8", "kps_16"],
                keypoints=2,
                strides=[8, 16],
                confidence="sqrt_product",
                pixels=True,
            ),
            {
                f"{name}_{stride}": made(IMAGES, (_SIDE // stride) ** 2, columns)
                for stride in (8, 16)
                for name, columns, made in (
                    ("cls", LABELS, partial(uniform, 24 + stride)),
                    ("obj", 1, partial(uniform, 25 + stride)),
                    ("bbox", 4, partial(_logits, 26 + stride, 2)),
                    ("kps", 4, partial(_logits, 27 + stride, 2)),
                )
            },
        ),
        Case(
            "standard_output",
            _detection(
                "standard_output", boxes_tensor="boxes", scores_tensor="scores", score_activation="sigmoid"
            ),
            {"boxes": corners, "scores": _logits(20, 8, IMAGES, BOXES, LABELS)},
        ),
        Case(
            "standard_output, softmax",
            _detection(
                "standard_output", boxes_tensor="boxes", scores_tensor="scores", score_activation="softmax"
            ),
            {"boxes": corners, "scores": _logits(21, 8, IMAGES, BOXES, LABELS)},
        ),
        *(
            Case(
                f"standard_output, {method} NMS",
                _standard(decision={"nms_method": method}),
                standard,
            )
            for method in ("soft", "weighted")
        ),
        Case(
            "standard_output, float16",
            _standard(),
            {name: tensor.astype(np.float16) for name, tensor in standard.items()},
        ),
        Case(
            "standard_output, uint8",
            _standard(quantization={"scores": {"scale": 1 / 256}}),
            {"boxes": corners, "scores": (scores * np.float32(256)).astype(np.uint8)},
        ),
        Case(
            "end_to_end_output",
            _detection("end_to_end_output", output_tensor="rows"),
            {"rows": np.concatenate([corners, objectness, rows], axis=2)},
        ),
        Case(
            "end_to_end_output, classes apart",
            _detection(
                "end_to_end_output",
                output_tensor="rows",
                columns=["box", "score"],
                classes_tensor="classes",
                classes="ids",
            ),
            {"rows": np.concatenate([corners, objectness], axis=2), "classes": classes},
        ),
        Case(
            "end_to_end_output, oriented boxes",
            _rows(
                "angle",
                box_format="cxcywh",
                pixels=True,
                decision={"iou": "probiou", "nms_threshold": 0.1},  # where the exact index keeps others
            ),
            {"rows": np.concatenate([centres, sizes, objectness, rows, angles], axis=2)},
        ),
        Case(
            "end_to_end_output, keypoints",
            _rows("keypoints", box_format="cxcywh", keypoints=2, dimensions=2, pixels=True),
            {"rows": np.concatenate([centres, sizes, objectness, rows, *points], axis=2)},
        ),
        Case(
            "end_to_end_output, mask coefficients",
            _rows("coefficients", prototypes_tensor="prototypes"),
            {
                "rows": np.concatenate([corners, objectness, rows, coefficients], axis=2),
                "prototypes": prototypes,
            },
        ),
        Case(
            "end_to_end_output, pasted masks",
            _detection(
                "end_to_end_output",
                boxes_tensor="boxes",
                scores_tensor="scores",
                classes_tensor="classes",
                masks_tensor="masks",
            ),
            {
                "boxes": corners,
                "scores": objectness[:, :, 0].copy(),
                "classes": rows[:, :, 0].copy(),
                "masks": uniform(61, IMAGES, BOXES, LABELS, 5, 5),
            },
        ),
        Case(
            "ssd_output",
            _detection(
                "ssd_output",
                offsets_tensor="offsets",
                scores_tensor="scores",
                priors_tensor="priors",
                priors_format="xyxy",
            ),
            {"offsets": offsets, "scores": four, "priors": corners},
        ),
        Case(
            "distance_output",
            _detection(
                "distance_output",
                output_tensors=["fine", "coarse"],
                strides=[8, 16],
                bins=5,
                score_activation="sigmoid",
                pixels=True,
            ),
            {name: _logits(22, 8, IMAGES, 20 + LABELS, *cells) for name, cells in levels.items()},
        ),
        Case(
            "distance_output, landmarks",
            _detection(
                "distance_output",
                scores_tensors=["scores"],
                distances_tensors=["distances"],
                centerness_tensors=["centerness"],
                landmarks_tensors=["landmarks"],
                strides=[8, 16],
                anchors_per_cell=2,
                cell_offset=0,
                keypoints=2,
                confidence="sqrt_product",
                pixels=True,
            ),
            {
                "scores": uniform(23, IMAGES, 160, LABELS),
                "distances": uniform(24, IMAGES, 160, 4) * np.float32(2),
                "centerness": uniform(25, IMAGES, 160, 1),
                "landmarks": _logits(26, 4, IMAGES, 160, 4),
            },
        ),
        Case(
            "ssd_output, landmarks",
            _detection(
                "ssd_output",
                offsets_tensor="offsets",
                scores_tensor="scores",
                priors_tensor="priors",
                landmarks_tensor="landmarks",
                keypoints=2,
                priors_format="xyxy",
            ),
            {
                "offsets": offsets,
                "scores": four,
                "priors": corners,
                "landmarks": _logits(60, 4, IMAGES, BOXES, 4),
            },
        ),
    ]


def _detection(
    kind: str, *, pixels: bool = False, decision: dict[str, Any] | None = None, **output: Any
) -> dict[str, Any]:
    detection = {kind: output, "thresholds": [0.45, 0.5, 0.55], "nms_threshold": 0.4, **(decision or {})}
    if pixels:
        detection["input_size"] = [_SIDE, _SIDE]
    return {"detection": detection}


def _standard(**options: Any) -> dict[str, Any]:
    return _detection("standard_output", boxes_tensor="boxes", scores_tensor="scores", **options)


def _rows(more: str, **options: Any) -> dict[str, Any]:
    columns = ["box", "score", "class", more]
    return _detection("end_to_end_output", output_tensor="rows", columns=columns, **options)


def _corners(seed: int) -> NDArray[np.float32]:
    low = uniform(seed, IMAGES, BOXES, 2) * np.float32(0.7)
    sides = uniform(seed + 100, IMAGES, BOXES, 2) * np.float32(0.25) + np.float32(0.05)
    return np.concatenate([low, low + sides], axis=2)


def _logits(seed: int, width: float, *shape: int) -> NDArray[np.float32]:
    """Give numbers in [-width / 2, width / 2)."""
    return (uniform(seed, *shape) - np.float32(0.5)) * np.float32(width)
