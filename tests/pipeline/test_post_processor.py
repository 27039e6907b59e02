"""The post-processor: how it is made, what it says of itself, and what the options of a call do."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from postproc import (
    Classification,
    Classifications,
    Detections,
    DirectOutput,
    ImageTransform,
    PostProcessor,
    RecognitionSpec,
    RecognitionVersion,
    SchemaError,
    YoloOutput,
)
from tests import reference
from tests.pipelines import KINDS, LABELS, OUTPUTS, Tensors, assert_same, count, post_processor, tensors_of

DIRECT = OUTPUTS["direct"]
SPEC: dict[str, Any] = {
    "id": 5,
    "outputs": [
        {
            "labels": {
                "labels": [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}],
                "exclusive": False,
                "roi": roi,
            }
        }
        for roi in ("BBOX", "NONE", "BBOX")
    ],
}
VERSION: dict[str, Any] = {
    "spec_id": 5,
    "post_processings": [
        {"detection": {"direct_output": DIRECT.dump(), "normalize_wrt_tensor": "im_info"}},
        {"classification": {"output_tensor": "scores"}},
        {
            "detection": {
                "yolo_output": {"output_tensor": "grid", "anchors": [1.0, 1.0]},
                "thresholds": [0.1, 0.2],
            }
        },
    ],
}


def several_tensors(images: int = 2) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    scores = rng.random((images, 2)).astype(np.float32)
    low = rng.uniform(0, 0.5, (images, 2, 2))
    return {
        "boxes": np.concatenate([low, low + 0.4], axis=2).astype(np.float32) * 8,
        "scores": scores,
        "classes": np.array([[7, 3]] * images),
        "im_info": np.array([8.0, 8.0], np.float32),
        "grid": rng.normal(0, 1, (images, 2, 2, 7)).astype(np.float32),
    }


def documents(form: str, directory: Path) -> tuple[Any, Any]:
    """Give the spec and the version in one of the forms that the constructor takes."""
    texts = json.dumps(SPEC), json.dumps(VERSION)
    paths = directory / "spec.json", directory / "version.json"
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    forms: dict[str, Any] = {
        "models": (RecognitionSpec.load(SPEC), RecognitionVersion.load(VERSION)),
        "dicts": (SPEC, VERSION),
        "text": texts,
        "bytes": tuple(text.encode() for text in texts),
        "paths": paths,
        "names of paths": tuple(map(str, paths)),
        "mixed": (SPEC, paths[1]),
    }
    spec, version = forms[form]
    return spec, version


@pytest.mark.parametrize("form", ["models", "dicts", "text", "bytes", "paths", "names of paths", "mixed"])
def test_post_processor_takes_documents_in_every_form(form: str, tmp_path: Path) -> None:
    post = PostProcessor(*documents(form, tmp_path))
    assert post.spec == RecognitionSpec.load(SPEC)
    assert post.version.dump() == VERSION
    assert_same(post(several_tensors()), PostProcessor(SPEC, VERSION)(several_tensors()))


def test_post_processor_leaves_the_documents_as_they_are() -> None:
    before = json.dumps([SPEC, VERSION])
    PostProcessor(SPEC, VERSION)(several_tensors())
    assert json.dumps([SPEC, VERSION]) == before


@pytest.mark.parametrize(
    ("spec", "version", "text"),
    [
        (SPEC, {"spec_id": 5}, "post_processings: expected 3 post-processings"),
        (SPEC, {**VERSION, "spec_id": 6}, "spec_id: expected 5, the id of the spec, got 6"),
        ({}, VERSION, "outputs"),
        (SPEC, "no/such/file.json", "cannot read the file"),
        (SPEC, None, "expected a dict, JSON text or the path of a JSON file"),
    ],
    ids=["no post-processings", "another spec", "no outputs", "no file", "none"],
)
def test_post_processor_documents_that_break_rules_are_a_schema_error(
    spec: Any, version: Any, text: str
) -> None:
    with pytest.raises(SchemaError, match=text):
        PostProcessor(spec, version)


@pytest.mark.parametrize("num_threads", [0, -1, 1.0, "2", True, None], ids=repr)
def test_post_processor_other_thread_counts_are_a_schema_error(num_threads: Any) -> None:
    with pytest.raises(SchemaError, match=f"num_threads: expected a positive integer, got {num_threads!r}"):
        PostProcessor(SPEC, VERSION, num_threads=num_threads)


def test_tensor_names_follow_the_documents_without_duplicates() -> None:
    post = PostProcessor(SPEC, VERSION)
    assert post.tensor_names == ("boxes", "scores", "classes", "im_info", "grid")


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("classification", ("scores",)),
        ("anchored", ("anchors", "offsets", "scores")),
        ("direct", ("boxes", "scores", "classes")),
        ("yolo", ("grid",)),
        ("yolov8", ("table",)),
        ("yolov8_pose", ("table",)),
        ("yolov8_obb", ("table",)),
        ("yolov8_seg", ("table", "prototypes")),
    ],
)
def test_tensor_names_of_each_kind(kind: str, names: tuple[str, ...]) -> None:
    assert post_processor(kind).tensor_names == names


def test_uses_input_size_only_where_a_document_declares_it() -> None:
    assert not PostProcessor(SPEC, VERSION).uses_input_size
    assert not post_processor("classification").uses_input_size
    assert not post_processor("direct").uses_input_size
    assert post_processor("direct", input_size=[4, 8]).uses_input_size


def test_several_outputs_each_equal_the_output_alone() -> None:
    tensors = several_tensors()
    batch = PostProcessor(SPEC, VERSION)(tensors, show_discarded=True)
    assert [type(output) for output in batch.outputs] == [Detections, Classifications, Detections]
    assert len(batch) == 2
    for row, output in enumerate(batch.outputs):
        spec = {**SPEC, "outputs": SPEC["outputs"][row : row + 1]}
        version = {**VERSION, "post_processings": VERSION["post_processings"][row : row + 1]}
        alone = PostProcessor(spec, version)(tensors, show_discarded=True)
        assert output.to_dicts() == alone.outputs[0].to_dicts()
        assert len(output.labels) > 0


def scores_of(post: PostProcessor, scores: list[float]) -> list[str]:
    """Names of the labels that are predicted for an image with such scores."""
    return post({"scores": np.array([scores], np.float32)}).outputs[0].label_names


@pytest.mark.parametrize(
    ("thresholds", "names"),
    [
        (None, ["owl", "dog", "cat"]),
        (0.5, ["owl"]),
        (0, ["owl", "dog", "cat"]),
        (np.float32(0.5), ["owl"]),
        ([0.1, 0.9, 0.7], ["owl", "cat"]),
        (np.array([0.1, 0.9, 0.7], np.float32), ["owl", "cat"]),
        ({"dog": 0.9, "owl": 0.7, "cat": 0.1}, ["owl", "cat"]),
    ],
    ids=["default", "float", "int", "numpy float", "list", "array", "dict"],
)
def test_for_classification_thresholds_in_every_form(thresholds: Any, names: list[str]) -> None:
    output = Classification(output_tensor="scores")
    post = PostProcessor.for_classification(LABELS, output, thresholds=thresholds)
    assert scores_of(post, [0.3, 0.4, 0.8]) == names


def test_for_some_labels_by_name_the_default_threshold_is_for_the_others() -> None:
    named: dict[str, Any] = {"thresholds": {"dog": 0.2}, "default_threshold": 0.5}
    post = PostProcessor.for_classification(LABELS, Classification(output_tensor="scores"), **named)
    assert scores_of(post, [0.4, 0.4, 0.8]) == ["owl", "dog"]
    detector = PostProcessor.for_detection(LABELS, DIRECT, **named)
    for made, kind in ((post, "classification"), (detector, "detection")):
        (post_processing,) = made.version.dump()["post_processings"]
        assert post_processing[kind]["thresholds"] == [0.5, 0.2, 0.5]
    for none in ({}, None):
        post = PostProcessor.for_detection(LABELS, DIRECT, thresholds=none, default_threshold=np.float32(0.5))
        assert post.version.dump()["post_processings"][0]["detection"]["thresholds"] == [0.5] * 3


def test_for_detection_one_threshold_stays_one_in_the_document() -> None:
    post = PostProcessor.for_detection(LABELS, DIRECT, thresholds=1)
    assert post.version.dump()["post_processings"][0]["detection"]["thresholds"] == 1


def test_for_classification_thresholds_of_the_output_stand_unless_replaced() -> None:
    output = Classification(output_tensor="scores", thresholds=(0.5, 0.5, 0.9))
    assert scores_of(PostProcessor.for_classification(LABELS, output), [0.6, 0.4, 0.8]) == ["cat"]
    replaced = PostProcessor.for_classification(LABELS, output, thresholds=0.7)
    assert scores_of(replaced, [0.6, 0.4, 0.8]) == ["owl"]


def test_for_classification_exclusive_chooses_the_default_threshold_only() -> None:
    output = Classification(output_tensor="scores")
    for exclusive, threshold in [(True, 0.025), (False, 0.5)]:
        post = PostProcessor.for_classification(LABELS, output, exclusive=exclusive)
        found = post({"scores": np.full((1, 3), 0.6, np.float32)}).outputs[0]
        assert_array_equal(found.thresholds, np.full(3, threshold, np.float32))


def test_for_detection_default_threshold_is_that_of_detections() -> None:
    post = PostProcessor.for_detection(LABELS, DIRECT, label_ids=[7, 3, 9])
    assert post(tensors_of("direct")).outputs[0].thresholds[0] == np.float32(0.8)


def test_for_detection_passes_its_decision_on() -> None:
    post = PostProcessor.for_detection(
        LABELS, DIRECT, nms_threshold=0.5, input_size=[4, 8], class_agnostic=True, discard_threshold=0.1
    )
    detection = post.version.dump()["post_processings"][0]["detection"]
    assert detection == {
        "direct_output": DIRECT.dump(),
        "nms_threshold": 0.5,
        "input_size": [4, 8],
        "class_agnostic": True,
        "discard_threshold": 0.1,
    }


@pytest.mark.parametrize(
    ("label_ids", "ids"),
    [(None, [0, 1, 2]), ([7, 3, 9], [7, 3, 9]), (np.array([7, 3, 9], np.int32), [7, 3, 9])],
    ids=["rows", "list", "array"],
)
def test_for_detection_label_ids_in_every_form(label_ids: Any, ids: list[int]) -> None:
    post = PostProcessor.for_detection(LABELS, DIRECT, label_ids=label_ids)
    labels = post.spec.outputs[0].labels.labels
    assert [(label.id, label.name) for label in labels] == list(zip(ids, LABELS, strict=True))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"label_ids": [1, 2]}, "label_ids: expected one per label, 3, got 2"),
        ({"label_ids": [1, 2, 1]}, "expected unique ids, got 1"),
        ({"label_ids": [1, 2, 3.5]}, "expected an integer of at most 64 bits, got 3.5"),
        ({"label_ids": ["a", "b", "c"]}, "expected an integer of at most 64 bits"),
        ({"thresholds": [0.5, 0.5]}, "thresholds: expected 3 thresholds"),
        ({"thresholds": 1.5}, "thresholds: expected a number from 0 to 1, or a list of .*, got 1.5$"),
        ({"thresholds": True}, "thresholds: expected a number from 0 to 1, or a list of .*, got true$"),
        ({"thresholds": ...}, "thresholds: expected a number from 0 to 1, or a list of .*, got a value"),
        ({"thresholds": "0.5"}, 'thresholds: expected a number from 0 to 1, or a list of .*, got "0.5"$'),
        (
            {"thresholds": {"cat": 0.5, "dog": 0.5}},
            r"labels \['cat', 'dog', 'owl'\], got \['cat', 'dog'\]; add the others, or default_threshold for",
        ),
        ({"thresholds": {"cat": 0.5, 3: 0.5}}, r"names of the labels \['cat', 'dog', 'owl'\], got \[3\]"),
        ({"thresholds": {"cow": 0.5}, "default_threshold": 0.5}, r"'owl'\], got \['cow'\] besides"),
        ({"thresholds": {"cat": 2}, "default_threshold": 0.5}, r"^post_.*thresholds\[0\]: expected .* 2$"),
        (
            {"thresholds": {"cat": 0.5}, "default_threshold": 1.5},
            "^default_threshold: expected a number from 0 to 1, got 1.5$",
        ),
        ({"thresholds": {"cat": 0.5}, "default_threshold": True}, "^default_threshold: .*, got true$"),
        ({"thresholds": 0.5, "default_threshold": 0.5}, "^default_threshold: .* by label name, .* got 0.5;"),
        ({"nms_thresholds": [0.5]}, "detection.nms_thresholds: expected 3 thresholds, .* got 1$"),
        ({"nms_treshold": 0.5}, "unknown field; did you mean 'nms_threshold'"),
        ({"nms_threshold": 2}, "expected a number from 0 to 1, got 2"),
        ({"yolo_output": YoloOutput(output_tensor="grid", anchors=(1.0, 1.0))}, "exactly one of"),
        ({"num_threads": 0}, "num_threads: expected a positive integer"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_for_detection_bad_options_are_a_schema_error(options: dict[str, Any], text: str) -> None:
    with pytest.raises(SchemaError, match=text):
        PostProcessor.for_detection(LABELS, DIRECT, **options)


@pytest.mark.parametrize(
    ("labels", "options", "text"),
    [
        ("cat", {}, r'labels: expected a list of names, got "cat"'),
        (3, {}, "labels: expected a list of names, got 3"),
        (["cat", ["dog"]], {"thresholds": {"cat": 1}}, r'labels\[1\]: expected text, got \["dog"\]'),
        (range(10**12), {}, "labels: expected at most 100,000 labels, got 1,000,000,000,000"),
        (["cat"], {"label_ids": 5}, "label_ids: expected a list of integers, got 5"),
        (["cat"], {"label_ids": range(10**12)}, "label_ids: expected one per label, 1, got 1000000000000"),
        (["cat"], {"label_ids": itertools.count()}, "label_ids: expected one per label, 1, got others"),
        (["cat"], {"thresholds": itertools.repeat(0.5)}, "thresholds: expected 1 threshold, .* got 2"),
        ([f"label {row}" for row in range(1000)], {"thresholds": {}}, r"'label 19', \.\.\.\], got \[\]"),
    ],
    ids=["text", "number", "list", "many", "ids", "ids_many", "ids_endless", "thresholds_endless", "names"],
)
def test_for_detection_of_endless_or_other_arguments_is_a_schema_error(
    labels: Any, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(SchemaError, match=text) as caught:
        PostProcessor.for_detection(labels, DIRECT, **options)
    assert len(str(caught.value)) < 1000


def test_for_detection_of_another_object_is_a_schema_error() -> None:
    with pytest.raises(SchemaError, match="got Classification"):
        PostProcessor.for_detection(LABELS, Classification(output_tensor="scores"))  # type: ignore[arg-type]


def test_for_classification_of_another_object_is_a_schema_error() -> None:
    with pytest.raises(SchemaError):
        PostProcessor.for_classification(LABELS, DIRECT)  # type: ignore[arg-type]


def test_for_detection_without_labels_is_a_schema_error() -> None:
    with pytest.raises(SchemaError, match="expected a list that is not empty"):
        PostProcessor.for_detection([], DIRECT)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("most", [0, 1, 5, 10**6, np.int64(7), 2**80])
def test_max_predictions_cuts_each_image(kind: str, most: int) -> None:
    post, tensors = post_processor(kind), tensors_of(kind)
    everything = post(tensors, max_predictions=10**9, show_discarded=True).outputs[0]
    cut = post(tensors, max_predictions=most, show_discarded=True).outputs[0]
    sizes = np.diff(everything.offsets)
    assert_array_equal(np.diff(cut.offsets), np.minimum(sizes, min(most, 2**31)))
    assert sizes.min() > 1
    for image in range(3):
        assert_array_equal(cut[image].scores, everything[image].scores[:most])
        assert_array_equal(cut[image].labels, everything[image].labels[:most])


@pytest.mark.parametrize("kind", KINDS)
def test_show_discarded_never_changes_a_prediction(kind: str) -> None:
    post, tensors = post_processor(kind), tensors_of(kind)
    plain, shown = post(tensors).outputs[0], post(tensors, show_discarded=True).outputs[0]
    assert not shown.predicted.all()
    kept = shown[shown.predicted]
    assert kept.to_dicts() == plain.to_dicts()
    assert_array_equal(kept.offsets, plain.offsets)


@pytest.mark.parametrize("kind", KINDS)
def test_no_images_give_no_results(kind: str) -> None:
    for num_threads in (1, 2):
        batch = post_processor(kind, num_threads)(tensors_of(kind, images=0), show_discarded=True)
        assert (len(batch), count(batch), batch.to_dicts()) == (0, 0, [])


@pytest.mark.parametrize("kind", ["anchored", "direct", "yolov8"])
def test_no_candidates_give_empty_images(kind: str) -> None:
    axis = 2 if kind == "yolov8" else 1
    tensors = {name: tensor.take([], axis) for name, tensor in tensors_of(kind).items()}
    batch = post_processor(kind)(tensors, show_discarded=True)
    assert (len(batch), count(batch)) == (3, 0)
    found = batch.outputs[0]
    assert isinstance(found, Detections)
    assert_array_equal(found.boxes, np.empty((0, 4), np.float32), strict=True)
    assert_array_equal(found.labels, np.empty(0, np.int64), strict=True)


@pytest.mark.parametrize("labels", [1, 1000])
def test_any_number_of_labels_equals_the_reference(labels: int) -> None:
    rng = np.random.default_rng(labels)
    names = [str(row) for row in range(labels)]
    output = DirectOutput(boxes_tensor="boxes", scores_tensor="scores", classes_tensor="classes")
    post = PostProcessor.for_detection(
        names, output, thresholds=0.3, label_ids=rng.permutation(labels).tolist()
    )
    low = rng.uniform(0, 0.5, (1, 300, 2))
    tensors: Tensors = {
        "boxes": np.concatenate([low, low + 0.4], axis=2).astype(np.float32),
        "scores": rng.random((1, 300)).astype(np.float32),
        "classes": rng.integers(0, labels, (1, 300)),
    }
    found = post(tensors).outputs[0]
    (expected,) = reference.run(post.spec.dump(), post.version.dump(), tensors)[0]
    assert_array_equal(found.labels, [row.label for row in expected])
    assert_array_equal(found.scores, [row.score for row in expected])


@pytest.mark.parametrize(
    ("declared", "of_call"),
    [([4, 8], None), (None, (4, 8)), ([1, 1], (4, 8))],
    ids=["declared", "of the call", "the call's takes the place"],
)
def test_input_size_divides_the_boxes(declared: Any, of_call: Any) -> None:
    tensors = tensors_of("direct")
    plain = post_processor("direct")(tensors)
    tensors["boxes"] = tensors["boxes"] * np.array([8, 4, 8, 4], np.float32)
    document = {} if declared is None else {"input_size": declared}
    assert_same(post_processor("direct", **document)(tensors, input_size=of_call), plain)


def test_transforms_take_the_place_of_a_declared_input_size() -> None:
    tensors = tensors_of("direct", images=2)
    plain = post_processor("direct")(tensors)
    sizes = np.array([[8, 4, 8, 4], [16, 32, 16, 32]], np.float32)
    tensors["boxes"] = tensors["boxes"] * sizes[:, None]
    transforms = [ImageTransform.squash((4, 8), (100, 100)), ImageTransform.squash((32, 16), (100, 100))]
    found = post_processor("direct", input_size=[640, 640])(tensors, transforms=transforms).outputs[0]
    expected = plain.outputs[0]
    assert isinstance(found, Detections)
    assert isinstance(expected, Detections)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-6)


def test_input_size_of_a_call_is_for_the_outputs_in_pixels_where_there_are_some() -> None:
    normalized = [0.4, 0.2, 0.6, 0.8]
    boxes = np.array([[normalized]], np.float32)
    tensors = {"a": boxes * 100, "b": boxes, "scores": np.full((1, 1, 1), 0.9, np.float32)}
    tasks = [
        {"standard_output": {"boxes_tensor": name, "scores_tensor": "scores"}, "thresholds": 0.5, **declared}
        for name, declared in (("a", {"input_size": [1, 1]}), ("b", {}))
    ]
    labels = {"labels": [{"id": 1, "name": "cat"}], "exclusive": True, "roi": "BBOX"}
    post = PostProcessor(
        {"outputs": [{"labels": labels}] * 2}, {"post_processings": [{"detection": task} for task in tasks]}
    )
    for output in post(tensors, input_size=(100, 100)).outputs:
        assert isinstance(output, Detections)
        np.testing.assert_allclose(output.boxes, [normalized], rtol=1e-6)


def test_input_size_does_not_touch_yolo_and_classification() -> None:
    for kind in ("yolo", "classification"):
        post, tensors = post_processor(kind), tensors_of(kind)
        assert_same(post(tensors, input_size=(480, 640)), post(tensors))


def test_post_processor_refuses_to_be_changed() -> None:
    post = post_processor("yolo")
    for name in ("version", "spec", "thresholds"):
        with pytest.raises(AttributeError, match=f"{name}: .* `replace` makes one"):
            setattr(post, name, None)
