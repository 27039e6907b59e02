"""The further kinds of outputs and ways of NMS against the slow reference: index for index."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from postproc import PostProcessor, stages
from tests.postproc.test_pipeline_reference import EXAMPLES, assert_equals_reference
from tests.strategies import FAMILIES, KINDS, Case, cases, near_tie, random_case

METHODS = ("soft", "weighted")
SOFTLESS = ("classification", "yolo", "yolov8_obb")  # without NMS, with a softmax always, or hard only


def check(case: Case, num_threads: int = 1) -> None:
    """Compare a case with the reference; skip it as long as nothing computes it."""
    try:
        PostProcessor(case.spec, case.version)
    except KeyError as error:
        pytest.skip(f"no decoder yet: {error}")
    if (
        "batch_size" in case.options
        and "batch_size" not in inspect.signature(PostProcessor.__call__).parameters
    ):
        pytest.skip("no batch_size yet")
    assert_equals_reference(case, num_threads)


@pytest.mark.parametrize("kind", FAMILIES)
@EXAMPLES
@given(data=st.data())
def test_post_processor_random_family_equals_reference(kind: str, data: st.DataObject) -> None:
    case = data.draw(cases(kind))
    assume(not near_tie(case))
    check(case)


@settings(EXAMPLES, max_examples=60)
@given(case=cases("any"))
def test_post_processor_any_kinds_with_threads_equal_reference(case: Case) -> None:
    assume(not near_tie(case))
    check(case, num_threads=2)


@pytest.mark.parametrize("kind", ["yolov5", "yolov8", "standard", "end_to_end", "ssd"])
@pytest.mark.parametrize("seed", range(4))
def test_post_processor_many_rows_of_a_family_equal_reference(kind: str, seed: int) -> None:
    check(case_without_ties(kind, seed))


@pytest.mark.skipif("nms_method" not in inspect.getsource(stages), reason="no nms_method yet")
@pytest.mark.parametrize("nms_method", METHODS)
@pytest.mark.parametrize("kind", [kind for kind in (*KINDS, *FAMILIES) if kind not in SOFTLESS])
@settings(EXAMPLES, max_examples=80)
@given(data=st.data())
def test_post_processor_nms_method_of_any_kind_equals_reference(
    kind: str, nms_method: str, data: st.DataObject
) -> None:
    case = data.draw(cases(kind, nms_method))
    assume(not near_tie(case))
    check(case)


@pytest.mark.skipif("nms_method" not in inspect.getsource(stages), reason="no nms_method yet")
@pytest.mark.parametrize("nms_method", METHODS)
@pytest.mark.parametrize("kind", ["direct", "yolov8"])
@pytest.mark.parametrize("seed", range(4))
def test_post_processor_nms_method_with_many_rows_equals_reference(
    kind: str, nms_method: str, seed: int
) -> None:
    check(case_without_ties(kind, seed, nms_method))


def case_without_ties(kind: str, seed: int, nms_method: str = "hard") -> Case:
    """Return the first case of 200 rows from a seed on that float32 softmax cannot decide otherwise."""
    made = (random_case(kind, 1000 * seed + attempt, 200, nms_method) for attempt in range(1000))
    return next(case for case in made if not near_tie(case))
