"""Saved tensors that lie in a store such as S3, at URLs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow.fs as pa_fs
import pyarrow.parquet as pq

from postproc.saved_tensors.format import reading_parquet
from postproc.saved_tensors.reading import TensorFile


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


def files_at(url: str) -> list[str]:
    """List the ``*.parquet`` of a folder, by name; a URL of anything else is given as it is.

    Raises
    ------
    TensorError
        If it cannot be listed.
    """
    with reading_parquet(url):
        system, path = pa_fs.FileSystem.from_uri(url)
        if system.get_file_info(path).type != pa_fs.FileType.Directory:
            return [url]
        inside = system.get_file_info(pa_fs.FileSelector(path))
        names = sorted(item.base_name for item in inside if item.base_name.endswith(".parquet"))
    return [f"{url.rstrip('/')}/{name}" for name in names]
