"""What the page shows of a result: boxes, table, sliders, and the JSON that it copies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains, Keys

from postproc import RecognitionVersion
from tests.service.page.browser import Visitor
from tests.service.page.expected import YOLO, documents, expected, predicted
from tests.service.page.service import HOSTILE, Faults

SIDES = ("xmin", "ymin", "xmax", "ymax")
NUMBER, RESET = "input[type=number]", "button"


def test_page_result_shows_the_boxes_that_postproc_finds(shown: Visitor, image_path: Path) -> None:
    found = predicted(expected(image_path))
    assert len(found) > 10
    assert shown.box_count == len(found)
    assert shown.table_rows == [
        [
            row["label_name"],
            f"{row['score']:.3f}",
            str(row["threshold"]),
            *(
                f"{row['roi']['bbox'][side] * size:.1f}"
                for side, size in zip(SIDES, (640, 480) * 2, strict=True)
            ),
        ]
        for row in found
    ]
    best = found[0]
    assert has_left_edge(shown, best)
    assert not has_left_edge(shown, best, shift=-12)


def has_left_edge(visitor: Visitor, row: dict[str, Any], shift: int = 0) -> bool:
    """Whether the canvas has the colour of a label where its box's left edge is, `shift` pixels beside it."""
    box = row["roi"]["bbox"]
    item = visitor.row(row["label_name"])
    return visitor.script(
        """
        const [x, y, shift, item] = arguments, canvas = document.querySelector("#boxes");
        const color = item.querySelector(".swatch").style.backgroundColor.match(/[0-9]+/g).map(Number);
        const left = Math.round(x * canvas.width) + shift - 1;
        const { data } = canvas.getContext("2d").getImageData(left, Math.round(y * canvas.height), 2, 1);
        const isOpaque = (at) => data[at + 3] > 250;
        const isColor = (at) => color.every((part, i) => Math.abs(part - data[at + i]) < 8);
        return [0, 4].some((at) => isOpaque(at) && isColor(at));
        """,
        box["xmin"],
        (box["ymin"] + box["ymax"]) / 2,
        shift,
        item,
    )


def test_page_moved_sliders_give_the_service_result_of_those_thresholds(
    shown: Visitor, image_path: Path, faults: Faults
) -> None:
    own = expected(image_path)
    assert shown.copied_json() == own
    painted, requests = shown.painted, len(faults.seen)

    shown.move_slider("3", 0.03)
    shown.move_slider("8", 0.895)
    moved = expected(image_path, thresholds={3: 0.03, 8: 0.895})
    assert len(predicted(moved, "3")) > len(predicted(own, "3"))
    assert 0 < len(predicted(moved, "8")) < len(predicted(own, "8"))
    assert shown.copied_json() == moved
    assert json.loads(shown.find("#json").text) == moved
    assert shown.row("3").get_attribute("data-count") == str(len(predicted(moved, "3")))
    assert shown.box_count == len(shown.table_rows) == len(predicted(moved))
    assert shown.painted != painted

    shown.find("#reset-all").click()
    assert shown.copied_json() == own
    assert shown.painted == painted
    assert len(faults.seen) == requests  # the service is not asked again


def test_page_threshold_on_a_score_hides_its_box_as_the_service_does(
    shown: Visitor, image_path: Path
) -> None:
    best = predicted(expected(image_path))[0]
    row = int(best["label_name"])
    # Near the score are texts whose float32 is the score itself, which is not above that threshold.
    below = best["score"] - 1e-9
    for threshold in (best["score"], below, best["score"] - 1e-6):
        shown.type_threshold(best["label_name"], repr(threshold))
        assert shown.copied_json() == expected(image_path, thresholds={row: threshold})
    assert best["score"] in [row["score"] for row in predicted(shown.copied_json())]


def test_page_slider_below_the_discard_threshold_says_that_nothing_is_known(shown: Visitor) -> None:
    assert shown.find("#notes").text == ""
    shown.move_slider("3", 0.02)
    assert "scores 0.025 or less" in shown.find("#notes").text


def test_page_scores_and_coordinates_are_copied_as_floats(shown: Visitor) -> None:
    shown.move_slider("3", 1)
    shown.move_slider("8", 0)
    (labels,) = [output["labels"] for output in shown.copied_json()["outputs"]]
    for row in labels["predicted"] + labels["discarded"]:
        numbers = [row["score"], row["threshold"], *row["roi"]["bbox"].values()]
        assert {type(number) for number in numbers} == {float}
        assert type(row["label_id"]) is type(row["roi"]["region_id"]) is int


def test_page_copied_thresholds_make_a_version_that_postproc_accepts(shown: Visitor) -> None:
    shown.move_slider("3", 0.2)
    _, version = documents("yolo")
    thresholds = version["post_processings"][0]["detection"]["thresholds"]
    thresholds[3] = 0.2
    copied = shown.thresholds()
    assert copied == thresholds
    version["post_processings"][0]["detection"]["thresholds"] = copied
    RecognitionVersion.load(version)


def test_page_without_clipboard_copies_by_selection(shown: Visitor, image_path: Path) -> None:
    shown.script("""
        Object.defineProperty(navigator, "clipboard", { value: undefined, configurable: true });
        const keep = () => { window.selected = document.activeElement.value; };
        addEventListener("copy", keep, { once: true });""")
    shown.find("#copy-json").click()
    copied = shown.wait(lambda: shown.script("return window.selected"), "a copy event")
    assert json.loads(copied) == expected(image_path)
    assert shown.script("return document.activeElement.id") == "copy-json"
    shown.script("delete navigator.clipboard")


def test_page_slider_by_keyboard_moves_and_resets(shown: Visitor) -> None:
    own = documents("yolo")[1]["post_processings"][0]["detection"]["thresholds"][2]
    shown.slider("2").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert shown.thresholds()[2] == pytest.approx(own + 0.01)
    shown.row("2").find_element("css selector", RESET).click()
    assert shown.thresholds()[2] == own
    shown.move_slider("2", 0.9)
    shown.script("arguments[0].dispatchEvent(new Event('dblclick'))", shown.slider("2"))
    assert shown.thresholds()[2] == own
    shown.row("2").find_element("css selector", NUMBER).send_keys(Keys.BACKSPACE * 9, "0.123")
    assert shown.thresholds()[2] == 0.123


def test_page_box_under_the_pointer_and_row_mark_each_other(shown: Visitor, image_path: Path) -> None:
    canvas, box = shown.find("#boxes"), predicted(expected(image_path))[3]["roi"]["bbox"]
    painted = shown.painted
    middle = ((box["xmin"] + box["xmax"] - 1) / 2, (box["ymin"] + box["ymax"] - 1) / 2)
    x, y = (int(part * canvas.size[side]) for part, side in zip(middle, ("width", "height"), strict=True))
    ActionChains(shown.driver).move_to_element_with_offset(canvas, x, y).perform()
    assert shown.marked_rows == [3]
    assert shown.painted != painted
    ActionChains(shown.driver).move_to_element(shown.find("h1")).perform()
    assert shown.marked_rows == []
    assert shown.painted == painted

    shown.script("document.querySelector('#rows tr').focus()")
    assert shown.marked_rows == [0]
    ActionChains(shown.driver).send_keys(Keys.ARROW_DOWN).perform()
    assert shown.marked_rows == [1]
    shown.script("document.activeElement.blur()")
    assert shown.painted == painted


def test_page_hostile_label_name_stays_text(visitor: Visitor, image_path: Path) -> None:
    visitor.choose_version("<b>hostile</b>")
    visitor.choose_file(image_path)
    visitor.run()
    visitor.move_slider(HOSTILE, 0.03)
    assert visitor.copied_json() == expected(image_path, thresholds={3: 0.03}, names={3: HOSTILE})
    assert HOSTILE in [row[0] for row in visitor.table_rows]
    assert visitor.row(HOSTILE).text.startswith(HOSTILE)
    assert visitor.script("return [window.hacked, document.querySelectorAll('img').length]") == [None, 1]


def test_page_version_that_merges_labels_says_that_sliders_approximate(
    visitor: Visitor, image_path: Path
) -> None:
    visitor.choose_version("agnostic")
    visitor.choose_file(image_path)
    visitor.run()
    assert "merges boxes of different labels" in visitor.find("#notes").text
    visitor.choose_version(YOLO)
    visitor.run()
    assert visitor.find("#notes").text == ""


def test_page_sample_of_a_classification_shows_bars(visitor: Visitor) -> None:
    visitor.choose_version("handwritten digits, classification")
    visitor.find("#sample").click()
    visitor.wait_for("result")
    rows = visitor.find_all(".label-list li")
    scores = [float(row.find_element("css selector", ".count").text.split()[0]) for row in rows]
    assert len(scores) == 10
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=0.01)
    widths = [row.find_element("css selector", ".bar i").size["width"] for row in rows]
    assert widths[0] > 10 * widths[-1]
    (best,) = visitor.table_rows
    visitor.move_slider(best[0], 0.995)
    assert visitor.table_rows == []
    (labels,) = [output["labels"] for output in visitor.copied_json()["outputs"]]
    assert [len(labels["predicted"]), len(labels["discarded"])] == [0, 10]
