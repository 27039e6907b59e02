"""The pages by task that measure, fuse and serve: their commands and their code run in order, as they stand.

`postproc` runs in this process, everything else by bash. JSON that a page says to save is saved.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from postproc.cli.app import app
from tests.documents.pages import ROOT, Block, blocks, check_output, run

TASKS = ROOT / "docs" / "tasks"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def run_shell(page: Path, block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the lines of a block; `|| echo "ended with $?"` is for those that fail, as in a shell."""
    printed = ""
    for line in block.code.replace("\\\n", " ").splitlines():
        command, _, otherwise = (part.strip() for part in line.partition("||"))
        name, *arguments = shlex.split(command, comments=True)
        if name == "cd":
            monkeypatch.chdir(arguments[0])
            continue
        if name != "postproc":
            done = subprocess.run(["bash", "-euc", line], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{page.name}, line {block.line}: {done.stdout}{done.stderr}"
            printed += done.stdout
            continue
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        printed += result.output
        assert bool(result.exit_code) == bool(otherwise), f"{page.name}, line {block.line}: {result.output}"
        if otherwise:
            assert otherwise == 'echo "ended with $?"'
            printed += f"ended with {result.exit_code}\n"
    check_output(page, block, printed)


def run_page(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Run a page; return the names that its code leaves."""
    page = TASKS / f"{name}.md"
    names: dict[str, Any] = {"__name__": "page"}
    shell = blocks(page, "sh")
    for block in sorted([*shell, *blocks(page), *blocks(page, "json")], key=lambda block: block.line):
        if block in shell:
            run_shell(page, block, monkeypatch)
        elif block.code.startswith("{"):
            before = page.read_text("utf-8").splitlines()[: block.line - 1]
            Path(re.findall(r"`(\w+\.json)`", "\n".join(before))[-1]).write_text(block.code)
        else:
            run(page, block, names, capsys)
    return names


def test_page_on_thresholds(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_page("thresholds", capsys, monkeypatch)
    assert "<html" in (folder / "digits" / "report.html").read_text("utf-8").lower()


def test_page_on_detections_of_other_tools(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_page("other-detections", capsys, monkeypatch)
    assert (folder / "report.html").stat().st_size > 10_000


def test_page_on_fusing(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = run_page("fuse", capsys, monkeypatch)
    assert names["found"] == len(names["ours"].scores) > 0
    assert names["complete"][0]


def test_each_page_of_measuring_fusing_and_serving_is_run() -> None:
    """That on serving is run by tests/service/test_client.py, on its service."""
    tests = Path(__file__).read_text("utf-8")
    assert set(re.findall(r'run_page\("([\w-]+)"', tests)) == {"thresholds", "other-detections", "fuse"}
