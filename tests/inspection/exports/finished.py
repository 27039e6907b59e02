"""Finished detections in several tensors: torchvision's detectors, and TensorFlow's detection API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.inspection.exports.anchors import decoded, offsets_and_scores, priors_of
from tests.inspection.exports.building import Builder, Shape, Value
from tests.inspection.exports.cases import Case, Reads, Undecided
from tests.inspection.exports.one_box_a_cell import padded

SIDE, STRIDES, PER_CELL = 320, (16, 32), 3


def kept_of(graph: Builder, labels: int, most: int = 100) -> tuple[Value, Value, Value]:
    """Corners (n, 4) in [0, 1], scores (n,) and classes (n,) from 0, the best first."""
    offsets, logits = offsets_and_scores(graph, STRIDES, PER_CELL, labels, background=False)
    boxes = decoded(graph, offsets, priors_of(STRIDES, PER_CELL)).op("Clip", np.float32(0), np.float32(1))
    scores = logits.sigmoid().transpose(0, 2, 1)
    limits = (np.array([most], np.int64), np.float32([0.5]), np.float32([0.05]))
    kept = graph.op("NonMaxSuppression", boxes, scores, *limits)
    score = scores.op("GatherND", kept)
    count = graph.concat(score.size(0), np.array([most], np.int64), axis=0).op("ReduceMin", keepdims=1)
    best, order = graph.ops("TopK", 2, score, count, axis=0)
    image, label, box = kept.gather(order, axis=0).split(1, 1, 1)
    found = boxes.op("GatherND", graph.concat(image, box, axis=1))
    return found, best, label.squeeze(1)


def torchvision(
    names: Sequence[str],
    order: str = "boxes labels scores",
    image: Shape = (3, SIDE, SIDE),
    labels: int = 90,
    extra: str = "",
    first_label: int = 1,
) -> bytes:
    """Corners in pixels of the image; labels from 1 (0 is the background), RetinaNet's and FCOS' from 0."""
    graph = Builder(image, name="image")
    boxes, scores, classes = kept_of(graph, labels)
    rows = f"{names[0]}_dim_0"
    outputs: dict[str, tuple[Value, Shape, Any]] = {
        "boxes": (boxes * float(SIDE), (rows, 4), None),
        "labels": (classes + np.array(1, np.int64) if first_label else classes, (rows,), np.int64),
        "scores": (scores, (rows,), None),
    }
    for name, key in zip(names, order.split(), strict=False):
        graph.output(name, *outputs[key])
    pixels = graph.features(16, "Relu").conv(1).op("Flatten").squeeze(0).slice(0, 1, 0)
    if extra == "masks":  # pasted already
        masks = (scores.reshape(-1, 1, 1, 1) * graph.features(4).slice(0, 1, 1)).sigmoid()
        pasted = masks.op("Resize", np.zeros(0, np.float32), np.float32([1, 1, 4, 4]))
        graph.output(names[3] if len(names) > 3 else extra, pasted, (rows, 1, SIDE, SIDE))
    elif extra == "keypoints":
        places = boxes.reshape(-1, 1, 4).slice(0, 2) * np.ones((1, 17, 1), np.float32) * float(SIDE) + pixels
        seen = scores.reshape(-1, 1, 1) * np.zeros((1, 17, 1), np.float32) + 1.0
        graph.output(extra, graph.concat(places, seen, axis=2), (rows, 17, 3))
        graph.output("keypoints_scores", places.slice(0, 1).squeeze(2), (rows, 17))
    return graph.model()


def detectron2(more: str = "") -> bytes:
    """Detectron2's tracing: corners in pixels, classes from 0, scores, and the image's size."""
    graph = Builder((3, SIDE, SIDE), name="x.1")
    boxes, scores, classes = kept_of(graph, 80)
    graph.output("2774", boxes * float(SIDE), ("Gather2774_dim_0", 4))
    graph.output("2775", classes, ("Gather2774_dim_0",), np.int64)
    graph.output("2776", scores, ("Gather2774_dim_0",))
    if more == "masks":
        masks = (scores.reshape(-1, 1, 1, 1) * np.ones((1, 1, 28, 28), np.float32)).sigmoid()
        graph.output("2780", masks, ("Gather2774_dim_0", 1, 28, 28))
    size = graph.concat(graph.image.size(2), graph.image.size(3), axis=0)
    graph.output("onnx::Split_295", size, (2,), np.int64)
    return graph.model()


def two_images() -> bytes:
    """torchvision's list of two images: three outputs for each."""
    graph = Builder((3, SIDE, SIDE), name="first")
    first = graph.image
    graph.image = graph.noted(graph.input("second", (3, SIDE, SIDE)).unsqueeze(0), 3)
    for row, image in enumerate((first, graph.image)):
        graph.image = image
        boxes, scores, classes = kept_of(graph, 3)
        outputs = (
            (boxes * float(SIDE), (4,), None),
            (classes + np.array(1), (), np.int64),
            (scores, (), None),
        )
        for number, (value, shape, dtype) in enumerate(outputs):
            graph.output(f"{3 * row + number}", value, (f"rows_{row}", *shape), dtype)
    return graph.model()


def tensorflow(
    names: Sequence[str] | None = None,
    image: Shape = (1, "unk__10", "unk__11", 3),
    first_class: float = 1.0,
    suffix: str = "",
    raw: bool = False,
    **options: Any,
) -> bytes:
    """The detection API: boxes with y first in [0, 1], 100 of them, and how many count."""
    graph = Builder(
        image, producer="tf2onnx", **{"name": f"input_tensor{suffix}", "dtype": np.uint8, **options}
    )
    boxes, scores, classes = kept_of(graph, 90)
    turned = boxes.gather(np.array([1, 0, 3, 2]), axis=1)
    count = scores.size(0).cast()
    found = {
        "detection_boxes": (padded(graph, turned, 100, True), (1, 100, 4)),
        "detection_classes": (padded(graph, classes.cast() + first_class, 100, False), (1, 100)),
        "detection_scores": (padded(graph, scores, 100, False), (1, 100)),
        "num_detections": (count, (1,)),
    }
    for name, (value, shape) in zip(names or found, found.values(), strict=True):
        graph.output(f"{name}{suffix}", value, shape)
    if raw:
        offsets, logits = offsets_and_scores(graph, STRIDES, PER_CELL, 91, background=True)
        priors = priors_of(STRIDES, PER_CELL)
        corners = decoded(graph, offsets, priors).gather(np.array([1, 0, 3, 2]), axis=2)
        graph.output(f"raw_detection_boxes{suffix}", corners, (1, len(priors), 4))
        graph.output(f"raw_detection_scores{suffix}", logits.sigmoid(), (1, len(priors), 91))
    return graph.model()


TORCHVISION = Reads(
    "end_to_end_output",
    {"classes": "ids", "box_format": "xyxy"},
    None,
    (SIDE, SIDE),
    False,
    1,
    {"color_channels": "RGB", "pixel_scaling": 1},
)
TENSORFLOW = Reads(
    "direct_output",
    {"classes": "ids", "box_format": "yxyx"},
    None,
    None,
    False,
    1,
    {"dimension_order": "NHWC", "data_type": "UINT8", "pixel_scaling": 255},
)
FIXED: Shape = (1, SIDE, SIDE, 3)
TFLITE_NAMES = tuple(f"StatefulPartitionedCall:{row}" for row in (3, 2, 1, 0))

CASES = (
    Case("torchvision: faster r-cnn", lambda: torchvision(("boxes", "labels", "scores")), TORCHVISION),
    Case(
        "torchvision: faster r-cnn, numbers for names",
        lambda: torchvision(("2771", "2773", "2772")),
        TORCHVISION,
    ),
    Case(
        "torchvision: retinanet, free size, boxes, scores, labels",
        lambda: torchvision(
            ("boxes", "scores", "labels"), "boxes scores labels", (3, "height", "width"), 91, first_label=0
        ),
        TORCHVISION.but(input_size=(320, 320), first_id=0),
    ),
    Case(
        "torchvision: ssd of a list from a batch",
        lambda: torchvision(("boxes", "scores", "labels"), "boxes scores labels", (1, 3, SIDE, SIDE)),
        TORCHVISION,
    ),
    Case(
        "yolort: without a batch axis, labels from 0",
        lambda: torchvision(
            ("scores", "labels", "boxes"), "scores labels boxes", (1, 3, SIDE, SIDE), 80, first_label=0
        ),
        Undecided(TORCHVISION.but(fields={"classes": "rows"}, first_id=0, image={})),
    ),
    Case(
        "detectron2: classes from 0",
        detectron2,
        Undecided(TORCHVISION.but(fields={"classes": "rows"}, first_id=0, image={})),
    ),
    Case(
        "detectron2: mask r-cnn",
        lambda: detectron2("masks"),
        Undecided(
            TORCHVISION.but(
                fields={"classes": "rows", "masks_tensor": "2780", "masks_cover": "box"}, first_id=0, image={}
            )
        ),
    ),
    Case("torchvision: two images", two_images, Undecided()),
    Case(
        "torchvision: mask r-cnn",
        lambda: torchvision(("boxes", "labels", "scores"), extra="masks"),
        TORCHVISION.but(
            fields={
                **TORCHVISION.fields,
                "masks_tensor": "masks",
                "masks_cover": "image",
                "keep_empty_masks": True,
            }
        ),
    ),
    Case(
        "torchvision: mask r-cnn, numbers for names",
        lambda: torchvision(("2771", "2773", "2772", "3355"), extra="masks"),
        TORCHVISION.but(fields={**TORCHVISION.fields, "masks_tensor": "3355", "masks_cover": "image"}),
    ),
    Case(
        "torchvision: keypoint r-cnn",
        lambda: torchvision(("boxes", "labels", "scores"), labels=1, extra="keypoints"),
        TORCHVISION.but(
            fields={**TORCHVISION.fields, "keypoints_tensor": "keypoints", "keypoints": 17, "dimensions": 3}
        ),
    ),
    Case("tensorflow: detection api of TF 1", lambda: tensorflow(suffix=":0"), TENSORFLOW),
    Case("tensorflow: detection api of TF 2, raw boxes too", lambda: tensorflow(raw=True), TENSORFLOW),
    Case(
        "tensorflow: detection api, fixed size",
        lambda: tensorflow(image=FIXED, name="serving_default_input:0"),
        TENSORFLOW,
    ),
    Case(
        "tensorflow: TFLite_Detection_PostProcess, classes from 0",
        lambda: tensorflow(TFLITE_NAMES, FIXED, 0.0, name="serving_default_images:0"),
        Undecided(
            TENSORFLOW.but(
                kind="end_to_end_output",
                fields={"classes": "rows", "box_format": "yxyx"},
                first_id=0,
            )
        ),
    ),
)
