"""Saved tensors that lie in a store such as S3, or on a disk that several machines share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.fs as pa_fs
import pyarrow.parquet as pq

from postproc.errors import TensorError
from postproc.evaluation.saved_tensors import TensorFile, saved_files
from postproc.evaluation.tensor_format import reading_parquet


class StoredTensorFile(TensorFile):
    """A Parquet file of tensors at a URL such as ``s3://bucket/part-00000.parquet``; see `TensorFile`.

    Parameters
    ----------
    url : str
        One of a file system that pyarrow knows: ``s3``, ``gs``, ``abfs``, ``hdfs``, ``file``. Credentials are
        found as pyarrow finds them: in the environment, in the usual files, or by the machine's role.

    Raises
    ------
    TensorError
        If it cannot be read, or its columns are not those of tensors.
    """

    def __init__(self, url: str) -> None:
        self.path = Path(url)
        self._describe(url)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        with reading_parquet(self._name):
            system, path = pa_fs.FileSystem.from_uri(self._name)
            with system.open_input_file(path) as source, pq.ParquetFile(source, pre_buffer=True) as file:
                yield file


def open_stored(place: str) -> TensorFile:
    """Open a file of saved tensors, by its path or URL."""
    return StoredTensorFile(place) if "://" in place else TensorFile(place)


def stored_files(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """List files of saved tensors, by whole paths or URLs: those given, and of a folder its ``*.parquet``.

    Raises
    ------
    TensorError
        If a folder holds none, cannot be listed, or a file is no Parquet file.
    """
    places: list[str] = []
    for path in [os.fspath(item) for item in paths]:
        places += _listed(path) if "://" in path else [str(file.resolve()) for file in saved_files([path])]
    for place in places:
        if place.lower().endswith(".npz"):
            raise TensorError(
                f"{place}: expected Parquet files of tensors, as postproc dump writes them, which can be "
                "shared out among machines"
            )
    return places


def _listed(url: str) -> list[str]:
    with reading_parquet(url):
        system, path = pa_fs.FileSystem.from_uri(url)
        if system.get_file_info(path).type != pa_fs.FileType.Directory:
            return [url]
        inside = system.get_file_info(pa_fs.FileSelector(path))
        names = sorted(item.base_name for item in inside if item.base_name.endswith(".parquet"))
    if not names:
        raise TensorError(f"{url}: expected Parquet files of tensors in this folder; found none")
    return [f"{url.rstrip('/')}/{name}" for name in names]
