"""Parquet files of a source: their columns, and their rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from postproc.errors import SchemaError
from postproc.evaluation.truth_formats.source import TruthSource
from postproc.installing import install


def parquet_files(source: TruthSource) -> list[Path]:
    """Return the file, or those of a folder."""
    if source.is_folder:
        return source.files.get(".parquet", [])
    return [source.path] if source.head.startswith(b"PAR1") else []


def opened(path: Path) -> Any:
    """Open a file as `pyarrow.parquet.ParquetFile`.

    Raises
    ------
    SchemaError
        If it is none.
    ImportError
        If pyarrow is missing.
    """
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise ImportError(f"{path}: reading Parquet needs pyarrow: {install('eval')}") from None
    try:
        return pq.ParquetFile(path)
    except (OSError, ValueError, KeyError) as error:
        raise SchemaError(f"{path}: cannot be read as Parquet: {error}") from None


def columns_of(source: TruthSource) -> set[str]:
    """Names of the columns of the first file; none where there is no file."""
    files = parquet_files(source)
    return set(opened(files[0]).schema_arrow.names) if files else set()


def batches(path: Path, columns: list[str]) -> Iterator[Any]:
    """Yield record batches of some columns, few rows at once, since images may lie in them.

    Raises
    ------
    SchemaError
        If the file is broken, or lacks a column.
    """
    try:
        yield from opened(path).iter_batches(batch_size=256, columns=columns)
    except (OSError, ValueError, KeyError) as error:
        raise SchemaError(f"{path}: cannot be read as Parquet: {error}") from None
