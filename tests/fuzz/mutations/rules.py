"""Documents that break a rule which spans several fields, or both documents."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from postproc import SchemaError
from tests.fuzz.mutations.documents import one_of
from tests.fuzz.mutations.registry import Broken, Function, Registry, Rng
from tests.kinds import KINDS, kinds_with

REGISTRY = Registry(SchemaError)

OTHER_OUTPUTS: dict[str, Any] = {
    "yolov8_output": {"output_tensor": "other"},
    "yolo_output": {"output_tensor": "other", "anchors": [1, 2]},
    "direct_output": {"boxes_tensor": "a", "scores_tensor": "b", "classes_tensor": "c"},
    "standard_output": {},
}


def tasks(broken: Broken) -> Iterator[tuple[str, Any]]:
    """Yield the path and the object of each classification and detection."""
    for row, post in enumerate(broken.version["post_processings"]):
        for kind, task in post.items():
            yield f"post_processings[{row}].{kind}", task


def detections(broken: Broken, kind: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and the object of each detection, or of those of a kind of output."""
    for path, task in tasks(broken):
        if path.endswith("detection") and (not kind or f"{kind}_output" in task):
            yield path, task


def outputs(broken: Broken, *kinds: str) -> Iterator[tuple[str, Any]]:
    """Yield the path and the object of each output of some kinds."""
    for path, task in detections(broken):
        for field, output in task.items():
            if field.removesuffix("_output") in kinds:
                yield f"{path}.{field}", output


def nms_methods(task: Any) -> tuple[str, ...]:
    """Return the ways of NMS that suit a detection's kind of output."""
    return next(
        KINDS[field.removesuffix("_output")].output.nms_methods for field in task if field.endswith("_output")
    )


def to_one_of(find: Callable[..., Iterable[Any]], *kinds: str) -> Callable[[Callable[..., Any]], Function]:
    """Let a function break one of the objects that `find` yields; it takes the path and the object as well.

    Without any, the mutation does not apply.
    """

    def decorate(function: Callable[..., Any]) -> Function:
        @functools.wraps(function)
        def mutation(broken: Broken, rng: Rng) -> Broken | None:
            found = one_of(rng, find(broken, *kinds))
            return None if found is None else function(broken, rng, *found)

        return mutation

    return decorate


@REGISTRY.add
def count_of_thresholds(broken: Broken, rng: Rng) -> Broken | None:
    path, task = one_of(rng, tasks(broken))
    labels = len(broken.spec["outputs"][int(path[17 : path.index("]")])]["labels"]["labels"])
    count = int(one_of(rng, [0, labels - 1, labels + 1, labels + 100]))
    field = one_of(
        rng, [field for field in ("thresholds", "nms_thresholds") if field in task] or ["thresholds"]
    )
    task[field] = [0.5] * count
    return broken.names(f"{path}.{field}")


@REGISTRY.add
@to_one_of(detections)
def two_kinds_of_output(broken: Broken, rng: Rng, path: str, task: Any) -> Broken:
    kind = one_of(rng, [kind for kind in OTHER_OUTPUTS if kind not in task])
    task[kind] = OTHER_OUTPUTS[kind]
    return broken.names(path)


@REGISTRY.add
@to_one_of(detections)
def no_kind_of_output(broken: Broken, rng: Rng, path: str, task: Any) -> Broken:
    (kind,) = [field for field in task if field.endswith("_output")]
    if rng.random() < 0.5:
        del task[kind]
    else:
        task[kind] = None
    return broken.names(path)


@REGISTRY.add
def classification_and_detection(broken: Broken, rng: Rng) -> Broken | None:
    row = int(rng.integers(len(broken.version["post_processings"])))
    broken.version["post_processings"][row] |= {
        "classification": {"output_tensor": "other"},
        "detection": {"yolov8_output": {"output_tensor": "other"}},
    }
    return broken.names(f"post_processings[{row}]")


@REGISTRY.add
def neither_classification_nor_detection(broken: Broken, rng: Rng) -> Broken | None:
    row = int(rng.integers(len(broken.version["post_processings"])))
    broken.version["post_processings"][row] = one_of(rng, [{}, {"detection": None}])
    return broken.names(f"post_processings[{row}]")


@REGISTRY.add
def repeated_label_id(broken: Broken, rng: Rng) -> Broken | None:
    row = int(rng.integers(len(broken.spec["outputs"])))
    labels = broken.spec["outputs"][row]["labels"]["labels"]
    if len(labels) < 2:
        return None
    first, second = sorted(rng.choice(len(labels), 2, replace=False).tolist())
    labels[second]["id"] = labels[first]["id"]
    return broken.names(f"outputs[{row}].labels.labels[{second}].id")


@REGISTRY.add
def count_of_post_processings(broken: Broken, rng: Rng) -> Broken | None:
    posts = broken.version["post_processings"]
    if rng.random() < 0.5:
        posts.append(posts[-1])
    else:
        posts.pop()
    return broken.names("post_processings")


@REGISTRY.add
def no_post_processings(broken: Broken, rng: Rng) -> Broken | None:
    if rng.random() < 0.5:
        broken.version["post_processings"] = None
    else:
        del broken.version["post_processings"]
    return broken.names("post_processings")


@REGISTRY.add
def other_roi(broken: Broken, rng: Rng) -> Broken | None:
    row = int(rng.integers(len(broken.spec["outputs"])))
    labels = broken.spec["outputs"][row]["labels"]
    labels["roi"] = "BBOX" if labels["roi"] == "NONE" else "NONE"
    return broken.names(f"post_processings[{row}]")


@REGISTRY.add
def other_spec(broken: Broken, rng: Rng) -> Broken | None:
    broken.spec["id"], broken.version["spec_id"] = one_of(rng, [(1, 2), ("a", "b"), (1, "1")])
    return broken.names("spec_id")


@REGISTRY.add
@to_one_of(detections)
def two_sizes(broken: Broken, rng: Rng, path: str, task: Any) -> Broken:
    task |= {"input_size": [5, 5], "normalize_wrt_tensor": "im_info"}
    return broken.names(f"{path}.input_size", f"{path}.normalize_wrt_tensor")


@REGISTRY.add
@to_one_of(detections)
def sigma_without_soft(broken: Broken, rng: Rng, path: str, task: Any) -> Broken:
    task |= {"soft_sigma": 0.25, "nms_method": "hard"}
    return broken.names(f"{path}.soft_sigma")


@REGISTRY.add
@to_one_of(detections)
def weighted_without_nms(broken: Broken, rng: Rng, path: str, task: Any) -> Broken | None:
    if "weighted" not in nms_methods(task):
        return None
    task.pop("soft_sigma", None)
    task |= {"nms_method": "weighted"}
    if "nms_thresholds" in task:
        row = int(rng.integers(len(task["nms_thresholds"])))
        task["nms_thresholds"] = [0.5] * row + [one_of(rng, [1, 1.0])]
        return broken.names(f"{path}.nms_thresholds[{row}]")
    task["nms_threshold"] = one_of(rng, [1, 1.0])
    return broken.names(f"{path}.nms_threshold")


@REGISTRY.add
@to_one_of(detections)
def nms_thresholds_that_do_not_suit(broken: Broken, rng: Rng, path: str, task: Any) -> Broken:
    task.pop("nms_threshold", None)
    task["nms_thresholds"] = [0.5]
    task |= one_of(rng, [{"nms_threshold": 0.5}, {"class_agnostic": True}, {"nms_method": "soft"}])
    return broken.names(f"{path}.nms_thresholds")


@REGISTRY.add
@to_one_of(detections)
def method_that_does_not_suit(broken: Broken, rng: Rng, path: str, task: Any) -> Broken | None:
    others = [method for method in ("soft", "weighted") if method not in nms_methods(task)]
    if not others:
        return None
    task.pop("nms_thresholds", None)
    task["nms_method"] = one_of(rng, others)
    return broken.names(f"{path}.nms_method")


@REGISTRY.add
@to_one_of(outputs, *kinds_with("anchors"))
def odd_count_of_anchors(broken: Broken, rng: Rng, path: str, output: Any) -> Broken:
    if rng.random() < 0.5:
        output["anchors"].append(1)
    else:
        output["anchors"].pop()
    return broken.names(f"{path}.anchors")


@REGISTRY.add
@to_one_of(outputs, "yolov3")
def masks_that_do_not_fit(broken: Broken, rng: Rng, path: str, output: Any) -> Broken:
    grids, anchors = len(output["output_tensors"]), len(output["anchors"]) // 2
    masks = [[0]] * grids
    output["anchor_masks"], place = one_of(
        rng,
        [
            ([*masks, [0]], ""),
            ([[anchors], *masks[1:]], "[0][0]"),
            ([[0, 0], *masks[1:]], "[0][1]"),
            ([[], *masks[1:]], "[0]"),
        ],
    )
    return broken.names(f"{path}.anchor_masks{place}")


@REGISTRY.add
@to_one_of(outputs, "yolov3")
def grids_that_do_not_fit(broken: Broken, rng: Rng, path: str, output: Any) -> Broken:
    names = output["output_tensors"]
    field, value = one_of(
        rng,
        [
            ("output_tensors", [*names, names[0]]),
            ("output_tensors", [f"grid {row}" for row in range(6)]),
            ("scale_x_y", [1.0] * (len(names) + 1)),
        ],
    )
    output[field] = value
    return broken.names(f"{path}.{field}")


@REGISTRY.add
@to_one_of(outputs, "end_to_end")
def columns_that_do_not_fit(broken: Broken, rng: Rng, path: str, output: Any) -> Broken:
    field, columns = "columns", output.get("columns", ["box", "score", "class"])
    if "output_tensor" not in output:
        output[field] = ["score", "box", "class"]
    elif rng.random() < 0.3:
        others = [column for column in columns if column != "image"]
        output |= {"columns": ["image", *others], "count_tensor": "count"}
        field = "count_tensor"
    else:
        missing = [column for column in columns if column != "score"]
        output[field] = one_of(rng, [missing, [*columns, "box"], ["image"] * 2 + columns])
    return broken.names(f"{path}.{field}")


@REGISTRY.add
@to_one_of(outputs, "end_to_end", "ssd")
def forms_together(broken: Broken, rng: Rng, path: str, output: Any) -> Broken:
    """Give both or none of what only one may be given of."""
    if path.endswith("ssd_output"):
        for name in ("priors", "priors_tensor"):
            output.pop(name, None)
        if rng.random() < 0.5:
            output |= {"priors": [[0, 0, 1, 1]], "priors_tensor": "priors"}
    else:
        output |= {"output_tensor": "rows", "boxes_tensor": "boxes"}
    return broken.names(path)


@REGISTRY.add
@to_one_of(outputs, "yolov5", "yolov8_seg")
def one_tensor_for_two(broken: Broken, rng: Rng, path: str, output: Any) -> Broken:
    output["prototypes_tensor"] = output["output_tensor"]
    return broken.names(f"{path}.prototypes_tensor")


@REGISTRY.add
@to_one_of(detections)
def tensor_that_divides_normalized_boxes(broken: Broken, rng: Rng, path: str, task: Any) -> Broken | None:
    (kind,) = [field for field in task if field.endswith("_output")]
    if kind.removesuffix("_output") not in kinds_with("coordinates"):
        return None
    task[kind]["coordinates"] = "normalized"
    task["normalize_wrt_tensor"] = "im_info"
    return broken.names(f"{path}.normalize_wrt_tensor")


@REGISTRY.add
@to_one_of(outputs, *kinds_with("confidence"))
def objectness_of_several_labels(broken: Broken, rng: Rng, path: str, output: Any) -> Broken | None:
    labels = broken.spec["outputs"][int(path[17 : path.index("]")])]["labels"]["labels"]
    if len(labels) == 1:
        return None
    output["confidence"] = "objectness"
    return broken.names(f"{path}.confidence")


@REGISTRY.add
@to_one_of(detections, "yolo")
def size_of_normalized_boxes(broken: Broken, rng: Rng, path: str, task: Any) -> Broken:
    field, value = one_of(rng, [("input_size", [5, 5]), ("normalize_wrt_tensor", "im_info")])
    task[field] = value
    return broken.names(f"{path}.{field}")


def quantizable(output: Any) -> list[str]:
    """Return the tensors of an output that may have a quantization."""
    named = []
    for field, value in output.items():
        if field.endswith("_tensor") and field not in ("classes_tensor", "count_tensor"):
            named.append(value)
        elif field.endswith("_tensors"):
            named += value or []
    return [name for name in named if name is not None]


@REGISTRY.add
@to_one_of(outputs, *KINDS)
def quantization_of_no_tensor(broken: Broken, rng: Rng, path: str, output: Any) -> Broken | None:
    integers = [output[field] for field in ("classes_tensor", "count_tensor") if output.get(field)]
    name = one_of(rng, ["other", "", f"{one_of(rng, quantizable(output))} ", *integers])
    output["quantization"] = {name: {"scale": 0.5}}
    return broken.names(f"{path}.quantization")


@REGISTRY.add
@to_one_of(outputs, *KINDS)
def quantization_that_is_none(broken: Broken, rng: Rng, path: str, output: Any) -> Broken | None:
    """A scale or a zero point is none, or their lists differ."""
    wrong: list[Any] = [
        *({}, {"zero_point": 0}, {"scale": 0}, {"scale": []}, {"scale": [1, -1]}, {"scale": "1"}),
        *({"scale": 1, "zero_point": 2**16}, {"scale": 1, "zero_point": 0.5}, {"scale": 1, "axis": 0}),
        *({"scale": [1, 2], "zero_point": [1, 2, 3]}, {"scale": 1e39}, {"scale": 1e-46}, [], 0.5),
    ]
    output["quantization"] = {one_of(rng, quantizable(output)): one_of(rng, wrong)}
    return broken.names(f"{path}.quantization")
