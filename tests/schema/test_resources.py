from __future__ import annotations

from typing import Any

import pytest

from postproc.schema import RecognitionSpec, RecognitionVersion
from tests.schema.documents import CLASSIFICATION, DETECTION, LABELS, SPEC

NAN = float("nan")
NAME = "expected an integer or text that is not empty"
LABEL_ID = "outputs[0].labels.labels[0].id"
AT_MOST_64_BITS = "expected an integer of at most 64 bits"


def labels(**fields: Any) -> dict[str, Any]:
    return {"outputs": [{"labels": {**LABELS, **fields}}]}


def label(**fields: Any) -> dict[str, Any]:
    return labels(labels=[{"id": 0, "name": "cat", **fields}])


def without(name: str) -> dict[str, Any]:
    return {"outputs": [{"labels": {key: value for key, value in LABELS.items() if key != name}}]}


REJECTED_SPECS: dict[str, tuple[dict[Any, Any], str]] = {
    "no_outputs": ({"id": 1, "name": "a"}, "outputs: required field is missing; add it"),
    "empty_outputs": ({"outputs": []}, "outputs: expected a list that is not empty, got []"),
    "outputs_object": (
        {"outputs": {"labels": []}},
        'outputs: expected a list, got {"labels": []}',
    ),
    "output_without_labels": ({"outputs": [{}]}, "outputs[0].labels: required field is missing; add it"),
    "output_unknown_field": (
        {"outputs": [{"labels": LABELS, "label": 1}]},
        "outputs[0].label: unknown field; did you mean 'labels'?",
    ),
    "labels_empty": (
        labels(labels=[]),
        "outputs[0].labels.labels: expected a list that is not empty, got []",
    ),
    "labels_texts": (
        labels(labels=["cat"]),
        'outputs[0].labels.labels[0]: expected an object, got "cat"',
    ),
    **{
        f"labels_without_{name}": (
            without(name),
            f"outputs[0].labels.{name}: required field is missing; add it",
        )
        for name in LABELS
    },
    "labels_unknown_field": (
        labels(colour=1),
        "outputs[0].labels.colour: unknown field; known: labels, exclusive, roi",
    ),
    "exclusive_number": (
        labels(exclusive=1),
        "outputs[0].labels.exclusive: expected true or false, got 1",
    ),
    "roi_lower_case": (
        labels(roi="bbox"),
        'outputs[0].labels.roi: expected "NONE" or "BBOX", got "bbox"',
    ),
    "roi_null": (labels(roi=None), 'outputs[0].labels.roi: expected "NONE" or "BBOX", got null'),
    "label_without_id": (
        labels(labels=[{"name": "cat"}]),
        f"{LABEL_ID}: required field is missing; add it",
    ),
    "label_without_name": (
        labels(labels=[{"id": 1}]),
        "outputs[0].labels.labels[0].name: required field is missing; add it",
    ),
    "label_unknown_field": (
        label(colour="red"),
        "outputs[0].labels.labels[0].colour: unknown field; known: id, name",
    ),
    "label_id_text": (label(id="0"), f'{LABEL_ID}: {AT_MOST_64_BITS}, got "0"'),
    "label_id_float": (label(id=1.0), f"{LABEL_ID}: {AT_MOST_64_BITS}, got 1.0"),
    "label_id_bool": (label(id=True), f"{LABEL_ID}: {AT_MOST_64_BITS}, got true"),
    "label_id_null": (label(id=None), f"{LABEL_ID}: {AT_MOST_64_BITS}, got null"),
    "label_id_too_large": (label(id=2**63), f"{LABEL_ID}: {AT_MOST_64_BITS}, got {2**63}"),
    "label_id_too_small": (label(id=-(2**63) - 1), f"{LABEL_ID}: {AT_MOST_64_BITS}, got {-(2**63) - 1}"),
    "label_name_number": (label(name=3), "outputs[0].labels.labels[0].name: expected text, got 3"),
    "label_ids_repeated": (
        labels(labels=[{"id": 5, "name": "a"}, {"id": 6, "name": "b"}, {"id": 5, "name": "c"}]),
        "outputs[0].labels.labels[2].id: expected unique ids, got 5, the id of labels[0]",
    ),
    "id_float": ({**SPEC, "id": 1.5}, f"id: {NAME}, got 1.5"),
    "id_bool": ({**SPEC, "id": False}, f"id: {NAME}, got false"),
    "id_empty": ({**SPEC, "id": ""}, f'id: {NAME}, got ""'),
    "name_number": ({**SPEC, "name": 1}, "name: expected text, got 1"),
    "description_null": ({**SPEC, "description": None}, "description: expected text, got null"),
    "update_date_number": ({**SPEC, "update_date": 2026}, "update_date: expected text, got 2026"),
    "metadata_list": ({**SPEC, "metadata": []}, "metadata: expected an object, got []"),
    "metadata_nan": (
        {**SPEC, "metadata": {"a": [1, {"b c": NAN}]}},
        'metadata.a[1]["b c"]: expected a JSON value, got NaN',
    ),
    "metadata_not_json": (
        {**SPEC, "metadata": {"a": {1, 2}}},
        "metadata.a: expected a JSON value, got a value of type set",
    ),
    "metadata_inner_name_number": (
        {**SPEC, "metadata": {"a": {1: 2}}},
        "metadata.a: expected field names that are text",
    ),
    "unknown_field_infinite": (
        {**SPEC, "task_id": [float("inf")]},
        "task_id[0]: expected a JSON value, got Infinity",
    ),
    "field_name_number": ({**SPEC, 3: 4}, "[3]: expected field names that are text, got 3"),
}


@pytest.mark.parametrize(("document", "expected"), REJECTED_SPECS.values(), ids=REJECTED_SPECS)
def test_spec_broken_rule_names_path_and_value(
    document: dict[str, Any], expected: str, problems_of: Any
) -> None:
    assert problems_of(RecognitionSpec, document) == [expected]


REJECTED_VERSIONS: dict[str, tuple[dict[str, Any], str]] = {
    "post_processings_empty": (
        {"post_processings": []},
        "post_processings: expected a list that is not empty, got []",
    ),
    "post_processings_object": (
        {"post_processings": {"classification": CLASSIFICATION}},
        'post_processings: expected a list, got {"classification": {"output_tensor": "prob"}}',
    ),
    "post_processing_range": (
        {"post_processings": [{"detection": {**DETECTION, "nms_threshold": 1.5}}]},
        "post_processings[0].detection.nms_threshold: expected a number from 0 to 1, got 1.5",
    ),
    "post_processing_unknown_field": (
        {"post_processings": [{"classification": CLASSIFICATION}, {"detection": DETECTION, "task_id": 1}]},
        "post_processings[1].task_id: unknown field; known: classification, detection",
    ),
    "spec_id_float": ({"spec_id": 42.0}, f"spec_id: {NAME}, got 42.0"),
    "network_id_list": ({"network_id": [1]}, f"network_id: {NAME}, got [1]"),
    "spec_name_number": ({"spec_name": 1}, "spec_name: expected text, got 1"),
}


@pytest.mark.parametrize(("document", "expected"), REJECTED_VERSIONS.values(), ids=REJECTED_VERSIONS)
def test_version_broken_rule_names_path_and_value(
    document: dict[str, Any], expected: str, problems_of: Any
) -> None:
    assert problems_of(RecognitionVersion, document) == [expected]


def test_spec_only_invalid_items_in_a_list_reports_the_items_only(problems_of: Any) -> None:
    assert problems_of(RecognitionSpec, {"outputs": [1]}) == ["outputs[0]: expected an object, got 1"]


def test_spec_metadata_changed_by_the_caller_stays_as_read() -> None:
    document = {**SPEC, "metadata": {"a": [1]}, "task_id": [2]}
    spec = RecognitionSpec.load(document)
    document["metadata"]["a"].append(3)
    document["task_id"].append(3)
    assert (spec.dump()["metadata"], spec.dump()["task_id"]) == ({"a": [1]}, [2])
