"""What a hostile document costs: time in proportion to its text, memory within a multiple of it."""

# ruff: noqa: UP031 - JSON is full of the braces that str.format takes for its own
from __future__ import annotations

import contextlib
import gc
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from postproc.errors import SchemaError
from postproc.schema import Preprocessing, RecognitionSpec, RecognitionVersion

# Bytes of memory at most for each of the text, and for a document of no size.
MULTIPLE = 64
BASE = 1_000_000


def listed(item: str, count: int) -> str:
    return ",".join([item] * count)


def spec_with(labels: str) -> str:
    return '{"outputs": [{"labels": {"labels": [%s], "exclusive": true, "roi": "NONE"}}]}' % labels


def version_with(task: str) -> str:
    return '{"post_processings": [{%s}]}' % task


def constant_of(shape: str, data: str) -> str:
    image = '{"tensor_name": "d", "image": {"target_size": "1"}}'
    return '{"inputs": [%s, {"tensor_name": "c", "constant": {"shape": [%s], "data": [%s]}}]}' % (
        image,
        shape,
        data,
    )


def ssd(priors: str) -> str:
    return version_with(
        '"detection": {"ssd_output": {"offsets_tensor": "o", "scores_tensor": "s", "priors": [%s]}}' % priors
    )


def classified(thresholds: str) -> str:
    return version_with('"classification": {"output_tensor": "t", "thresholds": [%s]}' % thresholds)


# Documents whose text grows in proportion to a number.
HOSTILE: dict[str, tuple[type[Any], Callable[[int], str]]] = {
    "labels": (RecognitionSpec, lambda n: spec_with(",".join(f'{{"id":{i},"name":""}}' for i in range(n)))),
    "labels_of_one_id": (RecognitionSpec, lambda n: spec_with(listed('{"id":0,"name":""}', n))),
    "labels_without_fields": (RecognitionSpec, lambda n: spec_with(listed("{}", n))),
    "last_label_wrong": (RecognitionSpec, lambda n: spec_with(listed('{"id":0,"name":""}', n) + ",0")),
    "thresholds": (RecognitionVersion, lambda n: classified(listed("0", n))),
    "thresholds_wrong": (RecognitionVersion, lambda n: classified(listed("2", n))),
    "priors": (RecognitionVersion, lambda n: ssd(listed("[0,0,0,0]", n))),
    "priors_wrong": (RecognitionVersion, lambda n: ssd(listed("[0,0,0]", n))),
    "post_processings_too_many": (
        RecognitionVersion,
        lambda n: '{"post_processings": [%s]}' % listed('{"detection":{}}', n),
    ),
    "unknown_fields": (
        RecognitionVersion,
        lambda n: version_with(",".join(f'"a{i}":0' for i in range(n))),
    ),
    "unknown_fields_kept": (RecognitionVersion, lambda n: "{%s}" % ",".join(f'"a{i}":0' for i in range(n))),
    "lists": (RecognitionVersion, lambda n: '{"a": [%s]}' % listed("[]", n)),
    "objects": (RecognitionVersion, lambda n: '{"a": [%s]}' % listed('{"":0}', n)),
    "not_finite": (RecognitionVersion, lambda n: '{"a": [%s]}' % listed("1e999", n)),
    "keys_repeated": (RecognitionVersion, lambda n: '{"a": [%s]}' % listed('{"":0,"":0}', n)),
    "one_key_repeated": (RecognitionVersion, lambda n: "{%s}" % listed('"a":0', n)),
    "nesting": (RecognitionVersion, lambda n: '{"a": %s}' % ("[" * n)),
    "integer": (RecognitionVersion, lambda n: '{"a": %s}' % ("9" * n)),
    "integers": (RecognitionVersion, lambda n: '{"a": [%s]}' % listed("9" * 641, n // 100)),
    "number": (RecognitionVersion, lambda n: '{"a": 0.%s}' % ("9" * n)),
    "name": (
        RecognitionVersion,
        lambda n: version_with('"classification": {"output_tensor": "%s"}' % ("é" * n)),
    ),
    "field_name": (RecognitionVersion, lambda n: version_with('"%s": 0' % ("a" * n))),
    "constant": (Preprocessing, lambda n: constant_of(str(n), listed("0", n))),
    "references_wrong": (Preprocessing, lambda n: constant_of(str(n), listed('"e.1"', n))),
    "shape": (Preprocessing, lambda n: constant_of(listed("2147483647", n), "")),
}


def load(kind: type[Any], text: str) -> None:
    with contextlib.suppress(SchemaError):
        kind.load(text)


@pytest.mark.parametrize(("kind", "grow"), HOSTILE.values(), ids=HOSTILE)
def test_load_memory_is_within_a_multiple_of_the_text(kind: type[Any], grow: Callable[[int], str]) -> None:
    text = grow(10_000)
    load(kind, grow(10))  # what is made once
    tracemalloc.start()
    load(kind, text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MULTIPLE * len(text) + BASE


@pytest.mark.parametrize(("kind", "grow"), HOSTILE.values(), ids=HOSTILE)
def test_load_time_grows_in_proportion_to_the_text(kind: type[Any], grow: Callable[[int], str]) -> None:
    small, large = grow(1_000), grow(10_000)

    def seconds(text: str) -> float:
        started = time.process_time()
        load(kind, text)
        return time.process_time() - started

    gc.disable()  # its passes over all that the suite holds are no part of the document's cost
    try:
        seconds(small)
        # The best of some: other processes can only add to it.
        for _ in range(4):
            times = min(seconds(small) for _ in range(4)), min(seconds(large) for _ in range(2))
            # Ten times the text; what is quadratic takes a hundred times as long. A fixed cost is allowed.
            if times[1] < 25 * times[0] + 0.002:
                return
    finally:
        gc.enable()
    raise AssertionError(f"ten times the text took {times[1] / times[0]:.0f} times as long")
