"""The random cases themselves: valid documents, and tensors in which something is found."""

from __future__ import annotations

import numpy as np
import pytest

from postproc.schema import RecognitionSpec, RecognitionVersion, check_pair
from tests import reference
from tests.random_cases.builder import KINDS_AND_METHODS, random_case


@pytest.mark.parametrize(
    ("kind", "nms_method"), [(kind, method) for kind, method in KINDS_AND_METHODS if kind != "several"]
)
def test_random_case_of_each_kind_is_valid_and_finds_something(kind: str, nms_method: str) -> None:
    predicted = discarded = 0
    for seed in range(50):
        case = random_case(kind, seed, nms_method=nms_method)
        spec, version = RecognitionSpec.load(case.spec), RecognitionVersion.load(case.version)
        check_pair(spec, version)
        for images in reference.run(case.spec, case.version, case.tensors, **case.options):
            rows = [row for image in images for row in image]
            assert np.isfinite([row.score for row in rows]).all()
            predicted += sum(row.predicted for row in rows)
            discarded += sum(not row.predicted for row in rows)
        if predicted >= 5 and discarded >= 2:
            return
    pytest.fail(f"in 50 cases {predicted} are predicted and {discarded} discarded")
