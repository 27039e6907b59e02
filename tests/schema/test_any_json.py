"""Any JSON at all: what `target.check` asserts, of documents drawn and of valid ones that are mutated."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postproc.schema import Detection, Preprocessing, RecognitionSpec, RecognitionVersion
from tests.fuzz_documents.mutation import as_bytes, mutated
from tests.fuzz_documents.random_run import check_one, mutated_input, seed_inputs
from tests.fuzz_documents.target import KINDS, check, check_bytes
from tests.schema.test_round_trip import pairs, preprocessings

numbers = st.integers() | st.floats() | st.sampled_from([10**400, -(10**640), 10**4000, 2**63, 1e308])
texts = st.text(st.characters(exclude_categories=())) | st.sampled_from(["data.0", "1x1", "m.npy", "NONE"])
fields = sorted(
    {name for kind in (*KINDS, Detection) for name in kind.model_fields} | {"labels", "detection", "image"}
)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(fields) | texts, inner, max_size=4)
    ),
    max_leaves=20,
)
json_objects = st.dictionaries(st.sampled_from(fields) | texts, json_values, max_size=6)
kinds = st.sampled_from(KINDS)


@given(kinds, json_objects)
@example(RecognitionVersion, {"\ud800": 1})
@example(RecognitionVersion, {"post_processings": [{"\ud800": 1}]})
@example(RecognitionSpec, {"metadata": {"a": -(10**640)}})
def test_any_json_object_is_accepted_as_it_is_or_a_schema_error(kind: type[Any], value: Any) -> None:
    check(kind, value)


@pytest.mark.parametrize("place", [{"id": 10**5000}, {"a": [10**5000]}], ids=["id", "unknown"])
def test_integer_that_python_does_not_write_is_a_schema_error(place: dict[str, Any]) -> None:
    assert not check(RecognitionVersion, place)


@given(kinds, st.binary(max_size=200) | st.text(max_size=50).map(str.encode))
@example(RecognitionVersion, b"\xff\xfe{\0}\0")
@example(RecognitionVersion, b"\xef\xbb\xbf{}")
@example(RecognitionVersion, b"\xed\xa0\x80")
@example(RecognitionVersion, b'{"id": 1e5}')
def test_any_bytes_are_accepted_or_a_schema_error(kind: type[Any], data: bytes) -> None:
    check(kind, data)


@given(pairs(), st.integers(0, 2**32))
def test_mutated_pair_is_accepted_as_it_is_or_a_schema_error(pair: tuple[Any, Any], seed: int) -> None:
    rng = random.Random(seed)
    for kind, document in zip((RecognitionSpec, RecognitionVersion), pair, strict=True):
        changed = mutated(document, rng)
        if isinstance(changed, dict):
            check(kind, changed)


@given(preprocessings(), st.integers(0, 2**32))
def test_mutated_preprocessing_is_accepted_as_it_is_or_a_schema_error(document: Any, seed: int) -> None:
    changed = mutated(document, random.Random(seed))
    if isinstance(changed, dict):
        check(Preprocessing, changed)


@given(pairs(), st.integers(0, 2**32))
def test_valid_version_in_any_encoding_is_accepted(pair: tuple[Any, Any], seed: int) -> None:
    text = json.dumps(pair[1], ensure_ascii=False)
    assert check(RecognitionVersion, text)
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "utf-32-le"):
        assert check(RecognitionVersion, text.encode(encoding))
    check(RecognitionVersion, as_bytes(text, random.Random(seed)))


def test_fuzzing_at_random_reaches_documents_that_are_accepted_and_ones_that_are_not() -> None:
    accepted = [check_one(seed) for seed in range(1_500)]
    assert 100 < sum(accepted) < 1_400


def test_fuzzing_by_coverage_starts_from_accepted_inputs_and_keeps_their_form() -> None:
    rng = random.Random(0)
    for data in seed_inputs():
        assert check_bytes(data)
        changed = mutated_input(data, rng)
        assert changed[:1] == data[:1]
        check_bytes(changed)


@pytest.mark.parametrize("data", [b"", b"\0", b"\x08", b"\x04{}\x01\x86", b"\x07[]", b"\x06\xff"])
def test_fuzzing_target_takes_any_bytes(data: bytes) -> None:
    assert not check_bytes(data)
