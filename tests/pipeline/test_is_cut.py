"""`is_cut` of results: true exactly where a larger `max_predictions` would have returned another row."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from postproc import PostProcessor, Recognitions, Yolov8Output
from tests.pipelines import KINDS, post_processor, tensors_of
from tests.random_cases.builder import ALL, random_case

SIDE = 640


def rows_of_images(found: Recognitions) -> list[list[int]]:
    return [np.diff(output.offsets).tolist() for output in found.outputs]


def cuts_of_images(found: Recognitions) -> list[list[bool]]:
    assert all(output.is_cut.dtype == np.bool_ for output in found.outputs)
    return [output.is_cut.tolist() for output in found.outputs]


def more_rows(fewer: Recognitions, more: Recognitions) -> list[list[bool]]:
    """Where the second has another row."""
    return [
        [many > few for few, many in zip(*counts, strict=True)]
        for counts in zip(rows_of_images(fewer), rows_of_images(more), strict=True)
    ]


@pytest.mark.parametrize("nms_method", ["hard", "soft", "weighted"])
@pytest.mark.parametrize("kind", [*ALL, "any"])
def test_is_cut_of_random_cases_is_whether_one_more_prediction_gives_another_row(
    kind: str, nms_method: str
) -> None:
    seen = {True: 0, False: 0}
    for seed in range(12):
        case = random_case(kind, seed, nms_method=nms_method)
        post = PostProcessor(case.spec, case.version)
        options = {name: value for name, value in case.options.items() if name != "max_predictions"}
        found = [post(case.tensors, **options, max_predictions=most) for most in range(7)]
        for fewer, more in pairwise(found):
            cuts = cuts_of_images(fewer)
            assert cuts == more_rows(fewer, more)
            for cut in cuts[0]:
                seen[cut] += 1
        everything = post(case.tensors, **options, max_predictions=10**6)
        assert not any(map(any, cuts_of_images(everything)))
    assert min(seen.values()) > 5


@pytest.mark.parametrize("show_discarded", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_is_cut_of_a_batch_in_threads_is_that_of_one(kind: str, show_discarded: bool) -> None:
    tensors = tensors_of(kind)
    counts = rows_of_images(post_processor(kind)(tensors, show_discarded, 10**6))[0]
    most = sorted(counts)[1]  # cuts those images that have more
    for num_threads in (1, 2):
        found = post_processor(kind, num_threads)(tensors, show_discarded, most)
        assert cuts_of_images(found) == [[count > most for count in counts]]


def table_of(rows: Any, count: int = 8400) -> dict[str, Any]:
    """A YOLOv8 table whose first boxes are the rows: cx, cy, w, h, score."""
    table = np.zeros((1, 5, count), np.float32)
    for index, row in enumerate(rows):
        table[0, :, index] = row
    return {"table": table}


def yolov8(**decision: Any) -> PostProcessor:
    output = Yolov8Output(output_tensor="table")
    return PostProcessor.for_detection(
        ["a"], output, **{"thresholds": 0.25, "input_size": [SIDE, SIDE], **decision}
    )


FIRST = [100, 100, 50, 50, 0.9]
SAME = [101, 100, 50, 50, 0.8]
OUTSIDE = [-300, 100, 50, 50, 0.7]
EMPTY = [300, 300, 0, 50, 0.6]
LOW = [300, 300, 50, 50, 0.1]


@pytest.mark.parametrize("nms_method", ["hard", "weighted"])
@pytest.mark.parametrize("further", [[SAME], [OUTSIDE], [EMPTY], [LOW], [SAME, OUTSIDE, EMPTY, LOW]], ids=str)
def test_what_is_never_a_row_cuts_nothing(further: Any, nms_method: str) -> None:
    (found,) = yolov8(nms_method=nms_method)(table_of([FIRST, *further]), max_predictions=1).outputs
    assert (len(found.scores), found.is_cut.tolist()) == (1, [False])


@pytest.mark.parametrize("nms_method", ["hard", "soft", "weighted"])
def test_a_row_behind_what_is_none_cuts(nms_method: str) -> None:
    rows = [FIRST, SAME, OUTSIDE, EMPTY, [500, 500, 50, 50, 0.3]]
    (found,) = yolov8(nms_method=nms_method)(table_of(rows), max_predictions=1).outputs
    assert (found.scores.tolist(), found.is_cut.tolist()) == ([np.float32(0.9)], [True])


def test_a_discarded_row_cuts_only_where_discarded_ones_are_asked_for() -> None:
    post, tensors = yolov8(), table_of([FIRST, LOW])
    assert cuts_of_images(post(tensors, max_predictions=1)) == [[False]]
    assert cuts_of_images(post(tensors, show_discarded=True, max_predictions=1)) == [[True]]


@pytest.mark.parametrize("has_another", [True, False])
def test_the_search_goes_on_below_what_a_scan_collects(has_another: bool) -> None:
    """More candidates than a scan has room for are at one place, and the further row is the last of all."""
    crowd = np.zeros((1, 5, 40000), np.float32)
    crowd[0, :4] = np.array(FIRST[:4])[:, np.newaxis]
    crowd[0, 4] = np.linspace(0.9, 0.5, 40000)
    if has_another:
        crowd[0, :, -1] = [500, 500, 50, 50, 0.3]
    (found,) = yolov8()({"table": crowd}, max_predictions=1).outputs
    assert (found.scores.tolist(), found.is_cut.tolist()) == ([np.float32(0.9)], [has_another])


def test_images_are_cut_each_by_itself() -> None:
    """An image after one that was cut begins anew, and the row too many is not the next image's."""
    far = [500, 500, 50, 50, 0.3]
    parts = [table_of(rows)["table"] for rows in ([FIRST, far], [], [FIRST], [FIRST, far], [far])]
    post = yolov8()
    (found,) = post({"table": np.concatenate(parts)}, max_predictions=1).outputs
    assert_array_equal(found.is_cut, np.array([True, False, False, True, False]), strict=True)
    assert found.offsets.tolist() == [0, 1, 1, 2, 3, 4]
    assert found.regions.tolist() == [0, 0, 0, 0]


def test_the_row_too_many_takes_no_masks_or_keypoints_with_it() -> None:
    for kind in ("yolov8_pose", "yolov8_obb", "yolov8_seg"):
        post, tensors = post_processor(kind), tensors_of(kind, images=1)
        few, all_of_them = post(tensors, max_predictions=2).outputs[0], post(tensors).outputs[0]
        assert few.to_dicts() == all_of_them.take([0, 1]).to_dicts()
        assert few.is_cut.tolist() == [True]
