from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.examples.examples import BROKEN, SEEDS, check, file, is_installed, load, page


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
def tasks(tmp_path: Path) -> list[dict[str, Any]]:
    """Two pages, and between them a file that is no image."""
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


def test_label_studio_gets_the_labels_of_its_project_only(model: Any, tasks: list[dict[str, Any]]) -> None:
    digit = int(page(SEEDS[0]).labels[0])
    (prediction,) = model.Digits(project_id="2", label_config=config([digit])).predict(tasks[:1])
    names = {region["value"]["rectanglelabels"][0] for region in prediction["result"]}
    assert names == {str(digit)}


@pytest.mark.skipif(not is_installed("label_studio_ml"), reason="the stub has no server")
def test_label_studio_asks_over_http(model: Any, tasks: list[dict[str, Any]]) -> None:
    request = {"tasks": tasks[:1], "project": "3.1", "label_config": config(range(10)), "params": {}}
    answer = model.app.test_client().post("/predict", json=request)
    check_regions(answer.json["results"][0]["result"], SEEDS[0])
