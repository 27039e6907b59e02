"""Texts of results: what `json` would write, in little memory and up to a limit."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc.errors import PostprocError
from postproc.results import Classifications, Detections, Recognitions
from postproc.results.labels import LabelTable
from postproc.service.engine import result_text
from postproc.service.engine.result_text import NOT_FINITE, TooLargeError, recognitions_text, tensors_text
from tests.pipelines import KINDS, SIZES, post_processor, tensors_of

MIB = 1 << 20


def plain(tensors: dict[str, NDArray[Any]]) -> str:
    """Write tensors at once."""
    rows = []
    for name, array in tensors.items():
        values = array.astype(object)
        if array.dtype.kind == "f":
            values = np.where(np.isfinite(array), values, None)
        rows.append({"name": name, "shape": list(array.shape), "data": values.tolist()})
    return json.dumps({"tensors": rows}, separators=(",", ":"))


RNG = np.random.default_rng(1)
TENSORS = {
    "small": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "long": RNG.normal(size=10_000).astype(np.float32),
    "rows": RNG.normal(size=(3, 5_000)).astype(np.float32),
    "many": RNG.normal(size=(2, 3_000, 3)),
    "half": RNG.normal(size=(1, 4_097)).astype(np.float16),
    "not finite": np.array([[np.nan, 1], [np.inf, -np.inf]], np.float32),
    "whole": np.array([[-(2**63), 2**63 - 1]]),
    "flags": np.array([True, False]),
    "number": np.array(0.1, np.float32),
    "none": np.empty((0, 4), np.float32),
    "empty rows": np.empty((5_000, 0, 3), np.float32),
    "texts": np.array([["é", 'a"b'], ["", "\0"]], object),
    "deep": np.ones((1,) * 20, np.uint8),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensor_is_written_as_json_writes_it(name: str) -> None:
    tensors = {name: TENSORS[name]}
    text = tensors_text(tensors, MIB)
    assert text == plain(tensors)
    assert text.isascii()


def test_tensors_are_written_one_after_the_other() -> None:
    assert tensors_text(TENSORS, 2 * MIB) == plain(TENSORS)
    assert tensors_text({}, 100) == '{"tensors":[]}'


def test_tensors_of_exactly_the_limit_are_written_and_one_byte_more_is_refused() -> None:
    tensors = {"out": TENSORS["rows"]}
    size = len(tensors_text(tensors, MIB))
    assert len(tensors_text(tensors, size)) == size
    with pytest.raises(TooLargeError, match="hold 15,000 numbers, and a result has at most"):
        tensors_text(tensors, size - 1)


def peak_of(tensors: dict[str, NDArray[Any]], max_bytes: int) -> tuple[int, int]:
    """Return the memory that a text takes while it is made, and its length; 0 where it is refused."""
    tracemalloc.start()
    try:
        length = len(tensors_text(tensors, max_bytes))
    except TooLargeError:
        length = 0
    try:
        return tracemalloc.get_traced_memory()[1], length
    finally:
        tracemalloc.stop()


def test_text_takes_twice_its_size_while_it_is_made() -> None:
    tensors = {"out": RNG.normal(size=(1, 84, 8400)).astype(np.float32)}
    peak, length = peak_of(tensors, 32 * MIB)
    assert length > 13_000_000
    assert peak < 2.3 * length


@pytest.mark.parametrize(
    ("array", "bound"),
    [
        (np.zeros(40 * MIB, np.uint8), 1 * MIB),  # refused before anything is written
        (np.full(500_000, 0.1, np.float32), 5 * MIB),
        (np.empty((10**9, 0), np.float32), 5 * MIB),
        (np.array(["x" * 5 * MIB], object), 1 * MIB),
        (np.array(["x" * 1000] * 10_000, object), 1 * MIB),
    ],
    ids=["numbers", "fractions", "empty lists", "text", "texts"],
)
def test_what_is_refused_takes_little_more_than_the_limit(array: NDArray[Any], bound: int) -> None:
    peak, length = peak_of({"out": array}, 4 * MIB)
    assert length == 0
    assert peak < bound


def detections(count: int, seed: int = 0) -> Detections:
    """Make detections of an image, with fewer regions than rows."""
    rng = np.random.default_rng(seed)
    table = LabelTable(np.array([3, 7]), ("é", "dog"), (0.5, 0.25))
    return Detections(
        scores=np.sort(rng.random(count).astype(np.float32))[::-1],
        labels=rng.integers(0, 2, count),
        predicted=np.arange(count) < count // 3,
        offsets=np.array([0, count]),
        table=table,
        boxes=rng.random((count, 4)).astype(np.float32),
        regions=rng.integers(0, max(count // 2, 1), count),
    )


@pytest.mark.parametrize("count", [0, 1, 100, 1000])
def test_recognitions_are_written_as_json_writes_them(count: int) -> None:
    both = Recognitions((Detections.concatenate([detections(count), detections(5, 1)]),))
    expected = both.to_dicts()
    for image in (0, 1):
        assert recognitions_text(both, image, MIB) == json.dumps(expected[image], separators=(",", ":"))


def test_recognitions_of_several_outputs_are_written_as_json_writes_them() -> None:
    found = detections(300)
    columns = {name: getattr(found, name) for name in ("scores", "labels", "predicted", "offsets", "table")}
    both = Recognitions((Classifications(**columns), found))
    assert recognitions_text(both, 0, MIB) == json.dumps(both.to_dicts()[0], separators=(",", ":"))


@pytest.mark.parametrize("kind", KINDS)
def test_recognitions_of_every_kind_are_written_as_json_writes_them(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_text, "_ROWS", 7)
    monkeypatch.setattr(result_text, "_ROWS_OF_MASKS", 3)
    found = post_processor(kind)(
        tensors_of(kind), show_discarded=True, **({"input_size": SIZES[kind]} if kind in SIZES else {})
    )
    for image, expected in enumerate(found.to_dicts()):
        assert recognitions_text(found, image, 8 * MIB) == json.dumps(expected, separators=(",", ":"))


def test_recognitions_beyond_the_limit_are_refused_in_little_memory() -> None:
    found = Recognitions((detections(50_000),))
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError, match="holds 50,000 predictions, and has at most 1,048,576 bytes"):
            recognitions_text(found, 0, MIB)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


def test_recognitions_that_are_not_finite_are_an_error() -> None:
    found = detections(3)
    found.scores[1] = np.nan
    with pytest.raises(PostprocError, match=NOT_FINITE):
        recognitions_text(Recognitions((found,)), 0, MIB)
