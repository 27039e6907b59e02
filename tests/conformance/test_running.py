"""What a library answers, refuses, raises or dies of is the outcome of a case, and of no other."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conformance import adapters, running
from tests.conformance.__main__ import main
from tests.conformance.cases import load_cases

CASES = {case.id: case for case in load_cases()}


def test_each_end_of_a_case_is_its_outcome_and_the_rest_is_asked() -> None:
    names = [
        "nms-iou-above-threshold-goes",
        "nms-empty",
        "nms-iou-at-threshold-stays",
        "nms-score-nan",
        "nms-ties-equal-scores",
    ]
    result = running.run("_broken", [CASES[name] for name in names])
    outcomes = {name: answer["outcome"] for name, answer in result["cases"].items()}
    said = {name: answer.get("said", "") for name, answer in result["cases"].items()}
    assert list(outcomes) == names
    assert outcomes[names[0]] == "agrees"
    assert outcomes["nms-empty"] == ("crashes" if sys.platform != "win32" else "raises")
    assert said["nms-empty"] == "SIGKILL"
    assert outcomes["nms-iou-at-threshold-stays"] == "deviates"
    assert said["nms-iou-at-threshold-stays"].startswith("kept: expected [0, 1], got [0]")
    assert said["nms-score-nan"] == "ValueError: a score is not a number"
    assert outcomes["nms-ties-equal-scores"] == "not offered"
    assert result["versions"] == {"numpy": np.__version__}


def test_operation_that_a_library_lacks_is_not_offered() -> None:
    adapter = adapters.load("_broken")
    case = next(case for case in CASES.values() if not hasattr(adapter, case.operation))
    assert running.ask(adapter, case) == {"outcome": "not offered"}


def test_parameter_that_an_adapter_does_not_take_is_not_offered() -> None:
    case = CASES["nms-iou-above-threshold-goes"]
    more = dataclasses.replace(case, parameters={**case.parameters, "limit": 3})
    adapter = adapters.load("_broken")
    assert running.ask(adapter, case) == {"outcome": "agrees"}
    assert running.ask(adapter, more) == {"outcome": "not offered"}


def test_hang_is_the_outcome_of_the_case_that_it_was_at(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [CASES["nms-iou-above-threshold-goes"], CASES["nms-empty"], CASES["nms-score-nan"]]
    answered = {"outcome": "agrees"}
    ends = iter(
        [
            (
                [{"versions": {}}, {"id": cases[0].id, **answered}],
                {"outcome": "hangs", "said": "no answer in 1 s"},
            ),
            (
                [{"versions": {}}, {"id": cases[2].id, **answered}],
                {"outcome": "crashes", "said": "exit code 0"},
            ),
        ]
    )
    monkeypatch.setattr(running, "_in_a_process", lambda *_: next(ends))
    result = running.run("_broken", cases)
    assert [answer["outcome"] for answer in result["cases"].values()] == ["agrees", "hangs", "agrees"]


def test_library_that_takes_too_long_to_begin_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "SECONDS", 0.0)
    with pytest.raises(RuntimeError, match=r"_broken: .* before the first case \(no answer in 0 s\)"):
        running.run("_broken", [CASES["nms-empty"]])


def test_library_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(running, "_in_a_process", lambda *_: ([{"missing": "No module named 'sahi'"}], {}))
    monkeypatch.setattr("tests.conformance.__main__.PAGE", tmp_path / "page.md")
    assert main(["sahi"]) == 1
    assert capsys.readouterr().err.startswith("sahi: No module named 'sahi'")


def test_library_without_an_adapter_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert "no adapter for nothing; there are ensemble-boxes" in capsys.readouterr().err


def test_digest_changes_with_what_is_asked_and_expected() -> None:
    case = CASES["nms-empty"]
    more = {"more": np.zeros(1)}
    others = [
        dataclasses.replace(case, inputs=case.inputs | more),
        dataclasses.replace(case, expected=case.expected | more),
        dataclasses.replace(case, parameters={"iou_threshold": 0.25}),
        dataclasses.replace(case, tolerance={"absolute": 0.25}),
        dataclasses.replace(case, operation="soft_nms"),
    ]
    assert len({running.digest(one) for one in [case, *others]}) == 6
    assert running.digest(dataclasses.replace(case, title="Another.", why="More.")) == running.digest(case)
