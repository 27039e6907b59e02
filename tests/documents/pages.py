"""The code of pages, and what they say that it prints."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from postproc.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
README, CONTRIBUTING = ROOT / "README.md", ROOT / "CONTRIBUTING.md"
DOCS = sorted((ROOT / "docs").rglob("*.md"))
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    """Code of a page, the line that it begins at, and what the page says that it prints."""

    code: str
    line: int
    output: str | None


def blocks(page: Path, language: str = "python") -> list[Block]:
    """Return the blocks of a language of a page; a block of text right after one is what it prints."""
    text = page.read_text(encoding="utf-8")
    form = rf"^```{language}\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?"
    found = re.finditer(form, text, re.DOTALL | re.MULTILINE)
    return [Block(match[1], text[: match.start(1)].count("\n"), match[2]) for match in found]


def check_output(page: Path, block: Block, printed: str) -> None:
    """Fail where a block printed something else than its page says; "..." stands for anything."""
    if block.output is not None and not doctest.OutputChecker().check_output(block.output, printed, FLAGS):
        pytest.fail(f"{page.name}, line {block.line}: expected\n{block.output}\ngot\n{printed}")


def run(page: Path, block: Block, names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a block of Python with these names, which it adds to; check and return what it prints."""
    code = compile("\n" * block.line + block.code, str(page), "exec")  # tracebacks show the page's lines
    capsys.readouterr()
    exec(code, names)
    printed = capsys.readouterr().out
    check_output(page, block, printed)
    return printed


def run_commands(page: Path, block: Block, exit_code: int = 0) -> None:
    """Run the lines of a block, `postproc` in this process and others by bash; check what they print.

    The last one ends with the exit code; others that fail go on by `|| echo "ended with $?"`. Nothing is
    installed.
    """
    printed, code = "", 0
    for line in block.code.replace("\\\n", " ").splitlines():
        assert code == 0, f"{page.name}, line {block.line}: {printed}"
        command, _, otherwise = (part.strip() for part in line.partition("||"))
        name, *arguments = shlex.split(command, comments=True)
        if (name, arguments[0]) == ("pip", "install"):
            continue
        if name == "cd":
            os.chdir(arguments[0])
        elif name == "postproc":
            result = CliRunner().invoke(app, arguments, catch_exceptions=False)
            printed, code = printed + result.output, result.exit_code
            if otherwise:
                assert otherwise == 'echo "ended with $?"'
                assert code, f"{page.name}, line {block.line}: {line} did not fail"
                printed, code = f"{printed}ended with {code}\n", 0
        else:
            done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
            printed, code = printed + done.stdout + done.stderr, done.returncode
    check_output(page, block, printed)
    assert code == exit_code, f"{page.name}, line {block.line}: {printed}"
