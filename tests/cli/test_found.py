"""A newcomer's path: what ultralytics' ``save_json`` writes is evaluated and calibrated in two commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.cli.commands import invoke
from tests.evaluation.found_formats.test_coco_results import by_pycocotools, made_up
from tests.evaluation.noisy_boxes import version_of


def said(result: Result) -> str:
    return " ".join(result.stderr.split())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make predictions.json as ultralytics' `pred_to_json` does, and the ground truth of its images."""
    document, results = made_up(images=60)
    for row, category in enumerate(document["categories"], start=1):
        for item in (*document["annotations"], *results):
            if item["category_id"] == category["id"]:
                item["category_id"] = row
        category["id"] = row
    for image in document["images"]:
        image["file_name"] = f"street-{image['id']}.jpg"
    predictions = [
        {
            "image_id": f"street-{item['image_id']}",
            "file_name": f"street-{item['image_id']}.jpg",
            "category_id": item["category_id"],
            "bbox": item["bbox"],
            "score": round(item["score"], 5),
        }
        for item in results
    ]
    (tmp_path / "instances.json").write_text(json.dumps(document))
    (tmp_path / "predictions.json").write_text(json.dumps(predictions))
    return tmp_path


def given(folder: Path) -> tuple[str, ...]:
    return (f"--detections={folder / 'predictions.json'}", f"--truth={folder / 'instances.json'}")


def documents(folder: Path, thresholds: list[float]) -> tuple[str, ...]:
    labels = [
        {"id": item["id"], "name": item["name"]}
        for item in json.loads((folder / "instances.json").read_text())["categories"]
    ]
    spec = {"outputs": [{"labels": {"labels": labels, "exclusive": False, "roi": "BBOX"}}]}
    (folder / "spec.json").write_text(json.dumps(spec))
    (folder / "version.json").write_text(json.dumps({**version_of(thresholds=thresholds), "task_id": 7}))
    return (f"--spec={folder / 'spec.json'}", f"--version={folder / 'version.json'}")


def test_newcomer_evaluates_and_calibrates_in_two_commands(folder: Path) -> None:
    numbers, report = folder / "numbers.json", folder / "report.html"
    result = invoke("evaluate", *given(folder), "--json", numbers, "--report", report)
    assert result.exit_code == 0, result.output
    truth = json.loads((folder / "instances.json").read_text())
    ids = {image["file_name"]: image["id"] for image in truth["images"]}
    predictions: list[dict[str, Any]] = json.loads((folder / "predictions.json").read_text())
    by_id = [{**item, "image_id": ids[item["file_name"]]} for item in predictions]
    expected = by_pycocotools(truth, by_id).stats.tolist()
    assert list(json.loads(numbers.read_text())["coco"].values()) == expected
    assert f"{expected[0]:.3f}" in result.stdout
    assert "precision, recall and F1 are of every detection of" in said(result)
    page = report.read_text()
    assert "predictions.json on instances.json" in page
    assert "60 images, every detection counted" in result.stdout
    assert "threshold" not in result.stdout  # there is no version, so that there are none
    assert not any(text in page for text in ("the version's own", "<th>threshold</th>", "threshold 0"))
    assert all(label["threshold"] is None for label in json.loads(numbers.read_text())["labels"])

    result = invoke("calibrate", *given(folder), "--output", folder / "thresholds.json")
    assert result.exit_code == 0, result.output
    written = json.loads((folder / "thresholds.json").read_text())
    assert [item["name"] for item in written["thresholds"]] == [item["name"] for item in truth["categories"]]
    assert all(0 < item["threshold"] < 1 for item in written["thresholds"])
    assert "A detection counts that scores above the threshold of its label" in said(result)


def test_calibrate_of_a_file_writes_a_version_only_if_better_as_asked(folder: Path) -> None:
    better, again = folder / "better.json", folder / "again.json"
    bad = documents(folder, [0.97, 0.97, 0.97, 0.001])
    result = invoke("calibrate", *given(folder), *bad, "--output", better, "--only-if-better")
    assert result.exit_code == 0, result.output
    version = json.loads(better.read_text())
    assert version["task_id"] == 7
    thresholds = version["post_processings"][0]["detection"]["thresholds"]
    good = documents(folder, thresholds)
    result = invoke("calibrate", *given(folder), *good, "--output", again, "--only-if-better")
    assert result.exit_code == 3
    assert not again.exists()
    assert (
        "nothing is written, since the new thresholds are not shown to be better: F1, mean of labels"
        in said(result)
    )
    assert invoke("calibrate", *given(folder), *good, "--output", again).exit_code == 0
    evaluated = invoke("evaluate", *given(folder), *good, "--json", folder / "numbers.json")
    assert evaluated.exit_code == 0, evaluated.output
    labels = json.loads((folder / "numbers.json").read_text())["labels"]
    assert [label["threshold"] for label in labels] == thresholds


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("evaluate", ("--tensors=t",), "give one of the two"),
        ("evaluate", ("instances.json", "."), "runs no network"),
        ("evaluate", ("--version=instances.json",), "give it too"),
        ("evaluate", ("--ray=local",), "detections are there already"),
        ("calibrate", ("--nms-grid=0.5",), "nms_grid: what NMS left is in the detections"),
        ("calibrate", ("--only-if-better",), "give --version too"),
        ("calibrate", ("--lowest=nan",), "lowest"),
    ],
)
def test_options_that_do_not_go_with_detections_are_refused(
    folder: Path, command: str, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    output = ("--output=new.json",) if command == "calibrate" else ()
    result = invoke(command, *given(folder), *arguments, *output)
    assert result.exit_code in (1, 2)
    assert message in said(result)
    assert not (folder / "new.json").exists()


@pytest.mark.parametrize("command", ["evaluate", "calibrate"])
def test_truth_given_as_detections_is_named(folder: Path, command: str) -> None:
    output = (f"--output={folder / 'new.json'}",) if command == "calibrate" else ()
    path = folder / "instances.json"
    result = invoke(command, f"--detections={path}", f"--truth={path}", *output)
    assert result.exit_code == 1
    assert "are --detections and --truth swapped?" in said(result)
