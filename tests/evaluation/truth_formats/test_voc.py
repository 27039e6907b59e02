"""Pascal VOC's XML."""

from __future__ import annotations

from pathlib import Path

import pytest

from postproc.errors import SchemaError
from postproc.evaluation.ground_truth import GroundTruth
from tests.evaluation.truth_formats.scenes import NAMES, SIZES, check_equal, coco, of_image, write_images


def annotation(name: str, *, first: int = 1, size: bool = True, difficult: str = "0") -> str:
    """Return an image's XML; pixels are counted from 1 with the last one inside, or edges from 0."""
    height, width = SIZES[name]
    objects = ""
    for label, (x, y, w, h) in of_image(name):
        corners = {"xmin": x + first, "ymin": y + first, "xmax": x + w, "ymax": y + h}
        box = "".join(f"<{key}>{value:g}</{key}>" for key, value in corners.items())
        objects += (
            f"<object><name> {NAMES[label]}\n</name><difficult>{difficult}</difficult>"
            f"<part><name>head</name><bndbox/></part><bndbox>{box}</bndbox></object>"
        )
    sides = f"<size><width>{width}</width><height>{height}</height></size>" if size else ""
    return f"<annotation><filename>{name}</filename>{sides}{objects}</annotation>"


def write(folder: Path, **options: object) -> Path:
    (folder / "Annotations").mkdir(parents=True)
    for name in SIZES:
        path = folder / "Annotations" / f"{Path(name).stem}.xml"
        path.write_text(annotation(name, **options))  # type: ignore[arg-type]
    return folder


@pytest.mark.parametrize("first", [1, 0])
def test_boxes_are_those_of_coco(tmp_path: Path, first: int) -> None:
    truth = GroundTruth.load(write(tmp_path, first=first))
    check_equal(truth, coco())
    assert ("counted from 1" in truth.notes[0]) == (first == 1)
    assert truth.names == tuple(SIZES)


def test_sizes_that_are_not_said_are_those_of_the_images(tmp_path: Path) -> None:
    write(tmp_path, size=False)
    assert not GroundTruth.load(tmp_path).sizes.any()
    write_images(tmp_path / "JPEGImages")
    check_equal(GroundTruth.load(tmp_path), coco())


def test_difficult_objects_are_ignored_but_no_crowds(tmp_path: Path) -> None:
    truth = GroundTruth.load(write(tmp_path, difficult="1"))
    assert truth.ignored.all()
    assert not truth.crowd.any()
    assert "3 difficult objects ignored" in truth.notes


def test_a_split_is_what_imagesets_lists(tmp_path: Path) -> None:
    folder = write(tmp_path) / "ImageSets" / "Main"
    folder.mkdir(parents=True)
    (folder / "val.txt").write_text("b\nc 1\n")
    assert GroundTruth.load(tmp_path, split="val").names == ("b.png", "c.jpg")
    with pytest.raises(SchemaError, match="expected XML files of the split 'test'"):
        GroundTruth.load(tmp_path, split="test")


def test_other_encodings_and_one_file_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "b.xml"
    for codec in ("utf-16", "iso-8859-1", "utf-8-sig"):
        name = "utf-8" if codec == "utf-8-sig" else codec
        text = f'<?xml version="1.0" encoding="{name}"?>\n{annotation("b.png").replace("dog", "chién")}'
        path.write_bytes(text.encode(codec))
        assert [label.name for label in GroundTruth.load(path).table.labels] == ["cat", "chién"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<xmin>9</xmin>", "", r"a.xml: object 1: bndbox: xmin: expected a number of pixels, got \"\""),
        ("<xmin>1</xmin>", "<xmin>nan</xmin>", 'xmin: expected a number of pixels, got "nan"'),
        ("<xmin>1</xmin>", "<xmin>99</xmin>", r"expected xmin <= xmax and ymin <= ymax, got 99, 7, 32, 18"),
        ("</annotation>", "", "a.xml: cannot be read as XML"),
        ("<name> cat", "<name> ", "object 1: name: expected a name, got nothing"),
        ("<difficult>0", "<difficult>7", "difficult: expected 0 or 1, got"),
        ("<width>64", "<width>-64", 'size: width: expected a whole number, got "-64"'),
        ("a.jpg", "b.png", r"b.xml: filename: expected unique names, got 'b.png', that of a.xml"),
        ("<bndbox><", "<robndbox><", "a.xml: cannot be read as XML|expected a box"),
        (
            "<annotation>",
            '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><annotation>&b;',
            "declares an entity, which no annotation needs",
        ),
    ],
)
def test_broken_files_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    for name in SIZES:
        (tmp_path / f"{Path(name).stem}.xml").write_text(annotation(name))
    path = tmp_path / "a.xml"
    old = old.replace(">9<", ">1<")
    assert old in path.read_text()
    path.write_text(
        path.read_text().replace(old, new, 1) if old != "<bndbox><" else path.read_text().replace(old, new)
    )
    with pytest.raises(SchemaError, match=message):
        GroundTruth.load(tmp_path)
