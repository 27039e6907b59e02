"""The vendor's client `deepomatic-api` 1.0.0, unchanged, against a service in a process of its own."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from deepomatic.api.client import Client
from deepomatic.api.exceptions import ClientError, TaskError
from deepomatic.api.inputs import ImageInput

from postproc import PostProcessor, demo
from postproc.demo.pages import crop_digit, make_page
from postproc.images import Preprocessor
from postproc.onnx_runner import OnnxRunner
from postproc.schema import Preprocessing, RecognitionSpec, RecognitionVersion
from tests.documents.pages import blocks, run
from tests.service.digits import wait_for_kernels
from tests.service.running import ROOT, Running, running
from tests.service.vendor import IMAGE, PAGE, check_same, expected, make_network, make_spec, make_version, png

CORNERS = (0.25, 0.1, 0.9, 0.75)
BBOX = dict(zip(("xmin", "ymin", "xmax", "ymax"), CORNERS, strict=True))
DATA_URI = f"data:image/png;base64,{base64.b64encode(IMAGE).decode()}"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("data")) as started:
        wait_for_kernels(started.host)
        yield started


@pytest.fixture(scope="module")
def client(service: Running) -> Client:
    return Client(api_key=service.key, host=service.host)


@pytest.fixture(scope="module")
def stranger(service: Running) -> Client:
    """Somebody of another tenant, whose key is made while the service runs."""
    command = [sys.executable, "-m", "postproc.cli", "keys", "add", "stranger", "--data", str(service.data)]
    made = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    return Client(api_key=made.stdout.strip(), host=service.host)


@pytest.fixture(scope="module")
def version(client: Client) -> Any:
    """A version of the demo's YOLO network, all of it uploaded."""
    return make_version(client, make_spec(client), make_network(client))


def predicted(data: dict[str, Any], kind: str = "predicted") -> list[dict[str, Any]]:
    (output,) = data["outputs"]
    rows: list[dict[str, Any]] = output["labels"][kind]
    return rows


def complaint(error: pytest.ExceptionInfo[ClientError], status: int) -> str:
    assert error.value.status_code == status
    body = error.value.json()
    assert body["detail"] == body["error"]["message"]
    return str(body["detail"])


def test_page_on_serving_is_run(
    service: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = ROOT / "docs" / "tasks" / "serve.md"
    pages = tmp_path / "digits" / "pages"
    pages.mkdir(parents=True)
    for name, source in (("spec", demo.spec_path), ("version", demo.version_path)):
        shutil.copy(source("yolo"), pages.parent / f"{name}.json")
    shutil.copy(demo.preprocessing_path("yolo"), pages.parent / "preprocessing.json")
    shutil.copy(demo.model_path("yolo"), pages.parent / "model.onnx")
    (pages / "page-00000.png").write_bytes(IMAGE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEY", service.key)
    monkeypatch.setenv("API", f"{service.host}/v0.7")
    send, ask, refused = (block.code for block in blocks(page, "sh") if "curl" in block.code)
    send = send.replace("postproc demo --dataset digits\n", "")  # its files are there
    script = f"{send}until {ask.strip()} | tee result.json | grep -q success; do sleep 0.2; done\n{refused}"
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=60, check=True)
    (output,) = json.loads((tmp_path / "result.json").read_text())["data"]["outputs"]
    assert output["labels"]["predicted"]
    assert done.stdout.rstrip().endswith("401")
    (block,) = blocks(page)
    assert '"http://127.0.0.1:8000"' in block.code
    code = block.code.replace('"http://127.0.0.1:8000"', repr(service.host))
    run(page, block._replace(code=code), {}, capsys)


def test_client_life_cycle_from_upload_to_delete(client: Client) -> None:
    network = make_network(client)
    assert (network["name"], network["framework"]) == ("digits yolo", "tensorflow-1.x")
    assert network["preprocessing"] == Preprocessing.load(demo.preprocessing_path("yolo")).dump()
    spec = make_spec(client, metadata={"made_by": "a test"}, description="of the demo")
    assert (spec["metadata"], spec["current_version_id"]) == ({"made_by": "a test"}, None)
    first, second = (make_version(client, spec, network) for _ in range(2))
    assert (first["spec_name"], first["network_name"]) == ("digits", "digits yolo")

    spec.refresh()
    assert spec["current_version_id"] == first["id"]
    assert [row["id"] for row in spec.versions()] == [first["id"], second["id"]]
    assert spec.versions().count() == 2
    assert {first["id"], second["id"]} <= {row["id"] for row in client.RecognitionVersion.list()}
    again = client.RecognitionVersion.retrieve(second["id"])
    assert again["post_processings"] == second["post_processings"]

    first.delete()
    for gone in (
        lambda: client.RecognitionVersion.retrieve(first["id"]).data(),
        lambda: client.RecognitionVersion.retrieve(first["id"]).delete(),
        lambda: first.inference(inputs=[ImageInput(IMAGE, encoding="binary")]),
    ):
        with pytest.raises(ClientError) as error:
            gone()
        assert f"there is no version {first['id']}" in complaint(error, 404)

    network.delete()  # takes its versions along
    for resource, identifier in ((client.Network, network["id"]), (client.RecognitionVersion, second["id"])):
        with pytest.raises(ClientError) as error:
            resource.retrieve(identifier).data()
        complaint(error, 404)
    assert list(spec.versions()) == []
    spec.delete()
    with pytest.raises(ClientError) as error:
        client.RecognitionSpec.retrieve(spec["id"]).data()
    complaint(error, 404)


@pytest.mark.parametrize("replace", [False, True], ids=["patch", "put"])
def test_client_update_changes_network_and_spec(client: Client, replace: bool) -> None:
    network, spec = make_network(client), make_spec(client)
    make_version(client, spec, network)
    current = make_version(client, spec, network)
    for resource, given, fields in (
        (client.Network, network, {"name": "renamed", "description": "described later"}),
        (client.RecognitionSpec, spec, {"name": "renamed", "current_version_id": current["id"]}),
    ):
        found = resource.retrieve(given["id"])
        found.update(replace=replace, **fields)
        assert found["id"] == given["id"]
        for name, value in fields.items():
            assert found[name] == value
            assert resource.retrieve(given["id"])[name] == value
    assert client.RecognitionSpec.retrieve(spec["id"])["outputs"] == spec["outputs"]
    network.delete()


def test_client_list_over_several_pages_yields_each_object_once(client: Client) -> None:
    made = [make_spec(client, name=f"spec {row}") for row in range(7)]
    rows = client.RecognitionSpec.list(limit=3)
    found = [row["id"] for row in rows]
    assert len(found) == len(set(found)) == rows.count()
    assert found == sorted(found)
    assert {spec["id"] for spec in made} <= set(found)
    page = client.RecognitionSpec.list(limit=3, offset=3)
    assert page.prev() is not None
    assert [row["id"] for row in page] == found[3:]
    for spec in made:
        spec.delete()


@pytest.mark.parametrize(
    ("source", "encoding"),
    [
        pytest.param(BytesIO(IMAGE), None, id="file"),
        pytest.param(IMAGE, "binary", id="bytes"),
        pytest.param(base64.b64encode(IMAGE), "base64", id="base64"),
        pytest.param(DATA_URI, "binary", id="data-uri"),
    ],
)
def test_client_inference_finds_what_the_library_finds(
    version: Any, source: Any, encoding: str | None
) -> None:
    found = version.inference(inputs=[ImageInput(source, encoding=encoding)])
    wanted = expected()
    assert len(predicted(wanted)) > 5
    check_same(found, wanted)


def test_client_inference_of_an_open_file_finds_what_the_library_finds(version: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.png"
    path.write_bytes(IMAGE)
    with path.open("rb") as file:
        check_same(version.inference(inputs=[ImageInput(file)]), expected())


def test_json_inference_in_base64_finds_what_the_client_finds(service: Running, version: Any) -> None:
    url = f"{service.host}/v0.7/recognition/versions/{version['id']}/inference"
    body = {"inputs": [{"image": {"source": base64.b64encode(IMAGE).decode()}}]}
    headers = {"X-API-KEY": service.key}
    task = httpx.post(url, headers=headers, json=body).json()["task_id"]
    client = Client(api_key=service.key, host=service.host)
    check_same(client.Task.retrieve(task).wait()["data"], expected())


@pytest.mark.parametrize("most", [3, 40])
def test_client_inference_with_options_returns_discarded_within_the_limit(version: Any, most: int) -> None:
    inputs = [ImageInput(IMAGE, encoding="binary")]
    found = version.inference(inputs=inputs, show_discarded=True, max_predictions=most)
    assert len(predicted(found)) + len(predicted(found, "discarded")) == most
    check_same(found, expected(show_discarded=True, max_predictions=most))
    assert predicted(version.inference(inputs=inputs), "discarded") == []


def test_client_inference_in_a_bbox_returns_boxes_of_the_whole_image(version: Any) -> None:
    bbox = {name: str(value) for name, value in BBOX.items()}  # the client cannot send floats beside a file
    found = version.inference(inputs=[ImageInput(IMAGE, encoding="binary", bbox=bbox)])
    height, width = PAGE.image.shape[:2]
    left, right = int(np.floor(CORNERS[0] * width)), int(np.ceil(CORNERS[2] * width))
    top, bottom = int(np.floor(CORNERS[1] * height)), int(np.ceil(CORNERS[3] * height))
    wanted = expected(image=PAGE.image[top:bottom, left:right])
    for row in predicted(wanted):
        box = row["roi"]["bbox"]
        for name, start, size, whole in (
            ("xmin", left, right - left, width),
            ("xmax", left, right - left, width),
            ("ymin", top, bottom - top, height),
            ("ymax", top, bottom - top, height),
        ):
            box[name] = (start + box[name] * size) / whole
    assert len(predicted(wanted)) > 2
    check_same(found, wanted)


def test_client_batch_wait_of_many_tasks_keeps_their_order(client: Client, version: Any) -> None:
    digits = [png(PAGE.image), png(make_page(4).image)]
    wanted = [expected(), expected(image=make_page(4).image)]
    tasks = [
        version.inference(
            inputs=[ImageInput(digits[row % 2], encoding="binary")], return_task=True, wait_task=False
        )
        for row in range(120)
    ]
    pending, success, error = client.Task.batch_wait(tasks)
    assert (pending, error) == ([], [])
    assert [position for position, _ in success] == list(range(120))
    for position, task in success:
        assert task.pk == tasks[position].pk
        check_same(task["data"], wanted[position % 2])
    assert client.Task.batch_wait([]) == ([], [], [])


def test_client_spec_inference_runs_the_current_version(client: Client) -> None:
    network, spec = make_network(client), make_spec(client)
    inputs = [ImageInput(IMAGE, encoding="binary")]
    with pytest.raises(ClientError) as error:
        spec.inference(inputs=inputs)
    assert "has no current version" in complaint(error, 409)
    make_version(client, spec, network)
    check_same(spec.inference(inputs=inputs), expected())
    documents = RecognitionVersion.load(demo.version_path("yolo")).dump()["post_processings"]
    documents[0]["detection"]["thresholds"] = [1.0] * 10
    strict = client.RecognitionVersion.create(
        spec_id=spec["id"], network_id=network["id"], post_processings=documents
    )
    check_same(spec.inference(inputs=inputs), expected())
    spec.update(current_version_id=strict["id"])
    assert predicted(spec.inference(inputs=inputs)) == []


def test_client_network_inference_returns_arrays(client: Client, version: Any) -> None:
    network = client.Network.retrieve(version["network_id"])
    tensors = network.inference(inputs=[ImageInput(IMAGE, encoding="binary")])
    post = PostProcessor(demo.spec_path("yolo"), demo.version_path("yolo"))
    runner = OnnxRunner(demo.model_path("yolo"), post)
    batch = Preprocessor(demo.preprocessing_path("yolo"))([PAGE.image])
    (name,) = post.tensor_names
    (wanted,) = runner.session.run([name], batch.tensors)
    assert set(tensors) == {output.name for output in runner.session.get_outputs()}
    assert tensors[name].shape == wanted.shape
    np.testing.assert_allclose(tensors[name], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", demo.MODELS)
def test_client_public_spec_is_listed_and_runs(client: Client, kind: str) -> None:
    name = f"digits-{kind}"
    assert name in [row["id"] for row in client.RecognitionSpec.list(public=True)]
    spec = client.RecognitionSpec.retrieve(name)
    assert spec["outputs"] == RecognitionSpec.load(demo.spec_path(kind)).dump()["outputs"]
    assert [row["spec_id"] for row in spec.versions()] == [name]
    pixels = crop_digit(PAGE.image, PAGE.boxes[0]) if kind == "classifier" else PAGE.image
    found = spec.inference(inputs=[ImageInput(png(pixels), encoding="binary")], show_discarded=True)
    check_same(found, expected(kind, pixels, show_discarded=True))


def test_client_makes_a_version_on_a_public_network(client: Client) -> None:
    names = [f"digits-{kind}" for kind in demo.MODELS]
    assert [row["id"] for row in client.Network.list(public=True)] == names
    network = client.Network.retrieve("digits-direct")
    assert network["framework"] == "onnx"
    version = make_version(client, make_spec(client, "direct"), network, "direct")
    assert client.RecognitionVersion.retrieve(version["id"])["network_id"] == "digits-direct"
    found = version.inference(inputs=[ImageInput(png(PAGE.image), encoding="binary")])
    check_same(found, expected("direct"))


def test_client_wrong_key_is_a_401(service: Running) -> None:
    with pytest.raises(ClientError) as error:
        list(Client(api_key="wrong", host=service.host).Network.list())
    assert "X-API-KEY" in complaint(error, 401)


def test_client_two_tenants_do_not_see_each_other(client: Client, stranger: Client, version: Any) -> None:
    task = version.inference(inputs=[ImageInput(IMAGE, encoding="binary")], return_task=True, wait_task=False)
    task.wait()
    spec_id, network_id = version["spec_id"], version["network_id"]
    for resource in (stranger.Network, stranger.RecognitionSpec, stranger.RecognitionVersion):
        assert list(resource.list()) == []
    assert list(stranger.Task.list(task_ids=[task.pk])) == []
    inputs = [ImageInput(IMAGE, encoding="binary")]
    for attempt in (
        lambda: stranger.Network.retrieve(network_id).data(),
        lambda: stranger.Network.retrieve(network_id).update(name="mine"),
        lambda: stranger.Network.retrieve(network_id).delete(),
        lambda: stranger.Network.retrieve(network_id).inference(inputs=inputs),
        lambda: stranger.RecognitionSpec.retrieve(spec_id).data(),
        lambda: stranger.RecognitionSpec.retrieve(spec_id).update(name="mine"),
        lambda: stranger.RecognitionSpec.retrieve(spec_id).delete(),
        lambda: stranger.RecognitionSpec.retrieve(spec_id).inference(inputs=inputs),
        lambda: list(stranger.RecognitionSpec.retrieve(spec_id).versions()),
        lambda: stranger.RecognitionVersion.retrieve(version["id"]).data(),
        lambda: stranger.RecognitionVersion.retrieve(version["id"]).delete(),
        lambda: stranger.RecognitionVersion.retrieve(version["id"]).inference(inputs=inputs),
        lambda: stranger.Task.retrieve(task.pk).data(),
    ):
        with pytest.raises(ClientError) as error:
            attempt()
        assert complaint(error, 404).startswith("there is no")
    mine = make_spec(stranger)
    with pytest.raises(ClientError) as error:  # nor use a network of another in a version of one's own
        make_version(stranger, mine, {"id": network_id})
    assert error.value.json()["error"]["field"] == "network_id"
    with pytest.raises(ClientError) as error:
        client.RecognitionSpec.retrieve(mine["id"]).data()
    complaint(error, 404)
    check_same(version.inference(inputs=inputs), expected())


@pytest.mark.parametrize("count", [0, 2])
def test_client_wrong_number_of_inputs_names_both_numbers(version: Any, count: int) -> None:
    with pytest.raises(ClientError) as error:
        version.inference(inputs=[ImageInput(IMAGE, encoding="binary")] * count)
    assert "error" in error.value.json()
    assert f"expected 1, one for each image input of the network's preprocessing, got {count}" in complaint(
        error, 400
    )


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param(b"no image at all", "not an image", id="no-image"),
        pytest.param(IMAGE[: len(IMAGE) // 2], "cannot be decoded", id="cut-short"),
        pytest.param("http://images.test/page.png", "--allow-urls", id="url"),
    ],
)
def test_client_bad_image_is_a_400_that_names_the_input(version: Any, source: Any, words: str) -> None:
    encoding = "binary" if isinstance(source, bytes) else None
    with pytest.raises(ClientError) as error:
        version.inference(inputs=[ImageInput(source, encoding=encoding)])
    assert words in complaint(error, 400)
    assert error.value.json()["error"]["field"] == "inputs[0].image.source"


def test_client_network_that_is_no_model_is_a_400(client: Client) -> None:
    before = client.Network.list().count()
    with pytest.raises(ClientError) as error:
        client.Network.create(
            name="broken",
            framework="onnx",
            preprocessing=json.loads(demo.preprocessing_path("yolo").read_text()),
            files={"model.onnx": BytesIO(b"no model")},
        )
    complaint(error, 400)
    assert client.Network.list().count() == before


def test_client_task_that_fails_is_a_task_error(client: Client) -> None:
    """A version of three labels on a network of ten passes every check of names, and fails when it runs."""
    network = make_network(client, "classifier")
    labels = [{"id": row, "name": f"label {row}"} for row in range(3)]
    spec = client.RecognitionSpec.create(
        name="three", outputs=[{"labels": {"roi": "NONE", "exclusive": True, "labels": labels}}]
    )
    post_processings = [{"classification": {"output_tensor": "logits", "thresholds": [0.5] * 3}}]
    version = client.RecognitionVersion.create(
        spec_id=spec["id"], network_id=network["id"], post_processings=post_processings
    )
    with pytest.raises(TaskError) as error:
        version.inference(inputs=[ImageInput(IMAGE, encoding="binary")])
    task = error.value.task
    assert (task["status"], task["data"]) == ("error", None)
    assert "logits" in task["error"]
    assert client.Task.retrieve(error.value.get_task_id())["error"] == task["error"]
    network.delete()
