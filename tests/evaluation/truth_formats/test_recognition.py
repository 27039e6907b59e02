"""Which kind a file or folder is, and LVIS's federation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from postproc.errors import SchemaError
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.truth_formats import FORMATS
from tests.evaluation.truth_formats import test_voc, test_yolo
from tests.evaluation.truth_formats.scenes import check_equal, coco, write_images


def lvis() -> dict[str, Any]:
    document = coco()
    for row, item in enumerate(document["images"]):
        name = item.pop("file_name")
        item["coco_url"] = f"http://images.cocodataset.org/val2017/{name}"
        item["neg_category_ids"] = [[1], [], [0, 1]][row]
        item["not_exhaustive_category_ids"] = [[], [0], []][row]
    for item, frequency in zip(document["categories"], "rf", strict=True):
        item["frequency"] = frequency
    return document


def test_lvis_is_coco_with_a_federation() -> None:
    truth = GroundTruth.load(lvis())
    check_equal(truth, coco())
    assert truth.names[0] == "val2017/a.jpg"
    found = truth.federation
    assert found is not None
    assert found.absent.tolist() == [[False, True], [False, False], [True, True]]
    assert found.not_exhaustive.tolist() == [[False, False], [True, False], [False, False]]
    assert found.frequencies == ("r", "f")
    assert GroundTruth.load(coco()).federation is None


def test_a_federation_is_of_the_labels_of_the_spec() -> None:
    document = lvis()
    document["annotations"] = [item for item in document["annotations"] if item["category_id"] == 0]
    items = [{"id": 5, "name": "bird"}, {"id": 9, "name": "dog"}, {"id": 7, "name": "cat"}]
    spec = {"outputs": [{"labels": {"labels": items, "exclusive": False, "roi": "BBOX"}}]}
    found = GroundTruth.load(document, spec).federation
    assert found is not None
    assert found.absent.tolist() == [[False, True, False], [False] * 3, [False, True, True]]
    assert found.frequencies == ("", "f", "r")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("neg_category_ids", 3, r"images\[1\].neg_category_ids: expected a list of ids, got 3"),
        ("neg_category_ids", [1, 8], r"images\[1\].neg_category_ids\[1\]: expected the id of one of cat"),
        ("not_exhaustive_category_ids", [None], r"not_exhaustive_category_ids\[0\]: expected the id"),
    ],
)
def test_a_broken_federation_is_named(key: str, value: Any, message: str) -> None:
    document = lvis()
    document["images"][1][key] = value
    with pytest.raises(SchemaError, match=message):
        GroundTruth.load(document)


def test_without_a_spec_labels_are_the_categories_and_boxes_are_told_by_the_file() -> None:
    document = coco()
    table = GroundTruth.load(document).table
    assert (table.roi, [label.id for label in table.labels]) == ("BBOX", [0, 1])
    for item in document["annotations"]:
        del item["bbox"]
    assert GroundTruth.load(document).table.roi == "NONE"
    with pytest.raises(SchemaError, match="has no categories"):
        GroundTruth.load({**document, "annotations": [], "categories": []})


def test_a_folder_of_two_kinds_is_refused_until_told(tmp_path: Path) -> None:
    test_yolo.write(tmp_path)
    test_voc.write(tmp_path)
    with pytest.raises(
        SchemaError, match=r"may be yolo \(.*\) or voc \(.*\): say which with format \(--truth-f"
    ):
        GroundTruth.load(tmp_path)
    check_equal(GroundTruth.load(tmp_path, format="yolo"), coco(), atol=1e-12)
    check_equal(GroundTruth.load(tmp_path, format="voc"), coco())
    with pytest.raises(SchemaError, match="format: expected one of coco, lvis, csv, yolo"):
        GroundTruth.load(tmp_path, format="kitti")


@pytest.mark.parametrize("format", FORMATS)
def test_every_reader_refuses_what_is_of_another_kind(tmp_path: Path, format: str) -> None:
    (tmp_path / "x").write_bytes(b"\x00\xff nothing of the kind\n")
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "x", tmp_path / "empty", tmp_path / "none"):
        with pytest.raises(SchemaError):
            GroundTruth.load(source, format=format)


def test_folders_of_other_things_are_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="found a folder without files"):
        GroundTruth.load(tmp_path)
    write_images(tmp_path)
    with pytest.raises(SchemaError, match=r"a folder of files of other kinds: 2 .jpg, 1 .png"):
        GroundTruth.load(tmp_path)
    (tmp_path / "instances.json").write_text(json.dumps(coco()))
    with pytest.raises(SchemaError, match=r"1 JSON files, such as instances.json: give one of them"):
        GroundTruth.load(tmp_path)
    (tmp_path / "a.json").write_text('{"shapes": [], "imagePath": "a.jpg"}')
    with pytest.raises(SchemaError, match=r"2 JSON files, the first of which is a LabelMe annotation"):
        GroundTruth.load(tmp_path)


def test_a_split_of_what_has_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(coco()))
    with pytest.raises(SchemaError, match="a split 'val' is asked for, and COCO JSON has none"):
        GroundTruth.load(path, split="val")
