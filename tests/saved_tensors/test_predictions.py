"""Predictions from saved tensors, in order and in bounded memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from postproc import EndToEndOutput, PostProcessor, TensorError, Yolov8Output
from postproc.saved_tensors import writing
from postproc.saved_tensors.predictions import Predicted, predict_saved
from postproc.saved_tensors.reading import TensorFile
from tests.saved_tensors.tensor_files import image_of, write

POST = PostProcessor.for_detection(
    ["cat", "dog"], Yolov8Output(output_tensor="out"), thresholds=0.5, input_size=[64, 64]
)


def tensors_of(images: int, boxes: int = 40) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    made = []
    for _ in range(images):
        table = rng.uniform(0, 64, (1, 6, boxes)).astype(np.float32)
        table[:, 4:] = rng.uniform(0, 1, (1, 2, boxes))
        made.append(table)
    return made


def documents(predicted: Iterator[Predicted] | list[Predicted]) -> list[tuple[str, list[int], Any]]:
    rows = []
    for names, sizes, found in predicted:
        assert sizes.dtype == np.int64
        rows += list(zip(names, sizes.tolist(), found.to_dicts(), strict=True))
    return rows


@pytest.mark.parametrize("num_threads", [1, 2, 3])
def test_saved_tensors_give_what_the_tensors_gave(
    num_threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = tensors_of(8)
    monkeypatch.setattr(writing, "GROUP_BYTES", 3 * tensors[0].nbytes)
    images = [image_of(f"{row}.png", {"out": tensor}) for row, tensor in enumerate(tensors)]
    files = [write(tmp_path / "b.parquet", images[:5]), write(tmp_path / "a.parquet", images[5:])]
    assert [TensorFile(path).group_rows for path in files] == [(3, 2), (3,)]
    expected = [
        (image.name, [30, 40], POST(image.tensors, transforms=[image.transform]).to_dicts()[0])
        for image in images
    ]
    assert documents(predict_saved(files, POST, num_threads=num_threads)) == expected
    batches = [len(predicted.names) for predicted in predict_saved([tmp_path], POST)]
    assert batches == [3, 3, 2]
    urls = [tmp_path.as_uri(), files[0].as_uri()]
    assert documents(predict_saved(urls, POST)) == [*expected[5:], *expected[:5], *expected[:5]]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nosuch://bucket/part.parquet", "nosuch://bucket/part.parquet: cannot be read"),
        ("file:///nowhere/part.parquet", "file:///nowhere/part.parquet: cannot be read"),
        ("s3://bucket/tensors.npz", "s3://bucket/tensors.npz: .npz files are read from a disk only"),
    ],
    ids=["store", "file", "archive"],
)
def test_saved_tensors_at_a_url_that_cannot_be_read_name_it(url: str, message: str) -> None:
    with pytest.raises(TensorError, match=f"^{re.escape(message)}"):
        list(predict_saved([url], POST))


def test_saved_tensors_at_a_url_that_do_not_fit_name_it(tmp_path: Path) -> None:
    url = write(tmp_path / "t.parquet", [image_of("a", {"out": np.zeros((1, 9, 4), np.float32)})]).as_uri()
    with pytest.raises(TensorError, match=f"^{re.escape(url)}: image 'a'"):
        list(predict_saved([url], POST))


def test_saved_half_precision_gives_what_the_same_array_gives(tmp_path: Path) -> None:
    (tensor,) = tensors_of(1)
    half = tensor.astype(np.float16)
    path = write(tmp_path / "t.parquet", [image_of("a", {"out": half}, transformed=False)])
    options = {"show_discarded": True, "max_predictions": 7}
    expected = [("a", [30, 40], POST({"out": half}, **options).to_dicts()[0])]
    assert documents(predict_saved([path], POST, **options)) == expected


def test_saved_integers_give_what_the_documents_quantization_makes_of_them(tmp_path: Path) -> None:
    scales = [0.5, 0.5, 0.25, 0.25, 1 / 256, 1 / 255]
    output = Yolov8Output.load({"output_tensor": "out", "quantization": {"out": {"scale": scales}}})
    post = PostProcessor.for_detection(["cat", "dog"], output, thresholds=0.5, input_size=[64, 64])
    integers = np.random.default_rng(5).integers(0, 256, (2, 6, 40)).astype(np.uint8)
    floats = integers.astype(np.float32) * np.array(scales, np.float32)[:, np.newaxis]
    path = tmp_path / "t.npz"
    np.savez(path, out=integers)
    expected = POST({"out": floats}).to_dicts()
    assert documents(predict_saved([path], post)) == [
        (f"{path}#{row}", [0, 0], document) for row, document in enumerate(expected)
    ]
    images = [image_of(f"{row}", {"out": integers[row : row + 1]}, transformed=False) for row in range(2)]
    saved = documents(predict_saved([write(tmp_path / "t.parquet", images)], post))
    assert [document for _, _, document in saved] == expected
    with pytest.raises(TensorError, match=r"t\.npz: tensor 'out' must be of float32.* found dtype uint8"):
        list(predict_saved([path], POST))


def test_saved_archive_gives_what_its_batch_gives(tmp_path: Path) -> None:
    batch = np.concatenate(tensors_of(3))
    expected = POST({"out": batch}).to_dicts()
    path = tmp_path / "t.npz"
    np.savez(path, out=batch)
    named = [(f"{path}#{row}", [0, 0], document) for row, document in enumerate(expected)]
    assert documents(predict_saved([path], POST)) == named
    np.savez(path, out=batch, images=["a", "b", "c"], sizes=[[1, 2], [3, 4], [5, 6]])
    assert documents(predict_saved([path], POST)) == list(
        zip("abc", [[1, 2], [3, 4], [5, 6]], expected, strict=True)
    )


def test_saved_archive_whose_last_images_have_no_rows_gives_them_no_finds(tmp_path: Path) -> None:
    rows = EndToEndOutput(output_tensor="out", columns=["image", "box", "class", "score"])
    post = PostProcessor.for_detection(["cat", "dog"], rows, thresholds=0.5, input_size=[64, 64])
    table = np.array([[1, 8, 16, 24, 32, 0, 0.75]], np.float32)
    for extra in ({"images": ["a", "b", "c"]}, {"sizes": [[64, 64]] * 3}):
        np.savez(tmp_path / "t.npz", out=table, **extra)
        (predicted,) = predict_saved([tmp_path / "t.npz"], post)
        assert predicted.recognitions.outputs[0].offsets.tolist() == [0, 0, 1, 1]
        assert len(predicted.names) == len(predicted.sizes) == 3


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        pytest.param({"images": ["a"]}, "'images' is of 1 images, but the tensors .* hold 3", id="names"),
        pytest.param({"images": [["a"]]}, r"expected 3 names in 'images'; found shape \(1, 1\)", id="table"),
        pytest.param({"sizes": [[1, 2]]}, "'sizes' is of 1 images, but the tensors .* hold 3", id="rows"),
        pytest.param({"sizes": [1, 2]}, r"expected 'sizes' of shape \(3, 2\); found \(2,\)", id="sizes"),
        pytest.param({"out": np.zeros((3, 5, 8), np.float32)}, "tensor 'out' has shape", id="shape"),
    ],
)
def test_saved_archive_that_does_not_fit_names_the_file(
    extra: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.npz"
    np.savez(path, **{"out": np.concatenate(tensors_of(3)), **extra})
    with pytest.raises(TensorError, match=message) as caught:
        list(predict_saved([path], POST))
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("num_threads", [1, 2])
def test_saved_tensor_that_does_not_fit_names_file_and_image(num_threads: int, tmp_path: Path) -> None:
    good, bad = tensors_of(1)[0], np.zeros((1, 7, 3), np.float32)
    path = write(tmp_path / "t.parquet", [image_of("a", {"out": good}), image_of("b", {"out": bad})])
    with pytest.raises(TensorError, match=rf"^{path}: image 'b': tensor 'out' has shape \(1, 7, 3\)"):
        list(predict_saved([path], POST, num_threads=num_threads))
    two = np.concatenate([good, good])
    write(path, [image_of("a", {"out": two}, transformed=False)])
    with pytest.raises(TensorError, match="image 'a': its tensors are of 2 images"):
        list(predict_saved([path], POST, num_threads=num_threads))
    write(path, [image_of("a", {"other": good})])
    with pytest.raises(TensorError, match=rf"^{path}: tensor 'out' is missing; the file holds 'other'"):
        list(predict_saved([path], POST, num_threads=num_threads))
