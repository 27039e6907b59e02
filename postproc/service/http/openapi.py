"""The OpenAPI document: FastAPI's, with the bodies that routes read by themselves."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from postproc.schema import Preprocessing, RecognitionSpec, RecognitionVersion
from postproc.service.errors import STATUSES
from postproc.service.http.bodies import JSON
from postproc.service.http.examples import body_examples
from postproc.service.http.links import response_links
from postproc.service.http.request_models import InferenceRequest, NetworkFields
from postproc.service.http.response_models import Error
from postproc.service.store.tables import LARGEST_ID

_BODIES: tuple[type[BaseModel], ...] = (
    RecognitionSpec,
    RecognitionVersion,
    Preprocessing,
    NetworkFields,
    InferenceRequest,
)
_ID = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}
_FILE = {"type": "string", "format": "binary"}

_BODY = (400, 408, 413, 415, 507)


def install_openapi(app: FastAPI) -> None:
    """Let an app's document have the schemas of the bodies."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            _, definitions = models_json_schema(
                [(model, "validation") for model in _BODIES], ref_template="#/components/schemas/{model}"
            )
            known = document["components"]["schemas"]
            known.update({**definitions["$defs"], **known})
            links, examples = response_links(), body_examples()
            known.update(_written_bodies(known, examples["NetworkUpload"]))
            for operation in (found for item in document["paths"].values() for found in item.values()):
                operation["responses"].pop("422", None)  # FastAPI's own; it is a 400 here
                _add_links(operation, links)
                _add_examples(operation, examples)
            for name in ("HTTPValidationError", "ValidationError"):
                known.pop(name, None)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def errors(*statuses: int, body: bool = False) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of a route's errors; all may answer 400, 401 and 503."""
    numbers = {400, 401, 503, *statuses, *(_BODY if body else ())}
    return {number: {"model": Error, "description": STATUSES[number].meaning} for number in sorted(numbers)}


def takes(**kinds: str | dict[str, Any]) -> dict[str, Any]:
    """Return what the OpenAPI document says of a route's body: a schema for ``json``, ``form``, or both."""
    types = {"json": "application/json", "form": "multipart/form-data"}
    content = {
        types[kind]: {
            "schema": {"$ref": f"#/components/schemas/{schema}"} if isinstance(schema, str) else schema
        }
        for kind, schema in kinds.items()
    }
    return {"requestBody": {"required": True, "content": content}}


def _add_links(operation: dict[str, Any], links: Mapping[str, dict[str, Any]]) -> None:
    found = links.get(operation["operationId"])
    if found is not None:
        _, answer = min(operation["responses"].items())  # the good one
        answer["links"] = found


def _add_examples(operation: dict[str, Any], examples: Mapping[str, dict[str, Any]]) -> None:
    body = operation.get("requestBody", {}).get("content", {}).get(JSON)  # a form has files beside it
    if body is not None:
        body["example"] = examples[body["schema"]["$ref"].rpartition("/")[2]]


def _written_bodies(known: dict[str, Any], upload: dict[str, Any]) -> dict[str, Any]:
    """Return the bodies that are no model of their own, with examples for the fields of an upload."""
    spec, version, network = (
        known[name] for name in ("RecognitionSpec", "RecognitionVersion", "NetworkFields")
    )
    changes = ("name", "description", "metadata")
    new_version = copy.deepcopy(version)
    new_version["required"] = ["spec_id", "network_id", "post_processings"]
    new_version["description"] = "A version to make."
    choices = new_version["properties"]["post_processings"].pop("anyOf")
    new_version["properties"]["post_processings"].update(choices[0])  # the other one is null
    new_version["properties"]["spec_id"] = {**_ID, "description": "Id of a spec of yours."}
    new_version["properties"]["network_id"] = {
        "anyOf": [_ID, {"type": "string"}],
        "description": "Id of a network of yours, or the text of a public one.",
    }
    return {
        "NewVersion": new_version,
        "SpecChanges": {
            "type": "object",
            "description": "Fields of a spec to change.",
            "properties": {
                **{name: spec["properties"][name] for name in changes},
                "current_version_id": {
                    "anyOf": [_ID, {"type": "null"}],
                    "description": "A version of this spec, or null for none.",
                },
            },
        },
        "NetworkChanges": {
            "type": "object",
            "description": "Fields of a network to change.",
            "properties": {name: network["properties"][name] for name in changes},
        },
        "NetworkUpload": {
            "type": "object",
            "description": "The fields, the ONNX file, and the files that the preprocessing names.",
            "required": ["name", "framework", "preprocessing", "model.onnx"],
            "properties": {
                **network["properties"],
                **{
                    name: {**network["properties"][name], "examples": [value]}
                    for name, value in upload.items()
                },
                "model.onnx": {**_FILE, "description": "The network; the part may have another name."},
            },
            "additionalProperties": _FILE,
        },
        "InferenceForm": {
            "type": "object",
            "description": "An InferenceRequest, flattened; images are files.",
            "required": ["inputs[0]image.source"],
            "properties": {
                "inputs[0]image.source": {
                    **_FILE,
                    "description": "The image; inputs[1]... where there are more.",
                },
                **{
                    f"inputs[0]image.bbox.{side}": {"type": "number", "minimum": 0, "maximum": 1}
                    for side in ("xmin", "ymin", "xmax", "ymax")
                },
                "show_discarded": {"type": "boolean"},
                "max_predictions": known["InferenceRequest"]["properties"]["max_predictions"],
            },
        },
    }
