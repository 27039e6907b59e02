"""The OpenAPI document: whole, and true to what is served."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from postproc.service.engine.input_fields import read_input
from postproc.service.errors import InputError
from tests.service.objects import DIRECT, IMAGE, OUTPUTS, make_version
from tests.service.serving import Serving


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def schema_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}", "components": document["components"]}


def test_document_refers_to_what_it_has(service: Serving) -> None:
    document = service.app.openapi()
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= known


def test_document_says_what_each_route_is_for_and_how_it_fails(service: Serving) -> None:
    identifiers = []
    for path, item in service.app.openapi()["paths"].items():
        for method, operation in item.items():
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            identifiers.append(operation["operationId"])
            if path.startswith("/v0.7"):
                assert {"400", "401", "503"} <= set(operation["responses"]), (method, path)
                assert operation["security"] == [{"key": []}]
                has_body = method in ("post", "put", "patch") and not path.endswith("/resume")
                assert ("requestBody" in operation) == has_body, (method, path)
            assert "422" not in operation["responses"]
    assert len(set(identifiers)) == len(identifiers)


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/networks", "Listing_NetworkAnswer_"),
        ("/recognition/specs", "Listing_SpecRow_"),
        ("/recognition/versions", "Listing_VersionRow_"),
        ("/recognition/public", "Listing_SpecRow_"),
        ("/recognition/public/digits-yolo", "SpecAnswer"),
        ("/recognition/versions/digits-yolo", "VersionAnswer"),
        ("/networks/public/digits-yolo", "NetworkAnswer"),
        ("/tasks?task_ids=1", "Listing_TaskAnswer_"),
        ("/accounts/me", "Account"),
        ("/networks/0", "Error"),
        ("/networks?limit=0", "Error"),
    ],
)
def test_answers_are_as_the_document_says(service: Serving, path: str, schema: str) -> None:
    make_version(service.client)
    answer = service.client.get(path).json()
    jsonschema.validate(answer, schema_of(service.app.openapi(), schema))


def test_bodies_that_are_served_are_as_the_document_says(service: Serving) -> None:
    document = service.app.openapi()
    detection = {"direct_output": DIRECT}
    bodies = {
        "RecognitionSpec": {"name": "x", "outputs": OUTPUTS},
        "NewVersion": {"spec_id": 1, "network_id": 1, "post_processings": [{"detection": detection}]},
        "InferenceRequest": {"inputs": [{"image": {"source": "http://x", "bbox": dict.fromkeys(
            ("xmin", "ymin", "xmax", "ymax"), 0.5)}}]},
    }  # fmt: skip
    for name, body in bodies.items():
        jsonschema.validate(body, schema_of(document, name))
    for wrong in ({"post_processings": None}, {"spec_id": "x"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**bodies["NewVersion"], **wrong}, schema_of(document, "NewVersion"))
    assert IMAGE.keys() <= document["components"]["schemas"]["InferenceForm"]["properties"].keys()


CORNERS = dict(zip(("xmin", "ymin", "xmax", "ymax"), (0.0, 0.25, 0.5, 1.0), strict=True))
TRIANGLE = [{"x": 0.0, "y": 0.0}, {"x": 1.0, "y": 0.0}, {"x": 0.5, "y": 1.0}]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"bbox": {**CORNERS, name: value}} for name in CORNERS for value in (-0.1, 1.1)),
        *(
            {"polygon": [*TRIANGLE[:2], {"x": 0.5, "y": 0.5, name: value}]}
            for name in "xy"
            for value in (-1, 2)
        ),
        {"polygon": TRIANGLE[:2]},
        {"polygon": TRIANGLE * 334},
    ],
)
def test_parts_of_images_that_the_service_refuses_are_none_of_the_document(
    wrong: dict[str, Any], service: Serving
) -> None:
    schema = schema_of(service.app.openapi(), "InferenceRequest")
    for good in ({}, {"bbox": CORNERS}, {"polygon": TRIANGLE}):
        jsonschema.validate({"inputs": [{"image": {"source": "AA==", **good}}]}, schema)
        read_input("inputs[0]", {"image": {"source": "AA==", **good}})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"inputs": [{"image": {"source": "AA==", **wrong}}]}, schema)
    with pytest.raises(InputError):
        read_input("inputs[0]", {"image": {"source": "AA==", **wrong}})


def test_requests_without_inputs_are_none_of_the_document(service: Serving) -> None:
    document = service.app.openapi()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"inputs": []}, schema_of(document, "InferenceRequest"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            {"inputs[0]image.source": "", "max_predictions": 1 << 40}, schema_of(document, "InferenceForm")
        )


def test_numbers_of_paths_and_queries_have_their_bounds(service: Serving) -> None:
    parameters = [
        parameter
        for item in service.app.openapi()["paths"].values()
        for operation in item.values()
        for parameter in operation.get("parameters", ())
        if parameter["schema"].get("type") == "integer"
    ]
    assert {parameter["name"] for parameter in parameters} == {
        "network_id", "spec_id", "task_id", "offset", "limit", "after_id"
    }  # fmt: skip
    for parameter in parameters:
        assert {"minimum", "maximum"} <= parameter["schema"].keys(), parameter


def test_links_lead_to_operations_with_what_they_need(service: Serving) -> None:
    document = service.app.openapi()
    operations = {
        found["operationId"]: found for item in document["paths"].values() for found in item.values()
    }
    filled = set()
    for source, operation in operations.items():
        for status, answer in operation["responses"].items():
            for name, link in answer.get("links", {}).items():
                assert status in ("200", "201"), (source, name)
                parameters = operations[link["operationId"]].get("parameters", ())
                known = {f"{parameter['in']}.{parameter['name']}" for parameter in parameters}
                assert link.get("parameters", {}).keys() <= known, (source, name)
                filled.update((link["operationId"], parameter) for parameter in link.get("parameters", ()))
    for name, operation in operations.items():
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path" and parameter["name"].endswith("_id"):
                assert (name, f"path.{parameter['name']}") in filled, "no link leads there"


def test_examples_are_as_the_document_says(service: Serving) -> None:
    document = service.app.openapi()
    count = 0
    for item in document["paths"].values():
        for operation in item.values():
            for media_type in operation.get("requestBody", {}).get("content", {}).values():
                if "example" in media_type:
                    whole = {**media_type["schema"], "components": document["components"]}
                    jsonschema.validate(media_type["example"], whole)
                    count += 1
    assert count == 11  # all bodies of JSON
    for schema in document["components"]["schemas"]["NetworkUpload"]["properties"].values():
        for example in schema.get("examples", ()):
            jsonschema.validate(example, {**schema, "components": document["components"]})
