"""What ``postproc demo`` shows: a page of handwritten digits, and what a network finds on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from rich.table import Table

from postproc.demo import model_path, preprocessing_path, spec_path, version_path
from postproc.installing import install
from postproc.ops import box_iou
from postproc.pipeline import PostProcessor

if TYPE_CHECKING:
    from postproc.demo.pages import DigitPage
    from postproc.results import Detections

PICTURE_SIDE = 1280  # pixels: twice the page's, so that labels are easy to read
_MATCHING_JACCARD = 0.5


class DemoModel(str, Enum):
    """The ways that the digit detector was exported."""

    YOLO = "yolo"
    ANCHORED = "anchored"
    DIRECT = "direct"


@dataclass(frozen=True, eq=False, slots=True)
class DemoResult:
    """A page and the digits that were found on it."""

    page: DigitPage
    detections: Detections

    @property
    def found(self) -> int:
        """How many of the written digits were found: right label, Jaccard index of at least 0.5."""
        digits = np.array([int(name) for name in self.detections.label_names], np.int64)
        if len(digits) == 0:
            return 0
        boxes = self.detections.to_pixels(self.page.image.shape[:2])
        right = (digits[:, None] == self.page.labels) & (box_iou(boxes, self.page.boxes) >= _MATCHING_JACCARD)
        return int(right.any(axis=0).sum())

    def table(self) -> Table:
        """Make a table of the detections, their boxes in pixels of the page."""
        table = Table(title="what the network found, best score first")
        for name in ("label", "score", "threshold", "xmin", "ymin", "xmax", "ymax"):
            table.add_column(name, justify="right")
        found = self.detections
        boxes = found.to_pixels(self.page.image.shape[:2])
        for name, score, threshold, box in zip(
            found.label_names, found.scores, found.thresholds, boxes, strict=True
        ):
            table.add_row(name, f"{score:.3f}", f"{threshold:.2f}", *(f"{side:.0f}" for side in box))
        return table


def write_demo_dataset(folder: Path, pages: int, model: DemoModel, first_page: int) -> None:
    """Write pages and their ground truth: see `postproc.demo.dataset.write_dataset`.

    Raises
    ------
    ImportError
        If a package of the extra ``demo`` is missing.
    """
    try:
        from postproc.demo.dataset import write_dataset

        write_dataset(folder, pages, model=model.value, first_page=first_page)
    except ImportError as error:
        raise ImportError(f"the demo needs an extra: {install('demo')} ({error})") from error


def run_demo(model: DemoModel, seed: int) -> DemoResult:
    """Make a page of digits that the network was not trained on, and find them.

    Raises
    ------
    ImportError
        If a package of the extra ``demo`` is missing.
    """
    try:
        import onnxruntime  # noqa: F401 - the runner's own message names another extra

        from postproc.demo.pages import make_page
        from postproc.images import Preprocessor
        from postproc.onnx_runner import OnnxRunner

        page = make_page(seed)
    except ImportError as error:
        raise ImportError(f"the demo needs an extra: {install('demo')} ({error})") from error

    name = model.value
    runner = OnnxRunner(model_path(name), PostProcessor(spec_path(name), version_path(name)))
    batch = Preprocessor(preprocessing_path(name))([page.image])
    (detections,) = runner(batch.tensors, transforms=batch.transforms).outputs
    return DemoResult(page, cast("Detections", detections))
