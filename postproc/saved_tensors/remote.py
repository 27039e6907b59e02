"""Saved tensors that lie in a store such as S3, at URLs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.fs as pa_fs
import pyarrow.parquet as pq

from postproc.saved_tensors.format import reading_parquet
from postproc.saved_tensors.reading import TensorFile
from postproc.stores import SCHEMES, StoredPath


class StoredTensorFile(TensorFile):
    """A Parquet file of tensors at a URL such as ``s3://bucket/part-00000.parquet``; see `TensorFile`.

    Parameters
    ----------
    url : str
        Of a store, as of `postproc.stores.open_store`; or of another file system that pyarrow knows, such as
        ``hdfs``, whose credentials are found as pyarrow finds them.

    Raises
    ------
    TensorError
        If it cannot be read, or its columns are not those of tensors.
    """

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        with (
            reading_parquet(self.name),
            _source(self.name) as source,
            pq.ParquetFile(source, pre_buffer=True) as file,
        ):
            yield file


@contextmanager
def _source(url: str) -> Iterator[Any]:
    if _is_of_a_store(url):
        with StoredPath(url).open() as file:
            yield pa.PythonFile(file, "r")
        return
    system, path = pa_fs.FileSystem.from_uri(url)
    with system.open_input_file(path) as file:
        yield file


def _is_of_a_store(url: str) -> bool:
    return url.partition("://")[0] in SCHEMES


def files_at(url: str) -> list[str]:
    """List the ``*.parquet`` of a folder, by name; a URL of anything else is given as it is.

    Raises
    ------
    TensorError
        If it cannot be listed.
    """
    if _is_of_a_store(url):
        place = StoredPath(url)
        if not place.is_dir():
            return [url]
        return [str(file) for file in place.below() if file.folder == place and file.suffix == ".parquet"]
    with reading_parquet(url):
        system, path = pa_fs.FileSystem.from_uri(url)
        if system.get_file_info(path).type != pa_fs.FileType.Directory:
            return [url]
        inside = system.get_file_info(pa_fs.FileSelector(path))
        names = sorted(item.base_name for item in inside if item.base_name.endswith(".parquet"))
    return [f"{url.rstrip('/')}/{name}" for name in names]
