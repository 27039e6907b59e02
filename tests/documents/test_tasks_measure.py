"""The pages by task that measure, fuse and serve: their commands and their code run in order, as they stand.

`postproc` runs in this process, everything else by bash. JSON that a page says to save is saved.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.documents.pages import ROOT, blocks, run, run_commands

TASKS = ROOT / "docs" / "tasks"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def run_page(name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Run a page; return the names that its code leaves."""
    page = TASKS / f"{name}.md"
    names: dict[str, Any] = {"__name__": "page"}
    shell = blocks(page, "sh")
    for block in sorted([*shell, *blocks(page), *blocks(page, "json")], key=lambda block: block.line):
        if block in shell:
            run_commands(page, block)
        elif block.code.startswith("{"):
            before = page.read_text("utf-8").splitlines()[: block.line - 1]
            Path(re.findall(r"`(\w+\.json)`", "\n".join(before))[-1]).write_text(block.code)
        else:
            run(page, block, names, capsys)
    return names


def test_page_on_thresholds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_page("thresholds", capsys)
    assert "<html" in (folder / "digits" / "report.html").read_text("utf-8").lower()


def test_page_on_detections_of_other_tools(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_page("other-detections", capsys)
    assert (folder / "report.html").stat().st_size > 10_000


def test_page_on_fusing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_page("fuse", capsys)
    assert names["found"] == len(names["ours"].scores) > 0
    assert names["complete"][0]


def test_each_page_of_measuring_fusing_and_serving_is_run() -> None:
    """That on serving is run by tests/service/test_client.py, on its service."""
    tests = Path(__file__).read_text("utf-8")
    assert set(re.findall(r'run_page\("([\w-]+)"', tests)) == {"thresholds", "other-detections", "fuse"}
