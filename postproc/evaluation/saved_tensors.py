"""Read tensors of many images from Parquet files, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from postproc.errors import TensorError
from postproc.evaluation.tensor_format import (
    IMAGE_COLUMNS,
    READ_BYTES,
    SavedImage,
    decode,
    reading_parquet,
    tensor_names,
)


class TensorFile:
    """A Parquet file of tensors. It may be read from several threads at once, and pickled.

    Parameters
    ----------
    path : path
        The file, which is mapped into memory to read it: it must not be written to meanwhile.

    Attributes
    ----------
    path : Path
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
        self.path = Path(path)
        with reading_parquet(str(self.path)), pq.ParquetFile(self.path, memory_map=True) as file:
            metadata, schema = file.metadata, file.schema_arrow
            groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
        self.group_rows = tuple(group.num_rows for group in groups)
        self._row_bytes = tuple(group.total_byte_size // max(1, group.num_rows) for group in groups)
        self.tensor_names = tensor_names(schema, str(self.path))

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
        columns = [*IMAGE_COLUMNS, *(f"{name}{end}" for name in wanted for end in ("", ".dtype", ".shape"))]
        first_row = sum(self.group_rows[:group])
        rows = max(1, READ_BYTES // max(1, self._row_bytes[group]))
        with reading_parquet(str(self.path)), pq.ParquetFile(self.path, memory_map=True) as file:
            batches = file.iter_batches(rows, [group], columns, use_threads=False)
            while (batch := next(batches, None)) is not None:
                yield from decode(batch, wanted, str(self.path), first_row)
                first_row += batch.num_rows

    def image_names(self) -> list[str]:
        """Read the file names of all images."""
        with reading_parquet(str(self.path)), pq.ParquetFile(self.path, memory_map=True) as file:
            names: list[str] = file.read(["image"]).column("image").to_pylist()
        if None in names:
            raise TensorError(f"{self.path}: row {names.index(None)} has no image name")
        return names

    def _wanted(self, names: Iterable[str] | None) -> tuple[str, ...]:
        wanted = self.tensor_names if names is None else tuple(names)
        for name in wanted:
            if name not in self.tensor_names:
                known = ", ".join(map(repr, self.tensor_names)) or "none"
                raise TensorError(f"{self.path}: tensor {name!r} is missing; the file holds {known}")
        return wanted


def saved_files(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """List files of saved tensors: those given, and of a folder its ``*.parquet``, by name.

    Raises
    ------
    TensorError
        If a folder holds none.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        found = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not found:
            raise TensorError(f"{path}: expected Parquet files of tensors in this folder; found none")
        files += found
    return files
