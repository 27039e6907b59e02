"""`PostProcessor.replace`: what the constructor makes of the edited document, in a small part of its time."""

from __future__ import annotations

import copy
import functools
import json
import logging
import pickle
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postproc import PostProcessor, SchemaError, Yolov8Output
from tests.pipelines import KINDS, assert_same, post_processor, tensors_of
from tests.random_cases.builder import KINDS_AND_METHODS
from tests.shares import examples
from tests.strategies import cases

Json = dict[str, Any]

TIMES_QUICKER = 15
UNIT = st.one_of(st.sampled_from([0, 1, 0.0, 1.0, 0.5, 0.3]), st.floats(0, 1))
ODD = st.sampled_from([1.5, -1, True, "0.5", float("nan"), 10**400, 0.5j, [], [0.5, "x"], [[0.5]]])


def edited(version: Json, output: int, fields: Json) -> Json:
    """Return the document that a replacement stands for."""
    version = copy.deepcopy(version)
    (task,) = version["post_processings"][output].values()
    if {"nms_threshold", "nms_thresholds"} & fields.keys():
        for name in ("nms_threshold", "nms_thresholds"):
            task.pop(name, None)
    task.update(fields)
    return version


FIELDS = ["discard_threshold", "nms_threshold", "nms_thresholds", "thresholds"]


@functools.cache
def values_of(labels: int) -> dict[str, st.SearchStrategy[Any]]:
    """Return what the fields of an output of so many labels may be."""
    lists = st.lists(UNIT, min_size=labels, max_size=labels)
    return dict(zip(FIELDS, (UNIT, UNIT, lists, st.one_of(UNIT, lists)), strict=True))


NAMES = st.sets(st.sampled_from(FIELDS), min_size=1, max_size=2)
WRONG_FIELDS = st.tuples(st.sampled_from(FIELDS), st.one_of(ODD, st.lists(UNIT, max_size=3)))


@st.composite
def replacements(draw: st.DrawFn, labels: int) -> Json:
    """Draw fields to replace in an output of so many labels; some of them are wrong."""
    values = values_of(labels)
    fields = {name: draw(values[name]) for name in sorted(draw(NAMES))}
    if draw(st.integers(0, 3)) == 0:
        fields |= dict([draw(WRONG_FIELDS)])
    return fields


def outcome(make: Callable[..., PostProcessor], *arguments: Any, **fields: Any) -> PostProcessor | list[str]:
    """Return what is made, or the lines of the error; unknown fields are named in the document's order."""
    try:
        return make(*arguments, **fields)
    except SchemaError as error:
        return sorted(str(error).split("\n"))


@pytest.mark.parametrize(
    ("kind", "nms_method"), [(kind, method) for kind, method in KINDS_AND_METHODS if kind != "any"]
)
@examples(30)
@given(data=st.data())
def test_replace_is_what_the_constructor_makes_of_the_edited_document(
    kind: str, nms_method: str, data: st.DataObject
) -> None:
    case = data.draw(cases(kind, nms_method))
    version, actual = case.version, PostProcessor(case.spec, case.version)
    for _ in range(data.draw(st.integers(1, 3))):  # one after another
        output = data.draw(st.integers(0, len(case.spec["outputs"]) - 1))
        fields = data.draw(replacements(len(case.spec["outputs"][output]["labels"]["labels"])))
        changed = edited(version, output, fields)
        expected = outcome(PostProcessor, case.spec, changed)
        replaced = outcome(actual.replace, output=output, **fields)
        if isinstance(expected, list) or isinstance(replaced, list):
            assert replaced == expected
            continue
        version, actual = changed, replaced
        dumps = (json.dumps(post.version.dump(), sort_keys=True) for post in (actual, expected))
        assert len(set(dumps)) == 1  # as text, where 1 is not 1.0
        found, made = (post(case.tensors, **case.options) for post in (actual, expected))
        assert_same(found, made)
        assert found.to_dicts() == made.to_dicts()


@pytest.mark.parametrize("kind", KINDS)
def test_replace_leaves_its_origin_as_it_was(kind: str) -> None:
    post, tensors = post_processor(kind, num_threads=2), tensors_of(kind)
    before, document = post(tensors, show_discarded=True), post.version.dump()
    fields: Json = {"thresholds": {"dog": 0.1}, "default_threshold": 0.9}
    if kind != "classification":
        fields |= {"nms_thresholds": [0.1, 0.9, 1], "discard_threshold": 0.3}
    other = post.replace(**fields)
    after = other(tensors, show_discarded=True)
    assert [row["label_name"] for image in after.to_dicts() for row in predicted(image)].count("dog") > 1
    assert after.to_dicts() != before.to_dicts()
    assert_same(post(tensors, show_discarded=True), before)
    assert post.version.dump() == document
    assert (other.tensor_names, other.spec) == (post.tensor_names, post.spec)
    twin = pickle.loads(pickle.dumps(post.replace(**fields)))
    assert twin.version.dump() == other.version.dump()
    assert_same(twin(tensors, show_discarded=True), after)
    assert_same(pickle.loads(pickle.dumps(other))(tensors, show_discarded=True), after)


def predicted(image: Json) -> list[Json]:
    rows: list[Json] = image["outputs"][0]["labels"]["predicted"]
    return rows


@pytest.mark.parametrize("first", ["nms_threshold", "nms_thresholds"])
def test_replace_one_kind_of_nms_thresholds_takes_the_place_of_the_other(first: str) -> None:
    values: Json = {"nms_threshold": 0.5, "nms_thresholds": [0.2, 0.5, 1]}
    (second,) = values.keys() - {first}
    post = post_processor("yolov8", **{first: values[first]}).replace(**{second: values[second]})
    detection = post.version.dump()["post_processings"][0]["detection"]
    assert first not in detection
    assert detection[second] == values[second]
    back = post.replace(**{first: values[first]}).replace(thresholds=[0, 0.5, 1])
    detection = back.version.dump()["post_processings"][0]["detection"]
    assert second not in detection
    assert (detection[first], detection["thresholds"]) == (values[first], [0, 0.5, 1])


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"output": 1}, r"^output: expected the number of an output, 0 to 0, got 1$"),
        ({"output": -1}, "^output: expected .*, got -1$"),
        ({"output": True}, "^output: expected .*, got True$"),
        ({"thresholds": 2}, r"^post_processings\[0\].detection.thresholds: expected a number .*, got 2$"),
        ({"thresholds": [0.5, 2, 3]}, r"thresholds\[1\]: .* got 2\n.*thresholds\[2\]: .* got 3$"),
        ({"thresholds": [0.5]}, r"\[0\].detection.thresholds: expected 3 thresholds, .* got 1$"),
        ({"thresholds": {"cat": 1}}, "add the others, or default_threshold for them$"),
        ({"thresholds": {"cow": 1}, "default_threshold": 1}, r"got \['cow'\] besides$"),
        ({"default_threshold": 1}, "^default_threshold: expected thresholds by label name"),
        ({"nms_threshold": 2}, r"\[0\].detection.nms_threshold: expected a number from 0 to 1, got 2$"),
        ({"nms_thresholds": [1]}, "nms_thresholds: expected 3 thresholds, .* got 1$"),
        ({"nms_thresholds": 0.5}, "nms_thresholds: expected a list, got 0.5$"),
        ({"nms_thresholds": [0, 0, 0], "nms_threshold": 0}, "got both; keep one$"),
        ({"discard_threshold": -1}, "discard_threshold: expected a number from 0 to 1, got -1$"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_replace_with_bad_values_is_a_schema_error(fields: Json, text: str) -> None:
    with pytest.raises(SchemaError, match=text):
        post_processor("yolov8").replace(**fields)


@pytest.mark.parametrize("name", ["nms_threshold", "nms_thresholds", "discard_threshold"])
def test_replace_in_a_classification_what_it_has_not_is_the_constructors_error(name: str) -> None:
    path = rf"^post_processings\[0\].classification.{name}: unknown field"
    with pytest.raises(SchemaError, match=path):
        post_processor("classification").replace(**{name: [0.5] * 3 if name == "nms_thresholds" else 0.5})


def test_replace_takes_numbers_and_arrays_of_numpy() -> None:
    post = post_processor("yolov8").replace(
        thresholds=np.array([0.25, 0.5, 1], np.float32),  # type: ignore[arg-type]
        nms_threshold=np.float32(0.5),  # type: ignore[arg-type]
        discard_threshold=np.float64(0.25),
    )
    detection = post.version.dump()["post_processings"][0]["detection"]
    assert (detection["thresholds"], detection["nms_threshold"]) == ([0.25, 0.5, 1], 0.5)
    assert json.loads(json.dumps(detection["discard_threshold"])) == 0.25


def test_replace_keeps_no_list_of_the_callers() -> None:
    thresholds = [0.2, 0.5, 1.0]
    post = post_processor("yolov8").replace(thresholds=thresholds)
    thresholds[0] = 7
    assert post.version.dump()["post_processings"][0]["detection"]["thresholds"] == [0.2, 0.5, 1.0]


def test_replace_warns_of_nothing_that_was_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    post, tensors = post_processor("direct"), tensors_of("direct")
    tensors = {**tensors, "boxes": tensors["boxes"] * 640}
    with caplog.at_level(logging.WARNING):
        for step in range(5):
            post.replace(thresholds=step / 10)(tensors)
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == len(set(texts)) == 2  # of pixels, and of an unknown class


def test_replace_in_many_threads_gives_each_its_own_decision() -> None:
    post, tensors = post_processor("yolov8", num_threads=2), tensors_of("yolov8")
    steps = [step / 40 for step in range(40)]
    expected = [post_processor("yolov8", thresholds=step)(tensors) for step in steps]
    shared = post.replace(thresholds=steps[3])

    def work(row: int) -> tuple[Any, Any, Any]:
        return post.replace(thresholds=steps[row])(tensors), shared(tensors), shared.version

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(40)))
    for (own, of_shared, version), alone in zip(results, expected, strict=True):
        assert_same(own, alone)
        assert_same(of_shared, expected[3])
        assert version is shared.version


def test_replace_of_a_subclass_is_one() -> None:
    class Counting(PostProcessor):
        calls = 0

    spec, version = post_processor("yolov8").spec, post_processor("yolov8").version
    post = Counting(spec, version)
    post.calls = 3
    replaced = post.replace(thresholds=0.1)
    assert type(replaced) is Counting
    assert replaced.calls == 3


@pytest.mark.parametrize("labels", [2, 80, 1000])
@pytest.mark.parametrize("form", ["one", "each", "named", "some", "nms", "nms each"])
def test_replace_takes_a_fifteenth_of_the_constructors_time(labels: int, form: str) -> None:
    names = [f"label {row}" for row in range(labels)]
    fields: Json = {
        "one": {"thresholds": 0.3},
        "each": {"thresholds": [0.3] * labels},
        "named": {"thresholds": dict.fromkeys(names, 0.3)},
        "some": {"thresholds": {names[0]: 0.3}, "default_threshold": 0.4},
        "nms": {"nms_threshold": 0.4},
        "nms each": {"nms_thresholds": [0.4] * labels},
    }[form]
    spec = {
        "name": "things",
        "outputs": [
            {
                "labels": {
                    "labels": [{"id": row, "name": name} for row, name in enumerate(names)],
                    "exclusive": False,
                    "roi": "BBOX",
                }
            }
        ],
    }
    detection = {
        "yolov8_output": {"output_tensor": "output0"},
        "thresholds": [0.25] * labels,
        "nms_threshold": 0.7,
        "multi_label": False,
        "input_size": [640, 640],
    }
    version = {"post_processings": [{"detection": detection}]}
    post = PostProcessor(spec, version)
    ratios = []
    for _ in range(20):  # the machine may be busy: the best of each, side by side, and tried again
        made = best_time(lambda: PostProcessor(spec, version))
        ratios.append(best_time(lambda: post.replace(**fields)) / made)
        if min(ratios) < 1 / TIMES_QUICKER:
            return
    raise AssertionError(f"replace took {min(ratios):.3f} of the constructor's time")


def best_time(call: Callable[[], object], repeats: int = 5) -> float:
    """Return the least seconds of some calls, each of several in a row."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(5):
            call()
        best = min(best, time.perf_counter() - start)
    return best


def test_nms_thresholds_are_taken_as_an_array_by_both() -> None:
    limits = np.array([0.5, 0.25])
    post = PostProcessor.for_detection(
        ["cat", "dog"], Yolov8Output(output_tensor="o"), input_size=np.array([8, 8]), nms_thresholds=limits
    )
    document = post.version.dump()["post_processings"][0]["detection"]
    assert (document["nms_thresholds"], document["input_size"]) == ([0.5, 0.25], [8, 8])
    assert post.replace(nms_thresholds=limits).version.dump() == post.version.dump()


def test_thresholds_without_an_order_are_a_schema_error() -> None:
    with pytest.raises(SchemaError, match="thresholds: expected a number from 0 to 1, or a list"):
        PostProcessor.for_detection(["cat", "dog"], Yolov8Output(output_tensor="o"), thresholds={0.1, 0.2})  # type: ignore[arg-type]
