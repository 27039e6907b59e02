"""Classes that a network names itself: which label each is of, whatever ids there are."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from postproc import DirectOutput, EndToEndOutput, PostProcessor, TensorError
from postproc.decoding.class_rows import ClassRows
from postproc.kernels.heads.class_numbers import FRACTION, NO_LABEL, label_row
from postproc.schema import DetectionOutput

LOWEST, HIGHEST = -(2**63), 2**63 - 1
IDS = {
    "without gaps": [0, 1, 2, 3],
    "with gaps": [90, 1, 44, 13],
    "below 0": [-3, 7, -1, 0],
    "far apart": [2**40, 5, -(2**40), 6],
    "the ends": [LOWEST, HIGHEST, 0, 1],
    "one": [7],
}
BFLOAT16 = ml_dtypes.bfloat16
APART = {"boxes_tensor": "boxes", "scores_tensor": "scores", "classes_tensor": "classes"}
OUTPUTS = [
    EndToEndOutput(output_tensor="rows", classes="ids"),
    EndToEndOutput(**APART, classes="ids"),
    DirectOutput(**APART),
]


@numba.njit  # type: ignore[untyped-decorator]
def label_rows(count: Any, numbers: Any, column: Any, wide: Any, class_type: Any, known: Any) -> Any:
    rows = np.empty(count, np.int64)
    for index in range(count):
        rows[index] = label_row(index, numbers.reshape(-1), numbers.shape[1], column, wide, class_type, known)
    return rows


def rows_of(ids: list[int], table: NDArray[Any], column: int = 0) -> list[int]:
    if table.dtype != np.float32:  # then it holds nothing else
        table, column = np.ascontiguousarray(table[:, column:]), 0
    rows: list[int] = label_rows(
        len(table), *ClassRows("classes", np.array(ids), "ids").of(table, column)
    ).tolist()
    return rows


@pytest.mark.needs_numba
@pytest.mark.parametrize("ids", IDS.values(), ids=IDS)
def test_integers_are_of_the_label_with_their_id(ids: list[int]) -> None:
    near = {min(max(number + step, LOWEST), HIGHEST) for number in ids for step in (-1, 0, 1)}
    classes = sorted(near | {LOWEST, HIGHEST, 0})
    expected = [ids.index(number) if number in ids else -1 for number in classes]
    assert rows_of(ids, np.array(classes)[:, None]) == expected


@pytest.mark.needs_numba
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ids", IDS.values(), ids=IDS)
def test_whole_floats_are_of_the_label_with_their_id_and_nothing_else_is(ids: list[int], dtype: Any) -> None:
    near = [float(number + step) for number in ids for step in (-1, 0, 0.5, 1)]
    classes = np.array([*near, -(2.0**63), 2.0**63, 1e300, np.nan, np.inf, -np.inf], np.float64)
    with np.errstate(over="ignore"):
        table = np.stack([np.zeros(len(classes)), classes], axis=1).astype(dtype)
    with np.errstate(invalid="ignore"):
        is_fraction = np.isfinite(table[:, 1]) & (table[:, 1] % 1 != 0)
    whole = [int(number) if np.isfinite(number) else None for number in table[:, 1]]
    others = np.where(is_fraction, FRACTION, NO_LABEL).tolist()
    assert rows_of(ids, table, 1) == [
        ids.index(number) if number in ids and other == NO_LABEL else other
        for number, other in zip(whole, others, strict=True)
    ]


@pytest.mark.needs_numba
def test_integers_beyond_every_id_are_of_no_label() -> None:
    table = np.array([[5], [2**63], [2**64 - 3]], np.uint64)
    assert rows_of([5, -3, LOWEST], table) == [0, -1, -1]


@pytest.mark.parametrize(
    ("dtype", "fitting", "lacking"),
    [(np.float16, 2048, 2049), (BFLOAT16, 256, 257), (np.float32, 2**24, 2**24 + 1)],
)
@pytest.mark.parametrize("output", OUTPUTS)
def test_type_without_a_number_for_a_label_is_an_error(
    output: DetectionOutput, dtype: Any, fitting: int, lacking: int
) -> None:
    tensors = {
        "rows": np.array([[[0, 0, 0.5, 0.5, 0.875, fitting]]]).astype(dtype),
        "boxes": np.array([[[0, 0, 0.5, 0.5]]], np.float32),
        "scores": np.array([[0.875]], np.float32),
        "classes": np.array([[fitting]]).astype(dtype),
    }
    post = PostProcessor.for_detection(["cat"], output, label_ids=[fitting], thresholds=0.5)
    assert post(tensors).outputs[0].label_names == ["cat"]
    post = PostProcessor.for_detection(["cat", "dog"], output, label_ids=[fitting, lacking])
    with pytest.raises(TensorError, match=f"label id {lacking} of the spec"):
        post(tensors)


def test_label_beyond_the_type_is_infinity_there_and_of_no_label(caplog: pytest.LogCaptureFixture) -> None:
    tensors = {
        "boxes": np.array([[[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]], np.float32),
        "scores": np.array([[0.875, 0.75]], np.float32),
        "classes": np.array([[np.inf, 3]], np.float16),  # half precision ends at 65504
    }
    output = DirectOutput(**APART)
    post = PostProcessor.for_detection(["cat", "dog"], output, label_ids=[100_000, 3], thresholds=0.5)
    assert post(tensors).outputs[0].label_names == ["dog"]
    assert "holds the label id inf, which the spec does not have" in caplog.text
