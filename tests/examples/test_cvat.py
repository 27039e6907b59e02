from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.examples.examples import SEEDS, check, is_installed, load, page

pytestmark = pytest.mark.filterwarnings("ignore")  # of others' packages


@pytest.fixture(scope="module")
def function() -> Any:
    return load("cvat/function.py", "cvat_sdk")


def relative(shapes: Any) -> Any:
    return np.array([shape.points for shape in shapes]) / [640, 480, 640, 480]


@pytest.mark.parametrize("seed", SEEDS)
def test_cvat_gets_rectangles_of_its_labels(function: Any, seed: int) -> None:
    names = {label.id: label.name for label in function.spec.labels}
    shapes = function.detect(SimpleNamespace(conf_threshold=None), Image.fromarray(page(seed).image))
    check([int(names[shape.label_id]) for shape in shapes], relative(shapes), seed)


def test_cvat_says_another_threshold(function: Any) -> None:
    image = Image.fromarray(page(SEEDS[0]).image)
    most, some, none = (
        [shape.score for shape in function.detect(SimpleNamespace(conf_threshold=least), image)]
        for least in (0.1, 0.85, 1.0)
    )
    assert none == []
    assert 0 < len(some) < len(most)
    assert min(some) > 0.85


@pytest.mark.skipif(not is_installed("cvat_sdk"), reason="its own driver checks the function")
def test_cvat_annotates_a_task(function: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from cvat_sdk.auto_annotation import annotate_task, driver

    labels = [
        SimpleNamespace(name=str(digit), id=7 + digit, type="any", attributes=[], sublabels=[])
        for digit in range(10)
    ]
    media = SimpleNamespace(load_image=lambda: Image.fromarray(page(SEEDS[0]).image))
    sample = SimpleNamespace(frame_name="page.png", frame_index=3, media=media)
    dataset = SimpleNamespace(labels=labels, samples=[sample])
    monkeypatch.setattr(driver, "TaskDataset", lambda *_, **__: dataset)
    sent: list[Any] = []
    api = SimpleNamespace(partial_update_annotations=lambda *_, **request: sent.append(request))
    logger = SimpleNamespace(info=lambda *_: None)
    annotate_task(SimpleNamespace(tasks=SimpleNamespace(api=api), logger=logger), 1, function)
    shapes = sent[0]["patched_labeled_data_request"].shapes
    assert {shape.frame for shape in shapes} == {3}
    check([shape.label_id - 7 for shape in shapes], relative(shapes), SEEDS[0])
