"""The whole post-processing of a spec and a version: which hypotheses are returned, where, in what order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np

from tests.reference.boxes import Box, clip, rounded
from tests.reference.decode import decode_classification, decode_detection, output_of
from tests.reference.hypothesis import Call, Hypothesis, Images, Size, rank
from tests.reference.nms import Rules, fast, hard, soft, weighted
from tests.reference.tensors import Tensors, image_size


class Transform(Protocol):
    """Where an image lies in the network's input: ``input = scale * image + offset``."""

    @property
    def scale(self) -> tuple[float, float]: ...  # x, y
    @property
    def offset(self) -> tuple[float, float]: ...  # x, y
    @property
    def input_size(self) -> tuple[int, int]: ...  # height, width
    @property
    def image_size(self) -> tuple[int, int]: ...  # height, width


class Row(NamedTuple):
    """One result."""

    label: int
    score: np.float32
    box: Box | None
    region: int
    predicted: bool


def run(
    spec: dict[str, Any],
    version: dict[str, Any],
    tensors: Tensors,
    *,
    show_discarded: bool = False,
    max_predictions: int = 100,
    input_size: Size | None = None,
    transforms: Sequence[Transform] | None = None,
    batch_size: int | None = None,
) -> list[list[list[Row]]]:
    """Return the rows of every image of every output of the spec."""
    results = []
    decoded = hypotheses(
        spec, version, tensors, input_size=input_size, transforms=transforms, batch_size=batch_size
    )
    for output, post, images in zip(spec["outputs"], version["post_processings"], decoded, strict=True):
        argument = _argument_for(post, version, input_size)
        rows_of_images = []
        for image, found in enumerate(images):
            transform = transforms[image] if transforms is not None else None
            if post.get("classification") is not None:
                rows = classify(found, thresholds_of(post, output), show_discarded)
            else:
                size = pixel_size(post["detection"], tensors, image, argument, transform)
                limits = thresholds_of(post, output)
                rows = detect(found, limits, post["detection"], size, transform, show_discarded)
            rows_of_images.append(rows[:max_predictions])
        results.append(rows_of_images)
    return results


def hypotheses(
    spec: dict[str, Any],
    version: dict[str, Any],
    tensors: Tensors,
    *,
    input_size: Size | None = None,
    transforms: Sequence[Transform] | None = None,
    batch_size: int | None = None,
) -> list[Images]:
    """Return, for every output of the spec, every image's hypotheses before any rule drops one."""
    if batch_size is None and transforms is not None:
        batch_size = len(transforms)
    decoded = []
    for output, post in zip(spec["outputs"], version["post_processings"], strict=True):
        argument = _argument_for(post, version, input_size)
        size_of = partial(_input_size, post.get("detection"), tensors, argument, transforms)
        call = Call([label["id"] for label in output["labels"]["labels"]], size_of, batch_size)
        if post.get("classification") is not None:
            decoded.append(decode_classification(post["classification"], tensors, call))
        else:
            decoded.append(decode_detection(post["detection"], tensors, call))
    return decoded


def _argument_for(post: dict[str, Any], version: dict[str, Any], argument: Size | None) -> Size | None:
    """Return a call's input size, where it is for this output: one in pixels, or none of the version is."""
    if _is_in_pixels(post) or not any(map(_is_in_pixels, version["post_processings"])):
        return argument
    return None


def _is_in_pixels(post: dict[str, Any]) -> bool:
    detection = post.get("detection")
    if detection is None:
        return False
    kind, output = output_of(detection)
    if output.get("coordinates") == "normalized":
        return kind.turns_in_pixels or kind.crops_in_pixels
    if kind.in_cells or detection.get("normalize_wrt_tensor"):
        return False
    return detection.get("input_size") is not None or kind.in_pixels


def _input_size(
    detection: dict[str, Any],
    tensors: Tensors,
    argument: Size | None,
    transforms: Sequence[Transform] | None,
    image: int,
) -> Size | None:
    return pixel_size(detection, tensors, image, argument, transforms[image] if transforms else None)


def thresholds_of(post: dict[str, Any], output: dict[str, Any]) -> list[np.float32]:
    """Return the threshold of each label, as declared or by default."""
    labels = output["labels"]
    default = 0.8
    if post.get("classification") is not None:
        default = 0.025 if labels["exclusive"] else 0.5
    declared = (post.get("classification") or post["detection"]).get("thresholds")
    if declared is None:
        declared = default
    each = declared if isinstance(declared, (list, tuple)) else [declared] * len(labels["labels"])
    return [np.float32(value) for value in each]


def classify(found: list[Hypothesis], thresholds: list[np.float32], show_discarded: bool) -> list[Row]:
    """Return the labels above their threshold, then the others if asked for."""
    finite = [one for one in found if np.isfinite(one.score)]
    predicted = [one for one in finite if one.score > thresholds[one.label]]
    discarded = [one for one in finite if show_discarded and not one.score > thresholds[one.label]]
    return [
        Row(one.label, one.score, None, one.region, group is predicted)
        for group in (predicted, discarded)
        for one in sorted(group, key=rank)
    ]


def detect(
    found: list[Hypothesis],
    thresholds: list[np.float32],
    detection: dict[str, Any],
    size: Size | None,
    transform: Transform | None,
    show_discarded: bool,
) -> list[Row]:
    """Return one image's boxes: the predicted ones, then the discarded ones if asked for."""
    found = [one for one in found if np.isfinite(one.score)]
    if not detection.get("multi_label", True):
        found = best_of_regions(found)
    found = [one for one in found if np.isfinite(one.corners).all()]
    if clips_first(detection):
        height, width = size or (1, 1)
        found = [replace(one, box=clip(one.corners, width, height)) for one in found]

    kind, _ = output_of(detection)
    rules = Rules(
        thresholds,
        np.float32(detection.get("discard_threshold", 0.025)) if show_discarded else None,
        detection.get("nms_thresholds")
        or [detection.get("nms_threshold", kind.nms_threshold)] * len(thresholds),
        detection.get("class_agnostic", False),
        detection.get("soft_sigma", 0.5),
        detection.get("iou") == "probiou",
    )
    method = {"hard": hard, "soft": soft, "weighted": weighted}[detection.get("nms_method", "hard")]
    if detection.get("suppression") == "fast":
        method = fast
    rows = []
    for one, predicted in method(found, rules):
        box = place(one.corners, size, transform)
        if box[2] > box[0] and box[3] > box[1]:
            rows.append(Row(one.label, one.score, box, one.region, predicted))
    return rows


def clips_first(detection: dict[str, Any]) -> bool:
    """Say whether boxes are clipped to the image before NMS, and not only after it."""
    kind, output = output_of(detection)
    return kind.clips_first or output.get("clip") == "before"


def best_of_regions(found: list[Hypothesis]) -> list[Hypothesis]:
    """Keep the highest score of each region, ties to the lower label row."""
    best: dict[int, Hypothesis] = {}
    for one in sorted(found, key=rank):
        best.setdefault(one.region, one)
    return list(best.values())


def pixel_size(
    detection: dict[str, Any],
    tensors: Tensors,
    image: int,
    argument: Size | None,
    transform: Transform | None,
) -> Size | None:
    """Return the height and width that the decoder's coordinates are pixels of; None: normalized."""
    kind, output = output_of(detection)
    if kind.in_cells or (output.get("coordinates") == "normalized" and not kind.turns_in_pixels):
        return None  # but the angle of an oriented box is one of pixels
    if detection.get("normalize_wrt_tensor"):
        return image_size(tensors[detection["normalize_wrt_tensor"]], image)
    if argument is not None:
        return argument
    declared = detection.get("input_size")
    if transform is not None and (declared is not None or kind.in_pixels):
        declared = transform.input_size
    return (declared[0], declared[1]) if declared is not None else None


def place(box: Box, size: Size | None, transform: Transform | None) -> Box:
    """Return a box relative to the image, clipped to [0, 1]: float64, rounded once, then clipped."""
    placed = [
        unclipped(value, axis, size, transform)
        for value, axis in zip(box.astype(np.float64), (0, 1, 0, 1), strict=True)  # x, y, x, y
    ]
    assert not any(math.isnan(value) for value in placed)
    return clip(rounded(placed), 1, 1)


def unclipped(value: float, axis: int, size: Size | None, transform: Transform | None) -> float:
    """Return a coordinate, x for axis 0, relative to the image."""
    if transform is None:
        return value / (1.0 if size is None else size[1 - axis])
    pixel = value if size is not None else value * transform.input_size[1 - axis]
    in_image = (pixel - transform.offset[axis]) / transform.scale[axis]
    return in_image / transform.image_size[1 - axis]
