"""YOLO's data sets: where their files lie, and what lines hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from postproc.errors import SchemaError
from postproc.evaluation.ground_truth import GroundTruth
from tests.evaluation.truth_formats.scenes import NAMES, SIZES, check_equal, coco, of_image, write_images

YAML = "path: .\nval: images/val\nnames: {0: cat, 1: dog}\n"


def fractions(name: str, points: list[float]) -> list[float]:
    height, width = SIZES[name]
    return [value / (height if row % 2 else width) for row, value in enumerate(points)]


def box_line(name: str, label: int, box: list[float]) -> str:
    x, y, width, height = box
    numbers = fractions(name, [x + width / 2, y + height / 2, width, height])
    return " ".join(map(str, [label, *numbers]))


def corner_line(name: str, label: int, box: list[float]) -> str:
    return " ".join(map(str, [label, *fractions(name, corners(box))]))


def corners(box: list[float]) -> list[float]:
    x, y, width, height = box
    return [x + width, y + height, x + width, y, x, y, x, y + height]


def write(
    folder: Path, line: object = box_line, yaml: str = YAML, end: str = "", newline: str = "\n"
) -> Path:
    """Write the scene as ultralytics' data sets lie; ``c.jpg`` has no label file."""
    write_images(folder / "images" / "val")
    (folder / "labels" / "val").mkdir(parents=True)
    (folder / "data.yaml").write_text(yaml)
    for name in ("a.jpg", "b.png"):
        text = "".join(line(name, *item) + end + newline for item in of_image(name))  # type: ignore[operator]
        path = folder / "labels" / "val" / f"{Path(name).stem}.txt"
        path.write_bytes(text.encode())
    return folder


@pytest.mark.parametrize("end", ["", " 0.75"], ids=["labels", "scores"])
def test_boxes_are_those_of_coco(tmp_path: Path, end: str) -> None:
    write(tmp_path, end=end)
    for source in (tmp_path, tmp_path / "data.yaml"):
        truth = GroundTruth.load(source)
        check_equal(truth, coco(), atol=1e-12)
        notes = " ".join(truth.notes)
        assert ("scores" in notes) == bool(end)
        assert "1 image without a label file" in notes
        assert "those of val in data.yaml" in notes


def test_windows_line_ends_byte_order_marks_and_upper_case_endings_are_taken(tmp_path: Path) -> None:
    write(tmp_path, newline="\r\n")
    for folder, name in (("labels", "a.txt"), ("images", "a.jpg")):
        path = tmp_path / folder / "val" / name
        path.rename(path.with_suffix(".JPG" if folder == "images" else ".txt"))
    label = tmp_path / "labels" / "val" / "a.txt"
    label.write_bytes(b"\xef\xbb\xbf" + label.read_bytes())
    check_equal(GroundTruth.load(tmp_path), coco(), atol=1e-12)


def test_corners_are_oriented_boxes(tmp_path: Path) -> None:
    truth = GroundTruth.load(write(tmp_path, corner_line))
    check_equal(truth, coco(), atol=1e-9)
    assert truth.shapes.counts() == {"oriented boxes": 3}
    np.testing.assert_allclose(truth.shapes.rectangles[0], [16, 12, 32, 12, 0], atol=1e-9)
    assert "corners of oriented boxes" in " ".join(truth.notes)


def test_outlines_are_masks(tmp_path: Path) -> None:
    def line(name: str, label: int, box: list[float]) -> str:
        return corner_line(name, label, box) + (" " + corner_line(name, label, box).split()[1] + " 0.5")

    write(tmp_path, line)
    truth = GroundTruth.load(tmp_path)
    assert truth.shapes.counts() == {"masks": 3}
    assert [len(mask[0]) for mask in truth.shapes.masks] == [10, 10, 10]
    triangle = tmp_path / "labels" / "val" / "c.txt"
    triangle.write_text("1 0 0 0.5 0 0 0.5\n")
    truth = GroundTruth.load(tmp_path)
    assert truth.areas[-1] == 50
    assert truth.shapes.masks[-1] == [[0, 0, 10, 0, 0, 10]]


@pytest.mark.parametrize("numbers", [2, 3])
def test_poses_take_the_points_that_kpt_shape_tells_of(tmp_path: Path, numbers: int) -> None:
    def line(name: str, label: int, box: list[float]) -> str:
        points = fractions(name, [*box[:2], 0, 0])
        seen = [[*points[:2], 2][:numbers], [0, 0, 0][:numbers]]
        return " ".join(map(str, [box_line(name, label, box), *seen[0], *seen[1]]))

    write(tmp_path, line, f"{YAML}kpt_shape: [2, {numbers}]\n")
    keypoints = [[8, 4, 2, 0, 0, 0], [0, 6, 2, 0, 0, 0], [40, 0, 2, 0, 0, 0]]
    check_equal(GroundTruth.load(tmp_path), coco(keypoints=keypoints), atol=1e-9)
    (tmp_path / "data.yaml").write_text(YAML)
    if numbers == 3:
        with pytest.raises(SchemaError, match=r"as of poses, and kpt_shape is not said"):
            GroundTruth.load(tmp_path)


def test_a_folder_with_classes_txt_and_images_beside_the_labels_is_read(tmp_path: Path) -> None:
    write(tmp_path / "made")
    flat = tmp_path / "flat"
    write_images(flat)
    for path in (tmp_path / "made" / "labels" / "val").iterdir():
        shutil.copy(path, flat)
    (flat / "c.txt").write_text("")
    with pytest.raises(SchemaError, match=r"expected data\.yaml, classes\.txt or obj\.names"):
        GroundTruth.load(flat)
    (flat / "classes.txt").write_text("cat\ndog\n")
    check_equal(GroundTruth.load(flat), coco(), atol=1e-12)


def test_splits_and_where_they_lie(tmp_path: Path) -> None:
    """Roboflow's paths, lists of images, and a split that is asked for."""
    write(tmp_path)
    yaml = "train: images/none\nval: ../images/val\ntest: list.txt\nnames: [cat, dog]\n"
    (tmp_path / "data.yaml").write_text(yaml)
    (tmp_path / "list.txt").write_text("./images/val/b.png\n\n")
    check_equal(GroundTruth.load(tmp_path), coco(), atol=1e-12)
    assert GroundTruth.load(tmp_path, split="test").names == ("images/val/b.png",)
    with pytest.raises(SchemaError, match=r"train: expected a folder of images.*found nothing at"):
        GroundTruth.load(tmp_path, split="train")
    with pytest.raises(SchemaError, match=r"expected a split 'dev', found val, test, train"):
        GroundTruth.load(tmp_path, split="dev")


def test_images_elsewhere_are_found_in_the_folder_that_is_told(tmp_path: Path) -> None:
    folder = write(tmp_path / "set")
    (folder / "images").rename(tmp_path / "pictures")
    (folder / "labels" / "val" / "c.txt").write_text("")
    with pytest.raises(SchemaError, match=r"labels/val/a.txt: its numbers are fractions of the image, whose"):
        GroundTruth.load(folder)
    check_equal(GroundTruth.load(folder, images=tmp_path / "pictures"), coco(), atol=1e-12)


def test_links_are_followed_and_no_folder_twice(tmp_path: Path) -> None:
    folder = write(tmp_path / "set")
    (folder / "images").rename(tmp_path / "pictures")
    (folder / "images").symlink_to(tmp_path / "pictures")
    (folder / "images" / "val" / "again").symlink_to(tmp_path / "pictures")
    check_equal(GroundTruth.load(folder), coco(), atol=1e-12)


def test_classes_are_told_by_name_and_by_row_only_where_no_name_fits(tmp_path: Path) -> None:
    write(tmp_path)

    def load(*labels: tuple[int, str]) -> list[int]:
        items = [{"id": key, "name": name} for key, name in labels]
        spec = {"outputs": [{"labels": {"labels": items, "exclusive": False, "roi": "BBOX"}}]}
        return GroundTruth.load(tmp_path, spec).labels.tolist()

    assert load((0, "dog"), (1, "cat")) == [1, 0, 1]
    assert load((1, "Hund"), (0, "Katze")) == [1, 0, 1]
    with pytest.raises(SchemaError, match="by names: 1 'dog'"):
        load((0, "cat"), (1, "Hund"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 0.1 0.1", r"a.txt: line 2: expected the row of a class, 0 to 1, got \"2\""),
        ("x 0.5 0.5 0.1 0.1", 'expected the row of a class, 0 to 1, got "x"'),
        ("0.5 0.5 0.5 0.1 0.1", 'expected the row of a class, 0 to 1, got "0.5"'),
        ("0 nan 0.5 0.1 0.1", 'expected finite numbers, got "nan"'),
        ("0 0.5 0.5 inf 0.1", 'expected finite numbers, got "inf"'),
        ("0 0.5 0.5 1e308 0.1", 'expected finite numbers, got "1e308"'),
        ("0 1_0 0.5 0.1 0.1", 'expected finite numbers, got "1_0"'),
        ("0 0.5 0.5 0.1", "expected a class and four numbers or more, got 4 numbers"),
        ("0 0.5 0.5 -0.1 0.1", "expected fractions of the image, 0 to 1, got -0.1"),
        ("0 32 24 10 10", "expected fractions of the image, 0 to 1, got 32"),
        ("0 0.5 0.5 0.1 0.1 0.2 0.1 7", "expected a box, four numbers, or an outline"),
    ],
)
def test_broken_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    write(tmp_path)
    with (tmp_path / "labels" / "val" / "a.txt").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(SchemaError, match=message):
        GroundTruth.load(tmp_path)


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("names: [", "cannot be read as YAML"),
        ("names: 3\nval: images/val", "names: expected a list of texts, got 3"),
        ("names: {0: cat, 2: dog}", "names: expected keys 0, 1, 2"),
        ("nc: x\nval: images/val", "names: expected the names of classes, got nothing"),
        ("names: [cat, dog]\nval: [1]", r"val: expected a path, or a list of paths, got \[1\]"),
        ("names: [cat, dog]\nkpt_shape: [17]", r"kpt_shape: expected \[number of points, 2 or 3\]"),
        ("names: [cat, dog]\nnc: 9", "nc: expected how many names there are, 2, got 9; names or nc is wrong"),
        ("names: [cat, dog]\nnc: two", 'nc: expected how many names there are, 2, got "two"'),
        ("names: &a [*a, *a]\n", "names: expected a list|cannot be read as YAML"),
        ('"\xff"\nnames: [a]', "expected an object with names|cannot be read as YAML"),
    ],
)
def test_a_broken_data_yaml_is_named(tmp_path: Path, yaml: str, message: str) -> None:
    write(tmp_path, yaml=yaml)
    with pytest.raises(SchemaError, match=rf"data\.yaml: .*({message})"):
        GroundTruth.load(tmp_path)


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("x: [\n", "cannot be read as YAML: .*line 2"),
        ("x: 1\n", "names: expected the names of classes, got nothing"),
        ("", "expected an object with names, got null"),
    ],
)
def test_a_yaml_without_names_that_is_given_is_named(tmp_path: Path, yaml: str, message: str) -> None:
    write(tmp_path, yaml=yaml)
    with pytest.raises(SchemaError, match=rf"data\.yaml: {message}"):
        GroundTruth.load(tmp_path / "data.yaml")


def test_a_path_that_is_not_there_is_said(tmp_path: Path) -> None:
    write(tmp_path, yaml=YAML.replace("path: .", "path: /no/such/folder"))
    (note,) = (note for note in GroundTruth.load(tmp_path).notes if "path of data.yaml" in note)
    assert note.endswith("'/no/such/folder', is no folder here: images are those beside data.yaml")
    (tmp_path / "data.yaml").write_text(YAML)
    assert not any("path of data.yaml" in note for note in GroundTruth.load(tmp_path).notes)


def test_names_are_kept_in_their_order(tmp_path: Path) -> None:
    names = GroundTruth.load(write(tmp_path)).table.labels
    assert [(label.id, label.name) for label in names] == list(enumerate(NAMES))
