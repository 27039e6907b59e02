"""The notebooks of examples/ run, and give what is committed in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.documents.pages import ROOT
from tools import notebooks

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def outputs(notebook: dict[str, Any]) -> list[Any]:
    """What cells give, without the pixels of pictures, which hang on releases of Pillow."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [
        [
            (output["output_type"], output.get("text") or output["data"]["text/plain"])
            for output in cell["outputs"]
        ]
        for cell in cells
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_gives_what_is_committed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    committed = json.loads(path.read_text("utf-8"))
    assert any(outputs(committed))
    assert outputs(notebooks.run(path)) == outputs(committed)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_holds_no_paths_of_a_machine(path: Path) -> None:
    text = path.read_text("utf-8")
    assert [start for start in ("/home/", "/root/", "/tmp/", "/work/", "/Users/") if start in text] == []


def test_cell_without_its_library_keeps_what_it_gave() -> None:
    assert notebooks.is_missing("import no_such_library.part")
    assert not notebooks.is_missing("from json import loads\nimport numpy as np")
    assert notebooks.run_cell("print(1)\n2", {}) == [
        {"name": "stdout", "output_type": "stream", "text": ["1\n"]},
        {
            "data": {"text/plain": ["2"]},
            "execution_count": None,
            "metadata": {},
            "output_type": "execute_result",
        },
    ]
