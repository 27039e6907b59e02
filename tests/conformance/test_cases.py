"""The committed cases are those that the scripts make, well formed, and postproc gives each answer."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.conformance.cases import FOLDER, ORACLES, Case, load_cases, load_rules
from tests.conformance.make.all_cases import all_files
from tests.conformance.postproc_answers import OPERATIONS, answer

CASES = load_cases()
FEWEST = 150


def test_committed_files_are_those_that_the_scripts_make() -> None:
    committed = {
        path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()
    }
    made = all_files()

    assert sorted(committed) == sorted(made)
    assert [name for name in made if committed[name] != made[name]] == []


def test_files_are_small() -> None:
    sizes = [path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()]

    assert max(sizes) < 20_000
    assert sum(sizes) < 3_000_000


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case_is_well_formed(case: Case) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", case.id)
    assert case.rule in load_rules()
    assert case.operation in OPERATIONS
    assert case.oracle in ORACLES
    assert case.title.endswith(".")
    assert case.why
    assert case.expected
    assert case.tolerance is None or 0 < case.tolerance["absolute"] < 0.1
    assert case.definition in (True, False)
    assert all(isinstance(array, np.ndarray) and array.nbytes < 20_000 for array in case.inputs.values())
    assert case.document is None or sorted(case.document) == ["spec", "version"]


def test_ids_are_unique_and_names_of_folders() -> None:
    folders = sorted(path.parent.name for path in FOLDER.glob("*/*/case.json"))

    assert folders == sorted({case.id for case in CASES})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_postproc_gives_the_answer(case: Case) -> None:
    given = answer(case)

    assert case.expected.keys() - given.keys() <= {"counts"}  # postproc writes run lengths compressed only
    assert case.differences(given) == []
