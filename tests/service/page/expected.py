"""What the page must show: postproc's own results, without a service."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from postproc import PostProcessor, demo
from postproc.images import PreparedBatch, Preprocessor
from postproc.onnx_runner import OnnxRunner
from postproc.schema import RecognitionSpec, RecognitionVersion

YOLO = "handwritten digits, detection (yolo)"
"""Name of the demo's version that most tests look at."""


def documents(kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the spec and the version of a network of the demo."""
    return (
        RecognitionSpec.load(demo.spec_path(kind)).dump(),
        RecognitionVersion.load(demo.version_path(kind)).dump(),
    )


def expected(
    image: Path,
    kind: str = "yolo",
    thresholds: dict[int, float] | None = None,
    names: dict[int, str] | None = None,
) -> dict[str, Any]:
    """Return what postproc finds in an image, with some rows' thresholds and labels' names replaced."""
    spec, version = documents(kind)
    for row, name in (names or {}).items():
        spec["outputs"][0]["labels"]["labels"][row]["name"] = name
    (task,) = version["post_processings"][0].values()
    for row, value in (thresholds or {}).items():
        task["thresholds"][row] = value
    batch = _prepared(image, kind)
    runner = OnnxRunner(_session(kind), PostProcessor(spec, version))
    return runner(batch.tensors, True, 2000, transforms=batch.transforms).to_dicts()[0]


def predicted(result: dict[str, Any], label: str | None = None) -> list[dict[str, Any]]:
    """Return what is above its threshold in a result, of all labels or of one."""
    (output,) = result["outputs"]
    return [row for row in output["labels"]["predicted"] if label in (None, row["label_name"])]


@cache
def _prepared(image: Path, kind: str) -> PreparedBatch:
    return Preprocessor(demo.preprocessing_path(kind))([image])


@cache
def _session(kind: str) -> Any:
    return OnnxRunner(demo.model_path(kind), PostProcessor(*documents(kind))).session
