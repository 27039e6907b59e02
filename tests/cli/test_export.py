"""``postproc run --format``: what is written where, and what is refused before any work."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from tests.cli.commands import ANSWER, IMAGE_SIZES, run, save

MODEL = ("model.onnx", *IMAGE_SIZES)


@pytest.mark.usefixtures("folder")
def test_run_writes_the_lines_of_stdout_into_a_file() -> None:
    expected = run(*MODEL)
    result = run(*MODEL, "--output", "found.jsonl")
    assert (result.exit_code, result.stdout) == (0, "")
    assert Path("found.jsonl").read_text() == expected.stdout


@pytest.mark.usefixtures("folder")
def test_run_writes_parquet_with_discarded_ones_if_asked_for() -> None:
    assert run(*MODEL, "--format", "parquet", "--output", "found.parquet", "--show-discarded").exit_code == 0
    frame = pl.read_parquet("found.parquet")
    assert frame["image"].to_list() == ["a.png", "a.png", "b.jpg", "b.jpg", "c.png", "c.png"]
    assert frame["predicted"].to_list() == [True, False] * 3
    assert frame.select("height", "width").row(0) == (30, 40)
    assert frame["right"][0] == pytest.approx(20)


@pytest.mark.usefixtures("folder")
def test_run_writes_coco_with_the_ids_of_a_coco_file() -> None:
    images = [{"id": 5 + row, "file_name": name} for row, name in enumerate(IMAGE_SIZES)]
    Path("truth.json").write_text(json.dumps({"images": images}))
    arguments = ("--format", "coco", "--output", "found.json")
    assert run(*MODEL, *arguments, "--image-ids", "truth.json").exit_code == 0
    found = json.loads(Path("found.json").read_text())
    assert [(item["image_id"], item["category_id"]) for item in found] == [(5, 11), (6, 11), (7, 11)]
    assert found[0]["bbox"] == pytest.approx([4, 6, 16, 12], abs=1e-4)
    Path("model.onnx").write_bytes(b"not looked at")
    result = run(*MODEL, *arguments)
    assert result.exit_code == 1
    assert "image 'a.png': COCO knows images by ids, and this name is no number" in result.stderr


@pytest.mark.usefixtures("folder")
def test_run_writes_a_folder_of_voc_and_of_yolo_and_does_not_write_over_it() -> None:
    assert run(*MODEL, "--format", "voc", "--output", "voc").exit_code == 0
    assert sorted(path.name for path in Path("voc").iterdir()) == ["a.xml", "b.xml", "c.xml"]
    assert run(*MODEL, "--format", "yolo", "--output", "yolo", "--scores").exit_code == 0
    label, *numbers = Path("yolo/labels/a.txt").read_text().split()
    assert (label, list(map(float, numbers))) == ("0", pytest.approx([0.3, 0.4, 0.4, 0.4, 0.9]))
    result = run(*MODEL, "--format", "yolo", "--output", "yolo")
    assert result.exit_code == 1
    assert "expected a new or empty folder" in result.stderr


@pytest.mark.usefixtures("folder")
def test_run_with_an_unreadable_image_writes_the_others_and_exits_1() -> None:
    Path("b.jpg").write_bytes(b"no image")
    result = run(*MODEL, "--format", "voc", "--output", "voc")
    assert result.exit_code == 1
    assert sorted(path.name for path in Path("voc").iterdir()) == ["a.xml", "c.xml"]


@pytest.mark.usefixtures("folder")
def test_run_on_tensors_writes_yolo_which_needs_no_sizes_but_not_voc() -> None:
    save("batch.npz", {name: array[None] for name, array in ANSWER.items()})
    assert run("--tensors", "batch.npz", "--format", "yolo", "--output", "yolo").exit_code == 0
    assert [path.name for path in Path("yolo/labels").iterdir()] == ["batch-0.txt"]
    result = run("--tensors", "batch.npz", "--format", "voc", "--output", "voc")
    assert result.exit_code == 1
    assert "this format is in pixels, and the size of image 'batch.npz#0' is not known" in result.stderr
    assert not Path("voc").exists()


@pytest.mark.usefixtures("folder")
def test_run_coco_of_images_whose_names_are_no_numbers_names_the_option() -> None:
    result = run(*MODEL, "--format", "coco", "--output", "found.json")
    assert result.exit_code == 1
    assert "give image_ids (--image-ids COCO.json" in result.stderr
    assert not Path("found.json").exists()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "coco"), "is not for stdout"),
        (("--format", "yolo", "--output", "o", "--show-discarded"), "yolo has no discarded ones"),
        (("--format", "voc", "--output", "o", "--scores"), "only for --format yolo"),
        (("--output", "o", "--image-ids", "spec.json"), "only for --format coco"),
        (("--output", "o", "--output-index", "0"), "jsonl holds all outputs"),
    ],
    ids=["stdout", "discarded", "scores", "ids", "index"],
)
def test_run_refuses_options_that_a_format_has_no_use_for(arguments: tuple[str, ...], message: str) -> None:
    result = run(*MODEL, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path("o").exists()
