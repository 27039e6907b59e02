"""Calls everything in every form, and prints the signatures that kernels were compiled for.

``python -m tests.every_call`` does so, and says how many arrays each part left behind: with NUMBA_NRT_STATS=1
numba counts them. With the argument ``warmup`` it warms up a post-processor of each kind of
output, and prints the kernels that its first calls still had to compile. It is a process of its own, since
in that of the tests all kernels have been called.
"""

from __future__ import annotations

import gc
import importlib
import json
import pkgutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.array_forms import FORMS, changed

Array = NDArray[Any]
Forms = list[Callable[[Array], Any]]


def signatures() -> dict[str, list[str]]:
    """Give the signatures of each kernel that has any."""
    each = {name: [str(signature) for signature in value.signatures] for name, value in _dispatchers()}
    return {name: found for name, found in each.items() if found}


def kernels() -> set[str]:
    """Give the names of all kernels that Python may call."""
    options = {name: value.targetoptions for name, value in _dispatchers()}
    return {name for name, of in options.items() if not (of.get("no_cpython_wrapper") or "inline" in of)}


def _dispatchers() -> Iterator[tuple[str, Any]]:
    package = importlib.import_module("postproc.kernels")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if hasattr(value, "signatures") and value.py_func.__module__ == module.name:
                yield f"{module.name}.{name}", value


def kept_by(function: Callable[..., None], *arguments: Any) -> int:
    """Call a function, and return how many arrays of kernels nobody gave back."""
    from numba.core.runtime import rtsys

    gc.collect()
    before = rtsys.get_allocation_stats()
    function(*arguments)
    gc.collect()
    after = rtsys.get_allocation_stats()
    assert after.mi_alloc > before.mi_alloc
    return int((after.mi_alloc - before.mi_alloc) - (after.mi_free - before.mi_free))


def all_forms() -> Forms:
    """Give the forms of arrays, and the types of floating numbers."""
    return [*FORMS.values(), *(partial(as_dtype, dtype) for dtype in (np.float16, np.float64))]


def as_dtype(dtype: Any, array: Array) -> Array:
    return array.astype(dtype) if array.dtype == np.float32 else array


def call(post: Any, tensors: dict[str, Any], images: int = 3) -> None:
    """Call a post-processor with options of several types."""
    from postproc import ImageTransform

    height, width = (20, 32)  # of which a YOLOX has the cells
    in_every_form(post(tensors))
    post(tensors, show_discarded=True, max_predictions=np.int32(3), input_size=(height, np.float32(width)))
    post(tensors, show_discarded=np.True_, max_predictions=0, input_size=np.array([height, width]))
    transforms = [ImageTransform.squash((height, width), (7, 6))] * images
    post(tensors, max_predictions=10**9, transforms=transforms, batch_size=np.int64(images))


def in_every_form(batch: Any) -> None:
    """Ask for what is computed on request only."""
    batch.to_dicts()
    for found in batch.outputs:
        if hasattr(found, "boxes"):
            found.to_coco(list(range(len(found))), (8, np.int32(9)))
        if hasattr(found, "masks"):
            for image in range(len(found)):
                found[image].masks(np.array([5, 6]))


def call_kind(kind: str) -> None:
    from tests.pipelines import OUTPUTS, post_processor, tensors_of

    post = post_processor(kind, num_threads=2)
    for form in all_forms():
        post(changed(tensors_of(kind), form))
    for images in (0, 1, 4):
        call(post, tensors_of(kind, images), images)
    if kind != "classification":
        agnostic: dict[str, Any] = {"multi_label": False, "class_agnostic": True, "nms_threshold": 0}
        call(post_processor(kind, **agnostic), tensors_of(kind))
        call(post.replace(nms_thresholds=[0.3, 0.5, 1]), tensors_of(kind))
        low: dict[str, Any] = {"nms_threshold": 1, "discard_threshold": 0, "thresholds": [0, 0.5, 1]}
        call(post_processor(kind, **low), tensors_of(kind))
        for method in OUTPUTS[kind].nms_methods[1:]:
            call(post_processor(kind, nms_method=method, nms_threshold=0.5), tensors_of(kind))


def call_other_layouts() -> None:
    from postproc import PostProcessor
    from tests.kinds import kinds_with
    from tests.pipelines import LABELS, OUTPUTS, post_processor, tensors_of

    sized = post_processor("direct", normalize_wrt_tensor="im_info")
    for sizes in ([3, 4], [[3.0, 4.0, 1.0]] * 3):
        call(sized, {**tensors_of("direct"), "im_info": np.array(sizes)})
    grid = tensors_of("yolo")["grid"]
    for layout in (grid.transpose(0, 3, 1, 2), grid.reshape(*grid.shape[:3], 2, -1)):
        call(post_processor("yolo"), {"grid": layout})
    for kind in kinds_with("coordinates"):
        tensors = tensors_of(kind)
        call(post_processor(kind), {**tensors, "table": tensors["table"].transpose(0, 2, 1)})
        output = OUTPUTS[kind].model_copy(update={"coordinates": "normalized"})
        call(PostProcessor.for_detection(LABELS, output, thresholds=0.4, input_size=[20, 32]), tensors)


def call_every_option(activation: Any) -> None:
    from postproc import AnchoredOutput, Classification, DirectOutput, PostProcessor
    from tests.pipelines import LABELS, OUTPUTS, tensors_of

    classification = Classification(output_tensor="scores", score_activation=activation)
    call(PostProcessor.for_classification(LABELS, classification), tensors_of("classification"))

    anchored = tensors_of("anchored")
    for background, columns in (("first", 4), ("last", 4), ("none", 3)):
        scores = anchored["scores"][:, :, :columns]
        described = {"background": background, "score_activation": activation, "anchors_format": "cxcywh"}
        output = AnchoredOutput(**{**OUTPUTS["anchored"].dump(), **described})
        for multi_label in (True, False):
            post = PostProcessor.for_detection(LABELS, output, thresholds=0.3, multi_label=multi_label)
            call(post, {**anchored, "scores": scores})
            call(post, {**anchored, "anchors": anchored["anchors"][0], "scores": scores.transpose(0, 2, 1)})

    direct = tensors_of("direct")
    columns_of = {name: np.repeat(direct[name][:, :, np.newaxis], 3, axis=2) for name in direct}
    rows = {"classes": "rows", "score_activation": activation, "box_format": "yxyx"}
    post = PostProcessor.for_detection(
        LABELS, DirectOutput(**{**OUTPUTS["direct"].dump(), **rows}), thresholds=0.3
    )
    call(post, columns_of)
    call(post, {**columns_of, "boxes": direct["boxes"]})


def call_every_operation() -> None:
    from postproc import ops
    from tests.pipelines import tensors_of

    direct = {name: tensor[0] for name, tensor in tensors_of("direct").items()}
    numbers = np.arange(40)
    for form in all_forms():
        boxes, scores = form(direct["boxes"]), form(direct["scores"])
        for threshold in (0, 0.5, np.float64(0.5), 1):
            ops.nms(boxes, scores, threshold)
            for groups in (numbers, numbers.astype(np.uint8), numbers * 10**9, form(direct["classes"])):
                ops.batched_nms(boxes, scores, groups, threshold)
        ops.box_iou(boxes, boxes)
        ops.box_area(boxes)
        oriented = form(np.concatenate([direct["boxes"], direct["scores"][:, np.newaxis]], axis=1))
        ops.oriented_box_iou(oriented, oriented)
        ops.clip_boxes(boxes, [3, 4])
        for box_format in ("xyxy", "xywh", "cxcywh", "yxyx"):
            ops.box_convert(boxes, "cxcywh", box_format)
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 100, (5000, 2))
    many = np.concatenate([low, low + rng.uniform(0, 3, low.shape)], axis=1)
    ops.nms(many, rng.random(5000), 0.5)
    ops.batched_nms(many, rng.random(5000), rng.integers(0, 3, 5000), 0.5)


def call_calibration() -> None:
    """Choose thresholds, also of no detections, and validate them."""
    from postproc.evaluation.matches import Matches
    from postproc.evaluation.ranked_matches import RankedMatches
    from postproc.evaluation.threshold_choice import Objective, Variant
    from postproc.evaluation.validation import cross_validate

    for rows in (0, 3):
        image, score = np.arange(rows), np.ones(rows, np.float32)
        objects = np.zeros((rows, 2), np.int64)
        matches = Matches(image, 0 * image, score, 0 * image, objects, 4)
        old = np.full(1, 0.5)
        for objective in (Objective(), Objective("precision", 1), Objective("false_positives", 0)):
            variants = [Variant(0.3, RankedMatches.of(matches, 1))]
            cross_validate(variants, old, 0 * old, np.ones(1, np.bool_), objective, folds=2, draws=10)


def call_matching() -> None:
    from postproc.evaluation.ground_truth import GroundTruth
    from postproc.evaluation.matches import match
    from tests.evaluation.scenes import all_of, random_scene, spec_of
    from tests.pipelines import post_processor, tensors_of

    document = random_scene(0, images=3).truth_document()
    truth = all_of(GroundTruth.load(document, spec_of()))
    for kind in ("direct", "yolov8_seg"):
        match(post_processor(kind)(tensors_of(kind)).outputs[0], truth, 1)


def compiled_late(kind: str) -> list[str]:
    """Name the kernels that a post-processor compiles or loads in its first calls after its warm-up."""
    for name in [name for name in sys.modules if name.startswith(("postproc", "tests."))]:
        del sys.modules[name]
    pipelines = importlib.import_module("tests.pipelines")
    tensors, post = pipelines.tensors_of(kind), pipelines.post_processor(kind, num_threads=2)
    assert not signatures()
    post.warmup(["float32", "float16"])
    warm = signatures()
    assert len(warm) > 1
    in_every_form(post(tensors))
    post(changed(tensors, partial(as_dtype, np.float16)), show_discarded=True, input_size=(20, 32))
    described = importlib.import_module("tests.kinds").KINDS
    if kind in described and (name := described[kind].two_layouts):
        post({**tensors, name: np.moveaxis(tensors[name], -1, 1)})
    return [name for name, found in signatures().items() if found != warm.get(name)]


if __name__ == "__main__":
    from tests.pipelines import KINDS

    if sys.argv[1:] == ["warmup"]:
        print(json.dumps({kind: compiled_late(kind) for kind in KINDS}))  # noqa: T201
    else:
        call_every_operation()  # numba counts from the first kernel on
        calls: dict[str, Callable[[], None]] = {kind: partial(call_kind, kind) for kind in KINDS}
        calls["other layouts"] = call_other_layouts
        for activation in ("none", "sigmoid", "softmax"):
            calls[f"options, {activation}"] = partial(call_every_option, activation)
        calls |= {
            "operations": call_every_operation,
            "matching": call_matching,
            "calibration": call_calibration,
        }
        kept = {name: kept_by(function) for name, function in calls.items()}
        print(json.dumps({"signatures": signatures(), "kept": kept}))  # noqa: T201
