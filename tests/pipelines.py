"""One post-processor of each kind of output, with tensors in which it finds something."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from postproc import (
    AnchoredOutput,
    Classification,
    DirectOutput,
    PostProcessor,
    Recognitions,
    SegmentedDetections,
    YoloOutput,
)
from postproc.schema import (
    EndToEndOutput,
    SsdOutput,
    StandardOutput,
    Yolov3Output,
    Yolov5Output,
    Yolov8ObbOutput,
    Yolov8Output,
    Yolov8PoseOutput,
    Yolov8SegOutput,
    YoloxOutput,
)

Tensors = dict[str, NDArray[Any]]

LABELS = ["cat", "dog", "owl"]
IDS = [7, 3, 2**60]
OUTPUTS = {
    "anchored": AnchoredOutput(
        anchors_tensor="anchors", offsets_tensor="offsets", scores_tensor="scores", background="last"
    ),
    "direct": DirectOutput(boxes_tensor="boxes", scores_tensor="scores", classes_tensor="classes"),
    "yolo": YoloOutput(output_tensor="grid", anchors=(1.0, 2.0, 2.5, 1.5)),
    "yolov8": Yolov8Output(output_tensor="table"),
    "yolov5": Yolov5Output(output_tensor="table"),
    "yolox": YoloxOutput(output_tensor="table", strides=(4,)),
    "yolov3": Yolov3Output(output_tensors=("fine", "coarse"), anchors=(4.0, 8.0, 10.0, 6.0)),
    "standard": StandardOutput(boxes_tensor="boxes", scores_tensor="scores"),
    "end_to_end": EndToEndOutput(output_tensor="rows"),
    "ssd": SsdOutput(
        offsets_tensor="offsets", scores_tensor="scores", priors_tensor="priors", priors_format="xyxy"
    ),
    "yolov8_pose": Yolov8PoseOutput(output_tensor="table", keypoints=2),
    "yolov8_obb": Yolov8ObbOutput(output_tensor="table"),
    "yolov8_seg": Yolov8SegOutput(output_tensor="table", prototypes_tensor="prototypes"),
}
# Kinds that cannot do without; of yolox 5 x 8 cells.
SIZES = {"yolox": (20, 32), "yolov3": (20, 32)}
KINDS = ("classification", *OUTPUTS)
BOXES = 40


def post_processor(kind: str, num_threads: int = 1, **decision: Any) -> PostProcessor:
    """Build a post-processor of a kind of output for `LABELS`."""
    options: dict[str, Any] = {"thresholds": 0.4, "label_ids": IDS, "num_threads": num_threads}
    if kind in SIZES:
        options["input_size"] = SIZES[kind]
    if kind == "classification":
        output = Classification(output_tensor="scores")
        return PostProcessor.for_classification(LABELS, output, **options)
    return PostProcessor.for_detection(LABELS, OUTPUTS[kind], **{**options, **decision})


def tensors_of(kind: str, images: int = 3, seed: int = 0) -> Tensors:
    """Make random tensors, float32 but for class ids."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 0.7, (images, BOXES, 2))
    corners = np.concatenate([low, low + rng.uniform(0.05, 0.3, low.shape)], axis=2)
    scores = rng.random((images, BOXES, len(LABELS)))
    if kind == "classification":
        made = {"scores": scores[:, 0]}
    elif kind == "anchored":
        made = {
            "anchors": corners,
            "offsets": rng.normal(0, 0.1, (images, BOXES, 4)),
            "scores": np.concatenate([scores, scores[:, :, :1]], axis=2),
        }
    elif kind == "direct":
        made = {
            "boxes": corners,
            "scores": scores[:, :, 0],
            "classes": rng.choice([*IDS, -1], (images, BOXES)),
        }
    elif kind == "yolo":
        made = {"grid": rng.normal(0, 2, (images, 4, 5, 2 * (5 + len(LABELS))))}
    elif kind == "yolov3":
        channels = 5 + len(LABELS)
        made = {
            "fine": rng.normal(1, 2, (images, 5, 8, channels)),
            "coarse": rng.normal(1, 2, (images, 2, 4, channels)),
        }
    elif kind == "standard":
        made = {"boxes": corners, "scores": scores}
    elif kind == "end_to_end":
        classes = rng.integers(-1, len(LABELS), (images, BOXES, 1))
        made = {"rows": np.concatenate([corners, scores[:, :, :1], classes], axis=2)}
    elif kind == "ssd":
        made = {
            "priors": corners,
            "offsets": rng.normal(0, 1, (images, BOXES, 4)),
            "scores": np.concatenate([scores[:, :, :1], scores], axis=2),
        }
    else:
        is_v8 = kind.startswith("yolov8")
        objectness = [] if is_v8 else [rng.uniform(0.5, 1, (images, BOXES, 1))]
        table = np.concatenate([low + 0.1, rng.uniform(0.05, 0.3, low.shape), *objectness, scores], axis=2)
        more = {
            "yolov8_pose": rng.random((images, BOXES, 6)),
            "yolov8_obb": rng.uniform(-2, 2, (images, BOXES, 1)),
            "yolov8_seg": rng.normal(0, 1, (images, BOXES, 4)),
        }
        if kind in more:
            table = np.concatenate([table, more[kind]], axis=2)
        made = {"table": table.transpose(0, 2, 1) if is_v8 else table}
        if kind == "yolov8_seg":
            made["prototypes"] = rng.normal(0, 1, (images, 4, 12, 10))
    return {
        name: np.ascontiguousarray(tensor, np.int64 if name == "classes" else np.float32)
        for name, tensor in made.items()
    }


def assert_same(actual: Recognitions, expected: Recognitions) -> None:
    """Check that two results are equal, bit for bit."""
    for one, other in zip(actual.outputs, expected.outputs, strict=True):
        assert type(one) is type(other)
        frames = ["frames"] if isinstance(one, SegmentedDetections) else []
        names = ["offsets", "is_cut", *one._columns(), *frames]
        for name in names:
            assert_array_equal(getattr(one, name), getattr(other, name), strict=True)


def count(results: Recognitions) -> int:
    """Count the rows of all outputs."""
    return sum(len(output.labels) for output in results.outputs)
