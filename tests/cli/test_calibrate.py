"""`postproc calibrate`, on a made-up network's saved tensors and on the demo's pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from postproc.cli.app import app
from tests.evaluation.noisy_boxes import SIDE, boxes_and_truth, spec_of, version_of


def run(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, ["calibrate", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tensors, document = boxes_and_truth(1, images=40)
    count = len(tensors["out"])
    np.savez(
        tmp_path / "tensors.npz",
        out=tensors["out"],
        images=np.array([f"{row}.png" for row in range(count)]),
        sizes=np.full((count, 2), SIDE),
    )
    version = {"task_id": 7, **version_of(thresholds=[0.95] * 3)}
    for name, content in (("spec", spec_of(3)), ("version", version), ("truth", document)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def arguments(folder: Path) -> list[Any]:
    files = [part for name in ("spec", "version", "truth") for part in (f"--{name}", folder / f"{name}.json")]
    return [*files, "--tensors", folder / "tensors.npz", "--output", folder / "new.json"]


def thresholds_of(path: Path) -> list[float]:
    document = json.loads(path.read_text())
    thresholds: list[float] = document["post_processings"][0]["detection"]["thresholds"]
    return thresholds


def test_calibrate_writes_a_version_that_validates_and_shows_what_it_gains(folder: Path) -> None:
    done = run(*arguments(folder))
    assert done.exit_code == 0, done.output
    assert "Cross-validated: 5 folds, 5 times" in done.output
    assert "in sample" in done.output
    new, old = (json.loads((folder / f"{name}.json").read_text()) for name in ("new", "version"))
    task = new["post_processings"][0]["detection"]
    assert task["thresholds"] != old["post_processings"][0]["detection"]["thresholds"]
    task["thresholds"] = [0.95] * 3
    assert new == old
    valid = CliRunner().invoke(
        app, ["validate", str(folder / "new.json"), "--spec", str(folder / "spec.json")]
    )
    assert valid.exit_code == 0


def test_calibrate_prints_json_and_nothing_else_on_stdout(folder: Path) -> None:
    done = run(*arguments(folder), "--json", "--nms-grid", "0.5,0.7", "--min-examples", "1000")
    assert done.exit_code == 0, done.output
    [output] = json.loads(done.stdout)["outputs"]
    assert (output["images"], output["validation"]["folds"]) == (40, 5)
    assert [item["nms_threshold"] for item in output["validation"]["nms_thresholds"]] == [0.3, 0.5, 0.7]
    assert [label["new_threshold"] for label in output["labels"]] == [0.95] * 3
    assert "3 labels keep their thresholds: fewer than 1000 examples" in done.stderr
    assert "may be luck" in " ".join(done.stderr.split())
    assert thresholds_of(folder / "new.json") == [0.95] * 3


def test_calibrate_once_more_from_the_same_images_is_a_loss_that_is_said(folder: Path) -> None:
    assert run(*arguments(folder)).exit_code == 0
    again = [folder / "new.json" if part == folder / "version.json" else part for part in arguments(folder)]
    done = run(*again[:-1], folder / "again.json")
    said = " ".join(done.stderr.split())
    assert "is a loss on images that no threshold was chosen from; keep the old ones" in said
    assert "luck" not in said


def test_calibrate_overwrites_nothing_unasked(folder: Path) -> None:
    (folder / "new.json").write_text("mine")
    done = run(*arguments(folder))
    assert (done.exit_code, (folder / "new.json").read_text()) == (1, "mine")
    assert "is there already" in done.stderr
    assert run(*arguments(folder), "--force").exit_code == 0
    assert len(thresholds_of(folder / "new.json")) == 3
    same = run(*arguments(folder)[:-1], folder / "version.json", "--force")
    assert (same.exit_code, "Invalid value for --output" in same.stderr) == (2, True)
    assert thresholds_of(folder / "version.json") == [0.95] * 3


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        ({"class_agnostic": True}, "boxes of different labels suppress each other"),
        ({"nms_method": "soft"}, "scores decay"),
    ],
    ids=["class_agnostic", "soft"],
)
def test_calibrate_refuses_where_one_pass_is_not_exact(
    folder: Path, decision: dict[str, Any], message: str
) -> None:
    (folder / "version.json").write_text(json.dumps(version_of(**decision)))
    done = run(*arguments(folder))
    assert done.exit_code == 1
    assert message in done.stderr
    assert not (folder / "new.json").exists()


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--precision", "0.9", "--false-positives", "1"], 2, "give one objective"),
        (["--precision", "2"], 1, "expected a number above 0 and at most 1, got 2"),
        (["--nms-grid", "0.3;0.5"], 1, 'expected numbers such as "0.3,0.45,0.6"'),
        (["--truth", "version.json"], 2, "expected one for each output, 1"),
        (["--output-index", "3"], 1, "outputs 0 to 0, got 3"),
        (["--preprocessing", "version.json"], 2, "--preprocessing out"),
    ],
    ids=["two objectives", "precision", "grid", "two truths", "output", "a preprocessing of no network"],
)
def test_calibrate_with_wrong_options_ends_with_a_message(
    folder: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(folder)
    done = run(*arguments(folder), *more)
    assert done.exit_code == code, done.output
    assert message in done.stderr


def test_calibrate_of_two_outputs_takes_a_truth_for_each_or_one_of_them(folder: Path) -> None:
    spec, version = spec_of(3), version_of(thresholds=[0.95] * 3)
    spec["outputs"] *= 2
    version["post_processings"] *= 2
    (folder / "spec.json").write_text(json.dumps(spec))
    (folder / "version.json").write_text(json.dumps(version))
    only = run(*arguments(folder), "--output-index", "1")
    assert only.exit_code == 0, only.output
    tasks = json.loads((folder / "new.json").read_text())["post_processings"]
    assert tasks[0]["detection"]["thresholds"] == [0.95] * 3
    assert tasks[1]["detection"]["thresholds"] != [0.95] * 3
    both = run(*arguments(folder), "--truth", folder / "truth.json", "--force", "--json")
    assert both.exit_code == 0, both.output
    first, second = json.loads(both.stdout)["outputs"]
    assert (first["output"], second["output"]) == (0, 1)
    assert first["labels"] == second["labels"]


def test_calibrate_runs_a_network_on_a_folder_of_images(tmp_path: Path) -> None:
    made = CliRunner().invoke(app, ["demo", "--dataset", str(tmp_path / "set"), "--pages", "4"])
    assert made.exit_code == 0, made.output
    data = tmp_path / "set"
    files = [part for name in ("spec", "version", "truth") for part in (f"--{name}", data / f"{name}.json")]
    done = run(
        *files, "--preprocessing", data / "preprocessing.json", data / "model.onnx", data / "pages",
        "--output", tmp_path / "deep" / "new.json", "--min-examples", "3", "--folds", "2", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    [output] = json.loads(done.stdout)["outputs"]
    assert output["images"] == 4
    right = sum(label["in_sample"]["after"]["right"] for label in output["labels"])
    assert right > 0.8 * sum(label["in_sample"]["after"]["objects"] for label in output["labels"])
    assert len(thresholds_of(tmp_path / "deep" / "new.json")) == 10


def test_calibrate_of_tensors_that_are_not_there_names_them(folder: Path) -> None:
    given = arguments(folder)
    given[given.index("--tensors") + 1] = "file:///nowhere/tensors"
    done = run(*given)
    assert done.exit_code == 1
    assert "file:///nowhere/tensors: cannot be read" in done.stderr
    assert not (folder / "new.json").exists()
