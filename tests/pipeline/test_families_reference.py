"""The further kinds of outputs and ways of NMS against the slow reference: index for index."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.comparison import assert_equals_reference
from tests.kinds import FURTHER, KINDS
from tests.shares import examples
from tests.strategies import Case, cases, near_tie, random_case

METHODS = ("soft", "weighted")
# Of the same random cases tests/decoding looks at more, and at more of them.
COMPARED_ELSEWHERE = ("distance", "end_to_end", "yolov8_obb", "yolov8_pose", "yolov8_seg")


@pytest.mark.parametrize("kind", [kind for kind in FURTHER if kind not in COMPARED_ELSEWHERE])
@examples(60)
@given(data=st.data())
def test_post_processor_random_family_equals_reference(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    assume(not near_tie(case))
    assert_equals_reference(case)


@examples(60)
@given(case=cases("any"))
def test_post_processor_any_kinds_with_threads_equal_reference(case: Case) -> None:
    assume(not near_tie(case))
    assert_equals_reference(case, 2)


@pytest.mark.parametrize("kind", ["yolov5", "yolov8", "standard", "end_to_end", "ssd"])
@pytest.mark.parametrize("seed", range(4))
def test_post_processor_many_rows_of_a_family_equal_reference(kind: str, seed: int) -> None:
    assert_equals_reference(case_without_ties(kind, seed))


@pytest.mark.parametrize("nms_method", METHODS)
@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.takes_soft_nms])
@examples(25)  # of hundreds of candidates the plain steps take a second each
@given(data=st.data())
def test_post_processor_nms_method_of_any_kind_equals_reference(
    kind: str, nms_method: str, data: st.DataObject
) -> None:
    case = data.draw(cases(kind, nms_method))
    assume(not near_tie(case))
    assert_equals_reference(case)


@pytest.mark.parametrize("nms_method", METHODS)
@pytest.mark.parametrize("kind", ["direct", "yolov8"])
@pytest.mark.parametrize("seed", range(4))
def test_post_processor_nms_method_with_many_rows_equals_reference(
    kind: str, nms_method: str, seed: int
) -> None:
    assert_equals_reference(case_without_ties(kind, seed, nms_method))


def case_without_ties(kind: str, seed: int, nms_method: str = "hard") -> Case:
    """Return the first case of 200 rows from a seed on that float32 softmax cannot decide otherwise."""
    made = (random_case(kind, 1000 * seed + attempt, 200, nms_method) for attempt in range(1000))
    return next(case for case in made if not near_tie(case))
