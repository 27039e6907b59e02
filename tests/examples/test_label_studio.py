from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from tests.examples.examples import BROKEN, SEEDS, check, file, is_installed, load, page

pytestmark = pytest.mark.filterwarnings("ignore")  # of others' packages


def config(names: Any) -> str:
    labels = "".join(f'<Label value="{name}"/>' for name in names)
    image = '<Image name="picture" value="$page"/>'
    return f'<View>{image}<RectangleLabels name="digit" toName="picture">{labels}</RectangleLabels></View>'


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODEL_DIR", str(tmp_path_factory.mktemp("cache")))  # where the real one keeps versions
        return load("label_studio/model.py", "label_studio_ml")


@pytest.fixture
def tasks(tmp_path: Path, model: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Two pages, and between them a file that is no image, each as if it had been fetched."""
    monkeypatch.setattr(model.Digits, "get_local_path", lambda self, url, task_id: url)
    contents = [file(SEEDS[0]), BROKEN, file(SEEDS[1])]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.png").write_bytes(content)
    return [{"id": number, "data": {"page": str(tmp_path / f"{number}.png")}} for number in range(3)]


def check_regions(regions: list[dict[str, Any]], seed: int) -> None:
    corners = [[region["value"][side] for side in ("x", "y", "width", "height")] for region in regions]
    boxes = np.array(corners) / 100
    boxes[:, 2:] += boxes[:, :2]
    check([int(region["value"]["rectanglelabels"][0]) for region in regions], boxes, seed)


def test_label_studio_gets_a_prediction_a_task(model: Any, tasks: list[dict[str, Any]]) -> None:
    digits = model.Digits(project_id="1", label_config=config(range(10)))
    predictions = digits.predict(tasks)
    first, broken, last = (prediction["result"] for prediction in predictions)
    check_regions(first, SEEDS[0])
    check_regions(last, SEEDS[1])
    assert broken == []
    assert {(region["from_name"], region["to_name"]) for region in first} == {("digit", "picture")}
    assert predictions[0]["score"] == min(region["score"] for region in first)


def test_label_studio_gets_the_others_where_an_image_is_not_to_be_had(
    model: Any, tasks: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(self: Any, url: str, task_id: int) -> str:
        if task_id == 1:
            raise FileNotFoundError(url)  # as requests.HTTPError, an OSError
        return url

    monkeypatch.setattr(model.Digits, "get_local_path", fetch)
    predictions = model.Digits(project_id="3", label_config=config(range(10))).predict(tasks)
    assert predictions[1]["result"] == []
    check_regions(predictions[2]["result"], SEEDS[1])


def test_label_studio_gets_the_labels_of_its_project_only(model: Any, tasks: list[dict[str, Any]]) -> None:
    digit = int(page(SEEDS[0]).labels[0])
    (prediction,) = model.Digits(project_id="2", label_config=config([digit])).predict(tasks[:1])
    names = {region["value"]["rectanglelabels"][0] for region in prediction["result"]}
    assert names == {str(digit)}


@pytest.mark.skipif(not is_installed("label_studio_ml"), reason="the stub has no server")
def test_label_studio_asks_over_http(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # where it keeps what it has fetched
    (tmp_path / "page.png").write_bytes(file(SEEDS[0]))
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        tasks = [{"id": 1, "data": {"page": f"http://127.0.0.1:{server.server_port}/page.png"}}]
        answer = ask(model, tasks)
        server.shutdown()
    check_regions(answer["results"][0]["result"], SEEDS[0])


def ask(model: Any, tasks: list[dict[str, Any]]) -> Any:
    request = {"tasks": tasks, "project": "3.1", "label_config": config(range(10)), "params": {}}
    return model.app.test_client().post("/predict", json=request).json
