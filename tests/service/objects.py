"""Objects made over HTTP, for the tests of the routes."""

from __future__ import annotations

from typing import Any

import httpx

PREPROCESSING = {
    "preprocessing.inputs[0]tensor_name": "images:0",
    "preprocessing.inputs[0]image.dimension_order": "NCHW",
    "preprocessing.inputs[0]image.target_size": "8x8",
    "preprocessing.inputs[0]image.pixel_scaling": "1.0",
    "preprocessing.batched_output": "True",
}
MODEL = b"onnx boxes:0 scores:0 classes:0"
LABELS = [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]
OUTPUTS = [{"labels": {"roi": "BBOX", "exclusive": True, "labels": LABELS}}]
DIRECT = {"boxes_tensor": "boxes:0", "scores_tensor": "scores", "classes_tensor": "classes:0"}
POST_PROCESSINGS = [{"detection": {"direct_output": DIRECT, "thresholds": [0.5, 0.5], "nms_threshold": 0.3}}]
IMAGE = {"inputs[0]image.source": ("tiny.png", b"an image")}


def post_network(client: httpx.Client, files: Any = None, **fields: str) -> httpx.Response:
    data = {"name": "flow network", "framework": "tensorflow-1.x", **PREPROCESSING, **fields}
    given = {"saved_model.pb": ("tiny.bin", MODEL)} if files is None else files
    return client.post("/networks/", data=data, files=given)


def make_network(client: httpx.Client) -> dict[str, Any]:
    return made(post_network(client))


def make_spec(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    return made(client.post("/recognition/specs/", json={"name": "flow spec", "outputs": OUTPUTS, **fields}))


def make_version(client: httpx.Client, spec: Any = None, network: Any = None) -> dict[str, Any]:
    document = {
        "spec_id": (spec or make_spec(client))["id"],
        "network_id": (network or make_network(client))["id"],
        "post_processings": POST_PROCESSINGS,
    }
    return made(client.post("/recognition/versions/", json=document))


def made(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 201, response.text
    document: dict[str, Any] = response.json()
    return document


def complaint(response: httpx.Response, status: int = 400) -> str:
    """Check the form of an error, and return its message."""
    assert response.status_code == status, response.text
    body = response.json()
    assert body["detail"] == body["error"]["message"]
    return str(body["detail"])
