"""Open Images' CSV and Parquet of `datasets`."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from postproc.errors import SchemaError
from postproc.evaluation.ground_truth import GroundTruth
from tests.evaluation.truth_formats.scenes import (
    NAMES,
    OBJECTS,
    SIZES,
    check_equal,
    coco,
    of_image,
    write_images,
)

HEADING = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf"


def open_images(folder: Path, groups: tuple[int, ...] = (0, 0, 0), text: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    lines = [HEADING]
    for (name, label, x, y, w, h), group in zip(OBJECTS, groups, strict=True):
        height, width = SIZES[name]
        sides = [x / width, (x + w) / width, y / height, (y + h) / height]
        lines.append(",".join(map(str, [name[0], "xclick", f"/m/{label}", 1, *sides, 0, group])))
    (folder / "boxes.csv").write_text("\n".join(lines) + "\n" + text)
    return folder / "boxes.csv"


def test_open_images_are_those_of_coco(tmp_path: Path) -> None:
    path = open_images(tmp_path, (0, 1, 0))
    write_images(tmp_path / "pictures")
    (tmp_path / "class-descriptions-boxable.csv").write_text(
        "LabelName,DisplayName\n/m/0,cat\n/m/1,dog\n/m/2,x\n"
    )
    truth = GroundTruth.load(path, images=tmp_path / "pictures")
    assert [label.name for label in truth.table.labels] == ["cat", "dog", "x"]
    expected = GroundTruth.load(coco(iscrowd=[0, 1, 0]))
    for name in ("a.jpg", "b.png"):  # c.jpg has no box, so that the file does not know it
        own = truth.batch([truth.find(name)])  # type: ignore[list-item]
        theirs = expected.batch([expected.find(name)])  # type: ignore[list-item]
        np.testing.assert_allclose(own.boxes, theirs.boxes, atol=1e-12)
        for column in ("labels", "crowd", "ignored", "sizes"):
            np.testing.assert_array_equal(getattr(own, column), getattr(theirs, column))
    assert "hierarchy" in " ".join(truth.notes)


def test_open_images_without_names_or_images(tmp_path: Path) -> None:
    path = open_images(tmp_path)
    with pytest.raises(SchemaError, match="image b: its numbers are fractions of the image"):
        GroundTruth.load(path)
    write_images(tmp_path)
    truth = GroundTruth.load(path)
    assert [label.name for label in truth.table.labels] == ["/m/1", "/m/0"]
    assert truth.names == ("b.png", "a.jpg")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,x,/m/0,1,0,1.5,0,1,0,0", "line 5: XMax: expected a fraction of the image, 0 to 1, got 1.5"),
        ("a,x,/m/0,1,nan,0.5,0,1,0,0", "line 5: XMin: expected a fraction of the image, 0 to 1, got nan"),
        ("a,x,/m/0,1,,0.5,0,1,0,0", "line 5: XMin: expected a fraction"),
        ("a,x,/m/0,1,0.6,0.5,0,1,0,0", "line 5: expected XMin <= XMax and YMin <= YMax, got 0.6, 0.0, 0.5"),
        (",x,/m/0,1,0,0.5,0,1,0,0", "line 5: ImageID: expected a text, got nothing"),
        ("a,x,/m/0,1,one,0.5,0,1,0,0", "cannot be read as CSV: .*one"),
        ("a,x,/m/0", "cannot be read as CSV: .*10 columns"),
    ],
)
def test_broken_rows_of_open_images_are_named(tmp_path: Path, row: str, message: str) -> None:
    write_images(tmp_path)
    with pytest.raises(SchemaError, match=message):
        GroundTruth.load(open_images(tmp_path, text=f"{row}\n"))


def image_bytes(name: str) -> bytes:
    buffer = BytesIO()
    height, width = SIZES[name]
    Image.new("L", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def write_datasets(
    path: Path, *, corners: bool = False, areas: bool = True, structs: bool = False, sizes: bool = True
) -> Path:
    """Write rows as `datasets` does, objects as lists of values or as structs."""
    rows = []
    for row, name in enumerate(SIZES):
        height, width = SIZES[name]
        found: list[dict[str, Any]] = []
        for label, (x, y, w, h) in of_image(name):
            box = [x, y, x + w, y + h] if corners else [x, y, w, h]
            found.append({"bbox": box, "category": label, **({"area": w * h} if areas else {})})
        lists = {
            key: [item[key] for item in found] for key in ("bbox", "category", *(["area"] if areas else []))
        }
        said = {"width": width, "height": height} if sizes else {}
        image = {"bytes": image_bytes(name), "path": name}
        rows.append({"image_id": row, "image": image, **said, "objects": found if structs else lists})
    feature = {"bbox": {"length": 4}, "category": {"feature": {"names": list(NAMES), "_type": "ClassLabel"}}}
    metadata = {"huggingface": json.dumps({"info": {"features": {"objects": feature}}})}
    # Rows without objects leave types open, so that the schema is of the first.
    schema = pa.Table.from_pylist(rows[:1]).schema.with_metadata(metadata)
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    return path


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "x, y, width and height: their areas fit that"),
        ({"structs": True}, "x, y, width and height: their areas fit that"),
        ({"corners": True, "sizes": False}, "corners x1, y1, x2, y2: their areas fit that"),
        ({"corners": True, "areas": False}, "corners x1, y1, x2, y2: otherwise they would reach beyond"),
        ({"areas": False}, "x, y, width and height: as COCO has them; as corners they would be in order"),
    ],
)
def test_datasets_are_those_of_coco(tmp_path: Path, options: dict[str, bool], told: str) -> None:
    truth = GroundTruth.load(write_datasets(tmp_path / "x.parquet", **options))
    check_equal(truth, coco())
    assert told in truth.notes[0]


def test_a_folder_of_datasets_is_read_by_splits(tmp_path: Path) -> None:
    write_datasets(tmp_path / "train-00000-of-00001.parquet")
    with pytest.raises(SchemaError, match="expected files of a split 'validation', found train"):
        GroundTruth.load(tmp_path, split="validation")
    write_datasets(tmp_path / "validation-00000-of-00001.parquet", structs=True)
    for split, name in ((None, "validation"), ("train", "train")):
        truth = GroundTruth.load(tmp_path, split=split)
        check_equal(truth, coco())
        assert truth.notes[0] == f"the images are those of {name}"


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (
            {"bbox": [[0.0, 0, 1]], "category": [0]},
            r"row 0: objects\[0\].bbox: expected four numbers, got \[",
        ),
        ({"bbox": [[0.0, 0, float("nan"), 1]], "category": [0]}, "expected four numbers"),
        (
            {"bbox": [[0.0, 0, 1, 1]], "category": [0, 1]},
            "row 0: objects: expected as many categories as boxes",
        ),
        ({"bbox": [[0.0, 0, -1, 1]], "category": [0]}, "1 boxes have a width or a height below 0"),
        ({"bbox": [[0.0, 0, 1, 1]], "category": [None]}, "expected a category, got null"),
        ([3], r"row 0: objects\[0\]: expected an object with a bbox, got 3"),
        ("a", 'row 0: objects: expected objects with a bbox, got "a"'),
    ],
)
def test_broken_rows_of_datasets_are_named(tmp_path: Path, objects: Any, message: str) -> None:
    pq.write_table(
        pa.Table.from_pylist([{"width": 9, "height": 9, "objects": objects}]), tmp_path / "x.parquet"
    )
    with pytest.raises(SchemaError, match=message):
        GroundTruth.load(tmp_path / "x.parquet")


def test_other_parquet_and_broken_parquet_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(SchemaError, match="found a Parquet file without columns of objects or detections"):
        GroundTruth.load(path)
    path.write_bytes(b"PAR1" + bytes(20))
    with pytest.raises(SchemaError, match="cannot be read as Parquet"):
        GroundTruth.load(path)
