"""Specs, versions and their inference over HTTP."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from sqlalchemy import func, select

from postproc.service.store.tables import Task
from tests.service.objects import (
    DIRECT,
    IMAGE,
    OUTPUTS,
    POST_PROCESSINGS,
    complaint,
    made,
    make_network,
    make_spec,
    make_version,
    post_network,
)
from tests.service.serving import Serving


def test_spec_created_comes_back_whole(service: Serving) -> None:
    spec = make_spec(service.client, metadata={"made_by": "client_flow"}, unknown={"kept": [1]}, id=77)
    assert spec["outputs"] == OUTPUTS
    assert (spec["metadata"], spec["unknown"]) == ({"made_by": "client_flow"}, {"kept": [1]})
    assert (spec["description"], spec["task_id"], spec["current_version_id"]) == ("", None, None)
    assert spec["id"] != 77
    assert service.client.get(f"/recognition/specs/{spec['id']}").json() == spec


def test_spec_that_is_wrong_names_every_path(service: Serving) -> None:
    outputs = copy.deepcopy(OUTPUTS)
    outputs[0]["labels"]["roi"] = "BOX"
    outputs[0]["labels"]["labels"][1]["id"] = "x"
    response = service.client.post("/recognition/specs/", json={"name": 1, "outputs": outputs})
    complaint(response)
    assert {item["field"] for item in response.json()["error"]["fields"]} == {
        "name",
        "outputs[0].labels.roi",
        "outputs[0].labels.labels[1].id",
    }


def test_spec_update_chooses_the_current_version(service: Serving) -> None:
    spec = make_spec(service.client)
    first, second = (make_version(service.client, spec) for _ in range(2))
    url = f"/recognition/specs/{spec['id']}/"
    assert service.client.get(url).json()["current_version_id"] == first["id"]
    changed = service.client.patch(url, json={"current_version_id": second["id"]}).json()
    assert changed["current_version_id"] == second["id"]
    assert changed["outputs"] == OUTPUTS
    assert service.client.patch(url, json={"current_version_id": None}).json()["current_version_id"] is None


@pytest.mark.parametrize("value", [10**30, -1, 0, "digits-yolo", 1.5, True])
def test_spec_update_to_a_version_that_is_not_its_own_is_a_400(service: Serving, value: Any) -> None:
    spec = make_spec(service.client)
    response = service.client.patch(f"/recognition/specs/{spec['id']}", json={"current_version_id": value})
    assert "current_version_id" in complaint(response)


def test_spec_outputs_cannot_be_changed(service: Serving) -> None:
    spec = make_spec(service.client)
    url = f"/recognition/specs/{spec['id']}"
    assert "outputs: cannot be changed" in complaint(service.client.put(url, json={"outputs": []}))
    assert service.client.put(url, json={"outputs": OUTPUTS}).status_code == 200


def test_lists_have_rows_without_what_is_large(service: Serving) -> None:
    version = make_version(service.client)
    rows = service.client.get("/recognition/versions/?limit=1000").json()["results"]
    row = next(row for row in rows if row["id"] == version["id"])
    assert row == {name: value for name, value in version.items() if name != "post_processings"}
    of_spec = service.client.get(f"/recognition/specs/{version['spec_id']}/versions").json()
    assert of_spec["results"] == [row]
    specs = service.client.get("/recognition/specs?limit=1000").json()["results"]
    assert all("outputs" not in spec for spec in specs)


def test_version_created_comes_back_whole(service: Serving) -> None:
    version = make_version(service.client)
    assert version["post_processings"] == POST_PROCESSINGS
    assert (version["spec_name"], version["network_name"]) == ("flow spec", "flow network")
    assert service.client.get(f"/recognition/versions/{version['id']}/").json() == version


def test_version_deleted_is_gone_for_everything(service: Serving) -> None:
    version = make_version(service.client)
    url = f"/recognition/versions/{version['id']}"
    assert service.client.delete(f"{url}/").status_code == 204
    complaint(service.client.get(f"{url}/"), 404)
    complaint(service.client.delete(f"{url}/"), 404)
    complaint(service.client.post(f"{url}/inference", files=IMAGE), 404)
    complaint(service.client.post(f"/recognition/specs/{version['spec_id']}/inference", files=IMAGE), 409)


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"spec_id": None}, ["spec_id"]),
        (
            {"spec_id": None, "post_processings": None, "network_id": None},
            ["spec_id", "network_id", "post_processings"],
        ),
        ({"spec_id": 10**30}, ["spec_id"]),
        ({"network_id": 99999}, ["network_id"]),
        ({"network_id": "digits-none"}, ["network_id"]),
        ({"post_processings": []}, ["post_processings"]),
        ({"post_processings": POST_PROCESSINGS * 2}, ["post_processings"]),
        ({"post_processings": [{"classification": {"output_tensor": "boxes"}}]}, ["post_processings[0]"]),
        (
            {"post_processings": [{"detection": {"direct_output": DIRECT, "thresholds": [0.5]}}]},
            ["post_processings[0].detection.thresholds"],
        ),
        (
            {"post_processings": [{"detection": {"direct_output": DIRECT, "nms_threshold": 2, "x": 1}}]},
            ["post_processings[0].detection.nms_threshold", "post_processings[0].detection.x"],
        ),
        (
            {
                "post_processings": [
                    {
                        "detection": {
                            "direct_output": {**DIRECT, "boxes_tensor": "b", "scores_tensor": "s"},
                            "normalize_wrt_tensor": "im_info",
                        }
                    }
                ]
            },
            [
                "post_processings[0].detection.direct_output.boxes_tensor",
                "post_processings[0].detection.direct_output.scores_tensor",
                "post_processings[0].detection.normalize_wrt_tensor",
            ],
        ),
    ],
)
def test_version_that_is_wrong_names_every_path(
    service: Serving, change: dict[str, Any], fields: list[str]
) -> None:
    spec, network = make_spec(service.client), make_network(service.client)
    document = {
        "spec_id": spec["id"],
        "network_id": network["id"],
        "post_processings": POST_PROCESSINGS,
        **change,
    }
    response = service.client.post(
        "/recognition/versions/", json={name: value for name, value in document.items() if value is not None}
    )
    complaint(response)
    error = response.json()["error"]
    assert [item["field"] for item in error.get("fields", [error])] == fields
    assert service.client.get(f"/recognition/specs/{spec['id']}").json()["current_version_id"] is None


def test_version_may_use_an_input_of_the_network(service: Serving) -> None:
    spec, network = make_spec(service.client), make_network(service.client)
    detection = {"direct_output": DIRECT, "normalize_wrt_tensor": "images"}
    document = {
        "spec_id": spec["id"],
        "network_id": network["id"],
        "post_processings": [{"detection": detection}],
    }
    made(service.client.post("/recognition/versions/", json=document))


@pytest.mark.parametrize("of", ["version", "spec"])
def test_inference_as_form_reaches_the_engine_typed(service: Serving, of: str) -> None:
    version = make_version(service.client)
    path = (
        f"/recognition/versions/{version['id']}"
        if of == "version"
        else f"/recognition/specs/{version['spec_id']}"
    )
    data = {
        "show_discarded": "True",
        "max_predictions": "3",
        "inputs[0]image.crop_uniform_background": "False",
        "inputs[0]image.bbox.xmin": "0.1",
    }
    task_id = made(service.client.post(f"{path}/inference", data=data, files=IMAGE))["task_id"]
    number, work = service.engine.works[-1]
    assert number == task_id
    assert (work.key, work.show_discarded, work.max_predictions) == (version["id"], True, 3)
    assert work.post is not None
    assert work.post.tensor_names == tuple(DIRECT.values())
    image = {"source": b"an image", "crop_uniform_background": False, "bbox": {"xmin": 0.1}}
    assert work.inputs == [{"image": image}]
    task = service.client.get(f"/tasks/{task_id}/").json()
    assert (task["id"], task["status"], task["data"]) == (task_id, "success", service.engine.data)


def test_inference_as_json_reaches_the_engine_as_it_is(service: Serving) -> None:
    version = make_version(service.client)
    image = {"source": "http://127.0.0.1/a.png", "crop_uniform_background": False, "bbox": {"xmin": "0.1"}}
    body = {"show_discarded": True, "max_predictions": 3, "inputs": [{"image": image}]}
    made(service.client.post(f"/recognition/versions/{version['id']}/inference", json=body))
    assert service.engine.works[-1][1].inputs == [{"image": image}]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "inputs"),
        ({"inputs": []}, "inputs"),
        ({"inputs": {}}, "inputs"),
        ({"inputs": [1]}, "inputs[0]"),
        ({"inputs": [{}], "max_predictions": 0}, "max_predictions"),
        ({"inputs": [{}], "max_predictions": True}, "max_predictions"),
        ({"inputs": [{}], "show_discarded": "True"}, "show_discarded"),
        ({"inputs": [{}], "show_discardde": True}, "show_discardde"),
    ],
)
def test_inference_that_is_wrong_names_the_field(service: Serving, body: dict[str, Any], field: str) -> None:
    version = make_version(service.client)
    before = len(service.engine.works)
    response = service.client.post(f"/recognition/versions/{version['id']}/inference", json=body)
    complaint(response)
    assert response.json()["error"]["field"] == field
    assert len(service.engine.works) == before


@pytest.mark.parametrize("name", ["show_discarded", "inputs[0]image.bbox.xmin", "x"])
def test_inference_with_a_file_where_text_belongs_is_a_400(service: Serving, name: str) -> None:
    version = make_version(service.client)
    files = {**IMAGE, name: ("f", b"1")}
    response = service.client.post(f"/recognition/versions/{version['id']}/inference", files=files)
    assert "expected text, got a file" in complaint(response)


def test_inference_beyond_the_queue_is_a_503_without_a_task(service: Serving) -> None:
    version = make_version(service.client)

    def tasks() -> int | None:
        with service.services.database.reading() as session:
            return session.scalar(select(func.count()).select_from(Task))

    before = tasks()
    service.engine.is_full = True
    try:
        response = service.client.post(f"/recognition/versions/{version['id']}/inference", files=IMAGE)
    finally:
        service.engine.is_full = False
    complaint(response, 503)
    assert response.headers["Retry-After"] == "2"
    assert tasks() == before


def test_public_specs_may_be_read_and_run(service: Serving) -> None:
    rows = service.client.get("/recognition/public/?public=1&offset=0&limit=100").json()
    assert [row["id"] for row in rows["results"]] == [
        "digits-yolo", "digits-anchored", "digits-direct", "digits-classifier"
    ]  # fmt: skip
    for row in rows["results"]:
        name = row["id"]
        spec = service.client.get(f"/recognition/public/{name}/").json()
        assert {key: value for key, value in spec.items() if key != "outputs"} == row
        versions = service.client.get(f"/recognition/public/{name}/versions").json()["results"]
        version = service.client.get(f"/recognition/versions/{versions[0]['id']}/").json()
        assert len(version["post_processings"]) == len(spec["outputs"])
        for url in (
            f"/recognition/public/{name}",
            f"/recognition/versions/{name}",
            f"/networks/public/{name}",
        ):
            made(service.client.post(f"{url}/inference", files=IMAGE))
            assert service.engine.works[-1][1].network.id == name
        complaint(service.client.delete(f"/recognition/versions/{name}/"), 403)
    complaint(service.client.get("/recognition/public/nothing/"), 404)
    complaint(service.client.get("/recognition/versions/nothing/"), 404)


def test_version_that_names_many_unknown_tensors_is_told_of_the_first(service: Serving) -> None:
    """What is told does not grow with the tensors of a version times those of its network."""
    names = [f"tensor-{row}-{'x' * 60}" for row in range(100)]
    files = {"model": ("tiny.bin", f"onnx boxes:0 {' '.join(names)}".encode())}
    network = made(post_network(service.client, files))
    labels = {"roi": "BBOX", "exclusive": True, "labels": [{"id": 0, "name": "cat"}]}
    spec = make_spec(service.client, outputs=[{"labels": labels}] * 60)
    post_processings = [
        {
            "detection": {
                "direct_output": {
                    f"{kind}_tensor": f"{kind}-{row}" for kind in ("boxes", "scores", "classes")
                },
                "thresholds": [0.5],
                "nms_threshold": 0.3,
            }
        }
        for row in range(60)
    ]
    post_processings[0]["detection"]["direct_output"]["scores_tensor"] = "bokes:0"
    document = {"spec_id": spec["id"], "network_id": network["id"], "post_processings": post_processings}
    answer = service.client.post("/recognition/versions", json=document)
    complaint(answer)
    assert len(answer.content) < 400_000
    fields = answer.json()["error"]["fields"]
    assert len(fields) == 51
    known = "the network has no tensor 'classes-0'; known: boxes:0, tensor-0-xxx"
    assert fields[2]["message"].startswith(known)
    assert fields[1]["field"] == "post_processings[0].detection.direct_output.scores_tensor"
    assert fields[1]["message"] == "the network has no tensor 'bokes:0'; did you mean 'boxes:0'?"
    assert fields[50]["message"] == "further problems are not listed"
