"""Parquet files of tensors: what is written comes back, and what is damaged is named."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from postproc import TensorError
from postproc.saved_tensors import reading, writing
from postproc.saved_tensors.files import saved_files
from postproc.saved_tensors.format import DTYPES, TRANSFORM, SavedImage, decode_tensors
from postproc.saved_tensors.reading import TensorFile
from postproc.saved_tensors.writing import TensorWriter, reduced
from tests.saved_tensors.tensor_files import image_of, read_all, row_of, rows_of, write

VALUE = np.arange(6, dtype=np.float32).reshape(1, 2, 3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 3, 5), (7,), (), (1, 0, 4)], ids=str)
def test_saved_tensor_comes_back_to_the_bit(shape: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    tensor = rng.integers(0, 2, np.prod(shape, dtype=int) * np.dtype(dtype).itemsize, np.uint8)
    saved = image_of("ä/b.png", {"out:0": tensor.view(dtype).reshape(shape), "x.y": VALUE})
    (found,) = read_all(write(tmp_path / "t.parquet", [saved]))
    assert row_of(found) == row_of(saved)
    assert not found.tensors["out:0"].flags.writeable


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda array: array[:, ::-1], id="reversed"),
        pytest.param(np.asfortranarray, id="fortran"),
        pytest.param(lambda array: array.astype(">f4"), id="big-endian"),
    ],
)
def test_saved_tensor_of_another_memory_order_has_the_same_numbers(form: Any, tmp_path: Path) -> None:
    tensor = form(VALUE)
    (found,) = read_all(write(tmp_path / "t.parquet", [image_of("a", {"t": tensor})]))
    np.testing.assert_array_equal(found.tensors["t"], tensor)
    assert found.tensors["t"].dtype == np.float32


def test_saved_image_without_size_and_transform_comes_back(tmp_path: Path) -> None:
    saved = SavedImage("a", None, None, {"t": VALUE})
    assert rows_of(write(tmp_path / "t.parquet", [saved])) == [row_of(saved)]


def test_saved_tensors_are_neither_compressed_nor_dictionaries_and_groups_are_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "GROUP_BYTES", 4 * 4000)
    tensor = np.zeros((1, 1000), np.float32)  # four fill a row group
    path = write(tmp_path / "t.parquet", [image_of(str(row), {"t": tensor}) for row in range(10)])
    assert TensorFile(path).group_rows == (4, 4, 2)
    assert path.stat().st_size > 10 * tensor.nbytes
    for group in range(3):
        columns = pq.ParquetFile(path).metadata.row_group(group)
        for index in range(columns.num_columns):
            column = columns.column(index)
            assert column.compression == "UNCOMPRESSED"
            assert not column.has_dictionary_page


_READ_BYTES = reading._READ_BYTES


def test_reading_takes_memory_for_one_batch_whatever_the_row_group_holds(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    tensor = np.zeros((1, _READ_BYTES // 4), np.float32)
    pq.write_table(pa.table(_columns(24, tensor)), path, compression="none", use_dictionary=False)
    file = TensorFile(path)
    assert file.group_rows == (24,)
    before = pa.total_allocated_bytes()
    held = []
    for image in file.read(0):
        held.append(pa.total_allocated_bytes() - before)
        assert image.tensors["t"].nbytes == _READ_BYTES
    assert len(held) == 24
    assert max(held) < 3 * _READ_BYTES


def test_reading_some_tensors_leaves_the_others_out(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", [image_of("a", {"t": VALUE, "t.1": VALUE + 1, "u": VALUE + 2})])
    file = TensorFile(path)
    assert (len(file), file.tensor_names) == (1, ("t", "t.1", "u"))
    (found,) = file.read(0, ["u", "t"])
    assert list(found.tensors) == ["u", "t"]
    with pytest.raises(TensorError, match=r"tensor 'v' is missing; the file holds 't', 't\.1', 'u'"):
        next(file.read(0, ["v"]))


def test_tensor_file_can_be_pickled(tmp_path: Path) -> None:
    file = TensorFile(write(tmp_path / "t.parquet", [image_of("a", {"t": VALUE})]))
    assert [row_of(image) for image in pickle.loads(pickle.dumps(file)).read(0)] == rows_of(Path(file.name))


def test_rows_of_a_file_are_numbered_through_its_groups_and_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_READ_BYTES", 1)  # pieces of one row
    table = pa.concat_tables([pa.table(_columns(2, VALUE)), pa.table(_columns(2, VALUE, **{"t.dtype": "O"}))])
    path = tmp_path / "t.parquet"
    pq.write_table(table, path, row_group_size=3)
    images = TensorFile(path).read(0)
    assert [next(images).name, next(images).name] == ["0", "1"]
    with pytest.raises(TensorError, match=r"row 2, tensor 't': expected a dtype of .*found 'O'"):
        next(images)
    with pytest.raises(TensorError, match=r"row 3, tensor 't': expected a dtype of .*found 'O'"):
        next(TensorFile(path).read(1))


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()], ids=str)
def test_decoding_shares_the_memory_of_the_table(kind: Any) -> None:
    columns = _columns(3, VALUE)
    columns["t"] = pa.array([(VALUE + row).tobytes() for row in range(3)], kind)
    content = np.frombuffer(columns["t"].buffers()[2], np.uint8)
    batch = pa.RecordBatch.from_pydict(columns)
    for start in (0, 1):
        decoded = list(decode_tensors(batch.slice(start), ["t"], "here", start))
        assert len(decoded) == 3 - start
        for row, tensors in enumerate(decoded, start):
            np.testing.assert_array_equal(tensors["t"], VALUE + row)
            assert np.shares_memory(tensors["t"], content)


def _columns(rows: int, tensor: Any, **replaced: Any) -> dict[str, Any]:
    """The columns of a file with one tensor, some of whose values are others."""
    values: dict[str, Any] = {
        "image": None,
        "height": 30,
        "width": 40,
        "transform": None,
        "t": tensor.tobytes(),
        "t.dtype": tensor.dtype.name,
        "t.shape": list(tensor.shape),
        **replaced,
    }
    types = {
        "image": pa.string(),
        "height": pa.int32(),
        "width": pa.int32(),
        "transform": TRANSFORM,
        "t": pa.binary(),
        "t.dtype": pa.string(),
        "t.shape": pa.list_(pa.int64()),
    }
    columns = {name: pa.array([value] * rows, types[name]) for name, value in values.items()}
    if "image" not in replaced:
        columns["image"] = pa.array(list(map(str, range(rows))))
    return columns


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        pytest.param({"image": None}, "row 0 has no image name", id="no name"),
        pytest.param({"height": None}, "row 0: expected a positive height and width; found None", id="half"),
        pytest.param({"width": 0}, "row 0: expected a positive height and width; found 30 and 0", id="size"),
        pytest.param({"t.dtype": "object"}, "row 0, tensor 't': expected a dtype of float16", id="object"),
        pytest.param({"t.dtype": "V24"}, "row 0, tensor 't': expected a dtype of .*found 'V24'", id="void"),
        pytest.param({"t.dtype": None}, "row 0, tensor 't': expected a dtype of .*found None", id="no dtype"),
        pytest.param({"t.shape": None}, "tensor 't': expected a shape .*found None", id="no shape"),
        pytest.param({"t.shape": [1, -2, -3]}, "expected a shape .*-2, -3", id="negative"),
        pytest.param({"t.shape": [1, None]}, "expected a shape .*None", id="null length"),
        pytest.param({"t.shape": [1] * 33}, "expected a shape of up to 32", id="many axes"),
        pytest.param({"t.shape": [1, 2, 4]}, r"expected 32 bytes, for shape \(1, 2, 4\) .*found 24", id="24"),
        pytest.param({"t.shape": [2**62, 2**62, 16]}, r"expected \d{40} bytes.*found 24", id="giant"),
        pytest.param({"t.shape": [2**62, 8, 0], "t": b""}, "cannot be had", id="giant, empty"),
        pytest.param({"t": None}, "expected 24 bytes, .*found null", id="no value"),
        pytest.param({"t": b""}, "expected 24 bytes, .*found 0", id="empty value"),
        pytest.param(
            {"transform": {field.name: 0 for field in TRANSFORM}}, "row 0: transform .*scale", id="transform"
        ),
        pytest.param(
            {"transform": {field.name: 1 for field in TRANSFORM}, "height": None, "width": None},
            "row 0: transform .*needs the height and width",
            id="transform without size",
        ),
    ],
)
def test_reading_a_wrong_value_names_file_row_and_column(
    replaced: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(_columns(1, VALUE, **replaced)), path)
    with pytest.raises(TensorError, match=message) as caught:
        list(read_all(path))
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param({"image": None}, "expected a column 'image'; found the columns", id="no image"),
        pytest.param({"transform": None}, "expected a column 'transform' of type", id="no transform"),
        pytest.param({"height": pa.array(["3"])}, "column 'height' has the type string", id="height"),
        pytest.param({"t": pa.array([[1.0]])}, "column 't' has the type list<", id="list of floats"),
        pytest.param({"t.shape": pa.array([[0.5]])}, r"column 't\.shape' has the type list<", id="shape"),
        pytest.param({"t.dtype": pa.array([1])}, r"column 't\.dtype' has the type int64", id="dtype"),
    ],
)
def test_reading_a_table_of_other_columns_is_an_error(
    changed: dict[str, Any], message: str, tmp_path: Path
) -> None:
    columns = {**_columns(1, VALUE), **changed}
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({name: column for name, column in columns.items() if column is not None}), path)
    with pytest.raises(TensorError, match=message) as caught:
        TensorFile(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_reading_a_damaged_file_gives_tensors_or_an_error_that_names_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    path = write(tmp_path / "t.parquet", [image_of(str(row), {"t": VALUE + row}) for row in range(3)])
    whole = path.read_bytes()
    errors: list[str] = []
    for round_ in range(400):
        content = bytearray(whole)
        if round_ % 4 == 0:
            content = content[: rng.integers(len(content))]
        else:
            for position in rng.integers(len(content), size=rng.integers(1, 4)):
                content[position] = rng.integers(256)
        path.write_bytes(content)
        try:
            list(read_all(path))
        except TensorError as error:
            errors.append(str(error))
    assert 100 < len(errors) < 400
    assert all(error.startswith(f"{path}: ") for error in errors)


@pytest.mark.parametrize("name", ["none.parquet", "empty.parquet", "text.parquet"])
def test_reading_what_is_no_parquet_names_the_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty.parquet").write_bytes(b"")
    (tmp_path / "text.parquet").write_text("image,height\n")
    with pytest.raises(TensorError, match=f"{name}: cannot be read as Parquet: "):
        TensorFile(tmp_path / name)


def test_saved_files_of_a_folder_are_its_parquet_files_by_name(tmp_path: Path) -> None:
    for name in ("part-1.parquet", "part-0.parquet", "part-2.parquet.unfinished", "manifest.json"):
        (tmp_path / name).touch()
    other = str(tmp_path / "x.npz")
    found = saved_files([other, tmp_path])
    assert found == [other, *(str(tmp_path / f"part-{row}.parquet") for row in range(2))]
    (tmp_path / "sub").mkdir()
    with pytest.raises(
        TensorError, match="sub: expected Parquet files of tensors in this folder; found none"
    ):
        saved_files([tmp_path / "sub"])


@pytest.mark.parametrize("names", [["image"], ["t", "t.dtype"], ["t", "t"]], ids=str)
def test_writing_a_tensor_named_as_another_column_is_an_error(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(TensorError, match="cannot be saved together"):
        TensorWriter(tmp_path / "t.parquet", names)


def test_writing_what_a_file_cannot_hold_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TensorWriter(tmp_path / "t.parquet", ["t"]) as writer:
        with pytest.raises(TensorError, match=r"expected the tensors \('t',\); got \('u',\)"):
            writer.write(image_of("a", {"u": VALUE}))
        with pytest.raises(TensorError, match="tensor 't' of dtype complex64 cannot be saved"):
            writer.write(image_of("a", {"t": VALUE.astype(np.complex64)}))
        monkeypatch.setattr(writing, "_MOST_BYTES", 23)
        with pytest.raises(TensorError, match="tensor 't' has 24 bytes; a file holds up to 23"):
            writer.write(image_of("a", {"t": VALUE}))


def test_writing_never_puts_more_into_a_row_group_than_a_column_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_MOST_BYTES", 50)
    path = write(tmp_path / "t.parquet", [image_of(str(row), {"t": VALUE}) for row in range(5)])
    assert TensorFile(path).group_rows == (2, 2, 1)


@pytest.mark.parametrize(
    ("values", "is_rounded"),
    [
        pytest.param([0.1, 0.2, -3.3], True, id="fractions"),
        pytest.param([0.1, np.inf, np.nan], True, id="not finite"),
        pytest.param([1, 2048, -7, np.nan], True, id="small whole numbers"),
        pytest.param([1, 2049], False, id="ids"),
        pytest.param([0.5, 70000.3], False, id="out of range"),
        pytest.param([], True, id="none"),
    ],
)
def test_rounding_to_float16_keeps_what_it_would_spoil(values: list[float], is_rounded: bool) -> None:
    tensor = np.array(values, np.float32)
    found = reduced(tensor, np.dtype(np.float16))
    assert found.dtype == (np.float16 if is_rounded else np.float32)
    np.testing.assert_array_equal(found, tensor.astype(found.dtype))


def test_rounding_leaves_integers_and_smaller_types_alone() -> None:
    for tensor in (np.arange(3), np.zeros(3, np.float16), np.zeros(3, np.bool_)):
        assert reduced(tensor, np.dtype(np.float32)) is tensor
    assert reduced(np.array([0.1]), np.dtype(np.float32)).dtype == np.float32
    assert reduced(np.array([2.0**53 - 1]), np.dtype(np.float32)).dtype == np.float64
