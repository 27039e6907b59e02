"""The examples of hosts answer what is on pages: with the host where it is installed, else with a stub of it.

In a batch, a request with a broken image gets its own answer, and the others theirs.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import os
import sys
from http import HTTPStatus
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import numpy as np
import pytest

from postproc import PostProcessor, SchemaError
from postproc.demo import version_path
from tests.examples.examples import BROKEN, SEEDS, STUBS, WRONG, check, check_answer, file, is_installed, load

FIRST, SECOND = SEEDS


def in_text(image: bytes) -> str:
    return base64.b64encode(image).decode()


def test_fastapi_answers_and_refuses() -> None:
    module = load("fastapi/app.py")

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(module.app)
        async with module.lifespan(module.app), httpx.AsyncClient(transport=transport) as client:
            url = "http://digits/recognise"
            return [await client.post(url, files={"image": image}) for image in (file(FIRST), BROKEN)]

    answer, refused = asyncio.run(ask())
    check_answer(answer.json(), FIRST)
    assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert WRONG in refused.json()["detail"]


def test_fastapi_takes_a_new_version_and_keeps_the_last_that_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    version = json.loads(version_path("yolo").read_text())
    path = tmp_path / "version.json"
    path.write_text(json.dumps(version))
    monkeypatch.setenv("VERSION", str(path))
    digits = load("fastapi/app.py").Digits()
    found = []
    for time, threshold in enumerate((1.0, 2.0), start=1):  # no score is above 1, no threshold may be 2
        version["post_processings"][0]["detection"]["thresholds"] = [threshold] * 10
        path.write_text(json.dumps(version))
        os.utime(path, (time, time))
        digits.refresh()
        found.append(digits.recognise(file(SECOND))["outputs"][0]["labels"]["predicted"])
    assert found == [[], []]
    assert "is not taken" in caplog.text
    assert "thresholds[0]" in caplog.text

    # A version for another network, and a file that is away: each is told of once.
    caplog.clear()
    version["post_processings"][0]["detection"]["thresholds"] = [0.5] * 10
    version["post_processings"][0]["detection"]["yolo_output"]["output_tensor"] = "other"
    path.write_text(json.dumps(version))
    for _ in range(2):
        digits.refresh()
    path.unlink()
    for _ in range(2):
        digits.refresh()
    told = [record.getMessage() for record in caplog.records]
    assert [text for part in ("'other'", "cannot read") for text in told if part in text] == told
    assert len(told) == 2
    assert digits.recognise(file(SECOND))["outputs"][0]["labels"]["predicted"] == []


def test_fastapi_ends_with_the_newest_of_two_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that is slow to read one version must not put it in the place of a newer one."""
    path = tmp_path / "version.json"
    path.write_bytes(version_path("yolo").read_bytes())
    monkeypatch.setenv("VERSION", str(path))
    module = load("fastapi/app.py")
    digits = module.Digits()
    version = json.loads(path.read_text())

    def write(threshold: float, time: int) -> None:
        version["post_processings"][0]["detection"]["thresholds"] = [threshold] * 10
        path.write_text(json.dumps(version))
        os.utime(path, (time, time))

    def newer_meanwhile(*arguments: Any) -> PostProcessor:
        monkeypatch.setattr(module, "PostProcessor", PostProcessor)
        post = PostProcessor(*arguments)
        write(0.75, 2)
        other = Thread(target=digits.refresh)
        other.start()
        other.join()
        return post

    monkeypatch.setattr(module, "PostProcessor", newer_meanwhile)
    write(0.25, 1)
    for _ in range(2):
        digits.refresh()
    assert digits.runner.post.version.post_processings[0].detection.thresholds == (0.75,) * 10


def test_litserve_answers_each_request_of_a_batch() -> None:
    module = load("litserve/server.py", "litserve")
    api = module.Digits(max_batch_size=16, batch_timeout=0.005)
    api.setup("cpu")
    # LitServe's own loop: litserve/loops/simple_loops.py, run_batched_loop.
    requests: list[Any] = [{"image": in_text(image)} for image in (file(FIRST), BROKEN, file(SECOND))]
    requests += [{}, {"image": "%"}, {"image": "\u00e9"}]
    found = api.unbatch(api.predict(api.batch([api.decode_request(request) for request in requests])))
    answers = [api.encode_response(row) for row in found]
    check_answer(answers[0], FIRST)
    check_answer(answers[2], SECOND)
    for number, told in ((1, WRONG), (3, "in base64"), (4, "in base64"), (5, "in base64")):
        assert answers[number].status_code == HTTPStatus.UNPROCESSABLE_ENTITY
        assert told in json.loads(answers[number].body)["detail"]
    (alone,) = api.unbatch(api.predict(api.batch([api.decode_request({})])))
    assert api.encode_response(alone).status_code == HTTPStatus.UNPROCESSABLE_ENTITY


def test_litserve_finds_no_annotation_that_it_would_take_for_fastapis() -> None:
    api = load("litserve/server.py", "litserve").Digits
    assert inspect.signature(api.decode_request).parameters["request"].annotation is inspect.Signature.empty
    assert inspect.signature(api.encode_response).return_annotation is inspect.Signature.empty


class Request:
    """Of Starlette's, the body."""

    def __init__(self, image: bytes) -> None:
        self._image = image

    async def body(self) -> bytes:
        return self._image


@pytest.mark.skipif(is_installed("ray"), reason="Ray Serve batches in a replica only: test_servers.py")
def test_ray_serve_answers_each_request_of_a_batch_and_changes_thresholds() -> None:
    module = load("ray_serve/app.py", "ray")
    digits = module.Digits.func_or_class()
    assert module.app == (module.Digits, ())

    async def ask() -> list[Any]:
        images = (file(FIRST), BROKEN, file(SECOND))
        return await asyncio.gather(*(digits(Request(image)) for image in images))

    answers = asyncio.run(ask())
    check_answer(answers[0], FIRST)
    check_answer(answers[2], SECOND)
    assert answers[1].status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert WRONG in json.loads(answers[1].body)["detail"]

    digits.reconfigure({"thresholds": 1.0})
    assert asyncio.run(ask())[0]["outputs"][0]["labels"]["predicted"] == []
    with pytest.raises(SchemaError, match="threshold"):
        digits.reconfigure({"thresholds": 2.0})
    digits.reconfigure({"nms_threshold": 0.5})  # as a replica that starts with it: no threshold of before
    check_answer(asyncio.run(ask())[0], FIRST)


def test_bentoml_answers_each_request_of_a_batch() -> None:
    module = load("bentoml/service.py", "bentoml")
    network = module.Network()
    answers = network.recognise([file(FIRST), BROKEN, file(SECOND)])
    check_answer(answers[0], FIRST)
    check_answer(answers[2], SECOND)
    assert WRONG in answers[1]["error"]
    assert [list(answer) for answer in network.recognise([BROKEN])] == [["error"]]


def test_bentoml_answers_and_refuses(tmp_path: Path) -> None:
    module = load("bentoml/service.py", "bentoml")
    digits = module.Digits()
    (tmp_path / "page.png").write_bytes(file(SECOND))
    (tmp_path / "broken.png").write_bytes(BROKEN)
    check_answer(asyncio.run(digits.recognise(tmp_path / "page.png")), SECOND)
    with pytest.raises(module.InvalidArgument, match=WRONG) as raised:
        asyncio.run(digits.recognise(tmp_path / "broken.png"))
    assert raised.value.error_code == HTTPStatus.BAD_REQUEST


def test_kserve_answers_the_instances_of_a_request_and_refuses() -> None:
    module = load("kserve/model.py", "kserve")
    model = module.Digits("digits")
    assert not model.ready
    assert model.load()
    assert model.ready

    def ask(*instances: Any) -> Any:
        return asyncio.run(model.predict({"instances": list(instances)}, {}))["predictions"]

    pages = [{"image": {"b64": in_text(file(seed))}} for seed in SEEDS]
    for answer, seed in zip(ask(*pages), SEEDS, strict=True):
        check_answer(answer, seed)
    for broken, told in (
        (in_text(BROKEN), WRONG),
        ("%", "expected"),
        ("\u00e9", "expected"),
        (None, "expected"),
    ):
        with pytest.raises(module.InvalidInput, match=told):
            ask(pages[0], {"image": {"b64": broken}})
    with pytest.raises(module.InvalidInput, match="expected"):
        ask("an image")


def test_triton_answers_each_request_of_an_execution() -> None:
    module = load("triton/digits/1/model.py", "triton_python_backend_utils")
    backend: Any = module.pb_utils
    model = module.TritonPythonModel()
    model.initialize({})

    def request(*images: bytes) -> Any:
        return backend.InferenceRequest([backend.Tensor("image", np.array(images, np.object_)[:, None])])

    # A request may be of several images; one that has a broken one is refused, the others are not.
    requests = [request(file(FIRST), file(SECOND)), request(file(FIRST), BROKEN), request(file(SECOND))]
    both, refused, second = model.execute(requests)
    for response, seeds in ((both, SEEDS), (second, (SECOND,))):
        found = {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
        assert {name: (array.shape, array.dtype.name) for name, array in found.items()} == {
            "boxes": ((len(seeds), 100, 4), "float32"),
            "scores": ((len(seeds), 100), "float32"),
            "labels": ((len(seeds), 100), "int64"),
            "count": ((len(seeds), 1), "int64"),
        }
        for row, seed in enumerate(seeds):
            count = found["count"][row, 0]
            check(found["labels"][row, :count] - 100, found["boxes"][row, :count], seed)
            assert (found["labels"][row, count:] == -1).all()
    assert refused.error().code() == backend.TritonError.INVALID_ARG
    assert WRONG in refused.error().message()
    (alone,) = model.execute([request(BROKEN)])
    assert WRONG in alone.error().message()


def test_stubs_are_not_found_by_others() -> None:
    load("litserve/server.py", "litserve")
    files = [str(getattr(module, "__file__", "")) for module in list(sys.modules.values())]
    assert [path for path in files if path.startswith(str(STUBS))] == []
    assert str(STUBS) not in sys.path
