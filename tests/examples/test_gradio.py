from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.examples.examples import SEEDS, check, load, page

pytestmark = pytest.mark.filterwarnings("ignore")  # of others' packages


@pytest.fixture(scope="module")
def app() -> Iterator[Any]:
    yield load("gradio/app.py", "gradio")
    gc.collect()  # event loops that it leaves open, while their warnings are ignored


@pytest.mark.parametrize("seed", SEEDS)
def test_gradio_shows_what_is_on_a_page(app: Any, seed: int) -> None:
    image = page(seed).image
    picture, rows = app.decide(app.look(image), *(slider.value for slider in app.sliders))
    assert (np.asarray(picture) != image).any()
    check([int(row[0]) for row in rows], np.array([row[2:] for row in rows]) / [640, 480, 640, 480], seed)


def test_gradio_sliders_decide(app: Any) -> None:
    seen = app.look(page(SEEDS[0]).image)
    nms, *thresholds = (slider.value for slider in app.sliders)
    digit = int(page(SEEDS[0]).labels[0])
    thresholds[digit] = 1.0
    _, rows = app.decide(seen, nms, *thresholds)
    assert {int(row[0]) for row in rows} == set(page(SEEDS[0]).labels.tolist()) - {digit}


def test_gradio_without_an_image_is_empty(app: Any) -> None:
    assert app.decide(app.look(None), *(slider.value for slider in app.sliders)) == (None, [])
