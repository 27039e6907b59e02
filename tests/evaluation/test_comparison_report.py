"""The page of a comparison: one safe page, with what got better and worse."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from postproc.errors import ImageError
from postproc.evaluation.charts import interval_chart
from postproc.evaluation.comparison import compare
from postproc.evaluation.comparison_report import MOST_IMAGES, render_comparison
from postproc.evaluation.pages import signed
from tests.evaluation.test_report import BOX, HOSTILE, Page, evaluated, picture

OBJECTS = [(0, HOSTILE, BOX), (1, "b", BOX)]


def hostile() -> Any:
    a = evaluated(OBJECTS, [(0, HOSTILE, 0.9, BOX), (1, "b", 0.9, BOX)], [HOSTILE, "b"])
    b = evaluated(OBJECTS, [(1, "b", 0.9, BOX), (1, "b", 0.8, [0, 0, 9, 9])], [HOSTILE, "b"])
    return compare(a, b, names=(HOSTILE, "new"), draws=20)


def test_page_of_a_comparison_runs_and_loads_nothing() -> None:
    page = Page(render_comparison(hostile(), title=HOSTILE, open_image=picture))
    assert not {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "base"}
    for tag, attributes in page.elements:
        assert not {name for name in attributes if name.startswith("on")}
        assert (attributes.get("src") or "data:").startswith("data:"), tag
    assert page.text.count(HOSTILE) >= 3
    assert "http" not in page.text
    assert "1 no longer found" in page.text
    assert "1 more wrong" in page.text


def test_page_draws_both_beside_each_other() -> None:
    page = Page(render_comparison(hostile(), title="t", open_image=picture))
    sources = [attributes["src"] or "" for tag, attributes in page.elements if tag == "img"]
    assert len(sources) == 4
    shown = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2]))), int) for text in sources
    ]
    edge = (slice(60, 100), slice(36, 45))  # around the left side of the object, in an image twice its size
    # A has the object of the first image: green there, and orange dashes where B has not.
    assert (shown[0][edge][..., 1] > 130).any()
    assert not (shown[1][edge][..., 2] < 40).all()
    assert ((shown[1][edge][..., 0] > 150) & (shown[1][edge][..., 2] < 120)).any()
    # Both find that of the second, which is not drawn; B alone is wrong there.
    assert (abs(shown[2] - (20, 60, 240)) < 30).all()
    assert ((shown[3][..., 0] > 150) & (shown[3][..., 1] < 120)).any()


def test_page_without_images_tells_changes_in_words() -> None:
    def nowhere(row: int) -> Image.Image:
        raise ImageError(f"not found in {HOSTILE}")

    told = Page(render_comparison(hostile(), title="t"))
    assert "1 no longer found" in told.text
    assert "Dashed" not in told.text
    page = Page(render_comparison(hostile(), title="t", open_image=nowhere))
    assert page.text.count(f"No picture: not found in {HOSTILE}") == 4


@pytest.mark.parametrize("labels", [1, 1000])
def test_page_of_many_labels_and_images_stays_small(labels: int, tmp_path: Path) -> None:
    names = [f"label {row}" for row in range(labels)]
    objects = [(row % 50, names[row % labels], BOX) for row in range(1000)]
    a = evaluated(objects, [(*of[:2], 0.9, of[2]) for of in objects[::2]], names, images=50)
    b = evaluated(objects, [(*of[:2], 0.9, of[2]) for of in objects[1::2]], names, images=50)
    comparison = compare(a, b, draws=10)
    text = render_comparison(comparison, title="t", open_image=picture)
    assert text.count("<img ") <= 4 * MOST_IMAGES
    assert text.count("<tr") >= labels
    assert len(text) < 1_800_000
    path = tmp_path / "page.html"
    comparison.write_report(path, title="a ✓")
    assert "a ✓" in path.read_text(encoding="utf-8")


def test_page_without_anything_says_so() -> None:
    nothing = evaluated([], [])
    text = Page(render_comparison(compare(nothing, nothing, draws=5), title="t", open_image=picture)).text
    assert "No label has an object." in text
    assert text.count("None.") == 2


def test_interval_is_drawn_within_its_scale() -> None:
    clear = interval_chart(0.1, 0.05, 0.2, 0.2)
    assert clear.count('class="right"') == 2
    assert 'x2="195.0"' in clear
    assert interval_chart(-0.1, -0.2, -0.05, 0.2).count('class="wrong"') == 2
    assert interval_chart(0.1, -0.05, 0.2, 0.2).count('class="unclear"') == 2
    assert 'class="unclear hollow"' in interval_chart(0.1, None, None, 0.2)
    assert "circle" not in interval_chart(None, None, None, 1.0)


def test_differences_are_written_with_their_sign() -> None:
    assert [signed(value) for value in (0.0, -0.0, 0.0001, -0.0001, -0.5, None)] == [
        "0.000", "0.000", "+0.000", "-0.000", "-0.500", "-",
    ]  # fmt: skip
