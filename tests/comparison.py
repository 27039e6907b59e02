"""How the result of a call is compared with the rows of the slow reference: index for index."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal, assert_array_max_ulp

from postproc import Detections, PostProcessor, Recognitions
from tests import reference
from tests.random_cases.builder import Case
from tests.random_cases.numbers import Json
from tests.reference import Row
from tests.strategies import uses_softmax


def assert_equals_reference(case: Case, num_threads: int = 1) -> None:
    """Call a post-processor with a case, and compare."""
    post = PostProcessor(case.spec, case.version, num_threads=num_threads)
    actual = post(case.tensors, **case.options)
    expected = reference.run(case.spec, case.version, case.tensors, **case.options)
    assert_rows_equal(actual, expected, case.version, case.options)


def assert_rows_equal(
    actual: Recognitions, expected: list[list[list[Row]]], version: Json, options: Json
) -> None:
    """Compare all outputs of a call with the reference's rows of every image of every output."""
    assert len(actual.outputs) == len(expected)
    for declared, output, images in zip(version["post_processings"], actual.outputs, expected, strict=True):
        assert_array_equal(output.offsets, np.cumsum([0, *map(len, images)]), strict=True)
        rows = list(chain.from_iterable(images))
        assert_array_equal(output.labels, np.array([row.label for row in rows], np.int64), strict=True)
        assert_array_equal(output.predicted, np.array([row.predicted for row in rows], bool), strict=True)
        assert_scores_equal(output.scores, rows, uses_softmax(declared))
        assert isinstance(output, Detections) == ("detection" in declared)
        if isinstance(output, Detections):
            assert_array_equal(output.regions, np.array([row.region for row in rows], np.int64), strict=True)
            exact = "direct_output" in declared["detection"] and options.get("transforms") is None
            if declared["detection"].get("nms_method") == "weighted":
                exact &= not uses_softmax(declared)  # whose last bits are weights
            assert_boxes_equal(output.boxes, rows, exact)


def assert_scores_equal(scores: Any, rows: list[Row], softmax: bool) -> None:
    expected = np.array([row.score for row in rows], np.float32)
    if softmax and len(rows):
        assert_array_max_ulp(scores, expected, maxulp=4)
    else:
        assert_array_equal(scores, expected, strict=True)


def assert_boxes_equal(boxes: Any, rows: list[Row], exact: bool) -> None:
    expected = np.array([row.box for row in rows], np.float32).reshape(-1, 4)
    if exact:
        assert_array_equal(boxes, expected, strict=True)
    else:  # an exponential, or the order of the steps of a transform, may differ in its last bit
        assert boxes.dtype == np.float32
        assert_allclose(boxes, expected, rtol=2e-6, atol=1e-6)
