"""Arrow tables and Parquet files, read by pandas, polars and pyarrow itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal
from pycocotools import mask as coco_masks

from postproc import Recognitions
from postproc.errors import ExportError, TensorError
from postproc.exports import open_writer
from tests.exports.results import BOX_KINDS, IMAGES, SIZES, detections, images_of, made, pixels
from tests.pipelines import LABELS, tensors_of

CORNERS = ["xmin", "ymin", "xmax", "ymax"]


def address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


@pytest.mark.parametrize("kind", BOX_KINDS)
def test_arrow_of_predicted_boxes_read_by_pandas_is_what_was_found(kind: str) -> None:
    _, found = made(kind)
    expected = detections(found)
    frame = found.to_arrow(IMAGES, SIZES).to_pandas()
    assert_array_equal(frame[CORNERS].to_numpy(), expected.boxes, strict=True)
    assert_array_equal(
        frame[["left", "top", "right", "bottom"]].to_numpy(), pixels(expected).astype(np.float32)
    )
    assert frame["image"].tolist() == [IMAGES[image] for image in images_of(expected)]
    assert frame["label_name"].tolist() == expected.label_names
    assert isinstance(frame["label_name"].dtype, pd.CategoricalDtype)
    assert_array_equal(frame["label_id"], expected.label_ids)
    assert_array_equal(frame["score"], expected.scores)
    assert_array_equal(frame["threshold"], expected.thresholds)
    assert_array_equal(frame["region"], expected.regions)
    assert_array_equal(frame[["height", "width"]], np.array(SIZES)[images_of(expected)])
    assert frame["predicted"].all()


@pytest.mark.parametrize("kind", [*BOX_KINDS, "classification"])
def test_parquet_with_discarded_read_by_polars_is_what_was_found(kind: str, tmp_path: Path) -> None:
    post, found = made(kind)
    expected: Any = found.outputs[0]
    with open_writer("parquet", tmp_path / "found.parquet", post.spec, discarded=True) as writer:
        for image in range(3):
            writer.write(IMAGES[image : image + 1], SIZES[image], found[image])
    frame = pl.read_parquet(tmp_path / "found.parquet")
    assert frame["image"].to_list() == [IMAGES[image] for image in images_of(expected)]
    assert frame["label_name"].to_list() == expected.label_names
    assert_array_equal(frame["score"].to_numpy(), expected.scores, strict=True)
    assert_array_equal(frame["predicted"].to_numpy(), expected.predicted)
    assert not frame["predicted"].all()
    if kind != "classification":
        assert_array_equal(frame.select(CORNERS).to_numpy(), expected.boxes)
    else:
        assert not set(CORNERS) & set(frame.columns)


def test_arrow_of_keypoints_and_corners_keeps_their_shape() -> None:
    for kind, column, name in (
        ("yolov8_pose", "keypoints", "keypoints"),
        ("yolov8_obb", "polygon", "polygons"),
    ):
        _, found = made(kind)
        expected = getattr(detections(found), name)
        table = found.to_arrow()
        assert_array_equal(np.array(table.column(column).to_pylist(), np.float32), expected)
        assert_array_equal(pl.from_arrow(table)[column].to_numpy(), expected)  # type: ignore[index, union-attr]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
def test_arrow_of_masks_holds_their_outlines_and_run_lengths() -> None:
    _, found = made("yolov8_seg")
    expected: Any = detections(found)
    table = found.to_arrow(sizes=SIZES)
    for row, ring in zip(table.column("rings").to_pylist(), expected.mask_polygons(), strict=True):
        assert row == [points.tolist() for points in ring]
    run_lengths = table.column("mask").to_pylist()
    of_last = expected[2].masks(SIZES[2])
    for mask, counts in zip(of_last[::-1], run_lengths[::-1], strict=False):
        assert_array_equal(coco_masks.decode({"size": list(SIZES[2]), "counts": counts}), mask)


def test_arrow_of_one_output_without_discarded_shares_memory() -> None:
    _, found = made("yolov8_pose", show_discarded=False)
    output: Any = found.outputs[0]
    table = output.to_arrow()
    assert table.column("score").chunk(0).buffers()[1].address == address(output.scores)
    assert table.column("keypoints").chunk(0).flatten().flatten().buffers()[1].address == address(
        output.keypoints
    )


def test_arrow_of_several_outputs_stands_by_image_and_is_the_same_in_batches() -> None:
    _, boxes = made("standard")
    _, labels = made("classification")
    both = Recognitions((labels.outputs[0], boxes.outputs[0]))
    table = both.to_arrow(IMAGES, SIZES)
    parts = pa.concat_tables(both[row].to_arrow(IMAGES[row : row + 1], SIZES[row]) for row in range(3))
    assert table.equals(parts)
    frame = table.to_pandas()
    order = frame["image"].map(IMAGES.index).to_numpy() * 2 + frame["output"].to_numpy()
    assert (np.diff(order) >= 0).all()
    assert frame.loc[frame["output"] == 0, CORNERS].isna().all(axis=None)
    assert set(frame["label_name"].cat.categories) == set(LABELS)


def test_arrow_without_names_numbers_the_images_and_takes_numbers() -> None:
    _, found = made("standard")
    rows = images_of(detections(found))
    assert_array_equal(found.to_arrow()["image"].to_numpy(), rows)
    assert_array_equal(found.to_arrow(np.array([5, 4, 9]))["image"].to_numpy(), np.array([5, 4, 9])[rows])


def test_arrow_of_a_name_that_is_no_unicode_replaces_what_is_not() -> None:
    _, found = made("standard")
    table = found[0].to_arrow(["a\udcff.jpg"])
    assert table["image"][0].as_py().startswith("a")


def test_arrow_of_other_names_or_sizes_than_images_raises() -> None:
    _, found = made("standard")
    with pytest.raises(TensorError, match="one name or number per image, 3; got 2"):
        found.to_arrow(["a", "b"])
    with pytest.raises(TensorError, match="images: expected names, or whole numbers"):
        found.to_arrow([1.5, 2, 3])  # type: ignore[list-item]
    with pytest.raises(TensorError, match="sizes must be"):
        found.to_arrow(sizes=[(1, 2)])


def test_parquet_of_sizes_known_for_some_images_only_raises(tmp_path: Path) -> None:
    post, found = made("standard")
    path = tmp_path / "found.parquet"
    with (  # noqa: PT012
        pytest.raises(ExportError, match="sizes have to be given for all"),
        open_writer("parquet", path, post.spec) as writer,
    ):
        for sizes in (SIZES, None):
            writer.write(IMAGES, sizes, found)
    assert list(tmp_path.iterdir()) == []


def test_parquet_of_many_batches_is_written_in_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postproc.exports.parquet._ROWS_AT_ONCE", 500)
    post, found = made("standard")
    with open_writer("parquet", tmp_path / "found.parquet", post.spec) as writer:
        for _ in range(7):
            writer.write(IMAGES, None, found)
    file = pq.ParquetFile(tmp_path / "found.parquet")
    assert file.metadata.num_row_groups == 3
    assert file.metadata.num_rows == 7 * len(detections(found).labels)


def test_arrow_of_nothing_found_has_the_same_schema() -> None:
    post, found = made("yolov8_pose")
    nothing = {name: np.zeros_like(tensor) for name, tensor in tensors_of("yolov8_pose").items()}
    table = post(nothing).to_arrow(IMAGES, SIZES)
    assert len(table) == 0
    assert table.schema == found.to_arrow(IMAGES, SIZES).schema
