"""What headless Chromium shows of pages, light and dark, wide and narrow."""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from PIL import Image

from tests.service.digits import wait_for_kernels
from tests.service.page.browser import Visitor, start_browser
from tests.service.page.service import KEY, make_app
from tests.service.serving import in_thread
from tools.pictures.files import save

WIDE, NARROW = 1100, 390  # CSS pixels: of a window beside others, and of a telephone


def service_page(light: Path, dark: Path, narrow: Path, alone: Path) -> None:
    """Show the service's page with what it finds on its sample; `alone` is for pages without two schemes."""
    with tempfile.TemporaryDirectory() as name, _service(Path(name)) as url, _browser(url) as page:
        wait_for_kernels(url)
        page.open(f"#key={KEY}")
        page.wait(lambda: page.find("#version").is_enabled(), "versions")
        page.choose_version("handwritten digits, detection (yolo)")
        page.find("#sample").click()
        page.wait_for("result")
        _shoot_all(page, light, dark, narrow, height=700)
    shutil.copyfile(light, alone)


def report(light: Path, dark: Path, narrow: Path) -> None:
    """Show the report of ``postproc evaluate --report`` on forty of the demo's pages."""
    with tempfile.TemporaryDirectory() as name, _browser(Path(name).as_uri()) as page:
        folder = Path(name)
        _postproc(folder, "demo", "--dataset", "digits", "--pages", "40")
        documents = [f"--{kind}=digits/{kind}.json" for kind in ("truth", "spec", "version", "preprocessing")]
        _postproc(
            folder, "evaluate", "digits/model.onnx", "digits/pages", *documents, "--report", "report.html"
        )
        page.driver.get(f"{page.url}/report.html")
        _shoot_all(page, light, dark, narrow, height=900)


def _postproc(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "postproc.cli", *arguments]
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)


@contextmanager
def _service(folder: Path) -> Iterator[str]:
    config = uvicorn.Config(make_app(folder), port=0, log_level="warning", ws="none")
    with in_thread(config) as (_, url):
        yield url


@contextmanager
def _browser(url: str) -> Iterator[Visitor]:
    driver = start_browser()
    try:
        driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        yield Visitor(driver, url)
    finally:
        driver.quit()


def _shoot_all(page: Visitor, light: Path, dark: Path, narrow: Path, *, height: int) -> None:
    _shoot(page, light, "light", WIDE, height)
    _shoot(page, dark, "dark", WIDE, height)
    _shoot(page, narrow, "light", NARROW, 844)


def _shoot(page: Visitor, target: Path, scheme: str, width: int, height: int) -> None:
    """Write what a window of this size shows."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width == NARROW}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    preference = {"name": "prefers-color-scheme", "value": scheme}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preference]})
    page.script("return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    data = page.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"]
    save(Image.open(io.BytesIO(base64.b64decode(data))), target)
