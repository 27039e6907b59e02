"""What is given in place of detections is recognised, and what to do is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from postproc import SchemaError
from postproc.evaluation import evaluate
from postproc.evaluation.found_formats import read_found
from tests.evaluation.noisy_boxes import boxes_and_truth, spec_of, version_of

TRUTH = boxes_and_truth(0, images=3)[1]


def _text(document: Any) -> Callable[[Path], None]:
    return lambda path: (
        path.write_text(document if isinstance(document, str) else json.dumps(document)) and None
    )


def _folder(*names: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.mkdir()
        for name in names:
            (path / name).write_text("x")

    return make


def _parquet(**columns: list[Any]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.table(columns), path)

    return make


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_text(TRUTH), "COCO's instances, which are what is there: are --detections and --truth swapped"),
        (_text(spec_of(2)), "a recognition spec, which --spec takes"),
        (_text(version_of()), "a recognition version, which --version takes"),
        (_text({"results": [1]}), "if 'results' holds them, write that list alone"),
        (_text(""), "an empty file"),
        (_text("image,score\n"), "a file that begins with"),
        (_text("[1, 2"), "it is no whole JSON"),
        (_text("[" * 100_000), "it is no whole JSON"),
        (_text('{"a": '), "what is no whole JSON"),
        (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(9)), "saved tensors go to --tensors"),
        (_folder(), "a folder of no files"),
        (_folder("a.parquet"), "a folder of .parquet; saved tensors go to --tensors"),
        (_folder("a.xml", "a.txt"), "may be Pascal VOC's XML with scores and YOLO text with confidences"),
        (_parquet(image=["a"], transform=[None]), "holds saved tensors, columns image, transform"),
        (_parquet(image=["a"], objects=[None]), "is a data set with columns image, objects"),
        (_parquet(image=["a"], label=[1]), "it lacks label_id, label_name"),
        (lambda path: path.write_bytes(b"PAR1 and no more"), "cannot be read as Parquet"),
        (lambda path: path.write_bytes(b"\x1f\x8b\x08"), "compressed with gzip"),
        (lambda path: None, "cannot be read: No such file"),
    ],
)
def test_another_kind_is_recognised(make: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    make(tmp_path / "given")
    with pytest.raises(SchemaError) as caught:
        read_found(tmp_path / "given")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("score", ["a", "b"], "column score: has the type string"),
        ("image", [1.5, 2.5], "column image: has the type double"),
        ("label_id", [None, 1], "column label_id: has rows without a value"),
        ("predicted", [1, 0], "column predicted: has the type int64"),
        ("keypoints", [[1.0], [2.0]], "column keypoints: has the type list"),
        ("polygon", [[[1.0, 2.0]], None], "column polygon: expected four corners, got 2 numbers"),
        ("rings", [[[1.0]], None], "column rings: has the type list"),
        ("output", [3, 3], "output 0 has no rows; there are"),
    ],
)
def test_columns_of_other_types_are_named(name: str, values: list[Any], message: str, tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {"image": ["a", "b"], "label_id": [1, 2], "label_name": ["a", "b"]}
    columns |= {side: [0.25, 0.5] for side in ("score", "xmin", "ymin", "xmax", "ymax")}
    _parquet(**{**columns, name: values})(tmp_path / "found.parquet")
    with pytest.raises(SchemaError, match=message):
        read_found(tmp_path / "found.parquet")


def test_what_is_no_path_is_named() -> None:
    for given, message in ((TRUTH, "got dict with"), (7, "got int"), (None, "got NoneType")):
        with pytest.raises(SchemaError, match=message):
            read_found(given)  # type: ignore[arg-type]


def test_images_and_categories_of_which_none_is_known_are_an_error() -> None:
    result = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    with pytest.raises(SchemaError, match="none of its 1 image, such as 'street', is one of"):
        evaluate([{**result, "image_id": "street"}], TRUTH)
    with pytest.raises(SchemaError, match="none of its categories, 77, is a label; labels are 1 'label 0'"):
        evaluate([{**result, "category_id": 77}], TRUTH)
    with pytest.raises(SchemaError, match=r"'0.png', '0' are all the image '0.png'"):
        evaluate([{**result, "image_id": "0.png"}, {**result, "image_id": "0"}], TRUTH)


def test_documents_that_are_missing_are_asked_for() -> None:
    from postproc.evaluation import SavedTensors

    with pytest.raises(SchemaError, match="tensors become detections by them: give both"):
        evaluate(SavedTensors("tensors.npz"), TRUTH)
    with pytest.raises(SchemaError, match="its thresholds are of the labels of a spec"):
        evaluate([], TRUTH, version=version_of())
