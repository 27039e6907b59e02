"""``postproc validate``: what it finds wrong, and with which exit code."""

from __future__ import annotations

from pathlib import Path

from tests.cli.commands import DIRECT, invoke, write


def test_validate_of_a_valid_version_says_so(folder: Path) -> None:
    result = invoke("validate", "version.json")
    assert (result.exit_code, result.stdout) == (0, "version.json: valid\n")
    result = invoke("validate", "version.json", "--spec", "spec.json")
    assert (result.exit_code, result.stdout) == (0, "version.json: valid, and fits spec.json\n")


def test_validate_lists_every_problem_of_both_documents_with_its_path(folder: Path) -> None:
    detection = {"direct_output": DIRECT, "nms_threshold": 3, "tresholds": [0.5]}
    write("version.json", {"post_processings": [{"detection": detection}, {}]})
    write("spec.json", {"outputs": []})
    result = invoke("validate", "version.json", "--spec", "spec.json")
    assert result.exit_code == 1
    found = [line.split(" ")[:2] for line in result.stdout.splitlines()]
    assert sorted(found) == [
        ["spec.json:", "outputs:"],
        ["version.json:", "post_processings[0].detection.nms_threshold:"],
        ["version.json:", "post_processings[0].detection.tresholds:"],
        ["version.json:", "post_processings[1]:"],
    ]


def test_validate_of_a_version_that_does_not_fit_its_spec_lists_why(folder: Path) -> None:
    detection = {"direct_output": DIRECT, "thresholds": [0.5]}
    write("version.json", {"spec_id": 8, "post_processings": [{"detection": detection}]})
    result = invoke("validate", "version.json", "--spec", "spec.json")
    assert result.exit_code == 1
    assert "version.json: spec_id: expected 7" in result.stdout
    assert "version.json: post_processings[0].detection.thresholds: expected 2 thresholds" in result.stdout


def test_validate_of_text_that_is_no_json_exits_1(folder: Path) -> None:
    Path("version.json").write_text("{")
    result = invoke("validate", "version.json")
    assert result.exit_code == 1
    assert result.stdout.startswith("version.json is not JSON: ")


def test_validate_of_a_missing_file_is_a_usage_error(folder: Path) -> None:
    result = invoke("validate", "none.json")
    assert result.exit_code == 2
    assert "'none.json' does not exist" in result.stderr
