"""How well the exported networks find and name digits, by postproc's own pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digit_training import documents
from digit_training.documents import Document
from postproc import Detections, PostProcessor
from postproc.demo.pages import DigitPage, crop_digit
from postproc.images import Preprocessor
from postproc.onnx_runner import OnnxRunner
from postproc.ops import box_iou

_BATCH = 25
_MATCHING_JACCARD = 0.5
_LOWEST_THRESHOLD = 0.05


@dataclass(frozen=True, eq=False)
class Found:
    """What a network found on pages, judged against what is written there.

    Attributes
    ----------
    scores : (K,) float32
    digits : (K,) int64
        What each detection says.
    right : (K,) bool
        Whether there is such a digit at a Jaccard index of 0.5 or more that no detection of a higher
        score took.
    written : (10,) int64
        How often each digit is written.
    """

    scores: NDArray[np.float32]
    digits: NDArray[np.int64]
    right: NDArray[np.bool_]
    written: NDArray[np.int64]

    @property
    def recall(self) -> float:
        """Part of the written digits that were found."""
        return float(self.right.sum() / self.written.sum())

    @property
    def precision(self) -> float:
        """Part of the detections that are right."""
        return float(self.right.mean()) if len(self.right) else 0.0

    def __str__(self) -> str:
        return f"recall {self.recall:.2%} of {self.written.sum()} digits, precision {self.precision:.2%}"


def detect(model: Path, version: Document, preprocessing: Document, pages: Sequence[DigitPage]) -> Found:
    """Run a detector over pages and judge what it finds."""
    post = PostProcessor(documents.spec("detection"), version)
    runner = OnnxRunner(model, post, providers=["CPUExecutionProvider"])
    preprocessor = Preprocessor(preprocessing)
    scores, digits, right = [], [], []
    remaining = iter(pages)
    for batch in preprocessor.batches([page.image for page in pages], _BATCH):
        detections = runner(batch.tensors, transforms=batch.transforms).outputs[0]
        assert isinstance(detections, Detections)
        for image in range(len(detections)):
            page, found = next(remaining), detections[image]
            said = found.label_ids - documents.FIRST_LABEL_ID
            scores.append(found.scores)
            digits.append(said)
            boxes = found.to_pixels(page.image.shape[:2])
            right.append(_matches(boxes, said, page.boxes, page.labels))
    written = np.concatenate([page.labels for page in pages])
    return Found(np.concatenate(scores), np.concatenate(digits), np.concatenate(right), _count(written))


def classify(model: Path, version: Document, preprocessing: Document, pages: Sequence[DigitPage]) -> Found:
    """Run the classifier over every digit of the pages and judge its best guess."""
    post = PostProcessor(documents.spec("classification"), version)
    runner = OnnxRunner(model, post, providers=["CPUExecutionProvider"])
    crops = [crop_digit(page.image, box) for page in pages for box in page.boxes]
    labels = np.concatenate([page.labels for page in pages])
    inputs = Preprocessor(preprocessing)(crops).tensors
    guesses = runner(inputs, max_predictions=1).outputs[0]
    said = guesses.label_ids - documents.FIRST_LABEL_ID
    crop = np.repeat(np.arange(len(crops)), np.diff(guesses.offsets))
    return Found(guesses.scores, said, said == labels[crop], _count(labels))


def best_thresholds(found: Found) -> list[float]:
    """Return the threshold of each digit at which recall and precision, as F1, are best.

    Where a range of thresholds is as good, its middle is taken.
    """
    grid = np.arange(_LOWEST_THRESHOLD, 0.96, 0.01)
    thresholds = []
    for digit in range(documents.DIGITS):
        of_digit = found.digits == digit
        above = found.scores[of_digit][:, None] > grid
        hits = (above & found.right[of_digit][:, None]).sum(axis=0)
        f1 = 2 * hits / (above.sum(axis=0) + found.written[digit])
        best = np.flatnonzero(f1 == f1.max())
        thresholds.append(round(float(grid[best[len(best) // 2]]), 2))
    return thresholds


def _matches(
    boxes: NDArray[np.float32],
    digits: NDArray[np.int64],
    true_boxes: NDArray[np.float32],
    true_digits: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Match detections, best score first, each to the free digit of its label that it meets most."""
    right = np.zeros(len(boxes), bool)
    if len(boxes) == 0 or len(true_boxes) == 0:
        return right
    jaccard = np.where(digits[:, None] == true_digits, box_iou(boxes, true_boxes), 0)
    for row in range(len(boxes)):
        best = jaccard[row].argmax()
        if jaccard[row, best] >= _MATCHING_JACCARD:
            right[row] = True
            jaccard[:, best] = 0
    return right


def _count(digits: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.bincount(digits, minlength=documents.DIGITS)
