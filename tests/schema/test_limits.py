"""Each limit of `postproc.schema.limits`: what lies at it is read, what lies beyond is an error."""

# ruff: noqa: UP031 - JSON is full of the braces that str.format takes for its own
from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from postproc.errors import SchemaError
from postproc.schema import Detection, Preprocessing, RecognitionSpec, RecognitionVersion, check_pair, sizes
from postproc.schema import limits as most
from tests.fuzz_documents.target import check_error
from tests.schema.documents import CLASSIFICATION, DISTANCE, IMAGE, LABELS, SPEC, SSD, YOLO, YOLOV3, YOLOX


def spec_of(**labels: Any) -> dict[str, Any]:
    return {"outputs": [{"labels": {**LABELS, **labels}}]}


def labels(count: int) -> list[dict[str, Any]]:
    return [{"id": row, "name": ""} for row in range(count)]


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


def constant(shape: list[int], data: list[Any]) -> dict[str, Any]:
    inputs = [
        {"tensor_name": "d", "image": IMAGE},
        {"tensor_name": "c", "constant": {"shape": shape, "data": data}},
    ]
    return {"inputs": inputs}


def thresholds(values: list[float]) -> dict[str, Any]:
    return {"post_processings": [{"classification": {**CLASSIFICATION, "thresholds": values}}]}


def images(count: int, target_size: str = "1") -> dict[str, Any]:
    rows = range(count)
    return {"inputs": [{"tensor_name": f"{row}", "image": {"target_size": target_size}} for row in rows]}


def quantized(quantization: dict[str, Any]) -> dict[str, Any]:
    return {"yolov8_output": {"output_tensor": "table", "quantization": quantization}}


MANY = 5_000
LONG, TEXT = most.LONGEST_NAME, most.LONGEST_TEXT
CLASSIFIED = {"classification": CLASSIFICATION}

# Kind, the largest document, a larger one, and what is said of it.
LIMITS: dict[str, tuple[type[Any], dict[str, Any], dict[str, Any], str]] = {
    "labels": (
        RecognitionSpec,
        spec_of(labels=labels(most.MOST_LABELS)),
        spec_of(labels=labels(most.MOST_LABELS + 1)),
        "outputs[0].labels.labels: expected at most 100,000 labels, got 100,001",
    ),
    "thresholds": (
        RecognitionVersion,
        thresholds([0] * most.MOST_LABELS),
        thresholds([0] * (most.MOST_LABELS + 1)),
        "post_processings[0].classification.thresholds: expected at most 100,000 thresholds, got 100,001",
    ),
    "outputs": (
        RecognitionSpec,
        {"outputs": SPEC["outputs"] * most.MOST_OUTPUTS},
        {"outputs": SPEC["outputs"] * (most.MOST_OUTPUTS + 1)},
        "outputs: expected at most 1,000 outputs, got 1,001",
    ),
    "post_processings": (
        RecognitionVersion,
        {"post_processings": [CLASSIFIED] * most.MOST_OUTPUTS},
        {"post_processings": [CLASSIFIED] * (most.MOST_OUTPUTS + 1)},
        "post_processings: expected at most 1,000 post-processings, got 1,001",
    ),
    "label_name": (
        RecognitionSpec,
        spec_of(labels=[{"id": 0, "name": "é" * LONG}]),
        spec_of(labels=[{"id": 0, "name": "é" * (LONG + 1)}]),
        f'outputs[0].labels.labels[0].name: expected at most 1,000 characters, got 1,001: "{"é" * 56}...',
    ),
    "tensor_name": (
        Detection,
        {"yolov8_output": {"output_tensor": "t" * LONG}},
        {"yolov8_output": {"output_tensor": "t" * (LONG + 1)}},
        f'yolov8_output.output_tensor: expected at most 1,000 characters, got 1,001: "{"t" * 56}...',
    ),
    "description": (
        RecognitionSpec,
        {**SPEC, "description": "d" * TEXT},
        {**SPEC, "description": "d" * (TEXT + 1)},
        f'description: expected at most 100,000 characters, got 100,001: "{"d" * 56}...',
    ),
    "id_digits": (
        RecognitionVersion,
        {"id": -(10**most.MOST_DIGITS) + 1},
        {"id": -(10**most.MOST_DIGITS)},
        "id: expected an integer of at most 640 digits, got a longer one",
    ),
    "metadata_digits": (
        RecognitionSpec,
        {**SPEC, "metadata": {"a": [10**most.MOST_DIGITS - 1]}},
        {**SPEC, "metadata": {"a": [10**most.MOST_DIGITS]}},
        "metadata.a[0]: expected an integer of at most 640 digits, got a longer one",
    ),
    "metadata_values": (
        RecognitionSpec,
        {**SPEC, "metadata": {"a": [0] * (most.MOST_FREE_VALUES - 2)}},
        {**SPEC, "metadata": {"a": [0] * (most.MOST_FREE_VALUES - 1)}},
        "metadata: expected at most 100,000 values in all, got more",
    ),
    "unknown_field_nesting": (
        RecognitionVersion,
        {"a": nested(most.MOST_NESTING - 1)},
        {"a": nested(most.MOST_NESTING)},
        "the document is nested too deeply: expected at most 64 levels",
    ),
    "unknown_fields": (
        RecognitionVersion,
        {f"a{row}": row for row in range(most.MOST_FIELDS)},
        {f"a{row}": row for row in range(most.MOST_FIELDS + 1)},
        "expected at most 1,000 fields that the schema does not know, got 1,001",
    ),
    "field_name": (
        RecognitionVersion,
        {"a" * LONG: 0},
        {"a" * (LONG + 1): 0},
        f'of a field\'s name: expected at most 1,000 characters, got 1,001: "{"a" * 56}...',
    ),
    "metadata_field_name": (
        RecognitionSpec,
        {**SPEC, "metadata": {"a" * LONG: 0}},
        {**SPEC, "metadata": {"a" * (LONG + 1): 0}},
        f'metadata: of a field\'s name: expected at most 1,000 characters, got 1,001: "{"a" * 56}...',
    ),
    "anchors": (
        Detection,
        {"yolo_output": {**YOLO, "anchors": [1] * 2 * most.MOST_ANCHORS}},
        {"yolo_output": {**YOLO, "anchors": [1] * 2 * (most.MOST_ANCHORS + 1)}},
        "yolo_output.anchors: expected at most 200 numbers, got 202",
    ),
    "grids": (
        Detection,
        {"yolov3_output": {"output_tensors": list("abcde"), "anchors": [1] * 10}},
        {"yolov3_output": {"output_tensors": list("abcdef"), "anchors": [1] * 12}},
        "yolov3_output.output_tensors: expected at most 5 grids, got 6",
    ),
    "anchor_masks": (
        Detection,
        {"yolov3_output": {"output_tensors": list("abcde"), "anchors": [1] * 4, "anchor_masks": [[0]] * 5}},
        {"yolov3_output": {"output_tensors": list("abcde"), "anchors": [1] * 4, "anchor_masks": [[0]] * 6}},
        "yolov3_output.anchor_masks: expected at most 5 lists, got 6",
    ),
    "anchor_mask": (
        Detection,
        {"yolov3_output": {**YOLOV3, "anchors": [1] * 200, "anchor_masks": [list(range(100)), [0]]}},
        {"yolov3_output": {**YOLOV3, "anchors": [1] * 200, "anchor_masks": [[0], [0] * 101]}},
        "yolov3_output.anchor_masks[1]: expected at most 100 anchors, got 101",
    ),
    "strides": (
        Detection,
        {"yolox_output": {**YOLOX, "strides": [8] * most.MOST_STRIDES}},
        {"yolox_output": {**YOLOX, "strides": [8] * (most.MOST_STRIDES + 1)}},
        "yolox_output.strides: expected at most 16 strides, got 17",
    ),
    "levels": (
        Detection,
        {"distance_output": {**DISTANCE, "scores_tensors": list("abcefg"), "strides": [8] * 6}},
        {"distance_output": {**DISTANCE, "scores_tensors": list("abcefgh"), "strides": [8] * 6}},
        "distance_output.scores_tensors: expected at most 6 tensors, got 7",
    ),
    "strides_of_distances": (
        Detection,
        {"distance_output": {**DISTANCE, "scores_tensors": ["a"], "strides": [8] * most.MOST_LEVELS}},
        {"distance_output": {**DISTANCE, "scores_tensors": ["a"], "strides": [8] * (most.MOST_LEVELS + 1)}},
        "distance_output.strides: expected at most 6 strides, got 7",
    ),
    "bins": (
        Detection,
        {"distance_output": {**DISTANCE, "bins": most.MOST_BINS}},
        {"distance_output": {**DISTANCE, "bins": most.MOST_BINS + 1}},
        "distance_output.bins: expected an integer from 1 to 1000, got 1001",
    ),
    "priors": (
        Detection,
        {"ssd_output": {**SSD, "priors_tensor": None, "priors": [[0, 0, 1, 1]] * most.MOST_PRIORS}},
        {"ssd_output": {**SSD, "priors_tensor": None, "priors": [[0, 0, 1, 1]] * (most.MOST_PRIORS + 1)}},
        "ssd_output.priors: expected at most 100,000 priors, got 100,001",
    ),
    "keypoints": (
        Detection,
        {"yolov8_pose_output": {**YOLOX, "keypoints": most.MOST_KEYPOINTS}},
        {"yolov8_pose_output": {**YOLOX, "keypoints": most.MOST_KEYPOINTS + 1}},
        "yolov8_pose_output.keypoints: expected an integer from 1 to 1000, got 1001",
    ),
    "limbs": (
        Detection,
        {"yolov8_pose_output": {**YOLOX, "keypoints": 2, "skeleton": [[1, 2]] * most.MOST_LIMBS}},
        {"yolov8_pose_output": {**YOLOX, "keypoints": 2, "skeleton": [[1, 2]] * (most.MOST_LIMBS + 1)}},
        "yolov8_pose_output.skeleton: expected at most 10,000 pairs, got 10,001",
    ),
    "scales": (
        Detection,
        quantized({"table": {"scale": [1] * most.MOST_CHANNELS}}),
        quantized({"table": {"scale": [1] * (most.MOST_CHANNELS + 1)}}),
        "yolov8_output.quantization.table.scale: expected at most 500,000 scales, got 500,001",
    ),
    "zero_points": (
        Detection,
        quantized({"table": {"scale": 1, "zero_point": [0] * most.MOST_CHANNELS}}),
        quantized({"table": {"scale": 1, "zero_point": [0] * (most.MOST_CHANNELS + 1)}}),
        "yolov8_output.quantization.table.zero_point: expected at most 500,000 zero points, got 500,001",
    ),
    "quantized_tensors": (
        Detection,
        quantized({}),
        quantized({f"{row}": {"scale": 1} for row in range(most.MOST_QUANTIZED + 1)}),
        "yolov8_output.quantization: expected at most 100 tensors, got 101",
    ),
    "inputs": (
        Preprocessing,
        images(most.MOST_INPUTS),
        images(most.MOST_INPUTS + 1),
        "inputs: expected at most 16 inputs, got 17",
    ),
    "pixels": (
        Preprocessing,
        images(2, "10000x5000"),
        images(2, "10000x5001"),
        "inputs[1].image.target_size: expected at most 100,000,000 pixels in all images, got 100,020,000",
    ),
    "axes": (
        Preprocessing,
        constant([1] * most.MOST_AXES, [0]),
        constant([1] * (most.MOST_AXES + 1), [0]),
        "inputs[1].constant.shape: expected at most 16 axes, got 17",
    ),
    "elements": (
        Preprocessing,
        constant([most.MOST_ELEMENTS], [0] * most.MOST_ELEMENTS),
        constant([most.MOST_ELEMENTS + 1], [0] * (most.MOST_ELEMENTS + 1)),
        "inputs[1].constant.data: expected at most 100,000 elements, got 100,001",
    ),
    "reference": (
        Preprocessing,
        {"inputs": [{"tensor_name": "d" * (LONG - 2), "image": IMAGE}, {"tensor_name": "c", "constant": {
            "shape": [], "data": ["d" * (LONG - 2) + ".1"]}}]},
        constant([], ["d" * LONG + ".1"]),
        f'inputs[1].constant.data[0]: expected at most 1,000 characters, got 1,002: "{"d" * 56}...',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "largest", "larger", "message"), LIMITS.values(), ids=LIMITS)
def test_load_beyond_a_limit_is_an_error_as_dict_and_as_text(
    kind: type[Any], largest: dict[str, Any], larger: dict[str, Any], message: str, problems_of: Any
) -> None:
    assert kind.load(largest) == kind.load(json.dumps(largest))
    assert problems_of(kind, larger) == [message]
    of_text = problems_of(kind, json.dumps(larger))
    # A text's digits are counted as it is parsed, and the name of a deep field is known.
    assert of_text[0].removeprefix("a: ").split(", got ")[0] == message.split(", got ")[0]
    assert len(of_text) == 1


def test_load_text_of_too_many_digits_names_where_they_are(problems_of: Any) -> None:
    text = '{"post_processings": [{"detection": {"soft_sigma": -%s}}], "b": %s}' % ("9" * 641, "9" * 9999)
    assert problems_of(RecognitionVersion, text) == [
        "post_processings[0].detection.soft_sigma: expected an integer of at most 640 digits, got one of 641",
        "b: expected an integer of at most 640 digits, got one of 9,999",
    ]


def test_load_text_beyond_the_limit_is_an_error_before_it_is_parsed(problems_of: Any) -> None:
    text = '{"a": "' + " " * (most.MOST_BYTES - 9) + '"}'
    assert RecognitionVersion.load(text).dump() == json.loads(text)
    for longer in (text + " ", (text + " ").encode()):
        expected = ["the text: expected at most 16,777,216 bytes, got 16,777,217"]
        assert problems_of(RecognitionVersion, longer) == expected


def test_load_dict_beyond_the_limit_is_an_error_however_it_shares_its_parts(problems_of: Any) -> None:
    shared: list[Any] = ["a" * 1000]
    for _ in range(20):
        shared = [shared, shared]  # a thousand million characters, though a few lists in memory
    expected = ["expected at most 16,777,216 characters of JSON, got more"]
    assert problems_of(RecognitionVersion, {"a": shared}) == expected


def test_load_dict_as_long_as_the_longest_text_is_accepted(problems_of: Any) -> None:
    values = {f"a{row:03}": ["b" * 16_770] for row in range(999)}
    values["last"] = ["b" * (most.MOST_BYTES - len(json.dumps(values, separators=(",", ":"))) - 12)]
    text = json.dumps(values, separators=(",", ":"))
    assert len(text) == most.MOST_BYTES
    assert RecognitionVersion.load(text) == RecognitionVersion.load(values)
    values["last"][0] += "b" * 5_000
    assert problems_of(RecognitionVersion, values) == [
        "expected at most 16,777,216 characters of JSON, got more"
    ]


# A dict, and as much text as it counts for: no bracket is closed, and other values are of one character.
COUNTED: dict[str, tuple[dict[str, Any], str]] = {
    "empty": ({}, ""),
    "number": ({"a": 1}, '"a":1'),
    "long_number": ({"a": 12345}, '"a":1'),
    "numbers": ({"a": [0, 0.5, True]}, '"a":[0,0,1,'),
    "tuple": ({"a": (0, 0)}, '"a":[0,0,'),
    "text": ({"a": "bcd"}, '"a":"bcd"'),
    "texts": ({"a": ["bcd", ""]}, '"a":["bcd","",'),
    "long_name": ({"abcd": 1}, '"abcd":1'),
    "two": ({"a": 1, "b": 2}, '"a":1"b":2'),
    "nested": ({"a": {"b": [[], {}, None]}}, '"a":{"b":[[,{,0,'),
}


@pytest.mark.parametrize(("document", "text"), COUNTED.values(), ids=COUNTED)
def test_check_size_counts_the_characters_of_the_shortest_text(
    document: dict[str, Any], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "MOST_BYTES", len(text))
    sizes.check_size(document)
    monkeypatch.setattr(sizes, "MOST_BYTES", len(text) - 1)
    with pytest.raises(SchemaError, match=f"expected at most {len(text) - 1} characters of JSON, got more"):
        sizes.check_size(document)
    assert len(text) <= len(json.dumps(document, separators=(",", ":")))  # a dict may hold what a text may


def test_load_file_beyond_the_limit_is_an_error_before_it_is_read(tmp_path: Path, problems_of: Any) -> None:
    path = tmp_path / "version.json"
    with path.open("wb") as file:
        file.truncate(10**13)  # as much as no memory holds; on the disk it takes no place
    (problem,) = problems_of(RecognitionVersion, path)
    assert problem == f'"{path}": expected at most 16,777,216 bytes, got 10,000,000,000,000'


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_load_of_a_pipe_or_device_is_an_error_at_once(tmp_path: Path, problems_of: Any) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), Path(os.devnull)):
        (problem,) = problems_of(RecognitionVersion, path)
        assert problem == f'cannot read the file "{path}": expected a regular file, got a pipe or a device'


@pytest.mark.parametrize(
    ("kind", "document", "first"),
    [
        (
            RecognitionVersion,
            thresholds([2] * MANY),
            "post_processings[0].classification.thresholds[0]: expected a number from 0 to 1, got 2",
        ),
        (RecognitionSpec, spec_of(labels=[{}] * MANY), "outputs[0].labels.labels[0].id: required field"),
        (
            RecognitionSpec,
            spec_of(labels=labels(1) * MANY),
            "outputs[0].labels.labels[1].id: expected unique ids",
        ),
        (
            RecognitionSpec,
            {**SPEC, "metadata": {"a": [math.nan] * MANY}},
            "metadata.a[0]: expected a JSON",
        ),
        (
            RecognitionVersion,
            {"post_processings": [{"x" * row: 0 for row in range(1, 900)}]},
            "post_processings",
        ),
        (
            Preprocessing,
            constant([MANY], ["e.1"] * MANY),
            "inputs[1].constant.data[0]: expected the name",
        ),
    ],
    ids=["thresholds", "labels", "label_ids", "metadata", "unknown_fields", "references"],
)
def test_load_with_thousands_of_problems_lists_the_first(kind: type[Any], document: Any, first: str) -> None:
    for source in (document, json.dumps(document)):
        with pytest.raises(SchemaError) as caught:
            kind.load(source)
        check_error(caught.value, document)
        assert str(caught.value).startswith(first)
        assert len(caught.value.errors) == most.MOST_PROBLEMS + 1
        assert len(str(caught.value)) < 60_000


def test_load_with_many_bad_items_says_how_many_are_not_checked(problems_of: Any) -> None:
    lines = problems_of(Detection, {"yolov8_output": YOLOX, "thresholds": [2] * 60})
    assert lines[-1] == "thresholds: the last 10 of 60 items are not checked"
    assert [line.split(":")[0] for line in lines[:-1]] == [f"thresholds[{row}]" for row in range(50)]
    assert len(problems_of(Detection, {"yolov8_output": YOLOX, "thresholds": [2] * 50})) == 50


def test_load_text_with_thousands_of_repeated_keys_lists_the_first(problems_of: Any) -> None:
    lines = problems_of(RecognitionVersion, '{"a": [' + ",".join(['{"b": 1, "b": 1}'] * 1000) + "]}")
    assert len(lines) == most.MOST_PROBLEMS + 1
    assert lines[-1] == "further problems are not listed"


def test_check_pair_with_many_problems_lists_the_first() -> None:
    spec = RecognitionSpec.load({"outputs": SPEC["outputs"] * 100})
    version = RecognitionVersion.load({"post_processings": [CLASSIFIED] * 100})
    with pytest.raises(SchemaError) as caught:
        check_pair(spec, version)
    assert len(caught.value.errors) == most.MOST_PROBLEMS + 1


HALF = "expected Unicode text, got half of a surrogate pair in"
NAMED = "of a field's name: " + HALF
ODD_TEXTS: dict[str, tuple[dict[str, Any], str]] = {
    "value": ({"spec_name": "a\ud800"}, f'spec_name: {HALF} "a\\ud800"'),
    "unknown_value": ({"x": ["\udfff"]}, f'x[0]: {HALF} "\\udfff"'),
    "name": ({"\ud800": 1}, f'{NAMED} "\\ud800"'),
    "unknown_name": ({"x": {"\ud800": 1}}, f'x: {NAMED} "\\ud800"'),
    "name_of_a_configuration": (
        {"post_processings": [{**CLASSIFIED, "\ud800": 1}]},
        f'post_processings[0]: {NAMED} "\\ud800"',
    ),
    "tensor": (
        {"post_processings": [{"classification": {"output_tensor": "\ud800"}}]},
        f'post_processings[0].classification.output_tensor: {HALF} "\\ud800"',
    ),
}


@pytest.mark.parametrize(("document", "expected"), ODD_TEXTS.values(), ids=ODD_TEXTS)
def test_load_half_of_a_surrogate_pair_is_an_error_that_can_be_printed(
    document: dict[str, Any], expected: str, problems_of: Any
) -> None:
    for source in (document, json.dumps(document), json.dumps(document, ensure_ascii=False)):
        assert problems_of(RecognitionVersion, source) == [expected]
        assert expected.encode()


def test_load_path_with_half_of_a_surrogate_pair_is_an_error_that_can_be_printed(problems_of: Any) -> None:
    (problem,) = problems_of(RecognitionVersion, "\ud800.json")
    assert problem.startswith('cannot read the file "\\ud800.json": ')
    assert problem.encode()
