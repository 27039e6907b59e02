"""Threshold scans against a brute force, in buffers so small that further scans must find the rest."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from postproc.kernels.core import activation as act
from postproc.kernels.core import collector as collecting
from postproc.kernels.core import numbers
from postproc.kernels.core.candidates import LOWEST_KEY
from postproc.kernels.core.scores import best_label, scan_scores
from postproc.kernels.heads import listed
from postproc.kernels.heads.arguments import Rule
from postproc.kernels.heads.class_numbers import INT64
from postproc.kernels.heads.listed import Listed
from postproc.kernels.heads.yolo_grids import scan_grid
from tests import reference
from tests.kernels.core.forms import SCANNED, extent_of, in_form
from tests.kernels.core.test_activation import softmax_of
from tests.kernels.from_python import from_python
from tests.shares import examples

pytestmark = pytest.mark.needs_numba

Floats = NDArray[np.float32]
Keys = NDArray[np.uint64]

INF = np.float32(np.inf)
BEST_LABEL = from_python(best_label)
ALL = 10**6  # a `top` that nothing exceeds
# Around the lengths of blocks (64) and strides (256) of a scan.
COUNTS = (0, 1, 2, 21, 63, 64, 65, 128, 255, 256, 257, 320, 700)


@dataclass(frozen=True, eq=False)
class Scan:
    """The arguments of a scan of scores by box and column (B, N, S)."""

    scores: Floats
    first: int
    thresholds: Floats
    discard: np.float32
    activation: int
    multi_label: bool
    tensor: Any = None  # one whose numbers the scores are, in another form

    def run(self, planar: bool, top: int) -> list[list[Keys]]:
        """Scan images, each as often as there is more; give the keys of each scan."""
        raw, *quantisation = self.tensor if isinstance(self.tensor, tuple) else (self.scores,)
        raw = np.ascontiguousarray(raw.transpose(0, 2, 1)) if planar else raw
        scores = [(image, *quantisation) if self.tensor is not None else image for image in raw]
        arguments = (self.thresholds, self.discard, self.activation, self.multi_label, top)
        return [scores_scans(image, planar, self.first, *arguments) for image in scores]

    def expected(self) -> list[Keys]:
        """Keys of all candidates of each image, from the definition."""
        boxes, labels = self.scores.shape[1], len(self.thresholds)
        images = []
        for image in self.scores:
            values = image
            if self.activation == act.SIGMOID:
                values = reference.sigmoid(image)
            elif self.activation == act.SOFTMAX:
                values = softmax_of(image)  # float32, whose accuracy has a test of its own
            values = values[:, self.first : self.first + labels]
            keys = []
            for box, row in enumerate(values):
                candidates = range(labels) if self.multi_label else best_of(row)
                keys += [
                    key_of(row[label], label * boxes + box, self.thresholds[label], self.discard)
                    for label in candidates
                    if row[label] > min(self.thresholds[label], self.discard) and row[label] < INF
                ]
            images.append(np.sort(np.array(keys, np.uint64))[::-1])
        return images


def key_of(score: np.float32, order: int, threshold: np.float32, discard: np.float32) -> int:
    predicted = int(score > threshold)
    return predicted << 63 | int(np.float32(score).view(np.uint32)) << 32 | 0xFFFFFFFF - order


def best_of(row: Floats) -> list[int]:
    """Label of the highest finite score, ties to the lower; none if there is none."""
    finite = [label for label in range(len(row)) if np.isfinite(row[label])]
    return [max(finite, key=lambda label: (row[label], -label))] if finite else []


def assert_best(found: list[list[Keys]], expected: list[Keys], top: int) -> None:
    """Check that the scans of an image have its candidates one after the other, about `top` or more each."""
    for scans_of_image, everything in zip(found, expected, strict=True):
        assert_array_equal(np.concatenate(scans_of_image), everything)
        assert all(len(keys) > 0 for keys in scans_of_image[1:])
        assert len(scans_of_image) <= 1 + 2 * len(everything) // top


@numba.njit  # type: ignore[untyped-decorator]
def scores_scans(
    scores: Any,
    planar: Any,
    first: Any,
    thresholds: Any,
    discard: Any,
    activation: Any,
    multi_label: Any,
    top: Any,
) -> Any:
    collector = collecting.new_collector(top, numbers.raw(scores).size, thresholds.shape[0])
    collecting.begin_image(collector)
    result = []
    while True:
        count = scan_scores(
            scores, planar, first, thresholds, discard, activation, multi_label, top, collector
        )
        result.append(collector[0][:count].copy())
        if not collecting.continue_below(collector):
            return result


scan_listed = listed.scan_listed


@numba.njit  # type: ignore[untyped-decorator]
def listed_scans(
    scores: Any, rows: Any, thresholds: Any, discard: Any, activation: Any, multi_label: Any, top: Any
) -> Any:
    none = np.empty((0, 4), np.float32)
    ends = np.array([len(scores)])
    known = np.arange(len(thresholds)).repeat(2).reshape(-1, 2).T.copy()
    head = Listed(
        scores, 0, rows.shape[1], none, 0, rows.reshape(-1), INT64, known, np.zeros(1, np.int64), ends,
        activation, none, 0, 0, False,
    )  # fmt: skip
    rule = Rule(thresholds, multi_label, discard, thresholds, False)
    collector = collecting.new_collector(top, scores.size, thresholds.shape[0])
    collecting.begin_image(collector)
    result = []
    while True:
        count = scan_listed(head, 0, scores.size, rule, top, collector)
        result.append(collector[0][:count].copy())
        if not collecting.continue_below(collector):
            return result


@numba.njit  # type: ignore[untyped-decorator]
def grid_scans(
    grid: Any, shape: Any, activation: Any, thresholds: Any, discard: Any, multi_label: Any, top: Any
) -> Any:
    labels, boxes = thresholds.shape[0], shape[0] * shape[1] * shape[2]
    collector = collecting.new_collector(top, boxes * labels, labels)
    collecting.begin_image(collector)
    result = []
    while True:
        collecting.begin_scan(collector, thresholds, discard, act.NONE, LOWEST_KEY)
        scan_grid(grid, shape, boxes, activation, False, thresholds, discard, multi_label, collector)
        count = collecting.end_scan(collector, 0)
        result.append(collector[0][:count].copy())
        if not collecting.continue_below(collector):
            return result


@st.composite
def scans(draw: st.DrawFn, finite: bool = False) -> Scan:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images, labels = draw(st.sampled_from((1, 2, 0))), draw(st.sampled_from((1, 2, 3, 20)))
    boxes = draw(st.sampled_from(COUNTS if labels < 20 else COUNTS[:5]))
    first, behind = draw(st.sampled_from((0, 1, 4))), draw(st.sampled_from((0, 1)))
    activation = draw(st.sampled_from((act.NONE, act.SIGMOID, act.SOFTMAX)))
    shape = (images, boxes, first + labels + behind)
    drawn = rng.random(shape) if activation == act.NONE else rng.normal(0, 3, shape)
    if draw(st.booleans()):  # ties, also with thresholds
        drawn = np.round(drawn * 8) / 8
    scores = drawn.astype(np.float32)
    if not finite and draw(st.booleans()):
        spoiled = rng.random(shape) < 0.1
        strange = np.array([np.nan, -np.nan, np.inf, -np.inf, -1, 0], np.float32)
        scores[spoiled] = rng.choice(strange, spoiled.sum())
    choices = np.array(draw(st.sampled_from(((0.5,), (0.0,), (0.0, 0.25, 0.5, 0.875, 1.0)))), np.float32)
    thresholds = rng.choice(choices, labels)
    discard = draw(st.sampled_from((INF, np.float32(0), np.float32(0.25))))
    return Scan(scores, first, thresholds, discard, activation, draw(st.booleans()))


@st.composite
def narrow_scans(draw: st.DrawFn, form: str) -> Scan:
    """Scores in another form: a softmax is of float32."""
    scan = draw(scans().filter(lambda scan: scan.activation != act.SOFTMAX))
    scale = draw(st.sampled_from((1 / 255, 1 / 8, 1 / 64)))
    zero_point = draw(st.integers(*extent_of(form)))
    tensor, scores = in_form(form, scan.scores, scale, zero_point)
    return replace(scan, scores=scores, tensor=tensor)


EXAMPLES = examples(200)
NUMBERS = st.floats(width=32) | st.sampled_from([0.0, -0.0, 20.0, 21.0, float("inf")])
TOPS = st.sampled_from((1, 2, 3, 7, 30, 100, ALL))


@EXAMPLES
@given(scan=scans(), planar=st.booleans(), top=TOPS)
def test_scan_scores_gives_the_best_candidates(scan: Scan, planar: bool, top: int) -> None:
    if scan.activation == act.SOFTMAX:
        planar = False  # goes along rows
    assert_best(scan.run(planar, top), scan.expected(), top)


@pytest.mark.parametrize("form", SCANNED)
@examples(100)
@given(data=st.data(), planar=st.booleans(), top=TOPS)
def test_scan_scores_of_narrow_numbers_gives_the_best_candidates(
    data: st.DataObject, form: str, planar: bool, top: int
) -> None:
    scan = data.draw(narrow_scans(form))
    assert_best(scan.run(planar, top), scan.expected(), top)


@pytest.mark.parametrize("form", SCANNED)
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("multi_label", [False, True])
def test_scan_scores_of_narrow_numbers_that_nearly_all_pass_raises_its_limits(
    form: str, planar: bool, multi_label: bool
) -> None:
    """In order, so that the limits rise again and again; then the highest number is scanned for as any."""
    ascending = np.sort(np.random.default_rng(3).uniform(0, 1.5, (1, 5000, 3)), axis=1)
    tensor, scores = in_form(form, ascending, 1 / 170, extent_of(form)[0])
    thresholds = np.array([0.01, 0.5, 0.02], np.float32)
    scan = Scan(scores, 0, thresholds, np.float32(0.005), act.NONE, multi_label, tensor)
    for top in (50, 1024):
        assert_best(scan.run(planar, top), scan.expected(), top)


@examples(50)
@given(scan=scans(), planar=st.booleans())
def test_scan_scores_with_room_for_all_is_one_scan(scan: Scan, planar: bool) -> None:
    planar = planar and scan.activation != act.SOFTMAX
    assert all(len(scans_of_image) == 1 for scans_of_image in scan.run(planar, ALL))


@functools.cache
def many_candidates(order: str, boxes: int) -> tuple[Scan, list[Keys]]:
    """Return a scan of many candidates in an order, and their keys."""
    rng = np.random.default_rng(1)
    scores = (rng.integers(1, 60, (2, boxes, 2)) / 64).astype(np.float32)
    if order == "equal":
        scores[:] = 0.75
    elif order != "shuffled":
        scores = np.sort(scores.reshape(2, -1), axis=1).reshape(scores.shape)
        scores = scores if order == "ascending" else np.ascontiguousarray(scores[:, ::-1])
    scan = Scan(scores, 0, np.array([0.5, 0.25], np.float32), np.float32(0.1), act.NONE, True)
    return scan, scan.expected()


@pytest.mark.parametrize("top", [1, 8, 100, 1024])
@pytest.mark.parametrize("order", ["ascending", "descending", "equal", "shuffled"])
@pytest.mark.parametrize("planar", [False, True])
def test_scan_scores_many_candidates_are_cut_at_ties(planar: bool, order: str, top: int) -> None:
    """Of equal scores the first labels and boxes stay, in whatever order they are met."""
    # Of a few at a time there are so many scans that the time goes with the square of the boxes.
    scan, expected = many_candidates(order, 4000 if top >= 100 else 600)
    found = scan.run(planar, top)
    assert_best(found, expected, top)
    assert all(len(keys) <= 2 * top for scans_of_image in found for keys in scans_of_image)


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("hidden", [False, True])
def test_scan_scores_few_good_ones_among_many_poor_ones_are_found(planar: bool, hidden: bool) -> None:
    """A sample of the scores misses them, or sees nothing else."""
    scores = np.random.default_rng(2).uniform(0.03, 0.04, (1, 30_000, 1)).astype(np.float32)
    places = np.arange(0, 30_000, 61)
    scores[0, places + (1 if hidden else 0) - (places == 29_999)] = 0.9
    scan = Scan(scores, 0, np.array([0.025], np.float32), INF, act.NONE, True)
    expected = scan.expected()
    for top in (50, 400, 600, 20_000):
        assert_best(scan.run(planar, top), expected, top)


@pytest.mark.parametrize("planar", [False, True])
def test_scan_scores_equal_sigmoids_of_different_logits_go_to_the_lower_label(planar: bool) -> None:
    """Also where the higher logit is of a label that its score cannot pass."""
    logits = np.array([[[20, 21], [21, 20], [20, 20], [5, 21]]], np.float32)
    scan = Scan(logits, 0, np.array([0.5, 1.0], np.float32), INF, act.SIGMOID, False)
    ((keys,),) = scan.run(planar, ALL)
    assert_array_equal(keys, scan.expected()[0])
    assert len(keys) == 3


@EXAMPLES
@given(
    values=st.lists(NUMBERS, min_size=1, max_size=20),
    sigmoid=st.booleans(),
)
@example(values=[float("nan"), float("-inf")], sigmoid=False)
def test_best_label_equals_that_of_the_scores(values: list[float], sigmoid: bool) -> None:
    row = np.array(values, np.float32)
    scores = reference.sigmoid(row) if sigmoid else row
    label = BEST_LABEL(row, act.SIGMOID if sigmoid else act.NONE)
    if best_of(scores):
        assert label == best_of(scores)[0]
    else:
        assert 0 <= label < len(row)


def listed_keys(
    scores: Floats, rows: NDArray[np.int64], thresholds: Floats, discard: np.float32, multi_label: bool
) -> Keys:
    """Keys of all candidates of one image (N, C), from the definition."""
    boxes, columns = scores.shape
    keys = []
    for box in range(boxes):
        ranked = sorted(
            (-score, label, column)
            for column, (score, label) in enumerate(zip(scores[box], rows[box].tolist(), strict=True))
            if label >= 0 and np.isfinite(score)
        )
        keys += [
            key_of(-negated, (label * boxes + box) * columns + column, thresholds[label], discard)
            for negated, label, column in (ranked if multi_label else ranked[:1])
            if -negated > min(thresholds[label], discard)
        ]
    return np.sort(np.array(keys, np.uint64))[::-1]


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("top", [1, 5, 64, ALL])
def test_scan_listed_gives_the_best_candidates(top: int, columns: int, multi_label: bool) -> None:
    rng = np.random.default_rng(top)
    scores = (rng.integers(0, 17, (2, 150, columns)) / 16).astype(np.float32)
    scores[rng.random(scores.shape) < 0.05] = np.nan
    rows = rng.integers(-1, 3, scores.shape)
    thresholds, discard = np.array([0.3, 0.6, 0.9], np.float32), np.float32(0.1)
    found = [
        listed_scans(scores[image], rows[image], thresholds, discard, act.NONE, multi_label, top)
        for image in (0, 1)
    ]
    expected = [listed_keys(scores[image], rows[image], thresholds, discard, multi_label) for image in (0, 1)]
    assert min(map(len, expected)) > 64
    assert_best(found, expected, top)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("discard", [INF, np.float32(0.01)], ids=["predicted", "discarded"])
@pytest.mark.parametrize("activation", [act.SOFTMAX, act.SIGMOID])
@pytest.mark.parametrize("top", [1, 5, 64])
def test_scan_grid_in_a_small_buffer_gives_the_best_of_a_large_one(
    top: int, activation: int, discard: np.float32, multi_label: bool
) -> None:
    rng = np.random.default_rng(top)
    grid = rng.normal(0, 2, (2, 9 * 7 * 2 * 8)).astype(np.float32)
    grid[0, 4 :: 8 * 5] = np.inf
    grid[1, 7::100] = np.nan
    thresholds = np.array([0.1, 0.3, 0.05], np.float32)
    shape = np.array([9, 7, 2, 16, 8, 1, 0, 0])
    arguments = shape, activation, thresholds, discard, multi_label
    everything = [grid_scans(image, *arguments, ALL) for image in grid]
    assert [len(scans_of_image) for scans_of_image in everything] == [1, 1]
    assert min(len(keys) for (keys,) in everything) > 20
    found = [grid_scans(image, *arguments, top) for image in grid]
    assert_best(found, [keys for (keys,) in everything], top)
    assert len(found[0]) > 1 or top == 64
