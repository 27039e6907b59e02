from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from postproc.demo.handwriting import WORDS, capital, enlarge
from postproc.demo.pages import PAGE_HEIGHT, PAGE_WIDTH, DigitPage, crop_digit, draw_page, make_page
from postproc.demo.scans import load_scans
from postproc.ops import box_iou

SEEDS = range(8)


@pytest.fixture(scope="module")
def pages() -> list[DigitPage]:
    return [make_page(seed) for seed in SEEDS]


@pytest.mark.parametrize("held_out", [True, False], ids=["held out", "training"])
def test_make_page_same_seed_gives_same_page(held_out: bool) -> None:
    first, second = (make_page(3, held_out=held_out) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.boxes, second.boxes)
    np.testing.assert_array_equal(first.rows, second.rows)


def test_make_page_other_seed_or_part_gives_other_page() -> None:
    images = [make_page(1).image, make_page(2).image, make_page(1, held_out=False).image]
    assert len({image.tobytes() for image in images}) == 3


def test_load_scans_parts_are_disjoint_and_complete() -> None:
    held_out, training = load_scans(held_out=True), load_scans(held_out=False)
    together = np.sort(np.concatenate([held_out.rows, training.rows]))
    np.testing.assert_array_equal(together, np.arange(len(load_digits().target)))
    share = np.bincount(held_out.digits) / np.bincount(load_digits().target)
    assert np.all(np.abs(share - 0.2) < 0.01)


@pytest.mark.parametrize("held_out", [True, False], ids=["held out", "training"])
def test_make_page_digits_come_from_the_part_asked_for(held_out: bool) -> None:
    rows = np.concatenate([make_page(seed, held_out=held_out).rows for seed in range(3)])
    assert len(rows) > 10
    assert np.isin(rows, load_scans(held_out=held_out).rows).all()
    assert not np.isin(rows, load_scans(held_out=not held_out).rows).any()


def test_draw_page_writes_with_the_given_scans_only() -> None:
    scans = load_scans(held_out=False)
    few = scans[np.array([5, 6])]
    page = draw_page(np.random.default_rng(0), few)
    assert set(page.rows.tolist()) <= set(few.rows.tolist())
    assert len(page.rows) > 2


def test_make_page_labels_are_what_the_scans_show(pages: list[DigitPage]) -> None:
    for page in pages:
        np.testing.assert_array_equal(page.labels, load_digits().target[page.rows])
        assert page.labels.dtype == np.int64


def test_make_page_boxes_lie_inside_with_area(pages: list[DigitPage]) -> None:
    for page in pages:
        assert page.image.shape == (PAGE_HEIGHT, PAGE_WIDTH, 3)
        assert page.image.dtype == np.uint8
        assert page.boxes.shape == (len(page.labels), 4)
        assert page.boxes.dtype == np.float32
        assert (page.boxes[:, :2] >= 0).all()
        assert (page.boxes[:, 2:] <= (PAGE_WIDTH, PAGE_HEIGHT)).all()
        assert (page.boxes[:, 2:] - page.boxes[:, :2] >= 4).all()


def test_make_page_boxes_hold_ink_on_every_side(pages: list[DigitPage]) -> None:
    """A box moved or scaled wrongly has sides that touch bare paper only."""
    inked = []
    for page in pages:
        grey = page.image.mean(axis=2)
        for x1, y1, x2, y2 in page.boxes.astype(int):
            digit = grey[y1:y2, x1:x2]
            ink = digit < (np.median(grey) + digit.min()) / 2 + 15
            inked.append([side.any() for side in (ink[:2], ink[-2:], ink[:, :2], ink[:, -2:])])
    assert np.mean(inked) > 0.98


def test_make_page_digits_seldom_overlap(pages: list[DigitPage]) -> None:
    overlapping = total = 0
    for page in pages:
        jaccard = box_iou(page.boxes, page.boxes) - np.eye(len(page.boxes))
        overlapping += int((jaccard > 0.1).any(axis=1).sum())
        total += len(page.boxes)
    assert overlapping / total < 0.05


def test_enlarge_cuts_to_the_ink() -> None:
    glyph = enlarge(load_scans(held_out=True).images[0], 40, rotation=0.1, slant=0.1, stretch=1.1)
    assert 30 < glyph.shape[0] < 50
    for side in (glyph[0], glyph[-1], glyph[:, 0], glyph[:, -1]):
        assert side.max() > 0.5


def test_enlarge_slant_moves_the_top_to_the_right() -> None:
    bar = np.zeros((8, 8), np.float32)
    bar[:, 3:5] = 1
    glyph = enlarge(bar, 40, rotation=0, slant=0.3, stretch=1)
    columns = np.arange(glyph.shape[1])
    top, bottom = (np.average(columns, weights=row) for row in (glyph[2], glyph[-3]))
    assert top - bottom == pytest.approx(0.3 * glyph.shape[0], rel=0.25)


@pytest.mark.parametrize("letter", sorted(set("".join(WORDS))))
def test_capital_every_letter_of_the_words_can_be_written(letter: str) -> None:
    scan = capital(letter, np.random.default_rng(0))
    assert scan.shape == (8, 8)
    assert scan.max() <= 1
    assert 0.1 < scan.mean() < 0.7


def test_crop_digit_is_the_square_around_the_box() -> None:
    image = np.arange(100 * 120 * 3).reshape(100, 120, 3).astype(np.uint8)
    crop = crop_digit(image, np.array([40, 30, 50, 50], np.float32))
    np.testing.assert_array_equal(crop, image[28:52, 33:57])


def test_crop_digit_beyond_the_image_repeats_its_edge() -> None:
    image = np.random.default_rng(0).integers(0, 255, (50, 60, 3)).astype(np.uint8)
    crop = crop_digit(image, np.array([0, 0, 10, 10], np.float32))
    assert crop.shape == (12, 12, 3)
    np.testing.assert_array_equal(crop[0], crop[1])
    np.testing.assert_array_equal(crop[1:, 1:], image[:11, :11])


def test_demo_import_loads_no_extras() -> None:
    """A service that ships with the demo must not pay for it."""
    code = "import sys, postproc.demo; print({'sklearn', 'PIL', 'onnxruntime'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
