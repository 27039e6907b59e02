"""The format of saved tensors: tables of tensors, an image a row.

A row is an image. Of each tensor there are three columns: its name holds the raw bytes, in C order and
little-endian, ``<name>.dtype`` NumPy's name of the data type, ``<name>.shape`` the shape. A tensor is stored
as the network gives it for a batch of this one image, its batch axis of 1 included. ``image`` is the image's
file name, ``height`` and ``width`` its size in pixels, ``transform`` where it lies in the network's input;
the last three may be null. Values are neither compressed nor encoded as a dictionary, so that reading one
costs a copy of its bytes out of the mapped file; lists of numbers would take ten times longer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from postproc.errors import PostprocError, TensorError
from postproc.transforms import ImageTransform

TRANSFORM = pa.struct(
    [(name, pa.float64()) for name in ("scale_x", "scale_y", "offset_x", "offset_y")]
    + [(name, pa.int32()) for name in ("input_height", "input_width")]
)
IMAGE_FIELDS = (
    pa.field("image", pa.string()),
    pa.field("height", pa.int32()),
    pa.field("width", pa.int32()),
    pa.field("transform", TRANSFORM),
)
IMAGE_COLUMNS = tuple(field.name for field in IMAGE_FIELDS)
DTYPES = {
    name: np.dtype(name).newbyteorder("<")
    for name in (
        *("float16", "float32", "float64", "bool"),
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    )
}
# Bytes of a row group: what a thread does at a time. It is read in pieces.
GROUP_BYTES = 32 << 20
_MOST_AXES = 32


@dataclass(frozen=True, eq=False, slots=True)
class SavedImage:
    """The tensors of one image.

    Parameters
    ----------
    name : str
        File name of the image.
    size : (int, int) or None
        Height and width of the original image in pixels, if known.
    transform : ImageTransform or None
        Where the image lies in the network's input, if known.
    tensors : dict of str to ndarray
        As the network gives them for a batch of this one image. Views of memory that is read-only.
    """

    name: str
    size: tuple[int, int] | None
    transform: ImageTransform | None
    tensors: dict[str, NDArray[Any]]


def tensor_fields(name: str) -> tuple[Any, Any, Any]:
    """Give the columns of a tensor: its bytes, data type and shape."""
    return (
        pa.field(name, pa.binary()),
        pa.field(f"{name}.dtype", pa.string()),
        pa.field(f"{name}.shape", pa.list_(pa.int32())),
    )


def tensor_names(schema: Any, what: str) -> tuple[str, ...]:
    """Names of the tensors of a table.

    Raises
    ------
    TensorError
        If the columns of an `pyarrow.Schema` are not those of saved tensors; `what` says whose they are.
    """
    for name in set(schema.names):
        if schema.names.count(name) > 1:
            raise TensorError(f"{what}: there are several columns {name!r}")
    names = [
        name
        for name in schema.names
        if all(field.name in schema.names for field in tensor_fields(name)) and name not in IMAGE_COLUMNS
    ]
    expected = {"image": pa.types.is_string, "height": pa.types.is_integer, "width": pa.types.is_integer}
    for name in names:  # others may write other integers, or large lists of bytes
        columns = (field.name for field in tensor_fields(name))
        expected.update(zip(columns, (_is_bytes, pa.types.is_string, _is_shape), strict=True))
    for column, fits in expected.items():
        if column not in schema.names:
            raise TensorError(f"{what}: expected a column {column!r}; found the columns {schema.names}")
        if not fits(schema.field(column).type):
            raise TensorError(f"{what}: column {column!r} has the type {schema.field(column).type}")
    if "transform" not in schema.names or schema.field("transform").type != TRANSFORM:
        raise TensorError(f"{what}: expected a column 'transform' of type {TRANSFORM}")
    return tuple(names)


def _is_bytes(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_shape(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) and pa.types.is_integer(kind.value_type))


def decode_images(
    batch: Any, what: str, first_row: int
) -> Iterator[tuple[str, tuple[int, int] | None, ImageTransform | None]]:
    """Give name, size and transform of each image of a `pyarrow.RecordBatch`."""
    with reading_parquet(what):
        columns = [batch.column(name).to_pylist() for name in IMAGE_COLUMNS]
    for index, (image, height, width, fields) in enumerate(zip(*columns, strict=True), first_row):
        row = f"{what}: row {index}"
        if image is None:
            raise TensorError(f"{row} has no image name")
        size = _size(row, height, width)
        yield image, size, _transform(row, fields, size)


def decode_tensors(
    batch: Any, names: Sequence[str], what: str, first_row: int
) -> Iterator[dict[str, NDArray[Any]]]:
    """Give the tensors of each image of a `pyarrow.RecordBatch`, without a copy of them."""
    with reading_parquet(what):
        columns = [
            (name, *(batch.column(f"{name}{end}").to_pylist() for end in (".dtype", ".shape")))
            for name in names
        ]
        values = [_buffers(batch.column(name)) for name in names]
    for index in range(batch.num_rows):
        yield {
            name: _tensor(
                f"{what}: row {first_row + index}, tensor {name!r}",
                buffers[index],
                dtypes[index],
                shapes[index],
            )
            for (name, dtypes, shapes), buffers in zip(columns, values, strict=True)
        }


def _buffers(column: Any) -> list[Any]:
    """Bytes of each value of a binary array as a `pyarrow.Buffer` of its memory, or None where it is null.

    A scalar's own ``as_buffer`` is one of a copy.
    """
    _, offsets, content = column.buffers()
    kind = np.int64 if pa.types.is_large_binary(column.type) else np.int32
    bounds = np.frombuffer(offsets, kind)[column.offset : column.offset + len(column) + 1].tolist()
    nothing = pa.py_buffer(b"")
    return [
        None if not is_valid else content.slice(start, stop - start) if content is not None else nothing
        for is_valid, (start, stop) in zip(column.is_valid().to_pylist(), pairwise(bounds), strict=True)
    ]


def _tensor(where: str, content: Any, dtype_name: Any, shape: Any) -> NDArray[Any]:
    dtype = DTYPES.get(dtype_name)
    if dtype is None:
        raise TensorError(f"{where}: expected a dtype of {', '.join(DTYPES)}; found {dtype_name!r}")
    if shape is None or len(shape) > _MOST_AXES or any(length is None or length < 0 for length in shape):
        raise TensorError(
            f"{where}: expected a shape of up to {_MOST_AXES} lengths; found {str(shape)[:200]}"
        )
    found = 0 if content is None else content.size
    expected = math.prod(shape) * dtype.itemsize
    if content is None or found != expected:
        raise TensorError(
            f"{where}: expected {expected} bytes, for shape {tuple(shape)} and dtype {dtype_name}; "
            f"found {'null' if content is None else found}"
        )
    try:
        tensor: NDArray[Any] = np.ndarray(shape, dtype, content)
    except ValueError as error:  # empty, with axes whose product no integer holds
        raise TensorError(f"{where}: shape {tuple(shape)} cannot be had: {error}") from None
    tensor.flags.writeable = False
    return tensor


def _size(row: str, height: int | None, width: int | None) -> tuple[int, int] | None:
    if height is None and width is None:
        return None
    if height is None or width is None or height < 1 or width < 1:
        raise TensorError(f"{row}: expected a positive height and width; found {height} and {width}")
    return height, width


def transform_fields(transform: ImageTransform | None) -> dict[str, float | int] | None:
    """Give what a file holds of a transform."""
    if transform is None:
        return None
    values = (*transform.scale, *transform.offset, *transform.input_size)
    return dict(zip((field.name for field in TRANSFORM), values, strict=True))


def _transform(row: str, fields: Any, size: tuple[int, int] | None) -> ImageTransform | None:
    if fields is None:
        return None
    scale_x, scale_y, offset_x, offset_y, input_height, input_width = fields.values()
    try:
        if size is None:
            raise TensorError("it needs the height and width of the image")
        return ImageTransform((scale_x, scale_y), (offset_x, offset_y), (input_height, input_width), size)
    except TensorError as error:
        raise TensorError(f"{row}: transform {list(fields.values())}: {error}") from None


@contextmanager
def reading_parquet(what: str) -> Iterator[None]:
    """Turn what pyarrow raises for a damaged file into a TensorError."""
    try:
        yield
    except (PostprocError, ImportError):
        raise
    except Exception as error:  # its errors are of OSError, ValueError, KeyError, TypeError, MemoryError, ...
        raise TensorError(
            f"{what}: cannot be read as Parquet: {str(error) or type(error).__name__}"
        ) from error
