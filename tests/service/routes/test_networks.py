"""Networks over HTTP."""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.service.objects import (
    MODEL,
    complaint,
    made,
    make_network,
    make_spec,
    make_version,
    post_network,
)
from tests.service.serving import Serving

IMAGE_INPUT = {"target_size": "8x8", "mean_file": "m/mean.npy"}
DOCUMENT = {"inputs": [{"tensor_name": "images:0", "image": IMAGE_INPUT}]}
INPUT = "preprocessing.inputs[0]image"


def mean() -> bytes:
    file = BytesIO()
    np.save(file, np.zeros((3, 8, 8), np.float32))
    return file.getvalue()


def stored_files(service: Serving) -> list[Path]:
    return sorted(path for path in service.services.settings.data.rglob("*") if path.is_file())


def test_network_created_comes_back_typed(service: Serving) -> None:
    network = made(post_network(service.client, name="123", **{"metadata.a": "1", "metadata.b": "x"}))
    assert network["name"] == "123"
    assert network["metadata"] == {"a": 1, "b": "x"}
    image = {"dimension_order": "NCHW", "target_size": "8x8", "pixel_scaling": 1.0}
    assert network["preprocessing"] == {
        "inputs": [{"tensor_name": "images:0", "image": image}],
        "batched_output": True,
    }
    assert type(network["id"]) is int
    assert service.client.get(f"/networks/{network['id']}/").json() == network
    task = service.client.get(f"/tasks/{network['task_id']}/").json()
    assert (task["status"], task["error"]) == ("success", None)


@pytest.mark.parametrize("as_file", [False, True], ids=["text", "file"])
def test_network_with_preprocessing_as_json_and_a_mean_file(service: Serving, as_file: bool) -> None:
    text = json.dumps(DOCUMENT)
    files: dict[str, Any] = {"any name": ("f", MODEL), "m/mean.npy": ("f", mean())}
    data = {"name": "n", "framework": "onnx"}
    if as_file:
        files["preprocessing"] = ("p.json", text)
    else:
        data["preprocessing"] = text
    network = made(service.client.post("/networks", data=data, files=files))
    assert network["preprocessing"] == DOCUMENT
    row = service.services.networks.get("one", network["id"])
    assert (service.services.folders.folder(row.folder) / "m" / "mean.npy").read_bytes() == mean()
    assert service.services.folders.model(row.folder).read_bytes() == MODEL


@pytest.mark.parametrize(
    ("files", "fields", "message"),
    [
        ({"a": ("f", MODEL), "b": ("f", MODEL)}, {}, "expected one file part.*got a, b"),
        ([("a", ("f", MODEL)), ("a", ("f", MODEL))], {}, "a: expected one file of this name, got 2"),
        ({"a": ("f", b"no model")}, {}, "model: is no ONNX file"),
        (None, {"saved_model.pb": "/wrong/path"}, r"saved_model\.pb: expected a file, got the text"),
        (
            None,
            {"preprocessing.batched_output": "yes"},
            r"preprocessing\.batched_output: expected true or false",
        ),
        (
            None,
            {f"{INPUT}.target_size": "x"},
            r"preprocessing\.inputs\[0\]\.image\.target_size",
        ),
        (None, {"preprocessing": "{}"}, "preprocessing: is given twice|contradicts"),
        (
            None,
            {f"{INPUT}.mean_file": "a.npy"},
            r"a\.npy: the preprocessing names this file",
        ),
        (None, {f"{INPUT}.mean_file": "../a.npy"}, r"mean_file: .*without '\.\.'"),
        (None, {"metadata": "text"}, "metadata: expected an object"),
        (None, {"name[": "x"}, "expected the name of a part"),
    ],
)
def test_network_that_is_wrong_is_a_400_and_leaves_nothing(
    service: Serving, files: Any, fields: dict[str, str], message: str
) -> None:
    before = stored_files(service)
    assert re.search(message, complaint(post_network(service.client, files, **fields)))
    assert stored_files(service) == before


def test_network_without_fields_names_all_of_them(service: Serving) -> None:
    response = service.client.post("/networks/", files={"model": ("f", MODEL)})
    complaint(response)
    assert [item["field"] for item in response.json()["error"]["fields"]] == [
        "name",
        "framework",
        "preprocessing",
    ]


def test_network_as_json_is_a_400(service: Serving) -> None:
    assert "multipart/form-data" in complaint(service.client.post("/networks/", json={"name": "x"}))


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_network_update_returns_the_whole_object(service: Serving, method: str) -> None:
    network = make_network(service.client)
    url = f"/networks/{network['id']}/"
    first = service.client.request(method, url, json={"description": "later", "metadata": {"a": 1}}).json()
    assert first == {
        **network, "description": "later", "metadata": {"a": 1}, "update_date": first["update_date"]
    }  # fmt: skip
    assert first["update_date"] > network["update_date"]
    second = service.client.request(method, url, json={"name": "new"}).json()
    kept = method == "PATCH"
    assert second["name"] == "new"
    assert second["description"] == ("later" if kept else "")
    assert second["metadata"] == ({"a": 1} if kept else {})
    assert service.client.get(url).json() == second


def test_network_update_with_the_object_as_it_was_read_changes_nothing_else(service: Serving) -> None:
    network = make_network(service.client)
    changed = service.client.put(f"/networks/{network['id']}", json={**network, "name": "x"}).json()
    assert changed == {**network, "name": "x", "update_date": changed["update_date"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"framework": "x"}, "framework: cannot be changed"),
        ({"preprocessing": {}}, "preprocessing: cannot be changed"),
        ({"name": 1}, "name: expected text, got 1"),
        ({"descripton": "x"}, "descripton: unknown field; did you mean 'description'?"),
        ({"metadata": []}, "metadata: expected an object"),
    ],
)
def test_network_update_that_is_wrong_is_a_400(
    service: Serving, change: dict[str, Any], message: str
) -> None:
    network = make_network(service.client)
    assert message in complaint(service.client.patch(f"/networks/{network['id']}", json=change))
    assert service.client.get(f"/networks/{network['id']}").json() == network


def test_network_delete_takes_versions_and_files_along(service: Serving) -> None:
    network, spec = make_network(service.client), make_spec(service.client)
    version = make_version(service.client, spec, network)
    folder = service.services.networks.get("one", network["id"]).folder
    response = service.client.delete(
        f"/networks/{network['id']}/", headers={"Content-Type": "application/json"}
    )
    assert (response.status_code, response.content) == (204, b"")
    for url in (f"/networks/{network['id']}/", f"/recognition/versions/{version['id']}/"):
        complaint(service.client.get(url), 404)
    assert service.client.get(f"/recognition/specs/{spec['id']}/").json()["current_version_id"] is None
    assert not service.services.folders.model(folder).exists()
    assert service.engine.forgotten[-1] == network["id"]
    complaint(service.client.delete(f"/networks/{network['id']}/"), 404)


def test_network_that_is_held_back_is_resumed_by_its_owner(service: Serving) -> None:
    network = make_network(service.client)
    response = service.client.post(f"/networks/{network['id']}/resume")
    assert (response.status_code, response.content) == (204, b"")
    assert service.engine.resumed == [network["id"]]
    complaint(service.other.post(f"/networks/{network['id']}/resume"), 404)
    assert service.client.post("/networks/public/digits-yolo/resume/").status_code == 204
    complaint(service.client.post("/networks/public/nothing/resume"), 404)
    assert service.engine.resumed == [network["id"], "digits-yolo"]


def test_network_inference_runs_without_post_processing(service: Serving) -> None:
    network = make_network(service.client)
    response = service.client.post(
        f"/networks/{network['id']}/inference", files={"inputs[0]image.source": ("f", b"image")}
    )
    task_id = made(response)["task_id"]
    number, work = service.engine.works[-1]
    assert (number, work.post, work.network.id) == (task_id, None, network["id"])
    assert work.network.model.read_bytes() == MODEL
