"""The documentation at /docs in a browser: it shows every route, and sends requests, under its policy."""

from __future__ import annotations

import httpx
import pytest

from tests.service.page.browser import Visitor
from tests.service.page.service import KEY


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
