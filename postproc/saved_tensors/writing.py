"""Write tensors to Parquet files, in the format of `postproc.saved_tensors.format`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.saved_tensors.format import (
    DTYPES,
    GROUP_BYTES,
    IMAGE_FIELDS,
    SavedImage,
    tensor_fields,
    transform_fields,
)

_MOST_BYTES = 2**31 - 1  # of a value in a Parquet file
_PAGE_BYTES = 1 << 20


class TensorWriter:
    """Writes a Parquet file of tensors, image by image.

    Use it in a ``with`` statement: at its end the file is complete.

    Parameters
    ----------
    path : path
        The file. One that is there is replaced.
    names : sequence of str
        The tensors of each image.

    Attributes
    ----------
    rows, bytes : int
        Images written, and the bytes of their tensors.

    Raises
    ------
    TensorError
        If a tensor has the name of another column.
    """

    def __init__(self, path: str | os.PathLike[str], names: Sequence[str]) -> None:
        self._names = tuple(names)
        fields = [*IMAGE_FIELDS, *(field for name in self._names for field in tensor_fields(name))]
        columns = [field.name for field in fields]
        doubled = sorted({name for name in columns if columns.count(name) > 1})
        if doubled:
            raise TensorError(
                f"tensors named {', '.join(map(repr, self._names))} cannot be saved together: the columns of "
                f"the file would have the name {doubled[0]!r} twice; rename the network's output"
            )
        self._schema = pa.schema(fields, {"postproc.tensors": json.dumps(self._names)})
        self._path = Path(path)
        self._file: Any = None
        self._waiting: list[dict[str, Any]] = []
        self._waiting_bytes = 0
        self.rows = 0
        self.bytes = 0

    def __enter__(self) -> TensorWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, image: SavedImage) -> None:
        """Add an image.

        Raises
        ------
        TensorError
            If its tensors are not those of the file, of another data type than a file can hold, or larger
            than 2 GiB.
        """
        height, width = image.size or (None, None)
        row: dict[str, Any] = {"image": image.name, "height": height, "width": width}
        row["transform"] = transform_fields(image.transform)
        if image.tensors.keys() != set(self._names):
            raise TensorError(f"{image.name}: expected the tensors {self._names}; got {tuple(image.tensors)}")
        size = 0
        for name, tensor in image.tensors.items():
            dtype = DTYPES.get(tensor.dtype.name)
            if dtype is None:
                raise TensorError(
                    f"{image.name}: tensor {name!r} of dtype {tensor.dtype} cannot be saved; "
                    f"expected {', '.join(DTYPES)}"
                )
            if tensor.nbytes > _MOST_BYTES:
                raise TensorError(
                    f"{image.name}: tensor {name!r} has {tensor.nbytes} bytes; "
                    f"a file holds up to {_MOST_BYTES}"
                )
            row[name] = np.asarray(tensor, dtype).tobytes()
            row[f"{name}.dtype"], row[f"{name}.shape"] = tensor.dtype.name, tensor.shape
            size += tensor.nbytes
        if self._waiting_bytes + size > _MOST_BYTES:
            self._flush()
        self._waiting.append(row)
        self._waiting_bytes += size
        self.rows += 1
        self.bytes += size
        if self._waiting_bytes >= GROUP_BYTES or len(self._waiting) >= 1024:
            self._flush()

    def close(self) -> None:
        """Write what is left, and the end of the file."""
        try:
            self._flush()
        finally:
            self._opened().close()

    def _flush(self) -> None:
        """Write a row group."""
        if self._waiting:
            columns = {field.name: [row[field.name] for row in self._waiting] for field in self._schema}
            self._opened().write_table(pa.table(columns, self._schema))
        self._waiting, self._waiting_bytes = [], 0

    def _opened(self) -> Any:
        """Give the file. Its pages are of a mebibyte, or of one row: reading takes memory for a page."""
        if self._file is None:
            # Pages end after a batch only.
            mean = self._waiting_bytes // max(1, len(self._waiting))
            self._file = pq.ParquetWriter(
                self._path,
                self._schema,
                compression="none",
                use_dictionary=False,
                write_statistics=False,
                data_page_size=_PAGE_BYTES,
                write_batch_size=min(max(1, _PAGE_BYTES // max(1, mean)), 1024),
            )
        return self._file


def reduced(tensor: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Give a tensor of floats in a smaller data type, where that can hold it.

    It stays as it is where a finite number would become infinite, or a whole one another: class ids and
    sizes of images are whole, and mean nothing once rounded.
    """
    if tensor.dtype.kind != "f" or tensor.dtype.itemsize <= dtype.itemsize:
        return tensor
    with np.errstate(all="ignore"):
        small = tensor.astype(dtype)
        if np.isinf(small).sum() > np.isinf(tensor).sum():
            return tensor
        finite = tensor[np.isfinite(tensor)]
        are_whole = bool((finite == np.floor(finite)).all())
    return tensor if are_whole and not np.array_equal(small, tensor, equal_nan=True) else small
