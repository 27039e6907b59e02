"""DOTA's text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from postproc.errors import SchemaError
from postproc.evaluation import calibrate, evaluate
from postproc.evaluation.ground_truth import GroundTruth
from tests.evaluation.truth_formats.scenes import NAMES, SIZES, check_equal, coco, of_image, write_images


def write(folder: Path, end: str = " 0") -> Path:
    (folder / "labelTxt").mkdir()
    for name in SIZES:
        lines = ["imagesource:GoogleEarth", "gsd:0.146343590398"]
        for label, (x, y, w, h) in of_image(name):
            numbers = [x, y, x + w, y, x + w, y + h, x, y + h]
            lines.append(f"{' '.join(map(str, numbers))} {NAMES[label]}{end}")
        (folder / "labelTxt" / f"{Path(name).stem}.txt").write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize("end", ["", " 0"])
def test_objects_are_those_of_coco(tmp_path: Path, end: str) -> None:
    write_images(tmp_path / "images")
    truth = GroundTruth.load(write(tmp_path, end))
    check_equal(truth, coco(), atol=1e-12)
    assert truth.shapes.counts() == {"oriented boxes": 3}
    assert truth.notes == ()


def test_rectangles_of_corners_turned_and_bent(tmp_path: Path) -> None:
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
    corners = np.array([[-10, -4], [10, -4], [10, 4], [-10, 4]]) @ turn + 50
    bent = corners + np.array([[8, 0], [0, 0], [0, 0], [0, 0]])
    path = tmp_path / "P1.txt"
    path.write_text(
        "\n".join(" ".join(map(str, item.ravel())) + " small vehicle 1" for item in (corners, bent))
    )
    truth = GroundTruth.load(path)
    x, y, width, height, angle = truth.shapes.rectangles[0]
    assert sorted([width, height]) == pytest.approx([8, 20])
    assert (x, y) == pytest.approx((50, 50))
    long = angle if width > height else angle + np.pi / 2
    assert np.tan(long) == pytest.approx(0.75)
    assert truth.ignored.all()
    assert [label.name for label in truth.table.labels] == ["small vehicle"]
    assert "1 of 2 objects are no rectangles" in " ".join(truth.notes)


@pytest.mark.parametrize("line", ["1 2 3 4 5 6 7 plane 0", "1 2 3 4 5 6 7 nan plane 0", "1 2 3 4 5 6 7 8"])
def test_broken_lines_are_named(tmp_path: Path, line: str) -> None:
    path = write(tmp_path) / "labelTxt" / "a.txt"
    path.write_text(f"{path.read_text()}\n{line}\n")
    with pytest.raises(SchemaError, match=r"labelTxt/a.txt: line 4: expected x and y of four corners, a cat"):
        GroundTruth.load(tmp_path)


def test_images_that_lie_elsewhere_are_asked_for_and_taken(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    folder = write(tmp_path / "set")
    write_images(tmp_path / "pictures")
    results = [{"image_id": "a", "category_id": 0, "bbox": [1, 2, 3, 4], "score": 0.5}]
    spec = {"labels": [{"id": row, "name": name} for row, name in enumerate(NAMES)], "roi": "BBOX"}
    options: Any = {"spec": {"outputs": [{"labels": {**spec, "exclusive": False}}]}}
    for measure in (evaluate, calibrate):
        with pytest.raises(SchemaError, match=r"labelTxt/a.txt: width and height of its image .* \(images="):
            measure(results, folder, **options)
        measure(results, folder, images=tmp_path / "pictures", format="dota", **options)
