"""How a visit goes: the key, the ways of an image to the page, what is told when something is wrong."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from PIL import ExifTags, Image

from postproc.images import load_image
from tests.service.page.browser import Visitor
from tests.service.page.expected import YOLO, expected, predicted
from tests.service.page.service import KEY, Faults

PASTE = """
    const data = new DataTransfer();
    data.items.add(new File([Uint8Array.from(arguments[0])], "image.png", { type: "image/png" }));
    document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
"""


@pytest.mark.parametrize("way", ["chosen", "dropped", "pasted"])
def test_page_image_is_recognised_however_it_comes(visitor: Visitor, image_path: Path, way: str) -> None:
    visitor.choose_version(YOLO)
    if way == "chosen":
        visitor.choose_file(image_path)
    elif way == "dropped":
        visitor.drop(image_path)
    else:
        visitor.script(PASTE, list(image_path.read_bytes()))
    visitor.wait_for("ready")
    assert visitor.painted == 0
    visitor.run()
    assert visitor.box_count == len(predicted(expected(image_path))) > 0


def test_page_key_in_the_address_is_taken_and_removed(visitor: Visitor) -> None:
    visitor.wait(lambda: visitor.find("#version").is_enabled(), "versions")
    assert visitor.driver.current_url == f"{visitor.url}/?visit={visitor.visits}"
    assert visitor.script("return [sessionStorage.length, localStorage.length]") == [1, 0]
    visitor.find("#remember").click()
    assert visitor.script("return [sessionStorage.length, localStorage.length]") == [0, 1]
    visitor.driver.refresh()
    visitor.wait(lambda: visitor.find("#version").is_enabled(), "versions of the remembered key")


def test_page_wrong_key_is_told_and_can_be_mended(visitor: Visitor) -> None:
    visitor.choose_version(YOLO)
    visitor.use_key("wrong")
    visitor.wait(lambda: "does not know this API key" in visitor.find("#key-problem").text, "the problem")
    assert not visitor.find("#sample").is_enabled()
    visitor.use_key(KEY)
    visitor.choose_version(YOLO)
    assert visitor.problem == ""


def test_page_full_queue_is_tried_again_when_told(shown: Visitor, faults: Faults) -> None:
    faults.add("/inference", 503, "too many requests are waiting", Retry_After="1")
    shown.find("#run").click()
    shown.wait(lambda: "busy; trying again in 1 s" in shown.find("#loading-text").text, "the count-down")
    assert shown.find("#rows").text == ""
    shown.wait_for("result")
    assert shown.box_count > 0


def test_page_cancelled_run_leaves_the_image(shown: Visitor, faults: Faults) -> None:
    faults.add("/inference", 503, "too many requests are waiting", Retry_After="30")
    shown.find("#run").click()
    shown.wait_for("loading")
    shown.wait(lambda: not faults.answers, "the answer, which the next run would get")
    shown.find("#cancel").click()
    shown.wait_for("ready")
    assert shown.problem == ""
    assert shown.painted == 0
    shown.run()


@pytest.mark.parametrize(
    ("status", "message", "told"),
    [
        pytest.param(413, "expected a body of at most 5 bytes", "The image is too large", id="too-large"),
        pytest.param(400, "inputs[0].image.source: broken", "refused the request: inputs[0]", id="broken"),
        pytest.param(500, "a defect", "The service failed with status 500 (a defect)", id="defect"),
    ],
)
def test_page_refused_image_is_told_and_can_be_tried_again(
    shown: Visitor, faults: Faults, status: int, message: str, told: str
) -> None:
    faults.add("/inference", status, message)
    shown.find("#run").click()
    shown.wait_for("error")
    assert told in shown.problem
    shown.find("#again").click()
    shown.wait_for("result")
    assert shown.problem == ""


def test_page_unreachable_service_is_told(shown: Visitor) -> None:
    shown.set_offline(True)
    try:
        shown.find("#run").click()
        shown.wait_for("error")
        assert "cannot be reached" in shown.problem
    finally:
        shown.set_offline(False)


def test_page_failed_task_is_told(shown: Visitor, faults: Faults) -> None:
    faults.add_answer(
        "/tasks/", 200, {"id": 1, "status": "error", "error": "it waited too long", "data": None}
    )
    shown.find("#run").click()
    shown.wait_for("error")
    assert "The task failed: it waited too long" in shown.problem


def test_page_file_that_is_no_image_is_told(visitor: Visitor, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no image")
    visitor.choose_file(path, "error")
    assert "cannot show notes.txt" in visitor.problem


def test_page_image_that_says_how_it_was_held_is_shown_upright(visitor: Visitor, tmp_path: Path) -> None:
    path = tmp_path / "held.jpg"
    orientation = Image.Exif()
    orientation[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (64, 48)).save(path, exif=orientation)
    assert load_image(path).size == (48, 64)
    visitor.choose_file(path)
    assert visitor.find("#caption").text == "held.jpg, 48 \u00d7 64 pixels"


@pytest.mark.parametrize("width", [360, 820, 1600])
def test_page_at_any_width_needs_no_sideways_scrolling(shown: Visitor, width: int) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 2, "mobile": False}
    shown.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        # The canvas follows, with as many pixels as the screen has.
        is_sharp = "const c = document.querySelector('#boxes'); return c.width === 2 * c.clientWidth"
        shown.wait(lambda: shown.script(is_sharp), "a sharp canvas")
        assert shown.script("return document.documentElement.scrollWidth <= innerWidth")
    finally:
        shown.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


# --- the documentation at /docs: it shows every route, and sends requests, under its policy


@pytest.fixture
def docs(browser: Visitor, quiet: None) -> Visitor:
    """Somebody who looks at the documentation; `quiet` fails where the policy forbids something."""
    browser.driver.get(f"{browser.url}/docs")
    browser.wait(lambda: browser.find_all(".opblock"), "the routes")
    return browser


def test_docs_show_every_route(docs: Visitor) -> None:
    document = httpx.get(f"{docs.url}/openapi.json").json()
    assert len(docs.find_all(".opblock")) == sum(len(item) for item in document["paths"].values())
    assert docs.script("return getComputedStyle(document.querySelector('.opblock')).borderRadius") == "4px"


def test_docs_send_a_request_with_the_key(docs: Visitor) -> None:
    def click(css: str) -> None:
        docs.wait(lambda: docs.find_all(css), css)
        docs.script("document.querySelector(arguments[0]).click()", css)

    click(".btn.authorize")
    docs.wait(lambda: docs.find_all(".auth-container input"), "the field of the key")
    docs.find(".auth-container input").send_keys(KEY)
    click(".auth-btn-wrapper .authorize")
    click(".auth-btn-wrapper .btn-done")
    block = "#operations-account-read_account"
    click(f"{block} .opblock-summary-control")
    click(f"{block} .try-out__btn")
    click(f"{block} .execute")
    answer = f"{block} .live-responses-table .response"
    docs.wait(lambda: docs.find_all(answer), "the answer")
    assert '"tester"' in docs.find(answer).text


def test_docs_run_no_script_of_an_attacker(docs: Visitor) -> None:
    """The policy holds: an inline handler, which innerHTML would bring in, does not run."""
    docs.script(
        "const box = document.createElement('div');"
        'box.innerHTML = \'<img src="data:," onerror="window.hacked = 1">\';'
        "document.body.append(box)"
    )
    docs.wait(lambda: any("inline" in e["message"] for e in docs.driver.get_log("browser")), "the refusal")
    assert docs.script("return window.hacked") is None
