"""Numbers that no network should write, in every tensor of every kind of output, against the reference."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc import Detections
from postproc.results.segmented import SegmentedDetections
from tests.comparison import assert_equals_reference
from tests.pipelines import IDS, KINDS, OUTPUTS, Tensors, post_processor, tensors_of
from tests.strategies import Case, near_tie

Array = NDArray[Any]

HOSTILE = np.array(
    [
        *(np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 1.1754942e-38, 1e-20, 1e-10),
        *(1e10, -1e10, 1e20, 1e30, -1e30, 3.4028235e38, -3.4028235e38, 0.5, 1.0, -1.0, 88.8, -104.0),
    ],
    np.float32,
)  # fmt: skip


def filled(value: float) -> Callable[[Array, np.random.Generator], Array]:
    return lambda array, rng: np.full_like(array, value)


def sprinkled(share: float, numbers: Array = HOSTILE) -> Callable[[Array, np.random.Generator], Array]:
    """Replace a share of the numbers by hostile ones."""

    def spoil(array: Array, rng: np.random.Generator) -> Array:
        return np.where(rng.random(array.shape) < share, rng.choice(numbers, array.shape), array)

    return spoil


PATTERNS: dict[str, Callable[[Array, np.random.Generator], Array]] = {
    **{f"all {value:g}": filled(value) for value in (np.nan, np.inf, -np.inf, 1e-45, 1e30, 3.4028235e38)},
    **{f"all {value:g}": filled(value) for value in (-3.4028235e38, 0.0, 0.5, 1.0)},
    "negated": lambda array, rng: -array,
    "reversed": lambda array, rng: array[..., ::-1].copy(),
    "few": sprinkled(0.1),
    "most": sprinkled(0.9),
    "denormal": sprinkled(0.9, np.array([1e-45, 3e-45, 1e-40, 1e-38, -1e-45, 0.5], np.float32)),
    "huge": lambda array, rng: (array * np.float32(1e38)).astype(np.float32),
    "tiny": lambda array, rng: (array * np.float32(1e-38)).astype(np.float32),
}
BOXES = 12


def few_boxes(tensors: Tensors) -> Tensors:
    """Fewer boxes of those kinds that have a list of them, for the reference is slow."""
    return {
        name: np.ascontiguousarray(np.take(tensor, range(BOXES), tensor.shape.index(40)))
        if 40 in tensor.shape
        else tensor
        for name, tensor in tensors.items()
    }


FLOATS = [
    (kind, name)
    for kind in KINDS
    for name, tensor in tensors_of(kind, images=1).items()
    if tensor.dtype == np.float32
]


def spoiled(kind: str, name: str, pattern: str) -> Tensors:
    rng = np.random.default_rng([FLOATS.index((kind, name)), list(PATTERNS).index(pattern)])
    tensors = tensors_of(kind, images=1)
    if kind not in ("yolox", "distance"):  # whose boxes are as many as the cells of its input
        tensors = few_boxes(tensors)
    names = [other for other in tensors if name in ("*", other)]
    with np.errstate(all="ignore"):
        return {**tensors, **{other: PATTERNS[pattern](tensors[other], rng) for other in names}}


def with_probabilities(kind: str, tensors: Tensors) -> Tensors:
    """Bring what should be probabilities to 0..1 where scores are products of them.

    Of a box whose objectness is not above the threshold nothing more is read, so that a probability of 2
    cannot make up for it: that is no rule of the reference.
    """
    if kind not in ("yolov5", "yolox"):
        return tensors
    table = tensors["table"].copy()
    scores = table[..., 4:]
    scores[...] = np.where(np.isfinite(scores), np.clip(scores, 0, 1), scores)
    return {**tensors, "table": table}


def case_of(kind: str, tensors: Tensors, **decision: Any) -> tuple[Case, Any]:
    post = post_processor(kind, **decision)
    options = {"show_discarded": True, "max_predictions": 50, "input_size": None, "transforms": None}
    return Case(post.spec.dump(), post.version.dump(), tensors, options), post


def assert_is_sound(post: Any, tensors: Tensors) -> None:
    """Check that a result is finite, in the image and in order, and that it can be written as JSON."""
    before = {name: tensor.tobytes() for name, tensor in tensors.items()}
    batch = post(tensors, show_discarded=True)
    json.dumps(batch.to_dicts(), allow_nan=False)
    (found,) = batch.outputs
    assert np.isfinite(found.scores).all()
    for predicted in (True, False):
        assert (np.diff(found.scores[found.predicted == predicted]) <= 0).all()
    assert (np.diff(found.predicted.astype(int)) <= 0).all()
    if isinstance(found, Detections):
        x1, y1, x2, y2 = found.boxes.T
        assert ((x1 >= 0) & (y1 >= 0) & (x1 < x2) & (y1 < y2) & (x2 <= 1) & (y2 <= 1)).all()
        json.dumps(found.to_coco([5], (7, 9)), allow_nan=False)
    if isinstance(found, SegmentedDetections):
        assert len(found.masks((7, 9))) == len(found.to_rle((7, 9))) == len(found.labels)
    assert {name: tensor.tobytes() for name, tensor in tensors.items()} == before


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(("kind", "name"), FLOATS)
def test_call_hostile_numbers_in_a_tensor_equal_reference(kind: str, name: str, pattern: str) -> None:
    tensors = spoiled(kind, name, pattern)
    _, post = case_of(kind, tensors)
    assert_is_sound(post, tensors)
    case, _ = case_of(kind, with_probabilities(kind, tensors))
    if not near_tie(case):
        assert_equals_reference(case)


LOW: dict[str, dict[str, Any]] = {
    "all pass": {"thresholds": 0.0, "discard_threshold": 0.0},
    "agnostic, best label": {"thresholds": 0.0, "class_agnostic": True, "multi_label": False},
    "no nms": {"thresholds": 0.0, "nms_threshold": 1.0},
    "any overlap": {"thresholds": 0.0, "nms_threshold": 0.0},
    "soft": {"thresholds": 0.1, "nms_method": "soft"},
    "weighted": {"thresholds": 0.1, "nms_method": "weighted", "nms_threshold": 0.5},
}


@pytest.mark.parametrize("pattern", ["few", "most", "denormal", "all 0.5", "huge"])
@pytest.mark.parametrize("decision", LOW)
@pytest.mark.parametrize("kind", OUTPUTS)
def test_call_hostile_numbers_in_all_tensors_equal_reference(kind: str, decision: str, pattern: str) -> None:
    if LOW[decision].get("nms_method", "hard") not in OUTPUTS[kind].nms_methods:
        pytest.skip("oriented boxes know hard NMS only")
    rng = np.random.default_rng(list(PATTERNS).index(pattern))
    tensors = tensors_of(kind, images=1)
    if kind not in ("yolox", "distance"):
        tensors = few_boxes(tensors)
    for name, tensor in tensors.items():
        with np.errstate(all="ignore"):
            tensors[name] = PATTERNS[pattern](tensor, rng) if tensor.dtype == np.float32 else tensor
    _, post = case_of(kind, tensors, **LOW[decision])
    assert_is_sound(post, tensors)
    case, _ = case_of(kind, with_probabilities(kind, tensors), **LOW[decision])
    if not near_tie(case) and not (decision == "soft" and kind == "yolo"):
        assert_equals_reference(case)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_call_hostile_class_ids_are_of_no_label(dtype: Any) -> None:
    numbers = [np.nan, -np.nan, np.inf, -np.inf, 7.5, -1.0, -0.0, 1e30, 2.0**63, -(2.0**63), 3.0, 7.0]
    with np.errstate(all="ignore"):
        classes = np.array([numbers], np.float64).astype(dtype)
    tensors = few_boxes(tensors_of("direct", images=1))
    tensors["scores"][:] = 0.9
    found = post_processor("direct", nms_threshold=1.0)({**tensors, "classes": classes}).outputs[0]
    assert sorted(found.label_ids.tolist()) == [3, 7]


def test_call_signalling_nan_is_dropped_without_a_warning() -> None:
    scores = np.full((1, 3), 0.9)
    scores.view(np.uint64)[0, 1] = 0x7FF0000000000001
    found = post_processor("classification")({"scores": scores}).outputs[0]
    assert found.labels.tolist() == [0, 2]
    classes = np.full((1, BOXES), 7, np.float32)
    classes.view(np.uint32)[0, 1] = 0x7F800001
    tensors = few_boxes(tensors_of("direct", images=1))
    post = post_processor("direct", nms_threshold=1.0, thresholds=0.0)
    assert len(post({**tensors, "classes": classes}).outputs[0].labels) == BOXES - 1


def test_call_long_doubles_beyond_float64_are_infinite_without_a_warning() -> None:
    if np.finfo(np.longdouble).max == np.finfo(np.float64).max:
        pytest.skip("long doubles are doubles here")
    huge = np.longdouble("1e4000")
    tensors = few_boxes(tensors_of("direct", images=1))
    none = post_processor("direct")({**tensors, "classes": np.full((1, BOXES), huge)})
    assert not len(none.outputs[0].labels)
    assert set(IDS) >= set(post_processor("direct")(tensors).outputs[0].label_ids.tolist())
    assert not len(post_processor("classification")({"scores": np.full((1, 3), huge)}).outputs[0].labels)
