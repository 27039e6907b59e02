"""How alike oriented boxes are, beside the slow reference; crowds are told by the share that lies in them."""

from __future__ import annotations

from typing import Any

import numpy as np

from postproc.evaluation.groups import Groups, Instances
from postproc.evaluation.similarity import of_rectangles
from tests.reference.rectangles import rectangle_iou, shared_area


def test_oriented_boxes_are_as_alike_as_by_the_reference() -> None:
    rng = np.random.default_rng(0)
    count, objects = 60, 30
    truths = np.column_stack(
        [rng.uniform(20, 80, (objects, 2)), rng.uniform(0, 60, (objects, 2)), rng.normal(0, 2, objects)]
    )
    found = truths[rng.integers(0, objects, count)] + rng.normal(0, 3, (count, 5)) * [1, 1, 1, 1, 0.1]
    found[0, 2], truths[0, 3], found[1] = 0, 0, truths[1]
    found[2, 2] *= -1
    truths[3] = [50, 50, 100, 90, 0.5]
    rows, others = (np.zeros(number, np.int64) for number in (count, objects))
    groups = Groups.of(Instances(rows, rows), Instances(others, others), 1)
    crowd = rng.random(objects) < 0.5
    crowd[3] = True
    narrow: list[Any] = [array.astype(np.float32) for array in (found, truths)]
    a, b = ([tuple(row) for row in array.astype(float).tolist()] for array in narrow)
    for given in (None, crowd):
        pairs = of_rectangles(*narrow, given)(groups, 0.3)
        expected = np.array([[rectangle_iou(one, other) for other in b] for one in a])
        if given is not None:
            shares = [
                [
                    shared_area(one, b[column]) / max(abs(one[2] * one[3]), 1e-9)
                    for column in np.flatnonzero(crowd)
                ]
                for one in a
            ]
            expected[:, crowd] = np.where(expected[:, crowd] > 0, shares, 0)
        dense = np.zeros((count, objects))
        dense[np.repeat(np.arange(count), np.diff(pairs.starts)), pairs.truths] = pairs.values
        np.testing.assert_allclose(dense, np.where(expected >= 0.3, expected, 0), atol=1e-6)
        assert (dense > 0).sum() > 100
    assert dense[:, 3].max() > 0.99
