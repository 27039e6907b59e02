"""Every kind of output is everywhere that kinds are listed: nowhere does one go without its answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import postproc
from postproc.cli.work.warmup import DETECTION_OUTPUTS
from postproc.decoding import decoder_class
from postproc.doctor.cases import all_cases
from postproc.schema import Detection
from tests.kinds import KINDS, kinds_with
from tests.reference.decode import KINDS as REFERENCE

ROOT = Path(__file__).resolve().parents[1]
REGISTERED = list(Detection.alternatives)


def rows_of_page() -> dict[str, str]:
    """Return the page's rows of fields of a detection, by what their first cell says."""
    section = (ROOT / "docs" / "kinds.md").read_text("utf-8").partition("\n## Detection: what")[2]
    return dict(re.findall(r"^\| (`\w[^|]*?) \| (.*) \|$", section, re.MULTILINE))


def named(text: str) -> set[str]:
    """Return the words that a text of the page has as code."""
    return set(re.findall(r"`(\w+)`", text))


def test_kind_has_a_decoder_of_its_own() -> None:
    assert [Detection.kind_of(decoder_class(kind).sample) for kind in REGISTERED] == REGISTERED


def test_kind_is_warmed_up() -> None:
    assert [Detection.kind_of(output) for output in DETECTION_OUTPUTS] == REGISTERED


def test_kind_has_a_case_of_doctor() -> None:
    cases = {next(iter(case.task.get("detection", case.task))) for case in all_cases()}
    assert cases == {*REGISTERED, "classification"}


def test_kind_has_a_slow_reference() -> None:
    assert sorted(REFERENCE) == sorted(REGISTERED)


@pytest.mark.parametrize("name", KINDS)
def test_kind_says_of_its_boxes_what_the_reference_says(name: str) -> None:
    output, expected = KINDS[name].output, REFERENCE[f"{name}_output"]
    assert output.boxes_are_in_pixels == expected.in_pixels
    assert output.boxes_are_normalized == expected.in_cells
    assert output.default_nms_threshold == expected.nms_threshold
    if name in kinds_with("coordinates"):
        normalized = output.model_copy(update={"coordinates": "normalized"})
        assert normalized.boxes_are_in_pixels == expected.turns_in_pixels
        assert normalized.needs_input_size == (expected.turns_in_pixels or expected.crops_in_pixels)


def test_kind_has_random_cases_and_tensors() -> None:
    assert sorted(f"{kind}_output" for kind in KINDS) == sorted(REGISTERED)
    for kind in KINDS:
        assert Detection.kind_of(KINDS[kind].output) == f"{kind}_output"


def test_kind_is_exported() -> None:
    classes = {output.__name__ for output in Detection.alternatives.values()}
    assert classes <= {*postproc.__all__}
    assert classes <= {*postproc.schema.__all__}


def test_page_lists_the_kinds_with_a_mark_for_extensions() -> None:
    descriptions = {kind: Detection.model_fields[kind].description or "" for kind in REGISTERED}
    expected = [f"`{kind}`{' +' * ('An extension' in text)}" for kind, text in descriptions.items()]
    assert [name for name in rows_of_page() if "_output`" in name] == expected


@pytest.mark.parametrize("kind", REGISTERED)
def test_page_names_the_tensors_of_a_kind_and_nothing_that_is_no_field(kind: str) -> None:
    rows = {name.removesuffix(" +").strip("`"): named(text) for name, text in rows_of_page().items()}
    fields = Detection.alternatives[kind].model_fields
    known = {*fields, *Detection.model_fields}
    missing = {name for name, field in fields.items() if field.is_required() or "_tensor" in name}
    assert missing - rows[kind] == set()
    assert {name for name in rows[kind] if "_" in name} <= known


@pytest.mark.parametrize("field", ["confidence", "coordinates"])
def test_page_names_the_kinds_that_have_a_field(field: str) -> None:
    text = rows_of_page()[f"`{field}` +"].partition(": ")[0]
    have = [kind for kind, output in Detection.alternatives.items() if field in output.model_fields]
    listed = re.findall(r"`(\w+_output)`", text)
    if "` to `" in text:
        listed = REGISTERED[REGISTERED.index(listed[0]) : REGISTERED.index(listed[1]) + 1]
    assert listed == have
