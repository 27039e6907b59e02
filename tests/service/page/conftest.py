from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from PIL import Image

from postproc.demo.pages import make_page
from tests.service.page.browser import Visitor, start_browser
from tests.service.page.expected import YOLO
from tests.service.page.service import KEY, Faults, make_app, make_versions
from tests.service.serving import in_thread


@pytest.fixture(scope="package")
def image_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "note.png"
    Image.fromarray(make_page(9).image).save(path)
    return path


@pytest.fixture(scope="package")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Faults:
    return Faults(make_app(tmp_path_factory.mktemp("service")))


@pytest.fixture(scope="package")
def url(faults: Faults) -> Iterator[str]:
    config = uvicorn.Config(faults, port=0, log_level="warning", ws="none")
    with in_thread(config) as (_, address):
        make_versions(address)
        yield address


@pytest.fixture(scope="package")
def browser(url: str) -> Iterator[Visitor]:
    driver = start_browser()
    try:
        yield Visitor(driver, url)
    finally:
        driver.quit()


@pytest.fixture
def quiet(browser: Visitor, faults: Faults) -> Iterator[None]:
    """Fail where the browser complains: a violated security policy, an error in a script."""
    faults.answers.clear()
    browser.driver.get_log("browser")
    yield
    messages = [entry["message"] for entry in browser.driver.get_log("browser")]
    # Refused requests are part of the tests, and so is reading pixels back.
    known = ("Failed to load resource", "willReadFrequently")
    assert [message for message in messages if not any(text in message for text in known)] == []


@pytest.fixture
def visitor(browser: Visitor, quiet: None) -> Visitor:
    """Somebody who opens the page with a key."""
    browser.open(f"#key={KEY}")
    return browser


@pytest.fixture
def shown(browser: Visitor, quiet: None, image_path: Path) -> Visitor:
    """The same, who sees what the YOLO network of the demo finds in the image, at its own thresholds."""
    if not browser.shows(YOLO, image_path.name):
        browser.open(f"#key={KEY}")
        browser.choose_version(YOLO)
        browser.choose_file(image_path)
        browser.run()
    browser.script("document.querySelector('#reset-all').click()")
    return browser


@pytest.fixture
def modules(browser: Visitor, quiet: None) -> Visitor:
    """The page in any state, for tests that import its modules."""
    if not browser.driver.current_url.startswith(browser.url):
        browser.open()
    return browser
