"""A person in front of the page: headless Chromium, driven by selenium."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

T = TypeVar("T")

_PROGRAMS = ("chromium", "chromedriver")
_ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--lang=en")


def start_browser() -> webdriver.Chrome:
    """Start Chromium, or skip the test that asks for it."""
    paths = [shutil.which(program) for program in _PROGRAMS]
    for program, path in zip(_PROGRAMS, paths, strict=True):
        if path is None:
            pytest.skip(f"{program} is not installed: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    for argument in (*_ARGUMENTS, "--window-size=1300,1000"):
        options.add_argument(argument)
    options.binary_location = str(paths[0])
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(str(paths[1])))


class Visitor:
    """What a person does on the page, and sees.

    Parameters
    ----------
    driver : webdriver.Chrome
    url : str
        Of the service, without a slash at the end.
    """

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self.url = url
        self.visits = 0

    def open(self, fragment: str = "") -> None:
        """Visit the page for the first time: nothing is stored from earlier."""
        self.driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": self.url, "storageTypes": "all"})
        self.driver.execute_script("try { sessionStorage.clear() } catch {}")
        self.visits += 1  # in the address, or a new fragment alone would load nothing
        self.driver.get(f"{self.url}/?visit={self.visits}{fragment}")

    def find(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def find_all(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def script(self, text: str, *arguments: Any) -> Any:
        """Run a script; a promise that it returns is waited for."""
        return self.driver.execute_script(text, *arguments)

    def wait(self, condition: Callable[[], T], what: str) -> T:
        try:
            return WebDriverWait(self.driver, 20, poll_frequency=0.03).until(lambda _: condition())
        except Exception as error:
            raise AssertionError(f"waited for {what}; the page says {self.state}: {self.problem}") from error

    @property
    def state(self) -> str:
        return str(self.find("body").get_attribute("data-state"))

    @property
    def problem(self) -> str:
        """What stands in the places where errors are shown."""
        return " ".join(text for place in self.find_all(".problem") if (text := place.text))

    def wait_for(self, state: str) -> None:
        self.wait(lambda: self.state == state, f"the state {state}")

    def shows(self, version: str, file_name: str) -> bool:
        """Whether a result of this version and image is on the screen already."""
        if not self.driver.current_url.startswith(self.url) or self.state != "result" or self.problem:
            return False
        chosen = Select(self.find("#version")).first_selected_option.text
        return chosen == version and self.find("#caption").text.startswith(file_name)

    def choose_version(self, start: str) -> None:
        """Choose the version whose name starts like this."""
        self.wait(lambda: self.find("#version").is_enabled(), "versions")
        select = Select(self.find("#version"))
        select.select_by_visible_text(next(o.text for o in select.options if o.text.startswith(start)))

    def choose_file(self, path: Path, state: str = "ready") -> None:
        self.find("#file").send_keys(str(path))
        self.wait_for(state)

    def drop(self, path: Path) -> None:
        """Drag a file over the page and let go: the browser's own events, which a script cannot make."""
        stage = self.find("#picture").rect
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        at = {"x": stage["x"] + stage["width"] / 2, "y": stage["y"] + stage["height"] / 2, "data": data}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.driver.execute_cdp_cmd("Input.dispatchDragEvent", {"type": kind, **at})

    def use_key(self, key: str) -> None:
        field = self.find("#key")
        field.clear()
        field.send_keys(key, Keys.ENTER)

    def set_offline(self, offline: bool) -> None:
        conditions = {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)

    def run(self) -> None:
        self.find("#run").click()
        self.wait_for("result")

    def move_slider(self, label: str, value: float) -> None:
        self.set_value(self.slider(label), value)

    def set_value(self, element: WebElement, value: float | str) -> None:
        """Set the value of a control as a hand does: with an input event."""
        text = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
        self.script(text, element, value)

    def type_threshold(self, label: str, text: str) -> None:
        number = self.row(label).find_element(By.CSS_SELECTOR, "input[type=number]")
        self.script(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))", number, text
        )

    def slider(self, label: str) -> WebElement:
        return self.row(label).find_element(By.CSS_SELECTOR, "input[type=range]")

    def thresholds(self) -> list[float]:
        """What Copy thresholds copies."""
        return self.copied_json("#copy-thresholds button")

    def row(self, label: str) -> WebElement:
        return next(li for li in self.find_all(".label-list li") if li.get_attribute("data-label") == label)

    @property
    def box_count(self) -> int:
        return int(self.find("#boxes").get_attribute("data-count") or -1)

    @property
    def table_rows(self) -> list[list[str]]:
        return self.script("""
            const rows = [...document.querySelectorAll("#rows tr")];
            return rows.map((row) => [...row.cells].map((cell) => cell.textContent));""")

    @property
    def marked_rows(self) -> list[int]:
        """Which rows of the table are set off from the others."""
        return self.script("""
            const rows = [...document.querySelectorAll("#rows tr")];
            return rows.flatMap((row, i) => (row.matches(".is-marked") ? [i] : []));""")

    @property
    def painted(self) -> int:
        """How many pixels of the canvas are not transparent."""
        return self.script("""
            const canvas = document.querySelector("#boxes");
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let painted = 0;
            for (let i = 3; i < data.length; i += 4) painted += data[i] > 0;
            return painted;""")

    def copied(self, button: str) -> Any:
        """Press a Copy button and read the clipboard."""
        self.driver.execute_cdp_cmd(
            "Browser.grantPermissions",
            {"origin": self.url, "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
        )
        self.script("document.querySelector('#copied').textContent = ''")
        self.find(button).click()
        self.wait(lambda: self.find("#copied").text.startswith("Copied"), "the text to be copied")
        return self.script("return navigator.clipboard.readText()")

    def copied_json(self, button: str = "#copy-json") -> Any:
        return json.loads(self.copied(button))
