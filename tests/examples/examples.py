"""Examples as modules, and pages that they are asked about."""

from __future__ import annotations

import importlib.util
import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from postproc.demo.pages import DigitPage, make_page
from tests.documents.pages import ROOT

HOSTS = ROOT / "examples" / "hosts"
STUBS = Path(__file__).parent / "stubs"
SEEDS = (0, 4)  # pages on which the demo's network finds all digits, and nothing else
BROKEN, WRONG = b"no image", "not an image"


def load(path: str, package: str = "") -> ModuleType:
    """Import an example, with the package that it is for or, where that is missing, its stub."""
    spec = importlib.util.spec_from_file_location(f"example_{Path(path).parts[0]}", HOSTS / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with stubs(package):
        spec.loader.exec_module(module)
    return module


def is_installed(package: str) -> bool:
    """Whether a package is there; Ray without gRPC has no Ray Serve."""
    return all(importlib.util.find_spec(name) for name in [package, *["grpc"] * (package == "ray")])


@contextmanager
def stubs(package: str) -> Iterator[None]:
    """Let imports of a package that is missing find its stub, and leave nothing behind."""
    if not package or is_installed(package):
        yield
        return
    before = _taken_out(package)
    sys.path.insert(0, str(STUBS))
    try:
        yield
    finally:
        sys.path.remove(str(STUBS))
        _taken_out(package)
        sys.modules.update(before)


def _taken_out(package: str) -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name.partition(".")[0] == package]
    return {name: sys.modules.pop(name) for name in names}


@cache
def page(seed: int) -> DigitPage:
    return make_page(seed)


@cache
def file(seed: int) -> bytes:
    """Return a page as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(page(seed).image).save(buffer, "PNG")
    return buffer.getvalue()


def check(labels: Any, boxes: Any, seed: int) -> None:
    """Fail unless these are the digits of a page, where its ink is."""
    truth = page(seed)
    height, width = truth.image.shape[:2]
    wanted = truth.boxes / np.float32([width, height, width, height])
    assert len(labels) == len(wanted)
    for digit, box in zip(labels, np.asarray(boxes), strict=True):
        distances = np.abs(wanted - box).max(axis=1)
        assert distances.min() < 0.03
        assert truth.labels[distances.argmin()] == digit


def check_answer(answer: Mapping[str, Any], seed: int) -> None:
    """Fail unless a result as JSON is what is on a page."""
    rows = answer["outputs"][0]["labels"]["predicted"]
    boxes = [[row["roi"]["bbox"][side] for side in ("xmin", "ymin", "xmax", "ymax")] for row in rows]
    check([int(row["label_name"]) for row in rows], boxes, seed)
