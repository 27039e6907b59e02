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
from postproc.saved_tensors.format import reading_parquet
from postproc.saved_tensors.reading import TensorFile, saved_files


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

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        with reading_parquet(self.name):
            system, path = pa_fs.FileSystem.from_uri(self.name)
            with system.open_input_file(path) as source, pq.ParquetFile(source, pre_buffer=True) as file:
                yield file


def open_stored(place: str) -> TensorFile:
    """Open a file of saved tensors, by its path or URL."""
    return StoredTensorFile(place) if _is_url(place) else TensorFile(place)


def stored_files(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """List files of saved tensors, by paths or URLs: those given, and of a folder its ``*.parquet``.

    Raises
    ------
    TensorError
        If a folder holds none, or cannot be listed; or if a URL is of an ``.npz`` file.
    """
    places: list[str] = []
    for path in [os.fspath(item) for item in paths]:
        places += _listed(path) if _is_url(path) else map(str, saved_files([path]))
    return places


def shared_files(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """List what `stored_files` does, by whole paths, for other machines.

    Raises
    ------
    TensorError
        As `stored_files`, and if a file is no Parquet file.
    """
    places = stored_files(paths)
    for place in places:
        if is_archive(place):
            raise TensorError(
                f"{place}: expected Parquet files of tensors, as postproc dump writes them, which can be "
                "shared out among machines"
            )
    return [place if _is_url(place) else str(Path(place).resolve()) for place in places]


def is_archive(place: str) -> bool:
    """Whether it is the name of an ``.npz`` file."""
    return place.lower().endswith(".npz")


def _is_url(place: str) -> bool:
    return "://" in place


def _listed(url: str) -> list[str]:
    if is_archive(url):
        raise TensorError(f"{url}: .npz files are read from a disk only; copy it, or write it as Parquet")
    with reading_parquet(url):
        system, path = pa_fs.FileSystem.from_uri(url)
        if system.get_file_info(path).type != pa_fs.FileType.Directory:
            return [url]
        inside = system.get_file_info(pa_fs.FileSelector(path))
        names = sorted(item.base_name for item in inside if item.base_name.endswith(".parquet"))
    if not names:
        raise TensorError(f"{url}: expected Parquet files of tensors in this folder; found none")
    return [f"{url.rstrip('/')}/{name}" for name in names]
