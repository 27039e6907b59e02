"""The pages for those who come from other libraries: both sides run on the same input, as they stand.

What another library needs is skipped where that is missing; ours is always run, but for OpenVINO's own part.
"""

from __future__ import annotations

import importlib.util
import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from postproc.inspection import inspect_model
from tests.documents.pages import ROOT, Block, blocks, run
from tests.inspection.exports.ultralytics import metadata, table
from tests.models import answering

FROM = ROOT / "docs" / "from"
# Code of others that is not run, by how it begins.
LEFT_OUT = {
    "from ultralytics import YOLO": "fetches weights",
    "from sahi import AutoDetectionModel": "fetches weights",
    "from model_api.models import Model": "needs a network of OpenVINO's",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The documents of an export of ultralytics, a network that finds a cat wherever it looks, two images."""
    monkeypatch.chdir(tmp_path)
    shape = ("batch", 3, 640, 640)
    exported = table(2, shape, metadata=metadata(names=["cat", "dog"], imgsz=[640, 640]))
    (tmp_path / "yolo11n.onnx").write_bytes(exported)
    decided = inspect_model("yolo11n.onnx", run=False).decided
    assert decided is not None
    decided.save(tmp_path / "yolo11n")
    rows = np.zeros((6, 8400), np.float32)
    rows[:, 7] = [320, 320, 500, 128, 0.9, 0.2]
    (tmp_path / "yolo11n.onnx").write_bytes(answering({"output0": rows}, ("N", 3, 640, 640), "images"))
    pixels = np.random.default_rng(0).integers(0, 256, (9, 16, 3), np.uint8)
    Image.fromarray(pixels).resize((1280, 720)).save("street.jpg")
    Image.fromarray(pixels).resize((1280, 1100)).save("photo.jpg")
    return tmp_path


def in_order(page: Path) -> list[Block]:
    """Return the code of both sides, in the order of the page."""
    both = [*blocks(page, "py"), *blocks(page, "python")]
    return sorted(both, key=lambda block: block.line)


def is_missing(block: Block) -> bool:
    imported = re.findall(r"^(?:from|import) (\w+)", block.code, re.MULTILINE)
    return any(importlib.util.find_spec(name) is None for name in imported)


def run_page(name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Run what can be run of a page; return the names that it leaves."""
    page = FROM / f"{name}.md"
    names: dict[str, Any] = {"__name__": "page"}
    theirs = {block.line for block in blocks(page, "py")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other libraries
        for block in in_order(page):
            is_theirs = block.line in theirs
            if is_theirs and block.code.startswith(tuple(LEFT_OUT)):
                continue
            if is_missing(block) or (is_theirs and names.get("is_skipped")):
                assert is_theirs or "import openvino" in block.code, block
                names["is_skipped"] = True
                continue
            run(page, block, names, capsys)
    return names


def test_page_of_ultralytics(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_page("ultralytics", capsys)
    assert names["names"] == ["cat"]
    np.testing.assert_allclose(names["boxes"], [[140, 232, 1140, 488]], rtol=1e-5)
    (task,) = json.loads(Path("yolo11n/version.json").read_text())["post_processings"]
    assert task["detection"]["nms_threshold"] == 0.7  # as the page's table says


def test_page_of_torchvision(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(run_page("torchvision", capsys)["found"].scores) == 2


def test_page_of_sahi(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_page("sahi", capsys)
    assert np.round(names["boxes"]).tolist() == [
        [x, y, x + 500, y + 128] for y in (256, 716) for x in (70, 582)
    ]


def test_page_of_pycocotools(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_page("pycocotools", capsys)
    assert [names["numbers"]["AP"], names["numbers"]["AP50"]] == names["metric"].stats[:2].tolist()


def test_page_of_supervision(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert type(run_page("supervision", capsys)["found"]).__module__.startswith("supervision.")


def test_page_of_openvino(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("openvino")
    assert run_page("openvino-model-api", capsys)["names"] == ["cat"]


def test_each_page_is_run_here() -> None:
    tests = Path(__file__).read_text("utf-8")
    assert set(re.findall(r'run_page\("([\w-]+)"', tests)) == {page.stem for page in FROM.glob("*.md")}
    begun = [
        start
        for page in FROM.glob("*.md")
        for block in blocks(page, "py")
        for start in LEFT_OUT
        if block.code.startswith(start)
    ]
    assert sorted(begun) == sorted(LEFT_OUT)
