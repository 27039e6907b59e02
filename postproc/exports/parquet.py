"""Results as a Parquet file: the rows of Arrow tables."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import ExportError
from postproc.exports.writer import ImageName, ResultWriter
from postproc.results import Recognitions
from postproc.results.arrow import arrow_table
from postproc.schema import RecognitionSpec

_ROWS_AT_ONCE = 50_000


class ParquetWriter(ResultWriter):
    """Writes a row a detection, with the columns of `postproc.results.arrow`.

    Parameters
    ----------
    path : path
        The file.
    spec : RecognitionSpec
    discarded : bool
        Whether discarded candidates have rows too.
    """

    def __init__(self, path: ImageName, spec: RecognitionSpec, *, discarded: bool = False) -> None:
        super().__init__(path, spec)
        self.discarded = discarded
        self._file: Any = None
        self._waiting: list[Any] = []

    def _open_place(self) -> AbstractContextManager[Path]:
        place = super()._open_place()
        if self.path.exists() and not self.path.is_file():
            raise ExportError(f"{self.path}: Parquet needs a file, and this is a pipe or a device")
        return place

    def _begin(self, partial: Path) -> None:
        self._partial, self._file, self._waiting = partial, None, []

    def _add(self, images: list[str], sizes: NDArray[np.int64] | None, recognitions: Recognitions) -> None:
        table = arrow_table(recognitions.outputs, images, sizes, discarded=self.discarded)
        if self._waiting and table.schema != self._waiting[0].schema:
            raise ExportError(
                f"{self.path}: the results of {images[0]!r} have other columns than those before: sizes have "
                "to be given for all images or for none, and all results to be of one version"
            )
        self._waiting.append(table)
        if sum(map(len, self._waiting)) >= _ROWS_AT_ONCE:
            self._flush()

    def _end(self) -> None:
        if self._file is None and not self._waiting:
            raise ExportError(f"{self.path}: there are no results to write")
        self._flush()
        self._file.close()

    def _abandon(self) -> None:
        if self._file is not None:
            self._file.close()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.concat_tables(self._waiting)
        if self._file is None:
            self._file = pq.ParquetWriter(self._partial, table.schema, compression="zstd")
        self._file.write_table(table)
        self._waiting = [table.slice(0, 0)]
