"""The pipeline against the slow reference: index for index, on random documents and tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.comparison import assert_equals_reference
from tests.random_cases.builder import V07
from tests.shares import examples
from tests.strategies import Case, cases, near_tie, random_case

EXAMPLES = examples(100)


@pytest.mark.parametrize("kind", [*V07, "several"])
@EXAMPLES
@given(data=st.data())
def test_post_processor_random_case_equals_reference(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    assume(not near_tie(case))
    assert_equals_reference(case)


@examples(40)
@given(case=cases("several"))
def test_post_processor_with_threads_equals_reference(case: Case) -> None:
    assume(not near_tie(case))
    assert_equals_reference(case, num_threads=2)


@pytest.mark.parametrize("kind", ["anchored", "direct"])
@pytest.mark.parametrize("seed", range(4))
def test_post_processor_many_candidates_equals_reference(kind: str, seed: int) -> None:
    case = next(
        case
        for case in (random_case(kind, 1000 * seed + attempt, rows=200) for attempt in range(1000))
        if not near_tie(case)
    )
    assert_equals_reference(case)


@pytest.mark.parametrize("show_discarded", [False, True])
@pytest.mark.parametrize("kind", ["anchored", "anchored channels first", "direct", "yolo"])
def test_post_processor_crowd_of_best_candidates_equals_reference(kind: str, show_discarded: bool) -> None:
    assert_equals_reference(crowd(kind, show_discarded))


def crowd(kind: str, show_discarded: bool) -> Case:
    """Return two images of 4,000 boxes at one place that outscore 50 apart, the second one's far below.

    Whoever looks at the best four thousand candidates only finds one box.
    """
    rng = np.random.default_rng(7)
    crowded, apart = 4150, 50
    column, row = np.divmod(np.arange(apart), 8)
    cx = np.concatenate([np.full(crowded, 0.25), 0.5 + (column + 0.5) / 16])
    cy = np.concatenate([np.full(crowded, 0.25), (row + 0.5) / 16])
    size = np.repeat([0.4, 0.05], [crowded, apart])
    scores = np.concatenate([rng.uniform(0.5, 1, crowded), rng.uniform(0.3, 0.45, apart)])
    order = rng.permutation(crowded + apart)
    cx, cy, size, scores = cx[order], cy[order], size[order], scores[order]
    boxes = np.stack([cx - size / 2, cy - size / 2, cx + size / 2, cy + size / 2], axis=1)
    boxes, scores = np.stack([boxes, boxes]), np.stack([scores, scores / 20])

    if kind == "yolo":
        tensors, output = crowd_in_a_grid(rng)
    elif kind == "direct":
        tensors = {"boxes": boxes, "scores": scores, "classes": np.full(scores.shape, 7)}
        output = {f"{name}_tensor": name for name in tensors}
    else:
        first = kind.endswith("first")
        scores = scores[:, np.newaxis] if first else scores[:, :, np.newaxis]
        tensors = {"anchors": boxes, "offsets": np.zeros_like(boxes), "scores": scores}
        output = {f"{name}_tensor": name for name in tensors} | {"background": "none"}

    labels = {"labels": [{"id": 7, "name": "seven"}], "exclusive": False, "roi": "BBOX"}
    detection = {f"{kind.split()[0]}_output": output, "thresholds": [0.6 if show_discarded else 0.2]}
    return Case(
        {"name": "crowd", "outputs": [{"labels": labels}]},
        {"post_processings": [{"detection": detection}]},
        {
            name: tensor.astype(np.int64 if name == "classes" else np.float32)
            for name, tensor in tensors.items()
        },
        {"show_discarded": show_discarded, "max_predictions": 100, "input_size": None, "transforms": None},
    )


def crowd_in_a_grid(rng: np.random.Generator) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return a row of 42 cells: 98 boxes a cell that all cover the image, and 50 small ones."""
    cells = np.full((2, 1, 42, 100, 6), -30.0)
    cells[..., 0], cells[..., 2:4], cells[..., 5] = 0, 0, 0
    scores = rng.uniform(0.5, 1, (42, 100))
    scores[:, :2] = rng.uniform(0.3, 0.45, (42, 2))
    scores[8:, 1] = 1e-9
    heights = np.full((42, 100), 0.5)
    heights[:, :2] = np.stack([(np.arange(42) % 6 + 0.5) / 16, (np.arange(42) % 6 + 8.5) / 16], axis=1)
    cells[:, 0, :, :, 1] = np.log(heights / (1 - heights))
    for image, share in enumerate((1, 1 / 20)):
        cells[image, 0, :, :, 4] = np.log(scores * share / (1 - scores * share))
    small, large = [42 * 0.015, 0.05], [42 * 30.0, 30.0]
    return {"grid": cells}, {"output_tensor": "grid", "anchors": small * 2 + large * 98}
