"""The committed cases are those that the scripts make, well formed, and postproc gives each answer."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.conformance.cases import FOLDER, ORACLES, Case, load_cases, load_rules
from tests.conformance.make.all_cases import all_files
from tests.conformance.postproc_answers import OPERATIONS, answer
from tests.documents.pages import blocks, run

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
    assert case.definition == ("thers" in case.why)  # what others choose, where they may
    assert all(isinstance(array, np.ndarray) and array.nbytes < 20_000 for array in case.inputs.values())
    assert case.document is None or sorted(case.document) == ["spec", "version"]


def test_there_are_enough_cases_and_each_rule_has_one() -> None:
    assert len(CASES) >= FEWEST
    assert [*load_rules()] == [*range(1, len(load_rules()) + 1)]
    assert {case.rule for case in CASES} == {*load_rules()}


def test_readme_tells_the_operations_with_their_names() -> None:
    text = (FOLDER.parent / "README.md").read_text("utf-8")
    told = {row.split("`")[1]: row for row in text.splitlines() if row.startswith("| `")}

    for case in CASES:
        parts = (case.inputs, case.parameters, case.expected)
        if case.operation in ("detect", "decode", "classify"):  # tensors have the names that documents say
            parts = parts[1:]
        missing = [name for part in parts for name in part if f"`{name}`" not in told[case.operation]]
        assert missing == [], case.id


def test_code_of_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = FOLDER.parent / "README.md"

    for block in blocks(page):
        run(page, block, {}, capsys)


def test_differences_are_told() -> None:
    case = Case(
        *("made", 1, "A case.", "nms", {}, {}, None),
        {"kept": np.array([1, 0]), "scores": np.array([0.5, 0.25]), "string": "01"},
        *({"absolute": 1e-3}, "by hand", False, "It is."),
    )
    right = {"kept": [1, 0], "scores": [0.5005, 0.25], "string": "01", "more": 7}

    assert case.differences(right) == []
    assert case.differences({"string": "01"}) == []
    for name, wrong in (
        ("kept", [0, 1]),
        ("kept", [1]),
        ("scores", [0.502, 0.25]),
        ("scores", [np.nan, 0.25]),
        ("string", "10"),
    ):
        [told] = case.differences({**right, name: wrong})
        assert told.startswith(f"{name}: expected"), told
    assert case.differences({"more": 7}) == ["expected one of kept, scores, string, got more"]
    [told] = replace(case, tolerance=None).differences(
        {"scores": [0.5, np.nextafter(np.float32(0.25), np.float32(1))]}
    )
    assert told.startswith("scores: expected")


def test_ids_are_unique_and_names_of_folders() -> None:
    folders = sorted(path.parent.name for path in FOLDER.glob("*/*/case.json"))

    assert folders == sorted({case.id for case in CASES})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_postproc_gives_the_answer(case: Case) -> None:
    given = answer(case)

    assert case.expected.keys() - given.keys() <= {"counts"}  # postproc writes run lengths compressed only
    assert case.differences(given) == []
