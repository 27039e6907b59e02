"""The data set of demo pages: the same every time, and in agreement with the pages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from postproc import PostProcessor
from postproc.demo.dataset import write_dataset
from postproc.demo.pages import make_page
from postproc.errors import PostprocError
from postproc.evaluation import GroundTruth


def test_write_dataset_writes_pages_with_their_digits(tmp_path: Path) -> None:
    truth = GroundTruth.load(write_dataset(tmp_path, 2, first_page=5), tmp_path / "spec.json")
    assert truth.names == ("page-00005.png", "page-00006.png")
    page = make_page(6)
    batch = truth.batch([1])
    assert [truth.table.labels[row].name for row in batch.labels] == [str(digit) for digit in page.labels]
    np.testing.assert_array_equal(batch.boxes[:, :2] + batch.boxes[:, 2:], page.boxes[:, 2:])
    with Image.open(tmp_path / "pages" / "page-00006.png") as image:
        np.testing.assert_array_equal(np.asarray(image), page.image)
    assert (tmp_path / "model.onnx").stat().st_size > 100_000
    assert json.loads((tmp_path / "preprocessing.json").read_text())
    PostProcessor(tmp_path / "spec.json", tmp_path / "version.json")


def test_write_dataset_twice_writes_the_same(tmp_path: Path) -> None:
    first = write_dataset(tmp_path, 1, model="direct").read_bytes()
    assert write_dataset(tmp_path, 1, model="direct").read_bytes() == first


def test_write_dataset_of_an_unknown_network_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PostprocError, match="expected the name of a demo network"):
        write_dataset(tmp_path / "new", 1, model="none")
    assert not (tmp_path / "new").exists()
