"""Pages and crops to train on."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digit_training import documents
from postproc.demo.pages import DigitPage, crop_digit, draw_page
from postproc.demo.scans import Scans, load_scans
from postproc.images import Preprocessor

_VALIDATION_PART = 0.1
_SPLIT_SEED, _TRAINING_SEED, _VALIDATION_SEED = 21, 22, 23
_JITTER = 0.06  # of a digit's height: how far the sides of a box are moved for a crop


@dataclass(frozen=True, eq=False)
class Examples:
    """Pages and crops as the networks are fed with them.

    Attributes
    ----------
    inputs : (P, 1, 240, 320) uint8
        Pages, grey, as the detectors' preprocessing resizes them.
    boxes : (P, K, 4) float32
        xyxy in pixels of the input; rows past a page's digits are zero.
    labels : (P, K) int64
        The digits; -1 past a page's digits.
    crops : (C, 1, 32, 32) uint8
        Every digit of every page, its box moved a little.
    crop_labels : (C,) int64
        The digits.
    """

    inputs: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    crops: NDArray[np.uint8]
    crop_labels: NDArray[np.int64]


def training_scans() -> Scans:
    """Return the scans that the networks learn from."""
    return _split_scans()[0]


def validation_scans() -> Scans:
    """Return the scans that thresholds are chosen on: neither trained on nor held out."""
    return _split_scans()[1]


def validation_pages(count: int) -> list[DigitPage]:
    """Draw pages with the validation scans."""
    return [
        draw_page(np.random.default_rng([_VALIDATION_SEED, index]), validation_scans())
        for index in range(count)
    ]


def make_examples(count: int, processes: int) -> Examples:
    """Draw ``count`` pages with the training scans, in several processes."""
    with ProcessPoolExecutor(processes) as pool:
        drawn = list(pool.map(_make_example, range(count), chunksize=16))
    inputs, page_boxes, page_labels, crops = zip(*drawn, strict=True)
    most = max(map(len, page_labels))
    boxes = np.zeros((count, most, 4), np.float32)
    labels = np.full((count, most), -1, np.int64)
    for row in range(count):
        boxes[row, : len(page_boxes[row])] = page_boxes[row]
        labels[row, : len(page_labels[row])] = page_labels[row]
    return Examples(np.stack(inputs), boxes, labels, np.concatenate(crops), np.concatenate(page_labels))


def as_input(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn stored bytes into what the preprocessing gives: scaled to 0..1, less the mean of 0.5."""
    return np.asarray(values.astype(np.float32) / 255 - 0.5, np.float32)


def box_sizes(examples: Examples, count: int) -> NDArray[np.float32]:
    """Choose the sizes of ``count`` anchors by k-means under the Jaccard index (Redmon & Farhadi 2017).

    Returns
    -------
    (count, 2) float32
        Width and height in pixels of the input, in quarters of a pixel, small before large.
    """
    sizes = (examples.boxes[..., 2:] - examples.boxes[..., :2])[examples.labels >= 0].astype(np.float64)
    by_area = np.argsort(sizes.prod(axis=1))
    centres = sizes[by_area[((np.arange(count) + 0.5) / count * len(sizes)).astype(int)]]
    for _ in range(50):
        common = np.minimum(sizes[:, None], centres).prod(axis=2)
        jaccard = common / (sizes.prod(axis=1)[:, None] + centres.prod(axis=1) - common)
        nearest = jaccard.argmax(axis=1)
        centres = np.stack([np.median(sizes[nearest == cluster], axis=0) for cluster in range(count)])
    centres = np.round(4 * centres[np.argsort(centres.prod(axis=1))]) / 4
    return np.asarray(centres, np.float32)


def _split_scans() -> tuple[Scans, Scans]:
    scans = load_scans(held_out=False)
    shuffled = np.random.default_rng(_SPLIT_SEED).permutation(len(scans))
    validation = round(_VALIDATION_PART * len(scans))
    return scans[np.sort(shuffled[validation:])], scans[np.sort(shuffled[:validation])]


def _make_example(
    index: int,
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64], NDArray[np.uint8]]:
    """Return the input, boxes, labels and crops of a page."""
    rng = np.random.default_rng([_TRAINING_SEED, index])
    page = draw_page(rng, training_scans())
    height, width = page.image.shape[:2]
    scale = np.array([documents.INPUT_WIDTH / width, documents.INPUT_HEIGHT / height] * 2, np.float32)
    preprocessor = Preprocessor(documents.preprocessing("classifier"))
    crops = [
        _as_bytes(preprocessor, crop_digit(page.image, box + rng.normal(0, _JITTER * (box[3] - box[1]), 4)))
        for box in page.boxes
    ]
    return (
        _as_bytes(Preprocessor(documents.preprocessing("yolo")), page.image),
        page.boxes * scale,
        page.labels,
        np.array(crops, np.uint8).reshape(-1, 1, documents.CROP_SIDE, documents.CROP_SIDE),
    )


def _as_bytes(preprocessor: Preprocessor, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    values = preprocessor([image]).tensors[documents.IMAGE][0]
    return np.asarray(np.rint((values + 0.5) * 255), np.uint8)
