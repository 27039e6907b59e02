"""Ground truth read from COCO JSON and CSV files: what is taken, and what is refused with its path."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from postproc.errors import SchemaError
from postproc.evaluation.ground_truth import GroundTruth


def spec(roi: str = "BBOX", labels: tuple[tuple[int, str], ...] = ((1, "cat"), (2, "dog"))) -> dict[str, Any]:
    items = [{"id": key, "name": name} for key, name in labels]
    return {"outputs": [{"labels": {"labels": items, "exclusive": False, "roi": roi}}]}


DOCUMENT: dict[str, Any] = {
    "images": [
        {"id": 30, "file_name": "night/a.jpg", "width": 64, "height": 48},
        {"id": 10, "file_name": "day/a.jpg", "width": 64, "height": 48},
        {"id": 20, "file_name": "b.jpg", "width": 32, "height": 32},
    ],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 9, "name": "unused"}],
    "annotations": [
        {"id": 1, "image_id": 20, "category_id": 2, "bbox": [1, 2, 3, 4], "area": 6.5},
        {"id": 2, "image_id": 30, "category_id": 1, "bbox": [0, 0, 10, 10.5], "iscrowd": 1},
        {"id": 3, "image_id": 20, "category_id": 1, "bbox": [5, 5, 5, 5]},
    ],
}


def changed(**changes: Any) -> dict[str, Any]:
    """Copy the document with values set at paths such as ``annotations__0__bbox``; None removes one."""
    document = copy.deepcopy(DOCUMENT)
    for path, value in changes.items():
        *steps, last = [int(step) if step.isdigit() else step for step in path.split("__")]
        target: Any = document
        for step in steps:
            target = target[step]
        if value is None:
            del target[last]
        else:
            target[last] = value
    return document


def test_load_of_coco_json_puts_objects_in_the_order_of_their_images() -> None:
    truth = GroundTruth.load(DOCUMENT, spec())
    assert truth.names == ("night/a.jpg", "day/a.jpg", "b.jpg")
    assert truth.offsets.tolist() == [0, 1, 1, 3]
    assert truth.labels.tolist() == [0, 1, 0]
    assert truth.boxes.tolist() == [[0, 0, 10, 10.5], [1, 2, 3, 4], [5, 5, 5, 5]]
    assert truth.areas.tolist() == [105, 6.5, 25]
    assert truth.crowd.tolist() == [True, False, False]
    assert truth.sizes.tolist() == [[48, 64], [48, 64], [32, 32]]
    assert (truth.categories.by, truth.categories.unknown) == ("ids", ())


def test_load_of_a_file_equals_that_of_its_document(tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(DOCUMENT))
    np.testing.assert_array_equal(
        GroundTruth.load(path, spec()).boxes, GroundTruth.load(DOCUMENT, spec()).boxes
    )


def test_batch_takes_images_in_the_order_given() -> None:
    batch = GroundTruth.load(DOCUMENT, spec()).batch([2, 1, 0])
    assert len(batch) == 3
    assert batch.rows.tolist() == [1, 2, 0]
    assert batch.offsets.tolist() == [0, 2, 2, 3]
    assert batch.image_of_each().tolist() == [2, 2, 0]
    assert batch.boxes.tolist() == [[1, 2, 3, 4], [5, 5, 5, 5], [0, 0, 10, 10.5]]


def test_batch_takes_sizes_that_the_file_does_not_say() -> None:
    truth = GroundTruth.load(changed(images__1__width=None, images__1__height=None), spec())
    with pytest.raises(
        SchemaError, match=r"images\[1\]: width and height of 'day/a.jpg' are needed.*; write them there"
    ):
        truth.batch([0, 1])
    assert truth.batch([0, 1], [(7, 7), (8, 9)]).sizes.tolist() == [[48, 64], [8, 9]]


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("b.jpg", 2),
        ("elsewhere/b.jpg", 2),
        ("masks/b.png", 2),
        ("day/a.jpg", 1),
        ("data/day/a.jpg", 1),
        ("data\\night\\a.jpg", 0),
        ("c.jpg", None),
    ],
)
def test_find_an_image_by_path_name_or_stem(name: str, row: int | None) -> None:
    assert GroundTruth.load(DOCUMENT, spec()).find(name) == row


def test_find_an_image_that_several_fit_is_an_error() -> None:
    with pytest.raises(SchemaError, match=r"'a\.jpg' may be any of 'night/a\.jpg', 'day/a\.jpg'"):
        GroundTruth.load(DOCUMENT, spec()).find("a.jpg")


NFC, NFD = "caf\u00e9.jpg", "cafe\u0301.jpg"


@pytest.mark.parametrize(("written", "name"), [(NFC, NFD), (NFD, NFC)], ids=["NFD file", "NFC file"])
def test_find_an_image_in_another_unicode_normalisation(written: str, name: str) -> None:
    truth = GroundTruth.load(changed(images__2__file_name=f"day/{written}"), spec())
    for path in (f"day/{name}", f"pages/day/{name}", name, name.replace("jpg", "png")):
        assert truth.find(path) == 2
    assert truth.names[2] == f"day/{written}"
    several = changed(images__0__file_name=f"night/{written}", images__1__file_name=f"day/{written}")
    assert GroundTruth.load(several, spec()).find(f"day/{name}") == 1
    with pytest.raises(SchemaError, match=r"may be any of 'night/.*', 'day/"):
        GroundTruth.load(several, spec()).find(name)


def test_names_that_differ_in_unicode_normalisation_only_are_an_error() -> None:
    message = r"images\[2\].file_name: .* that of images\[0\] but for its Unicode normalisation"
    with pytest.raises(SchemaError, match=message):
        GroundTruth.load(changed(images__0__file_name=NFC, images__2__file_name=NFD), spec())


def test_names_of_a_csv_that_differ_in_unicode_normalisation_are_one_image(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"{NFD},dog\nb.jpg,cat\n{NFC},cat\n", encoding="utf-8")
    truth = GroundTruth.load(path, spec("NONE"))
    assert truth.names == (NFD, "b.jpg")
    assert (truth.labels.tolist(), truth.offsets.tolist()) == ([1, 0, 0], [0, 2, 3])


def as_floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: as_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_floats(item) for item in value]
    return float(value) if isinstance(value, int) else value


def test_load_takes_whole_floats_for_integers() -> None:
    whole, floats = (GroundTruth.load(document, spec()) for document in (DOCUMENT, as_floats(DOCUMENT)))
    for name in ("ids", "sizes", "offsets", "labels", "boxes", "areas", "crowd"):
        np.testing.assert_array_equal(getattr(floats, name), getattr(whole, name), strict=True)
    with pytest.raises(SchemaError, match=r"by names: 1 'cat'; the spec has 4 'dog'"):
        GroundTruth.load(as_floats(DOCUMENT), spec(labels=((4, "dog"),)))


def test_load_keeps_keypoints_and_masks() -> None:
    outline = [[1, 2, 3, 4, 5, 6]]
    runs = {"size": [48, 64], "counts": "0"}
    document = changed(
        annotations__0__keypoints=[1, 2, 2],
        annotations__1__keypoints=[0, 0, 0, 7, 8, 0],
        annotations__1__segmentation=runs,
        annotations__2__segmentation=[],
        annotations__0__segmentation=outline,
    )
    shapes = GroundTruth.load(document, spec()).shapes
    assert shapes.masks.tolist() == [runs, outline, None]  # in the order of the images
    assert shapes.keypoints.tolist() == [
        [[0, 0, 0], [7, 8, 0]], [[1, 2, 2], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]
    ]  # fmt: skip
    assert shapes.counts() == {"masks": 2, "keypoints": 1}
    assert GroundTruth.load(document, spec("NONE")).shapes.counts() == {}
    assert GroundTruth.load(DOCUMENT, spec()).shapes.counts() == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images__0__id": 1.5}, r"images\[0\].id: expected an integer, got 1.5"),
        ({"images__0__id": float("inf")}, r"images\[0\].id: expected an integer, got Infinity"),
        (
            {"annotations__0__keypoints": [1, 2]},
            r"annotations\[0\].keypoints: expected x, y and visibility of each point in pixels, got \[1, 2\]",
        ),
        (
            {"annotations__0__keypoints": [1, 2, "2"]},
            r"annotations\[0\].keypoints: expected x, y and visibility of each point in pixels, got",
        ),
        (
            {"annotations__0__segmentation": "0"},
            r'annotations\[0\].segmentation: expected polygons or RLE, got "0"',
        ),
        (
            {"annotations__0__segmentation": [[1, 2, 3, 4, 1e9, 6]]},
            r"annotations\[0\].segmentation: expected polygons or RLE, got \[\[1, 2",
        ),
        (
            {"annotations__0__segmentation": {"size": [48, 64], "counts": [1, 2]}},
            r"annotations\[0\].segmentation: expected RLE, a size \[height, width\] and counts",
        ),
        ({"images__0__id": True}, r"images\[0\].id: expected an integer, got true"),
        ({"images__0__height": 48.5}, r"images\[0\].height: expected a positive integer, got 48.5"),
        ({"images__0__height": "48"}, r'images\[0\].height: expected a positive integer, got "48"'),
        ({"images__0__height": 0}, r"images\[0\].height: expected a positive integer, got 0"),
        ({"categories__0__id": 1.5}, r"categories\[0\].id: expected an integer, got 1.5"),
        ({"annotations__0__image_id": 20.5}, r"annotations\[0\].image_id: .* one of images, got 20.5"),
        ({"annotations__0__category_id": 2.5}, r"annotations\[0\].category_id: .*, got 2.5"),
        ({"annotations__0__id": 1.5}, r"annotations\[0\].id: expected an integer, got 1.5"),
        ({"annotations__1__id": 1.0}, r"annotations\[1\].id: .* got 1.0, the id of annotations\[0\]"),
        ({"images": None}, r"truth: images: expected a list, .* got nothing"),
        ({"images": []}, r"images: expected at least one image"),
        ({"images__1__id": 30}, r"images\[1\].id: expected unique ids, got 30, the id of images\[0\]"),
        ({"images__1__id": "x"}, r'images\[1\].id: expected an integer, got "x"'),
        ({"images__1__file_name": "b.jpg"}, r"images\[2\].file_name: expected unique names, got 'b.jpg'"),
        ({"images__0__width": -5}, r"images\[0\].width: expected a positive integer, got -5"),
        ({"categories__1__id": 1}, r"categories\[1\].id: expected unique ids, got 1 again"),
        ({"categories__1__name": 5}, r"categories\[1\].name: expected a text, got 5"),
        ({"annotations__0__image_id": 5}, r"annotations\[0\].image_id: .* one of images, got 5"),
        ({"annotations__0__image_id": [1]}, r"annotations\[0\].image_id: .* got \[1\]"),
        ({"annotations__2__category_id": 7}, r"annotations\[2\].category_id: .* one of categories, got 7"),
        ({"annotations__1__bbox": None}, r"annotations\[1\].bbox: expected \[x, y, .* got nothing"),
        ({"annotations__1__bbox": [1, 2, 3]}, r"annotations\[1\].bbox: expected .* got \[1, 2, 3\]"),
        ({"annotations__1__bbox": [1, 2, float("nan"), 3]}, r"annotations\[1\].bbox: .* got \[1, 2, NaN"),
        ({"annotations__1__bbox": [1, 2, -3, 4]}, r"bbox: .* of 0 or more, got -3 and 4"),
        ({"annotations__1__area": -1}, r"annotations\[1\].area: expected a number of 0 or more, got -1"),
        ({"annotations__1__iscrowd": 2}, r"annotations\[1\].iscrowd: expected 0 or 1, got 2"),
        ({"annotations__1__id": 1}, r"annotations\[1\].id: .* got 1, the id of annotations\[0\]"),
        ({"annotations__1": 3}, r"annotations\[1\]: expected an object, got 3"),
    ],
)  # fmt: skip
def test_load_of_a_broken_document_names_the_path(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        GroundTruth.load(changed(**changes), spec())


def test_load_lists_twenty_problems_and_counts_the_others() -> None:
    bad = [{"id": row, "image_id": 10, "category_id": 1} for row in range(30)]
    with pytest.raises(SchemaError) as caught:
        GroundTruth.load(changed(annotations=bad), spec())
    assert len(caught.value.errors) == 21
    assert str(caught.value.errors[-1]).endswith("and 10 more problems")


def test_load_of_a_file_that_is_no_ground_truth_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(SchemaError, match=r"x\.json: cannot be read: No such file"):
        GroundTruth.load(path, spec())


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"[1", "what is not JSON: Expecting"),
        (b"\xff\xfe\x00", "a file of another kind"),
        (b"", "an empty file"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
            "a Git LFS pointer .* git lfs pull",
        ),
        (b"\x1f\x8b\x08\x00", "a gzip file: unpack it"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x89PNG\r\n", "an image"),
        (b"<!DOCTYPE html>\n<html>", "a web page"),
        (b"<annotations><image/></annotations>", "XML; convert"),
        (b'<?xml version="1.0"?>\n<annotations><meta></meta></annotations>', "CVAT's XML; convert it"),
        (b"<annotation><object><polygon/></object></annotation>", "LabelMe's XML"),
        (b"<svg/>", "XML; convert"),
        (b"0 0.5 0.5 0.1 0.2\n1 0.4 0.3 0.1 1e-2\n", "YOLO's text of one image: give the folder"),
        (b"file,label\na.jpg,cat\n", "CSV without the columns of Open Images"),
        (b'{"a": 1}\n{"a": 2}\n', "lines of JSON, other than those that postproc run writes"),
        (b"[1, 2]", "a list of 2"),
        (b"7", "a file of another kind"),
        (b"{}", "an empty object"),
        (b'{"b": 1, "a": 2}', r'an object with \["a", "b"\]'),
        (b'{"outputs": []}', "a recognition spec: are --spec and --truth swapped"),
        (b'{"post_processings": []}', "a recognition version: are --version and --truth swapped"),
        (b'{"inputs": []}', "a preprocessing document"),
        (b'{"shapes": [], "imagePath": "a.jpg"}', "a LabelMe annotation of one image; convert it"),
        (
            b'[{"data": {}, "annotations": []}]',
            "an export of Label Studio; convert it: its export offers COCO",
        ),
        (b'[{"image": "a.jpg", "annotations": []}]', "Create ML's JSON"),
        (b'{"_via_img_metadata": {}}', "a project of the VGG Image Annotator"),
    ],
)
def test_load_of_a_file_that_is_no_ground_truth_says_what_it_is(
    tmp_path: Path, content: bytes, found: str
) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    expected = r"expected a ground truth: COCO JSON \(an object with images, annotations and categories\), .*"
    for roi in ("BBOX", "NONE"):
        with pytest.raises(SchemaError, match=rf"x\.json: {expected}; found ({found})"):
            GroundTruth.load(path, spec(roi))


# --- categories


def test_categories_whose_ids_are_not_all_known_are_told_by_name() -> None:
    truth = GroundTruth.load(DOCUMENT, spec(labels=((7, "bird"), (2, "cat"), (5, "dog"))))
    assert truth.categories.by == "names"
    assert truth.labels.tolist() == [1, 2, 1]


def test_categories_whose_names_are_not_all_known_are_told_by_id() -> None:
    truth = GroundTruth.load(DOCUMENT, spec(labels=((2, "Hund"), (1, "Katze"))))
    assert truth.categories.by == "ids"
    assert truth.labels.tolist() == [1, 0, 1]


def test_categories_whose_ids_contradict_their_names_are_refused_until_told() -> None:
    swapped = spec(labels=((1, "dog"), (2, "cat")))
    with pytest.raises(
        SchemaError, match=r"category \d '(cat|dog)' has the id of the spec's label '.*--categories ids"
    ):
        GroundTruth.load(DOCUMENT, swapped)
    assert GroundTruth.load(DOCUMENT, swapped, categories="ids").labels.tolist() == [0, 1, 0]
    assert GroundTruth.load(DOCUMENT, swapped, categories="names").labels.tolist() == [1, 0, 1]


def test_unknown_categories_are_an_error_or_left_out() -> None:
    dogs = spec(labels=((4, "dog"),))
    with pytest.raises(SchemaError, match=r"no labels of the spec, by names: 1 'cat'; the spec has 4 'dog'"):
        GroundTruth.load(DOCUMENT, dogs)
    truth = GroundTruth.load(DOCUMENT, dogs, skip_unknown=True)
    assert truth.categories.unknown == ("1 'cat'",)
    assert (truth.labels.tolist(), truth.offsets.tolist()) == ([0], [0, 0, 0, 1])
    with pytest.raises(SchemaError, match="no labels of the spec"):
        GroundTruth.load(DOCUMENT, spec(labels=((4, "fish"),)), skip_unknown=True)


def test_output_out_of_range_is_an_error() -> None:
    with pytest.raises(SchemaError, match="the spec has outputs 0 to 0, got 1"):
        GroundTruth.load(DOCUMENT, spec(), output=1)


# --- labels of whole images


def test_load_of_image_labels_from_coco_json_needs_no_boxes() -> None:
    document = changed(annotations__0__bbox=None, annotations__2__bbox=None)
    document["annotations"].append({"image_id": 20, "category_id": 2})
    truth = GroundTruth.load(document, spec("NONE"))
    assert truth.offsets.tolist() == [0, 1, 1, 3]
    assert truth.labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize("heading", ["", "file,label\n", "File, Label\n"])
def test_load_of_csv_takes_a_row_a_pair(tmp_path: Path, heading: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f'\ufeff{heading}a.jpg,dog\nb.jpg,cat\na.jpg, cat\n\na.jpg,dog\n"c,d.jpg",\n')
    truth = GroundTruth.load(path, spec("NONE"))
    assert truth.names == ("a.jpg", "b.jpg", "c,d.jpg")
    assert truth.labels.tolist() == [1, 0, 0]
    assert truth.offsets.tolist() == [0, 2, 3, 3]
    assert truth.categories.by == "names"


def test_load_of_csv_takes_ids_where_they_are_no_names(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("a.jpg,2\nb.jpg,1\n")
    truth = GroundTruth.load(path, spec("NONE"))
    assert (truth.labels.tolist(), truth.categories.by) == ([1, 0], "ids")
    digits = spec("NONE", labels=((1, "2"), (2, "1")))
    assert GroundTruth.load(path, digits).labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.jpg,dog,cat\n", r"line 1: expected a file name and a label, got \['a.jpg', 'dog', 'cat'\]"),
        ("a.jpg,dog\n,cat\n", r"line 2: expected a file name"),
        ("file,label\n", "expected rows of a file name and a label, found none"),
        ("a.jpg,fish\n", r"by names: 'fish'; the spec has 1 'cat', 2 'dog'"),
    ],
)
def test_load_of_a_broken_csv_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(SchemaError, match=message):
        GroundTruth.load(path, spec("NONE"))


def test_load_of_csv_for_boxes_or_of_other_bytes_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SchemaError, match="finds boxes, and a CSV file of names and labels has none"):
        GroundTruth.load(path, spec())
    with pytest.raises(SchemaError, match="cannot be read as CSV"):
        GroundTruth.load(path, spec("NONE"))
