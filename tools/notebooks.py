"""Run the notebooks of examples/ and write what they give into them, without Jupyter.

    python -m tools.notebooks [examples/thresholds.ipynb ...]

A cell that imports a library which is missing here keeps the output that it has.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import io
import json
import os
import sys
import tempfile
from base64 import b64encode
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def is_missing(code: str) -> bool:
    """Whether a cell imports a library that is not installed."""
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = [getattr(node, "module", None) or node.names[0].name for node in imports]
    return any(importlib.util.find_spec(name.partition(".")[0]) is None for name in names)


def run_cell(code: str, names: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a cell as Jupyter does; give its outputs: what it prints, and the value of its last line."""
    tree, value = ast.parse(code), None
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        text = printed.getvalue().splitlines(keepends=True)
        outputs.append({"name": "stdout", "output_type": "stream", "text": text})
    if value is not None:
        kinds = {"text/plain": repr(value)}
        if hasattr(value, "_repr_html_"):
            kinds["text/html"] = value._repr_html_()
        if hasattr(value, "_repr_png_"):
            kinds = {"image/png": b64encode(value._repr_png_()).decode(), "text/plain": "a picture"}
        data = {kind: text if kind == "image/png" else text.splitlines(True) for kind, text in kinds.items()}
        outputs.append(
            {"data": data, "execution_count": None, "metadata": {}, "output_type": "execute_result"}
        )
    return outputs


def run(path: Path) -> dict[str, Any]:
    """Run a notebook in the current folder; give it with the outputs of this run."""
    notebook: dict[str, Any] = json.loads(path.read_text("utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, 1):
        cell["execution_count"] = number
        if not is_missing("".join(cell["source"])):
            cell["outputs"] = run_cell("".join(cell["source"]), names)
            for output in cell["outputs"]:
                if "execution_count" in output:
                    output["execution_count"] = number
    return notebook


def main() -> None:
    """Run those that are named, or all."""
    paths = [Path(name).resolve() for name in sys.argv[1:]] or sorted((ROOT / "examples").glob("*.ipynb"))
    for path in paths:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            notebook = run(path)
            os.chdir(ROOT)
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
