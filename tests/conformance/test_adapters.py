"""Where a library is installed, it answers as its results say."""

from __future__ import annotations

import pytest

from tests.conformance import running
from tests.conformance.adapters import LIBRARIES
from tests.conformance.cases import load_cases
from tests.conformance.table import OURS, fresh

CASES = load_cases()
RESULTS = fresh(running.load_results(), CASES)
TIES = {case.id for case in CASES if case.rule == 7}  # their order may be the processor's


@pytest.mark.parametrize("library", [name for name in LIBRARIES if name != OURS])  # test_cases.py asks ours
def test_answers_are_those_that_the_results_have(library: str) -> None:
    committed = RESULTS[library]
    cases = [case for case in CASES if case.id in committed["cases"].keys() - TIES]
    try:
        result = running.run(library, cases)
    except running.MissingLibraryError as error:
        pytest.skip(str(error))
    if result["versions"] != committed["versions"]:
        pytest.skip(f"results are of {committed['versions']}, here is {result['versions']}")
    assert cases
    assert result["cases"] == {case.id: committed["cases"][case.id] for case in cases}
