"""The page is what the results and the findings give, and both are about the cases that there are."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from tests.conformance.adapters import LIBRARIES
from tests.conformance.cases import load_cases
from tests.conformance.running import digest, load_results
from tests.conformance.table import (
    DEFINITION,
    FAULT,
    OURS,
    OUTSIDE,
    PAGE,
    Finding,
    deviations,
    fresh,
    load_findings,
    page,
)

CASES = load_cases()
RESULTS = load_results()
FINDINGS = load_findings()
ASKED = fresh(RESULTS, CASES)


def asked(library: str, case: str) -> bool:
    return case in ASKED[library]["cases"]


def test_page_is_what_the_results_give() -> None:
    assert PAGE.read_text("utf-8") == page(RESULTS, FINDINGS, CASES), "run `python -m tests.conformance`"


def test_every_adapter_has_results() -> None:
    assert sorted(RESULTS) == sorted(LIBRARIES)


def test_answer_to_a_case_that_changed_since_does_not_count() -> None:
    case, *others = CASES
    changed = dataclasses.replace(case, tolerance={"absolute": 0.5})
    left = fresh(RESULTS, [changed, *others])
    assert all(case.id not in result["cases"] for result in left.values())
    count = sum(changed.id in result["cases"] for result in RESULTS.values())
    before, after = (page(RESULTS, FINDINGS, cases) for cases in (CASES, [changed, *others]))
    assert count == len(RESULTS)
    assert before != after
    assert "were not put: " in after


def test_this_library_agrees_in_all_cases() -> None:
    outcomes = Counter(answer["outcome"] for answer in ASKED[OURS]["cases"].values())
    assert list(outcomes) == ["agrees"]


def test_each_deviation_has_one_finding() -> None:
    counts = {pair: sum(finding.covers(pair) for finding in FINDINGS) for pair in deviations(ASKED)}
    assert {pair: count for pair, count in counts.items() if count != 1} == {}


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding.title)
def test_finding_is_about_what_deviates(finding: Finding) -> None:
    assert finding.kind in (FAULT, DEFINITION, OUTSIDE)
    open_pairs = {(library, case.id) for library in RESULTS for case in CASES if not asked(library, case.id)}
    covered = [pair for pair in {*deviations(ASKED), *open_pairs} if finding.covers(pair)]
    assert {library for library, _ in covered} == set(finding.libraries)
    assert {case for _, case in covered} == set(finding.cases)


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding.title)
def test_fault_is_shown_by_a_case_of_which_other_answers_are_faults(finding: Finding) -> None:
    (shown,) = (case for case in CASES if case.id == finding.cases[0])
    assert finding.kind != FAULT or not shown.definition


def test_new_deviation_is_shown_as_not_looked_at() -> None:
    case = next(case for case in CASES if case.id == "nms-iou-at-threshold-stays")
    said = "kept: expected [0, 1], got [0] (shapes (2,) and (1,))"
    answer = {"digest": digest(case), "outcome": "deviates", "said": said}
    result = {"library": "new", "versions": {"new": "1"}, "cases": {case.id: answer}}
    shown = page({"new": result}, FINDINGS, [case])
    assert "| new | 1 | 1 | 0 | 0 | 0 | 0 | 1 |" in shown
    assert "## Not looked at yet" in shown
    assert "boxes = [[0., 0., 10., 10.], [0., 0., 10., 5.]]" in shown
    assert "| new |  | kept: `[0]` | 1 |" in shown
