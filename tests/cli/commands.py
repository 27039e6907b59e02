"""Commands as tests call them, and documents, tensors and images for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner, Result

from postproc.cli.app import app

SPEC = {
    "id": 7,
    "outputs": [
        {
            "labels": {
                "labels": [{"id": 11, "name": "cat"}, {"id": 12, "name": "dog"}],
                "exclusive": True,
                "roi": "BBOX",
            }
        }
    ],
}
DIRECT = {"boxes_tensor": "boxes", "scores_tensor": "scores", "classes_tensor": "classes"}
VERSION = {
    "spec_id": 7,
    "post_processings": [{"detection": {"direct_output": DIRECT, "thresholds": [0.5, 0.7]}}],
}
ANSWER = {
    "boxes": np.array([[0.1, 0.2, 0.5, 0.6], [0.4, 0.4, 0.9, 0.9], [0.0, 0.0, 0.2, 0.2]], np.float32),
    "scores": np.array([0.9, 0.6, 0.01], np.float32),
    "classes": np.array([11, 12, 11], np.float32),
}
IMAGE_SIZES = {"a.png": (40, 30), "b.jpg": (30, 50), "c.png": (20, 20)}


def write(name: str, document: Any) -> None:
    Path(name).write_text(json.dumps(document))


def save(name: str, tensors: dict[str, Any]) -> None:
    np.savez(name, **tensors)


def invoke(*arguments: object, columns: int = 200) -> Result:
    """Call a command in this process, on a terminal of some width."""
    return CliRunner().invoke(app, [str(item) for item in arguments], env={"COLUMNS": str(columns)})


def run(*arguments: str) -> Result:
    return invoke("run", "--spec", "spec.json", "--version", "version.json", *arguments)


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]
