"""Read tensors of many images from Parquet files, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow.parquet as pq

from postproc.errors import TensorError
from postproc.saved_tensors.format import (
    IMAGE_COLUMNS,
    SavedImage,
    decode_images,
    decode_tensors,
    reading_parquet,
    tensor_fields,
    tensor_names,
)

# Bytes that are decoded at once: few, so that they are still in the cache when they are post-processed.
_READ_BYTES = 4 << 20
_READ_ROWS = 1024


class TensorFile:
    """A Parquet file of tensors. It may be read from several threads at once, and pickled.

    Parameters
    ----------
    path : path
        The file, which is mapped into memory to read it: it must not be written to meanwhile.

    Attributes
    ----------
    name : str
        The path as given, or a URL; what errors call it.
    tensor_names : tuple of str
        In the order of the columns.
    group_rows : tuple of int
        Number of images of each row group; ``len(file)`` is their sum.

    Raises
    ------
    TensorError
        If it cannot be read, or its columns are not those of tensors.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fspath(path)
        with self._opened() as file:
            metadata, schema = file.metadata, file.schema_arrow
            groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
        self.group_rows = tuple(group.num_rows for group in groups)
        self._row_bytes = tuple(group.total_byte_size // max(1, group.num_rows) for group in groups)
        self.tensor_names = tensor_names(schema, self.name)

    def __len__(self) -> int:
        return sum(self.group_rows)

    def read(self, group: int, names: Iterable[str] | None = None) -> Iterator[SavedImage]:
        """Read the images of a row group, one after the other.

        Parameters
        ----------
        group : int
            Row group, from 0.
        names : iterable of str, optional
            Tensors to read; all by default.

        Raises
        ------
        TensorError
            If there is no such tensor, or the file is damaged; names the row and the column.
        """
        wanted = self._wanted(names)
        what = self.name
        columns = [field.name for name in wanted for field in tensor_fields(name)]
        rows = min(max(1, _READ_BYTES // max(1, self._row_bytes[group])), _READ_ROWS)
        with self._opened() as file:
            images = self._pieces(file, group, _READ_ROWS, IMAGE_COLUMNS)
            tensors = self._pieces(file, group, rows, columns)
            described = (one for piece, first in images for one in decode_images(piece, what, first))
            saved = (one for piece, first in tensors for one in decode_tensors(piece, wanted, what, first))
            for (name, size, transform), of_image in zip(described, saved, strict=True):
                yield SavedImage(name, size, transform, of_image)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        with (
            reading_parquet(self.name),
            pq.ParquetFile(self.name, memory_map=True, pre_buffer=False) as file,
        ):
            yield file

    def _pieces(self, file: Any, group: int, rows: int, columns: Sequence[str]) -> Iterator[tuple[Any, int]]:
        """Read columns of a row group, some rows at a time: batches, and the number of the first row."""
        first_row = sum(self.group_rows[:group])
        for batch in file.iter_batches(rows, [group], list(columns), use_threads=False):
            yield batch, first_row
            first_row += batch.num_rows

    def image_names(self) -> list[str]:
        """Read the file names of all images."""
        with self._opened() as file:
            names: list[Any] = file.read(["image"]).column("image").to_pylist()
        if None in names:
            raise TensorError(f"{self.name}: row {names.index(None)} has no image name")
        return names

    def _wanted(self, names: Iterable[str] | None) -> tuple[str, ...]:
        wanted = self.tensor_names if names is None else tuple(names)
        for name in wanted:
            if name not in self.tensor_names:
                known = ", ".join(map(repr, self.tensor_names)) or "none"
                raise TensorError(f"{self.name}: tensor {name!r} is missing; the file holds {known}")
        return wanted
